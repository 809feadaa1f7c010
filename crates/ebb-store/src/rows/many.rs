//! How do thousands of rows become few statements?
//!
//! A statement's text is fixed beforehand, since it is what a database has prepared. So there is one for many rows, one for some and
//! one for a single row, and a list is cut into them.

use crate::{Query, Value, query};
use std::sync::OnceLock;

/// Rows in one statement. With 64 a row costs a database little more than what it is written into; more would only be longer.
const SIZES: [usize; 3] = [64, 8, 1];

/// A statement for lists: an insert of rows, or a look for ids.
pub(super) struct Many {
    before: &'static str,
    columns: usize,
    texts: [OnceLock<String>; 3],
}

impl Many {
    /// `insert into t (a, b) values` with so many columns, or `delete from t where id in` with none.
    pub(super) const fn new(before: &'static str, columns: usize) -> Many {
        Many { before, columns, texts: [const { OnceLock::new() }; 3] }
    }

    pub(super) fn rows(&'static self, rows: impl IntoIterator<Item = Vec<Value>>) -> Vec<Query> {
        let mut rows = rows.into_iter().fuse().peekable();
        let mut queries = vec![];
        while rows.peek().is_some() {
            let mut some: Vec<Vec<Value>> = rows.by_ref().take(SIZES[0]).collect();
            while !some.is_empty() {
                let place = SIZES.iter().position(|size| *size <= some.len()).expect("one row is a size");
                let rest = some.split_off(SIZES[place]);
                let args = std::mem::replace(&mut some, rest).into_iter().flatten().collect();
                queries.push(query(self.text(place), args));
            }
        }
        queries
    }

    pub(super) fn ids<T: ToString>(&'static self, ids: impl IntoIterator<Item = T>) -> Vec<Query> {
        self.rows(ids.into_iter().map(|id| vec![Value::Text(id.to_string())]))
    }

    fn text(&'static self, place: usize) -> &'static str {
        self.texts[place].get_or_init(|| {
            let numbers = |first: usize, count: usize| {
                let all: Vec<String> = (first..first + count).map(|number| format!("${number}")).collect();
                format!("({})", all.join(", "))
            };
            let after = match self.columns {
                0 => numbers(1, SIZES[place]),
                columns => {
                    let rows: Vec<_> = (0..SIZES[place]).map(|row| numbers(row * columns + 1, columns)).collect();
                    rows.join(", ")
                }
            };
            format!("{} {after}", self.before)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_into_statements_and_nothing_is_lost() {
        static INSERT: Many = Many::new("insert into t (a, b) values", 2);
        static LOOK: Many = Many::new("select * from t where id in", 0);
        for count in [0, 1, 7, 8, 63, 64, 65, 200] {
            let rows = INSERT.rows((0..count).map(|n| vec![Value::Int(n), Value::Int(-n)]));
            let args: Vec<Value> = rows.iter().flat_map(|query| query.args.clone()).collect();
            assert_eq!(args, (0..count).flat_map(|n| [Value::Int(n), Value::Int(-n)]).collect::<Vec<_>>());
            let looks: usize = LOOK.ids(0..count).iter().map(|query| query.args.len()).sum();
            assert_eq!(looks, usize::try_from(count).unwrap());
        }
        let sizes: Vec<usize> =
            INSERT.rows((0..74).map(|_| vec![Value::Null; 2])).iter().map(|q| q.args.len()).collect();
        assert_eq!(sizes, [128, 16, 2, 2]);
        let texts = [INSERT.rows([vec![Value::Null; 2]])[0].sql, LOOK.ids([1; 8])[0].sql];
        assert_eq!(texts[0], "insert into t (a, b) values ($1, $2)");
        assert_eq!(texts[1], "select * from t where id in ($1, $2, $3, $4, $5, $6, $7, $8)");
    }
}
