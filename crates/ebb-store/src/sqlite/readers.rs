//! Who reads beside the writer?

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use crate::error::StoreError;
use crate::reads::{Reads, Source};
use crate::sqlite::connection::Connection;

/// A reader's closure; it is handed an error instead if its snapshot could not be taken.
pub(crate) type Task = Box<dyn FnOnce(Result<Reads, StoreError>) + Send>;

/// Reads are short and mostly served from memory: more threads than this only wait for a core.
const READERS: usize = 3;

pub(crate) struct Readers {
    tasks: mpsc::Sender<Task>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(path: &Path) -> Result<Readers, StoreError> {
        let (tasks, waiting) = mpsc::channel::<Task>();
        let waiting = Arc::new(Mutex::new(waiting));
        let connections = (0..READERS).map(|_| Connection::reader(path)).collect::<Result<Vec<_>, _>>()?;
        let start = |connection| {
            let waiting = waiting.clone();
            thread::Builder::new().name("ebb-store-read".to_owned()).spawn(move || run(connection, &waiting))
        };
        let threads = connections.into_iter().map(start).collect::<Result<_, _>>();
        let threads = threads.map_err(|error| StoreError::Unavailable(Arc::new(error)))?;
        Ok(Readers { tasks, threads })
    }

    pub(crate) fn submit(&self, task: Task) {
        // The threads end only after this sender is gone.
        let _ = self.tasks.send(task);
    }

    /// Lets the readers finish what waits, so that no snapshot of theirs hinders the last checkpoint.
    pub(crate) fn close(self) {
        drop(self.tasks);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn run(connection: Connection, waiting: &Mutex<mpsc::Receiver<Task>>) {
    let connection = Arc::new(Mutex::new(connection));
    loop {
        let task = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        // The first statement takes the snapshot, and all others of the task see the same.
        let begun = control(&connection, "begin");
        task(begun.map(|()| Reads(Source::Sqlite(connection.clone()))));
        if let Err(error) = control(&connection, "rollback") {
            tracing::warn!(%error, "a snapshot could not be ended");
        }
    }
}

fn control(connection: &Mutex<Connection>, sql: &'static str) -> Result<(), StoreError> {
    let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
    if sql == "rollback" && !connection.in_transaction() {
        return Ok(());
    }
    connection.control(sql)
}
