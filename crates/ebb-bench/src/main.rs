//! `make bench`: how fast is Ebb, beside what in the same minute on the same machine? Nothing here passes or fails.
#![allow(clippy::float_arithmetic, reason = "figures that people compare, never money")]

mod advance;
mod bare;
mod closing;
mod cloud;
mod deadlines;
mod fleet;
mod guests;
mod http;
mod line;
mod load;
mod memory;
mod persons;
mod process;
mod rating;
mod release;
mod rows;
mod sleepers;
mod ssh;
mod stage;
mod table;

use anyhow::{Result, anyhow, bail};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

const PARTS: [&str; 10] =
    ["http", "advance", "memory", "rating", "fleet", "persons", "deadlines", "closing", "release", "ssh"];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    // What was started is ended by its owner's drop, so an interruption must unwind too.
    let ended = tokio::select! {
        ended = run(&asked) => ended,
        () = interrupted() => Err(anyhow!("interrupted; what was started is ended")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ebb-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(asked: &[String]) -> Result<()> {
    if let [word, dir] = asked
        && word == rating::WORD
    {
        return rating::rate_day(dir);
    }
    let (options, asked): (Vec<String>, Vec<String>) = asked.iter().cloned().partition(|word| word.starts_with("--"));
    let size = closing::Wanted::of(&options)?;
    if let Some(unknown) = asked.iter().find(|name| !PARTS.contains(&name.as_str())) {
        bail!("there is no part `{unknown}`; the parts are {}", PARTS.join(", "));
    }
    println!("{}\n", process::machine());
    for part in PARTS.into_iter().filter(|part| asked.is_empty() || asked.iter().any(|name| name == part)) {
        match part {
            "http" => http::run().await?,
            "advance" => advance::run().await?,
            "memory" => memory::run().await?,
            "rating" => rating::run()?,
            "deadlines" => deadlines::run().await?,
            "closing" => closing::run(&size).await?,
            "fleet" => fleet::run().await?,
            "persons" => persons::run().await?,
            "release" => release::run().await?,
            _ => ssh::run().await?,
        }
    }
    Ok(())
}

async fn interrupted() {
    let mut interrupt = signal(SignalKind::interrupt()).expect("a signal handler");
    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
