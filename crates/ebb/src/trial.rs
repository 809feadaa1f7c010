//! `ebb trial`: may the account claim, what is left of it and how long does that last, and what if somebody disagrees?

mod progress;
mod release;

use self::progress::{end_text, progress_text};
use self::release::{ReleaseArgs, release};
use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use crate::which::{self, short};
use ebb_wire::account::Trial;
use ebb_wire::person::{Appeal, Because, Check, MakeAppeal};
use ebb_wire::problem::Page;
use ebb_wire::trial::{ChooseAtEnd, TrialProgress};

#[derive(Debug, clap::Args)]
pub struct TrialArgs {
    #[command(subcommand)]
    command: Option<TrialCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum TrialCommand {
    /// Show what is left of the grant, how long it lasts, and what would make it last longer; also without `show`
    #[command(after_help = "Example:\n  ebb trial show")]
    Show,
    /// Say whether the account could claim now, and what stands against it; changes nothing
    #[command(after_help = "Example:\n  ebb trial check")]
    Check,
    /// Claim the trial grant, once per person
    #[command(after_help = "Example:\n  ebb trial claim")]
    Claim,
    /// Choose what becomes of trial instances when the grant ends
    #[command(after_help = "Example:\n  ebb trial at-end release")]
    AtEnd {
        /// `continue`: they go on, on demand; `stop`: economically, their disks go on; `release`: they go; each at that second
        #[arg(value_name = "continue|stop|release")]
        choice: String,
    },
    /// Release trial instances at once, with what is on their disks
    #[command(after_help = "Example:\n  ebb trial release --all --yes")]
    Release(ReleaseArgs),
    /// Ask the operator to look again at what stands against a claim
    #[command(after_help = "Example:\n  ebb trial appeal --text \"my sister registered with my phone\"")]
    Appeal {
        /// Why it is wrong
        #[arg(long)]
        text: String,
    },
    /// List the account's appeals and their answers; for the operator those that wait
    #[command(after_help = "Example:\n  ebb trial appeals")]
    Appeals,
    /// Let an account claim once in spite of what its person did, on record (operator)
    #[command(
        after_help = "Example:\n  ebb trial overrule Ada --reason \"two people, as their documents show\" --as operator"
    )]
    Overrule(Decision),
    /// Leave an account's appeal without success, on record (operator)
    #[command(after_help = "Example:\n  ebb trial reject Ada --reason \"the same document\" --as operator")]
    Reject(Decision),
    /// Take what is left of an account's grant, on record; what it paid until now stays paid (operator)
    #[command(after_help = "Example:\n  ebb trial revoke Ada --reason \"a second grant of one person\" --as operator")]
    Revoke(Decision),
}

#[derive(Debug, clap::Args)]
struct Decision {
    // Not `account`: the option of every command has that name.
    /// Id, start of an id, or name
    #[arg(value_name = "ACCOUNT")]
    whose: String,
    /// Its owner reads it; it should name nobody
    #[arg(long)]
    reason: String,
}

pub async fn trial(session: &Session, args: &TrialArgs) -> Result<(), Failure> {
    let client = &session.client;
    match args.command.as_ref().unwrap_or(&TrialCommand::Show) {
        TrialCommand::Show => session.show(&client.get("/v1/trial", &[]).await?, progress_text),
        TrialCommand::AtEnd { choice } => {
            let body = ChooseAtEnd { choice: choice.clone() };
            let progress: TrialProgress = client.post("/v1/trial/at-end", &body).await?;
            session.show(&progress, |progress| format!("{}\n", end_text(progress)))
        }
        TrialCommand::Release(args) => release(session, args).await,
        TrialCommand::Claim => session.show(&client.ask("/v1/trial").await?, trial_text),
        TrialCommand::Check => session.show(&client.get("/v1/trial/check", &[]).await?, check_text),
        TrialCommand::Appeal { text } => {
            let made: Appeal = client.post("/v1/trial/appeals", &MakeAppeal { text: text.clone() }).await?;
            session.show(&made, |made| {
                format!("Appeal {} waits for the operator; `ebb trial appeals` shows it.\n", made.id)
            })
        }
        TrialCommand::Appeals => {
            let page: Page<Appeal> = client.all("/v1/trial/appeals", &[]).await?;
            session.show(&page, |page| {
                let mut table = Table::new(&["APPEAL", "ACCOUNT", "MADE", "STATE", "TEXT", "ANSWER"]);
                for one in &page.items {
                    let (text, reason) = (one.text.clone().unwrap_or_default(), one.reason.clone().unwrap_or_default());
                    let line = |text: String| text.replace('\n', " ");
                    let (made, state) = (instant(&one.made_at), one.state.clone());
                    table.row([short(&one.id), one.account.clone(), made, state, line(text), line(reason)]);
                }
                table.text("No appeals.")
            })
        }
        TrialCommand::Overrule(decision) => decide(session, decision, "overrule").await,
        TrialCommand::Reject(decision) => decide(session, decision, "reject").await,
        TrialCommand::Revoke(Decision { whose, reason }) => {
            let id = which::account(client, whose).await?;
            let body = Because { reason: reason.clone() };
            session.show(&client.post(&format!("/v1/accounts/{id}/trial/revoke"), &body).await?, trial_text)
        }
    }
}

async fn decide(session: &Session, Decision { whose, reason }: &Decision, verb: &str) -> Result<(), Failure> {
    let id = which::account(&session.client, whose).await?;
    let body = Because { reason: reason.clone() };
    let decided: Appeal = session.client.post(&format!("/v1/accounts/{id}/trial/{verb}"), &body).await?;
    session.show(&decided, |decided| {
        facts(&[
            ("account", decided.account.clone()),
            ("decision", decided.state.clone()),
            ("reason", decided.reason.clone().unwrap_or_default()),
            ("lifts", decided.lifts.join(", ")),
        ])
    })
}

fn check_text(check: &Check) -> String {
    let mut table = Table::new(&["CONDITION", "", "WHY NOT"]);
    for one in &check.conditions {
        let finding = match one.finding.as_str() {
            "met" => "ok",
            "failed" => "no",
            other => other,
        };
        table.row([one.name.clone(), finding.to_owned(), one.message.clone().unwrap_or_default()]);
    }
    let end = match (check.eligible, check.may_appeal) {
        (true, _) => "The account may claim: `ebb trial claim`.\n",
        (false, true) => "The account may not claim. An operator can overrule that: `ebb trial appeal`.\n",
        (false, false) => "The account may not claim.\n",
    };
    table.text("") + end
}

fn trial_text(trial: &Trial) -> String {
    let mut shown = vec![
        ("holder", trial.holder.clone()),
        ("claimed", instant(&trial.claimed_at)),
        ("valid until", instant(&trial.valid_until)),
        ("issued", trial.issued.clone()),
        ("most per clock hour", trial.hourly_cap.clone()),
        ("used by closed hours", trial.settled.clone()),
        ("used by this hour", trial.accruing.clone()),
        ("left", trial.left.clone()),
    ];
    if trial.revoked.bytes().any(|digit| (b'1'..=b'9').contains(&digit)) {
        shown.push(("taken by the operator", trial.revoked.clone()));
    }
    facts(&shown)
}
