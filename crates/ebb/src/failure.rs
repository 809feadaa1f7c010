//! Why did a command fail, how is that said, and with which exit code?

use crate::table::plain_lines;
use ebb_wire::problem::Problem;
use std::process::ExitCode;

/// What stands between a command and its success; a variant per thing the caller may do differently.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command itself cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// The server understood and refused; its sentence names the rule and the way out.
    #[error("{}", .0.message)]
    Refused(Problem),
    #[error("no server answers at {endpoint} ({cause}); is it running, and is the address right?")]
    Unreachable { endpoint: String, cause: String },
    #[error("{url} answered {status}, but not as an Ebb server would; is the address right?")]
    NotEbb { url: String, status: u16 },
    #[error("{what}: {cause}")]
    Io { what: String, cause: std::io::Error },
    /// It was done, and did not come out as it was wanted.
    #[error("{0}")]
    Outcome(String),
}

impl Failure {
    /// Attaches what was attempted to an error of the operating system.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Failure {
        let what = what.into();
        move |cause| Failure::Io { what, cause }
    }

    /// 2: the command line is wrong; 1: everything else.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Usage(_) => ExitCode::from(2),
            _ => ExitCode::from(1),
        }
    }

    /// The sentence for people, or with `--json` the problem for programs; on standard error either way.
    pub fn text(&self, json: bool) -> String {
        match self {
            Failure::Refused(problem) if json => serde_json::to_string(problem).expect("a problem is JSON"),
            _ if json => serde_json::json!({"code": self.code(), "message": self.to_string()}).to_string(),
            Failure::Refused(problem) => plain_lines(&format!(
                "ebb: {}\n     ({}, request {})",
                problem.message, problem.code, problem.request_id
            )),
            _ => plain_lines(&format!("ebb: {self}")),
        }
    }

    fn code(&self) -> &str {
        match self {
            Failure::Usage(_) => "usage",
            Failure::Refused(problem) => &problem.code,
            Failure::Unreachable { .. } => "unreachable",
            Failure::NotEbb { .. } => "not-ebb",
            Failure::Io { .. } => "io",
            Failure::Outcome(_) => "outcome",
        }
    }
}
