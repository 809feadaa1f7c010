//! How does a mail leave the house? Over the operator's SMTP server, as plain text with the event beside it.

use super::Outcome;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use std::time::Duration;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(20);

/// The operator's SMTP server.
#[derive(Clone)]
pub struct SmtpConfig {
    /// `smtps://user@host` (TLS from the first byte), `smtp://user@host:587` (STARTTLS, never without), `smtp-plain://host` (none).
    pub url: String,
    pub password: Option<String>,
    /// `Ebb <ebb@example.com>`
    pub from: String,
}

/// The way to mailboxes.
pub struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Unique; the same in every attempt.
    pub id: String,
    pub subject: String,
    pub text: String,
    /// The CloudEvent.
    pub event: String,
    /// Where a mail program can end it with one click.
    pub unsubscribe: Option<String>,
}

impl Mail {
    /// # Errors
    /// What about the configuration cannot be.
    pub fn new(config: SmtpConfig, authorities: &[CertificateDer<'static>]) -> Result<Self, String> {
        let example = "smtps://user@mail.example.com, smtp://user@mail.example.com:587 or smtp-plain://127.0.0.1:25";
        let url = Url::parse(&config.url).map_err(|error| format!("SMTP server: {error}; write {example}"))?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| format!("SMTP server: no host; write {example}"))?.trim_matches(['[', ']']);
        if url.password().is_some() {
            return Err("SMTP server: every user sees arguments; give the password in a file instead".to_owned());
        }
        let (tls, port) = match url.scheme() {
            "smtps" => (Tls::Wrapper(tls(host, authorities)?), 465),
            "smtp" => (Tls::Required(tls(host, authorities)?), 587),
            "smtp-plain" => (Tls::None, 25),
            other => return Err(format!("SMTP server: `{other}` is not understood; write {example}")),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(port))
            .tls(tls)
            .timeout(Some(PATIENCE));
        match (url.username(), config.password) {
            ("", None) => {}
            ("", Some(_)) => return Err(format!("SMTP server: a password, but no user; write {example}")),
            (_, None) => return Err("SMTP server: a user, but no password; give one in a file".to_owned()),
            // An address as a user has its @ encoded.
            (user, Some(password)) => {
                builder = builder.credentials(Credentials::new(user.replace("%40", "@"), password))
            }
        }
        let from = config.from.parse().map_err(|error| format!("sender of mails `{}`: {error}", config.from))?;
        Ok(Self { transport: builder.build(), from })
    }

    pub async fn send(&self, to: &str, letter: &Letter) -> Outcome {
        let message = match self.message(to, letter) {
            Ok(message) => message,
            Err(error) => return Outcome::Failed(format!("the mail cannot be written: {error}")),
        };
        match tokio::time::timeout(PATIENCE, self.transport.send(message)).await {
            Ok(Ok(_)) => Outcome::Accepted(vec![]),
            Ok(Err(error)) => refused(&error),
            Err(_) => Outcome::Failed(format!("the SMTP server took longer than {} s", PATIENCE.as_secs())),
        }
    }

    fn message(&self, to: &str, letter: &Letter) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
        let to = Mailbox::new(None, to.parse::<Address>()?);
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(&letter.subject)
            .message_id(Some(format!("<{}@{}>", letter.id, self.from.email.domain())))
            // No answer of another machine comes back.
            .raw_header(raw("Auto-Submitted", "auto-generated"));
        if let Some(url) = &letter.unsubscribe {
            message = message.raw_header(raw("List-Unsubscribe", &format!("<{url}>")));
            message = message.raw_header(raw("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
        }
        let event = Attachment::new("event.json".to_owned());
        let event = event.body(letter.event.clone(), ContentType::parse(ebb_wire::cloud_event::MEDIA_TYPE)?);
        Ok(message
            .multipart(MultiPart::mixed().singlepart(SinglePart::plain(letter.text.clone())).singlepart(event))?)
    }
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn tls(host: &str, authorities: &[CertificateDer<'static>]) -> Result<TlsParameters, String> {
    let broken = |error: Error| format!("SMTP server: {error}");
    let mut builder = TlsParameters::builder(host.to_owned());
    for authority in authorities {
        builder = builder.add_root_certificate(Certificate::from_der(authority.to_vec()).map_err(broken)?);
    }
    builder.build_rustls().map_err(broken)
}

/// What the codes of RFC 5321 say of the mailbox; the others are between the operator and his server.
fn refused(error: &Error) -> Outcome {
    let mut why = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        why = format!("{why}: {deeper}");
        cause = deeper.source();
    }
    match error.status().map(|code| code.to_string()).as_deref() {
        Some("521" | "550" | "551" | "553" | "556") => Outcome::Gone(why),
        _ => Outcome::Failed(why),
    }
}

/// Reads an address that mails are to go to.
///
/// # Errors
/// What about it cannot be.
pub fn mailbox(text: &str) -> Result<String, String> {
    if !text.is_ascii() || text.len() > 254 {
        return Err("at most 254 ASCII characters, such as ada@example.com".to_owned());
    }
    let address: Address = text.parse().map_err(|_| "an address looks like ada@example.com".to_owned())?;
    // A quoted name may contain nearly anything, and hardly anybody has one.
    if address.user().contains(['"', '\\', '<', '>', ',', ';', ':']) || !address.domain().contains('.') {
        return Err("an address looks like ada@example.com".to_owned());
    }
    Ok(address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(url: &str, password: Option<&str>) -> Result<Mail, String> {
        let (url, password) = (url.to_owned(), password.map(str::to_owned));
        Mail::new(SmtpConfig { url, password, from: "Ebb <ebb@example.com>".to_owned() }, &[])
    }

    #[tokio::test]
    async fn nobody_adds_a_header_to_a_mail() {
        let letter = Letter {
            id: "v-1".to_owned(),
            subject: "web\r\nBcc: eve@example.com".to_owned(),
            text: "line\r\n.\r\nMAIL FROM:<eve@example.com>".to_owned(),
            event: "{}".to_owned(),
            unsubscribe: Some("https://example.com/\r\nBcc: eve@example.com".to_owned()),
        };
        let mail = mail("smtp-plain://127.0.0.1:2525", None).expect("a configuration");
        let text =
            String::from_utf8(mail.message("ada@example.com", &letter).expect("a mail").formatted()).expect("text");
        let head = text.split("\r\n\r\n").next().expect("a head");
        assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{head}");
        for wrong in [
            "ada@example.com\r\nBcc: e@f.g",
            "ada@example.com, eve@example.com",
            "Ada <ada@example.com>",
            "ada",
            "\"a\\\"\"@b.c",
            "a@b",
            "阿达@example.com",
        ] {
            assert!(mailbox(wrong).is_err(), "{wrong}");
        }
        assert_eq!(mailbox("ada+ebb@example.com"), Ok("ada+ebb@example.com".to_owned()));
    }

    #[tokio::test]
    async fn a_configuration_is_refused_with_its_reason() {
        for (url, password, why) in [
            ("smtps://ada:secret@mail.example.com", None, "every user sees"),
            ("smtps://ada@mail.example.com", None, "no password"),
            ("smtps://mail.example.com", Some("secret"), "no user"),
            ("http://mail.example.com", None, "not understood"),
            ("mail.example.com", None, "smtp"),
        ] {
            let error = mail(url, password).err().unwrap_or_else(|| panic!("{url} is taken"));
            assert!(error.contains(why), "{url}: {error}");
        }
        assert!(mail("smtps://ada%40example.com@mail.example.com", Some("secret")).is_ok());
    }
}
