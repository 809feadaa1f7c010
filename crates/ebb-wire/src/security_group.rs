//! Security groups, as the API says them: what may come in to instances through public addresses.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Named rules of an account. What no rule of an instance's groups lets in is dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SecurityGroup {
    pub id: String,
    pub account: String,
    pub name: String,
    pub rules: Vec<Rule>,
    pub created_at: String,
}

/// Something that is let in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `tcp`, `udp` or `ping`.
    #[schema(example = "tcp")]
    pub protocol: String,
    /// A port or a range of ports; ping has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "8000-8080")]
    pub ports: Option<String>,
    /// From where, an address or a range of them; from everywhere if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "203.0.113.0/24")]
    pub from: Option<String>,
}

/// A new security group; it lets in nothing before it is given rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSecurityGroup {
    #[schema(max_length = 100)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// The groups that say from now on what may come in to an instance, by name or id: one to five.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChooseSecurityGroups {
    pub groups: Vec<String>,
}
