//! What is a sandbox? A throw-away Ebb with fake guests and a clock of its own, for people who test software against a cloud.

use crate::app::{App, Inner};
use crate::call::Role;
use crate::clock::Clock;
use crate::host::{Fake, Hosts};
use crate::metrics::Metrics;
use crate::mint::{Mint, digest};
use crate::serve::{Keys, ServeError, Serving, ensure_key, installation, listen};
use ebb_driver::fake::{Behaviour, FakeHost};
use ebb_engine::event::Event;
use ebb_model::catalog::Catalog;
use ebb_model::id::{AccountId, ApiKeyId, HostId, InstanceId};
use ebb_model::money::Amount;
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_model::trial::Holder;
use ebb_store::rows::{account, event};
use ebb_store::{Place, Store};
use ebb_wire::sandbox::{Clock as ShownClock, Ready};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::{Mutex, watch};

/// Everybody knows these; they are taken from loopback only.
const OPERATOR: &str = "ebb_sandbox_operator";
const INDIVIDUAL: &str = "ebb_sandbox_individual";
const ENTERPRISE: &str = "ebb_sandbox_enterprise";

/// What `ebb sandbox` needs to know.
pub struct SandboxConfig {
    pub listen: SocketAddr,
    pub catalog: Catalog,
    /// Kept here, else in memory.
    pub data: Option<PathBuf>,
    /// Where to keep the rows instead of in memory or in `data`.
    pub store: Option<Place>,
    /// 0: the clock stands still until it is advanced.
    pub speed: u32,
    pub seed: u64,
    pub start: Timestamp,
    /// What each zone's one fake host lends.
    pub capacity: Resources,
    pub behaviour: Behaviour,
}

/// Starts a sandbox; gives back what its first line says.
pub async fn sandbox(config: SandboxConfig) -> Result<(Serving, Ready), ServeError> {
    let place = match (&config.store, &config.data) {
        (Some(place), _) => place.clone(),
        (None, None) => Place::Memory,
        (None, Some(dir)) => {
            std::fs::create_dir_all(dir).map_err(|e| ServeError::Setup(format!("{}: {e}", dir.display())))?;
            Place::Sqlite(dir.join("ebb.db"))
        }
    };
    let store = Store::open(place).await?;
    let newest = store.rows(event::newest()).await?.first().map(|row| Timestamp::from_micros(row.int("at")));
    let clock = Clock::sandbox(newest.map_or(config.start, |at| at.max(config.start)), config.speed);
    // A kept sandbox that starts again throws other dice, or its ids would come a second time.
    let mint = Mint::from_seed(config.seed ^ newest.map_or(0, |at| at.micros().unsigned_abs()));
    let installation = installation(&store, &clock, &mint, false).await?;
    let fakes = fakes(&config)?;
    let app = App::new(Inner {
        store,
        clock,
        mint,
        catalog: config.catalog,
        installation,
        hosts: Hosts { fakes: Mutex::new(fakes), kept_in: config.data, ..Hosts::default() },
        metrics: Metrics::new(),
        news: watch::Sender::new(0),
        turn: Some(Mutex::new(())),
        well_known: [OPERATOR, INDIVIDUAL, ENTERPRISE].map(|secret| digest(secret.as_bytes())).to_vec(),
    });
    app.settle_hosts().await.map_err(|error| ServeError::Setup(error.to_string()))?;
    furnish(&app).await?;
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().map_err(|cause| ServeError::Listen { address: config.listen, cause })?;
    let endpoint = format!("http://{address}");
    let named = [("operator", OPERATOR), ("individual", INDIVIDUAL), ("enterprise", ENTERPRISE)];
    let ready = Ready {
        docs: format!("{endpoint}/docs"),
        endpoint,
        keys: named.map(|(name, secret)| (name.to_owned(), secret.to_owned())).into_iter().collect::<Keys>(),
        clock: ShownClock { now: app.clock.now().to_string(), speed: config.speed },
    };
    Ok((Serving { address, app, listener }, ready))
}

/// One host per zone, as it was kept or new.
fn fakes(config: &SandboxConfig) -> Result<Vec<Fake>, ServeError> {
    if let Some(file) = config.data.as_ref().map(|dir| dir.join(KEPT_HOSTS)).filter(|file| file.exists()) {
        let broken = |error: String| ServeError::Setup(format!("{}: {error}", file.display()));
        let text = std::fs::read_to_string(&file).map_err(|error| broken(error.to_string()))?;
        let hosts: Vec<FakeHost> = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        return Ok(hosts.into_iter().map(|host| Fake { host, greeted: None }).collect());
    }
    let zones = config.catalog.zones.iter();
    Ok(zones
        .map(|zone| FakeHost::new(&format!("{}-1", zone.id), &zone.id, config.capacity.clone(), config.behaviour))
        .map(|host| Fake { host, greeted: None })
        .collect())
}

const KEPT_HOSTS: &str = "hosts.json";

/// Two verified accounts with money, and keys that everybody knows.
async fn furnish(app: &App) -> Result<(), ServeError> {
    ensure_key(app, Role::Operator, OPERATOR).await?;
    let residents = [("Individual", Holder::Individual, INDIVIDUAL), ("Enterprise", Holder::Enterprise, ENTERPRISE)];
    for (name, holder, secret) in residents {
        let hash = digest(secret.as_bytes());
        let made = app.unit("furnish", name, move |mut unit| {
            let hash = hash.clone();
            async move {
                if unit.reads.row(account::key_by_hash(&hash)).await?.is_some() {
                    return Ok(unit.done(None));
                }
                let id = AccountId::new(unit.app.mint.uuid(unit.now));
                unit.write(account::insert(id, name, unit.now));
                unit.log(id, None, &Event::AccountOpened);
                let key = ApiKeyId::new(unit.app.mint.uuid(unit.now));
                let role = Role::Owner.name().to_owned();
                let key = account::ApiKey { id: key, account: Some(id), role, created_at: unit.now };
                unit.write(account::insert_key(&key, &hash));
                Ok(unit.done(Some(id)))
            }
        });
        let broken = |error: ebb_store::Halt<_>| ServeError::Setup(error.to_string());
        let Some(id) = made.await.map_err(broken)? else { continue };
        let verified = app.unit("furnish", name, move |mut unit| async move {
            unit.change_account(id).await?.holder = Some(holder);
            unit.log(id, None, &Event::AccountVerified { holder });
            unit.top_up(id, Amount::from_units(10_000 * ebb_model::money::AMOUNT_PER_UNIT)).await?;
            Ok(unit.done(()))
        });
        verified.await.map_err(broken)?;
    }
    Ok(())
}

impl App {
    /// What a fake guest's console says.
    pub async fn fake_console(&self, on: HostId, guest: InstanceId) -> String {
        let fakes = self.hosts.fakes.lock().await;
        let host = fakes.iter().find(|fake| fake.greeted.is_some_and(|greeted| greeted.id == on));
        host.map_or_else(String::new, |fake| fake.host.console_text(guest).to_owned())
    }

    /// Writes the fake hosts beside the database, if the sandbox is kept.
    pub async fn keep_hosts(&self) -> std::io::Result<()> {
        let Some(dir) = &self.hosts.kept_in else { return Ok(()) };
        let fakes = self.hosts.fakes.lock().await;
        let hosts: Vec<&FakeHost> = fakes.iter().map(|fake| &fake.host).collect();
        let text = serde_json::to_vec(&hosts)?;
        let new = dir.join("hosts.json.new");
        std::fs::write(&new, text)?;
        std::fs::rename(new, dir.join(KEPT_HOSTS))
    }
}
