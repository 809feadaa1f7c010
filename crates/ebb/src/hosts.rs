//! `ebb hosts`: which machines lend capacity, and what needs the operator's word? (Running one is `ebb host`.)

use crate::events::details;
use crate::failure::Failure;
use crate::money::whole_instant;
use crate::session::Session;
use crate::table::{Table, facts, instant, optional_instant};
use crate::which::short;
use ebb_wire::host::{DeclareLost, Host, HostSaid, HostShown, Leave, OnHost, SetCalendar};
use ebb_wire::problem::Page;

#[derive(Debug, clap::Subcommand)]
pub enum Hosts {
    /// List the hosts with their room (operator)
    #[command(after_help = "Example:\n  ebb hosts list --as operator")]
    List,
    /// Show one host: what it is doing, what is on it, and what was said about it (operator)
    #[command(after_help = "Example:\n  ebb hosts show cn-beijing-a-1 --as operator")]
    Show { host: String },
    /// Empty a host of blocks: they get notice, firm instances stay, nothing new is placed on it (operator)
    #[command(after_help = "Example:\n  ebb hosts drain cn-beijing-a-1 --as operator")]
    Drain(LeaveArgs),
    /// The owner wants a host back, until its calendar lends it again or it is resumed (operator)
    #[command(after_help = "Example:\n  ebb hosts take-back cn-beijing-a-1 --at 2026-03-01T19:00:00Z --as operator")]
    TakeBack(LeaveArgs),
    /// End a drain or a return; a notice that was given stays (operator)
    #[command(after_help = "Example:\n  ebb hosts resume cn-beijing-a-1 --as operator")]
    Resume { host: String },
    /// Say in which hours of the week a host is lent, in the catalog's time zone; `always` ends that (operator)
    #[command(
        after_help = "Example:\n  ebb hosts calendar cn-beijing-a-1 \"mon-fri 19:00-08:00, sat-sun 00:00-24:00\" --as operator"
    )]
    Calendar { host: String, hours: String },
    /// Declare a silent host lost: its blocks end, free; firm instances wait for it, uncharged (operator)
    #[command(after_help = "Example:\n  ebb hosts lost cn-beijing-a-1 --fenced --as operator")]
    Lost {
        host: String,
        /// It is certain that the machine runs none of its guests any more: it is off, or off the network
        #[arg(long, required = true)]
        fenced: bool,
    },
    /// Pull a host's network cable (sandbox, operator)
    #[command(after_help = "Example:\n  ebb hosts unplug cn-beijing-a-1 --as operator")]
    Unplug { host: String },
    /// Put it in again (sandbox, operator)
    #[command(after_help = "Example:\n  ebb hosts plug cn-beijing-a-1 --as operator")]
    Plug { host: String },
    /// Let a host obey again although it obeyed orders that the database has lost (operator)
    #[command(after_help = "Example:\n  ebb hosts accept-gap cn-beijing-a-1 --as operator")]
    AcceptGap { host: String },
    /// Destroy a guest that carries our mark but is in no table (operator)
    #[command(after_help = "Example:\n  ebb hosts destroy-guest cn-beijing-a-1 $GUEST --as operator")]
    DestroyGuest {
        host: String,
        /// The id of the instance that it once was
        guest: String,
    },
    /// Destroy a data disk, snapshot or image that lies on a host and is in no table (operator)
    #[command(after_help = "Example:\n  ebb hosts destroy-volume cn-beijing-a-1 $VOLUME --as operator")]
    DestroyVolume {
        host: String,
        /// Its id, as `ebb hosts list` shows it
        volume: String,
    },
}

/// When blocks have to be gone.
#[derive(Debug, clap::Args)]
pub struct LeaveArgs {
    host: String,
    /// Blocks are gone by then; as soon as their notice is over, if not given
    #[arg(long, value_name = "TIME", conflicts_with = "urgent")]
    at: Option<String>,
    /// No notice: blocks are released at once
    #[arg(long)]
    urgent: bool,
}

pub async fn hosts(session: &Session, command: &Hosts) -> Result<(), Failure> {
    let client = &session.client;
    match command {
        Hosts::List => {
            let page: Page<Host> = client.all("/v1/hosts", &[]).await?;
            session.show(&page, |page| list_text(&page.items))
        }
        Hosts::Show { host } => {
            let shown: HostShown = client.get(&format!("/v1/hosts/{host}"), &[]).await?;
            session.show(&shown, shown_text)
        }
        Hosts::Drain(args) => leave(session, args, "drain").await,
        Hosts::TakeBack(args) => leave(session, args, "take-back").await,
        Hosts::Resume { host } => {
            let said: HostSaid = client.ask(&format!("/v1/hosts/{host}/resume")).await?;
            session.show(&said, said_text)
        }
        Hosts::Calendar { host, hours } => {
            let body = SetCalendar { calendar: hours.clone() };
            let said: HostSaid = client.post(&format!("/v1/hosts/{host}/calendar"), &body).await?;
            session.show(&said, said_text)
        }
        Hosts::Lost { host, fenced } => {
            let body = DeclareLost { fenced: *fenced };
            let said: HostSaid = client.post(&format!("/v1/hosts/{host}/lost"), &body).await?;
            session.show(&said, said_text)
        }
        Hosts::Unplug { host } => {
            let answer: serde_json::Value = client.ask(&format!("/v1/hosts/{host}/unplug")).await?;
            session.show(&answer, |_| format!("Host {host} is unplugged; it goes on by itself.\n"))
        }
        Hosts::Plug { host } => {
            let answer: serde_json::Value = client.ask(&format!("/v1/hosts/{host}/plug")).await?;
            session.show(&answer, |_| format!("Host {host} is plugged in.\n"))
        }
        Hosts::AcceptGap { host } => {
            let answer: serde_json::Value = client.ask(&format!("/v1/hosts/{host}/accept-gap")).await?;
            session.show(&answer, |_| format!("Host {host} obeys again.\n"))
        }
        Hosts::DestroyGuest { host, guest } => {
            let answer: serde_json::Value = client.ask(&format!("/v1/hosts/{host}/guests/{guest}/destroy")).await?;
            session.show(&answer, |_| format!("Host {host} was told to destroy {guest}.\n"))
        }
        Hosts::DestroyVolume { host, volume } => {
            let answer: serde_json::Value = client.ask(&format!("/v1/hosts/{host}/volumes/{volume}/destroy")).await?;
            session.show(&answer, |_| format!("Host {host} was told to destroy {volume}.\n"))
        }
    }
}

async fn leave(session: &Session, args: &LeaveArgs, verb: &str) -> Result<(), Failure> {
    let body = Leave { at: args.at.as_deref().map(whole_instant), urgent: args.urgent };
    let said: HostSaid = session.client.post(&format!("/v1/hosts/{}/{verb}", args.host), &body).await?;
    session.show(&said, said_text)
}

fn said_text(said: &HostSaid) -> String {
    let mut text = format!("Host {}: {}.\n", said.host.name, said.host.doing);
    for (title, list) in [("Leave:", &said.leaves), ("Stay:", &said.stays)] {
        if !list.is_empty() {
            text += &format!("{title}\n{}", on_host_text(list));
        }
    }
    text
}

fn shown_text(shown: &HostShown) -> String {
    let host = &shown.host;
    let lines = [
        ("name", host.name.clone()),
        ("zone", host.zone.clone()),
        ("driver", host.driver.clone()),
        ("doing", host.doing.clone()),
        ("connected", if host.connected { "yes" } else { "no" }.to_owned()),
        ("heard", instant(&host.heard_at)),
        ("calendar", host.calendar.clone().unwrap_or_default()),
        ("room used", room_text(host)),
    ];
    let mut log = Table::new(&["AT", "BY", "EVENT", "DETAILS"]);
    for line in &shown.log {
        let event = line.body["event"].as_str().unwrap_or("?").to_owned();
        let who = if line.who.contains('-') { short(&line.who) } else { line.who.clone() };
        log.row([instant(&line.at), who, event, details(&line.body)]);
    }
    let mut volumes = Table::new(&["VOLUME", "NAME", "STATE", "GIB>", "INSTANCE"]);
    for one in &shown.volumes {
        let instance = one.instance.as_deref().map(short).unwrap_or_default();
        volumes.row([short(&one.volume), one.name.clone(), one.state.clone(), one.gib.to_string(), instance]);
    }
    let volumes = if shown.volumes.is_empty() { String::new() } else { volumes.text("") + "\n" };
    facts(&lines)
        + "\n"
        + &on_host_text(&shown.instances)
        + "\n"
        + &volumes
        + &log.text("Nobody has said anything about it.")
}

fn on_host_text(list: &[OnHost]) -> String {
    let mut table = Table::new(&["INSTANCE", "NAME", "OPTION", "FLAVOR", "STATE", "LEASE ENDS", "LEAVES"]);
    for one in list {
        table.row([
            short(&one.instance),
            one.name.clone(),
            one.option.clone(),
            one.flavor.clone(),
            one.state.clone(),
            optional_instant(one.lease_ends_at.as_ref()),
            optional_instant(one.leaves_at.as_ref()),
        ]);
    }
    table.text("No instances on it.")
}

fn room_text(host: &Host) -> String {
    let room = host.room.iter().map(|(name, room)| format!("{name} {}/{}", room.used, room.capacity));
    room.collect::<Vec<_>>().join(", ")
}

fn list_text(hosts: &[Host]) -> String {
    let mut table = Table::new(&["NAME", "ZONE", "DRIVER", "STATE", "CONNECTED", "DOING", "ROOM USED"]);
    for host in hosts {
        let connected = if host.connected { "yes" } else { "no" };
        table.row([
            host.name.clone(),
            host.zone.clone(),
            host.driver.clone(),
            host.state.clone(),
            connected.to_owned(),
            host.doing.clone(),
            room_text(host),
        ]);
    }
    let strangers = hosts.iter().flat_map(|host| {
        let guests = host.quarantine.iter().map(|one| (&one.instance, &one.found_at, "destroy-guest"));
        let volumes = host.stray_volumes.iter().map(|one| (&one.volume, &one.found_at, "destroy-volume"));
        guests.chain(volumes).map(move |(id, found_at, verb)| {
            let lines = [
                ("in quarantine", id.clone()),
                ("on host", host.name.clone()),
                ("found", instant(found_at)),
                ("way out", format!("ebb hosts {verb} {} {id}", host.name)),
            ];
            "\n".to_owned() + &facts(&lines)
        })
    });
    table.text("No hosts. `ebb host` on a machine with room to lend makes it one.") + &strangers.collect::<String>()
}
