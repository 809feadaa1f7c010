//! Why can a host not start, and what is to be done about it?

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("real guests need root: run `ebb host` as root, or choose the fake driver")]
    NotRoot,
    #[error("`{program}` is not installed, or not in PATH: apt-get install {package}")]
    Missing { program: &'static str, package: &'static str },
    #[error("another host runs in {0}: stop it first, or give this one a data directory of its own")]
    InUse(PathBuf),
    #[error("{0} is answered by another program: stop that one, or choose another socket")]
    SocketInUse(PathBuf),
    #[error("the socket {path} cannot be opened: {source}")]
    Socket { path: PathBuf, source: io::Error },
    #[error("{doing} in the data directory: {source}{}", way_out(.source))]
    Data { doing: String, source: io::Error },
    #[error(
        "`{path}` is not what this host wrote: {why}; restore it, or move it away and let the operator take up the guests"
    )]
    Damaged { path: PathBuf, why: String },
    #[error("the host's network is not configured right: {0}")]
    NetworkConfig(String),
    #[error(
        "the guests' network cannot be set up: {0} (in a container the host needs CAP_NET_ADMIN and CAP_SYS_ADMIN)"
    )]
    Network(String),
}

/// What a person can do about a file that could not be written.
fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => " (free some room on its file system)",
        io::ErrorKind::PermissionDenied => " (it must belong to the user that runs the host)",
        io::ErrorKind::ReadOnlyFilesystem => " (it lies on a file system that is mounted read-only)",
        _ => "",
    }
}

impl HostError {
    pub(crate) fn data(doing: impl Into<String>) -> impl FnOnce(io::Error) -> HostError {
        let doing = doing.into();
        move |source| HostError::Data { doing, source }
    }
}
