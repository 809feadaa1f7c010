//! How is something posted to an address that a tenant chose? Looked up once, checked, and connected to that very address.

use super::address::{Network, ONLY_THE_OPERATOR, check};
use super::{Outcome, WEBHOOK_PATIENCE};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

/// The most that is read of an answer, and of its head.
const LONGEST_ANSWER: usize = 16 * 1_024;

/// A body may pause for so long.
const SILENCE: Duration = Duration::from_secs(30);

type LookUp = Box<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The way to webhooks.
pub struct Outside {
    pub networks: Vec<Network>,
    authorities: Vec<CertificateDer<'static>>,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    look_up: LookUp,
}

impl Outside {
    pub fn new(networks: Vec<Network>, authorities: Vec<CertificateDer<'static>>) -> Self {
        let look_up: LookUp =
            Box::new(|host, port| Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }));
        Self { networks, authorities, tls: OnceLock::new(), look_up }
    }

    /// Posts once. No redirect is followed and no proxy used.
    pub async fn post(&self, url: &Url, headers: &[(&str, String)], body: String) -> Outcome {
        match tokio::time::timeout(WEBHOOK_PATIENCE, self.exchange(url, headers, body)).await {
            Err(_) => Outcome::Failed(format!("no whole answer within {} s", WEBHOOK_PATIENCE.as_secs())),
            Ok(Err(error)) => Outcome::Failed(error),
            Ok(Ok((StatusCode::GONE, _))) => Outcome::Gone("it answered 410 Gone".to_owned()),
            Ok(Ok((status, answer))) if status.is_success() => Outcome::Accepted(answer),
            Ok(Ok((status, _))) if status.is_redirection() => Outcome::Failed(format!(
                "it answered {status}; redirects are not followed, subscribe the final address"
            )),
            Ok(Ok((status, _))) => Outcome::Failed(format!("it answered {status}")),
        }
    }

    async fn exchange(
        &self,
        url: &Url,
        headers: &[(&str, String)],
        body: String,
    ) -> Result<(StatusCode, Vec<u8>), String> {
        let (stream, address) = self.connect(url).await?;
        let request = request(url, headers, body)?;
        if url.scheme() == "http" {
            return converse(stream, request).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?,
            _ => ServerName::from(address),
        };
        let tls = TlsConnector::from(self.tls()?);
        let stream = tls.connect(name, stream).await.map_err(|error| format!("no TLS with it: {error}"))?;
        converse(stream, request).await
    }

    /// Gets what an address leads to, as it comes in; head and body as one stream of pieces would be, the head is looked at here.
    pub async fn get(&self, url: &Url) -> Result<Fetched, String> {
        let patient = tokio::time::timeout(WEBHOOK_PATIENCE, async {
            let (stream, address) = self.connect(url).await?;
            let request = getting(url)?;
            if url.scheme() == "http" {
                return fetch(stream, request).await;
            }
            let name = match url.host() {
                Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?,
                _ => ServerName::from(address),
            };
            let tls = TlsConnector::from(self.tls()?);
            let stream = tls.connect(name, stream).await.map_err(|error| format!("no TLS with it: {error}"))?;
            fetch(stream, request).await
        });
        match patient.await {
            Err(_) => Err(format!("no answer within {} s", WEBHOOK_PATIENCE.as_secs())),
            Ok(fetched) => fetched,
        }
    }

    /// To the first address that answers; one that may not be reached ends it, whatever the others are.
    async fn connect(&self, url: &Url) -> Result<(TcpStream, IpAddr), String> {
        let port = url.port_or_known_default().ok_or("it has no port")?;
        let addresses = match url.host() {
            Some(Host::Ipv4(address)) => vec![SocketAddr::new(address.into(), port)],
            Some(Host::Ipv6(address)) => vec![SocketAddr::new(address.into(), port)],
            Some(Host::Domain(name)) => {
                let found = (self.look_up)(name.to_owned(), port).await;
                found.map_err(|error| format!("its name {name} is not found: {error}"))?
            }
            None => vec![],
        };
        for address in &addresses {
            check(address.ip(), &self.networks).map_err(|why| match url.host() {
                // Whom a name leads to inside is nobody's business outside.
                Some(Host::Domain(name)) => {
                    tracing::debug!(name, why, "a webhook that leads inside");
                    format!("{name} leads to an address that is not public; {ONLY_THE_OPERATOR}")
                }
                _ => why,
            })?;
        }
        let mut why = "its name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok((stream, address.ip())),
                Err(error) => why = format!("no connection to {address}: {error}"),
            }
        }
        Err(why)
    }

    /// Made when it is first needed: it reads the machine's authorities.
    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        self.tls.get_or_init(|| tls_config(&self.authorities)).clone()
    }
}

fn tls_config(authorities: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(authorities.iter().cloned());
    if roots.is_empty() {
        return Err("this machine knows no certificate authority: the operator installs `ca-certificates`".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

fn request(url: &Url, headers: &[(&str, String)], body: String) -> Result<Request<Full<Bytes>>, String> {
    // With the port, unless it is the scheme's own.
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let mut request = Request::post(path).header(HOST, host).header(CONNECTION, "close");
    request = request.header(USER_AGENT, concat!("ebb/", env!("CARGO_PKG_VERSION")));
    request = request.header(CONTENT_TYPE, ebb_wire::cloud_event::MEDIA_TYPE);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Full::new(Bytes::from(body))).map_err(|error| format!("it cannot be asked for: {error}"))
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Vec<u8>), String> {
    let broken = |error: hyper::Error| format!("it did not answer: {}", innermost(&error));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(LONGEST_ANSWER);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with this exchange, however that ends.
    let mut connection = tokio::task::JoinSet::from_iter([connection]);
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status();
    let mut body = answer.into_body();
    let mut whole = vec![];
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        whole.extend_from_slice(&data);
        if whole.len() > LONGEST_ANSWER {
            return Err(format!("it answered {status} with more than {LONGEST_ANSWER} bytes; answer with less"));
        }
    }
    connection.abort_all();
    Ok((status, whole))
}

/// An answer whose body is still to come.
pub struct Fetched {
    body: hyper::body::Incoming,
    _connection: tokio::task::JoinSet<Result<(), hyper::Error>>,
}

impl Fetched {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, String>> {
        loop {
            let frame = match tokio::time::timeout(SILENCE, self.body.frame()).await {
                Err(_) => return Some(Err(format!("nothing came for {} s", SILENCE.as_secs()))),
                Ok(frame) => frame?,
            };
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) => return Some(Ok(data)),
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(innermost(&error))),
            }
        }
    }
}

async fn fetch(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Fetched, String> {
    let broken = |error: hyper::Error| format!("it did not answer: {}", innermost(&error));
    let (mut sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tokio::task::JoinSet::from_iter([connection]);
    let answer = sender.send_request(request).await.map_err(broken)?;
    match answer.status() {
        StatusCode::OK => Ok(Fetched { body: answer.into_body(), _connection: connection }),
        status if status.is_redirection() => {
            Err(format!("it answered {status}; redirects are not followed, give the final address"))
        }
        status => Err(format!("it answered {status}")),
    }
}

fn getting(url: &Url) -> Result<Request<Full<Bytes>>, String> {
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let request = Request::get(&url[Position::BeforePath..Position::AfterQuery]).header(HOST, host);
    let request = request.header(CONNECTION, "close").header(USER_AGENT, concat!("ebb/", env!("CARGO_PKG_VERSION")));
    request.body(Full::new(Bytes::new())).map_err(|error| format!("it cannot be asked for: {error}"))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers each connection, and counts them.
    async fn receiver(at: &str) -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind(at).await.expect("a port");
        let (port, count) = (listener.local_addr().expect("an address").port(), Arc::new(AtomicUsize::new(0)));
        let counted = count.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                let _ = stream.read(&mut [0; 4_096]).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        });
        (port, count)
    }

    /// A name that has the first of these addresses when it is first looked up, then the next.
    fn rebinding(networks: &[&str], answers: &'static [&'static [&'static str]]) -> (Outside, Arc<AtomicUsize>) {
        let networks = networks.iter().map(|text| text.parse().expect("a network")).collect();
        let mut outside = Outside::new(networks, vec![]);
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        outside.look_up = Box::new(move |_, port| {
            let answer = answers[counted.fetch_add(1, SeqCst).min(answers.len() - 1)];
            let addresses = answer.iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), port)).collect();
            Box::pin(async move { Ok(addresses) })
        });
        (outside, asked)
    }

    #[tokio::test]
    async fn a_name_that_changes_its_address_leads_nowhere_else() {
        let (port, reached) = receiver("127.0.0.2:0").await;
        let url = Url::parse(&format!("http://changing.example:{port}/")).expect("an address");
        let (outside, asked) = rebinding(&["127.0.0.2/32"], &[&["127.0.0.2"], &["127.0.0.1"]]);
        assert_eq!(outside.post(&url, &[], String::new()).await, Outcome::Accepted(vec![]));
        assert_eq!(
            (asked.load(SeqCst), reached.load(SeqCst)),
            (1, 1),
            "looked up once, and connected to what was checked"
        );

        let Outcome::Failed(why) = outside.post(&url, &[], String::new()).await else {
            panic!("it is another one now")
        };
        assert!(why.contains("changing.example leads to an address that is not public"), "{why}");
    }

    #[tokio::test]
    async fn one_address_that_may_not_be_reached_spoils_the_others() {
        let (port, reached) = receiver("127.0.0.3:0").await;
        let url = Url::parse(&format!("http://mixed.example:{port}/")).expect("an address");
        let (outside, _) = rebinding(&["127.0.0.3/32"], &[&["127.0.0.3", "169.254.169.254"]]);
        let Outcome::Failed(why) = outside.post(&url, &[], String::new()).await else { panic!("accepted") };
        assert!(why.contains("not public") && !why.contains("169.254"), "{why}");
        assert_eq!(reached.load(SeqCst), 0);
    }
}
