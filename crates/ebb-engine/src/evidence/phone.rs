//! How is a phone's number written? E.164, with the country code that is meant where none is written (rules §3.2).

use super::is_dash;
use ebb_model::person::PersonTerms;

/// # Errors
/// It is no number, or none that anybody has.
pub(super) fn phone(text: &str, terms: &PersonTerms) -> Result<String, String> {
    let wrong = || "write a phone as +86 138 0013 8000, 0086 … or as it is dialled within the country".to_owned();
    let apart = |c: char| c.is_whitespace() || is_dash(c) || matches!(c, '.' | '(' | ')' | '/');
    let text = text.trim_start_matches(apart);
    let international = text.starts_with('+') || text.starts_with("00");
    // A zero in brackets is the one that is left out when calling from abroad.
    let text = if international { text.replace("(0)", "") } else { text.to_owned() };
    let dialled: String = text.strip_prefix('+').unwrap_or(&text).chars().filter(|c| !apart(*c)).collect();
    if dialled.is_empty() || !dialled.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let (code, trunk) = (terms.country_code.as_str(), terms.trunk_prefix.as_str());
    let within = |number: &str| format!("+{code}{}", national(number, terms));
    // Both signs at once mean no more than one. No country's code begins with a zero.
    let abroad = |number: &str| match number.strip_prefix("00").unwrap_or(number) {
        number if number.starts_with('0') => Err(wrong()),
        number => Ok(number.strip_prefix(code).map_or_else(|| format!("+{number}"), within)),
    };
    let whole = match dialled.strip_prefix("00") {
        _ if text.starts_with('+') => abroad(&dialled)?,
        Some(number) => abroad(number)?,
        None if !trunk.is_empty() && dialled.starts_with(trunk) => within(&dialled),
        None if dialled.len() > terms.national_digits => abroad(&dialled)?,
        None => within(&dialled),
    };
    match whole.len() {
        9..=16 => Ok(whole),
        _ => Err(wrong()),
    }
}

/// A number within the country, however often what leads there was written before it.
fn national<'a>(mut number: &'a str, terms: &PersonTerms) -> &'a str {
    loop {
        let trunk = number.strip_prefix(&terms.trunk_prefix).filter(|rest| rest.len() < number.len());
        let code = number.strip_prefix(&terms.country_code).filter(|_| number.len() > terms.national_digits);
        match trunk.or(code) {
            Some(rest) => number = rest,
            None => return number,
        }
    }
}
