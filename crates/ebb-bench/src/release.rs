//! How soon is a released guest's process gone, and how soon is its room somebody else's? One, and ten at once.

use crate::guests::{Range, SMALL, WHOLE, qemu_of, until_gone};
use crate::process;
use crate::table::{Line, Table, Times, millis, percent};
use anyhow::Result;
use futures_util::future::{join, join_all, try_join_all};
use std::time::{Duration, Instant};

const TEN: usize = 10;
const ALONE: usize = 5;
const AT_ONCE: usize = 2;
const BARE: usize = 3;

pub async fn run() -> Result<()> {
    let mut table = Table::new("release: DELETE sent → process gone → room sold again, real guests, ms");
    let range = Range::start(TEN).await?;
    let mut guests = vec![];
    fill(&range, &mut guests).await?;

    let mut killed = vec![];
    for _ in 0..BARE {
        let bare = range.bare(&process::arguments(qemu_of(&guests[0])?))?;
        bare.until_printed("ebb-guest: ready").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        killed.push(bare.kill().await?);
    }
    let killed = Times::of(killed);

    let mut alone = Released::default();
    let before = range.cloud.cpu() + process::cpu(range.cloud.host_pid());
    for _ in 0..ALONE {
        let (released, buyer) = release(&range, vec![guests.remove(0)], SMALL).await?;
        alone.take(released);
        range.until_ready(&buyer).await?;
        guests.push(buyer);
    }
    let used = range.cloud.cpu() + process::cpu(range.cloud.host_pid()) - before;
    alone.show(
        &mut table,
        "1",
        &killed,
        format!("{} ms each, both halves, with the next start", millis(used / ALONE as u32)),
    );

    let mut together = Released::default();
    for _ in 0..AT_ONCE {
        fill(&range, &mut guests).await?;
        let (released, buyer) = release(&range, std::mem::take(&mut guests), WHOLE).await?;
        together.take(released);
        range.delete(&buyer).await?;
        range.cloud.until(&range.tenant, &buyer, "released").await?;
    }
    together.show(&mut table, "10 at once", &killed, String::new());
    table.note("beside it: SIGKILL of a bare QEMU of the same image until its process is gone.");
    table.note("room sold again: a purchase that fits only into the freed room (of all ten) has it: it was tried every 2 ms, and is");
    table.note("no longer pending (looked at every 4 ms). The guest that buys it starts meanwhile.");
    table.note("figures: median (least-most). The process is looked at every ms.");
    table.print();
    Ok(())
}

/// Buys until there is no room, and waits until all have booted and are quiet.
async fn fill(range: &Range, guests: &mut Vec<String>) -> Result<()> {
    while let Some(id) = range.buy(SMALL).await? {
        guests.push(id);
    }
    for guest in guests.iter() {
        range.until_ready(guest).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

#[derive(Default)]
struct Released {
    answered: Vec<Duration>,
    gone: Vec<Duration>,
    sold: Vec<Duration>,
}

impl Released {
    fn take(&mut self, other: Released) {
        self.answered.extend(other.answered);
        self.gone.extend(other.gone);
        self.sold.extend(other.sold);
    }

    fn show(self, table: &mut Table, what: &str, killed: &Times, cpu: String) {
        let gone = Times::of(self.gone);
        table.line(Line {
            what: format!("{what}: DELETE answered"),
            figure: Times::of(self.answered).range(),
            ..Line::default()
        });
        table.line(Line {
            what: format!("{what}: process gone"),
            ratio: percent(gone.median().as_secs_f64(), killed.median().as_secs_f64()),
            figure: gone.range(),
            goal: "median <= 100, max <= 1000".to_owned(),
            rival: format!("{} bare kill", killed.range()),
            cpu,
        });
        table.line(Line {
            what: format!("{what}: room sold again"),
            figure: Times::of(self.sold).range(),
            goal: "median <= 100, max <= 1000".to_owned(),
            ..Line::default()
        });
    }
}

/// Releases guests together, while somebody buys what fits only where they were.
async fn release(range: &Range, guests: Vec<String>, buy: &str) -> Result<(Released, String)> {
    let processes = guests.iter().map(|id| qemu_of(id)).collect::<Result<Vec<_>>>()?;
    let started = Instant::now();
    let answered = try_join_all(guests.iter().map(|id| async move {
        range.delete(id).await?;
        Ok::<_, anyhow::Error>(started.elapsed())
    }));
    let gone = join_all(processes.into_iter().map(|pid| async move {
        until_gone(pid).await;
        started.elapsed()
    }));
    let sold = async {
        let id = range.buy_when_possible(buy).await?;
        Ok::<_, anyhow::Error>((id, started.elapsed()))
    };
    let ((answered, gone), sold) = join(join(answered, gone), sold).await;
    let (id, sold) = sold?;
    Ok((Released { answered: answered?, gone, sold: vec![sold] }, id))
}
