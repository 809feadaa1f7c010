//! `ebb hosts`: which machines lend capacity, and what needs the operator's word? (Running one is `ebb host`.)

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use ebb_wire::host::Host;
use ebb_wire::problem::Page;

#[derive(Debug, clap::Subcommand)]
pub enum Hosts {
    /// List the hosts with their room (operator)
    #[command(after_help = "Example:\n  ebb hosts list --as operator")]
    List,
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
}

pub async fn hosts(session: &Session, command: &Hosts) -> Result<(), Failure> {
    let client = &session.client;
    match command {
        Hosts::List => {
            let page: Page<Host> = client.all("/v1/hosts", &[]).await?;
            session.show(&page, |page| list_text(&page.items))
        }
        Hosts::AcceptGap { host } => {
            let answer: serde_json::Value = client.ask(&format!("/v1/hosts/{host}/accept-gap")).await?;
            session.show(&answer, |_| format!("Host {host} obeys again.\n"))
        }
        Hosts::DestroyGuest { host, guest } => {
            let answer: serde_json::Value = client.ask(&format!("/v1/hosts/{host}/guests/{guest}/destroy")).await?;
            session.show(&answer, |_| format!("Host {host} was told to destroy {guest}.\n"))
        }
    }
}

fn list_text(hosts: &[Host]) -> String {
    let mut table = Table::new(&["NAME", "ZONE", "DRIVER", "STATE", "CONNECTED", "ROOM USED"]);
    for host in hosts {
        let connected = if host.connected { "yes" } else { "no" };
        let room = host.room.iter().map(|(name, room)| format!("{name} {}/{}", room.used, room.capacity));
        table.row([
            host.name.clone(),
            host.zone.clone(),
            host.driver.clone(),
            host.state.clone(),
            connected.to_owned(),
            room.collect::<Vec<_>>().join(", "),
        ]);
    }
    let strangers = hosts.iter().flat_map(|host| host.quarantine.iter().map(move |guest| (host, guest)));
    let strangers = strangers.map(|(host, guest)| {
        let lines = [
            ("in quarantine", guest.instance.clone()),
            ("on host", host.name.clone()),
            ("found", instant(&guest.found_at)),
            ("way out", format!("ebb hosts destroy-guest {} {}", host.name, guest.instance)),
        ];
        "\n".to_owned() + &facts(&lines)
    });
    table.text("No hosts. `ebb host` on a machine with room to lend makes it one.") + &strangers.collect::<String>()
}
