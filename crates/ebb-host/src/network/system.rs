//! How are the system's own programs asked, and what is set in a namespace before they are?

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use tracing::warn;

/// Runs a program of the system in the thread's namespace; its output, or its complaint.
pub fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let named = |e: &dyn std::fmt::Display| format!("`{}`: {e}", command_line(command));
    let spawned = Command::new(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|e| named(&e))?;
    let fed = child.stdin.take().expect("a pipe that was asked for").write_all(input.as_bytes());
    let output = child.wait_with_output().map_err(|e| named(&e))?;
    match (output.status.success(), fed) {
        (true, Ok(())) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => Err(named(&String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Commands for one of the programs that take many at once; none is no call.
pub fn batch(program: &str, commands: &str) -> Result<(), String> {
    match commands {
        "" => Ok(()),
        _ => run(Command::new(program).args(["-batch", "-"]), commands).map(drop),
    }
}

/// The same, going on after one that fails: what is to go may be gone.
pub fn batch_anyway(program: &str, commands: &str) {
    if !commands.is_empty()
        && let Err(why) = run(Command::new(program).args(["-force", "-batch", "-"]), commands)
    {
        warn!("{why}");
    }
}

pub fn rules(text: &str) -> Result<(), String> {
    match text {
        "" => Ok(()),
        _ => run(Command::new("nft").args(["-f", "-"]), text).map(drop),
    }
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A kernel that lacks one of the files lacks the thing as well.
pub fn set(settings: &[(&str, &str)]) {
    for (file, value) in settings {
        let path = Path::new("/proc/sys/net").join(file);
        if path.exists()
            && let Err(e) = std::fs::write(&path, value)
        {
            warn!("{} cannot be set to {value}: {e}", path.display());
        }
    }
}
