//! Who may look at a guest's console or reach its ports? The server, through the socket; nobody else gets in.

use super::{Handle, Host};
use crate::network::Network;
use crate::socket;
use ebb_driver::protocol::{FromHost, Is, Target};
use ebb_model::id::InstanceId;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::{TcpSocket, UnixStream};
use tokio::task::spawn_blocking;

/// How long a guest's port may take to answer.
const PORT_PATIENCE: Duration = Duration::from_secs(5);

impl Host {
    pub(super) fn join(&mut self, id: InstanceId, target: Target, mut client: UnixStream) {
        let running = self.agent.guest(id).is_some_and(|g| matches!(g.observed.is, Is::Running { .. }));
        let handle = self.machines.get(&id);
        match (target, handle.filter(|_| running)) {
            (Target::Console, Some(handle)) => {
                let console = handle.console.clone();
                self.streams.spawn(async move {
                    if socket::answer(&mut client, None).await.is_ok() {
                        let _ = console.attend(client).await;
                    }
                });
            }
            (Target::Port(port), Some(Handle { port: Some(place), .. })) => {
                let (network, to) = (self.shop.network.clone(), (place.address(), port));
                self.streams.spawn(async move { join_port(network, to, client).await });
            }
            _ => {
                let why = match handle {
                    Some(_) => format!("{id} is not running: start it first"),
                    None => format!("this host has no guest {id}"),
                };
                self.streams.spawn(async move { drop(socket::answer(&mut client, Some(why)).await) });
            }
        }
    }

    /// Answers with the end of a console's log.
    pub(super) fn read_console(&self, request: u64, id: InstanceId, bytes: u32) {
        let Some(control) = &self.control else { return };
        let (say, console) = (control.say.clone(), self.machines.get(&id).map(|handle| handle.console.clone()));
        tokio::spawn(async move {
            let read = match console {
                Some(console) => spawn_blocking(move || console.tail(bytes)).await.map_err(|e| e.to_string()),
                None => Err(format!("this host has no guest {id}")),
            };
            let (text, error) = match read.and_then(|read| read.map_err(|e| e.to_string())) {
                Ok(text) => (text, None),
                Err(why) => (String::new(), Some(why)),
            };
            let _ = say.send(FromHost::ConsoleLog { request, text, error }).await;
        });
    }
}

/// Joins a client to a TCP port of a guest.
async fn join_port(network: Network, to: (Ipv4Addr, u16), mut client: UnixStream) {
    let connect = async {
        let socket = TcpSocket::from_std_stream(network.socket().await?);
        socket.connect(to.into()).await
    };
    let connected = tokio::time::timeout(PORT_PATIENCE, connect).await.unwrap_or_else(|late| Err(late.into()));
    match connected {
        Ok(mut guest) => {
            if socket::answer(&mut client, None).await.is_ok() {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut guest).await;
            }
        }
        Err(e) => {
            let why = format!("port {} of the guest does not answer: {e}", to.1);
            let _ = socket::answer(&mut client, Some(why)).await;
        }
    }
}
