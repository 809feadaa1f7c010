//! What is heard of a guest: from this machine by its public address, and on its console?

use crate::api::{Client, wait_for};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

/// The page at an address, once there is one.
pub fn page(ip: &str, path: &str) -> String {
    wait_for("a page", || {
        let said = get(ip, path).map_err(|e| e.to_string())?;
        let (head, body) = said.split_once("\r\n\r\n").ok_or("no answer")?;
        if head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200") {
            Ok(body.trim().to_owned())
        } else {
            Err(said.clone())
        }
    })
}

fn get(ip: &str, path: &str) -> std::io::Result<String> {
    let mut stream =
        TcpStream::connect_timeout(&format!("{ip}:80").parse().expect("an address"), Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said)
}

/// What is answered to a datagram; `None`: nothing, however often it is sent.
pub fn datagram(ip: &str, port: u16, word: &str, times: usize) -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a socket");
    let mut buffer = [0; 1500];
    (0..times).find_map(|_| {
        socket.send_to(word.as_bytes(), (ip, port)).expect("a way to it");
        let (length, from) = socket.recv_from(&mut buffer).ok()?;
        assert_eq!(
            (from.ip().to_string().as_str(), from.port()),
            (ip, port),
            "it answers by the address that was asked"
        );
        Some(String::from_utf8_lossy(&buffer[..length]).trim().to_owned())
    })
}

/// What a command prints on a guest's console.
pub fn typed(tenant: &Client<'_>, guest: &str, command: &str) -> String {
    let mut console =
        tenant.command(&["console", guest]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ebb");
    let (mut keys, mut screen) = (console.stdin.take().expect("a pipe"), console.stdout.take().expect("a pipe"));
    let (say, heard) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut buffer) {
            let _ = say.send(buffer[..length].to_vec());
        }
    });
    // What is echoed has quotes in it, what is printed has none.
    keys.write_all(format!("\n{command}; echo ran\"-\"so\n").as_bytes()).expect("it is there");
    let mut printed = String::new();
    while !printed.contains("ran-so\r\n") {
        let more = heard.recv_timeout(Duration::from_secs(120));
        let more = more.unwrap_or_else(|e| panic!("{command}: {e} after {printed}"));
        printed.push_str(&String::from_utf8_lossy(&more));
    }
    console.kill().and_then(|()| console.wait()).expect("a child");
    let printed = printed.rsplit_once("ran-so").map_or("", |(before, _)| before);
    printed.rsplit_once("ran\"-\"so").map_or(printed, |(_, after)| after).trim().to_owned()
}

/// Until a guest's console has a word on it.
pub fn printed(tenant: &Client<'_>, guest: &str, wanted: &str) {
    wait_for(&format!("{guest} prints {wanted}"), || {
        let log = tenant.ask("GET", &format!("/v1/instances/{guest}/console-log"), serde_json::Value::Null);
        let said = log.as_ref().is_ok_and(|log| log["text"].as_str().is_some_and(|text| text.contains(wanted)));
        said.then_some(()).ok_or_else(|| format!("{log:?}"))
    });
}
