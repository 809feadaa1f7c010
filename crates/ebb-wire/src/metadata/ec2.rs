//! What do the clouds have in common whose form comes from EC2's: versions, a tree under `meta-data`, the user-data, tokens?

use super::cloud::Cloud;
use super::{Answer, Effect, Request, Visible, only_read, token, tree};
use ebb_model::time::Timestamp;
use serde_json::{Map, Value, json};

/// How one cloud's form differs from another's.
pub(super) struct Form {
    pub cloud: Cloud,
    /// What readers ask for; all of them see the same.
    pub versions: &'static [&'static str],
    /// The header that bears a token, where there are tokens; one that asks for a token has `-ttl-seconds` behind it.
    pub token: Option<(&'static str, &'static str)>,
    pub meta_data: Value,
    pub dynamic: Option<Value>,
    /// The paths under `meta-data` that tell the end, when they are there.
    pub notices: &'static [&'static str],
}

pub(super) fn answer(
    form: &Form,
    guest: &Visible<'_>,
    request: &Request<'_>,
    secret: &[u8],
    now: Timestamp,
) -> Option<Answer> {
    if let Some((_, ttl)) = form.token
        && request.path == "/latest/api/token"
    {
        return Some(issue(form.cloud, ttl, guest, request, secret, now));
    }
    if let Some((name, _)) = form.token {
        let stale = "the token is unknown or has expired: get a new one by PUT /latest/api/token";
        match request.header(name) {
            Some(token) if !token::is_valid(secret, form.cloud, guest, token, now) => {
                return Some(Answer::refusal(401, stale));
            }
            None if guest.tokens_required => {
                return Some(Answer::refusal(401, "this needs a token: get one by PUT /latest/api/token"));
            }
            _ => {}
        }
    }
    read(form, guest, request.path).map(|answer| only_read(request, answer))
}

fn issue(
    cloud: Cloud,
    ttl: &'static str,
    guest: &Visible<'_>,
    request: &Request<'_>,
    secret: &[u8],
    now: Timestamp,
) -> Answer {
    if request.method != "PUT" {
        return Answer::refusal(405, "a token is got by PUT");
    }
    match request.header(ttl).and_then(token::seconds) {
        Some(seconds) => {
            let token = token::issue(secret, cloud, guest, now.plus_seconds(seconds));
            Answer { headers: vec![(ttl, seconds.to_string())], ..Answer::text(token) }
        }
        None => Answer::refusal(400, &format!("say in {ttl} for how many seconds, from 1 to 21600")),
    }
}

fn read(form: &Form, guest: &Visible<'_>, path: &str) -> Option<Answer> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Some(Answer::text(form.versions.join("\n")));
    }
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    if !form.versions.contains(&version) {
        return None;
    }
    let (part, rest) = rest.split_once('/').unwrap_or((rest, ""));
    match part {
        "" => {
            let parts =
                [("dynamic", form.dynamic.is_some()), ("meta-data", true), ("user-data", guest.user_data.is_some())];
            Some(Answer::text(
                parts.iter().filter(|part| part.1).map(|part| format!("{}\n", part.0)).collect::<String>(),
            ))
        }
        "user-data" if rest.is_empty() => guest.user_data.map(Answer::text),
        "dynamic" => tree::find(form.dynamic.as_ref()?, rest).map(|found| Answer::text(tree::text(found))),
        // The one directory whose names bear more than themselves.
        "meta-data" if rest == "public-keys" && !guest.public_keys.is_empty() => {
            let names = guest.public_keys.keys().enumerate().map(|(n, name)| format!("{n}={name}\n"));
            Some(Answer::text(names.collect::<String>()))
        }
        "meta-data" => {
            let found = tree::find(&form.meta_data, rest)?;
            let effect = if form.notices.contains(&rest) { Effect::NoticeRead } else { Effect::None };
            Some(Answer { effect, ..Answer::text(tree::text(found)) })
        }
        _ => None,
    }
}

/// The keys as their numbers, each a directory.
pub(super) fn public_keys(guest: &Visible<'_>) -> Option<Value> {
    let keys = guest.public_keys.values().enumerate();
    let keys: Map<_, _> = keys.map(|(n, key)| (n.to_string(), json!({ "openssh-key": key }))).collect();
    (!keys.is_empty()).then_some(Value::Object(keys))
}

/// Of these facts those that are there.
pub(super) fn facts<const N: usize>(facts: [(&str, Option<Value>); N]) -> Value {
    Value::Object(facts.into_iter().filter_map(|(name, fact)| Some((name.to_owned(), fact?))).collect())
}

/// A card's address as it is written.
pub(super) fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
