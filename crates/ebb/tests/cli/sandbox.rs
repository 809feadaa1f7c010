//! How does a test run `ebb`? In a directory of its own, beside a sandbox of its own, by the shell.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The program under test.
pub const EBB: &str = env!("CARGO_BIN_EXE_ebb");
pub const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8eLz8Zn0y0iZp2mEo1bTqS5b0n7Qf0Zl6Yp3o0w9aB ada@laptop\n";

pub struct Sandbox {
    process: Child,
    pub endpoint: String,
    pub home: PathBuf,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Sandbox {
    /// A new sandbox, and profiles for everybody who lives in it.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with further arguments.
    pub fn with(arguments: &[&str]) -> Self {
        let sandbox =
            Command::new(EBB).arg("sandbox").args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut process = sandbox.expect("the program starts");
        let mut line = String::new();
        let out = process.stdout.take().expect("its standard output");
        BufReader::new(out).read_line(&mut line).expect("its first line");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("its first line is JSON");
        let endpoint = ready["endpoint"].as_str().expect("an endpoint").to_owned();

        let home = directory();
        let profile =
            |(name, key): (&String, &serde_json::Value)| format!("[{name}]\nendpoint = \"{endpoint}\"\nkey = {key}\n");
        let profiles: String = ready["keys"].as_object().expect("keys by name").iter().map(profile).collect();
        private(&home.join("profiles.toml"), &profiles);
        std::fs::write(home.join("id_ed25519.pub"), PUBLIC_KEY).expect("a file in a new directory");
        Self { process, endpoint, home }
    }

    /// A further key, by a name.
    pub fn add_profile(&self, name: &str, key: &str) {
        let file = self.home.join("profiles.toml");
        let known = std::fs::read_to_string(&file).expect("our own file");
        private(&file, &format!("{known}[{name}]\nendpoint = \"{}\"\nkey = \"{key}\"\n", self.endpoint));
    }

    /// Runs a line as a person would type it; `$KEY` and the like are the shell's business.
    pub fn run(&self, line: &str) -> Said {
        self.run_with(line, &[])
    }

    pub fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> Said {
        let bin = Path::new(EBB).parent().expect("a program lies in a directory");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(line).current_dir(&self.home).stdin(Stdio::null());
        shell.env("PATH", path).env("HOME", &self.home).env("EBB_CONFIG", self.home.join("profiles.toml"));
        shell.env("EBB_PROFILE", "individual").env_remove("EBB_ENDPOINT").env_remove("EBB_KEY");
        let output = shell.envs(variables.iter().copied()).output().expect("a shell");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs what must succeed.
    pub fn ok(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.code, 0, "{line}\n{}{}", said.out, said.err);
        said.out
    }

    pub fn json(&self, line: &str) -> serde_json::Value {
        let out = self.ok(&format!("{line} --json"));
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error} in {out}"))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let home = std::env::temp_dir().join(format!("ebb-cli-{}-{count}", std::process::id()));
    std::fs::create_dir_all(&home).expect("a new directory");
    home
}

/// Writes what others must not read.
pub fn private(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(file, text).expect("a file in our directory");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("our own file");
}
