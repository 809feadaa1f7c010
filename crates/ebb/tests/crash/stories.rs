//! What happens in a busy day? Everything that the service does, in few steps; told again after each crash, and ending the same.

use crate::api::{Client, Refused, text, wait_for};
use crate::books::Purchases;
use crate::receiver::subscribe;
use crate::world::World;
use serde_json::{Value, json};

/// Who buys, and what they were told they have bought.
struct Market<'a> {
    operator: Client<'a>,
    ada: Client<'a>,
    bob: Client<'a>,
    bought: Purchases,
}

impl<'a> Market<'a> {
    fn open(world: &'a World) -> Market<'a> {
        let operator = world.open();
        let (ada, bob) = (operator.tenant("Ada"), operator.tenant("Bob"));
        ada.keys_come_and_go();
        bob.post("/v1/trial/at-end", json!({ "choice": "release" }));
        [&ada, &bob].into_iter().for_each(|tenant| subscribe(world, tenant));
        // One is soon used up, the other pays for blocks alone.
        let of_blocks = json!({ "options": ["spot-block"] });
        for (tenant, kind, face, pays) in [(&ada, "card", "0.0001", json!({})), (&bob, "cash-coupon", "5", of_blocks)] {
            let expires_at = "2199-01-01T00:00:00Z";
            let voucher = json!({ "kind": kind, "face": face, "pays": pays, "expires_at": expires_at });
            operator.post(&format!("/v1/accounts/{}/vouchers", tenant.account), voucher);
            assert_eq!(tenant.all("/v1/vouchers").len(), 1, "however often it was asked for");
        }
        let wrong =
            operator.post(&format!("/v1/accounts/{}/vouchers", bob.account), json!({ "kind": "card", "face": "1" }));
        let revoke = format!("/v1/vouchers/{}/revoke", text(&wrong["id"]));
        assert_eq!(operator.post(&revoke, json!({ "reason": "it was Ada's" }))["revoked"], "1.00000000");
        Market { ada, bob, operator, bought: Purchases::new() }
    }

    fn buys(&mut self, who: for<'m> fn(&'m Market<'a>) -> &'m Client<'a>, flavor: &str, option: &str) -> String {
        let buyer = who(self).clone();
        let id = buyer.buy(flavor, option);
        assert!(self.bought.entry(buyer.account).or_default().insert(id.clone()), "{id} was sold twice");
        id
    }

    /// Interrupts all blocks of Bob's, and nobody twice, however often it has to be asked.
    fn rehearses(&self, blocks: usize) {
        let before = self.bob.all("/v1/drills").len();
        let drill = self.bob.post("/v1/drills", json!({ "all": true }));
        assert_eq!((&drill["summary"]["taken"], &drill["summary"]["refused"]), (&json!(blocks), &json!(0)), "{drill}");
        assert_eq!(self.bob.all("/v1/drills").len(), before + 1);
    }

    /// A month, and one more; each is paid once, however often it has to be asked. Of the first something is given back, once, too.
    fn pays_by_the_month(&self, id: &str) {
        self.ada.post(&format!("/v1/instances/{id}/convert"), json!({ "to": "subscription", "months": 1 }));
        self.ada.post(&format!("/v1/instances/{id}/renew"), json!({ "months": 1 }));
        // It would go on by itself, and somebody is told of half of what is meant to be spent.
        self.ada.post(&format!("/v1/instances/{id}/renewal"), json!({ "auto": true }));
        self.ada.post("/v1/budget", json!({ "amount": "300", "alerts": [50], "expected": false }));
        let chosen = self.ada.all("/v1/events").into_iter().filter(|event| event["body"]["event"] == "renewal-chosen");
        assert_eq!(chosen.count(), 1);
        let bill = self.ada.get("/v1/bills");
        let months = bill["records"].as_array().expect("records").iter().filter(|one| one["meter"] == "subscription");
        let months: Vec<&Value> = months.collect();
        assert_eq!(months.len(), 2, "{bill}");
        let path = format!("/v1/records/{}/adjustments", text(&months[0]["id"]));
        self.operator.post(&path, json!({ "amount": "0.01", "reason": "a story" }));
        let bill = self.ada.get("/v1/bills");
        assert_eq!(bill["adjustments"].as_array().map(Vec::len), Some(1), "{bill}");
    }

    /// Somebody is seen with what others were seen with, before, while and after a new key takes over; each is one person with one
    /// other, whatever died meanwhile. One of them is let claim, what is left is taken, and another leaves.
    fn people_come_and_go(&self) {
        let open = |name: &str, number: usize| {
            let evidence = json!([{"kind": "document", "value": format!("P-{number:07}")}]);
            let opened = self.operator.post("/v1/accounts", json!({"name": name, "evidence": evidence}));
            (text(&opened["account"]["id"]), text(&opened["key"]["secret"]))
        };
        let person = |id: &str| self.operator.all(&format!("/v1/accounts/{id}/person")).len();
        let report = |id: &str, kind: &str, value: &str| {
            let body = json!({"seen_at": "log-in", "evidence": [{"kind": kind, "value": value}]});
            self.operator.post(&format!("/v1/accounts/{id}/evidence"), body)
        };
        let first: Vec<_> = (1..6).map(|number| open("First", number)).collect();
        self.operator.post("/v1/evidence-keys", Value::Null);
        let second: Vec<_> = (1..6).map(|number| open("Second", number)).collect();
        assert!(first.iter().chain(&second).all(|(id, _)| person(id) == 2));
        report(&first[0].0, "phone", "13800138000");
        report(&second[1].0, "phone", "+86 138 0013 8000");
        assert_eq!(person(&second[0].0), 4);
        wait_for("the new key to have taken over", || {
            let keys = self.operator.get("/v1/evidence-keys")["items"].clone();
            let old = keys.as_array().expect("keys").iter().rev().skip(1).all(|key| key["hashes"] == 0);
            old.then_some(()).ok_or(keys.to_string())
        });

        let (owner, account) =
            (self.operator.as_tenant(&second[4].1, &second[4].0), format!("/v1/accounts/{}", second[4].0));
        let because = json!({"reason": "a story"});
        for (id, key) in [&first[4], &second[4]] {
            self.operator.post(&format!("/v1/accounts/{id}/verification"), json!({"holder": "individual"}));
            self.operator.as_tenant(key, id).ask("POST", "/v1/trial", Value::Null).ok();
        }
        assert_eq!(owner.get("/v1/trial/check")["conditions"][6]["code"], "trial-person-claimed");
        owner.post("/v1/trial/appeals", json!({"text": "please"}));
        self.operator.post(&format!("{account}/trial/reject"), because.clone());
        self.operator.post(&format!("{account}/trial/overrule"), because.clone());
        owner.post("/v1/trial", Value::Null);
        self.operator.post(&format!("{account}/trial/revoke"), because);
        owner.post(&format!("{account}/close"), Value::Null);
        self.operator.post(&format!("/v1/accounts/{}/person", first[2].0), json!({"with": first[3].0}));
    }

    fn until(&self, id: &str, state: &str) {
        self.operator.until(id, state);
    }
}

/// By the wall clock, beside a host of its own: blocks fill the house, a firm order takes two of them, things stop and start.
pub fn by_the_wall(world: &World) -> Purchases {
    let mut market = Market::open(world);
    market.people_come_and_go();
    let blocks: Vec<String> = (0..4).map(|_| market.buys(|m| &m.bob, "small", "spot-block")).collect();
    blocks.iter().for_each(|id| market.until(id, "running"));

    world.host().crash();
    world.open();
    let firm = market.buys(|m| &m.ada, "large", "on-demand");
    let taken: Vec<&String> =
        blocks.iter().filter(|id| matches!(market.bob.state(id).as_str(), "reclaiming" | "released")).collect();
    assert_eq!(taken.len(), 2, "the firm order takes two blocks");
    // Under notice, or by now released: either way there is nothing to delete.
    assert!(matches!(market.bob.delete(taken[0]), Err(Refused(409, _))));
    market.until(&firm, "running");

    market.ada.tell(&firm, "stop").expect("it runs");
    market.until(&firm, "stopped");
    market.ada.tell(&firm, "start").expect("it is stopped");
    market.until(&firm, "running");
    market.pays_by_the_month(&firm);

    let left: Vec<&String> = blocks.iter().filter(|id| !taken.contains(id)).collect();
    market.operator.tell(left[1], "reclaim").expect("a block may be taken back");
    market.bob.delete(left[0]).expect("it is Bob's");
    market.until(left[0], "released");
    let trial = market.buys(|m| &m.ada, "small", "trial");
    market.until(&trial, "running");
    market.ada.post(&format!("/v1/instances/{trial}/convert"), json!({ "to": "on-demand" }));
    market.ada.delete(&trial).expect("it is Ada's");
    market.until(left[1], "released");
    let fleet: Vec<String> = (0..2).map(|_| market.buys(|m| &m.bob, "small", "spot-block")).collect();
    fleet.iter().for_each(|id| market.until(id, "running"));
    market.rehearses(2);
    fleet.iter().for_each(|id| market.until(id, "released"));
    let last = market.buys(|m| &m.bob, "small", "spot-block");
    market.until(&last, "running");
    market.bought
}

/// A host is emptied, lent by a calendar, lost and found; orders that wait there are given up.
fn hosts_come_and_go<'a>(market: &mut Market<'a>, last: &str, at: impl Fn(&Market<'a>, &str)) {
    let host = text(&market.operator.get("/v1/hosts")["items"][0]["name"]);
    let tell = |market: &Market<'_>, verb: &str, body: Value| {
        market.operator.post(&format!("/v1/hosts/{host}/{verb}"), body);
    };
    tell(market, "calendar", json!({ "calendar": "mon-sun 00:00-24:00" }));
    tell(market, "take-back", json!({ "at": "2026-01-01T05:00:00Z" }));
    tell(market, "resume", Value::Null);
    tell(market, "drain", Value::Null);
    at(market, "04:12:00");
    market.until(last, "released");
    tell(market, "resume", Value::Null);
    let blocks: Vec<String> = (0..4).map(|_| market.buys(|m| &m.bob, "small", "spot-block")).collect();
    let firm = market.buys(|m| &m.ada, "small", "on-demand");
    market.until(&firm, "pending");
    tell(market, "drain", Value::Null);
    tell(market, "resume", Value::Null);
    at(market, "04:14:00");
    market.until(&firm, "running");
    let more: Vec<String> = (0..3).map(|_| market.buys(|m| &m.bob, "small", "spot-block")).collect();
    let waiting = market.buys(|m| &m.ada, "small", "on-demand");
    tell(market, "unplug", Value::Null);
    at(market, "04:14:06");
    tell(market, "lost", json!({ "fenced": true }));
    market.until(&waiting, "released");
    assert!(blocks.iter().chain(&more).all(|id| market.bob.state(id) == "released"));
    market.until(&firm, "lost");
    tell(market, "plug", Value::Null);
    market.until(&firm, "running");
    tell(market, "return-file", json!({ "present": true }));
    tell(market, "return-file", json!({ "present": false }));
    let there = market.buys(|m| &m.bob, "small", "spot-block");
    market.until(&there, "running");
}

/// By a clock that is advanced: hours close, a trial pays, leases end, blocks settle.
pub fn by_a_clock(world: &World) -> Purchases {
    let mut market = Market::open(world);
    market.people_come_and_go();
    let at = |market: &Market<'_>, time: &str| {
        let to = format!("2026-01-01T{time}Z");
        market.operator.post("/v1/clock/advance", json!({ "to": to }));
    };
    let trial = market.buys(|m| &m.ada, "small", "trial");
    let blocks: Vec<String> = (0..3).map(|_| market.buys(|m| &m.bob, "small", "spot-block")).collect();
    at(&market, "00:30:00");
    let firm = market.buys(|m| &m.ada, "large", "on-demand");
    at(&market, "00:30:02");
    market.until(&firm, "running");
    at(&market, "00:40:00");
    market.ada.tell(&firm, "stop").expect("it runs");
    market.until(&firm, "stopped");
    at(&market, "00:45:00");
    market.ada.tell(&firm, "start").expect("it is stopped");
    market.until(&firm, "running");
    let address = text(&market.ada.instance(&firm)["public_address"]);
    let send = |market: &Market<'_>, bytes: i64| {
        market.ada.post(&format!("/v1/addresses/{address}/traffic"), json!({ "bytes": bytes }));
    };
    // A trial's pool pays for 20 GB of the month, and the rest is charged.
    send(&market, 19_000_000_000);
    at(&market, "00:50:00");
    send(&market, 3_000_000_000);
    market.pays_by_the_month(&firm);
    // The block that was left comes to its end at one o'clock.
    at(&market, "02:30:00");
    assert!(blocks.iter().all(|id| market.bob.state(id) == "released"));
    let long = market.buys(|m| &m.bob, "small", "spot-block");
    at(&market, "03:10:00");
    market.operator.tell(&long, "reclaim").expect("a block may be taken back");
    at(&market, "03:20:00");
    market.ada.delete(&trial).expect("it is Ada's");
    let fleet: Vec<String> = (0..2).map(|_| market.buys(|m| &m.bob, "small", "spot-block")).collect();
    let plan = json!({"what": {"all": true, "percent": 50}, "every_seconds": 300});
    let schedule = market.bob.post("/v1/drill-schedules", plan);
    // One of the two at 03:25, by schedule; the other when it is asked for.
    at(&market, "03:27:00");
    let path = format!("/v1/drill-schedules/{}", schedule["id"].as_str().expect("an id"));
    market.bob.ask("DELETE", &path, json!(null)).expect("it is Bob's");
    assert_eq!(market.bob.all("/v1/drills").len(), 1);
    market.rehearses(1);
    at(&market, "03:30:00");
    assert!(fleet.iter().all(|id| market.bob.state(id) == "released"));
    let last = market.buys(|m| &m.bob, "small", "spot-block");
    at(&market, "04:10:00");
    // Its last reading comes before the guest is gone, and the address stays.
    send(&market, 1_000_000_000);
    market.ada.delete(&firm).expect("it is Ada's");
    market.ada.ask("DELETE", &format!("/v1/addresses/{address}"), Value::Null).expect("it is Ada's");
    market.until(&last, "running");
    hosts_come_and_go(&mut market, &last, at);
    wait_for("the hour is closed", || {
        let closed = market.operator.all("/v1/events").iter().filter(|e| e["body"]["event"] == "hour-closed").count();
        (closed >= 6).then_some(()).ok_or(format!("{closed}"))
    });
    market.bought
}
