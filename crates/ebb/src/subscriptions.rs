//! `ebb subscriptions`: who is told what happens to the account's instances?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use crate::which::{self, short};
use ebb_wire::problem::Page;
use ebb_wire::subscription::{Confirm, Delivery, NewSubscription, Subscribe, Subscription};

#[derive(Debug, clap::Subcommand)]
pub enum Subscriptions {
    /// List who is told what happens to the account's instances
    #[command(after_help = "Example:\n  ebb subscriptions list")]
    List,
    /// Ask a webhook or a mailbox whether it wants to be told
    #[command(after_help = "Example:\n  ebb subscriptions add http://127.0.0.1:8080/ebb --topic interruptServer")]
    Add {
        /// An http or https address, or a mail address
        address: String,
        /// Which events: running, stopped, interruptServer, host-lost, ended, released, coverage-changed, price-changes, trial-low, trial-ends-soon, trial-ended, traffic-low, subscription-ends-soon, renewal-failed, subscription-ended, cap-soon, cap-reached, voucher-expires-soon, voucher-used-up, debt-limit-soon, debt-limit-reached, arrears-began, freeze-soon, account-frozen, release-soon, arrears-released, arrears-cleared, budget-reached, budget-expected; may be given several times, all if not
        #[arg(long = "topic", value_name = "EVENT")]
        topics: Vec<String>,
    },
    /// Confirm with the token that was sent to the address
    #[command(after_help = "Example:\n  ebb subscriptions confirm http://127.0.0.1:8080/ebb 0123456789abcdef")]
    Confirm {
        /// Id, start of an id, or address
        subscription: String,
        token: String,
    },
    /// Send a test there; one that is paused goes on once it accepts that
    #[command(after_help = "Example:\n  ebb subscriptions test http://127.0.0.1:8080/ebb")]
    Test {
        /// Id, start of an id, or address
        subscription: String,
    },
    /// Show what was sent there, when it was accepted, and why not
    #[command(after_help = "Example:\n  ebb subscriptions deliveries http://127.0.0.1:8080/ebb")]
    Deliveries {
        /// Id, start of an id, or address
        subscription: String,
    },
    /// End a subscription
    #[command(after_help = "Example:\n  ebb subscriptions delete http://127.0.0.1:8080/ebb")]
    Delete {
        /// Id, start of an id, or address
        subscription: String,
    },
}

pub async fn subscriptions(session: &Session, command: &Subscriptions) -> Result<(), Failure> {
    let client = &session.client;
    let path =
        async |text: &str| Ok::<_, Failure>(format!("/v1/subscriptions/{}", which::subscription(client, text).await?));
    match command {
        Subscriptions::List => list(session).await,
        Subscriptions::Add { address, topics } => {
            let (webhook, email) = match address.contains("://") {
                true => (Some(address.clone()), None),
                false => (None, Some(address.clone())),
            };
            let body = Subscribe { webhook, email, topics: topics.clone() };
            let added: NewSubscription = client.post("/v1/subscriptions", &body).await?;
            session.show(&added, new_facts)
        }
        Subscriptions::Confirm { subscription, token } => {
            let body = Confirm { token: token.clone() };
            let confirmed: Subscription = client.post(&format!("{}/confirm", path(subscription).await?), &body).await?;
            session.show(&confirmed, |confirmed| format!("{} is told from now on.\n", confirmed.address))
        }
        Subscriptions::Test { subscription } => {
            let tested: Subscription = client.ask(&format!("{}/test", path(subscription).await?)).await?;
            session.show(&tested, |tested| {
                format!(
                    "A test is on its way; `ebb subscriptions deliveries {}` says what came of it.\n",
                    short(&tested.id)
                )
            })
        }
        Subscriptions::Deliveries { subscription } => {
            let all: Page<Delivery> = client.all(&format!("{}/deliveries", path(subscription).await?), &[]).await?;
            session.show(&all, |all| deliveries(&all.items))
        }
        Subscriptions::Delete { subscription } => {
            let answer: serde_json::Value = client.delete(&path(subscription).await?).await?;
            session.show(&answer, |_| format!("{subscription} is told no more.\n"))
        }
    }
}

fn new_facts(added: &NewSubscription) -> String {
    let new = &added.subscription;
    let mut all = vec![("id", new.id.clone()), ("address", new.address.clone()), ("topics", new.topics.join(", "))];
    all.extend(
        added.secret.clone().map(|secret| ("secret", format!("{secret} (shown this once; signs what is sent)"))),
    );
    all.push((
        "next",
        "a token is on its way there; a webhook may echo it, else: ebb subscriptions confirm".to_owned(),
    ));
    facts(&all)
}

async fn list(session: &Session) -> Result<(), Failure> {
    let page: Page<Subscription> = session.client.all("/v1/subscriptions", &[]).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&["ID", "STATE", "ADDRESS", "TOPICS", "REMARK"]);
        for known in &page.items {
            let failing = known.failing_since.as_deref().map(|at| format!("nothing accepted since {}", instant(at)));
            let remark = known.paused_because.clone().or(failing).unwrap_or_default();
            table.row([short(&known.id), known.state.clone(), known.address.clone(), known.topics.join(","), remark]);
        }
        table.text("Nobody is told. `ebb subscriptions add ADDRESS` adds somebody.")
    })
}

fn deliveries(all: &[Delivery]) -> String {
    let mut table = Table::new(&["AT", "WHAT", "INSTANCE", "TRIES>", "ACCEPTED", "NEXT", "LAST ERROR"]);
    for one in all {
        let at = |at: &Option<String>| at.as_deref().map(instant).unwrap_or_default();
        let next = if one.given_up_at.is_some() { "given up".to_owned() } else { at(&one.due_at) };
        table.row([
            instant(&one.at),
            one.topic.clone().unwrap_or_else(|| one.kind.clone()),
            one.instance.as_deref().map(short).unwrap_or_default(),
            one.attempts.to_string(),
            at(&one.accepted_at),
            next,
            one.last_error.clone().unwrap_or_default(),
        ]);
    }
    table.text("Nothing was sent there yet.")
}
