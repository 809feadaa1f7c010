//! What do all requests and workers share?

use crate::clock::Clock;
use crate::deliver::Deliverer;
use crate::evidence::Keys;
use crate::host::Hosts;
use crate::metrics::Metrics;
use crate::mint::Mint;
use crate::verifier::Verifier;
use crate::zone::Zones;
use ebb_model::catalog::Catalog;
use ebb_model::time::Timestamp;
use ebb_store::Store;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

/// The service, without its sockets. Clones share it.
#[derive(Clone)]
pub struct App(Arc<Inner>);

pub struct Inner {
    pub store: Store,
    pub clock: Clock,
    /// When this process began; hosts have had no time before it to say anything to it.
    pub began_at: Timestamp,
    pub mint: Mint,
    pub catalog: Catalog,
    pub installation: Installation,
    pub hosts: Hosts,
    pub zones: Zones,
    pub metrics: Metrics,
    pub deliverer: Deliverer,
    /// Under which what shows a person is hashed.
    pub evidence: Keys,
    /// Who verifies accounts from outside, if anybody does.
    pub verifier: Option<Verifier>,
    /// Counts commits; workers that wait for something new watch it.
    pub news: watch::Sender<u64>,
    /// A sandbox runs one thing at a time, so that the same calls give the same log.
    pub turn: Option<Mutex<()>>,
    /// Digests of keys that everybody knows; a sandbox takes them from loopback only, a service never.
    pub well_known: Vec<String>,
}

/// Which installation this is; hosts obey no other.
#[derive(Debug, Clone, Copy)]
pub struct Installation {
    pub id: Uuid,
    pub epoch: i64,
}

impl App {
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    pub fn is_sandbox(&self) -> bool {
        self.clock.speed().is_some()
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
