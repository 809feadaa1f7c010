//! How long from a purchase to the first answer over ssh of a real guest, in parts, and how long without Ebb?

use crate::guests::{Range, SMALL, qemu_of, until_gone};
use crate::process;
use crate::table::{Line, Table, Times, percent};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

const RUNS: usize = 5;

pub async fn run() -> Result<()> {
    let mut table =
        Table::new("ssh: purchase → a real guest answers, ms since the purchase (bare: since QEMU was called)");
    let range = Range::start(1).await?;
    let (mut managed, mut bare) = (vec![], vec![]);
    for _ in 0..RUNS {
        let (first, id) = buy(&range).await?;
        managed.push(first);
        let (pid, like) = (qemu_of(&id)?, process::arguments(qemu_of(&id)?));
        range.delete(&id).await?;
        until_gone(pid).await;
        range.cloud.until(&range.tenant, &id, "released").await?;
        bare.push(start_bare(&range, &like).await?);
    }
    show(&mut table, &managed, &bare);
    table.note("alternating, one guest at a time. ssh answers: its first bytes; logged in: the system's `ssh … true` has returned.");
    table.note(
        "a part's time is when it was seen: the API is asked every 4 ms, both consoles are looked at every 20 ms.",
    );
    table.note("the guest's boot under emulation bounds the whole; CPU is QEMU's, to the answer over ssh.");
    table.print();
    Ok(())
}

#[derive(Default, Clone, Copy)]
struct Boot {
    answered: Duration,
    running: Duration,
    metadata: Duration,
    ready: Duration,
    ssh: Duration,
    logged_in: Duration,
    qemu_cpu: Duration,
    own_cpu: Duration,
}

async fn buy(range: &Range) -> Result<(Boot, String)> {
    let halves = || process::cpu(range.cloud.serve_pid()) + process::cpu(range.cloud.host_pid());
    let (started, before) = (Instant::now(), halves());
    let id = range.buy(SMALL).await?.context("room for one guest")?;
    let mut boot = Boot { answered: started.elapsed(), ..Boot::default() };
    range.cloud.until(&range.tenant, &id, "running").await?;
    boot.running = started.elapsed();
    range.cloud.until_printed(&range.tenant, &id, "ebb-guest: metadata").await?;
    boot.metadata = started.elapsed();
    range.until_ready(&id).await?;
    boot.ready = started.elapsed();
    range.cloud.lines.ssh_banner(&id, &range.tenant.key).await?;
    boot.ssh = started.elapsed();
    (boot.qemu_cpu, boot.own_cpu) = (process::cpu(qemu_of(&id)?), halves() - before);
    range.log_in(&id).await?;
    boot.logged_in = started.elapsed();
    Ok((boot, id))
}

async fn start_bare(range: &Range, like: &[String]) -> Result<Boot> {
    let started = Instant::now();
    let bare = range.bare(like)?;
    let mut boot = Boot::default();
    bare.until_printed("ebb-guest: metadata").await?;
    boot.metadata = started.elapsed();
    bare.until_printed("ebb-guest: ready").await?;
    boot.ready = started.elapsed();
    bare.ssh_banner().await?;
    boot.ssh = started.elapsed();
    boot.qemu_cpu = process::cpu(bare.pid());
    bare.log_in().await?;
    boot.logged_in = started.elapsed();
    Ok(boot)
}

fn show(table: &mut Table, managed: &[Boot], bare: &[Boot]) {
    let times = |boots: &[Boot], part: fn(&Boot) -> Duration| Times::of(boots.iter().map(part).collect());
    type Part = fn(&Boot) -> Duration;
    let parts: [(&str, Part, &str); 6] = [
        ("POST answered", |boot| boot.answered, ""),
        ("QEMU runs (state running)", |boot| boot.running, "Ebb's own <= 100"),
        ("the guest has its metadata", |boot| boot.metadata, ""),
        ("the guest says ready", |boot| boot.ready, ""),
        ("ssh answers", |boot| boot.ssh, "<= 115 % of bare"),
        ("logged in by ssh", |boot| boot.logged_in, ""),
    ];
    for (what, part, goal) in parts {
        let (ours, theirs) = (times(managed, part), times(bare, part));
        let beside = !theirs.median().is_zero();
        table.line(Line {
            what: what.to_owned(),
            figure: ours.range(),
            goal: goal.to_owned(),
            rival: if beside { format!("{} bare", theirs.range()) } else { String::new() },
            ratio: if beside { ratio(&ours, &theirs) } else { String::new() },
            ..Line::default()
        });
    }
    let (ours, theirs) = (times(managed, |boot| boot.qemu_cpu), times(bare, |boot| boot.qemu_cpu));
    table.line(Line {
        what: "QEMU's CPU until ssh answers".to_owned(),
        figure: ours.range(),
        rival: format!("{} bare", theirs.range()),
        ratio: ratio(&ours, &theirs),
        cpu: format!("{} ms, both halves", times(managed, |boot| boot.own_cpu).range()),
        ..Line::default()
    });
}

fn ratio(ours: &Times, theirs: &Times) -> String {
    percent(ours.median().as_secs_f64(), theirs.median().as_secs_f64())
}
