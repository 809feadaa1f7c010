//! Do servers that close the same late hours of one database at the same time write what one alone writes?

use crate::app::App;
use ebb_driver::fake::Behaviour;
use ebb_model::resources::Resources;
use ebb_model::time::{HOUR, Second};
use ebb_store::{Place, args, query};
use ebb_testing::TempPostgres;
use serde_json::{Value, json};

/// More than are closed at a time.
const TENANTS: usize = 40;
const LATE_HOURS: i64 = 5;

struct Server {
    app: App,
    endpoint: String,
    client: reqwest::Client,
}

impl Server {
    /// Its clock stands at 08:58:30.
    async fn on(place: Place, seed: u64) -> Server {
        let room = Resources::of([("vcpu", 1_000), ("memory_mib", 4_000_000), ("disk_gib", 1_000_000)]);
        let config = crate::SandboxConfig {
            listen: "127.0.0.1:0".parse().expect("an address"),
            catalog: crate::sample_catalog(),
            data: None,
            store: Some(place),
            speed: 0,
            seed,
            start: "2026-03-02T00:58:30Z".parse().expect("an instant"),
            hosts: 1,
            capacity: vec![room],
            behaviour: Behaviour::default(),
            deliveries: Default::default(),
            verifier: Default::default(),
        };
        let (serving, ready) = crate::sandbox(config).await.expect("a sandbox");
        let app = serving.app.clone();
        tokio::spawn(serving.run(std::future::pending()));
        Server { app, endpoint: ready.endpoint, client: reqwest::Client::new() }
    }

    async fn ask(&self, key: &str, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}{path}", self.endpoint);
        let request = match body {
            Some(body) => self.client.post(url).body(body.to_string()),
            None => self.client.get(url),
        };
        let answer = request.bearer_auth(key).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.expect("a text"));
        answer.json().await.expect("a document")
    }

    async fn post(&self, key: &str, path: &str, body: Value) -> Value {
        self.ask(key, path, Some(body)).await
    }

    /// Tenants of all kinds, whose instances run: of a trial, with a coupon, with a cap, and some whose money will not last.
    async fn life(&self) {
        let operator = "ebb_sandbox_operator";
        for n in 0..TENANTS {
            let name = format!("Tenant {n:02}");
            let opened = self.post(operator, "/v1/accounts", json!({ "name": name })).await;
            let key = opened["key"]["secret"].as_str().expect("a secret");
            let account = format!("/v1/accounts/{}", opened["account"]["id"].as_str().expect("an id"));
            self.post(operator, &format!("{account}/verification"), json!({ "holder": "individual" })).await;
            let amount = if n % 4 == 0 { "0.3" } else { "100" };
            self.post(operator, &format!("{account}/top-ups"), json!({ "amount": amount })).await;
            let order = |option: &str| json!({"option": option, "zone": "cn-beijing-a", "flavor": "t6.small.1"});
            match n % 4 {
                1 => drop(self.post(key, "/v1/trial", json!(null)).await),
                2 => {
                    let coupon = json!({"kind": "cash-coupon", "face": "0.25"});
                    drop(self.post(operator, &format!("{account}/vouchers"), coupon).await);
                }
                3 => drop(self.post(key, "/v1/cap", json!({ "amount": "1000" })).await),
                _ => {}
            }
            self.post(key, "/v1/instances", order(if n % 4 == 1 { "trial" } else { "on-demand" })).await;
            self.post(key, "/v1/instances", order("on-demand")).await;
        }
        self.post(operator, "/v1/clock/advance", json!({ "seconds": 30 })).await;
    }

    /// Nobody has done anything for hours.
    fn stands_still(&self) {
        let first = self.app.clock.now().second().hour();
        self.app.clock.advance_to(first.plus(LATE_HOURS * HOUR + 1).start());
    }

    /// Closes what there is, until nothing is left.
    async fn close(&self) {
        let over = |at: Second| at.start() > self.app.clock.now();
        while !self.app.first_close().await.expect("a look").is_none_or(over) {
            self.app.close_hours().await.expect("hours that can be closed");
        }
    }

    /// All that closing writes, without what differs from one database to the next: ids.
    async fn written(&self) -> Vec<String> {
        let mut all = vec![];
        for sql in [
            "select a.name, r.meter, r.since, r.until, r.price, r.covered, r.waived, r.granted, r.payable, r.vouchers, r.issued_at \
             from bill_record r join account a on a.id = r.account_id",
            "select a.name, e.reason, e.at, p.amount from entry e join account a on a.id = e.account_id \
             join posting p on p.entry_id = e.id where e.reason like 'hour %'",
            "select a.name, v.since, v.amount from record_voucher v join account a on a.id = v.account_id",
            "select a.name, e.body from event e join account a on a.id = e.account_id where e.name = 'hour-closed'",
            "select a.name, a.cash, a.debt, a.held, a.payable_total_exact, a.close_at from account a",
            "select a.name, m.month, m.payable from month_spending m join account a on a.id = m.account_id",
        ] {
            let rows = self.app.store.rows(query(sql, args![])).await.expect("rows");
            all.extend(rows.iter().map(|row| format!("{row:?}").split_once("values").expect("values").1.to_owned()));
        }
        all.sort();
        all
    }

    async fn agrees(&self) {
        let audit = self.ask("ebb_sandbox_operator", "/v1/audit?all=true", None).await;
        assert_eq!(audit["agrees"], true, "{audit:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_close_late_hours_once() {
    let database = async || Place::Postgres(TempPostgres::start().database().await);
    let alone = Server::on(database().await, 1).await;
    alone.life().await;
    alone.stands_still();
    alone.close().await;

    let place = database().await;
    let one = Server::on(place.clone(), 1).await;
    // Before there are guests, of which the other's hosts would know nothing.
    let other = Server::on(place, 2).await;
    one.life().await;
    [&one, &other].into_iter().for_each(Server::stands_still);
    let before = [&one, &other].map(|server| server.app.store.counters().units);
    tokio::join!(one.close(), other.close());

    let (written, expected) = (one.written().await, alone.written().await);
    let differs = written.iter().zip(&expected).find(|(together, alone)| together != alone);
    assert_eq!((differs, written.len()), (None, expected.len()));
    let hours = written.iter().filter(|row| row.contains("hour-closed")).count();
    assert_eq!(hours, TENANTS * usize::try_from(LATE_HOURS).expect("a few"));
    let done = [&one, &other].map(|server| server.app.store.counters().units);
    let done: u64 = done.iter().zip(before).map(|(after, before)| after - before).sum();
    assert_eq!(done, hours as u64, "each hour is closed by one of them");
    one.agrees().await;
    alone.agrees().await;
}

/// On SQLite accounts share commits, and what comes of it is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_accounts_share_commits() {
    let server = Server::on(Place::Memory, 1).await;
    server.life().await;
    server.stands_still();
    let before = server.app.store.counters();
    server.close().await;
    let after = server.app.store.counters();
    let (units, commits) = (after.units - before.units, after.commits - before.commits);
    assert_eq!(units, TENANTS as u64 * LATE_HOURS.unsigned_abs());
    assert!(commits < units, "{units} units in {commits} commits");
    server.agrees().await;
}
