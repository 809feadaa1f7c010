//! What stands around a story: a server of either kind, on either database, with a host and a directory of its own?

use crate::api::Client;
use crate::process::{Program, Ready};
use ebb_store::Place;
use ebb_testing::TempPostgres;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const CAPACITY: &str = "vcpu=4,memory_mib=1024,disk_gib=100";
const OPERATOR: &str = "ebb_operator_of_the_crash_tests";

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum On {
    Sqlite,
    Postgres,
}

/// The two shapes in which the same service runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// `ebb serve` beside `ebb host --driver fake`, by the wall clock.
    Halves,
    /// `ebb sandbox`, by a clock that is advanced.
    Sandbox,
}

pub struct World {
    pub server: Program,
    /// A sandbox has its own.
    pub host: Option<Program>,
    pub place: Place,
    pub directory: Directory,
    key: &'static str,
}

impl World {
    pub fn new(shape: Shape, on: On, environment: &[(&str, &str)]) -> World {
        let directory = Directory::new();
        let path = |name: &str| directory.0.join(name);
        let place = match on {
            On::Sqlite => Place::Sqlite(path("data/ebb.db")),
            On::Postgres => Place::Postgres(block_on(TempPostgres::start().database())),
        };
        let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/catalog.toml");
        let data = path("data").display().to_string();
        let rows = match &place {
            Place::Postgres(connection) => vec!["--postgres", connection],
            _ => vec![],
        };
        let (arguments, host, key) = match shape {
            Shape::Halves => {
                let host = host(&directory);
                std::fs::write(path("operator.key"), OPERATOR).expect("a file in a new directory");
                let (key, socket) = (path("operator.key"), path("host.sock"));
                let mut all = words(&["serve", "--listen", "127.0.0.1:0", "--catalog", catalog]);
                all.extend([format!("--operator-key={}", key.display()), format!("--host={}", socket.display())]);
                all.extend(words(if rows.is_empty() { vec!["--data", &data] } else { rows }));
                (all, Some(host), OPERATOR)
            }
            Shape::Sandbox => {
                let mut all = words(&["sandbox", "--catalog", catalog, "--capacity", CAPACITY, "--data", &data]);
                all.extend(words(rows));
                (all, None, "ebb_sandbox_operator")
            }
        };
        let server = Program::start(arguments, Ready::FirstLine, path("server.log"), environment);
        World { server, host, place, directory, key }
    }

    pub fn operator(&self) -> Client<'_> {
        Client::operator(&self.server, self.key)
    }
}

fn host(directory: &Directory) -> Program {
    let (data, socket) = (directory.0.join("host"), directory.0.join("host.sock"));
    let mut all = words(["host", "--driver", "fake", "--start-millis", "20", "--capacity", CAPACITY]);
    all.extend([format!("--data={}", data.display()), format!("--socket={}", socket.display())]);
    Program::start(all, Ready::Socket(socket), directory.0.join("host.log"), &[])
}

fn words<'a>(of: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>) -> Vec<String> {
    of.into_iter().map(|word| word.as_ref().to_owned()).collect()
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// Ends with the value, unless the test failed.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Directory {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("ebb-crash-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(path.join("data")).expect("a new directory");
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        match std::thread::panicking() {
            true => eprintln!("left as it was: {}", self.0.display()),
            false => drop(std::fs::remove_dir_all(&self.0)),
        }
    }
}
