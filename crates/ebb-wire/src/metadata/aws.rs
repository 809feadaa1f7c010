//! What does a guest read in AWS's form?

use super::cloud::Cloud;
use super::ec2::{self, Form, facts};
use super::{Answer, Request, Visible, rfc3339};
use ebb_model::time::Timestamp;
use serde_json::{Value, json};

pub(super) fn answer(guest: &Visible<'_>, request: &Request<'_>, secret: &[u8], now: Timestamp) -> Option<Answer> {
    let form = Form {
        cloud: Cloud::Aws,
        versions: &["2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest"],
        token: Some(("x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds")),
        meta_data: meta_data(guest, now),
        dynamic: Some(json!({ "instance-identity": { "document": identity(guest) } })),
        notices: &["spot/instance-action", "spot/termination-time", "events/recommendations/rebalance"],
    };
    ec2::answer(&form, guest, request, secret, now)
}

fn meta_data(guest: &Visible<'_>, now: Timestamp) -> Value {
    let notice = guest.notice(now);
    let address = guest.network.map(|network| json!(network.address));
    let mac = guest.network.map(|network| ec2::mac(network.mac));
    facts([
        ("ami-id", Some(json!(guest.image))),
        (
            "events",
            notice.map(|end| {
                let sign = json!({ "noticeTime": rfc3339(end.notice_at) }).to_string();
                json!({ "recommendations": { "rebalance": sign } })
            }),
        ),
        ("hostname", Some(json!(guest.hostname))),
        ("instance-id", Some(json!(guest.instance))),
        ("instance-type", Some(json!(guest.flavor))),
        ("local-hostname", Some(json!(guest.hostname))),
        ("local-ipv4", address.clone()),
        ("mac", mac.as_ref().map(|mac| json!(mac))),
        (
            "network",
            mac.map(|mac| {
                let card = json!({ "device-number": "0", "local-hostname": guest.hostname, "local-ipv4s": address, "mac": mac });
                json!({ "interfaces": { "macs": { mac: card } } })
            }),
        ),
        ("placement", Some(json!({ "availability-zone": guest.zone, "region": guest.region }))),
        ("public-keys", ec2::public_keys(guest)),
        (
            "spot",
            notice.map(|end| {
                let at = rfc3339(end.at);
                let action = json!({ "action": "terminate", "time": at }).to_string();
                json!({ "instance-action": action, "termination-time": at })
            }),
        ),
    ])
}

/// What the document says elsewhere beyond this (whose account, since when, a signature) is not known here or would be untrue.
fn identity(guest: &Visible<'_>) -> String {
    facts([
        ("availabilityZone", Some(json!(guest.zone))),
        ("imageId", Some(json!(guest.image))),
        ("instanceId", Some(json!(guest.instance))),
        ("instanceType", Some(json!(guest.flavor))),
        ("privateIp", guest.network.map(|network| json!(network.address))),
        ("region", Some(json!(guest.region))),
        ("version", Some(json!("2017-09-30"))),
    ])
    .to_string()
}

#[cfg(test)]
mod tests {
    use crate::metadata::asking::{EARLY, LATE, ask, ask_with, guest_two, put};
    use ebb_model::id::InstanceId;
    use uuid::Uuid;

    const TOKEN: &str = "x-aws-ec2-metadata-token";
    const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

    #[test]
    fn the_notice_has_three_places_and_none_before() {
        for (path, said) in [
            ("spot/instance-action", r#"200! {"action":"terminate","time":"2023-06-01T09:15:00Z"}"#),
            ("spot/termination-time", "200! 2023-06-01T09:15:00Z"),
            ("events/recommendations/rebalance", r#"200! {"noticeTime":"2023-06-01T09:10:00Z"}"#),
        ] {
            for version in ["latest", "2021-03-23"] {
                let path = format!("/{version}/meta-data/{path}");
                assert_eq!(ask(&path, EARLY), "404 there is nothing here");
                assert_eq!(ask(&path, LATE), said);
                assert_eq!(ask_with("POST", &path, &[], LATE).get(..4), Some("405 "));
            }
        }
    }

    #[test]
    fn directories_list_what_is_in_them() {
        assert_eq!(ask("/", EARLY), "200 2009-04-04\n2016-09-02\n2018-09-24\n2021-03-23\nlatest");
        assert_eq!(ask("/latest", EARLY), "200 dynamic\nmeta-data\nuser-data");
        let names = ask("/latest/meta-data/", EARLY);
        assert!(names.contains("\ninstance-id\n") && names.contains("\nplacement/\n"), "{names}");
        assert!(!names.contains("spot/") && ask("/latest/meta-data", LATE).contains("spot/"), "{names}");
        for (path, said) in [
            ("local-ipv4", "10.77.0.10"),
            ("mac", "52:54:0a:4d:00:0a"),
            ("network/interfaces/macs/52:54:0a:4d:00:0a/local-ipv4s", "10.77.0.10"),
            ("placement/availability-zone", "home-a"),
            ("placement/region", "home"),
            ("public-keys/", "0=laptop"),
            ("public-keys/0/openssh-key", "ssh-ed25519 AAAA me"),
        ] {
            let answer = ask(&format!("/2009-04-04/meta-data/{path}"), EARLY);
            assert_eq!(answer, format!("200 {said}"), "{path}");
        }
        assert_eq!(ask("/latest/meta-data/instance-id", EARLY), format!("200 {}", InstanceId::new(Uuid::from_u128(7))));
        assert_eq!(ask("/latest/user-data", EARLY), "200 #!/bin/sh\necho hello");
        let document = ask("/latest/dynamic/instance-identity/document", EARLY);
        let document: serde_json::Value = serde_json::from_str(&document[4..]).unwrap();
        assert_eq!((document["region"].as_str(), document["accountId"].as_str()), (Some("home"), None));
    }

    #[test]
    fn a_token_lives_as_long_as_it_was_asked_for_and_is_its_guests_own() {
        let path = "/latest/meta-data/local-ipv4";
        for ttl in ["", "0", "21601", "-1", "soon"] {
            assert_eq!(put("/latest/api/token", &[(TTL, ttl)], EARLY).0, 400, "{ttl}");
        }
        assert_eq!(put("/latest/api/token", &[], EARLY).0, 400);
        assert_eq!(ask_with("GET", "/latest/api/token", &[(TTL, "60")], EARLY).get(..3), Some("405"));
        let (status, token) = put("/latest/api/token", &[(TTL, "60")], "2023-06-01T09:00:00Z");
        assert_eq!(status, 200);
        let with = |token: &str, now: &str| ask_with("GET", path, &[(TOKEN, token)], now);
        assert_eq!(with(&token, "2023-06-01T09:00:59.999999Z"), "200 10.77.0.10");
        assert_eq!(with(&token, "2023-06-01T09:01:00Z").get(..3), Some("401"));
        let later = format!("7fffffffffffffff{}", &token[16..]);
        let other = guest_two(&[(TOKEN, &token)], path, "2023-06-01T09:00:01Z");
        assert_eq!(other.get(..3), Some("401"), "another guest's");
        for wrong in ["", "x", "é", &token[1..], &token[..40], &later] {
            assert_eq!(with(wrong, "2023-06-01T09:00:01Z").get(..3), Some("401"), "{wrong}");
        }
    }

    #[test]
    fn a_guest_that_requires_tokens_tells_nothing_without() {
        let path = "/latest/meta-data/spot/termination-time";
        let strict = |headers: &[(&str, &str)]| crate::metadata::asking::strict(headers, path, LATE);
        assert_eq!(strict(&[]).get(..3), Some("401"));
        let token = put("/latest/api/token", &[(TTL, "60")], LATE).1;
        assert_eq!(strict(&[(TOKEN, &token)]), "200! 2023-06-01T09:15:00Z");
    }
}
