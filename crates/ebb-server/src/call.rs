//! Who is asking, for what, and has it been asked before?

use crate::app::App;
use crate::denied::Denied;
use crate::mint::{digest, hex, hide, unhex};
use crate::unit::{Outcome, Unit, refuse};
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Query as UrlQuery, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use ebb_engine::evidence::is_invisible;
use ebb_engine::refusal::Refused;
use ebb_model::id::AccountId;
use ebb_model::time::Timestamp;
use ebb_store::rows::{account, token};
use ebb_store::{Decision, Query, Reads};
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::any::TypeId;
use std::net::SocketAddr;
use std::sync::Arc;

const LARGEST_BODY: usize = 1 << 20;
/// So much more is read and thrown away: a client that is cut off while it speaks does not hear why.
const HEARD_OUT: usize = 16 << 20;
const LONGEST_TOKEN: usize = 100;

/// What a key may do (rules §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Operator,
    Owner,
    Member,
    Auditor,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Owner => "owner",
            Role::Member => "member",
            Role::Auditor => "auditor",
        }
    }

    pub fn parse(name: &str) -> Option<Role> {
        [Role::Operator, Role::Owner, Role::Member, Role::Auditor].into_iter().find(|role| role.name() == name)
    }
}

/// The holder of the key that came with a request.
#[derive(Debug, Clone)]
pub struct Principal {
    pub key: String,
    secret: Arc<str>,
    pub role: Role,
    pub account: Option<AccountId>,
    /// The account of the key is closed: it may look, and no more.
    closed: bool,
}

/// `?account=`: an operator says whose things he looks at.
#[derive(serde::Deserialize)]
struct About {
    account: Option<String>,
}

impl FromRequestParts<App> for Principal {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Denied> {
        // No text column of PostgreSQL takes it, and nothing here is called so.
        if parts.uri.to_string().contains("%00") {
            return Err(Denied::BadInput("the address contains a NUL character".to_owned()));
        }
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret =
            header.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let secret = secret.ok_or(Denied::NoKey)?.1.trim();
        let hash = digest(secret.as_bytes());
        if app.well_known.contains(&hash) {
            // Of a database that was once a sandbox's.
            if !app.is_sandbox() {
                return Err(Denied::NoKey);
            }
            let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
            if !peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback()) {
                return Err(Denied::NotLoopback);
            }
        }
        let rows = app.store.rows(account::key_by_hash(&hash)).await?;
        let row = rows.first().ok_or(Denied::NoKey)?;
        let (key, closed) = (account::read_key(row), account::key_is_closed(row));
        let role = Role::parse(&key.role).ok_or(Denied::NoKey)?;
        let secret = secret.into();
        let mut principal = Principal { key: key.id.to_string(), secret, role, account: key.account, closed };
        let UrlQuery(about) = UrlQuery::<About>::try_from_uri(&parts.uri)
            .map_err(|error| Denied::BadInput(format!("the query is not understood: {error}")))?;
        if let Some(id) = about.account {
            let id: AccountId = id.parse().map_err(|error| Denied::BadInput(format!("account: {error}")))?;
            match principal.role {
                Role::Operator => principal.account = Some(id),
                _ if principal.account == Some(id) => {}
                _ => return Err(Denied::not_found("account", id)),
            }
        }
        Ok(principal)
    }
}

impl Principal {
    /// The account that is asked about.
    pub fn account(&self) -> Result<AccountId, Denied> {
        self.account.ok_or_else(|| {
            Denied::BadInput(
                "an operator's key belongs to no account: say which with ?account=a-…, in a command with --account"
                    .to_owned(),
            )
        })
    }

    pub fn operator(&self) -> Result<(), Denied> {
        match self.role {
            Role::Operator => Ok(()),
            role => Err(Denied::Role { needed: "operator", has: role.name() }),
        }
    }

    /// May also claim, and make and end keys.
    pub fn owner(&self) -> Result<AccountId, Denied> {
        match self.role {
            Role::Owner => self.open_account(),
            role => Err(Denied::Role { needed: "owner", has: role.name() }),
        }
    }

    /// May run, stop, delete and buy.
    pub fn member(&self) -> Result<AccountId, Denied> {
        match self.role {
            Role::Owner | Role::Member => self.open_account(),
            role => Err(Denied::Role { needed: "owner or member", has: role.name() }),
        }
    }

    fn open_account(&self) -> Result<AccountId, Denied> {
        if self.closed { Err(Refused::AccountClosed.into()) } else { self.account() }
    }

    /// Whether it may see things of this account.
    pub fn sees(&self, account: AccountId) -> bool {
        self.role == Role::Operator || self.account == Some(account)
    }
}

/// A request that changes something: who, with what, and the client's token for it.
pub struct Call<T> {
    pub principal: Principal,
    pub body: T,
    asked: Arc<Asked>,
}

/// What makes a request the same as one before: whose it is, the client's token, and what it says.
pub struct Asked {
    key: String,
    secret: Arc<str>,
    token: Option<String>,
    digest: String,
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<App> for Call<T> {
    type Rejection = Denied;

    async fn from_request(request: Request, app: &App) -> Result<Self, Denied> {
        let (mut parts, body) = request.into_parts();
        let principal = Principal::from_request_parts(&mut parts, app).await?;
        let token = match parts.headers.get("idempotency-key") {
            None => None,
            Some(value) => match value.to_str() {
                Ok(text) if (1..=LONGEST_TOKEN).contains(&text.len()) => Some(text.to_owned()),
                _ => return Err(Denied::BadInput(format!("Idempotency-Key: 1 to {LONGEST_TOKEN} ASCII characters"))),
            },
        };
        let bytes = whole(body).await?;
        let asked = format!("{} {}\n", parts.method, parts.uri);
        // Under the caller's own secret, which is nowhere at rest: a body may say what somebody could find by trying.
        let secret = principal.secret.clone();
        let digest = digest(&[b"request\0", secret.as_bytes(), b"\0", asked.as_bytes(), &bytes].concat());
        let body = body_of(&bytes)?;
        let key = principal.key.clone();
        Ok(Call { principal, body, asked: Arc::new(Asked { key, secret, token, digest }) })
    }
}

/// The bytes of a body, unless there are too many. Those are heard out, up to a point: who is cut off while he speaks does not
/// hear why.
pub async fn whole(body: Body) -> Result<Vec<u8>, Denied> {
    let (mut pieces, mut bytes, mut length) = (body.into_data_stream(), vec![], 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Denied::BadInput("the body was cut off".to_owned()))?;
        length += piece.len();
        if length <= LARGEST_BODY {
            bytes.extend_from_slice(&piece);
        } else if length > HEARD_OUT {
            break;
        }
    }
    if length > LARGEST_BODY { Err(Denied::TooLarge) } else { Ok(bytes) }
}

/// What the bytes of a body say.
pub fn body_of<T: DeserializeOwned + 'static>(bytes: &[u8]) -> Result<T, Denied> {
    let text = std::str::from_utf8(bytes).map_err(|_| Denied::BadInput("the body is not UTF-8".to_owned()))?;
    let mut text = if text.is_empty() { "null" } else { text };
    if TypeId::of::<T>() == TypeId::of::<Option<()>>() {
        // Many programs send an object with every POST.
        let nothing = |said: &Value| said.is_null() || said.as_object().is_some_and(Map::is_empty);
        if !serde_json::from_str(text).is_ok_and(|said: Value| nothing(&said)) {
            return Err(Denied::BadInput("no body is wanted here; leave it out, or send {}".to_owned()));
        }
        text = "null";
    }
    // Fields have names; a list of them would be taken by position.
    if text.trim_start().starts_with('[') {
        return Err(Denied::BadInput("the body: an object is wanted, not a list".to_owned()));
    }
    serde_json::from_str(text).map_err(|error| Denied::BadInput(format!("the body: {error}")))
}

impl<T> Call<T> {
    /// Carries out a change once: a repetition under the same token gets the first answer (rules §5.6).
    ///
    /// The answer is JSON text, so that the repetition is the same to the byte.
    pub async fn once<A, F, Fut>(
        &self,
        app: &App,
        name: &'static str,
        key: impl ToString,
        decide: F,
    ) -> Result<String, Denied>
    where
        A: Serialize + Send + 'static,
        F: Fn(Unit) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Outcome<Decision<A>>> + Send + 'static,
    {
        self.asked.once(app, name, key, decide).await
    }

    /// The same for work that is no single unit: what was answered before, if it was.
    pub async fn before(&self, app: &App) -> Result<Option<String>, Denied> {
        let (asked, now) = (self.asked.clone(), app.clock.now());
        let before = app.unit("token", &self.principal.key, move |unit| {
            let asked = asked.clone();
            async move { Ok(Decision::unchanged(asked.before(&unit.reads, now).await?)) }
        });
        Ok(before.await?)
    }

    /// Keeps the answer of such work.
    pub async fn keep(&self, app: &App, answer: String) -> Result<String, Denied> {
        let (asked, kept) = (self.asked.clone(), answer.clone());
        let keep = app.unit("token", &self.principal.key, move |mut unit| {
            let query = asked.keep(&kept, unit.now);
            query.into_iter().for_each(|query| unit.guard(query));
            async move { Ok(unit.done(())) }
        });
        keep.await?;
        Ok(answer)
    }
}

impl Asked {
    /// What came under another name than a key's: a message that is signed instead. `digest` is of what it says, under a key.
    pub fn message(from: &str, id: &str, digest: String) -> Arc<Self> {
        // Its answer is no secret, so what hides it need not be one.
        let (key, secret) = (from.to_owned(), from.into());
        Arc::new(Asked { key, secret, token: Some(id.to_owned()), digest })
    }

    /// Carries out a change once; see [`Call::once`].
    pub async fn once<A, F, Fut>(
        self: &Arc<Self>,
        app: &App,
        name: &'static str,
        key: impl ToString,
        decide: F,
    ) -> Result<String, Denied>
    where
        A: Serialize + Send + 'static,
        F: Fn(Unit) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Outcome<Decision<A>>> + Send + 'static,
    {
        let (asked, key) = (self.clone(), key.to_string());
        let answer = app.unit(name, &key, move |unit| {
            let (asked, decide) = (asked.clone(), decide.clone());
            async move {
                if let Some(answer) = asked.before(&unit.reads, unit.now).await? {
                    return Ok(Decision::unchanged(answer));
                }
                let now = unit.now;
                let decision = decide(unit).await?;
                let answer = serde_json::to_string(&decision.answer).expect("an answer of plain values");
                let mut guards = decision.guards;
                guards.extend(asked.keep(&answer, now));
                Ok(Decision { guards, writes: decision.writes, answer })
            }
        });
        Ok(answer.await?)
    }

    async fn before(&self, reads: &Reads, now: Timestamp) -> Outcome<Option<String>> {
        let Some(token) = &self.token else { return Ok(None) };
        let Some(row) = reads.row(token::by_token(&self.key, token, now)).await? else { return Ok(None) };
        let (request, answer) = token::read(&row);
        if request != self.digest {
            return refuse(Denied::TokenReused);
        }
        let mut answer = unhex(&answer).expect("an answer that this program wrote");
        hide(&self.secret, token, &mut answer);
        Ok(Some(String::from_utf8(answer).expect("an answer that this program wrote")))
    }

    fn keep(&self, answer: &str, now: Timestamp) -> Option<Query> {
        let token = self.token.as_ref()?;
        let mut hidden = answer.as_bytes().to_vec();
        hide(&self.secret, token, &mut hidden);
        Some(token::insert(&self.key, token, &self.digest, &hex(&hidden), now))
    }
}

/// Checks a name that people give: 1 to 100 characters, and nothing but what is to be seen.
pub fn checked_name(what: &str, name: &str) -> Result<String, Denied> {
    let length = name.chars().count();
    let wrong = |why: &str| Err(Denied::BadInput(format!("{what}: {why}")));
    match name {
        _ if length > 100 => wrong(&format!("at most 100 characters, {length} given")),
        _ if name.chars().any(|c| c.is_control() || is_hidden(c)) => {
            wrong("control, format and invisible characters are not allowed")
        }
        // A blank of Braille's is no white space, and looks like it.
        _ if name.chars().all(|c| c.is_whitespace() || c == '\u{2800}') => {
            wrong("give it at least one visible character")
        }
        _ => Ok(name.trim().to_owned()),
    }
}

/// What shows nothing, breaks lines, or turns the direction in which others are read: two names with it may look like one.
fn is_hidden(c: char) -> bool {
    is_invisible(c)
        || matches!(c, '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}' | '\u{2028}' | '\u{2029}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_is_to_be_seen() {
        for name in ["Ada", " Ada Lovelace ", "李雷", "Zoë", "أمل", "🙂"] {
            assert_eq!(checked_name("name", name).ok().as_deref(), Some(name.trim()), "{name}");
        }
        let long = "x".repeat(101);
        for name in [
            "",
            " ",
            "\u{3000}\u{a0}",
            "\u{2800}",
            "a\u{202e}b",
            "\u{200b}",
            "a\u{2066}b",
            "\u{3164}",
            "a\u{e0041}",
            "a\nb",
            "a\u{feff}",
            "a\u{2028}b",
            &long,
        ] {
            assert!(checked_name("name", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn where_no_body_is_wanted_an_empty_one_is_none() {
        for none in ["", "null", "{}", " { } "] {
            assert_eq!(body_of::<Option<()>>(none.as_bytes()).ok(), Some(None), "{none}");
        }
        for some in ["{\"a\": 1}", "[]", "1", "\"x\"", "{", "nothing"] {
            let denied = body_of::<Option<()>>(some.as_bytes()).expect_err(some);
            assert!(denied.to_string().contains("no body is wanted"), "{denied}");
        }
    }
}
