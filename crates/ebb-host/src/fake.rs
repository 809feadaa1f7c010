//! How does a host run whose guests are made of nothing? Behind the same socket, and written down after each change, so that its
//! guests survive a restart like real ones.

use crate::clock::Clock;
use crate::config::HostConfig;
use crate::error::HostError;
use crate::files::{self, Files};
use crate::socket::{self, Call, Door};
use crate::{capacity, timer};
use ebb_driver::fake::{Behaviour, FakeHost};
use ebb_driver::protocol::FromHost;
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::error;

pub async fn run(config: HostConfig, behaviour: Behaviour, files: Arc<Files>) -> Result<(), HostError> {
    let clock = Clock::default();
    let file = files.root().join("fake.json");
    let capacity = config.capacity.unwrap_or_else(|| capacity::of_this_machine(files.root()));
    let mut host = match files::read::<FakeHost>(&file)? {
        Some(mut earlier) => {
            (earlier.name, earlier.zone) = (config.name, config.zone);
            (earlier.capacity, earlier.behaviour) = (capacity, behaviour);
            earlier
        }
        None => FakeHost::new(&config.name, &config.zone, capacity, behaviour),
    };
    let door = Door::new(files, &config.socket)?;
    let listener = socket::bind(&config.socket, config.access)?;
    let (calls, mut called) = mpsc::channel(1024);
    let serving = socket::serve(listener, door, calls);
    tokio::pin!(serving);

    let mut control: Option<(u64, mpsc::Sender<FromHost>)> = None;
    let mut written = host.clone();
    loop {
        let said = tokio::select! {
            () = &mut serving => return Ok(()),
            () = timer::until(&clock, host.next_due()) => host.step(clock.now()),
            Some(call) = called.recv() => match call {
                Call::Control { number, say } => {
                    control = Some((number, say));
                    vec![FromHost::Hello(host.hello())]
                }
                Call::Message { number, message } if control.as_ref().is_some_and(|(n, _)| *n == number) => {
                    host.hear(message, clock.now())
                }
                Call::Message { .. } => vec![],
                Call::Ended { number } => {
                    control.take_if(|(n, _)| *n == number);
                    vec![]
                }
                Call::Stream { mut client, .. } => {
                    let why = "this host's guests are made of nothing: they have neither console nor ports".to_owned();
                    let _ = socket::answer(&mut client, Some(why)).await;
                    vec![]
                }
            },
        };
        // Before a word about it is said.
        if host != written {
            match files::write(&file, &files::json(&host)) {
                Ok(()) => written = host.clone(),
                Err(e) => error!("{} cannot be written: {e}", file.display()),
            }
        }
        if let Some((_, say)) = &control
            && said.into_iter().any(|message| say.try_send(message).is_err())
        {
            control = None;
        }
    }
}
