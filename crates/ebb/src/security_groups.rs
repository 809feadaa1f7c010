//! `ebb security-groups`: what may come in to instances through their public addresses?

use crate::failure::Failure;
use crate::instances::instance_text;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use crate::which;
use ebb_wire::instance::Instance;
use ebb_wire::problem::Page;
use ebb_wire::security_group::{ChooseSecurityGroups, CreateSecurityGroup, Rule, SecurityGroup};

#[derive(Debug, clap::Subcommand)]
pub enum SecurityGroups {
    /// List the account's security groups; `default` is there from the beginning
    #[command(after_help = "Example:\n  ebb security-groups list")]
    List,
    /// Show what a group lets in
    #[command(after_help = "Example:\n  ebb security-groups show default")]
    Show {
        /// Name or id
        group: String,
    },
    /// Make a group; it lets in nothing before something is allowed
    #[command(after_help = "Example:\n  ebb security-groups create site")]
    Create { name: String },
    /// Delete a group that no instance is in
    #[command(after_help = "Example:\n  ebb security-groups delete games")]
    Delete {
        /// Name or id
        group: String,
    },
    /// Let something in; all instances of the group follow at once
    #[command(
        after_help = "Example:\n  ebb security-groups allow games --udp 7000-7010\n  ebb security-groups allow default --tcp 443\n  ebb security-groups allow default --ping --from 203.0.113.0/24"
    )]
    Allow {
        /// Name or id
        group: String,
        #[command(flatten)]
        what: What,
    },
    /// Take a rule away; what no other rule lets in is dropped from then on
    #[command(after_help = "Example:\n  ebb security-groups deny default --tcp 22")]
    Deny {
        /// Name or id
        group: String,
        #[command(flatten)]
        what: What,
    },
    /// Put an instance into other groups: all that are named, and no others
    #[command(after_help = "Example:\n  ebb security-groups choose web default games")]
    Choose {
        /// Id, start of an id, or name of the instance
        instance: String,
        /// Names or ids
        #[arg(required = true)]
        groups: Vec<String>,
    },
}

/// What is let in, and from where.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct What {
    /// A TCP port, or a range such as 8000-8080
    #[arg(long, value_name = "PORTS", conflicts_with_all = ["udp", "ping"])]
    tcp: Option<String>,
    /// A UDP port, or a range
    #[arg(long, value_name = "PORTS", conflicts_with = "ping")]
    udp: Option<String>,
    /// Echo requests
    #[arg(long)]
    ping: bool,
    /// From an address or a range of them [default: from everywhere]
    #[arg(long, value_name = "RANGE")]
    from: Option<String>,
}

impl What {
    fn rule(&self) -> Result<Rule, Failure> {
        let (protocol, ports) = match (&self.tcp, &self.udp, self.ping) {
            (Some(ports), ..) => ("tcp", Some(ports.clone())),
            (None, Some(ports), _) => ("udp", Some(ports.clone())),
            (None, None, true) => ("ping", None),
            (None, None, false) => {
                return Err(Failure::Usage("what is meant? --tcp PORTS, --udp PORTS or --ping".to_owned()));
            }
        };
        Ok(Rule { protocol: protocol.to_owned(), ports, from: self.from.clone() })
    }
}

pub async fn security_groups(session: &Session, command: &SecurityGroups) -> Result<(), Failure> {
    let client = &session.client;
    let path = |group: &str| format!("/v1/security-groups/{group}");
    let group: SecurityGroup = match command {
        SecurityGroups::List => return list(session).await,
        SecurityGroups::Show { group } => client.get(&path(group), &[]).await?,
        SecurityGroups::Create { name } => {
            let new = CreateSecurityGroup { name: name.clone(), rules: vec![] };
            client.post("/v1/security-groups", &new).await?
        }
        SecurityGroups::Delete { group } => {
            let gone: SecurityGroup = client.delete(&path(group)).await?;
            return session.show(&gone, |gone| format!("Security group {} is deleted.\n", gone.name));
        }
        SecurityGroups::Allow { group, what } => client.post(&format!("{}/allow", path(group)), &what.rule()?).await?,
        SecurityGroups::Deny { group, what } => client.post(&format!("{}/deny", path(group)), &what.rule()?).await?,
        SecurityGroups::Choose { instance, groups } => {
            let id = which::instance(client, instance).await?;
            let chosen = ChooseSecurityGroups { groups: groups.clone() };
            let one: Instance = client.post(&format!("/v1/instances/{id}/security-groups"), &chosen).await?;
            return session.show(&one, instance_text);
        }
    };
    session.show(&group, |group| {
        let text =
            facts(&[("id", group.id.clone()), ("name", group.name.clone()), ("created", instant(&group.created_at))]);
        format!("{text}{}", rules(&group.rules))
    })
}

async fn list(session: &Session) -> Result<(), Failure> {
    let page: Page<SecurityGroup> = session.client.all("/v1/security-groups", &[]).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&["NAME", "LETS IN", "CREATED"]);
        for group in &page.items {
            let lets_in: Vec<String> = group.rules.iter().map(rule_text).collect();
            table.row([group.name.clone(), lets_in.join(", "), instant(&group.created_at)]);
        }
        table.text("No security groups.")
    })
}

fn rules(rules: &[Rule]) -> String {
    let mut table = Table::new(&["PROTOCOL", "PORTS", "FROM"]);
    for rule in rules {
        let from = rule.from.clone().unwrap_or_default();
        table.row([rule.protocol.clone(), rule.ports.clone().unwrap_or_default(), from]);
    }
    table.text("It lets in nothing. `ebb security-groups allow` changes that.")
}

/// `tcp 443`, or `ping from 203.0.113.0/24`.
fn rule_text(rule: &Rule) -> String {
    let ports = rule.ports.as_ref().map_or_else(String::new, |ports| format!(" {ports}"));
    let from = rule.from.as_ref().filter(|from| *from != "0.0.0.0/0");
    format!("{}{ports}{}", rule.protocol, from.map_or_else(String::new, |from| format!(" from {from}")))
}
