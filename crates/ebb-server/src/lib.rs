//! The service: HTTP in front, workers behind, no privilege.
//!
//! A request goes [`routes`] → [`call`] (who, once) → [`unit`] (what the rules decide becomes rows); a second of usage is opened and
//! closed by [`unit`] and settled by [`work::hours`]; [`host`] speaks with the machines that lend capacity, [`deliver`] with
//! those who subscribed.

mod address;
mod app;
mod arrears;
mod audit;
mod bandwidth;
mod block_debt;
mod budget;
mod call;
mod cap;
mod catalog_file;
mod clock;
mod coverage;
mod deliver;
mod denied;
mod drill;
mod evidence;
mod forecast;
mod host;
mod image;
mod lending;
mod metrics;
mod mint;
mod peers;
mod person;
mod place;
mod prices;
mod quota;
mod room;
mod routes;
mod sandbox;
mod scorecard;
mod security_group;
mod serve;
mod traffic;
mod trial;
mod unit;
mod verifier;
mod volume;
mod voucher;
mod work;
mod zone;

pub use catalog_file::{CatalogFile, CatalogProblems, load_catalog, sample_catalog};
pub use deliver::DeliveryConfig;
pub use deliver::address::Network;
pub use deliver::mail::SmtpConfig;
pub use routes::openapi_json;
pub use sandbox::{SandboxConfig, sandbox};
pub use serve::{IdentityConfig, ServeConfig, ServeError, Serving, VerifierConfig, serve};
