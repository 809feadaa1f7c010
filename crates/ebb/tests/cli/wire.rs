//! What happens on the line: is a change made once when an answer is lost, and do a guest's bytes pass both ways?

use crate::sandbox::{EBB, Sandbox};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

/// Passes connections on to the sandbox, but loses the first answer to a POST.
fn careless_proxy(endpoint: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = endpoint.strip_prefix("http://").unwrap().to_owned();
    thread::spawn(move || {
        let mut lost = false;
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let request = one_message(&mut client);
            // One request a connection keeps this simple.
            let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            server.write_all(request.as_bytes()).unwrap();
            let mut answer = vec![];
            server.read_to_end(&mut answer).unwrap();
            if request.starts_with("POST") && !lost {
                lost = true;
                continue;
            }
            client.write_all(&answer).unwrap();
        }
    });
    format!("http://{address}")
}

/// Reads a request with its body.
fn one_message(from: &mut TcpStream) -> String {
    let mut reader = BufReader::new(from);
    let mut message = String::new();
    while !message.ends_with("\r\n\r\n") {
        if reader.read_line(&mut message).unwrap() == 0 {
            return message;
        }
    }
    let length = message.to_ascii_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    message + &String::from_utf8(body).unwrap()
}

#[test]
fn a_purchase_whose_answer_is_lost_is_made_once() {
    let sandbox = Sandbox::start();
    let proxy = careless_proxy(&sandbox.endpoint);
    let bought = sandbox.json(&format!("ebb buy c6.large.2 --spot 3 --zone cn-beijing-a --endpoint {proxy}"));
    let list = sandbox.json("ebb instances list");
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "the repetition bought a second one");
    assert_eq!(list["items"][0]["id"], bought["id"]);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let sandbox = Sandbox::start();
    let said = sandbox.run("ebb balance --endpoint http://127.0.0.1:1 --key x");
    assert!(said.code == 1 && said.err.contains("no server answers at http://127.0.0.1:1"), "{said:?}");
    let said = sandbox.run("ebb balance --endpoint https://example.org --key x");
    assert!(said.code == 2 && said.err.contains("TLS"), "{said:?}");
    let said = sandbox.run("ebb balance --key wrong");
    assert!(said.code == 1 && said.err.contains("name another with --key or EBB_KEY"), "{said:?}");
}

/// A server that knows one thing: to say the guest's bytes, in capitals.
fn shouting_guest() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let request = one_message(&mut client).to_ascii_lowercase();
        assert!(request.contains("upgrade: ebb-stream") && request.contains("/streams/console"), "{request}");
        client
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ebb-stream\r\n\r\n")
            .unwrap();
        let mut typed = [0; 64];
        let count = client.read(&mut typed).unwrap();
        client.write_all(&typed[..count].to_ascii_uppercase()).unwrap();
    });
    format!("http://{address}")
}

#[test]
fn what_is_typed_reaches_the_console_and_its_answer_comes_back() {
    let id = "i-019b76daa800700080000000000000aa";
    let mut console = Command::new(EBB);
    console.args(["console", id, "--key", "x", "--endpoint", &shouting_guest()]).env("EBB_CONFIG", "/nonexistent");
    let mut console = console.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    console.stdin.take().unwrap().write_all(b"hello\x00\xff\n").unwrap();
    let output = console.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(0), b"HELLO\x00\xff\n".to_vec()));
}

#[test]
fn tables_are_plain_where_nobody_looks_and_json_is_the_apis() {
    let sandbox = Sandbox::start();
    sandbox.ok("ebb buy c6.large.2 --spot 6 --periods 2 --name 基因测序 --wait");
    sandbox.ok("ebb clock advance 1h");
    let list = sandbox.ok("ebb instances list");
    let (head, row) = list.split_once('\n').unwrap();
    assert!(!list.contains('\x1b'), "{list:?}");
    assert!(head.starts_with("ID ") && row.contains("基因测序  running  spot-block 6 h × 2"), "{list}");
    assert!(row.contains("2026-01-01 00:00:00  2026-01-01 12:00:00"), "{list}");
    let bill = sandbox.json("ebb bill");
    assert_eq!(bill["records"][0]["meter"], "system-disk");
    assert_eq!(bill["accruing_total"]["payable"], "0.12000000");
}

#[test]
fn following_the_log_shows_what_was_and_what_comes() {
    let sandbox = Sandbox::start();
    let mut follow = Command::new(EBB);
    follow.args(["events", "--follow", "--json"]).env("EBB_CONFIG", sandbox.home.join("profiles.toml"));
    let mut follow = follow.env("EBB_PROFILE", "individual").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || {
        let event: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        event["body"]["event"].as_str().unwrap().to_owned()
    };
    assert_eq!([next(), next(), next()], ["account-opened", "account-verified", "topped-up"]);
    sandbox.ok("ebb buy c6.large.2");
    assert_eq!([next(), next()], ["bought", "running"]);
    follow.kill().unwrap();
    follow.wait().unwrap();
}
