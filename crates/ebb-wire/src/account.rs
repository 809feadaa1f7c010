//! Accounts, keys, money and the trial, as the API says them. Money is a decimal text in the catalog's currency.

use crate::address::TrafficParts;
use crate::person::Evidence;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenAccount {
    #[schema(example = "Ada", max_length = 100)]
    pub name: String,
    /// What was seen at the registration, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    pub id: String,
    pub name: String,
    /// `individual` or `enterprise` once verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_as: Option<String>,
    pub opened_at: String,
    /// From then on it can only be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<String>,
    /// How it stands if it owes; told where one account or a list of them is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrears: Option<Arrears>,
}

/// An account that owes: since when, and what follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Arrears {
    /// `grace`, `frozen` or `released`.
    #[schema(example = "grace")]
    pub state: String,
    pub debt: String,
    /// The settlement that left the debt.
    pub since: String,
    /// Since then nothing of what is frozen is charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_since: Option<String>,
    /// `freeze` or `release`; none once all is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Its second, if all goes on as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<String>,
    /// Of a freeze to come: `grace` or `debt-limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The same for people.
    pub says: String,
}

/// A new account and its owner's key, shown this once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OpenedAccount {
    pub account: Account,
    pub key: NewApiKey,
}

/// Another account of the same person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub with: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// `individual` or `enterprise`.
    #[schema(example = "individual")]
    pub holder: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// `owner`, `member` or `auditor`.
    #[schema(example = "member")]
    pub role: String,
}

/// The secret is shown once; Ebb keeps only its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewApiKey {
    pub id: String,
    pub role: String,
    pub secret: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    pub id: String,
    pub role: String,
    pub created_at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// At most 8 decimals, above 0.
    #[schema(example = "100.00")]
    pub amount: String,
}

/// Who is asking, as the key says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    pub role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Balance {
    pub currency: String,
    pub cash: String,
    pub debt: String,
    /// Held back for what runs and is not settled yet.
    pub held: String,
    /// Cash that is not held: what can be spent. What vouchers would pay of what is held needs no cash.
    pub available: String,
    /// What is left of coupons and cards that are valid now.
    #[serde(default)]
    pub vouchers: String,
    /// Exact running totals of everything settled: waived, paid by the grant, payable.
    pub settled: Parts,
    /// What of that was given back since; absent if nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjusted: Option<GivenBack>,
    /// What the running hour and unreleased blocks come to, to this second.
    pub accruing: Parts,
    /// How the account stands if it owes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrears: Option<Arrears>,
    /// What is held, and for what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// This calendar month.
    pub month: Month,
    /// What is meant to be spent in a month, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    pub as_of: String,
}

/// What adjustments came to, by where it went; with 8 decimals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GivenBack {
    pub debt: String,
    pub cash: String,
    /// To coupons and cards that may pay with it again.
    pub vouchers: String,
    /// To those that were expired or revoked: gone like the rest of them.
    pub vouchers_gone: String,
    pub grant: String,
    /// To a grant that was over.
    pub expired: String,
}

/// Money held back for an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    pub instance: String,
    pub amount: String,
    /// When that is settled, if all goes on as it is; absent: not while the instance stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What is payable of a calendar month, in the catalog's time zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Month {
    pub since: String,
    pub until: String,
    pub settled: String,
    /// Blocks that end in a later month are payable there.
    pub accruing: String,
    pub together: String,
    /// When the month is over, if all goes on as it is; `GET /v1/forecast` says how that comes about.
    pub expected: String,
}

/// One sum of money by how it is paid; with 8 decimals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Parts {
    pub waived: String,
    pub grant: String,
    /// With that of traffic.
    pub payable: String,
    /// Of what is payable: paid by coupons and cards; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouchers: Option<String>,
    /// Of traffic alone; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficParts>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trial {
    pub holder: String,
    pub claimed_at: String,
    pub valid_until: String,
    pub issued: String,
    pub hourly_cap: String,
    /// Used by closed hours.
    pub settled: String,
    /// Taken away by the operator.
    pub revoked: String,
    /// Used by the running hour, to this second.
    pub accruing: String,
    /// Left after both.
    pub left: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddKeyPair {
    #[schema(example = "laptop", max_length = 100)]
    pub name: String,
    /// One line in OpenSSH's form.
    #[schema(example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8eLz8Zn0y0iZp2mEo1bTqS5b0n7Qf0Zl6Yp3o0w9aB ada@laptop")]
    pub public_key: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyPair {
    pub id: String,
    pub name: String,
    pub public_key: String,
    pub created_at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoggedEvent {
    pub id: String,
    pub account: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    pub at: String,
    /// The fact itself: `event` names its kind.
    pub body: serde_json::Value,
}
