//! Does whoever sits at the terminal agree?

use crate::failure::Failure;
use std::io::{BufRead, IsTerminal, Write};

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
