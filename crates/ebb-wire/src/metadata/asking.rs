//! A guest that asks, for the tests of all dialects: its notice is at 09:10 and its end at 09:15.

use super::cloud::Cloud;
use super::{Answer, Effect, End, Network, Reply, Request, Visible, Wait, answer};
use ebb_model::id::InstanceId;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use uuid::Uuid;

pub const EARLY: &str = "2023-06-01T09:09:59.999999Z";
pub const LATE: &str = "2023-06-01T09:10:00Z";

struct Asking<'a> {
    guest: u128,
    tokens_required: bool,
    cloud: Option<Cloud>,
    method: &'a str,
    /// With its query.
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    waiting: Option<Wait>,
}

impl Default for Asking<'_> {
    fn default() -> Self {
        Self {
            guest: 7,
            tokens_required: false,
            cloud: None,
            method: "GET",
            path: "/",
            headers: &[],
            body: "",
            waiting: None,
        }
    }
}

impl Asking<'_> {
    fn reply(&self, now: &str) -> Reply {
        let keys = BTreeMap::from([("laptop".to_owned(), "ssh-ed25519 AAAA me".to_owned())]);
        let at = |text: &str| text.parse().unwrap();
        let guest = Visible {
            instance: InstanceId::new(Uuid::from_u128(self.guest)),
            name: "web 1",
            hostname: "web-1",
            region: "home",
            zone: "home-a",
            flavor: "c6.large.2",
            image: "built-in",
            network: Some(Network { address: Ipv4Addr::new(10, 77, 0, 10), mac: [0x52, 0x54, 0x0a, 0x4d, 0, 0x0a] }),
            public_keys: &keys,
            user_data: Some("#!/bin/sh\necho hello\n"),
            password_hash: Some("$6$salt$hash"),
            tokens_required: self.tokens_required,
            end: Some(End { notice_at: at(LATE), at: at("2023-06-01T09:15:00.5Z") }),
        };
        let (path, query) = self.path.split_once('?').unwrap_or((self.path, ""));
        let request = Request {
            method: self.method,
            path,
            query,
            headers: self.headers,
            body: self.body.as_bytes(),
            cloud: self.cloud,
            waiting: self.waiting,
        };
        answer(&guest, &request, b"secret", at(now))
    }

    fn answer(&self, now: &str) -> Answer {
        match self.reply(now) {
            Reply::Now(answer) => answer,
            Reply::Wait(wait) => panic!("{} waits: {wait:?}", self.path),
        }
    }

    /// One line: the status, with a mark if it tells the end, and the body.
    fn line(&self, now: &str) -> String {
        let answer = self.answer(now);
        let mark = if answer.effect == Effect::NoticeRead { "!" } else { "" };
        format!("{}{mark} {}", answer.status, answer.body.trim_end())
    }
}

pub fn ask(path: &str, now: &str) -> String {
    Asking { path, ..Asking::default() }.line(now)
}

pub fn ask_with(method: &str, path: &str, headers: &[(&str, &str)], now: &str) -> String {
    Asking { method, path, headers, ..Asking::default() }.line(now)
}

/// By a cloud's own address.
pub fn ask_at(cloud: Cloud, method: &str, path: &str, headers: &[(&str, &str)], now: &str) -> String {
    Asking { cloud: Some(cloud), method, path, headers, ..Asking::default() }.line(now)
}

pub fn put(path: &str, headers: &[(&str, &str)], now: &str) -> (u16, String) {
    let answer = Asking { method: "PUT", path, headers, ..Asking::default() }.answer(now);
    (answer.status, answer.body)
}

pub fn put_at(cloud: Cloud, path: &str, headers: &[(&str, &str)], now: &str) -> (u16, String) {
    let answer = Asking { cloud: Some(cloud), method: "PUT", path, headers, ..Asking::default() }.answer(now);
    (answer.status, answer.body)
}

pub fn post(path: &str, headers: &[(&str, &str)], body: &str, now: &str) -> (u16, Effect) {
    let answer = Asking { method: "POST", path, headers, body, ..Asking::default() }.answer(now);
    (answer.status, answer.effect)
}

pub fn reply(path: &str, headers: &[(&str, &str)], now: &str, waiting: Option<Wait>) -> Reply {
    Asking { path, headers, waiting, ..Asking::default() }.reply(now)
}

/// Another guest asks.
pub fn guest_two(headers: &[(&str, &str)], path: &str, now: &str) -> String {
    Asking { guest: 2, path, headers, ..Asking::default() }.line(now)
}

/// A guest that is to have a token asks.
pub fn strict(headers: &[(&str, &str)], path: &str, now: &str) -> String {
    Asking { tokens_required: true, path, headers, ..Asking::default() }.line(now)
}
