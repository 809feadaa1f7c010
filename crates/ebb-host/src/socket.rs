//! Who calls at the host's socket, and does it obey them?
//!
//! The first server that opens a control connection is the host's; the socket turns every other installation away. Of control
//! connections the newest counts.

use crate::config::Access;
use crate::error::HostError;
use crate::files::{Belonging, Files};
use ebb_driver::link::{self, Incoming};
use ebb_driver::protocol::{FromHost, Open, StreamAnswer, Target, ToHost, Way};
use ebb_model::id::InstanceId;
use ebb_model::volume::VolumeId;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};
use uuid::Uuid;

const OPENING_BYTES: usize = 4096;
const OPENING_PATIENCE: Duration = Duration::from_secs(10);
/// What may wait for a server that does not read; beyond that it is cut off, and hears everything anew when it comes back.
const UNREAD: usize = 65_536;

/// What the owner of the host hears from the socket.
#[derive(Debug)]
pub enum Call {
    /// A server is there; it is spoken to through `say` until that is dropped. Calls of one connection bear its number.
    Control {
        number: u64,
        say: mpsc::Sender<FromHost>,
    },
    Message {
        number: u64,
        message: ToHost,
    },
    Ended {
        number: u64,
    },
    /// Somebody wants to be joined to a guest; to be answered with [`answer`].
    Stream {
        guest: InstanceId,
        target: Target,
        client: UnixStream,
    },
    /// Somebody brings the bytes of an image, or wants them; answered likewise.
    Bytes {
        volume: VolumeId,
        way: Way,
        client: UnixStream,
    },
}

/// Opens the socket, in the place of one that nobody answers any more.
pub fn bind(path: &Path, access: Access) -> Result<UnixListener, HostError> {
    let failed = |source| HostError::Socket { path: path.to_owned(), source };
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(HostError::SocketInUse(path.to_owned()));
    }
    // What else lies there is somebody's, and this is root.
    match path.symlink_metadata() {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "it is there and no socket")));
        }
        _ => {}
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    if access != Access::default() {
        chown(path, access.uid, access.gid).map_err(failed)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// The installation that this host obeys.
#[derive(Debug, Clone)]
pub struct Door {
    files: Arc<Files>,
    belonging: Arc<Mutex<Belonging>>,
}

impl Door {
    pub fn new(files: Arc<Files>, socket: &Path) -> Result<Self, HostError> {
        let socket =
            std::path::absolute(socket).map_err(HostError::data("the path of the socket cannot be followed"))?;
        let belonging = Belonging { socket: Some(socket), ..files.belonging()? };
        files.belong(&belonging).map_err(HostError::data("host.json cannot be written"))?;
        Ok(Self { files, belonging: Arc::new(Mutex::new(belonging)) })
    }

    /// Whether `installation` is obeyed; if not, why not.
    fn admits(&self, installation: Uuid, first_contact: FirstContact) -> Result<(), String> {
        let mut belonging = self.belonging.lock().unwrap_or_else(|e| e.into_inner());
        match (belonging.installation, first_contact) {
            (Some(ours), _) if ours == installation => Ok(()),
            (Some(ours), _) => Err(format!(
                "this host belongs to installation {ours}, not to {installation}; to lend it to another one, \
                 take its guests off it and give it a fresh data directory"
            )),
            (None, FirstContact::Binds) => {
                let bound = Belonging { installation: Some(installation), ..belonging.clone() };
                self.files.belong(&bound).map_err(|e| format!("the host cannot write down whom it obeys: {e}"))?;
                info!("this host belongs to installation {installation} from now on");
                *belonging = bound;
                Ok(())
            }
            (None, FirstContact::Refused) => Err("no server has taken this host into its installation yet".to_owned()),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum FirstContact {
    Binds,
    Refused,
}

/// Listens until it is dropped.
pub async fn serve(listener: UnixListener, door: Door, calls: mpsc::Sender<Call>) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let (door, calls) = (door.clone(), calls.clone());
                connections.spawn(async move {
                    match receive(stream, number, &door, &calls).await {
                        // Somebody looked whether we are there, or went without a word.
                        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {}
                        Err(e) => warn!("a connection to the host's socket ended: {e}"),
                        Ok(()) => {}
                    }
                });
            }
            Err(e) => {
                warn!("a connection to the host's socket was lost: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The host's one line on a stream connection.
pub async fn answer(client: &mut UnixStream, error: Option<String>) -> io::Result<()> {
    link::send(client, &StreamAnswer { error }).await
}

async fn receive(mut stream: UnixStream, number: u64, door: &Door, calls: &mpsc::Sender<Call>) -> io::Result<()> {
    let opening = tokio::time::timeout(OPENING_PATIENCE, opening(&mut stream)).await??;
    let (installation, first_contact) = match &opening {
        Open::Control { installation } => (*installation, FirstContact::Binds),
        Open::Stream { installation, .. } | Open::Bytes { installation, .. } => (*installation, FirstContact::Refused),
    };
    if let Err(why) = door.admits(installation, first_contact) {
        warn!("a caller was turned away: {why}");
        return answer(&mut stream, Some(why)).await;
    }
    match opening {
        Open::Control { .. } => control(stream, number, calls).await,
        Open::Stream { guest, target, .. } => {
            let _ = calls.send(Call::Stream { guest, target, client: stream }).await;
            Ok(())
        }
        Open::Bytes { volume, way, .. } => {
            let _ = calls.send(Call::Bytes { volume, way, client: stream }).await;
            Ok(())
        }
    }
}

/// Byte by byte: what follows the line belongs to the stream.
async fn opening(stream: &mut UnixStream) -> io::Result<Open> {
    let mut line = vec![];
    while line.len() < OPENING_BYTES {
        match stream.read_u8().await? {
            b'\n' => return Ok(serde_json::from_slice(&line)?),
            byte => line.push(byte),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "its first line is too long"))
}

async fn control(stream: UnixStream, number: u64, calls: &mpsc::Sender<Call>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let (say, mut said) = mpsc::channel(UNREAD);
    if calls.send(Call::Control { number, say }).await.is_err() {
        return Ok(());
    }
    let hearing = async {
        let mut incoming = Incoming::new(read);
        while let Some(message) = incoming.next().await? {
            if calls.send(Call::Message { number, message }).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let speaking = async {
        while let Some(message) = said.recv().await {
            link::send(&mut write, &message).await?;
        }
        Ok(())
    };
    let ended = tokio::select! { ended = hearing => ended, ended = speaking => ended };
    let _ = calls.send(Call::Ended { number }).await;
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_socket_gives_way_to_a_socket() {
        let dir = std::env::temp_dir().join(format!("ebb-socket-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("file");
        std::fs::write(&file, "somebody's").unwrap();
        assert!(matches!(bind(&file, Access::default()), Err(HostError::Socket { .. })));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "somebody's");
        let socket = dir.join("socket");
        drop(bind(&socket, Access::default()).unwrap());
        let listener = bind(&socket, Access::default()).unwrap();
        assert!(matches!(bind(&socket, Access::default()), Err(HostError::SocketInUse(_))));
        drop(listener);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
