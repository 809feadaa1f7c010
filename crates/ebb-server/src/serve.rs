//! How does the service start: catalog, store, clock, hosts, workers, socket?

use crate::app::{App, Inner, Installation};
use crate::call::Role;
use crate::catalog_file::CatalogProblems;
use crate::clock::Clock;
use crate::deliver::{Deliverer, DeliveryConfig};
use crate::evidence::Keys;
use crate::host::Hosts;
use crate::metrics::Metrics;
use crate::mint::{Mint, digest};
use crate::prices::open_book;
use crate::routes;
use crate::sandbox::well_known;
use crate::unit::Unit;
use crate::verifier::Verifier;
use crate::work::deliveries::keep_delivering;
use crate::work::hosts::keep_host;
use crate::work::images::{keep_fetching, keep_relaying};
use crate::work::{keep_closing, keep_working};
use ebb_model::catalog::Catalog;
use ebb_model::id::{ApiKeyId, EventId};
use ebb_model::time::Timestamp;
use ebb_store::rows::{account, event, token};
use ebb_store::{Place, Store, StoreError};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;

/// What `ebb serve` needs to know.
pub struct ServeConfig {
    pub listen: SocketAddr,
    pub store: Place,
    pub catalog: Catalog,
    /// Where the privileged halves listen, one per host.
    pub hosts: Vec<PathBuf>,
    /// A backup was restored: a new epoch begins, and hosts obey again once an operator accepts the gap.
    pub restored: bool,
    /// An operator key that is to exist, such as one from a file that only the operator reads.
    pub operator_secret: Option<String>,
    pub deliveries: DeliveryConfig,
    pub identity: IdentityConfig,
}

/// How an installation knows whose an account is.
#[derive(Clone)]
pub struct IdentityConfig {
    /// The file of the keys under which evidence is hashed; made if it does not exist.
    pub evidence_keys: PathBuf,
    pub verifier: VerifierConfig,
}

/// Who verifies accounts from outside.
#[derive(Clone, Default)]
pub struct VerifierConfig {
    /// What his messages are signed with, one secret a line; nobody does if not given.
    pub secrets: Option<String>,
    /// Where customers reach him.
    pub url: Option<String>,
}

impl VerifierConfig {
    pub(crate) fn verifier(self) -> Result<Option<Verifier>, ServeError> {
        let made = self.secrets.map(|secrets| Verifier::new(&secrets, self.url));
        made.transpose().map_err(ServeError::Setup)
    }
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the catalog {path} cannot be read: {cause}")]
    CatalogFile { path: PathBuf, cause: io::Error },
    #[error(transparent)]
    Catalog(#[from] CatalogProblems),
    #[error("the catalog does not go with what is there:\n  {}", problems.join("\n  "))]
    Prices { problems: Vec<String> },
    #[error("the store does not open: {0}")]
    Store(#[from] StoreError),
    #[error("cannot listen on {address}: {cause}; choose another address with --listen")]
    Listen { address: SocketAddr, cause: io::Error },
    #[error("{0}")]
    Setup(String),
}

/// A service that listens.
pub struct Serving {
    pub address: SocketAddr,
    pub(crate) app: App,
    pub(crate) listener: TcpListener,
}

/// Opens the store and listens. Nothing is answered before [`Serving::run`].
pub async fn serve(config: ServeConfig) -> Result<Serving, ServeError> {
    let deliverer = Deliverer::new(config.deliveries).map_err(ServeError::Setup)?;
    let verifier = config.identity.verifier.verifier()?;
    let evidence = Keys::in_file(&config.identity.evidence_keys)?;
    let store = Store::open(config.store).await?;
    let newest = Newest::of(&store).await?;
    let clock = Clock::wall(newest.as_ref().map(|newest| newest.at));
    let mint = newest.map_or_else(Mint::from_system, |newest| Mint::from_system().after(newest.id));
    let installation = installation(&store, &clock, &mint, config.restored).await?;
    let opened = open_book(&store, &clock, config.catalog).await?;
    clock.allow_jumps(opened.catalog.limits.clock_jump_seconds);
    let app = App::new(Inner {
        store,
        began_at: clock.now(),
        clock,
        mint,
        catalog: opened.catalog,
        installation,
        hosts: Hosts { sockets: config.hosts, ..Hosts::default() },
        zones: Default::default(),
        metrics: Metrics::new(),
        deliverer,
        evidence,
        verifier,
        news: watch::Sender::new(0),
        turn: None,
        well_known: well_known(),
    });
    app.settle_evidence_keys().await?;
    app.look_after_reserves().await.map_err(|error| ServeError::Setup(error.to_string()))?;
    app.look_after_lists().await.map_err(|error| ServeError::Setup(error.to_string()))?;
    app.look_after_prices(&opened.changed).await.map_err(|error| ServeError::Setup(error.to_string()))?;
    if let Some(secret) = config.operator_secret {
        ensure_key(&app, Role::Operator, &secret).await?;
    }
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().map_err(|cause| ServeError::Listen { address: config.listen, cause })?;
    Ok(Serving { address, app, listener })
}

pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|cause| ServeError::Listen { address, cause })
}

impl Serving {
    /// Answers requests and does what is due until `stop` ends; then lets running requests finish.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(keep_delivering(self.app.clone()));
        if !self.app.is_sandbox() {
            tasks.spawn(keep_working(self.app.clone()));
            tasks.spawn(keep_closing(self.app.clone()));
            tasks.spawn(keep_fetching(self.app.clone()));
            tasks.spawn(keep_relaying(self.app.clone()));
            for socket in self.app.hosts.sockets.clone() {
                tasks.spawn(keep_host(self.app.clone(), socket));
            }
        } else if self.app.clock.speed() != Some(0) {
            tasks.spawn(crate::work::sandbox::keep_running(self.app.clone()));
        }
        let service = routes::router(self.app.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(self.listener, service).with_graceful_shutdown(stop).await;
        tasks.shutdown().await;
        if let Err(error) = self.app.store.close().await {
            tracing::warn!(%error, "the store did not close cleanly; nothing committed is lost");
        }
        served
    }
}

/// The last event that was written: the clock and the ids go on from there.
pub(crate) struct Newest {
    pub at: Timestamp,
    pub id: Uuid,
}

impl Newest {
    pub async fn of(store: &Store) -> Result<Option<Newest>, StoreError> {
        let rows = store.rows(event::newest()).await?;
        Ok(rows.first().map(|row| {
            let id: EventId = row.text("id").parse().expect("an id that this program wrote");
            Newest { at: Timestamp::from_micros(row.int("at")), id: id.uuid() }
        }))
    }
}

/// Reads which installation the database is of; a new database becomes one.
pub(crate) async fn installation(
    store: &Store,
    clock: &Clock,
    mint: &Mint,
    restored: bool,
) -> Result<Installation, StoreError> {
    let now = clock.now();
    let id = mint.uuid(now);
    let opened =
        store.unit::<_, std::convert::Infallible, _, _>("installation", "installation", move |reads| async move {
            let mut writes = vec![];
            let known = reads.row(token::installation()).await?;
            let (id, epoch) = match known {
                Some(row) => (row.text("id").to_owned(), row.int("epoch") + i64::from(restored)),
                None => {
                    writes.push(token::insert_installation(&id.to_string(), now));
                    (id.to_string(), 1)
                }
            };
            if restored {
                writes.push(token::raise_epoch());
            }
            Ok(ebb_store::Decision { guards: vec![], writes, answer: (id, epoch) })
        });
    match opened.await {
        Ok((id, epoch)) => {
            Ok(Installation { id: Uuid::parse_str(&id).expect("a UUID that this program wrote"), epoch })
        }
        Err(ebb_store::Halt::Store(error)) => Err(error),
        Err(ebb_store::Halt::Refused(never)) => match never {},
    }
}

/// Makes sure that a key with this secret exists.
pub(crate) async fn ensure_key(app: &App, role: Role, secret: &str) -> Result<(), ServeError> {
    let hash = digest(secret.as_bytes());
    let made = app.unit("ensure-key", "keys", move |mut unit: Unit| {
        let hash = hash.clone();
        async move {
            if unit.reads.row(account::key_by_hash(&hash)).await?.is_none() {
                let id = ApiKeyId::new(unit.app.mint.uuid(unit.now));
                let key = account::ApiKey { id, account: None, role: role.name().to_owned(), created_at: unit.now };
                unit.write(account::insert_key(&key, &hash));
            }
            Ok(unit.done(()))
        }
    });
    made.await.map_err(|error| ServeError::Setup(error.to_string()))
}

/// Keys by name, for whoever reads the first line of a sandbox.
pub(crate) type NamedKeys = BTreeMap<String, String>;
