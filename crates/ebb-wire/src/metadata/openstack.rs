//! What does a guest read in the OpenStack form, which Huawei Cloud's guests use too?

use super::{Answer, Visible, formatted};
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
        "vendor_data.json" => guest.password_hash.map(|hash| Answer::json(&vendor_data(hash))),
        "spot/" | "spot" => Some(Answer::text("instance-action\n")),
        "spot/instance-action" => notice(guest, now),
        _ => None,
    }
}

fn listing(guest: &Visible<'_>) -> String {
    let user_data = guest.user_data.map_or("", |_| "user_data\n");
    let vendor_data = guest.password_hash.map_or("", |_| "vendor_data.json\n");
    format!("meta_data.json\n{user_data}{vendor_data}spot/\n")
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

/// What the provider adds: the password, in words for cloud-init, which sets it at an instance's first boot, and by itself for
/// whoever looks at each.
fn vendor_data(password_hash: &str) -> serde_json::Value {
    // A JSON text is a YAML text, too.
    let chpasswd = json!({
        "chpasswd": { "expire": false, "users": [{ "name": "root", "password": password_hash, "type": "hash" }] },
    });
    json!({ "cloud-init": format!("#cloud-config\n{chpasswd}\n"), "ebb": { "password_hash": password_hash } })
}

/// Huawei documents the form by this one example and no zone. Its other instants are in UTC, and a reader that takes this one for
/// a local time east of Greenwich believes to have less time than it has, never more; so it is UTC here, whole seconds, floored.
fn notice(guest: &Visible<'_>, now: Timestamp) -> Option<Answer> {
    let end = guest.notice(now)?;
    let body = json!({ "action": "terminate", "timestamp": formatted(end.at, "%Y-%m-%d %H:%M:%S") });
    Some(Answer::json(&body).telling(Some(end)))
}

#[cfg(test)]
mod tests {
    use crate::metadata::asking::{EARLY, LATE, ask, ask_with};

    #[test]
    fn the_notice_is_there_from_its_instant_on() {
        let path = "/openstack/latest/spot/instance-action";
        assert_eq!(ask(path, EARLY), "404 there is nothing here");
        assert_eq!(ask(path, LATE), r#"200! {"action":"terminate","timestamp":"2023-06-01 09:15:00"}"#);
        assert_eq!(ask("/openstack/2018-08-27/spot/instance-action", LATE).get(..4), Some("200!"));
    }

    #[test]
    fn a_guest_reads_who_it_is() {
        assert_eq!(ask("/openstack", EARLY).lines().next_back(), Some("latest"));
        assert_eq!(ask("/openstack/latest/", EARLY), "200 meta_data.json\nuser_data\nvendor_data.json\nspot/");
        assert_eq!(ask("/openstack/latest/user_data", EARLY), "200 #!/bin/sh\necho hello");
        let json = ask("/openstack/latest/meta_data.json", EARLY);
        let json: serde_json::Value = serde_json::from_str(json.strip_prefix("200 ").unwrap()).unwrap();
        assert_eq!(json["uuid"], "00000000-0000-0000-0000-000000000007");
        assert_eq!(json["hostname"], "web-1");
        assert_eq!(json["availability_zone"], "home-a");
        assert_eq!(json["public_keys"]["laptop"], "ssh-ed25519 AAAA me");
        assert_eq!(json["meta"]["flavor"], "c6.large.2");
    }

    #[test]
    fn a_password_is_told_hashed_in_words_that_cloud_init_knows() {
        let json = ask("/openstack/latest/vendor_data.json", EARLY);
        let json: serde_json::Value = serde_json::from_str(json.strip_prefix("200 ").unwrap()).unwrap();
        assert_eq!(json["ebb"]["password_hash"], "$6$salt$hash");
        let config = json["cloud-init"].as_str().unwrap().strip_prefix("#cloud-config\n").unwrap();
        let config: serde_json::Value = serde_json::from_str(config).unwrap();
        let user = serde_json::json!({ "name": "root", "password": "$6$salt$hash", "type": "hash" });
        assert_eq!(config["chpasswd"]["users"], serde_json::json!([user]));
    }

    #[test]
    fn what_is_not_there_and_what_is_not_allowed_differ() {
        for path in [
            "/nothing",
            "/openstack/2099-01-01/meta_data.json",
            "/openstack/latest/../x",
            "/openstack/latest/spot/x",
            "",
        ] {
            assert_eq!(ask(path, LATE), "404 there is nothing here", "{path}");
        }
        assert_eq!(ask_with("POST", "/openstack/latest/user_data", &[], LATE).get(..3), Some("405"));
        for path in ["/openstack", "/latest/meta-data/instance-id", "/computeMetadata/v1/", "/metadata/instance"] {
            assert_eq!(ask_with("GET", path, &[("x-forwarded-for", "10.0.0.1")], LATE).get(..3), Some("403"), "{path}");
        }
    }
}
