//! A sandbox and those who use it, in as few words as a story needs.

use ebb_driver::fake::Behaviour;
use ebb_model::catalog::Catalog;
use ebb_model::resources::Resources;
use ebb_server::{
    DeliveryConfig, IdentityConfig, SandboxConfig, ServeConfig, ServeError, VerifierConfig, load_catalog, sandbox,
    serve,
};
use ebb_store::Place;
use ebb_testing::TempPostgres;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// What the outside verifier signs with.
pub const VERIFIER_SECRET: &str = "whsec_dGhlIHZlcmlmaWVyIGFuZCBFYmIga25vdyB0aGlz";

/// A directory that goes with the story.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Directory {
        Directory(crate::post_office::directory())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// With the evidence keys in a file there.
    pub fn identity(&self) -> IdentityConfig {
        IdentityConfig { evidence_keys: self.0.join("evidence.key"), verifier: VerifierConfig::default() }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The secret of a service's operator.
pub const OPERATOR: &str = "a-secret-of-the-operators-own";

/// A service, which does many things at a time, and whose database outlives it.
#[derive(Clone)]
pub struct Service {
    pub endpoint: String,
    client: Client,
    stop: Arc<watch::Sender<bool>>,
}

impl Service {
    pub async fn start(store: Place, identity: IdentityConfig) -> Result<Service, ServeError> {
        Self::with_hosts(store, identity, vec![]).await
    }

    /// With hosts behind these sockets.
    pub async fn with_hosts(
        store: Place,
        identity: IdentityConfig,
        hosts: Vec<PathBuf>,
    ) -> Result<Service, ServeError> {
        Self::open(Cloud::catalog(), store, identity, hosts).await
    }

    /// One that sells under terms of its own.
    pub async fn selling(catalog: Catalog, store: Place, identity: IdentityConfig) -> Result<Service, ServeError> {
        Self::open(catalog, store, identity, vec![]).await
    }

    async fn open(
        catalog: Catalog,
        store: Place,
        identity: IdentityConfig,
        hosts: Vec<PathBuf>,
    ) -> Result<Service, ServeError> {
        let config = ServeConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            store,
            catalog,
            hosts,
            restored: false,
            operator_secret: Some(OPERATOR.to_owned()),
            deliveries: DeliveryConfig { keys: Some("k".repeat(64)), ..DeliveryConfig::default() },
            identity,
        };
        let serving = serve(config).await?;
        let endpoint = format!("http://{}", serving.address);
        let (stop, mut stopped) = watch::channel(false);
        tokio::spawn(async move {
            let ended = async move { drop(stopped.changed().await) };
            serving.run(ended).await
        });
        Ok(Service { endpoint, client: Client::new(), stop: Arc::new(stop) })
    }

    pub async fn ask(&self, key: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.request(method, format!("{}{path}", self.endpoint)).bearer_auth(key);
        let answer = request.body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub async fn post(&self, key: &str, path: &str, body: Value) -> (u16, Value) {
        self.ask(key, Method::POST, path, body).await
    }

    /// Until nobody listens there any more; all that is stored agrees.
    pub async fn stop(self) {
        let (_, audit) = self.ask(OPERATOR, Method::GET, "/v1/audit?all=true", json!(null)).await;
        assert_eq!(audit["agrees"], true, "{audit:#}");
        self.stop.send_replace(true);
        let address = self.endpoint.strip_prefix("http://").unwrap();
        crate::receiver::until("the end of the service", async || {
            tokio::net::TcpStream::connect(address).await.is_err()
        })
        .await;
    }
}

/// Which database a story runs on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum On {
    Sqlite,
    Postgres,
}

impl On {
    async fn store(self) -> Place {
        match self {
            On::Sqlite => Place::Memory,
            On::Postgres => Place::Postgres(TempPostgres::start().database().await),
        }
    }
}

/// A running sandbox. It ends with the last of its clones.
#[derive(Clone)]
pub struct Cloud {
    pub endpoint: String,
    pub client: Client,
    _stop: Arc<oneshot::Sender<()>>,
}

/// Runs a story on both databases.
#[macro_export]
macro_rules! story {
    ($(#[$doc:meta])* $name:ident, $body:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn told(cloud: $crate::cloud::Cloud) {
                let body = $body;
                body(cloud).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let cloud = $crate::cloud::Cloud::new($crate::cloud::On::Sqlite).await;
                told(cloud.clone()).await;
                cloud.nothing_broke().await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let cloud = $crate::cloud::Cloud::new($crate::cloud::On::Postgres).await;
                told(cloud.clone()).await;
                cloud.nothing_broke().await
            }
        }
    };
}

impl Cloud {
    /// It is 2026-03-02 08:58:30 in Shanghai, and every zone has a host with 64 vCPU.
    pub async fn new(on: On) -> Cloud {
        Self::with(on, &[("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)], Behaviour::default()).await
    }

    pub async fn with(on: On, capacity: &[(&str, i64)], behaviour: Behaviour) -> Cloud {
        Self::at(on.store().await, capacity, behaviour).await
    }

    pub async fn at(store: Place, capacity: &[(&str, i64)], behaviour: Behaviour) -> Cloud {
        Self::telling(receivers_here(), store, capacity, behaviour).await
    }

    /// With deliveries as an operator would configure them.
    pub async fn telling(
        deliveries: DeliveryConfig,
        store: Place,
        capacity: &[(&str, i64)],
        behaviour: Behaviour,
    ) -> Cloud {
        let capacity = [Resources::of(capacity.iter().copied())];
        Self::open(Self::catalog(), deliveries, store, &capacity, behaviour).await
    }

    /// Every zone has hosts with so many vCPU, each with 2 GiB; the catalog may be another.
    pub async fn of_hosts(on: On, vcpus: &[i64], change: impl FnOnce(&mut Catalog)) -> Cloud {
        let lent = |vcpu: &i64| Resources::of([("vcpu", *vcpu), ("memory_mib", vcpu * 2_048), ("disk_gib", 1_000)]);
        let capacity: Vec<Resources> = vcpus.iter().map(lent).collect();
        let mut catalog = Self::catalog();
        change(&mut catalog);
        Self::open(catalog, DeliveryConfig::default(), on.store().await, &capacity, Behaviour::default()).await
    }

    /// One that sells under terms of its own.
    pub async fn selling(catalog: Catalog, on: On, capacity: &[(&str, i64)], behaviour: Behaviour) -> Cloud {
        let capacity = [Resources::of(capacity.iter().copied())];
        Self::open(catalog, receivers_here(), on.store().await, &capacity, behaviour).await
    }

    /// What is sold unless a story says otherwise.
    pub fn catalog() -> Catalog {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        load_catalog(&root.join("catalog/sample.toml")).unwrap()
    }

    /// The sample catalog, changed, on this database.
    pub async fn changed(on: On, capacity: &[(&str, i64)], change: impl FnOnce(&mut Catalog)) -> Cloud {
        let mut catalog = Self::catalog();
        change(&mut catalog);
        assert_eq!(catalog.problems(), Vec::<String>::new());
        let capacity = [Resources::of(capacity.iter().copied())];
        Self::open(catalog, DeliveryConfig::default(), on.store().await, &capacity, Behaviour::default()).await
    }

    /// One that is kept in a directory and can be opened again there, with what says that it has ended.
    pub async fn kept_in(dir: &Path, vcpu: i64) -> (Cloud, JoinHandle<()>) {
        Self::kept_selling(Self::catalog(), dir, vcpu).await
    }

    pub async fn kept_selling(catalog: Catalog, dir: &Path, vcpu: i64) -> (Cloud, JoinHandle<()>) {
        let capacity = [Resources::of([("vcpu", vcpu), ("memory_mib", vcpu * 2_048), ("disk_gib", 1_000)])];
        let place = (Some(dir.to_owned()), None);
        let deliveries = DeliveryConfig::default();
        Self::open_at(place, catalog, deliveries, &capacity, Behaviour::default()).await
    }

    /// One that is kept, perhaps with its rows in another database, and is opened at this instant or when it was left, if that is later.
    pub async fn kept_from(
        (dir, store): (&Path, Option<Place>),
        catalog: Catalog,
        start: &str,
    ) -> (Cloud, JoinHandle<()>) {
        let capacity = [Resources::of([("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 1_000)])];
        let place = (Some(dir.to_owned()), store);
        let deliveries = DeliveryConfig::default();
        Self::open_from(place, catalog, deliveries, &capacity, Behaviour::default(), start).await
    }

    /// The same with its rows in this database.
    pub async fn kept_with(dir: &Path, store: Place) -> (Cloud, JoinHandle<()>) {
        let capacity = [Resources::of([("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 1_000)])];
        let place = (Some(dir.to_owned()), Some(store));
        Self::open_at(place, Self::catalog(), DeliveryConfig::default(), &capacity, Behaviour::default()).await
    }

    async fn open(
        catalog: Catalog,
        deliveries: DeliveryConfig,
        store: Place,
        capacity: &[Resources],
        behaviour: Behaviour,
    ) -> Cloud {
        Self::open_at((None, Some(store)), catalog, deliveries, capacity, behaviour).await.0
    }

    async fn open_at(
        (data, store): (Option<PathBuf>, Option<Place>),
        catalog: Catalog,
        deliveries: DeliveryConfig,
        capacity: &[Resources],
        behaviour: Behaviour,
    ) -> (Cloud, JoinHandle<()>) {
        Self::open_from((data, store), catalog, deliveries, capacity, behaviour, "2026-03-02T00:58:30Z").await
    }

    async fn open_from(
        (data, store): (Option<PathBuf>, Option<Place>),
        catalog: Catalog,
        deliveries: DeliveryConfig,
        capacity: &[Resources],
        behaviour: Behaviour,
        start: &str,
    ) -> (Cloud, JoinHandle<()>) {
        let config = SandboxConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            catalog,
            data,
            store,
            speed: 0,
            seed: 1,
            start: start.parse().unwrap(),
            hosts: capacity.len(),
            capacity: capacity.to_vec(),
            behaviour,
            deliveries,
            verifier: VerifierConfig {
                secrets: Some(VERIFIER_SECRET.to_owned()),
                url: Some("https://verifier.example/ebb".to_owned()),
            },
        };
        let (serving, ready) = sandbox(config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(async move {
            drop(
                serving
                    .run(async {
                        let _ = stopped.await;
                    })
                    .await,
            );
        });
        (Cloud { endpoint: ready.endpoint, client: Client::new(), _stop: Arc::new(stop) }, ended)
    }

    /// No request, worker or unit of work panicked, nothing had to be tried again, and all that is stored agrees.
    pub async fn nothing_broke(&self) {
        self.agrees().await;
        let url = format!("{}/metrics", self.endpoint);
        let metrics = self.client.get(url).send().await.unwrap().text().await.unwrap();
        for counter in ["ebb_panics_total 0", "ebb_store_panics_total 0"] {
            assert!(metrics.lines().any(|line| line == counter), "{counter} is not in\n{metrics}");
        }
        assert!(!metrics.contains("ebb_worker_retries_total{"), "{metrics}");
    }

    /// All that is stored agrees with itself.
    pub async fn agrees(&self) {
        let audit = self.get("operator", "/v1/audit?all=true").await;
        assert_eq!(audit["agrees"], true, "{audit:#}");
    }

    pub async fn ask(&self, who: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.endpoint));
        if !who.is_empty() {
            let key = if who.starts_with("ebb_") { who.to_owned() } else { format!("ebb_sandbox_{who}") };
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {path}: {text}"));
        (status, value)
    }

    /// What a guest would read, or send: `status body`. The path may be below `/guest/`, or `guest` says whose it is.
    pub async fn guest(&self, guest: &str, said: &str, headers: &[(&str, &str)], body: &str) -> String {
        let (method, path) = said.split_once(' ').expect("a method and a path");
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.endpoint)).body(body.to_owned());
        if !guest.is_empty() {
            request = request.header("X-Ebb-Instance", guest);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        format!("{} {}", response.status().as_u16(), response.text().await.unwrap().trim_end())
    }

    pub async fn get(&self, who: &str, path: &str) -> Value {
        let (status, value) = self.ask(who, Method::GET, path, None).await;
        assert!(status.is_success(), "{path}: {value}");
        value
    }

    pub async fn post(&self, who: &str, path: &str, body: Value) -> Value {
        let (status, value) = self.ask(who, Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "{path}: {value}");
        value
    }

    /// The code of a refusal, with its status.
    pub async fn refused(&self, who: &str, path: &str, body: Value) -> (u16, String) {
        let (status, value) = self.ask(who, Method::POST, path, Some(body)).await;
        assert!(status.is_client_error(), "{path}: {status} {value}");
        assert!(!value["request_id"].as_str().unwrap().is_empty(), "{value}");
        (status.as_u16(), value["code"].as_str().unwrap().to_owned())
    }

    /// Buys in the first zone; gives back the id.
    pub async fn buy(&self, who: &str, what: Value) -> String {
        let bought = self.post(who, "/v1/instances", order(what)).await;
        bought["id"].as_str().unwrap().to_owned()
    }

    pub async fn delete(&self, who: &str, id: &str) -> (StatusCode, Value) {
        self.ask(who, Method::DELETE, &format!("/v1/instances/{id}"), None).await
    }

    pub async fn delete_at(&self, who: &str, path: &str) -> Value {
        let (status, gone) = self.ask(who, Method::DELETE, path, None).await;
        assert!(status.is_success(), "{path}: {gone}");
        gone
    }

    pub async fn instance(&self, who: &str, id: &str) -> Value {
        self.get(who, &format!("/v1/instances/{id}")).await
    }

    pub async fn state(&self, who: &str, id: &str) -> String {
        self.instance(who, id).await["state"].as_str().unwrap().to_owned()
    }

    pub async fn wait(&self, seconds: i64) -> Value {
        self.post("operator", "/v1/clock/advance", json!({ "seconds": seconds })).await
    }

    /// To a local time of the day in Shanghai.
    pub async fn until(&self, local: &str) -> Value {
        let to = format!("2026-03-02T{local}+08:00");
        self.post("operator", "/v1/clock/advance", json!({ "to": to })).await
    }

    /// The issued records of one instance's compute: `local since-until seconds price amount`.
    pub async fn records(&self, who: &str, id: &str, meter: &str) -> Vec<String> {
        let bill = self.get(who, "/v1/bills").await;
        let records = bill["records"].as_array().unwrap().iter();
        let mine = records.filter(|r| r["instance"] == id && r["meter"] == meter);
        mine.map(|r| {
            let local = |at: &Value| {
                let at: ebb_model::time::Timestamp = at.as_str().unwrap().parse().unwrap();
                let calendar = ebb_model::calendar::Calendar::new("Asia/Shanghai").unwrap();
                calendar.local(at.second())[11..].to_owned()
            };
            let text = |key: &str| r[key].as_str().unwrap().to_owned();
            format!(
                "{}-{} {} {} {}",
                local(&r["since"]),
                local(&r["until"]),
                r["seconds"],
                text("price"),
                text("amount")
            )
        })
        .collect()
    }

    /// An account that was seen with this at its registration: its id and its owner's key.
    pub async fn registered(&self, name: &str, evidence: Value) -> (String, String) {
        let opened = self.post("operator", "/v1/accounts", json!({ "name": name, "evidence": evidence })).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&opened["account"]["id"]), text(&opened["key"]["secret"]))
    }

    /// The same, verified.
    pub async fn verified(&self, name: &str, holder: &str, evidence: Value) -> (String, String) {
        let (id, key) = self.registered(name, evidence).await;
        self.post("operator", &format!("/v1/accounts/{id}/verification"), json!({ "holder": holder })).await;
        (id, key)
    }

    /// The code and the sentence of what a claim would be refused for, or nothing.
    pub async fn stands_against(&self, who: &str) -> Vec<String> {
        let check = self.get(who, "/v1/trial/check").await;
        let conditions = check["conditions"].as_array().unwrap().iter();
        let failed = conditions.filter(|one| one["finding"] == "failed");
        failed.map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    }

    /// An account with money, and its owner's key.
    pub async fn tenant(&self, name: &str, holder: &str, money: &str) -> String {
        let opened = self.post("operator", "/v1/accounts", json!({ "name": name })).await;
        let id = opened["account"]["id"].as_str().unwrap();
        self.post("operator", &format!("/v1/accounts/{id}/verification"), json!({ "holder": holder })).await;
        if money != "0" {
            self.post("operator", &format!("/v1/accounts/{id}/top-ups"), json!({ "amount": money })).await;
        }
        opened["key"]["secret"].as_str().unwrap().to_owned()
    }
}

/// An order in the first zone, unless it says another.
pub fn order(mut what: Value) -> Value {
    let fields = what.as_object_mut().unwrap();
    fields.entry("zone").or_insert(json!("cn-beijing-a"));
    what
}

pub fn block(hours: i64) -> Value {
    json!({ "option": "spot-block", "flavor": "c6.large.2", "hours": hours })
}

/// Receivers of notifications are on this machine.
fn receivers_here() -> DeliveryConfig {
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    DeliveryConfig { networks, ..DeliveryConfig::default() }
}
