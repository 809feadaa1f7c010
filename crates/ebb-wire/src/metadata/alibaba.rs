//! What does a guest read in Alibaba Cloud's form?

use super::cloud::Cloud;
use super::ec2::{self, Form, facts};
use super::{Answer, Request, Visible, rfc3339};
use ebb_model::time::Timestamp;
use serde_json::{Value, json};

pub(super) fn answer(guest: &Visible<'_>, request: &Request<'_>, secret: &[u8], now: Timestamp) -> Option<Answer> {
    let form = Form {
        cloud: Cloud::Alibaba,
        versions: &["2016-01-01", "latest"],
        token: Some(("x-aliyun-ecs-metadata-token", "x-aliyun-ecs-metadata-token-ttl-seconds")),
        meta_data: meta_data(guest, now),
        dynamic: None,
        notices: &["instance/spot/termination-time"],
    };
    ec2::answer(&form, guest, request, secret, now)
}

fn meta_data(guest: &Visible<'_>, now: Timestamp) -> Value {
    let spot = guest.notice(now).map(|end| json!({ "termination-time": rfc3339(end.at) }));
    let instance = facts([
        ("instance-name", Some(json!(guest.name))),
        ("instance-type", Some(json!(guest.flavor))),
        ("spot", spot),
    ]);
    facts([
        ("hostname", Some(json!(guest.hostname))),
        ("image-id", Some(json!(guest.image))),
        ("instance", Some(instance)),
        ("instance-id", Some(json!(guest.instance))),
        ("mac", guest.network.map(|network| json!(ec2::mac(network.mac)))),
        ("private-ipv4", guest.network.map(|network| json!(network.address))),
        ("public-keys", ec2::public_keys(guest)),
        ("region-id", Some(json!(guest.region))),
        ("zone-id", Some(json!(guest.zone))),
    ])
}

#[cfg(test)]
mod tests {
    use crate::metadata::asking::{EARLY, LATE, ask_at, put_at};
    use crate::metadata::cloud::Cloud;

    const TOKEN: &str = "x-aliyun-ecs-metadata-token";
    const TTL: &str = "x-aliyun-ecs-metadata-token-ttl-seconds";

    fn ask(path: &str, headers: &[(&str, &str)], now: &str) -> String {
        ask_at(Cloud::Alibaba, "GET", path, headers, now)
    }

    #[test]
    fn the_notice_is_there_from_its_instant_on() {
        let path = "/latest/meta-data/instance/spot/termination-time";
        assert_eq!(ask(path, &[], EARLY), "404 there is nothing here");
        assert_eq!(ask(path, &[], LATE), "200! 2023-06-01T09:15:00Z");
        assert_eq!(ask_at(Cloud::Alibaba, "DELETE", path, &[], LATE).get(..3), Some("405"));
        assert_eq!(ask("/latest/meta-data/spot/termination-time", &[], LATE).get(..3), Some("404"), "AWS's");
        assert_eq!(ask("/openstack/latest/meta_data.json", &[], LATE).get(..3), Some("404"), "Huawei's");
    }

    #[test]
    fn a_guest_reads_who_it_is() {
        for (path, said) in [
            ("region-id", "home"),
            ("zone-id", "home-a"),
            ("hostname", "web-1"),
            ("private-ipv4", "10.77.0.10"),
            ("image-id", "built-in"),
            ("instance/instance-type", "c6.large.2"),
            ("instance/", "instance-name\ninstance-type"),
            ("public-keys/0/openssh-key", "ssh-ed25519 AAAA me"),
        ] {
            assert_eq!(ask(&format!("/2016-01-01/meta-data/{path}"), &[], EARLY), format!("200 {said}"));
        }
    }

    #[test]
    fn its_tokens_are_its_own() {
        let aws = "x-aws-ec2-metadata-token-ttl-seconds";
        assert_eq!(put_at(Cloud::Alibaba, "/latest/api/token", &[(aws, "60")], EARLY).0, 400);
        let token = put_at(Cloud::Alibaba, "/latest/api/token", &[(TTL, "1")], "2023-06-01T09:00:00Z").1;
        let with = |now: &str| ask("/latest/meta-data/zone-id", &[(TOKEN, &token)], now);
        assert_eq!(with("2023-06-01T09:00:00.9Z"), "200 home-a");
        assert_eq!(with("2023-06-01T09:00:01Z").get(..3), Some("401"));
        let foreign = put_at(Cloud::Aws, "/latest/api/token", &[(aws, "60")], "2023-06-01T09:00:00Z").1;
        let answer = ask("/latest/meta-data/zone-id", &[(TOKEN, &foreign)], "2023-06-01T09:00:01Z");
        assert_eq!(answer.get(..3), Some("401"), "a token of another form");
    }
}
