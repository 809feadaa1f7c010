//! A receiver of notifications as a customer would write one, and ways in which it misbehaves.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sha2::Sha256;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What it does with a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Mood {
    /// Takes it, and echoes the token of a confirmation.
    Willing,
    /// Takes it, and says nothing.
    Mute,
    Down,
    Gone,
    Redirecting(String),
    Huge,
    Slow,
}

/// A server that writes down what it gets.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    inner: Arc<Inner>,
}

struct Inner {
    mood: Mutex<Mood>,
    got: Mutex<Vec<Got>>,
}

/// One message as it came.
#[derive(Debug, Clone)]
pub struct Got {
    headers: HeaderMap,
    body: String,
}

impl Receiver {
    pub async fn new(mood: Mood) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ebb?x=1", listener.local_addr().unwrap());
        Receiver::at(url, mood, listener)
    }

    /// With the `cert.pem` and the `key.pem` of a directory.
    pub async fn over_tls(mood: Mood, directory: &Path) -> Receiver {
        let certificates = CertificateDer::pem_file_iter(directory.join("cert.pem")).unwrap().map(Result::unwrap);
        let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(certificates.collect(), key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/ebb", listener.local_addr().unwrap().port());
        Receiver::at(url, mood, Tls { listener, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    fn at<L: Listener<Addr: std::fmt::Debug>>(url: String, mood: Mood, listener: L) -> Receiver {
        let inner = Arc::new(Inner { mood: Mutex::new(mood), got: Mutex::default() });
        let router: axum::Router = axum::Router::new().fallback(hear).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Receiver { url, inner }
    }

    pub fn becomes(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    pub fn got(&self) -> Vec<Got> {
        self.inner.got.lock().unwrap().clone()
    }

    /// Those of one type, such as `dev.ebb.instance.released`.
    pub fn of(&self, kind: &str) -> Vec<Got> {
        self.got().into_iter().filter(|got| got.event()["type"] == kind).collect()
    }

    /// The types of all, in their order.
    pub fn types(&self) -> Vec<String> {
        self.got().iter().map(|got| got.event()["type"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn wait_for(&self, kind: &str, count: usize) -> Vec<Got> {
        until(&format!("{count} of {kind}"), async || self.of(kind).len() >= count).await;
        self.of(kind)
    }
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, from) = self.listener.accept().await.unwrap();
            // Who does not trust it hangs up.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Got {
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// As Standard Webhooks tells receivers to do it.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        #[expect(clippy::disallowed_methods, reason = "a receiver looks at its own clock")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(timestamp.parse().unwrap()) < 300, "dated {timestamp}, and it is {now}");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{id}.{timestamp}.{}", self.body).as_bytes());
        let given = self.header("webhook-signature").strip_prefix("v1,").unwrap();
        mac.verify_slice(&STANDARD.decode(given).unwrap()).is_ok()
    }
}

async fn hear(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let event: Value = serde_json::from_str(&body).unwrap();
    inner.got.lock().unwrap().push(Got { headers, body });
    let mood = inner.mood.lock().unwrap().clone();
    match mood {
        Mood::Willing if event["type"] == "dev.ebb.subscription.confirmation" => {
            axum::Json(json!({ "token": event["data"]["token"] })).into_response()
        }
        Mood::Willing | Mood::Mute => StatusCode::NO_CONTENT.into_response(),
        Mood::Down => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::Gone => StatusCode::GONE.into_response(),
        Mood::Redirecting(to) => (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response(),
        Mood::Huge => "x".repeat(1 << 20).into_response(),
        Mood::Slow => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

/// Deliveries happen behind requests, so what came of them is waited for.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..1_500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}
