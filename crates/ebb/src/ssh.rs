//! `ebb ssh`: how does the system's ssh reach a guest without an address of its own? Through a tunnel over the API.

use crate::failure::Failure;
use crate::profile;
use crate::session::Session;
use crate::which;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// What is passed on to ssh.
#[derive(Debug, clap::Args)]
pub struct SshArgs {
    /// Id, start of an id, or name
    id: String,
    /// Log in as
    #[arg(long, short = 'l', default_value = "root")]
    user: String,
    /// The private half of the instance's key pair
    #[arg(long, short = 'i', value_name = "FILE")]
    identity: Option<PathBuf>,
    /// What ssh gets besides: options, a command
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Becomes ssh; its exit code is the command's.
pub async fn ssh(session: &Session, args: &SshArgs) -> Result<(), Failure> {
    let id = which::instance(&session.client, &args.id).await?;
    let own = std::env::current_exe().map_err(Failure::io("the path of this program"))?;
    let login = session.client.login();
    let known_hosts = known_hosts()?;

    let mut ssh = Command::new("ssh");
    // The key goes by the environment: others can read a command line.
    ssh.env("EBB_ENDPOINT", &login.endpoint).env("EBB_KEY", &login.key);
    ssh.arg("-o").arg(format!("ProxyCommand={} tunnel {id}", quoted(&own.to_string_lossy())));
    // An id is never used twice, so a host key that changes under it is a reason to stop.
    ssh.arg("-o").arg(format!("HostKeyAlias={id}"));
    ssh.arg("-o").arg(format!("UserKnownHostsFile={}", quoted(&known_hosts.to_string_lossy())));
    ssh.arg("-o").arg("StrictHostKeyChecking=accept-new");
    if let Some(identity) = &args.identity {
        ssh.arg("-i").arg(identity).arg("-o").arg("IdentitiesOnly=yes");
    }
    let (options, command) = split(&args.args);
    ssh.args(options).arg("-l").arg(&args.user).arg(&id).args(command);
    Err(Failure::io("the program `ssh` (it must be installed)")(ssh.exec()))
}

/// ssh wants options before the host and the command behind it.
fn split(args: &[String]) -> (&[String], &[String]) {
    const WITH_VALUE: &str = "BbcDEeFIiJLlmOopQRSWw";
    let mut at = 0;
    while let Some(option) = args.get(at).and_then(|arg| arg.strip_prefix('-')) {
        let takes_next = option.len() == 1 && WITH_VALUE.contains(option);
        at += if takes_next { 2 } else { 1 };
    }
    args.split_at(at.min(args.len()))
}

/// Host keys of guests, apart from the user's own list.
fn known_hosts() -> Result<PathBuf, Failure> {
    let folder = profile::file().parent().map(PathBuf::from).unwrap_or_default();
    std::fs::create_dir_all(&folder).map_err(Failure::io(format!("the folder {}", folder.display())))?;
    Ok(folder.join("known_hosts"))
}

fn quoted(path: &str) -> String {
    // ssh expands `%` itself and gives the rest to a shell.
    format!("\"{}\"", path.replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn options_go_before_the_host_and_the_command_behind_it() {
        let args = ["-v", "-L", "8080:localhost:80", "uptime", "-p"].map(str::to_owned);
        let (options, command) = split(&args);
        assert_eq!((options.join(" "), command.join(" ")), ("-v -L 8080:localhost:80".into(), "uptime -p".into()));
    }
}
