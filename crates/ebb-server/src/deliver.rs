//! How does a word leave the house? What is needed to sign it, to reach its receiver, and to be stopped from reaching others.

pub mod address;
pub mod mail;
pub mod message;
mod owing;
pub mod secret;
pub mod webhook;

use address::Network;
use mail::Mail;
use rustls::pki_types::CertificateDer;
use secret::Keys;
use std::time::Duration;

/// What an operator says about deliveries.
#[derive(Clone, Default)]
pub struct DeliveryConfig {
    /// Keys from which secrets of subscriptions are derived, one a line: the first for new ones. They are kept outside the database,
    /// so that a copy of it betrays none. `None` in a sandbox: made of its seed.
    pub keys: Option<String>,
    /// Networks that webhooks may be in, beside the public internet.
    pub networks: Vec<Network>,
    /// Certificate authorities in PEM, beside those of this machine.
    pub trust: Option<Vec<u8>>,
    pub smtp: Option<mail::SmtpConfig>,
    /// Where subscribers reach the API, such as `https://ebb.example.com`: mails name it for whoever wants no more of them.
    pub public_url: Option<String>,
}

/// Everything a delivery needs beside its rows.
pub struct Deliverer {
    pub keys: Keys,
    pub outside: webhook::Outside,
    pub mail: Option<Mail>,
    pub public_url: Option<String>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With what the receiver said.
    Accepted(Vec<u8>),
    Failed(String),
    /// The receiver says that it is no more.
    Gone(String),
}

impl Deliverer {
    /// # Errors
    /// Which part of the configuration cannot be used.
    pub fn new(config: DeliveryConfig) -> Result<Self, String> {
        let authorities = authorities(config.trust.as_deref())?;
        Ok(Self {
            keys: Keys::read(config.keys.as_deref().unwrap_or_default())?,
            mail: config.smtp.map(|smtp| Mail::new(smtp, &authorities)).transpose()?,
            outside: webhook::Outside::new(config.networks, authorities),
            public_url: config.public_url.map(|url| url.trim_end_matches('/').to_owned()),
        })
    }
}

/// What the operator trusts beside the machine's own authorities.
fn authorities(pem: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, String> {
    use rustls::pki_types::pem::PemObject;
    let Some(pem) = pem else { return Ok(vec![]) };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err("the trusted authorities: no certificate in PEM is in the file".to_owned()),
        Err(error) => Err(format!("the trusted authorities: {error}")),
    }
}

/// A receiver of webhooks has so long in all, from the look-up of its name to the last byte of its answer.
pub const WEBHOOK_PATIENCE: Duration = Duration::from_secs(5);
