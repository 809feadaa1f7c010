//! `ebb zones`: what is there, and what is the operator short of?

use crate::failure::Failure;
use crate::money::whole_instant;
use crate::session::Session;
use crate::table::{Table, instant};
use crate::which::short;
use ebb_wire::problem::Page;
use ebb_wire::zone::{Declare, Shortage, ZoneState};
use std::collections::BTreeMap;

#[derive(Debug, clap::Subcommand)]
pub enum Zones {
    /// List the zones with their room, their reserve and their shortages (operator)
    #[command(after_help = "Example:\n  ebb zones list --as operator")]
    List,
    /// Make so much free in a zone in all, and sell no spot block into it until that is ended (operator)
    #[command(
        after_help = "Example:\n  ebb zones shortage cn-beijing-a --free vcpu=64,memory_mib=131072 --as operator"
    )]
    Shortage {
        zone: String,
        /// What is to be free, with what is free already
        #[arg(long, value_name = "NAME=AMOUNT,…", value_delimiter = ',', value_parser = amount, required = true)]
        free: Vec<(String, i64)>,
        /// From this date or instant on, UTC; the notices go out before it [default: when a notice given now ends]
        #[arg(long, value_name = "WHEN")]
        at: Option<String>,
        /// Without notice
        #[arg(long)]
        urgent: bool,
    },
    /// Sell spot blocks again; notices that are out stay out (operator)
    #[command(after_help = "Example:\n  ebb zones end-shortage cn-beijing-a --as operator")]
    EndShortage { zone: String },
}

/// `NAME=AMOUNT`.
fn amount(text: &str) -> Result<(String, i64), String> {
    let parts = text.split_once('=').and_then(|(name, amount)| Some((name.to_owned(), amount.parse().ok()?)));
    parts.ok_or_else(|| "write it as NAME=AMOUNT, such as vcpu=64".to_owned())
}

pub async fn zones(session: &Session, command: &Zones) -> Result<(), Failure> {
    let client = &session.client;
    match command {
        Zones::List => {
            let page: Page<ZoneState> = client.get("/v1/zones", &[]).await?;
            session.show(&page, |page| list_text(&page.items))
        }
        Zones::Shortage { zone, free, at, urgent } => {
            let free: BTreeMap<String, i64> = free.iter().cloned().collect();
            let declare = Declare { free, at: at.as_deref().map(whole_instant), urgent: *urgent };
            let shortage: Shortage = client.post(&format!("/v1/zones/{zone}/shortage"), &declare).await?;
            session.show(&shortage, shortage_text)
        }
        Zones::EndShortage { zone } => {
            let ended: Shortage = client.ask(&format!("/v1/zones/{zone}/end-shortage")).await?;
            session.show(&ended, |ended| format!("Zone {} sells spot blocks again.\n", ended.zone))
        }
    }
}

fn list_text(zones: &[ZoneState]) -> String {
    let mut table = Table::new(&["ZONE", "HOSTS>", "ROOM USED", "RESERVE", "SHORT OF"]);
    for zone in zones {
        let room = zone.room.iter().map(|(name, room)| format!("{name} {}/{}", room.used, room.capacity));
        let reserve = match (zone.reserve.len(), zone.reserve_missing) {
            (0, _) => String::new(),
            (all, 0) => format!("{all} of {all} fit"),
            (all, missing) => format!("{} of {all} fit", all as i64 - missing),
        };
        let short_of = zone.shortage.as_ref().map(|one| format!("{} from {}", amounts(&one.free), instant(&one.at)));
        table.row([
            zone.id.clone(),
            zone.hosts.to_string(),
            room.collect::<Vec<_>>().join(", "),
            reserve,
            short_of.unwrap_or_default(),
        ]);
    }
    table.text("No zones.")
}

fn shortage_text(one: &Shortage) -> String {
    let mut text = format!("Zone {}: {} are to be free from {} on.\n", one.zone, amounts(&one.free), instant(&one.at));
    let Some(relief) = &one.relief else { return text };
    let kept = |all: &BTreeMap<String, i64>| {
        let asked = all.iter().filter(|(name, _)| one.free.contains_key(*name));
        amounts(&asked.map(|(name, amount)| (name.clone(), *amount)).collect())
    };
    text += &format!("Free then without anybody told to go: {}.\n", kept(&relief.free_anyway));
    let tense = if one.notices_are_out { "were told to go" } else { "will be told to go" };
    let victims: Vec<String> = relief.victims.iter().map(|id| short(id)).collect();
    text += &match victims.len() {
        0 => "No block need go.\n".to_owned(),
        count => format!("{count} blocks {tense} at {}: {}.\n", instant(&one.notices_at), victims.join(", ")),
    };
    if !relief.enough {
        text += &format!("That is not enough: blocks can make no more free than {}.\n", kept(&relief.free_then));
    }
    text + &format!("No spot block is sold into it until `ebb zones end-shortage {}`.\n", one.zone)
}

fn amounts(of: &BTreeMap<String, i64>) -> String {
    of.iter().map(|(name, amount)| format!("{name} {amount}")).collect::<Vec<_>>().join(", ")
}
