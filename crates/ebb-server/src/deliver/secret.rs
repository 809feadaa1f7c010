//! What proves that a message is ours, and that a receiver wants it? Secrets that are derived when they are needed, and kept nowhere.
//!
//! A subscription's secret is HMAC-SHA256(key of the installation, its id). The key lies outside the database; a copy of the database
//! holds a digest of each secret, which tells under which key it was made and that the right key is at hand.

use crate::mint::{digest, hex};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ebb_model::id::SubscriptionId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Keys of an installation, the newest first.
pub struct Keys(Vec<String>);

const SHORTEST_KEY: usize = 32;

/// What is derived for one subscription.
pub struct Secrets {
    signing: [u8; 32],
    /// Whoever has it can read what is sent to the address.
    pub confirmation: String,
    /// Whoever has it may end the subscription.
    pub unsubscription: String,
}

impl Keys {
    /// One key a line, the newest first.
    pub fn read(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Vec<String> = lines.map(str::to_owned).collect();
        if keys.is_empty() || keys.iter().any(|key| key.len() < SHORTEST_KEY) {
            return Err(format!("a key for subscriptions is a line of {SHORTEST_KEY} characters or more"));
        }
        Ok(Self(keys))
    }

    /// For a new subscription.
    pub fn newest(&self, id: SubscriptionId) -> Secrets {
        Secrets::derive(&self.0[0], id)
    }

    /// For one whose secret has this digest. `None`: its key is not at hand any more.
    pub fn of(&self, id: SubscriptionId, hash: &str) -> Option<Secrets> {
        self.0.iter().map(|key| Secrets::derive(key, id)).find(|secrets| secrets.hash() == hash)
    }
}

impl Secrets {
    fn derive(key: &str, id: SubscriptionId) -> Self {
        // Each purpose has its own: who is shown the one that signs must not be able to compute the one that confirms.
        let derived = |purpose: &str| mac(key.as_bytes(), format!("{purpose} {id}").as_bytes());
        Self {
            signing: derived("sign"),
            confirmation: hex(&derived("confirm")[..16]),
            unsubscription: hex(&derived("unsubscribe")[..16]),
        }
    }

    pub fn hash(&self) -> String {
        digest(&self.signing)
    }

    /// As its owner is shown it.
    pub fn shown(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.signing))
    }

    /// `webhook-signature`, as Standard Webhooks says.
    pub fn signature(&self, id: &str, timestamp: i64, body: &str) -> String {
        format!("v1,{}", STANDARD.encode(mac(&self.signing, format!("{id}.{timestamp}.{body}").as_bytes())))
    }
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// Whether two tokens are equal, in a time that does not tell where they differ.
pub fn same(one: &str, other: &str) -> bool {
    digest(one.as_bytes()) == digest(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_signature_is_that_of_the_standards_example() {
        // The example that the libraries of Standard Webhooks test themselves with.
        let signing = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let body = r#"{"test": 2432232314}"#;
        let signed = mac(&signing, format!("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{body}").as_bytes());
        assert_eq!(STANDARD.encode(signed), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_new_key_serves_new_subscriptions_and_the_old_one_those_that_were_made_under_it() {
        let (old, new) = ("o".repeat(64), "n".repeat(64));
        let id = SubscriptionId::new(Uuid::from_u128(7));
        let made = Keys::read(&old).expect("a key").newest(id);
        let both = Keys::read(&format!("{new}\n{old}\n")).expect("two keys");
        assert_eq!(both.of(id, &made.hash()).map(|found| found.shown()), Some(made.shown()));
        assert_ne!(both.newest(id).shown(), made.shown());
        assert!(Keys::read(&new).expect("a key").of(id, &made.hash()).is_none(), "its key is gone");
        assert!(Keys::read("short").is_err());
        assert!(made.confirmation != made.unsubscription && !made.shown().contains(&made.confirmation));
    }
}
