//! How is a thing named? Typed ids: a letter, a dash and a UUID (version 7, so that they sort by birth).

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text that is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {article} id: it looks like `{prefix}-` and 32 hexadecimal digits")]
pub struct NotAnId {
    text: String,
    article: &'static str,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $article:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            pub fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "-{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                // One spelling only: ids are compared as text in the database.
                text.strip_prefix(concat!($prefix, "-"))
                    .filter(|hex| hex.len() == 32 && !hex.bytes().any(|b| b.is_ascii_uppercase()))
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| NotAnId {
                        text: text.chars().take(60).collect(),
                        article: $article,
                        prefix: $prefix,
                    })
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;

            fn try_from(text: String) -> Result<Self, NotAnId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

id!(
    /// A customer: holds the balance, the grant and the instances.
    AccountId, "a", "an account"
);
id!(
    /// One bought machine, from purchase to release.
    InstanceId, "i", "an instance"
);
id!(
    /// A bearer key of the API (not the secret itself).
    ApiKeyId, "k", "an API key"
);
id!(
    /// An SSH public key of an account.
    KeyPairId, "p", "a key pair"
);
id!(
    /// A machine that lends capacity.
    HostId, "h", "a host"
);
id!(
    /// An interval of use of one resource under one meter.
    SpanId, "u", "a usage span"
);
id!(
    /// A line of a bill.
    RecordId, "r", "a bill record"
);
id!(
    /// A piece of evidence of whose an account is; what it says is nowhere.
    EvidenceId, "s", "a piece of evidence"
);
id!(
    /// An appeal against what stands against a claim.
    AppealId, "l", "an appeal"
);
id!(
    /// A balanced entry of the ledger.
    EntryId, "e", "an entry"
);
id!(
    /// An event of an account's log.
    EventId, "v", "an event"
);
id!(
    /// A stored decision of the planner: who was taken, and why.
    DecisionId, "d", "a decision"
);
id!(
    /// Where an account wants to be told of what happens to its instances.
    SubscriptionId, "n", "a subscription"
);
id!(
    /// An interruption that an owner asked for, of one instance or of many.
    DrillId, "x", "a drill"
);
id!(
    /// What asks for drills again and again.
    ScheduleId, "w", "a drill schedule"
);
id!(
    /// A coupon or a stored-value card.
    VoucherId, "c", "a voucher"
);
id!(
    /// A public address, whose traffic is counted.
    AddressId, "g", "a public address"
);
id!(
    /// What was given back of a bill record, and why.
    AdjustmentId, "j", "an adjustment"
);
id!(
    /// A data disk.
    DiskId, "disk", "a data disk"
);
id!(
    /// What a disk held at one instant.
    SnapshotId, "snap", "a snapshot"
);
id!(
    /// An image of an account; those of the catalog have names.
    ImageId, "img", "an image"
);
id!(
    /// Rules about what may come in.
    SecurityGroupId, "sg", "a security group"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_refuses_other_kinds_and_spellings() {
        let id = InstanceId::new(Uuid::from_u128(7));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<AccountId>().is_err());
        assert!(id.to_string().to_uppercase().parse::<InstanceId>().is_err());
        assert!("i-7".parse::<InstanceId>().is_err());
    }
}
