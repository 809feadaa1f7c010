//! How does a test ask the server for something? As a careful client does: again under the same token until there is an answer.

use crate::process::{EBB, Program};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than any wait in a story; a server that is down for good fails the test.
const PATIENCE: Duration = Duration::from_secs(240);

/// Somebody with a key.
#[derive(Clone)]
pub struct Client<'a> {
    server: &'a Program,
    pub key: String,
    /// The account of a tenant.
    pub account: String,
}

/// A refusal: its status and its code.
#[derive(Debug, PartialEq)]
pub struct Refused(pub u16, pub String);

impl<'a> Client<'a> {
    pub fn operator(server: &'a Program, key: &str) -> Client<'a> {
        Client { server, key: key.to_owned(), account: String::new() }
    }

    /// Opens an account for an individual with 100 of the currency and a claimed trial.
    pub fn tenant(&self, name: &str) -> Client<'a> {
        let opened = self.post("/v1/accounts", json!({ "name": name }));
        let account = text(&opened["account"]["id"]);
        self.post(&format!("/v1/accounts/{account}/verification"), json!({ "holder": "individual" }));
        self.post(&format!("/v1/accounts/{account}/top-ups"), json!({ "amount": "100" }));
        let tenant = Client { server: self.server, key: text(&opened["key"]["secret"]), account };
        tenant.post("/v1/trial", Value::Null);
        tenant
    }

    /// A tenant of before a restart.
    pub fn as_tenant(&self, key: &str, account: &str) -> Client<'a> {
        Client { server: self.server, key: key.to_owned(), account: account.to_owned() }
    }

    /// Each kind of key is made and ended.
    pub fn keys_come_and_go(&self) {
        let keys = format!("/v1/accounts/{}/keys", self.account);
        let key = self.post(&keys, json!({ "role": "member" }));
        self.ask("DELETE", &format!("{keys}/{}", text(&key["id"])), Value::Null).expect("it is there");
        let public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8eLz8Zn0y0iZp2mEo1bTqS5b0n7Qf0Zl6Yp3o0w9aB";
        self.post("/v1/key-pairs", json!({ "name": "laptop", "public_key": public }));
        self.ask("DELETE", "/v1/key-pairs/laptop", Value::Null).expect("it is there");
    }

    pub fn buy(&self, flavor: &str, option: &str) -> String {
        self.try_buy(flavor, option).expect("it is for sale")
    }

    /// With no public address: what leaves a real guest is not counted yet.
    pub fn buy_inside(&self, flavor: &str, option: &str) -> String {
        self.order(flavor, option, false).expect("it is for sale")
    }

    /// What is bought on demand has a public address.
    pub fn try_buy(&self, flavor: &str, option: &str) -> Result<String, Refused> {
        self.order(flavor, option, option == "on-demand")
    }

    fn order(&self, flavor: &str, option: &str, public_ip: bool) -> Result<String, Refused> {
        let order = json!({ "zone": "here-a", "flavor": flavor, "option": option, "public_ip": public_ip });
        let bought = self.ask("POST", "/v1/instances", order);
        bought.map(|bought| text(&bought["id"]))
    }

    /// `stop`, `start` or `reclaim`.
    pub fn tell(&self, id: &str, verb: &str) -> Result<Value, Refused> {
        self.ask("POST", &format!("/v1/instances/{id}/{verb}"), Value::Null)
    }

    pub fn delete(&self, id: &str) -> Result<Value, Refused> {
        self.ask("DELETE", &format!("/v1/instances/{id}"), Value::Null)
    }

    pub fn state(&self, id: &str) -> String {
        text(&self.instance(id)["state"])
    }

    pub fn instance(&self, id: &str) -> Value {
        self.get(&format!("/v1/instances/{id}"))
    }

    pub fn until(&self, id: &str, state: &str) {
        wait_for(&format!("{id} is {state}"), || {
            let is = self.state(id);
            (is == state).then_some(()).ok_or(is)
        });
    }

    /// The command line, as whoever has this key uses it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(EBB);
        command.args(words).env("EBB_ENDPOINT", format!("http://{}", self.server.endpoint())).env("EBB_KEY", &self.key);
        command
    }

    pub fn get(&self, path: &str) -> Value {
        self.ask("GET", path, Value::Null).unwrap_or_else(|refused| panic!("{path}: {refused:?}"))
    }

    /// All items of a list, page by page.
    pub fn all(&self, path: &str) -> Vec<Value> {
        let mut items: Vec<Value> = vec![];
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let after = items.last().map_or(String::new(), |item| format!("&after={}", text(&item["id"])));
            let page = self.get(&format!("{path}{mark}limit=500{after}"));
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            if page["next"].is_null() {
                return items;
            }
        }
    }

    pub fn post(&self, path: &str, body: Value) -> Value {
        self.ask("POST", path, body).unwrap_or_else(|refused| panic!("{path}: {refused:?}"))
    }

    pub fn ask(&self, method: &str, path: &str, body: Value) -> Result<Value, Refused> {
        let token = uuid::Uuid::new_v4();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let key = &self.key;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: ebb\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Idempotency-Key: {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = wait_for(path, || match exchange(&self.server.endpoint(), &request) {
            Some((503, _)) | None => Err("no answer".to_owned()),
            Some(answer) => Ok(answer),
        });
        match answer {
            (200..=299, value) => Ok(value),
            // 502: the host is away, which a person may be told, too.
            (status @ (400..=499 | 502), problem) => Err(Refused(status, text(&problem["code"]))),
            (status, problem) => panic!("{method} {path}: {status} {problem}"),
        }
    }
}

/// One request, one connection. `None`: the answer did not come, or not whole.
fn exchange(server: &str, request: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(server).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = vec![];
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    (length == Some(body.len())).then(|| (status, serde_json::from_str(body).expect("an answer is JSON")))
}

/// Tries until it is so.
pub fn wait_for<T>(what: &str, mut so: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match so() {
            Ok(found) => return found,
            Err(instead) => assert!(began.elapsed() < PATIENCE, "{what}? {instead}"),
        }
        sleep(Duration::from_millis(25));
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
