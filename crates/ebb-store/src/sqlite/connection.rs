//! How does one statement run on SQLite?

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, ErrorCode, OpenFlags, ffi};

use crate::error::StoreError;
use crate::migrate;
use crate::value::{Header, Query, Row, Value, query};

/// Prepared statements to keep. More than the program has would be best; a miss costs some ten microseconds.
const STATEMENTS: usize = 512;

pub(crate) struct Connection {
    raw: rusqlite::Connection,
    shapes: HashMap<&'static str, Arc<Shape>>,
}

/// What is worth asking only once about a statement.
struct Shape {
    header: Arc<Header>,
    /// For each of SQLite's parameters the argument that belongs there. To SQLite `$2` is a *name*, numbered by where
    /// it appears first: bound by position, `select $2, $1` would swap its arguments.
    arguments: Vec<usize>,
    wanted: usize,
    only_reads: bool,
}

impl Connection {
    /// The connection that writes. There is one at a time; without a path the database lives in memory.
    pub(crate) fn writer(path: Option<&Path>) -> Result<Connection, StoreError> {
        const PRAGMAS: &str = "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
            pragma wal_autocheckpoint = 16384; pragma cache_size = -16384; pragma temp_store = memory";
        let raw = match path {
            Some(path) => rusqlite::Connection::open(path),
            None => rusqlite::Connection::open_in_memory(),
        };
        Connection::new(raw, PRAGMAS)
    }

    /// A connection that only reads. The database must have been opened by its writer before.
    pub(crate) fn reader(path: &Path) -> Result<Connection, StoreError> {
        const PRAGMAS: &str = "pragma query_only = on; pragma cache_size = -4096; pragma temp_store = memory";
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::new(rusqlite::Connection::open_with_flags(path, flags), PRAGMAS)
    }

    fn new(raw: rusqlite::Result<rusqlite::Connection>, pragmas: &'static str) -> Result<Connection, StoreError> {
        let raw = raw.map_err(|error| classify("open", error))?;
        // Another process may hold the database for a moment: a backup, or an operator's query.
        raw.busy_timeout(Duration::from_secs(5)).map_err(|error| classify("busy_timeout", error))?;
        raw.set_prepared_statement_cache_capacity(STATEMENTS);
        // Else SQLite plans a statement anew for each set of arguments that a partial index might care about, which costs more
        // than running it.
        let stable = raw.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
        stable.map_err(|error| classify("SQLITE_DBCONFIG_ENABLE_QPSG", error))?;
        raw.execute_batch(pragmas).map_err(|error| classify(pragmas, error))?;
        Ok(Connection { raw, shapes: HashMap::new() })
    }

    /// Runs `begin`, `commit` and the like.
    pub(crate) fn control(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.raw.execute_batch(sql).map_err(|error| classify(sql, error))
    }

    /// Whether a transaction is open. SQLite closes it by itself after some errors (a full disk, often).
    pub(crate) fn in_transaction(&self) -> bool {
        !self.raw.is_autocommit()
    }

    pub(crate) fn rows(&mut self, query: &Query) -> Result<Vec<Row>, StoreError> {
        let sql = query.sql;
        let (mut statement, shape) = self.prepare(query)?;
        if !shape.only_reads {
            return Err(StoreError::WritingRead { statement: sql });
        }
        let mut found = statement.raw_query();
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(|error| classify(sql, error))? {
            let value = |at| read(row.get_ref(at), &shape.header, at);
            let values = (0..shape.header.columns.len()).map(value).collect::<Result<_, _>>()?;
            rows.push(Row::new(shape.header.clone(), values));
        }
        Ok(rows)
    }

    /// Runs a statement for its effect and says how many rows it changed.
    pub(crate) fn execute(&mut self, query: &Query) -> Result<u64, StoreError> {
        let sql = query.sql;
        {
            let (mut statement, _) = self.prepare(query)?;
            // A statement with `returning` does its work while its rows are fetched; nobody wants the rows.
            let mut found = statement.raw_query();
            while found.next().map_err(|error| classify(sql, error))?.is_some() {}
        }
        Ok(self.raw.changes())
    }

    fn prepare(&mut self, query: &Query) -> Result<(CachedStatement<'_>, Arc<Shape>), StoreError> {
        let sql = query.sql;
        let mut statement = self.raw.prepare_cached(sql).map_err(|error| classify(sql, error))?;
        let shape = self.shapes.entry(sql).or_insert_with(|| Arc::new(Shape::of(sql, &statement))).clone();
        if shape.wanted != query.args.len() {
            return Err(StoreError::Arguments { statement: sql, wanted: shape.wanted, given: query.args.len() });
        }
        for (at, argument) in shape.arguments.iter().enumerate() {
            let bound = match &query.args[*argument] {
                Value::Null => statement.raw_bind_parameter(at + 1, rusqlite::types::Null),
                Value::Int(value) => statement.raw_bind_parameter(at + 1, value),
                Value::Text(value) => statement.raw_bind_parameter(at + 1, value.as_str()),
            };
            bound.map_err(|error| classify(sql, error))?;
        }
        Ok((statement, shape))
    }

    /// Brings the schema up to date.
    pub(crate) fn migrate(&mut self) -> Result<(), StoreError> {
        loop {
            self.control("begin immediate")?;
            let applied = self.migrate_once();
            self.control(if applied.is_ok() { "commit" } else { "rollback" })?;
            if !applied? {
                return Ok(());
            }
        }
    }

    fn migrate_once(&mut self) -> Result<bool, StoreError> {
        self.execute(&query(migrate::CREATE_VERSION_TABLE, vec![]))?;
        let found = self.rows(&query(migrate::SELECT_VERSION, vec![]))?[0].int("number");
        let Some(pending) = migrate::after(found)? else { return Ok(false) };
        for statement in pending.statements {
            self.execute(&query(statement, vec![]))?;
        }
        self.execute(&query(migrate::INSERT_VERSION, vec![Value::Int(pending.number)]))?;
        Ok(true)
    }
}

impl Shape {
    fn of(sql: &'static str, statement: &rusqlite::Statement<'_>) -> Shape {
        let columns = statement.column_names().map(str::to_owned).collect();
        // A parameter that is no `$` and number belongs to no argument: then no number of arguments fits.
        let named = |at| statement.parameter_name(at)?.strip_prefix('$')?.parse().ok().filter(|number| *number > 0);
        let number = |at| named(at).unwrap_or(usize::MAX);
        let numbers: Vec<usize> = (1..=statement.parameter_count()).map(number).collect();
        Shape {
            header: Arc::new(Header { sql, columns }),
            wanted: numbers.iter().copied().max().unwrap_or(0),
            arguments: numbers.iter().map(|number| number - 1).collect(),
            only_reads: statement.readonly(),
        }
    }
}

fn read(found: rusqlite::Result<ValueRef<'_>>, header: &Header, at: usize) -> Result<Value, StoreError> {
    match found.map_err(|error| classify(header.sql, error))? {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(value) => Ok(Value::Int(value)),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(_) => Err(unreadable(header, at)),
        },
        ValueRef::Real(_) | ValueRef::Blob(_) => Err(unreadable(header, at)),
    }
}

fn unreadable(header: &Header, at: usize) -> StoreError {
    StoreError::Unreadable { statement: header.sql, column: header.columns[at].clone() }
}

fn classify(statement: &'static str, error: rusqlite::Error) -> StoreError {
    let code = error.sqlite_error().map(|error| (error.code, error.extended_code));
    let cause = std::sync::Arc::new(error);
    match code {
        Some((_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID)) => {
            StoreError::Duplicate { statement, cause }
        }
        // The shared-memory file of the log could not grow.
        Some((ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE)) => StoreError::DiskFull(cause),
        Some((ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _)) => StoreError::Contended,
        Some((ErrorCode::CannotOpen, _)) => StoreError::Unavailable(cause),
        Some((_, extended)) => StoreError::Database { statement, code: extended.to_string(), cause },
        None => StoreError::Database { statement, code: "none".to_owned(), cause },
    }
}
