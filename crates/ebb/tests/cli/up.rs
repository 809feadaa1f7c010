//! Does one command make a machine a small cloud, with real guests that can be entered, and does it leave nothing behind?

use crate::sandbox::EBB;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

struct Up {
    process: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

struct Place {
    data: PathBuf,
    listen: String,
}

impl Place {
    fn new(name: &str) -> Self {
        let data = std::env::temp_dir().join(format!("ebb-up-{name}-{}", std::process::id()));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Place { data, listen: format!("127.0.0.1:{port}") }
    }

    fn command(&self) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let image = root.join(".cache/guest");
        let built = Command::new(root.join("guest/build")).arg(&image).stdout(Stdio::null()).status().unwrap();
        assert!(built.success(), "guest/build failed");
        let mut command = Command::new(EBB);
        command.arg("up").arg("--data").arg(&self.data).args(["--listen", &self.listen]);
        command.arg("--image").arg(image).arg("--catalog").arg(root.join("catalog/demo.toml"));
        command
    }

    fn up(&self) -> Up {
        self.up_with(&[])
    }

    fn up_with(&self, more: &[&str]) -> Up {
        let mut process = self.command().args(more).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (say, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(say.send(line))));
        Up { process, lines, said: vec![] }
    }

    /// The machine's end of the way to its host.
    fn device(&self) -> String {
        let data = self.data.canonicalize().unwrap().join("host");
        ebb_host::namespace(&data).replacen("ebb-", "eb", 1)
    }

    /// Neither an interface nor a route nor rules of the host are left.
    fn leaves_nothing_on_the_machine(&self) {
        let device = self.device();
        for words in [&["-o", "link"][..], &["route", "show", "table", "all"], &["netns", "list"]] {
            let said = ip(words);
            assert!(!said.contains(&device) && !said.contains(&device.replacen("eb", "ebb-", 1)), "{said}");
        }
        let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
        let tables = String::from_utf8_lossy(&tables.stdout).into_owned();
        assert!(!tables.contains(&device.replacen("eb", "ebb_", 1)), "{tables}");
    }

    fn ebb(&self, line: &str, input: &str) -> Output {
        let mut command = Command::new(EBB);
        command.args(line.split_whitespace()).env("EBB_CONFIG", self.data.join("user/profiles.toml"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        let keep = std::thread::spawn(move || {
            // An open line, until the answer had time to come.
            std::thread::sleep(Duration::from_secs(6));
            drop(stdin);
        });
        let output = child.wait_with_output().unwrap();
        drop(keep);
        output
    }
}

impl Up {
    fn until(&mut self, wanted: &str) -> String {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(240) {
            if let Some(line) = self.said.iter().find(|line| line.contains(wanted)) {
                return line.clone();
            }
            match self.lines.recv_timeout(Duration::from_secs(240)) {
                Ok(line) => self.said.push(line),
                Err(_) => break,
            }
        }
        panic!("`{wanted}` was not said in\n{}", self.said.join("\n"));
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

/// A test that fails ends it, too.
impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() && self.data.join("host").exists() {
            std::thread::sleep(Duration::from_secs(2));
            let _ = Command::new(EBB).args(["host", "--clean", "--data"]).arg(self.data.join("host")).status();
        }
    }
}

/// The programs that were started from the data directory or work in it.
fn processes_of(data: &Path) -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let inside = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(data));
        if inside || command.contains(&data.display().to_string()) {
            found.push(command);
        }
    }
    found
}

#[test]
fn one_command_makes_a_cloud_and_leaves_nothing_behind() {
    let place = Place::new("shown");
    let mut up = place.up();
    let said = up.until("Ctrl-C ends this");
    assert!(!said.is_empty());
    let story = up.said.join("\n");
    for wanted in [
        "console of ada-trial: ebb-guest: metadata",
        "console of lab-block: hello from lab-block: this is my user-data",
        "console of lab-block: ebb-guest: interruption {\"action\":\"terminate\"",
        "ada-firm is running",
        "capacity  compute",
    ] {
        assert!(story.contains(wanted), "`{wanted}` is not in\n{story}");
    }
    let late = up.until("ms after the notice's end");
    let millis = late.split("released ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<i64>().ok());
    assert!(millis.is_some_and(|millis| (0..1_000).contains(&millis)), "{late}");

    // Both guests can be entered.
    let key = place.data.join("user/ada_ed25519");
    for guest in ["ada-trial", "ada-firm"] {
        let ssh = place.ebb(&format!("--as ada ssh {guest} -i {} -- hostname", key.display()), "");
        assert_eq!(String::from_utf8_lossy(&ssh.stdout).trim(), guest, "{}", String::from_utf8_lossy(&ssh.stderr));
    }
    let console = place.ebb("--as ada console ada-trial", "\necho console-$((40+2))\n");
    assert!(String::from_utf8_lossy(&console.stdout).contains("console-42"), "{console:?}");
    tries_what_is_shown(&mut up);
    // Lab's key does not open Ada's guests.
    let foreign = place.ebb("--as lab ssh ada-trial -- true", "");
    assert!(!foreign.status.success());

    // Killed, it finds its guests again, and charges nothing twice.
    up.signal("-KILL");
    up.process.wait().unwrap();
    let started = |bill: Output| -> Vec<(String, String)> {
        let bill: serde_json::Value = serde_json::from_slice(&bill.stdout).unwrap();
        let all = bill["records"].as_array().unwrap().iter().chain(bill["accruing"].as_array().unwrap());
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        all.map(|r| (text(&r["resource"]) + &text(&r["meter"]), text(&r["since"]))).collect()
    };
    let mut up = place.up();
    up.until("2 guests of an earlier run were taken up again");
    up.until("Ctrl-C ends this");
    let lines = started(place.ebb("--as ada --json bill", ""));
    let once: std::collections::BTreeSet<_> = lines.iter().collect();
    assert!(lines.len() >= 4 && once.len() == lines.len(), "{lines:?}");
    up.signal("-INT");
    up.until("2 guests run on");
    up.process.wait().unwrap();
    assert_eq!(processes_of(&place.data).iter().filter(|command| command.contains("qemu-system")).count(), 2);

    let stopped = place.command().arg("--stop").output().unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(processes_of(&place.data), Vec::<String>::new());
    assert!(!place.data.join("host").exists());
    place.leaves_nothing_on_the_machine();
    std::fs::remove_dir_all(&place.data).unwrap();
}

/// What is said to be tried next works as it is printed: a public address, and a data disk.
fn tries_what_is_shown(up: &mut Up) {
    let shown = up.said.join("\n");
    let export = shown.lines().find(|line| line.contains("export EBB_CONFIG=")).expect("where the keys are");
    let tried = |words: &str, wanted: &str| {
        let line = shown.lines().rev().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}?"));
        let began = Instant::now();
        loop {
            let output = Command::new("bash").args(["-c", &format!("{export}\n{line}")]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if said.contains(wanted) {
                return;
            }
            // A disk is made, and a script runs, in their own time.
            assert!(began.elapsed() < Duration::from_secs(60), "{line}: {output:?}");
            std::thread::sleep(Duration::from_millis(500));
        }
    };
    tried("curl http://198.18.0.", "hello from ada-firm\n");
    tried("ebb --as ada disks create", "creating");
    tried("ebb --as ada disks attach data", "attached");
}

#[test]
fn a_machine_without_a_way_to_public_addresses_says_so_and_starts() {
    let place = Place::new("closed");
    std::fs::create_dir_all(&place.data).unwrap();
    // Somebody else has the interface that would be the machine's end.
    let device = place.device();
    ip(&["link", "add", &device, "type", "veth", "peer", "name", &format!("x{}", &device[1..])]);
    let mut up = place.up_with(&["--quiet"]);
    let said = up.until("No public addresses, because this machine has no way to them: ");
    assert!(said.contains("File exists"), "{said}");
    up.until("Ctrl-C ends this");
    up.signal("-INT");
    up.process.wait().unwrap();
    let stopped = place.command().arg("--stop").output().unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    place.leaves_nothing_on_the_machine();
    std::fs::remove_dir_all(&place.data).unwrap();
}

#[test]
fn debian_is_sold_once_it_is_made() {
    let place = Place::new("debian");
    let debian = place.data.with_extension("images");
    let mut up = place.up_with(&["--quiet", "--debian", &debian.display().to_string()]);
    up.until("Ctrl-C ends this");
    let order = "--as ada buy t6.medium.4 --image debian-12";
    let refused = place.ebb(order, "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("no host of zone `here-a` has image `debian-12`"), "{said}");
    up.signal("-INT");
    up.process.wait().unwrap();

    // Its disk is installed without a copy.
    use std::os::unix::fs::MetadataExt;
    std::fs::create_dir(&debian).unwrap();
    let disk = debian.join("disk.qcow2");
    let made = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(&disk).arg("1M").status().unwrap();
    assert!(made.success());
    let mut up = place.up_with(&["--quiet", "--debian", &debian.display().to_string()]);
    up.until("Ctrl-C ends this");
    let installed = place.data.join("images/debian-12/disk.qcow2");
    assert_eq!(installed.metadata().unwrap().ino(), disk.metadata().unwrap().ino());
    let quote = place.ebb(&order.replace(" buy ", " quote "), "");
    assert!(quote.status.success(), "{quote:?}");
    // Where it was made it may go again; what is installed stays.
    std::fs::remove_dir_all(&debian).unwrap();
    up.signal("-INT");
    up.process.wait().unwrap();
    assert!(installed.exists());
    let stopped = place.command().arg("--stop").output().unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    std::fs::remove_dir_all(&place.data).unwrap();
}

fn ip(words: &[&str]) -> String {
    let output = Command::new("ip").args(words).output().unwrap();
    assert!(output.status.success(), "ip {words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_missing_is_said() {
    let place = Place::new("nowhere");
    let nowhere = std::env::temp_dir().join(format!("ebb-nothing-{}", std::process::id()));
    let output =
        Command::new(EBB).arg("up").arg("--data").arg(&nowhere).args(["--image", "/nonexistent"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("does not exist; `make run` builds"), "{said}");
    let _ = std::fs::remove_dir_all(&nowhere);

    let catalog = std::env::temp_dir().join(format!("ebb-catalog-{}.toml", std::process::id()));
    std::fs::write(&catalog, "currency = \"CNY\"\nprice = 1\n").unwrap();
    let output = Command::new(EBB).args(["sandbox", "--catalog"]).arg(&catalog).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(".toml:2:1: unknown field `price`"), "{said}");
    std::fs::remove_file(catalog).unwrap();

    let taken = TcpListener::bind(&place.listen).unwrap();
    let output = Command::new(EBB).args(["sandbox", "--listen", &place.listen]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("choose another address"), "{said}");
    drop(taken);
}
