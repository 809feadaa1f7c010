//! Subscriptions and their deliveries, as the API says them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Say either `webhook` or `email`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// An http or https address, at most 2000 characters.
    #[schema(example = "https://example.com/ebb", max_length = 2000)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    #[schema(example = "ada@example.com", max_length = 254)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Which events; all if not given: `running`, `stopped`, `interruptServer`, `host-lost`, `ended`, `released`, `trial-low`,
    /// `trial-ends-soon`, `trial-ended`, `traffic-low`, `cap-soon`, `cap-reached`, `budget-reached`, `budget-expected`, `renewal-failed`,
    /// `voucher-expires-soon`, `voucher-used-up`, `debt-limit-soon`, `debt-limit-reached`, `arrears-began`, `freeze-soon`, `account-frozen`,
    /// `release-soon`, `arrears-released`, `arrears-cleared`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Subscription {
    pub id: String,
    /// `webhook` or `email`.
    pub kind: String,
    pub address: String,
    pub topics: Vec<String>,
    /// `pending`: asked whether it wants to be told. `confirmed`. `paused`: it took nothing for too long.
    pub state: String,
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<String>,
    /// Since when it has accepted nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_because: Option<String>,
}

/// A new subscription; a webhook's secret is shown this once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewSubscription {
    pub subscription: Subscription,
    /// Signs what is sent there, as Standard Webhooks says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_…")]
    pub secret: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// What was sent to the address.
    pub token: String,
}

/// One thing that is told. It is over when it has `accepted_at` or `given_up_at`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// The event's id, which is also that of the message.
    pub event: String,
    /// `event`, `confirmation` or `test`.
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// When it happened.
    pub at: String,
    pub attempts: i64,
    /// The next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When the receiver said that it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up_at: Option<String>,
}
