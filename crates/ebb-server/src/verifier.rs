//! Who verifies accounts from outside, and is a message really his? Standard Webhooks, the other way round.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ebb_engine::refusal::Refused;
use ebb_model::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A message is taken within so many seconds of its timestamp.
const TOLERANCE_SECONDS: i64 = 300;
const SHORTEST_SECRET: usize = 24;
/// So long does an account's owner have to take his reference to the verifier.
pub const REFERENCE_SECONDS: i64 = 86_400;

/// What an operator agreed on with a verifier.
pub struct Verifier {
    secrets: Vec<Vec<u8>>,
    pub url: Option<String>,
}

impl Verifier {
    /// One secret a line, as Standard Webhooks writes them; several while one takes over from another.
    ///
    /// # Errors
    /// A line is none.
    pub fn new(secrets: &str, url: Option<String>) -> Result<Self, String> {
        let lines = secrets.lines().map(str::trim).filter(|line| !line.is_empty());
        let read =
            |line: &str| STANDARD.decode(line.strip_prefix("whsec_")?).ok().filter(|s| s.len() >= SHORTEST_SECRET);
        let secrets: Option<Vec<Vec<u8>>> = lines.map(read).collect();
        match secrets.filter(|secrets| !secrets.is_empty()) {
            Some(secrets) => Ok(Self { secrets, url }),
            None => {
                Err(format!("the verifier's secret is a line `whsec_` and {SHORTEST_SECRET} bytes or more in base64"))
            }
        }
    }

    /// Whether a message is the verifier's, and of now.
    ///
    /// # Errors
    /// It is not, or too old, or from the future.
    pub fn check(&self, message: &Message, now: Timestamp) -> Result<(), Refused> {
        let timestamp: i64 =
            message.timestamp.parse().map_err(|_| Refused::Forged("webhook-timestamp is no number of seconds"))?;
        // Signed first: who cannot sign learns nothing of the clock.
        let signed = [message.id.as_bytes(), b".", message.timestamp.as_bytes(), b".", message.body].concat();
        let given = message.signature.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
        let is_ours = |signature: &Vec<u8>| {
            self.secrets.iter().any(|secret| {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
                mac.update(&signed);
                mac.verify_slice(signature).is_ok()
            })
        };
        if !given.into_iter().any(|signature| is_ours(&signature)) {
            return Err(Refused::Forged("no signature in webhook-signature is right"));
        }
        match now.second().unix().abs_diff(timestamp) > TOLERANCE_SECONDS.unsigned_abs() {
            true => Err(Refused::StaleSignature(TOLERANCE_SECONDS)),
            false => Ok(()),
        }
    }
}

/// A message as it came.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub id: &'a str,
    pub timestamp: &'a str,
    pub signature: &'a str,
    pub body: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_example_is_taken_and_nothing_else() {
        // The example that the libraries of Standard Webhooks test themselves with; its secret has 24 bytes.
        let verifier = Verifier::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", None).expect("a secret");
        let message = Message {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp: "1614265330",
            signature: "v1a,bm90IG91cnM= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            body: br#"{"test": 2432232314}"#,
        };
        let at = |seconds: i64| Timestamp::from_micros((1_614_265_330 + seconds) * 1_000_000);
        assert_eq!(verifier.check(&message, at(300)), Ok(()));
        assert_eq!(verifier.check(&message, at(-300)), Ok(()));
        assert_eq!(verifier.check(&message, at(301)).map_err(|e| e.code()), Err("signature-stale"));
        for wrong in [
            Message { id: "msg_other", ..message },
            Message { timestamp: "1614265331", ..message },
            Message { timestamp: "soon", ..message },
            Message { body: b"{}", ..message },
            Message { signature: "", ..message },
            Message { signature: "v1,", ..message },
            Message { signature: "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", ..message },
        ] {
            assert_eq!(verifier.check(&wrong, at(0)).map_err(|e| e.code()), Err("signature"));
        }
        for secrets in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_?"] {
            assert!(Verifier::new(secrets, None).is_err(), "{secrets}");
        }
    }
}
