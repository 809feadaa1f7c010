//! Does whoever sits at the terminal agree?

use crate::failure::Failure;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

/// Warns and asks. Where nobody sits, `unasked` says what would happen and what to give instead of an answer; `refused` is what came
/// of a no.
pub fn agreed(warning: &str, question: &str, unasked: String, refused: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(unasked));
    }
    let mut err = std::io::stderr().lock();
    write!(err, "{warning}{question} [y/N] ").and_then(|()| err.flush()).map_err(Failure::io("standard error"))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(Failure::io("standard input"))?;
    if is_yes(&answer) { Ok(()) } else { Err(Failure::Outcome(refused.to_owned())) }
}

/// What must not be seen: the first line of a file, of standard input (`-`, or where nobody sits), or what is typed unseen.
pub fn secret(from: Option<&Path>, prompt: &str) -> Result<String, Failure> {
    let terminal = std::io::stdin().is_terminal();
    let text = match from {
        Some(file) if file != Path::new("-") => {
            std::fs::read_to_string(file).map_err(Failure::io(format!("the file {}", file.display())))?
        }
        None if terminal => typed(prompt)?,
        _ => {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map_err(Failure::io("standard input"))?;
            line
        }
    };
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Reads a line that the terminal does not show.
fn typed(prompt: &str) -> Result<String, Failure> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let failed = |e: rustix::io::Errno| Failure::io("the terminal")(e.into());
    let stdin = std::io::stdin();
    eprint!("{prompt}");
    let shown = tcgetattr(&stdin).map_err(failed)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(failed)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    let restored = tcsetattr(&stdin, OptionalActions::Flush, &shown);
    eprintln!();
    read.map_err(Failure::io("standard input"))?;
    restored.map_err(failed)?;
    Ok(line)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_a_clear_yes_agrees() {
        assert!(["y\n", "Yes\r\n", " YES "].into_iter().all(is_yes));
        assert!(!["", "\n", "n\n", "yes please\n", "ja\n"].into_iter().any(is_yes));
    }
}
