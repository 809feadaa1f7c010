//! What goes into a statement, and what comes out of a row?

use std::fmt;
use std::sync::Arc;

/// One value of a column or a parameter, in the part that both databases share.
///
/// There is no float (money and time are integers), no boolean (SQLite has none) and no blob (none is needed):
/// a fourth kind would be one that reads back differently on one of the two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Null,
    Int(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Value::Text(value.clone())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// A statement and its parameters `$1`, `$2`, ….
///
/// The text is `'static` so that it can be the key of a statement cache, and so that nobody can build SQL out of input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Query {
    pub sql: &'static str,
    pub args: Vec<Value>,
}

/// Pairs a statement with its parameters: `query(SELECT_ACCOUNT, args![id])`.
pub fn query(sql: &'static str, args: Vec<Value>) -> Query {
    Query { sql, args }
}

/// A list of parameters: each may be anything that turns into a [`Value`].
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => {
        ::std::vec![$($crate::Value::from($value)),*]
    };
}

/// What all rows of a statement share.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) sql: &'static str,
    pub(crate) columns: Vec<String>,
}

/// One row of an answer.
///
/// A column that is missing or of another type than asked for is a mistake in the program, not something that may
/// happen: the accessors panic and name the statement and the column.
#[derive(Debug, Clone)]
pub struct Row {
    header: Arc<Header>,
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(header: Arc<Header>, values: Vec<Value>) -> Row {
        Row { header, values }
    }

    pub fn int(&self, column: impl Column) -> i64 {
        match self.value(&column) {
            Value::Int(value) => *value,
            other => self.mismatch(&column, "an integer", other),
        }
    }

    pub fn text(&self, column: impl Column) -> &str {
        match self.value(&column) {
            Value::Text(value) => value,
            other => self.mismatch(&column, "text", other),
        }
    }

    pub fn opt_int(&self, column: impl Column) -> Option<i64> {
        match self.value(&column) {
            Value::Null => None,
            Value::Int(value) => Some(*value),
            other => self.mismatch(&column, "an integer or null", other),
        }
    }

    pub fn opt_text(&self, column: impl Column) -> Option<&str> {
        match self.value(&column) {
            Value::Null => None,
            Value::Text(value) => Some(value),
            other => self.mismatch(&column, "text or null", other),
        }
    }

    fn value(&self, column: &impl Column) -> &Value {
        let found = column.position(&self.header.columns).and_then(|at| self.values.get(at));
        match found {
            Some(value) => value,
            None => panic!("no column {column} in the answer of: {}", self.header.sql),
        }
    }

    fn mismatch(&self, column: &impl Column, wanted: &str, found: &Value) -> ! {
        panic!("column {column} should be {wanted} but is {found:?} in the answer of: {}", self.header.sql)
    }
}

/// A way to point at a column: by its name, or by its position from 0.
pub trait Column: fmt::Display {
    fn position(&self, columns: &[String]) -> Option<usize>;
}

impl Column for &str {
    fn position(&self, columns: &[String]) -> Option<usize> {
        columns.iter().position(|name| name == self)
    }
}

impl Column for usize {
    fn position(&self, _: &[String]) -> Option<usize> {
        Some(*self)
    }
}
