//! `ebb whoami` and `ebb accounts`: who asks, who are the customers, and which keys do they hold?

use crate::failure::Failure;
use crate::session::Session;
use crate::table::{Table, facts, instant};
use crate::which;
use ebb_wire::account::{
    Account, ApiKey, Balance, CreateApiKey, Link, NewApiKey, OpenAccount, OpenedAccount, TopUp, Verify, Whoami,
};
use ebb_wire::person::{Evidence, Reference};
use ebb_wire::problem::Page;

#[derive(Debug, clap::Subcommand)]
pub enum Accounts {
    /// List all accounts (operator)
    #[command(after_help = "Example:\n  ebb accounts list --as operator")]
    List,
    /// Open an account and print its owner's key, once (operator)
    #[command(after_help = "Example:\n  ebb accounts open Ada --as operator")]
    Open {
        name: String,
        /// What was seen at the registration, as KIND=VALUE: document, phone, payment-account, device or address
        #[arg(long = "evidence", value_name = "EVIDENCE", value_parser = crate::evidence::evidence)]
        evidence: Vec<Evidence>,
    },
    /// Record that an account is verified, and as whose (operator)
    #[command(after_help = "Example:\n  ebb accounts verify Ada individual --as operator")]
    Verify {
        // Not `account`: the option of every command has that name.
        /// Id, start of an id, or name
        #[arg(value_name = "ACCOUNT")]
        whose: String,
        /// `individual` or `enterprise`
        holder: String,
    },
    /// Record that two accounts belong to one person, who then gains nothing by taking from himself (operator)
    #[command(after_help = "Example:\n  ebb accounts link Ada Enterprise --as operator")]
    Link {
        /// Id, start of an id, or name
        #[arg(value_name = "ACCOUNT")]
        whose: String,
        /// The other account: id, start of an id, or name
        #[arg(value_name = "OTHER")]
        with: String,
    },
    /// List the accounts of an account's person (operator)
    #[command(after_help = "Example:\n  ebb accounts person Ada --as operator")]
    Person {
        /// Id, start of an id, or name
        #[arg(value_name = "ACCOUNT")]
        whose: String,
    },
    /// Begin a verification from outside: prints what to take to the verifier, once
    #[command(after_help = "Example:\n  ebb accounts prove")]
    Prove,
    /// Close your account for good, or another (operator); it can still be looked at
    #[command(after_help = "Example:\n  ebb accounts close Ada --as operator")]
    Close {
        /// Id, start of an id, or name; your own if not given
        #[arg(value_name = "ACCOUNT")]
        whose: Option<String>,
    },
    /// Record money that came in (operator)
    #[command(after_help = "Example:\n  ebb accounts top-up Ada 100.00 --as operator")]
    TopUp {
        /// Id, start of an id, or name
        #[arg(value_name = "ACCOUNT")]
        whose: String,
        /// In the catalog's currency, at most 8 decimals
        #[arg(allow_negative_numbers = true)]
        amount: String,
    },
    /// API keys of an account
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Debug, clap::Subcommand)]
pub enum Keys {
    /// List the keys of your account, or with --account of another (operator)
    #[command(after_help = "Example:\n  ebb accounts keys list")]
    List,
    /// Make a key and print its secret, once
    #[command(after_help = "Example:\n  ebb accounts keys create auditor")]
    Create {
        /// `owner`, `member` or `auditor`
        role: String,
    },
    /// Take a key out of use
    #[command(after_help = "Example:\n  ebb accounts keys delete $KEY")]
    Delete {
        #[arg(value_name = "KEY_ID")]
        id: String,
    },
}

pub async fn whoami(session: &Session) -> Result<(), Failure> {
    let who: Whoami = session.client.get("/v1/whoami", &[]).await?;
    session.show(&who, |who| {
        let account = who.account.as_ref();
        facts(&[
            ("role", who.role.clone()),
            ("account", account.map(|a| a.id.clone()).unwrap_or_default()),
            ("name", account.map(|a| a.name.clone()).unwrap_or_default()),
            ("verified as", account.and_then(|a| a.verified_as.clone()).unwrap_or_default()),
        ])
    })
}

pub async fn accounts(session: &Session, command: &Accounts) -> Result<(), Failure> {
    let client = &session.client;
    match command {
        Accounts::List => list(session, "/v1/accounts").await,
        Accounts::Open { name, evidence } => {
            let body = OpenAccount { name: name.clone(), evidence: evidence.clone() };
            let opened: OpenedAccount = client.post("/v1/accounts", &body).await?;
            session.show(&opened, |opened| {
                facts(&[
                    ("account", opened.account.id.clone()),
                    ("name", opened.account.name.clone()),
                    ("owner's key", opened.key.secret.clone()),
                ]) + "Keep the key: it is shown this once.\n"
            })
        }
        Accounts::Verify { whose, holder } => {
            let id = which::account(client, whose).await?;
            let body = Verify { holder: holder.clone() };
            let account: Account = client.post(&format!("/v1/accounts/{id}/verification"), &body).await?;
            session.show(&account, account_text)
        }
        Accounts::Link { whose, with } => {
            let (id, with) = (which::account(client, whose).await?, which::account(client, with).await?);
            let account: Account = client.post(&format!("/v1/accounts/{id}/person"), &Link { with }).await?;
            session.show(&account, account_text)
        }
        Accounts::Person { whose } => {
            let id = which::account(client, whose).await?;
            list(session, &format!("/v1/accounts/{id}/person")).await
        }
        Accounts::Prove => {
            let given: Reference = client.ask("/v1/verification").await?;
            session.show(&given, |given| {
                let where_to = given.verifier.clone().unwrap_or_else(|| "ask the operator".to_owned());
                facts(&[
                    ("reference", given.reference.clone()),
                    ("verifier", where_to),
                    ("until", instant(&given.expires_at)),
                ]) + "Take the reference to the verifier: it is shown this once.\n"
            })
        }
        Accounts::Close { whose } => {
            let id = match whose {
                Some(whose) => which::account(client, whose).await?,
                None => own_account(session).await?,
            };
            let closed: Account = client.ask(&format!("/v1/accounts/{id}/close")).await?;
            session.show(&closed, account_text)
        }
        Accounts::TopUp { whose, amount } => {
            let id = which::account(client, whose).await?;
            let body = TopUp { amount: amount.clone() };
            let balance: Balance = client.post(&format!("/v1/accounts/{id}/top-ups"), &body).await?;
            session.show(&balance, |balance| {
                let Balance { currency, cash, debt, .. } = balance;
                facts(&[("cash", format!("{cash} {currency}")), ("debt", format!("{debt} {currency}"))])
            })
        }
        Accounts::Keys(keys) => self::keys(session, keys).await,
    }
}

async fn list(session: &Session, path: &str) -> Result<(), Failure> {
    let page: Page<Account> = session.client.all(path, &[]).await?;
    session.show(&page, |page| {
        let mut table = Table::new(&["ID", "NAME", "VERIFIED AS", "OPENED", "CLOSED", "ARREARS"]);
        for account in &page.items {
            let verified = account.verified_as.clone().unwrap_or_default();
            let closed = account.closed_at.as_deref().map(instant).unwrap_or_default();
            let (id, name, opened) = (account.id.clone(), account.name.clone(), instant(&account.opened_at));
            table.row([id, name, verified, opened, closed, arrears(account)]);
        }
        table.text("No accounts. `ebb accounts open NAME` opens one.")
    })
}

async fn keys(session: &Session, command: &Keys) -> Result<(), Failure> {
    let path = format!("/v1/accounts/{}/keys", own_account(session).await?);
    match command {
        Keys::List => {
            let page: Page<ApiKey> = session.client.all(&path, &[]).await?;
            session.show(&page, |page| {
                let mut table = Table::new(&["ID", "ROLE", "CREATED"]);
                for key in &page.items {
                    table.row([key.id.clone(), key.role.clone(), instant(&key.created_at)]);
                }
                table.text("No keys.")
            })
        }
        Keys::Create { role } => {
            let key: NewApiKey = session.client.post(&path, &CreateApiKey { role: role.clone() }).await?;
            session.show(&key, |key| {
                facts(&[("id", key.id.clone()), ("role", key.role.clone()), ("secret", key.secret.clone())])
                    + "Keep the secret: it is shown this once.\n"
            })
        }
        Keys::Delete { id } => {
            let answer: serde_json::Value = session.client.delete(&format!("{path}/{id}")).await?;
            session.show(&answer, |_| format!("Key {id} is deleted.\n"))
        }
    }
}

/// The account of `--account`, else that of the key.
async fn own_account(session: &Session) -> Result<String, Failure> {
    if let Some(account) = session.client.account() {
        return Ok(account.to_owned());
    }
    let who: Whoami = session.client.get("/v1/whoami", &[]).await?;
    let account = who.account.map(|account| account.id);
    account.ok_or_else(|| Failure::Usage("an operator's key has no account of its own; give --account".to_owned()))
}

fn account_text(account: &Account) -> String {
    facts(&[
        ("account", account.id.clone()),
        ("name", account.name.clone()),
        ("verified as", account.verified_as.clone().unwrap_or_default()),
        ("opened", instant(&account.opened_at)),
        ("closed", account.closed_at.as_deref().map(instant).unwrap_or_default()),
        ("arrears", arrears(account)),
    ])
}

/// In a word and an instant: how it stands, and what comes next.
fn arrears(account: &Account) -> String {
    let Some(owes) = &account.arrears else { return String::new() };
    match (&owes.next, &owes.next_at) {
        (Some(next), Some(at)) => format!("{}, {next} at {}", owes.state, instant(at)),
        _ => owes.state.clone(),
    }
}
