//! How much memory do both halves take, empty and with many guests made of nothing?

use crate::cloud::{Cloud, Guests, Half, Scratch};
use crate::load::{closed_loop, settled};
use crate::process::Memory;
use crate::table::{Line, Table};
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;

const COUNTS: [usize; 3] = [0, 1_000, 10_000];
const TENANTS: usize = 100;

pub async fn run() -> Result<()> {
    let mut table = Table::new("memory: MiB of both processes with guests made of nothing, SQLite");
    let cloud = Arc::new(Cloud::start(None, Guests::Fake { hosts: 1 }).await?);
    let tenants = cloud.tenants(TENANTS).await?;
    let (mut bought, mut empty) = (0, None);
    for count in COUNTS {
        let missing = count - bought;
        if missing > 0 {
            closed_loop(&cloud, &tenants, 16, move |n, _| n + 1 >= missing).await?;
            settled(&cloud, &tenants[0]).await?;
        }
        bought = count;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = [Memory::of(cloud.serve_pid()), Memory::of(cloud.host_pid())];
        let [serve_empty, host_empty] = *empty.get_or_insert(now);
        let goal = format!("<= {}", mib(60 * 1024 + count as u64));
        for (name, now, empty, goal) in
            [("serve", now[0], serve_empty, goal), ("host, fake", now[1], host_empty, String::new())]
        {
            table.line(Line {
                what: format!("{name}, {count} instances: resident (proportional)"),
                figure: format!("{} ({})", mib(now.resident), mib(now.proportional)),
                goal,
                rival: each(now, empty, count),
                ..Line::default()
            });
        }
    }
    let dir = Scratch::new()?;
    let (sandbox, _) = Half::sandbox(&dir)?;
    let memory = Memory::of(sandbox.0.id());
    table.line(Line {
        what: "sandbox, ready: resident (proportional)".to_owned(),
        figure: format!("{} ({})", mib(memory.resident), mib(memory.proportional)),
        goal: "<= 40.0".to_owned(),
        ..Line::default()
    });
    table.note("beside it: the same process before the first purchase, and what each instance added.");
    table.note("the server keeps no instance in memory: what grows is SQLite's page cache (16 MiB and 4 for each of 3 readers),");
    table.note("what its log maps, and what the allocator keeps of busy moments; all of it is bounded.");
    table.note("a fake guest's record is in its host's memory; a real one's QEMU counts apart.");
    table.print();
    Ok(())
}

fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

fn each(now: Memory, empty: Memory, count: usize) -> String {
    match count {
        0 => String::new(),
        _ => {
            let more = now.resident.saturating_sub(empty.resident) as f64 / count as f64;
            format!("{} empty, {more:.2} KiB each", mib(empty.resident))
        }
    }
}
