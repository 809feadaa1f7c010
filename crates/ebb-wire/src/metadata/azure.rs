//! What does a guest read in Azure's form, and how does it say that it is ready to go?

use super::{Answer, Effect, End, Request, Visible, formatted, tree};
use ebb_model::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Versions in which an instance may be evicted; later ones say more of an event.
const EVENTS: [&str; 5] = ["2017-11-01", "2019-01-01", "2019-04-01", "2019-08-01", "2020-07-01"];
const INSTANCE: [&str; 8] =
    ["2017-08-01", "2017-12-01", "2018-10-01", "2019-06-01", "2020-06-01", "2020-09-01", "2021-01-01", "2021-02-01"];

pub(super) fn answer(guest: &Visible<'_>, request: &Request<'_>, now: Timestamp) -> Option<Answer> {
    let rest = request.path.strip_prefix("/metadata/")?;
    let (service, below) = rest.split_once('/').unwrap_or((rest, ""));
    let versions: &[&str] = match service {
        "scheduledevents" if below.is_empty() => &EVENTS,
        "instance" => &INSTANCE,
        _ => return None,
    };
    if !request.header("metadata").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Some(bad_request("send the header `Metadata: true`", versions));
    }
    let Some(version) = request.parameter("api-version").filter(|version| versions.contains(version)) else {
        return Some(bad_request("give an api-version that is known here", versions));
    };
    match (service, request.method) {
        ("scheduledevents", "GET") => Some(events(guest, version, now)),
        ("scheduledevents", "POST") => Some(approve(guest, request.body, now)),
        ("instance", "GET") => {
            let found = tree::find(&instance(guest), below)?.clone();
            Some(match request.parameter("format") {
                Some("text") => Answer::text(tree::text(&found)),
                // A leaf is given as text only.
                _ if found.is_string() => bad_request("a single value is read with format=text", versions),
                _ => Answer::json(&found),
            })
        }
        _ => Some(Answer::refusal(405, "this is read by GET; an event is approved by POST")),
    }
}

fn bad_request(why: &str, versions: &[&str]) -> Answer {
    let body = json!({ "error": format!("Bad request: {why}"), "newest-versions": versions });
    Answer { status: 400, ..Answer::json(&body) }
}

fn events(guest: &Visible<'_>, version: &str, now: Timestamp) -> Answer {
    let notice = guest.notice(now);
    // It need only change with the events: they do once, and again if the end is brought forward.
    let incarnation = notice.map_or(1, |end| end.at.second().unix());
    let events: Vec<Value> = notice.iter().map(|end| event(guest, *end, version)).collect();
    Answer::json(&json!({ "DocumentIncarnation": incarnation, "Events": events })).telling(notice)
}

fn event(guest: &Visible<'_>, end: End, version: &str) -> Value {
    let mut event = json!({
        "EventId": event_id(guest, end),
        "EventType": "Preempt",
        "ResourceType": "VirtualMachine",
        "Resources": [name(guest)],
        "EventStatus": "Scheduled",
        "NotBefore": formatted(end.at, "%a, %d %b %Y %H:%M:%S GMT"),
    });
    let since = [
        ("2019-04-01", "Description", json!("The instance is taken back; its system disk goes with it.")),
        ("2019-08-01", "EventSource", json!("Platform")),
        ("2020-07-01", "DurationInSeconds", json!(-1)),
    ];
    for (_, field, value) in since.into_iter().filter(|(first, ..)| version >= *first) {
        event[field] = value;
    }
    event
}

/// The same each time it is asked for, and another one for each notice.
fn event_id(guest: &Visible<'_>, end: End) -> String {
    let mut hash = Sha256::new();
    hash.update(guest.instance.uuid().as_bytes());
    hash.update(end.notice_at.micros().to_be_bytes());
    let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// Only an event that is there may be started; one that was started already may be so again.
fn approve(guest: &Visible<'_>, body: &[u8], now: Timestamp) -> Answer {
    let said: Option<Vec<String>> = serde_json::from_slice::<Value>(body).ok().and_then(|body| {
        let asked = body.get("StartRequests")?.as_array()?;
        asked.iter().map(|one| Some(one.get("EventId")?.as_str()?.to_ascii_lowercase())).collect()
    });
    let known = guest.notice(now).map(|end| event_id(guest, end));
    match said {
        None => bad_request("say {\"StartRequests\":[{\"EventId\":\"…\"}]}", &EVENTS),
        Some(said) if said.is_empty() => bad_request("StartRequests names no event", &EVENTS),
        Some(said) if said.iter().all(|id| Some(id) == known.as_ref()) => {
            Answer { effect: Effect::Approved, ..Answer::json(&json!({})) }
        }
        Some(_) => bad_request("no such EventId: GET this address lists the events", &EVENTS),
    }
}

fn name<'a>(guest: &Visible<'a>) -> &'a str {
    if guest.name.is_empty() { guest.hostname } else { guest.name }
}

fn instance(guest: &Visible<'_>) -> Value {
    let keys: Vec<_> =
        guest.public_keys.values().map(|key| json!({ "keyData": key, "path": "/root/.ssh/authorized_keys" })).collect();
    let cards: Vec<_> = guest
        .network
        .iter()
        .map(|network| {
            let mac: String = network.mac.iter().map(|byte| format!("{byte:02X}")).collect();
            let address = json!({ "privateIpAddress": network.address, "publicIpAddress": "" });
            json!({ "ipv4": { "ipAddress": [address] }, "macAddress": mac })
        })
        .collect();
    json!({
        "compute": {
            "location": guest.region,
            "name": name(guest),
            "osProfile": { "computerName": guest.hostname },
            "osType": "Linux",
            "publicKeys": keys,
            "vmId": guest.instance.uuid(),
            "vmSize": guest.flavor,
            "zone": guest.zone,
        },
        "network": { "interface": cards },
    })
}

#[cfg(test)]
mod tests {
    use crate::metadata::Effect;
    use crate::metadata::asking::{EARLY, LATE, ask_with, post};
    use serde_json::{Value, json};

    const EVENTS: &str = "/metadata/scheduledevents?api-version=2020-07-01";
    const TRUE: &[(&str, &str)] = &[("metadata", "true")];

    fn read(path: &str, now: &str) -> Value {
        let answer = ask_with("GET", path, TRUE, now);
        serde_json::from_str(answer.split_once(' ').unwrap().1).unwrap_or_else(|_| panic!("{answer}"))
    }

    #[test]
    fn the_event_is_there_from_its_instant_on() {
        let before = ask_with("GET", EVENTS, TRUE, EARLY);
        assert_eq!(before, r#"200 {"DocumentIncarnation":1,"Events":[]}"#);
        assert_eq!(ask_with("GET", EVENTS, TRUE, LATE).get(..4), Some("200!"));
        let after = read(EVENTS, LATE);
        assert_ne!(after["DocumentIncarnation"], 1);
        let mut event = after["Events"][0].clone();
        assert_eq!(event["EventId"].take().as_str().map(str::len), Some(36));
        assert!(event["Description"].take().is_string());
        let wanted = json!({
            "EventId": null, "Description": null, "EventType": "Preempt", "ResourceType": "VirtualMachine",
            "Resources": ["web 1"], "EventStatus": "Scheduled", "NotBefore": "Thu, 01 Jun 2023 09:15:00 GMT",
            "EventSource": "Platform", "DurationInSeconds": -1,
        });
        assert_eq!(event, wanted);
        let old = read("/metadata/scheduledevents?api-version=2017-11-01", LATE);
        assert_eq!(old["Events"][0]["DurationInSeconds"], Value::Null);
    }

    #[test]
    fn without_its_header_or_a_known_version_it_is_a_bad_request() {
        for (path, headers) in [
            (EVENTS, &[][..]),
            (EVENTS, &[("metadata", "yes")][..]),
            ("/metadata/scheduledevents", TRUE),
            ("/metadata/scheduledevents?api-version=2031-01-01", TRUE),
            ("/metadata/instance", TRUE),
            ("/metadata/instance/compute/vmId?api-version=2021-02-01", TRUE),
        ] {
            assert_eq!(ask_with("GET", path, headers, LATE).get(..3), Some("400"), "{path}");
        }
        assert_eq!(ask_with("PUT", EVENTS, TRUE, LATE).get(..3), Some("405"));
        assert_eq!(ask_with("GET", "/metadata/identity?api-version=2020-07-01", TRUE, LATE).get(..3), Some("404"));
    }

    #[test]
    fn only_an_event_that_is_there_is_approved() {
        let id = read(EVENTS, LATE)["Events"][0]["EventId"].as_str().unwrap().to_owned();
        let start =
            |id: &str, now: &str| post(EVENTS, TRUE, &json!({ "StartRequests": [{ "EventId": id }] }).to_string(), now);
        assert_eq!(start(&id, EARLY), (400, Effect::None), "it cannot be known yet");
        assert_eq!(start(&id, LATE), (200, Effect::Approved));
        assert_eq!(start(&id.to_uppercase(), LATE), (200, Effect::Approved));
        assert_eq!(start("602d9444-d2cd-49c7-8624-8643e7171297", LATE), (400, Effect::None));
        for body in ["", "{}", "[]", r#"{"StartRequests":[]}"#, r#"{"StartRequests":[{}]}"#] {
            assert_eq!(post(EVENTS, TRUE, body, LATE), (400, Effect::None), "{body}");
        }
        let body = json!({ "StartRequests": [{ "EventId": id }] }).to_string();
        assert_eq!(post(EVENTS, &[], &body, LATE), (400, Effect::None), "without its header");
    }

    #[test]
    fn a_guest_reads_who_it_is() {
        let all = read("/metadata/instance?api-version=2021-02-01", EARLY);
        assert_eq!(all["compute"]["vmSize"], "c6.large.2");
        assert_eq!(all["network"]["interface"][0]["ipv4"]["ipAddress"][0]["privateIpAddress"], "10.77.0.10");
        assert_eq!(all["network"]["interface"][0]["macAddress"], "52540A4D000A");
        let leaf = "/metadata/instance/compute/location?api-version=2021-02-01&format=text";
        assert_eq!(ask_with("GET", leaf, TRUE, EARLY), "200 home");
        assert_eq!(read("/metadata/instance/compute?api-version=2021-02-01", EARLY)["name"], "web 1");
    }
}
