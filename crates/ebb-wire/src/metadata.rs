//! What does a guest read about itself?
//!
//! Each cloud has its own paths for the same few facts. A dialect is one file here: it takes a question about one guest and
//! answers it, or says that the path is none of its own.

mod openstack;

use ebb_model::id::InstanceId;
use ebb_model::time::Timestamp;
use std::collections::BTreeMap;

/// What one guest may know: all of it about itself.
#[derive(Debug, Clone, Copy)]
pub struct Visible<'a> {
    pub instance: InstanceId,
    pub name: &'a str,
    pub hostname: &'a str,
    pub zone: &'a str,
    pub flavor: &'a str,
    /// SSH public keys by their names.
    pub public_keys: &'a BTreeMap<String, String>,
    pub user_data: Option<&'a str>,
    /// The end that is planned for it, whether it is to know yet or not.
    pub end: Option<End>,
}

/// An interruption to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// From here on the guest may know.
    pub notice_at: Timestamp,
    /// Here the guest goes.
    pub at: Timestamp,
}

impl Visible<'_> {
    /// The end as far as the guest may know of it.
    fn notice(&self, now: Timestamp) -> Option<End> {
        self.end.filter(|end| end.notice_at <= now)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
    /// It tells the guest that it will be interrupted.
    pub is_notice: bool,
}

impl Answer {
    fn text(body: impl Into<String>) -> Self {
        Self { status: 200, content_type: "text/plain; charset=utf-8", body: body.into(), is_notice: false }
    }

    fn json(body: &serde_json::Value) -> Self {
        Self { content_type: "application/json", ..Self::text(body.to_string()) }
    }

    fn refusal(status: u16, why: &str) -> Self {
        Self { status, ..Self::text(format!("{why}\n")) }
    }
}

/// Answers a guest's request. `path` is without a query; `headers` have names in lower case.
pub fn answer(guest: &Visible<'_>, method: &str, path: &str, headers: &[(&str, &str)], now: Timestamp) -> Answer {
    // A program of the guest that fetches whatever address strangers give it must not be talked into fetching this one; what
    // such a proxy adds gives it away.
    if headers.iter().any(|(name, _)| *name == "x-forwarded-for") {
        return Answer::refusal(403, "a request that was forwarded for somebody else is not answered");
    }
    let answer = openstack::answer(guest, path, now);
    match answer {
        None => Answer::refusal(404, "there is nothing here"),
        Some(_) if method != "GET" => Answer::refusal(405, "this can only be read: use GET"),
        Some(answer) => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// One line per answer, of a guest whose notice is at 09:10 and whose end is at 09:15.
    fn ask(method: &str, path: &str, headers: &[(&str, &str)], now: &str) -> String {
        let keys = BTreeMap::from([("laptop".to_owned(), "ssh-ed25519 AAAA me".to_owned())]);
        let guest = Visible {
            instance: InstanceId::new(Uuid::from_u128(7)),
            name: "web 1",
            hostname: "web-1",
            zone: "home-a",
            flavor: "c6.large.2",
            public_keys: &keys,
            user_data: Some("#!/bin/sh\necho hello\n"),
            end: Some(End { notice_at: at("2023-06-01T09:10:00Z"), at: at("2023-06-01T09:15:00.5Z") }),
        };
        let answer = answer(&guest, method, path, headers, at(now));
        format!("{}{} {}", answer.status, if answer.is_notice { "!" } else { "" }, answer.body.trim_end())
    }

    const EARLY: &str = "2023-06-01T09:09:59.999999Z";
    const LATE: &str = "2023-06-01T09:10:00Z";

    #[test]
    fn the_notice_is_there_from_its_instant_on() {
        let path = "/openstack/latest/spot/instance-action";
        assert_eq!(ask("GET", path, &[], EARLY), "404 there is nothing here");
        assert_eq!(ask("GET", path, &[], LATE), r#"200! {"action":"terminate","timestamp":"2023-06-01 09:15:00"}"#);
        assert_eq!(ask("GET", "/openstack/2018-08-27/spot/instance-action", &[], LATE).get(..4), Some("200!"));
    }

    #[test]
    fn a_guest_reads_who_it_is() {
        assert_eq!(ask("GET", "/openstack", &[], EARLY).lines().next_back(), Some("latest"));
        assert_eq!(ask("GET", "/openstack/latest/", &[], EARLY), "200 meta_data.json\nuser_data\nspot/");
        assert_eq!(ask("GET", "/openstack/latest/user_data", &[], EARLY), "200 #!/bin/sh\necho hello");
        let json = ask("GET", "/openstack/latest/meta_data.json", &[], EARLY);
        let json: serde_json::Value = serde_json::from_str(json.strip_prefix("200 ").unwrap()).unwrap();
        assert_eq!(json["uuid"], "00000000-0000-0000-0000-000000000007");
        assert_eq!(json["hostname"], "web-1");
        assert_eq!(json["availability_zone"], "home-a");
        assert_eq!(json["public_keys"]["laptop"], "ssh-ed25519 AAAA me");
        assert_eq!(json["meta"]["flavor"], "c6.large.2");
    }

    #[test]
    fn what_is_not_there_and_what_is_not_allowed_differ() {
        for path in
            ["/", "/openstack/2099-01-01/meta_data.json", "/openstack/latest/../x", "/openstack/latest/spot/x", ""]
        {
            assert_eq!(ask("GET", path, &[], LATE), "404 there is nothing here", "{path}");
        }
        assert_eq!(ask("POST", "/openstack/latest/user_data", &[], LATE).get(..3), Some("405"));
        assert_eq!(ask("GET", "/openstack", &[("x-forwarded-for", "10.0.0.1")], LATE).get(..3), Some("403"));
    }
}
