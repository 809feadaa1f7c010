//! What does a guest read about itself?
//!
//! Each cloud has its own paths for the same few facts. A dialect is one file here: it takes a request about one guest and
//! answers it, or says that the path is none of its own. Which dialect is meant is decided in [`cloud`].

mod alibaba;
#[cfg(test)]
mod asking;
mod aws;
mod azure;
pub mod cloud;
mod ec2;
mod google;
mod openstack;
mod tencent;
mod token;
mod tree;

use cloud::Cloud;
use ebb_model::id::InstanceId;
use ebb_model::time::Timestamp;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What one guest may know: all of it about itself.
#[derive(Debug, Clone, Copy)]
pub struct Visible<'a> {
    pub instance: InstanceId,
    pub name: &'a str,
    pub hostname: &'a str,
    pub region: &'a str,
    pub zone: &'a str,
    pub flavor: &'a str,
    pub image: &'a str,
    /// Its card and its address, if it has them.
    pub network: Option<Network>,
    /// SSH public keys by their names.
    pub public_keys: &'a BTreeMap<String, String>,
    pub user_data: Option<&'a str>,
    /// Of root, hashed as `crypt(3)` does.
    pub password_hash: Option<&'a str>,
    /// Where a dialect has tokens, nothing is told without one.
    pub tokens_required: bool,
    /// The end that is planned for it, whether it is to know yet or not.
    pub end: Option<End>,
}

/// A guest's own end of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub address: Ipv4Addr,
    pub mac: [u8; 6],
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

/// What a guest asks.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    /// Without a query.
    pub path: &'a str,
    /// What follows the `?`, as it came.
    pub query: &'a str,
    /// Names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    /// Whose address was asked, where that says it ([`Cloud::at`]).
    pub cloud: Option<Cloud>,
    /// What it was told to wait for, if it was.
    pub waiting: Option<Wait>,
}

impl<'a> Request<'a> {
    fn header(&self, wanted: &str) -> Option<&'a str> {
        self.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
    }

    fn parameter(&self, wanted: &str) -> Option<&'a str> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Now(Answer),
    /// Not yet: it is to be asked again, with this, when something about the guest has changed, and at `until`.
    Wait(Wait),
}

/// A request that wants to hear of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub until: Timestamp,
    /// The state that it knows.
    seen: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub effect: Effect,
}

/// What an answer means for the guest itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    None,
    /// It has learnt that it will be interrupted.
    NoticeRead,
    /// It agrees to go at once.
    Approved,
}

impl Answer {
    fn text(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            content_type: "text/plain; charset=utf-8",
            headers: vec![],
            body: body.into(),
            effect: Effect::None,
        }
    }

    fn json(body: &serde_json::Value) -> Self {
        Self { content_type: "application/json", ..Self::text(body.to_string()) }
    }

    fn refusal(status: u16, why: &str) -> Self {
        Self { status, ..Self::text(format!("{why}\n")) }
    }

    /// It tells the end, where `tells` says so.
    fn telling(self, tells: Option<End>) -> Self {
        Self { effect: tells.map_or(self.effect, |_| Effect::NoticeRead), ..self }
    }
}

/// Answers a guest's request. `secret` is the service's own: with it a guest's tokens are made and known again.
pub fn answer(guest: &Visible<'_>, request: &Request<'_>, secret: &[u8], now: Timestamp) -> Reply {
    // A program of the guest that fetches whatever address strangers give it must not be talked into fetching this one; what
    // such a proxy adds gives it away.
    if request.header("x-forwarded-for").is_some() {
        return Reply::Now(Answer::refusal(403, "a request that was forwarded for somebody else is not answered"));
    }
    let answer = match Cloud::of(request) {
        Some(Cloud::Google) => return google::answer(guest, request, now),
        Some(Cloud::Huawei) => openstack::answer(guest, request.path, now).map(|answer| only_read(request, answer)),
        Some(Cloud::Aws) => aws::answer(guest, request, secret, now),
        Some(Cloud::Alibaba) => alibaba::answer(guest, request, secret, now),
        Some(Cloud::Tencent) => tencent::answer(guest, request, secret, now),
        Some(Cloud::Azure) => azure::answer(guest, request, now),
        None => None,
    };
    Reply::Now(answer.unwrap_or_else(nothing))
}

fn nothing() -> Answer {
    Answer::refusal(404, "there is nothing here")
}

/// The answer, if it was asked for in the one way that changes nothing.
fn only_read(request: &Request<'_>, answer: Answer) -> Answer {
    match request.method {
        "GET" => answer,
        _ => Answer::refusal(405, "this can only be read: use GET"),
    }
}

/// An instant as most clouds write it: UTC, whole seconds, floored.
fn rfc3339(at: Timestamp) -> String {
    formatted(at, "%Y-%m-%dT%H:%M:%SZ")
}

fn formatted(at: Timestamp, format: &str) -> String {
    let at = jiff::Timestamp::from_second(at.second().unix()).expect("an instant that the calendar has");
    at.strftime(format).to_string()
}
