//! `ebb demo`: does a running service do what is promised? The six bill samples, or random lives, played over its API.

mod dice;
mod dump;
mod lives;
mod samples;
mod stage;

use crate::audit;
use crate::failure::Failure;
use crate::profile::Global;
use crate::session::print;
use stage::Stage;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// What the guests are made of
    #[arg(long, value_enum, default_value_t = Driver::Fake)]
    driver: Driver,
    /// Play so many random purchases instead, and dump all they left behind for tests/bill_oracle.py
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    lives: Option<u32>,
    /// The same seed plays the same lives
    #[arg(long, value_name = "N", default_value_t = 1, requires = "lives")]
    seed: u64,
    /// Where the dump goes; with --json and without this, to standard output
    #[arg(long, value_name = "FILE", requires = "lives")]
    dump: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Driver {
    /// Nothing: guests in memory, on a clock that is advanced
    Fake,
}

/// Plays on a sandbox of its own, or on the one of `--endpoint` and `--key`.
pub async fn demo(args: &DemoArgs, global: &Global) -> Result<(), Failure> {
    let Driver::Fake = args.driver;
    let stage = match (&global.endpoint, &args.lives) {
        (Some(_), _) => Stage::given(global.login()?).await?,
        (None, Some(_)) => Stage::narrow(args.seed).await?,
        (None, None) => Stage::roomy().await?,
    };
    match args.lives {
        Some(count) => {
            let played = lives::play(&stage, count, args.seed).await?;
            dump::write(&stage, &played, args.dump.as_deref(), global.json).await?;
        }
        None => samples::play(&stage, global.json).await?,
    }
    let audit = audit::ask(&stage.operator, false).await?;
    match (audit.agrees, global.json) {
        (true, true) => Ok(()),
        (true, false) => print(&audit::text(&audit)),
        (false, _) => Err(Failure::Outcome(audit::text(&audit))),
    }
}
