//! What does a guest read in Tencent Cloud's form?

use super::cloud::Cloud;
use super::ec2::{self, Form, facts};
use super::{Answer, Request, Visible, formatted};
use ebb_model::time::Timestamp;
use serde_json::{Value, json};

/// Its instants are those of a clock in China, eight hours ahead, whatever the region.
const AHEAD_SECONDS: i64 = 8 * 3600;

pub(super) fn answer(guest: &Visible<'_>, request: &Request<'_>, secret: &[u8], now: Timestamp) -> Option<Answer> {
    let form = Form {
        cloud: Cloud::Tencent,
        versions: &["1.0", "2017-09-19", "latest"],
        token: None,
        meta_data: meta_data(guest, now),
        dynamic: None,
        notices: &["spot/termination-time"],
    };
    ec2::answer(&form, guest, request, secret, now)
}

fn meta_data(guest: &Visible<'_>, now: Timestamp) -> Value {
    let spot = guest.notice(now).map(|end| {
        let at = formatted(end.at.plus_seconds(AHEAD_SECONDS), "%Y-%m-%d %H:%M:%S");
        json!({ "termination-time": at })
    });
    facts([
        ("instance", Some(json!({ "image-id": guest.image, "instance-type": guest.flavor }))),
        ("instance-id", Some(json!(guest.instance))),
        ("instance-name", Some(json!(guest.name))),
        ("local-hostname", Some(json!(guest.hostname))),
        ("local-ipv4", guest.network.map(|network| json!(network.address))),
        ("mac", guest.network.map(|network| json!(ec2::mac(network.mac)))),
        ("placement", Some(json!({ "region": guest.region, "zone": guest.zone }))),
        ("public-keys", ec2::public_keys(guest)),
        ("spot", spot),
        ("uuid", Some(json!(guest.instance.uuid()))),
    ])
}

#[cfg(test)]
mod tests {
    use crate::metadata::asking::{EARLY, LATE, ask_at, ask_with};
    use crate::metadata::cloud::Cloud;

    const PATH: &str = "/latest/meta-data/spot/termination-time";

    #[test]
    fn the_notice_is_in_the_time_of_china() {
        assert_eq!(ask_at(Cloud::Tencent, "GET", PATH, &[], EARLY), "404 there is nothing here");
        assert_eq!(ask_at(Cloud::Tencent, "GET", PATH, &[], LATE), "200! 2023-06-01 17:15:00");
        assert_eq!(ask_at(Cloud::Tencent, "PUT", PATH, &[], LATE).get(..3), Some("405"));
        assert_eq!(ask_at(Cloud::Tencent, "PUT", "/latest/api/token", &[], LATE).get(..3), Some("404"));
    }

    #[test]
    fn the_address_or_else_the_name_says_whose_form_it_is() {
        let named = |host: &str| ask_with("GET", PATH, &[("host", host)], LATE);
        assert_eq!(named("169.254.169.254"), "200! 2023-06-01T09:15:00Z");
        assert_eq!(named("Metadata.TencentYun.com:80"), "200! 2023-06-01 17:15:00");
        assert_eq!(named("169.254.0.23"), "200! 2023-06-01 17:15:00");
        assert_eq!(named("metadata.google.internal").get(..3), Some("403"));
        let both = ask_at(Cloud::Tencent, "GET", PATH, &[("host", "100.100.100.200")], LATE);
        assert_eq!(both, "200! 2023-06-01 17:15:00", "the address comes first");
    }

    #[test]
    fn a_guest_reads_who_it_is() {
        for (path, said) in [
            ("placement/zone", "home-a"),
            ("placement/region", "home"),
            ("local-ipv4", "10.77.0.10"),
            ("instance-name", "web 1"),
        ] {
            let path = format!("/latest/meta-data/{path}");
            assert_eq!(ask_at(Cloud::Tencent, "GET", &path, &[], EARLY), format!("200 {said}"));
        }
    }
}
