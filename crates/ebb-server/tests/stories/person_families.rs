//! Are persons what a naive union of everybody who shares something would make them? And do claims and unions at once stay one grant?

use crate::cloud::{Cloud, Directory, OPERATOR, Service};
use ebb_store::Place;
use ebb_testing::TempPostgres;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

crate::story!(families_are_the_naive_union, |cloud: Cloud| async move {
    let mut dice = Dice(20_260_302);
    let (mut ids, mut naive) = (vec![], Naive::default());
    for at in 0..60 {
        let report = dice.report();
        let (id, _) = cloud.registered(&format!("{at}"), json!(report)).await;
        naive.see(at, &report);
        ids.push(id);
        // Now and then somebody is seen again, with something else.
        if dice.below(2) == 0 {
            let (who, report) = (dice.below(ids.len()), dice.report());
            let body = json!({"seen_at": "log-in", "evidence": report});
            cloud.post("operator", &format!("/v1/accounts/{}/evidence", ids[who]), body).await;
            naive.see(who, &report);
        }
        if at == 30 {
            cloud.post("operator", "/v1/evidence-keys", json!(null)).await;
        }
    }
    let mut sizes = BTreeSet::new();
    for (at, id) in ids.iter().enumerate() {
        let family = cloud.get("operator", &format!("/v1/accounts/{id}/person?limit=1000")).await;
        let family =
            family["items"].as_array().unwrap().iter().map(|account| account["id"].as_str().unwrap().to_owned());
        let expected = naive.family(at).into_iter().map(|other| ids[other].clone());
        assert_eq!(family.collect::<BTreeSet<_>>(), expected.collect::<BTreeSet<_>>(), "account {at}");
        sizes.insert(naive.family(at).len());
    }
    assert!(sizes.len() >= 3 && sizes.contains(&1), "a history in which nothing much happened: {sizes:?}");
});

/// Who shares a mark is one person; looked through again and again until nothing changes.
#[derive(Default)]
struct Naive {
    marks: BTreeMap<String, BTreeSet<usize>>,
    accounts: BTreeSet<usize>,
}

impl Naive {
    fn see(&mut self, who: usize, report: &[Value]) {
        self.accounts.insert(who);
        let of = |kind: &str| -> Vec<String> {
            report.iter().filter(|piece| piece["kind"] == kind).map(|piece| piece["value"].to_string()).collect()
        };
        let pairs = of("device")
            .into_iter()
            .flat_map(|device| of("address").into_iter().map(move |address| format!("{device} at {address}")));
        let alone = ["document", "phone", "payment-account"].into_iter().flat_map(of);
        for mark in alone.chain(pairs) {
            self.marks.entry(mark).or_default().insert(who);
        }
    }

    fn family(&self, of: usize) -> BTreeSet<usize> {
        let mut family = BTreeSet::from([of]);
        loop {
            let shared = self.marks.values().filter(|who| !who.is_disjoint(&family)).flatten();
            let larger: BTreeSet<usize> = shared.copied().chain([of]).collect();
            if larger == family {
                return family;
            }
            family = larger;
        }
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % count as u64).unwrap()
    }

    fn report(&mut self) -> Vec<Value> {
        let kinds = ["document", "phone", "payment-account", "device", "address"];
        let pieces = 1 + self.below(3);
        let piece = |dice: &mut Self| {
            let kind = kinds[dice.below(5)];
            let many = if kind.len() > 6 && kind != "address" { 60 } else { 12 };
            let value = if kind == "phone" {
                format!("138001{:05}", dice.below(60))
            } else {
                format!("{kind} {}", 10 + dice.below(many))
            };
            json!({"kind": kind, "value": value})
        };
        (0..pieces).map(|_| piece(self)).collect()
    }
}

/// A sandbox does one thing at a time; a service does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_and_unions_at_once_stay_one_grant_on_postgres() {
    at_once(Place::Postgres(TempPostgres::start().database().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_and_unions_at_once_stay_one_grant_on_sqlite() {
    at_once(Place::Memory).await;
}

async fn at_once(store: Place) {
    let directory = Directory::new();
    let service = Service::start(store, directory.identity()).await.unwrap();
    for round in 0..12 {
        let evidence = json!([{"kind": "document", "value": format!("1101051949123100{round:02}")}]);
        let mut accounts = vec![];
        for _ in 0..4 {
            // Two are linked already, two are seen with the document only while all of them claim.
            let known = if accounts.len() < 2 { evidence.clone() } else { json!([]) };
            let (_, opened) = service.post(OPERATOR, "/v1/accounts", json!({"name": "x", "evidence": known})).await;
            let id = opened["account"]["id"].as_str().unwrap().to_owned();
            let verify = format!("/v1/accounts/{id}/verification");
            service.post(OPERATOR, &verify, json!({"holder": "individual"})).await;
            accounts.push((id, opened["key"]["secret"].as_str().unwrap().to_owned()));
        }
        let claims = accounts.iter().map(|(_, key)| service.post(key, "/v1/trial", json!(null)));
        let reports = accounts[2..].iter().map(|(id, _)| {
            let body = json!({"seen_at": "log-in", "evidence": evidence});
            let (service, path) = (service.clone(), format!("/v1/accounts/{id}/evidence"));
            async move { service.post(OPERATOR, &path, body).await }
        });
        let (claims, reports) = tokio::join!(join_all(claims), join_all(reports));
        assert!(reports.iter().all(|(status, _)| *status == 200), "{reports:?}");
        assert!(claims.iter().all(|(status, _)| [201, 409].contains(status)), "{claims:?}");
        let won: Vec<bool> = claims.iter().map(|(status, _)| *status == 201).collect();
        let of = |won: &[bool]| won.iter().filter(|won| **won).count();
        // Those who were linked have one between them; another only who claimed before he was linked.
        assert!(of(&won[..2]) <= 1 && (1..=3).contains(&of(&won)), "{claims:?}");
        for ((id, key), won) in accounts.iter().zip(&won) {
            // Now they are one person, who claimed.
            let (status, problem) = service.post(key, "/v1/trial", json!(null)).await;
            let code = if *won { "trial-already-claimed" } else { "trial-person-claimed" };
            assert_eq!((status, problem["code"].as_str()), (409, Some(code)), "{problem}");
            let path = format!("/v1/accounts/{id}/person");
            let (_, family) = service.ask(OPERATOR, Method::GET, &path, json!(null)).await;
            assert_eq!(family["items"].as_array().unwrap().len(), 4);
            let (_, events) =
                service.ask(OPERATOR, Method::GET, &format!("/v1/events?account={id}"), json!(null)).await;
            let names =
                events["items"].as_array().unwrap().iter().map(|event| event["body"]["event"].as_str().unwrap());
            assert_eq!(names.filter(|name| *name == "trial-claimed").count(), usize::from(*won));
        }
    }
    service.stop().await;
}
