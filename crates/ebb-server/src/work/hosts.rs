//! How is a connection to a host kept? One task per host: connects, takes it up, sends orders, hears what it saw.

use crate::app::App;
use crate::denied::Denied;
use crate::host::{Ask, Greeted, Link, OBSERVED_AT_ONCE, forgotten};
use ebb_driver::link;
use ebb_driver::protocol::{FromHost, Hello, ObservedGuest, ToHost};
use ebb_model::id::HostId;
use ebb_model::time::Timestamp;
use ebb_store::failpoint;
use futures_util::FutureExt;
use futures_util::future::try_join_all;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Notify, mpsc, oneshot};

const PING_EVERY: Duration = Duration::from_millis(500);
/// How often orders are looked for though nobody said that there are any.
const NET: Duration = Duration::from_secs(10);
/// So often it is written down until when a host was heard: should this process end, too, that is what a lost host is charged to.
const WRITE_EVERY_MILLIS: i64 = 30_000;
/// A host that says nothing for so long is connected to anew.
const SILENCE: Duration = Duration::from_secs(15);

/// Keeps a connection to the host behind `socket`, for ever. What one connection missed the next one's hello repeats.
pub async fn keep_host(app: App, socket: PathBuf) {
    let mut pause = Duration::from_millis(50);
    loop {
        let started = tokio::time::Instant::now();
        match AssertUnwindSafe(talk(&app, &socket)).catch_unwind().await {
            Ok(Ok(())) => tracing::info!(socket = %socket.display(), "the host ended the connection"),
            Ok(Err(error)) => tracing::warn!(socket = %socket.display(), %error, "no connection to the host"),
            Err(_) => app.metrics.panicked(),
        }
        app.metrics.retried("host");
        let went_well = started.elapsed() > Duration::from_secs(10);
        pause = if went_well { Duration::from_millis(50) } else { (pause * 2).min(Duration::from_secs(2)) };
        tokio::time::sleep(pause).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Denied(#[from] Denied),
    #[error("{0}")]
    Store(#[from] ebb_store::StoreError),
    #[error("it did not begin with hello")]
    NoHello,
    #[error("it was silent for too long")]
    Silent,
}

/// Forgets the link when the connection ends, however it ends.
struct Registered<'a> {
    app: &'a App,
    greeted: Greeted,
}

impl Registered<'_> {
    fn heard_at(&self) -> Option<Timestamp> {
        let links = self.app.hosts.links.lock().expect("no panic while holding links");
        links.get(&self.greeted.id).map(|link| link.heard_at).filter(|at| at.micros() > 0)
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.app.hosts.links.lock().expect("no panic while holding links").remove(&self.greeted.id);
        self.app.metrics.hosts_connected.dec();
    }
}

async fn talk(app: &App, socket: &Path) -> Result<(), Broken> {
    let (mut incoming, mut out) = link::control(socket, app.installation.id).await?;
    let first = tokio::time::timeout(SILENCE, incoming.next()).await.map_err(|_| Broken::Silent)?;
    let Some(FromHost::Hello(hello)) = first? else { return Err(Broken::NoHello) };
    tracing::info!(host = hello.host, zone = hello.zone, driver = hello.driver, "a host says hello");
    let greeted = app.greet(Hello::clone(&hello)).await?;
    link::send(&mut out, &ToHost::Welcome(greeted.position)).await?;
    for forget in forgotten(&hello) {
        send_forget(&mut out, &forget).await?;
    }

    // Reading a line must not be cut off half way, so it has a task of its own.
    let (heard, mut messages) = mpsc::channel(256);
    let reader = tokio::spawn(async move {
        while let Ok(Some(message)) = incoming.next::<FromHost>().await {
            if heard.send(message).await.is_err() {
                break;
            }
        }
    });
    let (say, mut asks) = mpsc::unbounded_channel();
    let wake = Arc::new(Notify::new());
    let registered = register(app, socket, greeted, &hello, say, wake.clone());
    app.tell_peers(Some(greeted.id)).await?;
    let talked = converse(app, greeted, &mut out, &mut messages, &mut asks, &wake).await;
    reader.abort();
    // Over a gap nothing was heard of what was lost, and since when must not be forgotten.
    if let Some(heard_at) = registered.heard_at().filter(|_| !greeted.gap) {
        app.part(greeted.id, heard_at).await?;
    }
    talked
}

async fn send_forget(out: &mut OwnedWriteHalf, forget: &ToHost) -> io::Result<()> {
    failpoint("effect.forget.before");
    link::send(out, forget).await?;
    failpoint("effect.forget.after");
    Ok(())
}

fn register<'a>(
    app: &'a App,
    socket: &Path,
    greeted: Greeted,
    hello: &Hello,
    say: mpsc::UnboundedSender<Ask>,
    wake: Arc<Notify>,
) -> Registered<'a> {
    let link = Link {
        greeted,
        guests: hello.guests.iter().map(|guest| guest.id).collect(),
        volumes: hello.volumes.iter().map(|volume| volume.id).collect(),
        socket: socket.to_owned(),
        say,
        wake,
        keeps_volumes: hello.features.volumes,
        heard_at: Timestamp::from_micros(0),
    };
    app.hosts.links.lock().expect("no panic while holding links").insert(greeted.id, link);
    app.metrics.hosts_connected.inc();
    Registered { app, greeted }
}

async fn converse(
    app: &App,
    greeted: Greeted,
    out: &mut OwnedWriteHalf,
    messages: &mut mpsc::Receiver<FromHost>,
    asks: &mut mpsc::UnboundedReceiver<Ask>,
    wake: &Notify,
) -> Result<(), Broken> {
    let mut net = tokio::time::interval(NET);
    let mut behind = true;
    let mut ping = tokio::time::interval(PING_EVERY);
    let mut sent = greeted.sent;
    let mut gap = greeted.gap;
    let mut pinged: VecDeque<Timestamp> = VecDeque::new();
    let mut consoles: BTreeMap<u64, oneshot::Sender<Result<String, String>>> = BTreeMap::new();
    let mut requests = 0;
    let mut heard_at = app.clock.now();
    let mut written_at = heard_at;
    let mut last_heard = tokio::time::Instant::now();
    loop {
        while let Some(order) = if gap || !behind { None } else { app.orders(greeted.id, sent).await? } {
            let ToHost::Desire { sequence, .. } = order else { unreachable!("orders are desires") };
            failpoint("effect.order.before");
            link::send(out, &order).await?;
            failpoint("effect.order.after");
            sent = sequence;
        }
        behind = false;
        tokio::select! {
            message = messages.recv() => {
                last_heard = tokio::time::Instant::now();
                let Some(first) = message else { return Ok(()) };
                let mut seen = vec![];
                for message in std::iter::once(first).chain(std::iter::from_fn(|| messages.try_recv().ok())) {
                    match message {
                        FromHost::Observed(observed) => {
                            // What was seen of one guest is written down in its order.
                            if seen.iter().any(|other: &ObservedGuest| other.id == observed.id) {
                                observe_all(app, greeted.id, std::mem::take(&mut seen), out).await?;
                            }
                            seen.push(observed);
                        }
                        FromHost::Pong => {
                            // It says that everything before it was heard.
                            observe_all(app, greeted.id, std::mem::take(&mut seen), out).await?;
                            if let (Some(at), Some(link)) = (
                                pinged.pop_front(),
                                app.hosts.links.lock().expect("no panic while holding links").get_mut(&greeted.id),
                            ) {
                                link.heard_at = at;
                                heard_at = at;
                            }
                            if !greeted.gap && heard_at.millis_since(written_at) > WRITE_EVERY_MILLIS {
                                app.part(greeted.id, heard_at).await?;
                                written_at = heard_at;
                            }
                        }
                        FromHost::Read(reading) => {
                            observe_all(app, greeted.id, std::mem::take(&mut seen), out).await?;
                            app.read_counter(greeted.id, reading).await?;
                        }
                        FromHost::ObservedVolume(_) => {
                            observe_all(app, greeted.id, std::mem::take(&mut seen), out).await?;
                            failpoint("effect.observe.before");
                            if let Some(reply) = app.hear(greeted.id, message).await? {
                                send_forget(out, &reply).await?;
                            }
                        }
                        FromHost::WantedBack { wanted } => app.signal(greeted.id, wanted).await?,
                        FromHost::ConsoleLog { request, text, error } => {
                            if let Some(answer) = consoles.remove(&request) {
                                let _ = answer.send(error.map_or(Ok(text), Err));
                            }
                        }
                        FromHost::Hello(_) | FromHost::Accepted { .. } => {}
                    }
                    if seen.len() >= OBSERVED_AT_ONCE {
                        observe_all(app, greeted.id, std::mem::take(&mut seen), out).await?;
                    }
                }
                observe_all(app, greeted.id, seen, out).await?;
            }
            ask = asks.recv() => match ask {
                None => return Ok(()),
                Some(Ask::Say(message)) => {
                    gap &= !matches!(message, ToHost::AcceptGap(_));
                    if let ToHost::AcceptGap(position) = message {
                        sent = position.sequence;
                        behind = true;
                    }
                    failpoint("effect.say.before");
                    link::send(out, &message).await?;
                    failpoint("effect.say.after");
                }
                Some(Ask::Console { guest, bytes, answer }) => {
                    requests += 1;
                    consoles.retain(|_, waiting| !waiting.is_closed());
                    consoles.insert(requests, answer);
                    link::send(out, &ToHost::ReadConsole { request: requests, guest, bytes }).await?;
                }
            },
            () = wake.notified() => behind = true,
            _ = net.tick() => behind = true,
            _ = ping.tick() => {
                if last_heard.elapsed() > SILENCE {
                    return Err(Broken::Silent);
                }
                pinged.push_back(app.clock.now());
                link::send(out, &ToHost::Ping).await?;
            }
        }
    }
}

/// Writes down what was seen of different guests, in as few commits as the store can.
async fn observe_all(
    app: &App,
    from: HostId,
    seen: Vec<ObservedGuest>,
    out: &mut OwnedWriteHalf,
) -> Result<(), Broken> {
    if seen.is_empty() {
        return Ok(());
    }
    failpoint("effect.observe.before");
    for reply in try_join_all(seen.into_iter().map(|observed| app.hear(from, FromHost::Observed(observed)))).await? {
        let Some(reply) = reply else { continue };
        send_forget(out, &reply).await?;
    }
    Ok(())
}
