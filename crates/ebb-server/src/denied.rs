//! Which answer does a refusal, a mistake or a failure become?

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ebb_engine::refusal::Refused;
use ebb_store::{Halt, StoreError};
use ebb_wire::problem::Problem;

/// Why a request is not answered with what it asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Denied {
    #[error(transparent)]
    Rule(#[from] Refused),
    #[error("{0}")]
    BadInput(String),
    #[error("the body is above 1 MiB; send less")]
    TooLarge,
    #[error("no key, or an unknown one: send `Authorization: Bearer KEY`")]
    NoKey,
    #[error("this needs the role {needed}; this key is of role {has}")]
    Role { needed: &'static str, has: &'static str },
    #[error("there is no {what} `{id}` here")]
    NotFound { what: &'static str, id: String },
    #[error("`{method} {path}` is not part of the API; {docs} lists what is")]
    NoRoute { method: String, path: String, docs: &'static str },
    #[error("{0}")]
    Conflict(String),
    #[error("the Idempotency-Key was used for another request; use a new one for a new request")]
    TokenReused,
    #[error("the well-known keys of a sandbox work from this machine only")]
    NotLoopback,
    #[error("only a sandbox has a clock to advance; this service follows the wall clock")]
    NoSandbox,
    #[error("the host of this guest cannot be reached now: {0}")]
    HostAway(String),
    #[error(transparent)]
    Store(StoreError),
    #[error("something broke on our side; the log has more under this request's id")]
    Internal,
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Denied::Store(error)
    }
}

impl From<Halt<Denied>> for Denied {
    fn from(halt: Halt<Denied>) -> Self {
        match halt {
            Halt::Refused(denied) => denied,
            Halt::Store(error) => Denied::Store(error),
        }
    }
}

impl From<Denied> for Halt<Denied> {
    fn from(denied: Denied) -> Self {
        Halt::Refused(denied)
    }
}

impl Denied {
    pub fn not_found(what: &'static str, id: impl ToString) -> Self {
        Denied::NotFound { what, id: id.to_string().chars().take(80).collect() }
    }

    fn code(&self) -> &'static str {
        match self {
            Denied::Rule(refused) => refused.code(),
            Denied::BadInput(_) => "bad-input",
            Denied::TooLarge => "too-large",
            Denied::NoKey => "no-key",
            Denied::Role { .. } => "role",
            Denied::NotFound { .. } => "not-found",
            Denied::NoRoute { .. } => "no-route",
            Denied::Conflict(_) => "conflict",
            Denied::TokenReused => "idempotency-key-reused",
            Denied::NotLoopback => "not-loopback",
            Denied::NoSandbox => "no-sandbox",
            Denied::HostAway(_) => "host-away",
            Denied::Store(StoreError::DiskFull(_)) => "disk-full",
            Denied::Store(error) if error.is_passing() => "try-again",
            Denied::Store(StoreError::Unknown { .. }) => "outcome-unknown",
            Denied::Store(_) | Denied::Internal => "internal",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Denied::Rule(refused) => match refused {
                Refused::UnknownZone(_)
                | Refused::UnknownRegion(_)
                | Refused::NoBandwidth(_)
                | Refused::Mbit { .. }
                | Refused::UnknownFlavor(_)
                | Refused::UnknownImage(_)
                | Refused::ImageNeedsMemory { .. }
                | Refused::NotOnSale { .. }
                | Refused::Hours { .. }
                | Refused::NoPeriods(_)
                | Refused::Months { .. }
                | Refused::PeriodsNeedSixHours { .. }
                | Refused::TooManyPeriods { .. }
                | Refused::MarketplaceImage(_)
                | Refused::AutoRecovery
                | Refused::Evidence { .. }
                | Refused::TooMuchEvidence { .. }
                | Refused::NoPublicAddresses(_)
                | Refused::NumberOfGroups { .. }
                | Refused::VerifiedByNothing
                | Refused::NoDataDisks
                | Refused::NoSnapshots
                | Refused::DiskSize { .. }
                | Refused::SmallerThanSnapshot { .. }
                | Refused::VoucherFace { .. }
                | Refused::VoucherPeriod(_)
                | Refused::VoucherScope(_)
                | Refused::HoursWithoutBlock { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                Refused::InsufficientFunds { .. }
                | Refused::NotPaidFor { .. }
                | Refused::Arrears(_)
                | Refused::AccountFrozen { .. } => StatusCode::PAYMENT_REQUIRED,
                Refused::Unverified | Refused::AccountClosed => StatusCode::FORBIDDEN,
                Refused::Forged(_) | Refused::StaleSignature(_) => StatusCode::UNAUTHORIZED,
                Refused::ReferenceOver => StatusCode::NOT_FOUND,
                Refused::NotOffered(_) | Refused::NoVerifier => StatusCode::NOT_IMPLEMENTED,
                Refused::TooManyTakings { .. } | Refused::TooManyDrills { .. } | Refused::DrillsBusy { .. } => {
                    StatusCode::TOO_MANY_REQUESTS
                }
                _ => StatusCode::CONFLICT,
            },
            Denied::BadInput(_) => StatusCode::BAD_REQUEST,
            Denied::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Denied::NoKey => StatusCode::UNAUTHORIZED,
            Denied::Role { .. } | Denied::NotLoopback => StatusCode::FORBIDDEN,
            Denied::NotFound { .. } | Denied::NoRoute { .. } => StatusCode::NOT_FOUND,
            Denied::Conflict(_) | Denied::TokenReused | Denied::NoSandbox => StatusCode::CONFLICT,
            Denied::HostAway(_) => StatusCode::BAD_GATEWAY,
            Denied::Store(StoreError::DiskFull(_)) => StatusCode::INSUFFICIENT_STORAGE,
            Denied::Store(error) if error.is_passing() => StatusCode::SERVICE_UNAVAILABLE,
            Denied::Store(StoreError::Unknown { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            Denied::Store(_) | Denied::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The middleware fills in the request's id; what is not the caller's business stays in the log.
impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let (status, code) = (self.status(), self.code());
        let message = match &self {
            Denied::Store(error) if status == StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(%error, cause = ?std::error::Error::source(error), "the store failed");
                Denied::Internal.to_string()
            }
            _ => self.to_string(),
        };
        let problem = Problem { code: code.to_owned(), message, request_id: String::new() };
        let mut response = (status, Json(&problem)).into_response();
        response.extensions_mut().insert(problem);
        response
    }
}
