//! How does a subscriber read what happened? As a CloudEvent 1.0 in its structured JSON form.

use ebb_model::id::{AccountId, EventId, SubscriptionId};
use ebb_model::instance::Instance;
use ebb_model::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

pub const MEDIA_TYPE: &str = "application/cloudevents+json";

/// Ids are unique for a source, and a repetition has the same id.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CloudEvent {
    specversion: &'static str,
    pub id: String,
    /// The installation.
    source: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    time: String,
    datacontenttype: &'static str,
    pub data: Value,
}

impl CloudEvent {
    fn new(installation: Uuid, id: EventId, kind: String, subject: Option<String>, at: Timestamp, data: Value) -> Self {
        CloudEvent {
            specversion: "1.0",
            id: id.to_string(),
            source: format!("urn:uuid:{installation}"),
            kind,
            subject,
            time: at.to_string(),
            datacontenttype: "application/json",
            data,
        }
    }

    /// What happened to an instance. `body` is the event as the account's log has it; `event` names its kind.
    pub fn of_instance(installation: Uuid, id: EventId, at: Timestamp, about: &Instance, body: Value) -> Self {
        let kind = format!("dev.ebb.instance.{}", name_of(&body));
        let known = json!({
            "account": about.account,
            "instance": about.id,
            "name": about.name,
            "zone": about.zone,
            "flavor": about.flavor,
        });
        Self::new(installation, id, kind, Some(about.id.to_string()), at, with_fields(known, &body))
    }

    /// What happened to an account, as its trial.
    pub fn of_account(installation: Uuid, id: EventId, at: Timestamp, about: AccountId, body: Value) -> Self {
        let kind = format!("dev.ebb.account.{}", name_of(&body));
        let data = with_fields(json!({ "account": about }), &body);
        Self::new(installation, id, kind, Some(about.to_string()), at, data)
    }

    /// Asks whether the receiver wants to be told; it answers with the same token.
    pub fn confirmation(
        installation: Uuid,
        id: EventId,
        at: Timestamp,
        account: AccountId,
        subscription: SubscriptionId,
        token: &str,
    ) -> Self {
        let data = json!({ "account": account, "subscription": subscription, "token": token });
        let subject = Some(subscription.to_string());
        Self::new(installation, id, "dev.ebb.subscription.confirmation".to_owned(), subject, at, data)
    }

    pub fn test(
        installation: Uuid,
        id: EventId,
        at: Timestamp,
        account: AccountId,
        subscription: SubscriptionId,
    ) -> Self {
        let data = json!({ "account": account, "subscription": subscription });
        let subject = Some(subscription.to_string());
        Self::new(installation, id, "dev.ebb.subscription.test".to_owned(), subject, at, data)
    }

    /// The same to the byte in every attempt.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an event of plain values")
    }
}

fn name_of(body: &Value) -> &str {
    body["event"].as_str().unwrap_or_default()
}

fn with_fields(mut data: Value, body: &Value) -> Value {
    for (name, value) in body.as_object().into_iter().flatten().filter(|(name, _)| *name != "event") {
        data[name] = value.clone();
    }
    data
}
