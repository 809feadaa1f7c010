//! How is a guest known to have asked for a token? By what only the service can have written: until when, for whom, and a MAC.

use super::Visible;
use super::cloud::Cloud;
use ebb_model::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The lives that a guest may ask for.
const SECONDS: std::ops::RangeInclusive<i64> = 1..=21_600;

/// A life as the header has it.
pub(super) fn seconds(header: &str) -> Option<i64> {
    header.parse().ok().filter(|seconds| SECONDS.contains(seconds))
}

pub(super) fn issue(secret: &[u8], cloud: Cloud, guest: &Visible<'_>, until: Timestamp) -> String {
    let sealed = mac(secret, cloud, guest, until).finalize().into_bytes();
    let digits: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{:016x}{digits}", until.micros())
}

pub(super) fn is_valid(secret: &[u8], cloud: Cloud, guest: &Visible<'_>, token: &str, now: Timestamp) -> bool {
    let Some((until, digits)) = token.split_at_checked(16) else { return false };
    let Ok(until) = i64::from_str_radix(until, 16) else { return false };
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let Some(sealed) = (0..digits.len()).step_by(2).map(pair).collect::<Option<Vec<u8>>>() else { return false };
    let until = Timestamp::from_micros(until);
    now < until && mac(secret, cloud, guest, until).verify_slice(&sealed).is_ok()
}

/// To the instance, not to its address: whoever gets the address next is another.
fn mac(secret: &[u8], cloud: Cloud, guest: &Visible<'_>, until: Timestamp) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key may have any length");
    mac.update(cloud.name().as_bytes());
    mac.update(guest.instance.uuid().as_bytes());
    mac.update(&until.micros().to_be_bytes());
    mac
}
