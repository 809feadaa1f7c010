//! What does a guest read in Google Cloud's form, and how does it wait to hear of a change?

use super::{Answer, Effect, Reply, Request, Visible, Wait, nothing, only_read, tree};
use ebb_model::time::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

const FLAVOR: &str = "Metadata-Flavor";
const PREEMPTED: [&str; 4] = ["computeMetadata", "v1", "instance", "preempted"];
/// A question does not wait longer than this, whatever it says.
const LONGEST_WAIT_SECONDS: i64 = 300;

pub(super) fn answer(guest: &Visible<'_>, request: &Request<'_>, now: Timestamp) -> Reply {
    let reply = if request.header("metadata-flavor") == Some("Google") {
        read(guest, request, now)
    } else {
        Reply::Now(Answer::refusal(403, "send the header `Metadata-Flavor: Google`"))
    };
    match reply {
        Reply::Now(mut answer) => {
            answer.headers.push((FLAVOR, "Google".to_owned()));
            Reply::Now(answer)
        }
        waits => waits,
    }
}

fn read(guest: &Visible<'_>, request: &Request<'_>, now: Timestamp) -> Reply {
    let tree = json!({ "computeMetadata": { "v1": facts(guest, now) } });
    let Some(found) = tree::find(&tree, request.path) else { return Reply::Now(nothing()) };
    let is_on = |parameter: &str| request.parameter(parameter).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let is_directory = found.is_object() || found.is_array();
    let all_of_it = is_on("recursive") && is_directory;
    let names: Vec<&str> = request.path.split('/').filter(|name| !name.is_empty()).collect();
    let tells = PREEMPTED.starts_with(&names) && (all_of_it || names.len() == PREEMPTED.len());
    let mut answer = match request.parameter("alt") {
        None | Some("json") if all_of_it && names.contains(&"attributes") => Answer::json(found),
        None | Some("json") if all_of_it => Answer::json(&in_one(found)),
        Some("json") if !is_directory => Answer::json(found),
        _ => Answer { content_type: "application/text", ..Answer::text(tree::text(found)) },
    };
    let etag = etag(&answer.body);
    if is_on("wait_for_change") && request.method == "GET" {
        let timeout = request.parameter("timeout_sec").map_or(Ok(LONGEST_WAIT_SECONDS), str::parse);
        let Some(seconds) = timeout.ok().filter(|seconds: &i64| *seconds >= 0) else {
            return Reply::Now(Answer::refusal(400, "timeout_sec is a number of seconds"));
        };
        let fresh = Wait {
            until: now.plus_seconds(seconds.min(LONGEST_WAIT_SECONDS)),
            // One that is none of ours is of another state, so there is something to tell.
            seen: request.parameter("last_etag").map_or(etag, |last| u64::from_str_radix(last, 16).unwrap_or(!etag)),
        };
        let wait = request.waiting.unwrap_or(fresh);
        if wait.seen == etag && now < wait.until {
            return Reply::Wait(wait);
        }
    }
    if tells && guest.notice(now).is_some() {
        answer.effect = Effect::NoticeRead;
    }
    answer.headers.push(("ETag", format!("{etag:016x}")));
    Reply::Now(only_read(request, answer))
}

fn etag(body: &str) -> u64 {
    let hash = Sha256::digest(body);
    u64::from_be_bytes(hash[..8].try_into().expect("eight bytes of thirty-two"))
}

/// There are no projects: what would name one has the number 0.
fn facts(guest: &Visible<'_>, now: Timestamp) -> Value {
    let keys: Vec<_> = guest.public_keys.values().map(|key| format!("root:{key}")).collect();
    let mut attributes = Map::new();
    if !keys.is_empty() {
        attributes.insert("ssh-keys".to_owned(), json!(keys.join("\n")));
    }
    attributes.extend(guest.user_data.map(|text| ("user-data".to_owned(), json!(text))));
    let cards: Vec<_> = guest
        .network
        .iter()
        .map(|network| json!({ "ip": network.address, "mac": super::ec2::mac(network.mac) }))
        .collect();
    // A number of at most 63 bits, from the part of the id that is random.
    let id = guest.instance.uuid().as_u128() as u64 & i64::MAX as u64;
    json!({
        "instance": {
            "attributes": attributes,
            "hostname": guest.hostname,
            "id": id,
            "image": guest.image,
            "machine-type": format!("projects/0/machineTypes/{}", guest.flavor),
            "maintenance-event": "NONE",
            "name": if guest.name.is_empty() { guest.hostname } else { guest.name },
            "network-interfaces": cards,
            "preempted": if guest.notice(now).is_some() { "TRUE" } else { "FALSE" },
            "zone": format!("projects/0/zones/{}", guest.zone),
        },
        "project": { "attributes": {}, "numeric-project-id": 0 },
    })
}

/// A directory with all below it. There the names are written `likeThis`, but for those that a user gave.
fn in_one(value: &Value) -> Value {
    match value {
        Value::Object(names) => {
            let below = |(name, value): (&String, &Value)| match name.as_str() {
                "attributes" => (name.clone(), value.clone()),
                _ => (humped(name), in_one(value)),
            };
            Value::Object(names.iter().map(below).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(in_one).collect()),
        leaf => leaf.clone(),
    }
}

fn humped(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| all + &word[..1].to_ascii_uppercase() + &word[1..])
}

#[cfg(test)]
mod tests {
    use crate::metadata::asking::{EARLY, LATE, ask_with, reply};
    use crate::metadata::{Reply, Wait};
    use serde_json::Value;

    const GOOGLE: &[(&str, &str)] = &[("metadata-flavor", "Google")];
    const PATH: &str = "/computeMetadata/v1/instance/preempted";

    fn ask(path: &str, now: &str) -> String {
        ask_with("GET", path, GOOGLE, now)
    }

    #[test]
    fn it_is_false_and_then_true() {
        assert_eq!(ask(PATH, EARLY), "200 FALSE");
        assert_eq!(ask(PATH, LATE), "200! TRUE");
        assert_eq!(ask("/computeMetadata/v1/instance/id", LATE).get(..4), Some("200 "), "that tells nothing");
        assert_eq!(ask_with("POST", PATH, GOOGLE, LATE).get(..3), Some("405"));
        assert_eq!(ask("/computeMetadata/v1/instance/none", LATE).get(..3), Some("404"));
    }

    #[test]
    fn who_does_not_say_the_word_is_told_nothing() {
        for headers in [&[][..], &[("metadata-flavor", "Azure")][..]] {
            assert_eq!(ask_with("GET", PATH, headers, LATE).get(..3), Some("403"));
            let Reply::Now(answer) = reply(PATH, headers, LATE, None) else { panic!("it need not wait") };
            assert_eq!(answer.headers, [("Metadata-Flavor", "Google".to_owned())], "but whom it asked");
        }
    }

    #[test]
    fn directories_list_and_give_all_at_once() {
        assert_eq!(ask("/", EARLY), "200 computeMetadata/");
        assert_eq!(ask("/computeMetadata/v1/", EARLY), "200 instance/\nproject/");
        assert_eq!(ask("/computeMetadata/v1/instance/attributes/", EARLY), "200 ssh-keys\nuser-data");
        assert_eq!(ask("/computeMetadata/v1/instance/network-interfaces/0/ip", EARLY), "200 10.77.0.10");
        assert_eq!(ask("/computeMetadata/v1/instance/zone", EARLY), "200 projects/0/zones/home-a");
        let all: Value =
            serde_json::from_str(&ask("/computeMetadata/v1//?recursive=true&alt=json", EARLY)[4..]).unwrap();
        assert_eq!(all["instance"]["networkInterfaces"][0]["mac"], "52:54:0a:4d:00:0a");
        assert_eq!(all["instance"]["attributes"]["ssh-keys"], "root:ssh-ed25519 AAAA me");
        let own = ask("/computeMetadata/v1/instance/attributes/?recursive=true", LATE);
        assert!(own.starts_with("200 {") && own.contains(r#""user-data":"#), "{own}");
        assert_eq!(ask("/computeMetadata/v1/instance/?recursive=true", LATE).get(..4), Some("200!"));
    }

    fn wait(query: &str, now: &str, waiting: Option<Wait>) -> Result<String, Wait> {
        match reply(&format!("{PATH}?wait_for_change=true{query}"), GOOGLE, now, waiting) {
            Reply::Now(answer) => Ok(answer.body),
            Reply::Wait(wait) => Err(wait),
        }
    }

    #[test]
    fn it_waits_for_a_change_and_no_longer_than_it_was_told() {
        let waiting = wait("&timeout_sec=20", "2023-06-01T09:09:50Z", None).unwrap_err();
        assert_eq!(waiting.until.to_string(), "2023-06-01T09:10:10Z");
        assert_eq!(wait("&timeout_sec=20", EARLY, Some(waiting)), Err(waiting));
        assert_eq!(wait("&timeout_sec=20", LATE, Some(waiting)), Ok("TRUE".to_owned()));
        let short = wait("&timeout_sec=5", "2023-06-01T09:09:50Z", None).unwrap_err();
        assert_eq!(wait("&timeout_sec=5", "2023-06-01T09:09:55Z", Some(short)), Ok("FALSE".to_owned()));
        let unlimited = wait("", "2023-06-01T09:00:00Z", None).unwrap_err();
        assert_eq!(unlimited.until.to_string(), "2023-06-01T09:05:00Z");
        assert_eq!(wait("&timeout_sec=soon", EARLY, None).unwrap(), "timeout_sec is a number of seconds\n");
    }

    #[test]
    fn who_knows_an_older_state_need_not_wait() {
        let etag = |now: &str| {
            let Reply::Now(answer) = reply(PATH, GOOGLE, now, None) else { panic!("it need not wait") };
            answer.headers.into_iter().find(|(name, _)| *name == "ETag").unwrap().1
        };
        let known = format!("&last_etag={}", etag(EARLY));
        assert!(wait(&known, EARLY, None).is_err());
        assert_eq!(wait(&known, LATE, None), Ok("TRUE".to_owned()));
        for strange in ["NONE", "0", ""] {
            assert_eq!(wait(&format!("&last_etag={strange}"), EARLY, None), Ok("FALSE".to_owned()));
        }
    }
}
