//! Whose an account is, as the API says it: evidence, verification, what stands against a claim, appeals.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One piece of what an account was seen with. What it says is hashed under a key and kept nowhere.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// `document`, `phone`, `payment-account`, `device` or `address`.
    #[schema(example = "phone")]
    pub kind: String,
    #[schema(example = "+86 138 0013 8000", max_length = 256)]
    pub value: String,
}

/// What it says stays out of logs too.
impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Evidence({})", self.kind)
    }
}

/// What an account was seen with at one time: pieces of kinds that count only together are taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// `registration`, `log-in`, `use` or `operator`.
    #[schema(example = "log-in")]
    pub seen_at: String,
    /// At most 16.
    pub evidence: Vec<Evidence>,
}

/// What a report brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Learned {
    pub account: String,
    /// Kinds that were not known of this account.
    pub new: Vec<String>,
    /// Kinds that it shares with accounts that were another person until now.
    pub linked: Vec<String>,
}

/// That an account was seen with something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sighting {
    pub id: String,
    pub kind: String,
    pub source: String,
    pub first_seen_at: String,
    /// Another account was seen with the same.
    pub shared: bool,
}

/// What the account's owner takes to the verifier, who names it in his message. Shown this once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reference {
    pub reference: String,
    pub expires_at: String,
    /// Where the verifier is, if the operator said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
}

/// The message of an outside verifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    pub reference: String,
    /// `verified` or `refused`.
    #[schema(example = "verified")]
    pub outcome: String,
    /// `individual` or `enterprise`; with `verified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "individual")]
    pub holder: Option<String>,
    /// What was seen, at most 16.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
}

/// The message was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Taken {
    pub outcome: String,
}

/// Whether the account could claim now, and what stands against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    pub eligible: bool,
    /// An operator could overrule all that stands against it.
    pub may_appeal: bool,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Condition {
    /// `open`, `verified`, `no-arrears`, `never-claimed`, `never-ran`, `one-holder`, `person-never-claimed`, `person-never-ran`.
    pub name: String,
    /// `met`, `overruled` or `failed`.
    pub finding: String,
    /// The code of the refusal, unless it is met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Its rule, the kind of evidence and the way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeAppeal {
    /// Why the refusal is wrong, at most 2000 characters.
    #[schema(example = "My sister registered with my phone.", max_length = 2000)]
    pub text: String,
}

/// Why an operator decides as he does. The account's owner reads it; it names nobody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    #[schema(example = "Two people, as their documents show.", max_length = 500)]
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Appeal {
    pub id: String,
    pub account: String,
    pub made_at: String,
    /// Absent where the operator overruled without being asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `waiting`, `overruled` or `rejected`.
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<String>,
    /// The operator's key that decided; shown to operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// The codes of the refusals that an overrule lifts, as far as they come from what was done until `decided_at`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lifts: Vec<String>,
    /// When the account claimed by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<String>,
}

/// A key under which evidence is hashed; the key itself is in a file of the operator's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceKey {
    pub number: i64,
    pub fingerprint: String,
    pub made_at: String,
    /// How many hashes are under it; those under older ones come under the newest by and by.
    pub hashes: i64,
}
