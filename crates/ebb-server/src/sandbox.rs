//! What is a sandbox? A throw-away Ebb with fake guests and a clock of its own, for people who test software against a cloud.

use crate::app::{App, Inner};
use crate::call::Role;
use crate::clock::Clock;
use crate::deliver::{Deliverer, DeliveryConfig};
use crate::denied::Denied;
use crate::evidence::Keys;
use crate::host::{Fake, Hosts};
use crate::metrics::Metrics;
use crate::mint::{Mint, digest};
use crate::prices::open_book;
use crate::serve::{NamedKeys, Newest, ServeError, Serving, VerifierConfig, ensure_key, installation, listen};
use ebb_driver::fake::{Behaviour, FakeHost};
use ebb_engine::event::Event;
use ebb_model::catalog::Catalog;
use ebb_model::id::{AccountId, ApiKeyId, HostId, InstanceId};
use ebb_model::money::Amount;
use ebb_model::resources::Resources;
use ebb_model::time::Timestamp;
use ebb_model::trial::Holder;
use ebb_store::rows::{account, host};
use ebb_store::{Place, Store, StoreError, failpoint};
use ebb_wire::sandbox::{Clock as ShownClock, Ready};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::{Mutex, watch};

/// Everybody knows these; they are taken from loopback only.
const OPERATOR: &str = "ebb_sandbox_operator";
const INDIVIDUAL: &str = "ebb_sandbox_individual";
const ENTERPRISE: &str = "ebb_sandbox_enterprise";

/// Their digests.
pub(crate) fn well_known() -> Vec<String> {
    [OPERATOR, INDIVIDUAL, ENTERPRISE].map(|secret| digest(secret.as_bytes())).to_vec()
}

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
    /// Fake hosts in each zone.
    pub hosts: usize,
    /// What they lend, taken in turn.
    pub capacity: Vec<Resources>,
    pub behaviour: Behaviour,
    /// Without keys: they follow the seed.
    pub deliveries: DeliveryConfig,
    pub verifier: VerifierConfig,
}

/// Starts a sandbox; gives back what its first line says.
pub async fn sandbox(config: SandboxConfig) -> Result<(Serving, Ready), ServeError> {
    let place = match (&config.store, &config.data) {
        (Some(place), _) => place.clone(),
        (None, None) => Place::Memory,
        (None, Some(dir)) => Place::Sqlite(dir.join("ebb.db")),
    };
    if let Some(dir) = &config.data {
        std::fs::create_dir_all(dir).map_err(|e| ServeError::Setup(format!("{}: {e}", dir.display())))?;
    }
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().map_err(|cause| ServeError::Listen { address: config.listen, cause })?;
    let endpoint = format!("http://{address}");
    let mut deliveries = config.deliveries.clone();
    deliveries.keys.get_or_insert_with(|| digest(format!("a sandbox with seed {}", config.seed).as_bytes()));
    deliveries.public_url.get_or_insert_with(|| endpoint.clone());
    let verifier = config.verifier.clone().verifier()?;
    let deliverer = Deliverer::new(deliveries).map_err(ServeError::Setup)?;
    let store = Store::open(place).await?;
    let (fakes, kept_at) = fakes(&config)?;
    let newest = Newest::of(&store).await?;
    let times = newest.iter().map(|newest| newest.at).chain(kept_at);
    let clock = Clock::sandbox(times.fold(config.start, Timestamp::max), config.speed);
    let mint = match newest {
        None => Mint::from_seed(config.seed),
        // A kept sandbox that starts again throws other dice, or its ids would come a second time.
        Some(newest) => Mint::from_system().after(newest.id),
    };
    let installation = installation(&store, &clock, &mint, false).await?;
    let opened = open_book(&store, &clock, config.catalog).await?;
    let app = App::new(Inner {
        store,
        began_at: clock.now(),
        clock,
        mint,
        catalog: opened.catalog,
        installation,
        hosts: Hosts { fakes: Mutex::new(fakes), kept_in: config.data, ..Hosts::default() },
        zones: Default::default(),
        metrics: Metrics::new(),
        deliverer,
        evidence: Keys::of_seed(config.seed),
        verifier,
        news: watch::Sender::new(0),
        turn: Some(Mutex::new(())),
        well_known: well_known(),
    });
    app.settle_evidence_keys().await?;
    app.find_unplugged().await?;
    app.settle_hosts().await.map_err(|error| ServeError::Setup(error.to_string()))?;
    app.look_after_lists().await.map_err(|error| ServeError::Setup(error.to_string()))?;
    app.look_after_prices(&opened.changed).await.map_err(|error| ServeError::Setup(error.to_string()))?;
    furnish(&app).await?;
    let named = [("operator", OPERATOR), ("individual", INDIVIDUAL), ("enterprise", ENTERPRISE)];
    let ready = Ready {
        docs: format!("{endpoint}/docs"),
        endpoint,
        keys: named.map(|(name, secret)| (name.to_owned(), secret.to_owned())).into_iter().collect::<NamedKeys>(),
        clock: ShownClock { now: app.clock.now().to_string(), speed: config.speed, leap: None },
    };
    Ok((Serving { address, app, listener }, ready))
}

/// What a kept sandbox has beside its database.
#[derive(Serialize, Deserialize)]
struct Kept<H> {
    /// It may have been advanced since the last event, and its hosts have seen things meanwhile.
    now: Timestamp,
    hosts: Vec<H>,
}

/// The hosts of all zones, as they were kept or new, and the time at which they were kept.
fn fakes(config: &SandboxConfig) -> Result<(Vec<Fake>, Option<Timestamp>), ServeError> {
    if let Some(file) = config.data.as_ref().map(|dir| dir.join(KEPT_HOSTS)).filter(|file| file.exists()) {
        let broken = |error: String| ServeError::Setup(format!("{}: {error}", file.display()));
        let text = std::fs::read_to_string(&file).map_err(|error| broken(error.to_string()))?;
        let kept: Kept<FakeHost> = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        let hosts = kept.hosts.into_iter().map(|host| Fake { host, greeted: None }).collect();
        return Ok((hosts, Some(kept.now)));
    }
    let zones = config.catalog.zones.iter();
    let hosts = zones.flat_map(|zone| {
        let lent = config.capacity.iter().cycle().take(config.hosts);
        lent.enumerate().map(|(at, capacity)| {
            let name = format!("{}-{}", zone.id, at + 1);
            let host = FakeHost::new(&name, &zone.id, capacity.clone(), config.behaviour);
            Fake { host, greeted: None }
        })
    });
    Ok((hosts.collect(), None))
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
                if let Some(row) = unit.reads.row(account::key_by_hash(&hash)).await? {
                    return Ok(unit.done(account::read_key(&row).account));
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
            if unit.account(id).await?.holder.is_some() {
                return Ok(unit.done(()));
            }
            unit.change_account(id).await?.holder = Some(holder);
            unit.log(id, None, &Event::AccountVerified { holder, by: None });
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

    /// Which kept hosts were unplugged.
    async fn find_unplugged(&self) -> Result<(), StoreError> {
        for fake in self.hosts.fakes.lock().await.iter() {
            let Some(since) = fake.host.unplugged_at else { continue };
            for known in self.store.rows(host::by_name(&fake.host.name)).await?.iter().map(host::read) {
                self.hosts.unplugged.lock().expect("no panic while holding it").insert(known.id, since);
            }
        }
        Ok(())
    }

    /// Pulls the network cable of a fake host: it goes on by itself, and nobody hears of it.
    pub async fn unplug(&self, name: &str) -> Result<(), Denied> {
        let known = self.fake_named(name).await?;
        let now = self.clock.now();
        self.change_fake(name, |host| *host.unplugged_at.get_or_insert(now)).await?;
        self.hosts.unplugged.lock().expect("no panic while holding it").entry(known).or_insert(now);
        self.part(known, now).await
    }

    /// Puts it in again: the host says hello, and what became of it.
    pub async fn plug(&self, name: &str) -> Result<(), Denied> {
        let known = self.fake_named(name).await?;
        self.hosts.unplugged.lock().expect("no panic while holding it").remove(&known);
        let now = self.clock.now();
        let mut fakes = self.hosts.fakes.lock().await;
        if let Some(fake) = fakes.iter_mut().find(|fake| fake.host.name == name && fake.host.unplugged_at.is_some()) {
            // What it did meanwhile is in its hello.
            fake.host.step(now);
            (fake.host.unplugged_at, fake.greeted) = (None, None);
        }
        self.write_down(&fakes)
    }

    /// Makes or removes the file by which the owner of a fake host wants it back.
    pub async fn want_back(&self, name: &str, wanted: bool) -> Result<(), Denied> {
        let known = self.fake_named(name).await?;
        self.change_fake(name, |host| host.wanted_back = wanted).await?;
        match self.hosts.unplugged_before(known, Timestamp::from_micros(i64::MAX)) {
            Some(_) => Ok(()),
            None => self.signal(known, wanted).await,
        }
    }

    async fn fake_named(&self, name: &str) -> Result<HostId, Denied> {
        if !self.is_sandbox() {
            return Err(Denied::Conflict("only the hosts of a sandbox have a plug and a file of their own".to_owned()));
        }
        let rows = self.store.rows(host::by_name(name)).await?;
        Ok(host::read(rows.first().ok_or_else(|| Denied::not_found("host", name))?).id)
    }

    async fn change_fake<T>(&self, name: &str, change: impl FnOnce(&mut FakeHost) -> T) -> Result<(), Denied> {
        let mut fakes = self.hosts.fakes.lock().await;
        fakes.iter_mut().find(|fake| fake.host.name == name).map(|fake| change(&mut fake.host));
        self.write_down(&fakes)
    }

    /// Writes the fake hosts and the clock beside the database, if the sandbox is kept.
    pub async fn keep_hosts(&self) -> Result<(), Denied> {
        self.write_down(&self.hosts.fakes.lock().await)
    }

    pub fn write_down(&self, fakes: &[Fake]) -> Result<(), Denied> {
        let Some(dir) = &self.hosts.kept_in else { return Ok(()) };
        let kept = Kept { now: self.clock.now(), hosts: fakes.iter().map(|fake| &fake.host).collect() };
        let text = serde_json::to_vec(&kept).expect("hosts of plain values");
        let new = dir.join("hosts.json.new");
        failpoint("effect.keep.before");
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(new, dir.join(KEPT_HOSTS)));
        failpoint("effect.keep.after");
        written.map_err(|error| Denied::HostAway(format!("the fake hosts cannot be kept: {error}")))
    }
}
