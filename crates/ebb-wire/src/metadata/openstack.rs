//! What does a guest read in the OpenStack form, which Huawei Cloud's guests use too?

use super::{Answer, Visible};
use ebb_model::time::Timestamp;
use serde_json::json;

/// What readers ask for; all of them see the same.
const VERSIONS: [&str; 8] =
    ["2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2017-02-22", "2018-08-27", "latest"];

pub(super) fn answer(guest: &Visible<'_>, path: &str, now: Timestamp) -> Option<Answer> {
    let rest = path.strip_prefix("/openstack")?;
    if matches!(rest, "" | "/") {
        return Some(Answer::text(VERSIONS.join("\n")));
    }
    let (version, rest) = rest.strip_prefix('/')?.split_once('/').unwrap_or((&rest[1..], ""));
    if !VERSIONS.contains(&version) {
        return None;
    }
    match rest {
        "" => Some(Answer::text(listing(guest))),
        "meta_data.json" => Some(Answer::json(&meta_data(guest))),
        "user_data" => guest.user_data.map(Answer::text),
        "spot/" | "spot" => Some(Answer::text("instance-action\n")),
        "spot/instance-action" => notice(guest, now),
        _ => None,
    }
}

fn listing(guest: &Visible<'_>) -> String {
    let user_data = guest.user_data.map_or("", |_| "user_data\n");
    format!("meta_data.json\n{user_data}spot/\n")
}

fn meta_data(guest: &Visible<'_>) -> serde_json::Value {
    let keys: Vec<_> =
        guest.public_keys.iter().map(|(name, key)| json!({"name": name, "type": "ssh", "data": key})).collect();
    json!({
        "uuid": guest.instance.uuid(),
        "name": guest.name,
        "hostname": guest.hostname,
        "availability_zone": guest.zone,
        "launch_index": 0,
        "public_keys": guest.public_keys,
        "keys": keys,
        "meta": { "instance": guest.instance, "flavor": guest.flavor },
    })
}

/// Huawei documents the form by this one example and no zone. Its other instants are in UTC, and a reader that takes this one for
/// a local time east of Greenwich believes to have less time than it has, never more; so it is UTC here, whole seconds, floored.
fn notice(guest: &Visible<'_>, now: Timestamp) -> Option<Answer> {
    let end = guest.notice(now)?;
    let at = jiff::Timestamp::from_second(end.at.second().unix()).ok()?;
    let timestamp = at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let body = json!({ "action": "terminate", "timestamp": timestamp });
    Some(Answer { is_notice: true, ..Answer::json(&body) })
}
