//! How does a request reach the server? With a key, an idempotency token, and again when the line fails.

use crate::failure::Failure;
use crate::profile::Login;
use ebb_wire::problem::{Page, Problem};
use reqwest::{Method, StatusCode, Url};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// A request that fails on its way is sent again after each of these pauses, under the same token, so it acts once.
const PAUSES_MS: [u64; 4] = [100, 200, 400, 800];
const PAGE: &str = "500";

/// One server, one key.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Url,
    login: Login,
    /// The account that an operator looks at.
    account: Option<String>,
}

impl Client {
    /// # Errors
    /// The endpoint is no `http://` address.
    pub fn new(login: Login, account: Option<String>) -> Result<Self, Failure> {
        let not_an_address = |why: &str| {
            Failure::Usage(format!("`{}` {why}; an endpoint looks like http://127.0.0.1:7070", login.endpoint))
        };
        let endpoint = Url::parse(&login.endpoint).map_err(|_| not_an_address("is not an address"))?;
        match endpoint.scheme() {
            "http" if endpoint.has_host() => {}
            "https" => return Err(not_an_address("wants TLS, which this client leaves to a proxy on your side")),
            _ => return Err(not_an_address("is not an http address")),
        }
        let http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build();
        Ok(Self { http: http.expect("a client without TLS needs nothing"), endpoint, login, account })
    }

    /// The same for an operator who looks at one account.
    pub fn about(self, account: String) -> Self {
        Self { account: Some(account), ..self }
    }

    pub fn login(&self) -> &Login {
        &self.login
    }

    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Failure> {
        let mut url = self.url(path)?;
        let account = self.account.as_deref().map(|id| ("account", id));
        let pairs: Vec<_> = query.iter().copied().chain(account).collect();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self.call(Method::GET, url, None::<&()>).await
    }

    /// All items of a list, page by page.
    pub async fn all<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<Page<T>, Failure> {
        let mut items = vec![];
        let mut after = String::new();
        loop {
            let mut query = query.to_vec();
            query.push(("limit", PAGE));
            if !after.is_empty() {
                query.push(("after", &after));
            }
            let page: Page<T> = self.get(path, &query).await?;
            items.extend(page.items);
            match page.next {
                Some(next) => after = next,
                None => return Ok(Page { items, next: None }),
            }
        }
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.call(Method::POST, self.url(path)?, Some(body)).await
    }

    /// A verb that needs no words, such as `…/stop`.
    pub async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::POST, self.url(path)?, None::<&()>).await
    }

    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::DELETE, self.url(path)?, None::<&()>).await
    }

    /// Sends the bytes of a file, once: half of them cannot be sent again.
    pub async fn put_file<T: DeserializeOwned>(&self, path: &str, file: tokio::fs::File) -> Result<T, Failure> {
        let url = self.url(path)?;
        let request = self.http.put(url.clone()).bearer_auth(&self.login.key).body(reqwest::Body::from(file));
        match request.send().await {
            Ok(response) if response.status().is_success() => {
                read(url, response).await.unwrap_or_else(|error| Err(self.unreachable(&error)))
            }
            Ok(response) => Err(refusal(url, response).await),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// A line of raw bytes to a guest.
    pub async fn stream(&self, path: &str) -> Result<reqwest::Upgraded, Failure> {
        let url = self.url(path)?;
        let upgrade = [("Connection", "Upgrade"), ("Upgrade", "ebb-stream")];
        let request = upgrade.iter().fold(self.http.get(url.clone()), |r, (name, value)| r.header(*name, *value));
        let response = request.bearer_auth(&self.login.key).send().await.map_err(|e| self.unreachable(&e))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(url, response).await);
        }
        response.upgrade().await.map_err(|e| self.unreachable(&e))
    }

    async fn call<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&B>,
    ) -> Result<T, Failure> {
        let token = uuid::Uuid::new_v4().to_string();
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let mut request = self.http.request(method.clone(), url.clone()).bearer_auth(&self.login.key);
            if method != Method::GET {
                request = request.header("Idempotency-Key", &token);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let failure = match request.send().await {
                Ok(response) if response.status().is_success() => match read(url.clone(), response).await {
                    Err(error) => self.unreachable(&error),
                    Ok(answer) => return answer,
                },
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    refusal(url.clone(), response).await
                }
                Ok(response) => return Err(refusal(url, response).await),
                Err(error) => self.unreachable(&error),
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(Duration::from_millis(pause)).await,
                None => return Err(failure),
            }
        }
    }

    /// Names are parts of a path: one of dots would lead to something else.
    fn url(&self, path: &str) -> Result<Url, Failure> {
        let mut url = self.endpoint.clone();
        let whole = format!("{}{path}", self.endpoint.path().trim_end_matches('/'));
        url.set_path(&whole);
        if url.path().split('/').count() != whole.split('/').count() {
            return Err(Failure::Usage(format!("`{path}`: `.` and `..` name nothing")));
        }
        Ok(url)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Failure::Unreachable { endpoint: self.login.endpoint.clone(), cause: cause.to_string() }
    }
}

/// The outer error: the answer did not arrive whole. The inner: it is none of ours.
async fn read<T: DeserializeOwned>(
    url: Url,
    response: reqwest::Response,
) -> Result<Result<T, Failure>, reqwest::Error> {
    let status = response.status().as_u16();
    let bytes = response.bytes().await?;
    // An answer without a body reads as `null`.
    let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
    Ok(serde_json::from_slice(text).map_err(|_| Failure::NotEbb { url: url.to_string(), status }))
}

async fn refusal(url: Url, response: reqwest::Response) -> Failure {
    let status = response.status().as_u16();
    match response.json::<Problem>().await {
        // What the API says to a program is not how a command is told its key.
        Ok(problem) if problem.code == "no-key" => Failure::Refused(Problem {
            message: "the server knows no such key: name another with --key or EBB_KEY, or a profile with --as"
                .to_owned(),
            ..problem
        }),
        Ok(problem) => Failure::Refused(problem),
        Err(_) => Failure::NotEbb { url: url.to_string(), status },
    }
}
