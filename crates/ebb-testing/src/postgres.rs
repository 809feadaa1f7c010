//! Where does a test get a PostgreSQL database of its own?
//!
//! The server belongs to a small script that waits for the end of its stdin, which is a pipe from the test process: so
//! the server ends and its folder goes whenever that process does, be it killed. (Statics are not dropped at the end of
//! a process, and "die with the parent" means the parent's *thread*, which in a test is soon gone.)

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::NoTls;

/// A server on a private socket. All tests of a process share one without durability.
pub struct TempPostgres {
    socket: PathBuf,
    databases: AtomicU64,
    /// Holds the other end of the script's stdin.
    _watch: Child,
}

impl TempPostgres {
    /// The server of this process; the first call starts it, in about a second.
    pub fn start() -> &'static TempPostgres {
        static SERVER: OnceLock<TempPostgres> = OnceLock::new();
        SERVER.get_or_init(|| TempPostgres::launch(Commits::Fast))
    }

    /// A server whose commits are on the disk before they are answered, as an operator would run it; for benchmarks.
    pub fn durable() -> TempPostgres {
        TempPostgres::launch(Commits::Durable)
    }

    /// The server's first process, the parent of all its others.
    pub fn process(&self) -> u32 {
        let text = std::fs::read_to_string(self.socket.join("data/postmaster.pid"));
        let text = text.expect("a server that runs has written down its process");
        text.lines().next().and_then(|line| line.trim().parse().ok()).expect("its first line is the process")
    }

    /// Makes a new, empty database and says how to connect to it.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("create database {name}")).await;
        self.address(&name)
    }

    /// Runs SQL on a connection of its own, past everything that is tested.
    pub async fn execute(&self, database: &str, sql: &str) {
        let connected = tokio_postgres::connect(&self.address(database), NoTls).await;
        let (client, connection) = connected.expect("the server should take connections");
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        drop(client);
        let _ = connection.await;
    }

    fn address(&self, database: &str) -> String {
        format!("host={} user=ebb dbname={database}", self.socket.display())
    }

    fn launch(commits: Commits) -> TempPostgres {
        let programs = programs();
        let mut watch = as_unprivileged("sh");
        watch.args(["-c", include_str!("watch.sh"), "watch.sh"]).arg(&programs);
        match commits {
            Commits::Fast => watch.arg("fast"),
            // Where /tmp is memory, a durable commit would cost nothing.
            Commits::Durable => watch.arg("durable").env("TMPDIR", "/var/tmp"),
        };
        // A group of its own: Ctrl-C ends the tests, and their end ends the server.
        watch.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut watch = watch.spawn().expect("sh and setpriv should be there");
        let mut socket = String::new();
        let stdout = watch.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut socket).expect("the script should say where the server is");
        assert!(!socket.is_empty(), "PostgreSQL did not start; its log is above");
        TempPostgres { socket: socket.trim_end().into(), databases: AtomicU64::new(0), _watch: watch }
    }
}

/// Whether an answered commit survives the machine.
#[derive(Clone, Copy)]
enum Commits {
    Fast,
    Durable,
}

/// The newest of Debian's versions, or the folder in `EBB_POSTGRES_PROGRAMS`.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("EBB_POSTGRES_PROGRAMS") {
        return folder.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let newest = versions.filter_map(version).max();
    let newest = newest.expect("tests need PostgreSQL: apt-get install postgresql, or set EBB_POSTGRES_PROGRAMS");
    Path::new("/usr/lib/postgresql").join(newest.to_string()).join("bin")
}

/// PostgreSQL refuses to run as root: there it runs as the user of Debian's package, or as nobody.
fn as_unprivileged(program: &str) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let packaged = users.lines().any(|line| line.starts_with("postgres:"));
    let (user, group) = if packaged { ("postgres", "postgres") } else { ("nobody", "nogroup") };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--clear-groups", "--regid", group, program]);
    // Root's own folder for temporary files may be closed to that user.
    command.env_remove("TMPDIR");
    command
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}
