//! How does a test run a part of Ebb, kill it, and have it come back?

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const EBB: &str = env!("CARGO_BIN_EXE_ebb");
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const PATIENCE: Duration = Duration::from_secs(30);

/// How it says that it is there.
pub enum Ready {
    /// Its first line is JSON with an `endpoint`.
    FirstLine,
    /// Somebody listens.
    Socket(PathBuf),
}

/// A long-running `ebb …`. It ends with the value.
pub struct Program {
    arguments: Vec<String>,
    ready: Ready,
    log: PathBuf,
    now: Mutex<Now>,
}

struct Now {
    child: Child,
    endpoint: String,
    deaths: u32,
    /// Nobody brings it back.
    down: bool,
}

impl Program {
    /// `environment` holds for the first start only: who comes back does so without a failpoint.
    pub fn start(arguments: Vec<String>, ready: Ready, log: PathBuf, environment: &[(&str, &str)]) -> Program {
        let (child, endpoint) = launch(&arguments, &ready, &log, environment);
        let mut now = Now { child, endpoint: String::new(), deaths: 0, down: false };
        match endpoint {
            Some(endpoint) => now.endpoint = endpoint,
            // A failpoint in the start itself.
            None => bring_back(&mut now, &arguments, &ready, &log),
        }
        Program { arguments, ready, log, now: Mutex::new(now) }
    }

    /// Where it listens; one that has died is started again first.
    pub fn endpoint(&self) -> String {
        let mut now = self.lock();
        assert!(!now.down, "nobody asks a server that is to be down");
        if now.child.try_wait().expect("a child").is_some() {
            bring_back(&mut now, &self.arguments, &self.ready, &self.log);
        }
        now.endpoint.clone()
    }

    /// How often it died and came back.
    pub fn deaths(&self) -> u32 {
        self.lock().deaths
    }

    /// `kill -9`. It comes back when it is asked for its endpoint.
    pub fn kill(&self) {
        let mut now = self.lock();
        now.child.kill().expect("a child");
        now.child.wait().expect("a child");
    }

    /// `kill -9`, and back at once.
    pub fn crash(&self) {
        self.kill();
        self.endpoint();
    }

    /// Ends it as an operator would.
    pub fn stop(&self) {
        let mut now = self.lock();
        let pid = rustix::process::Pid::from_child(&now.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a child");
        let status = now.child.wait().expect("a child");
        now.down = true;
        assert!(status.success(), "{}: {status}\n{}", self.arguments[0], self.said());
    }

    /// Starts it with other arguments after [`Program::stop`].
    pub fn start_again(&mut self, more: &[&str], environment: &[(&str, &str)]) {
        let arguments: Vec<String> =
            self.arguments.iter().cloned().chain(more.iter().map(|a| (*a).to_owned())).collect();
        let (child, endpoint) = launch(&arguments, &self.ready, &self.log, environment);
        let endpoint = endpoint.unwrap_or_else(|| panic!("it does not start\n{}", self.said()));
        *self.lock() = Now { child, endpoint, deaths: 0, down: false };
    }

    /// What it wrote to its standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let mut now = self.lock();
        let _ = now.child.kill();
        let _ = now.child.wait();
        drop(now);
        if std::thread::panicking() {
            eprintln!("---- {} ----\n{}", self.arguments.join(" "), self.said());
        }
    }
}

fn bring_back(now: &mut Now, arguments: &[String], ready: &Ready, log: &PathBuf) {
    let status = now.child.wait().expect("a child");
    let said = || std::fs::read_to_string(log).unwrap_or_default();
    assert!(was_killed(status), "{}: {status}, though nobody killed it\n{}", arguments[0], said());
    let (child, endpoint) = launch(arguments, ready, log, &[]);
    now.child = child;
    now.endpoint = endpoint.unwrap_or_else(|| panic!("it does not come back\n{}", said()));
    now.deaths += 1;
}

fn was_killed(status: ExitStatus) -> bool {
    matches!(status.signal(), Some(SIGABRT | SIGKILL))
}

/// `None`: it died before it was ready.
fn launch(arguments: &[String], ready: &Ready, log: &PathBuf, environment: &[(&str, &str)]) -> (Child, Option<String>) {
    let stderr = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
    let mut command = Command::new(EBB);
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .env("RUST_LOG", "ebb=info,ebb_server=info,ebb_store=info");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    let mut child = command.spawn().expect("the program under test");
    let endpoint = match ready {
        Ready::FirstLine => first_line(&mut child),
        Ready::Socket(path) => {
            let began = Instant::now();
            while UnixStream::connect(path).is_err() {
                assert!(began.elapsed() < PATIENCE, "nobody listens at {}", path.display());
                assert!(
                    child.try_wait().expect("a child").is_none(),
                    "it ends before it listens at {}",
                    path.display()
                );
                sleep(Duration::from_millis(5));
            }
            Some(String::new())
        }
    };
    (child, endpoint)
}

fn first_line(child: &mut Child) -> Option<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its standard output")).read_line(&mut line).expect("its first line");
    let said: serde_json::Value = serde_json::from_str(&line).ok()?;
    Some(said["endpoint"].as_str().expect("an endpoint").strip_prefix("http://").expect("http").to_owned())
}
