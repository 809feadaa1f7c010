//! How does a host run whose guests are made of nothing? Behind the same socket, and written down before a word is said about it,
//! so that its guests survive a restart like real ones.

use crate::config::HostConfig;
use crate::error::HostError;
use crate::files::{self, Files};
use crate::signal::Signal;
use crate::socket::{self, Call, Door};
use crate::{capacity, timer};
use ebb_driver::fake::{Behaviour, FakeHost, Stamps};
use ebb_driver::protocol::{FromHost, ToHost};
use ebb_driver::wall::Wall;
use ebb_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::error;

/// Calls that share one write to the disk.
const BATCH: usize = 256;

pub async fn run(config: HostConfig, behaviour: Behaviour, files: Arc<Files>) -> Result<(), HostError> {
    let clock = Wall::default();
    let behaviour = Behaviour { stamps: Stamps::Clock, ..behaviour };
    let capacity = config.capacity.unwrap_or_else(|| capacity::of_this_machine(files.root()));
    // It needs none; told of some, it has no others.
    let images = (!config.images.is_empty()).then(|| config.images.keys().cloned().collect());
    let fresh = FakeHost::new(&config.name, &config.zone, capacity.clone(), behaviour);
    let (mut host, mut diary) = Diary::open(files.root(), fresh, |host| {
        (host.name, host.zone) = (config.name.clone(), config.zone.clone());
        (host.capacity, host.behaviour) = (capacity.clone(), behaviour);
        host.images.clone_from(&images);
    })?;
    let door = Door::new(files, &config.socket)?;
    let listener = socket::bind(&config.socket, config.access)?;
    let (calls, mut called) = mpsc::channel(1024);
    let serving = socket::serve(listener, door, calls);
    tokio::pin!(serving);

    let mut signal = Signal::new(config.return_file);
    host.wanted_back = signal.wanted();
    let mut control: Option<(u64, mpsc::Sender<FromHost>)> = None;
    loop {
        let mut said = vec![];
        let first = tokio::select! {
            () = &mut serving => return Ok(()),
            () = timer::until(&clock, host.next_due()) => None,
            Some(call) = called.recv() => Some(call),
            wanted = signal.changed() => {
                host.wanted_back = wanted;
                said.push(FromHost::WantedBack { wanted: host.wanted_back });
                None
            }
        };
        let more = std::iter::from_fn(|| called.try_recv().ok()).take(BATCH);
        for call in first.into_iter().chain(more) {
            match call {
                Call::Control { number, say } => {
                    control = Some((number, say));
                    said.push(FromHost::Hello(Box::new(host.hello())));
                }
                Call::Message { number, message } if control.as_ref().is_some_and(|(n, _)| *n == number) => {
                    said.extend(diary.live(&mut host, clock.now(), Some(message)));
                }
                Call::Message { .. } => {}
                Call::Ended { number } => {
                    control.take_if(|(n, _)| *n == number);
                }
                Call::Bytes { mut client, volume, .. } => {
                    let _ = socket::answer(&mut client, Some(format!("this host has no place for {volume}"))).await;
                }
                Call::Stream { mut client, .. } => {
                    let why = "this host's guests are made of nothing: they have neither console nor ports".to_owned();
                    let _ = socket::answer(&mut client, Some(why)).await;
                }
            }
        }
        let now = clock.now();
        if host.next_due().is_some_and(|due| due <= now) {
            said.extend(diary.live(&mut host, now, None));
        }
        // Before a word about it is said.
        if let Err(e) = diary.settle() {
            error!("{} cannot be written: {e}", diary.path.display());
        }
        if let Some((_, say)) = &control
            && said.into_iter().any(|message| say.try_send(message).is_err())
        {
            control = None;
        }
    }
}

/// What the host was at the last start, and everything that has happened to it since: that is enough to live it again, and costs
/// the same however many guests there are.
struct Diary {
    file: File,
    path: PathBuf,
    unwritten: Vec<u8>,
}

/// The host as it was when this log of it was begun.
#[derive(Serialize, Deserialize)]
struct Kept {
    log: u64,
    host: FakeHost,
}

/// A line of a log: something that was heard, or time that passed.
#[derive(Serialize, Deserialize)]
struct Moment {
    now: Timestamp,
    heard: Option<ToHost>,
}

impl Moment {
    fn happens_to(self, host: &mut FakeHost) -> Vec<FromHost> {
        match self.heard {
            Some(message) => host.hear(message, self.now),
            None => host.step(self.now),
        }
    }
}

impl Diary {
    /// The host as it was, then changed by `renew`; `fresh` without a past.
    fn open(root: &Path, fresh: FakeHost, renew: impl Fn(&mut FakeHost)) -> Result<(FakeHost, Self), HostError> {
        let snapshot = root.join("fake.json");
        let log = |number: u64| root.join(format!("fake.{number}.log"));
        let mut kept = files::read::<Kept>(&snapshot)?.unwrap_or(Kept { log: 0, host: fresh });
        let past = std::fs::read_to_string(log(kept.log)).unwrap_or_default();
        // The last line may be half written: then nothing was said about it, and it is as if it had never happened.
        for moment in past.lines().map_while(|line| serde_json::from_str::<Moment>(line).ok()) {
            moment.happens_to(&mut kept.host);
        }
        renew(&mut kept.host);
        kept.log += 1;
        let path = log(kept.log);
        let failed = |path: &Path| HostError::data(format!("{} cannot be written", path.display()));
        // An empty log first: the snapshot that names it ends the past's turn, all at once.
        let file = File::create(&path).map_err(failed(&path))?;
        files::write(&snapshot, &files::json(&kept)).map_err(failed(&snapshot))?;
        let _ = std::fs::remove_file(log(kept.log - 1));
        Ok((kept.host, Self { file, path, unwritten: vec![] }))
    }

    /// Lets something happen to the host, and notes it.
    fn live(&mut self, host: &mut FakeHost, now: Timestamp, heard: Option<ToHost>) -> Vec<FromHost> {
        let moment = Moment { now, heard };
        if !matches!(moment.heard, Some(ToHost::Ping | ToHost::ReadConsole { .. })) {
            serde_json::to_writer(&mut self.unwritten, &moment).expect("plain values");
            self.unwritten.push(b'\n');
        }
        moment.happens_to(host)
    }

    /// Makes what was noted durable.
    fn settle(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.unwritten);
        self.unwritten.clear();
        written.and_then(|()| self.file.sync_data())
    }
}
