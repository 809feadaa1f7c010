//! What does a customer's own server hear, however often Ebb dies? It agrees to be told and writes down each event.

use crate::api::{Client, text, wait_for};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct Receiver {
    pub url: String,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    pub fn new() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let hears = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Half a message of one that died is none.
                if let Some(event) = answer(stream) {
                    hears.lock().unwrap().push(event);
                }
            }
        });
        Receiver { url, heard }
    }
}

fn answer(mut stream: TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.to_lowercase().strip_prefix("content-length:") {
            Some(number) => length = number.trim().parse().ok()?,
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let event: Value = serde_json::from_slice(&body).ok()?;
    let said = json!({ "token": event["data"]["token"] }).to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", said.len());
    // It may be dead by now; what was heard was heard.
    let _ = stream.write_all((head + &said).as_bytes());
    Some(event)
}

/// The account wants to be told, and its receiver has agreed.
pub fn subscribe(world: &World, tenant: &Client<'_>) {
    let added = tenant.post("/v1/subscriptions", json!({ "webhook": world.receiver.url }));
    let path = format!("/v1/subscriptions/{}", text(&added["subscription"]["id"]));
    wait_for("the receiver has agreed", || {
        let known = tenant.get(&path);
        (known["state"] == "confirmed").then_some(()).ok_or(known.to_string())
    });
}

/// Who subscribed was told of everything that the log has from then on, and of nothing else.
pub fn was_told(world: &World, operator: &Client<'_>) {
    let log = operator.all("/v1/events");
    for account in operator.all("/v1/accounts") {
        let account = text(&account["id"]);
        let subscriptions = operator.get(&format!("/v1/subscriptions?account={account}"));
        let Some(subscription) = subscriptions["items"].as_array().expect("items").first() else { continue };
        let path = format!("/v1/subscriptions/{}/deliveries?limit=1000&account={account}", text(&subscription["id"]));
        let deliveries = wait_for("all is told", || {
            let all = operator.get(&path)["items"].as_array().expect("items").clone();
            let open = all.iter().find(|one| one["accepted_at"].is_null()).cloned();
            open.map_or(Ok(all), |open| Err(open.to_string()))
        });
        let told: BTreeSet<String> =
            deliveries.iter().filter(|one| one["kind"] == "event").map(|one| text(&one["event"])).collect();
        let heard = world.receiver.heard.lock().unwrap().clone();
        let heard: BTreeSet<String> = heard
            .iter()
            .filter(|event| event["data"]["account"] == account)
            .filter(|event| !text(&event["type"]).starts_with("dev.ebb.subscription."))
            .map(|event| text(&event["id"]))
            .collect();
        assert_eq!(heard, told, "what was heard, and what is written down as told");
        let notable = ["running", "interruptServer", "ended", "released", "trial-low", "trial-ended"];
        let agreed = operator.get(&format!("/v1/subscriptions/{}?account={account}", text(&subscription["id"])));
        let agreed: jiff::Timestamp = text(&agreed["confirmed_at"]).parse().expect("an instant");
        let after = |event: &&Value| text(&event["at"]).parse::<jiff::Timestamp>().expect("an instant") > agreed;
        let owed = log.iter().filter(|event| event["account"] == account).filter(after);
        for event in owed.filter(|event| notable.contains(&text(&event["body"]["event"]).as_str())) {
            assert!(heard.contains(&text(&event["id"])), "nobody was told of {event}");
        }
        let logged = log.iter().map(|event| text(&event["id"])).collect();
        assert!(heard.is_subset(&logged), "told of what is not in the log: {heard:?}");
    }
}
