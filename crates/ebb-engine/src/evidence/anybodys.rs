//! What would people share who have nothing to do with each other? (rules §3.2)

use ebb_model::person::{Kind, PersonTerms};

/// What programs and people write where there is nothing to write.
const PLACEHOLDERS: [&str; 25] = [
    "anonymous",
    "default",
    "dummy",
    "empty",
    "example",
    "fake",
    "false",
    "nan",
    "na",
    "nil",
    "none",
    "nothing",
    "notapplicable",
    "notavailable",
    "notset",
    "null",
    "placeholder",
    "sample",
    "tbd",
    "test",
    "testing",
    "todo",
    "true",
    "undefined",
    "unknown",
];

/// Why a spelling says nothing about whose it is, if it does not.
pub(super) fn anybodys(kind: Kind, normal: &str, terms: &PersonTerms) -> Option<&'static str> {
    let told: Vec<char> = normal.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    let abroad = match kind {
        // A run is one also behind its country's code.
        Kind::Phone => told.iter().copied().skip(terms.country_code.len()).collect(),
        _ => told.clone(),
    };
    if PLACEHOLDERS.contains(&told.iter().collect::<String>().as_str()) {
        return Some("it stands where nothing is known, so anybody could share it; leave it out");
    }
    if [&told, &abroad].into_iter().any(|one| steps(one, 0)) {
        return Some("it is one character again and again, which anybody could share; leave it out");
    }
    let counts = [&told, &abroad].into_iter().any(|one| steps(one, 1) || steps(one, -1));
    counts.then_some("it only counts up or down, which anybody could share; leave it out")
}

/// Whether each character is so many after the one before it; after 9 comes 0.
fn steps(told: &[char], by: i32) -> bool {
    told.windows(2).all(|pair| match (pair[0].to_digit(10), pair[1].to_digit(10)) {
        (Some(one), Some(next)) => (one.cast_signed() + by).rem_euclid(10) == next.cast_signed(),
        _ => u32::from(pair[0]).cast_signed() + by == u32::from(pair[1]).cast_signed(),
    })
}
