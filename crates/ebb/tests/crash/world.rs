//! What stands around a story: a server of either kind, on either database, with a host and a directory of its own?

use crate::api::{Client, text, wait_for};
use crate::process::{EBB, Program, Ready};
use crate::receiver::Receiver;
use ebb_driver::fake::FakeHost;
use ebb_driver::protocol::ToHost;
use ebb_testing::TempPostgres;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
    /// A sandbox has its own, a service alone those that it was told of.
    pub host: Option<Program>,
    pub directory: Directory,
    pub guests: Guests,
    /// Outlives them all, and hears what subscribers are told.
    pub receiver: Receiver,
    key: &'static str,
}

/// How long things take, where a story wants it otherwise than most do.
pub struct Pace {
    pub guests: Guests,
    pub boot_timeout_seconds: u32,
    pub notice_seconds: u32,
    pub takings_per_hour: u32,
    /// What an individual may claim.
    pub grant: &'static str,
}

/// What guests are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Guests {
    Nothing {
        start_millis: u32,
    },
    /// QEMU and the built-in image; needs root.
    Real,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            guests: Guests::Nothing { start_millis: 20 },
            boot_timeout_seconds: 20,
            notice_seconds: 2,
            takings_per_hour: 100,
            grant: "6",
        }
    }
}

impl World {
    pub fn new(shape: Shape, on: On, environment: &[(&str, &str)]) -> World {
        World::at(Pace::default(), shape, on, environment)
    }

    pub fn at(pace: Pace, shape: Shape, on: On, environment: &[(&str, &str)]) -> World {
        let directory = Directory::new();
        let path = |name: &str| directory.0.join(name);
        let postgres = (on == On::Postgres).then(|| block_on(TempPostgres::start().database()));
        let boot = format!("boot_timeout_seconds = {}\n", pace.boot_timeout_seconds);
        let notice = format!("notice_seconds = {}\n", pace.notice_seconds);
        let text = include_str!("catalog.toml").replace("boot_timeout_seconds = 20\n", &boot);
        let notice = format!("{notice}takings_per_hour = {}\n", pace.takings_per_hour);
        let text = text.replace("notice_seconds = 2\n", &notice);
        let text = text.replace("amount = \"6\"\n", &format!("amount = \"{}\"\n", pace.grant));
        std::fs::write(path("catalog.toml"), text).expect("a file in a new directory");
        let catalog = &path("catalog.toml").display().to_string();
        let data = path("data").display().to_string();
        let rows = postgres.as_ref().map_or(vec![], |connection| vec!["--postgres", connection]);
        let (arguments, host, key) = match shape {
            Shape::Halves => {
                let host = host(&directory, &pace);
                std::fs::write(path("operator.key"), OPERATOR).expect("a file in a new directory");
                let (key, socket) = (path("operator.key"), path("host.sock"));
                let mut all = words(&[
                    "serve",
                    "--listen",
                    "127.0.0.1:0",
                    "--allow-network",
                    "127.0.0.0/8",
                    "--catalog",
                    catalog,
                ]);
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
        let receiver = Receiver::new();
        World { server, host, directory, guests: pace.guests, key, receiver }
    }

    /// A service alone, for real guests on hosts that listen there.
    pub fn over(directory: Directory, catalog: &str, sockets: &[PathBuf]) -> World {
        let path = |name: &str| directory.0.join(name);
        std::fs::write(path("catalog.toml"), catalog).expect("a file in a new directory");
        std::fs::write(path("operator.key"), OPERATOR).expect("a file in a new directory");
        let mut all = words(&["serve", "--listen", "127.0.0.1:0"]);
        for (option, name) in [("catalog", "catalog.toml"), ("operator-key", "operator.key"), ("data", "data")] {
            all.push(format!("--{option}={}", path(name).display()));
        }
        all.extend(sockets.iter().map(|socket| format!("--host={}", socket.display())));
        let server = Program::start(all, Ready::FirstLine, path("server.log"), &[]);
        World { server, host: None, directory, guests: Guests::Real, key: OPERATOR, receiver: Receiver::new() }
    }

    pub fn operator(&self) -> Client<'_> {
        Client::operator(&self.server, self.key)
    }

    /// The operator, once a host has come.
    pub fn open(&self) -> Client<'_> {
        let operator = self.operator();
        wait_for("there is room", || {
            let hosts = operator.get("/v1/hosts");
            (hosts["items"][0]["connected"] == true).then_some(()).ok_or(hosts.to_string())
        });
        operator
    }

    pub fn host(&self) -> &Program {
        self.host.as_ref().expect("a host of its own")
    }

    /// The guests that the fake host wrote down, with what they are.
    pub fn kept(&self) -> BTreeMap<String, String> {
        let read = |file: &str| std::fs::read_to_string(self.directory.path().join(file));
        let kept = |file| serde_json::from_str(&read(file).expect("what the host wrote down")).expect("JSON");
        if self.host.is_none() {
            return guests_in(&kept("data/hosts.json"));
        }
        // What it was at its last start, and what has happened to it since; a line may be half written.
        let start: Value = kept("host/fake.json");
        let mut host: FakeHost = serde_json::from_value(start["host"].clone()).expect("a fake host");
        let log = read(&format!("host/fake.{}.log", start["log"])).unwrap_or_default();
        for moment in log.lines().map_while(|line| serde_json::from_str::<Value>(line).ok()) {
            let now = text(&moment["now"]).parse().expect("an instant");
            let heard: Option<ToHost> = serde_json::from_value(moment["heard"].clone()).expect("what it heard");
            match heard {
                Some(message) => host.hear(message, now),
                None => host.step(now),
            };
        }
        guests_in(&serde_json::to_value(host).expect("plain values"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.guests == Guests::Real
            && std::thread::panicking()
            && let Some(host) = &self.host
        {
            // Real guests outlive a failed test, too.
            host.kill();
            let _ =
                Command::new(EBB).args(["host", "--clean", "--data"]).arg(self.directory.path().join("host")).status();
        }
    }
}

fn host(directory: &Directory, pace: &Pace) -> Program {
    let (data, socket) = (directory.0.join("host"), directory.0.join("host.sock"));
    let made = match pace.guests {
        Guests::Nothing { start_millis } => format!("--driver fake --start-millis {start_millis}"),
        Guests::Real => format!("--driver qemu --image ebb-guest={}", image().display()),
    };
    let mut all = words(["host", "--capacity", CAPACITY].into_iter().chain(made.split(' ')));
    all.extend([format!("--data={}", data.display()), format!("--socket={}", socket.display())]);
    all.push(format!("--return-file={}", directory.0.join("return").display()));
    Program::start(all, Ready::Socket(socket), directory.0.join("host.log"), &[])
}

/// The built-in guest, made if it is not there.
pub fn image() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let image = root.join(".cache/guest");
    let built = Command::new(root.join("guest/build")).arg(&image).stdout(Stdio::null()).status();
    assert!(built.expect("guest/build").success(), "guest/build failed");
    image
}

fn guests_in(kept: &Value) -> BTreeMap<String, String> {
    match (kept, kept.get("agent")) {
        (_, Some(agent)) => {
            let guests = agent["guests"].as_object().expect("guests by id").iter();
            guests.map(|(id, guest)| (id.clone(), text(&guest["observed"]["is"]["is"]))).collect()
        }
        (Value::Object(fields), None) => fields.values().flat_map(guests_in).collect(),
        (Value::Array(hosts), None) => hosts.iter().flat_map(guests_in).collect(),
        _ => BTreeMap::new(),
    }
}

fn words<'a>(of: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>) -> Vec<String> {
    of.into_iter().map(|word| word.as_ref().to_owned()).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
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
