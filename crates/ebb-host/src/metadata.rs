//! How does a guest get its metadata, and nobody else's? Who asks is known by the address that the guard let through.
//!
//! A guest may ask as oddly and as often as it likes: it has so many connections, so many requests a second, so much of a head and
//! of a body, so that it cannot keep the others waiting. One that waits for a change sits on one of its own connections.

use ebb_wire::metadata::Answer;
use hyper::body::{Body, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::warn;

const CONNECTIONS: u32 = 8;
const REQUESTS_PER_SECOND: u32 = 50;
const BURST: u32 = 200;
const HEAD_BYTES: usize = 16 << 10;
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
const BODY_BYTES: usize = 4 << 10;
const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// Longer than any dialect lets a question wait.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(360);
/// Guests remembered; more than a host has addresses in use at a time.
const REMEMBERED: usize = 65_536;

/// A guest's request, for the one who knows the guest.
#[derive(Debug)]
pub struct Question {
    pub from: Ipv4Addr,
    /// The address that was asked.
    pub at: Ipv4Addr,
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub reply: oneshot::Sender<Answer>,
}

/// What each guest has left, by its address.
type Budgets = Arc<Mutex<HashMap<Ipv4Addr, Budget>>>;

#[derive(Debug)]
struct Budget {
    connections: u32,
    /// Requests, in thousandths.
    tokens: u32,
    filled_at: Instant,
}

/// Serves until it is dropped. A guest's budget is the same at all addresses.
pub async fn serve(listeners: Vec<TcpListener>, questions: mpsc::Sender<Question>) {
    let budgets = Budgets::default();
    let mut doors = JoinSet::new();
    for listener in listeners {
        doors.spawn(attend(listener, budgets.clone(), questions.clone()));
    }
    doors.join_all().await;
}

async fn attend(listener: TcpListener, budgets: Budgets, questions: mpsc::Sender<Question>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                warn!("a guest's metadata connection was lost: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (IpAddr::V4(from), Ok(IpAddr::V4(at))) = (peer.ip(), stream.local_addr().map(|at| at.ip())) else {
            continue;
        };
        let Some(seat) = Seat::take(&budgets, from) else { continue };
        let questions = questions.clone();
        connections.spawn(async move {
            let seat = &seat;
            let service = service_fn(|request| {
                let questions = questions.clone();
                async move { Ok::<_, Infallible>(respond(seat, at, request, questions).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever goes wrong on a guest's connection is the guest's own.
            let _ = tokio::time::timeout(CONNECTION_PATIENCE, connection).await;
        });
    }
}

async fn respond(
    seat: &Seat,
    at: Ipv4Addr,
    request: Request<Incoming>,
    questions: mpsc::Sender<Question>,
) -> Response<String> {
    if !seat.spend() {
        let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "too many requests: ask once a second");
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    let (parts, mut body) = request.into_parts();
    let may_have_body = parts.method == Method::POST;
    let has_body = parts.headers.contains_key(TRANSFER_ENCODING)
        || parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
        || !body.is_end_stream();
    let read = match (has_body, may_have_body) {
        (false, _) => Some(vec![]),
        (true, true) => tokio::time::timeout(BODY_PATIENCE, whole(&mut body)).await.unwrap_or_default(),
        (true, false) => None,
    };
    let Some(body) = read else {
        let mut response = plain(StatusCode::PAYLOAD_TOO_LARGE, "only a POST has a body here, of at most 4 KiB");
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    };
    let headers = &parts.headers;
    let headers =
        headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let (reply, answer) = oneshot::channel();
    let question = Question {
        from: seat.from,
        at,
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body,
        reply,
    };
    let asked = questions.send(question).await.is_ok();
    match answer.await {
        Ok(answer) if asked => {
            let status = StatusCode::from_u16(answer.status).expect("a status of our own");
            let mut response = plain(status, &answer.body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
            for (name, value) in answer.headers {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a header of our own");
                response.headers_mut().insert(name, value.parse().expect("a value of our own"));
            }
            response
        }
        _ => plain(StatusCode::SERVICE_UNAVAILABLE, "the host is not ready: ask again"),
    }
}

/// A body that is not too long.
async fn whole(body: &mut Incoming) -> Option<Vec<u8>> {
    let mut bytes = vec![];
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        bytes.extend_from_slice(&frame.ok()?.into_data().ok()?);
        if bytes.len() > BODY_BYTES {
            return None;
        }
    }
    Some(bytes)
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    response
}

/// One of a guest's connections; given back when it is dropped.
struct Seat {
    budgets: Budgets,
    from: Ipv4Addr,
}

impl Seat {
    fn take(budgets: &Budgets, from: Ipv4Addr) -> Option<Self> {
        let mut all = budgets.lock().unwrap_or_else(|e| e.into_inner());
        if all.len() >= REMEMBERED {
            all.retain(|_, budget| budget.connections > 0);
        }
        let fresh = || Budget { connections: 0, tokens: BURST * 1000, filled_at: Instant::now() };
        let budget = all.entry(from).or_insert_with(fresh);
        if budget.connections >= CONNECTIONS {
            return None;
        }
        budget.connections += 1;
        Some(Self { budgets: budgets.clone(), from })
    }

    /// One request; false when there are none left for now.
    fn spend(&self) -> bool {
        let mut all = self.budgets.lock().unwrap_or_else(|e| e.into_inner());
        let Some(budget) = all.get_mut(&self.from) else { return false };
        let gained = budget.filled_at.elapsed().as_millis().min(60_000) as u32 * REQUESTS_PER_SECOND;
        if gained > 0 {
            budget.tokens = (budget.tokens + gained).min(BURST * 1000);
            budget.filled_at = Instant::now();
        }
        let enough = budget.tokens >= 1000;
        budget.tokens -= if enough { 1000 } else { 0 };
        enough
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(budget) = self.budgets.lock().unwrap_or_else(|e| e.into_inner()).get_mut(&self.from) {
            budget.connections -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_wire::metadata::Effect;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// A service whose answer is always the same.
    async fn service() -> (std::net::SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (questions, mut asked) = mpsc::channel::<Question>(16);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(vec![listener], questions));
        tasks.spawn(async move {
            while let Some(question) = asked.recv().await {
                let Question { from, at, method, path, query, body, .. } = &question;
                let body = format!("{method} {path} {query} {} from {from} at {at}", body.len());
                let headers = vec![("X-Said", "yes".to_owned())];
                let effect = Effect::None;
                let _ = question.reply.send(Answer { status: 200, content_type: "text/plain", headers, body, effect });
            }
        });
        (address, tasks)
    }

    async fn ask(address: std::net::SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A connection that is cut says nothing, which is an answer too.
        let _ = stream.write_all(text.as_bytes()).await;
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn odd_requests_get_short_answers() {
        let (address, _tasks) = service().await;
        let plain = ask(address, "GET /a?b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(plain.ends_with("GET /a b 0 from 127.0.0.1 at 127.0.0.1"), "{plain}");
        assert!(plain.to_lowercase().contains("\r\nx-said: yes\r\n"), "{plain}");
        let with = async |method: &str, length: usize| {
            let head =
                format!("{method} /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            ask(address, &(head + &"x".repeat(length))).await
        };
        assert!(with("POST", 4096).await.ends_with("POST /a  4096 from 127.0.0.1 at 127.0.0.1"));
        for (method, length) in [("GET", 5), ("PUT", 5), ("POST", 4097)] {
            assert!(with(method, length).await.starts_with("HTTP/1.1 413"), "{method} {length}");
        }
        let cut = ask(address, "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhe");
        assert!(tokio::time::timeout(BODY_PATIENCE * 2, cut).await.unwrap().starts_with("HTTP/1.1 413"));
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(100_000));
        assert!(!ask(address, &long).await.contains(" 200 "));
        assert!(!ask(address, "\0\0\0\r\n\r\n").await.contains(" 200 "));
    }

    #[tokio::test]
    async fn a_guest_has_so_many_requests_and_connections() {
        let (address, _tasks) = service().await;
        let mut answers = vec![];
        for _ in 0..BURST + 100 {
            answers.push(ask(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await);
        }
        assert!(answers[0].starts_with("HTTP/1.1 200"));
        assert!(answers.iter().any(|answer| answer.starts_with("HTTP/1.1 429")));
        let mut open = vec![];
        for _ in 0..CONNECTIONS {
            open.push(TcpStream::connect(address).await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(ask(address, "").await, "", "one too many is cut at once");
    }
}
