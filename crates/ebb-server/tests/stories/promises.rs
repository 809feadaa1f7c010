//! What stands against a purchase or an operation, what taking costs, and what the report says was kept.

use crate::cloud::{Cloud, On, block, order};
use crate::story;
use ebb_driver::fake::Behaviour;
use ebb_model::catalog::{SpotState, SpotTerms};
use ebb_model::resources::Resources;
use reqwest::Method;
use serde_json::{Value, json};

const SMALL: [(&str, i64); 3] = [("vcpu", 4), ("memory_mib", 16_384), ("disk_gib", 1_000)];

fn on_demand() -> Value {
    json!({"option": "on-demand", "flavor": "c6.large.2"})
}

fn of(mut what: Value, field: &str, value: Value) -> Value {
    what[field] = value;
    order(what)
}

#[tokio::test]
async fn what_stands_against_a_block_has_its_own_name() {
    for on in [On::Sqlite, On::Postgres] {
        let room = [("vcpu", 64), ("memory_mib", 262_144), ("disk_gib", 10_000)];
        let cloud = Cloud::changed(on, &room, |catalog| {
            catalog.limits.spot_per_account = Resources::of([("instances", 3), ("vcpu", 5)]);
            let bazaar = ebb_model::catalog::Image {
                id: "bazaar".into(),
                name: "Bazaar".into(),
                marketplace: true,
                memory_mib: 0,
                gib: 0,
            };
            catalog.images.push(bazaar);
            let zones = [catalog.zones[1].id.clone(), catalog.zones[2].id.clone(), catalog.zones[3].id.clone()];
            let flavor = catalog.flavors.iter_mut().find(|flavor| flavor.id == "c6.large.2").unwrap();
            let terms = |state, hours, periods| SpotTerms { state, max_hours: hours, max_periods: periods };
            flavor.spot.as_mut().unwrap().zones = [
                (zones[0].clone(), terms(SpotState::SoldOut, None, None)),
                (zones[1].clone(), terms(SpotState::Off, None, None)),
                (zones[2].clone(), terms(SpotState::Normal, Some(6), Some(2))),
            ]
            .into();
        })
        .await;
        let zones = cloud.get("operator", "/v1/zones").await;
        let zone = |at: usize| zones["items"][at]["id"].clone();
        let periods = |count: i64| of(block(6), "periods", json!(count));
        for (body, status, code) in [
            (of(block(1), "zone", zone(1)), 409, "spot-sold-out"),
            (of(block(1), "zone", zone(2)), 409, "spot-off"),
            (of(periods(3), "zone", zone(3)), 422, "too-many-periods"),
            (of(block(1), "image", json!("bazaar")), 422, "marketplace-image"),
            (of(block(1), "auto_recovery", json!(true)), 422, "spot-auto-recovery"),
        ] {
            let refused = cloud.refused("enterprise", "/v1/instances", body.clone()).await;
            assert_eq!(refused, (status, code.to_owned()), "{body}");
            assert_eq!(cloud.refused("enterprise", "/v1/quote", body).await.1, code);
        }
        let offers = cloud.get("enterprise", "/v1/offers?flavor=c6.large.2").await;
        let offer = |at: usize| offers["items"].as_array().unwrap().iter().find(|o| o["zone"] == zone(at)).unwrap();
        let said =
            |at: usize| (offer(at)["state"].clone(), offer(at)["periods"].clone(), offer(at)["hours_now"].clone());
        assert_eq!(said(0), (json!("normal"), json!(4), json!(6)));
        assert_eq!(said(1), (json!("sold-out"), json!(4), json!(0)));
        assert_eq!(said(2), (json!("off"), json!(4), json!(0)));
        assert_eq!(said(3), (json!("normal"), json!(2), json!(6)));
        assert_eq!(offer(0)["prices"], json!(["0.07", "0.07", "0.07", "0.07", "0.07", "0.12"]));

        // Two blocks of two vCPU; a third would make six of five.
        cloud.buy("enterprise", block(1)).await;
        let second = cloud.buy("enterprise", block(1)).await;
        let third = cloud.refused("enterprise", "/v1/instances", order(block(1))).await;
        assert_eq!(third, (409, "over-spot-quota".to_owned()));
        cloud.buy("enterprise", on_demand()).await;
        let limits = cloud.get("enterprise", "/v1/limits").await;
        let limit =
            |name: &str| limits["items"].as_array().unwrap().iter().find(|l| l["name"] == name).unwrap().clone();
        assert_eq!(limit("spot vcpu"), json!({"name": "spot vcpu", "used": 4, "most": 5}));
        assert_eq!(limit("spot instances"), json!({"name": "spot instances", "used": 2, "most": 3}));
        assert_eq!(limit("instances")["used"], 3);
        // What is released counts no longer.
        cloud.delete("enterprise", &second).await;
        cloud.buy("enterprise", block(1)).await;
        cloud.nothing_broke().await;
    }
}

story!(operations_are_refused_one_by_one, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(3)).await;
    let never = [
        ("resize", "spot-no-resize"),
        ("to-subscription", "spot-no-subscription"),
        ("to-on-demand", "spot-no-on-demand"),
        ("change-os", "spot-no-os-change"),
        ("auto-recovery", "spot-auto-recovery"),
        ("detach-system-disk", "spot-no-system-disk-detach"),
    ];
    let images = ["image-of-system-disk", "image-of-machine", "image-of-data-disk"];
    let ask = |operation: &'static str| {
        let (cloud, path) = (cloud.clone(), format!("/v1/instances/{id}/operations/{operation}"));
        async move {
            let (status, problem) = cloud.ask("enterprise", Method::POST, &path, Some(json!(null))).await;
            (status.as_u16(), problem["code"].as_str().unwrap().to_owned())
        }
    };
    for (operation, code) in never {
        assert_eq!(ask(operation).await, (409, code.to_owned()));
    }
    for image in images {
        assert_eq!(ask(image).await, (501, "not-offered".to_owned()), "the rules allow it");
    }
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    for (operation, code) in never {
        assert_eq!(ask(operation).await, (409, code.to_owned()));
    }
    assert_eq!(ask(images[0]).await, (409, "reclaiming-no-system-disk-image".to_owned()));
    assert_eq!(ask(images[1]).await, (409, "reclaiming-no-machine-image".to_owned()));
    // A data disk may be saved to the end.
    assert_eq!(ask(images[2]).await, (501, "not-offered".to_owned()));
    let listed = cloud.get("enterprise", &format!("/v1/instances/{id}/operations")).await;
    let allowed = listed["items"].as_array().unwrap().iter().filter(|one| one["allowed"] == true);
    assert_eq!(allowed.map(|one| one["operation"].clone()).collect::<Vec<_>>(), [json!(images[2])]);
    for verb in ["stop", "start"] {
        assert_eq!(
            cloud.refused("enterprise", &format!("/v1/instances/{id}/{verb}"), json!(null)).await.1,
            "reclaiming"
        );
    }
    assert_eq!(cloud.delete("enterprise", &id).await.1["code"], "reclaiming");
    cloud.wait(300).await;
    for (operation, _) in never {
        assert_eq!(ask(operation).await, (409, "released".to_owned()));
    }
});

#[tokio::test]
async fn who_made_others_go_pays_ten_minutes_at_least() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &SMALL, |_| {}).await;
        cloud.buy("enterprise", block(3)).await;
        cloud.buy("enterprise", block(3)).await;
        cloud.until("09:50:00").await;
        let firm = cloud.buy("individual", on_demand()).await;
        assert_eq!(cloud.delete("individual", &firm).await.1["code"], "order-caused-notice");
        cloud.until("09:55:00").await;
        assert_eq!(cloud.state("individual", &firm).await, "running");
        cloud.until("09:56:00").await;
        // Its room is free at once, its charge goes on to 10:05:00, beyond the clock hour.
        assert_eq!(cloud.delete("individual", &firm).await.0, 200);
        let ended = cloud.instance("individual", &firm).await;
        assert_eq!((&ended["state"], &ended["ended_at"]), (&json!("released"), &json!("2026-03-02T02:05:00Z")));
        cloud.until("10:02:00").await;
        let accruing = cloud.get("individual", "/v1/bills").await["accruing"].clone();
        let compute = accruing.as_array().unwrap().iter().find(|r| r["meter"] == "compute").unwrap().clone();
        assert_eq!((&compute["seconds"], &compute["amount"]), (&json!(120), &json!("0.01300000")));
        cloud.until("12:00:00").await;
        // 0.39 per hour, and 0.02 for the disk.
        let records = async |meter: &'static str| cloud.records("individual", &firm, meter).await;
        assert_eq!(
            records("compute").await,
            ["09:55:00-10:00:00 300 0.39 0.03250000", "10:00:00-10:05:00 300 0.39 0.03250000"]
        );
        assert_eq!(
            records("system-disk").await,
            ["09:55:00-10:00:00 300 0.02 0.00166667", "10:00:00-10:05:00 300 0.02 0.00166667"]
        );
        assert_eq!(cloud.get("individual", "/v1/balance").await["cash"], "9999.93166667");

        // Who stays longer pays what he used, and who took nobody may go at once.
        let free = cloud.buy("individual", on_demand()).await;
        cloud.wait(60).await;
        cloud.delete("individual", &free).await;
        assert_eq!(cloud.instance("individual", &free).await["ended_at"], "2026-03-02T04:01:00Z");
        cloud.nothing_broke().await;
    }
}

#[tokio::test]
async fn takings_are_counted_right_when_they_come_at_once() {
    for on in [On::Sqlite, On::Postgres] {
        let room = [("vcpu", 16), ("memory_mib", 65_536), ("disk_gib", 1_000)];
        let cloud = Cloud::changed(on, &room, |catalog| catalog.limits.takings_per_hour = 3).await;
        for _ in 0..8 {
            cloud.buy("enterprise", block(6)).await;
        }
        let tries = (0..8).map(|_| {
            let cloud = cloud.clone();
            tokio::spawn(async move {
                let (status, answer) =
                    cloud.ask("individual", Method::POST, "/v1/instances", Some(order(on_demand()))).await;
                (status.as_u16(), answer["code"].as_str().unwrap_or("bought").to_owned())
            })
        });
        let mut said = vec![];
        for one in tries {
            said.push(one.await.unwrap());
        }
        said.sort();
        let bought = said.iter().filter(|one| **one == (201, "bought".to_owned())).count();
        let refused = said.iter().filter(|one| **one == (429, "too-many-takings".to_owned())).count();
        assert_eq!((bought, refused), (3, 5), "{said:?}");
        let limits = cloud.get("individual", "/v1/limits").await;
        let takings = limits["items"].as_array().unwrap().iter().find(|l| l["name"] == "takings per hour").unwrap();
        assert_eq!((&takings["used"], &takings["most"]), (&json!(3), &json!(3)));
        // An hour later there are others.
        cloud.wait(3_601).await;
        cloud.buy("individual", on_demand()).await;
        cloud.nothing_broke().await;
    }
}

#[tokio::test]
async fn the_report_says_what_was_promised_and_what_was_kept() {
    for on in [On::Sqlite, On::Postgres] {
        let cloud = Cloud::changed(on, &SMALL, |_| {}).await;
        let account = |who: &'static str| {
            let cloud = cloud.clone();
            async move { cloud.get(who, "/v1/whoami").await["account"]["id"].clone() }
        };
        let (lost, took) = (account("enterprise").await, account("individual").await);
        let deleted = cloud.buy("enterprise", block(1)).await;
        cloud.wait(600).await;
        cloud.delete("enterprise", &deleted).await;
        cloud.buy("enterprise", block(1)).await;
        cloud.buy("enterprise", block(3)).await;
        cloud.wait(900).await;
        // The younger one goes for somebody else's order; the other ends by itself.
        cloud.buy("individual", on_demand()).await;
        cloud.wait(3_600).await;

        let report = cloud.get("operator", "/v1/reports/spot").await;
        let rows = report["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 2, "{report}");
        let (one, three) = (&rows[0], &rows[1]);
        assert_eq!((&one["flavor"], &one["hours"], &three["hours"]), (&json!("c6.large.2"), &json!(1), &json!(3)));
        assert_eq!((&one["sold"], &one["ended"], &three["sold"]), (&json!(2), &json!(2), &json!(1)));
        assert_eq!(one["ended_by"], json!({"deleted": 1, "lease-end": 1}));
        assert_eq!((&one["seconds"], &one["charged"]), (&json!(4_200), &json!("0.08166667")));
        assert_eq!((&one["waived_seconds"], &one["waived"]), (&json!(0), &json!("0.00000000")));
        assert_eq!(three["ended_by"], json!({"capacity": 1}));
        assert_eq!((&three["waived_seconds"], &three["waived"]), (&json!(1_200), &json!("0.02333333")));
        assert_eq!((&three["charged"], &three["seconds"]), (&json!("0.00000000"), &json!(1_200)));
        let punctual = json!({"count": 1, "p50_ms": 0, "p99_ms": 0, "max_ms": 0});
        for row in rows {
            assert_eq!((&row["notices"], &row["releases"]), (&punctual, &punctual), "{row}");
        }
        let waived = json!([{"lost": lost, "took": took, "cause": "capacity", "blocks": 1, "waived_seconds": 1_200,
            "waived": "0.02333333"}]);
        assert_eq!(report["waived"], waived);

        // An owner sees its own, and not who took.
        let own = cloud.get("enterprise", "/v1/reports/spot?by=account").await;
        assert_eq!(own["rows"].as_array().unwrap().len(), 1);
        assert_eq!((&own["rows"][0]["account"], &own["rows"][0]["sold"]), (&lost, &json!(3)));
        assert_eq!((&own["waived"][0]["lost"], &own["waived"][0]["took"]), (&lost, &Value::Null));
        assert!(!own.to_string().contains(took.as_str().unwrap()));
        let other = cloud.get("individual", "/v1/reports/spot").await;
        assert_eq!((&other["rows"], &other["waived"]), (&json!([]), &json!([])));
        let of_lost = format!("/v1/reports/spot?by=account&account={}", lost.as_str().unwrap());
        assert_eq!(cloud.get("operator", &of_lost).await["rows"], own["rows"]);
        assert_eq!(cloud.ask("individual", Method::GET, &of_lost, None).await.0, 404);
        // Another time has nothing of it.
        let before = cloud.get("operator", "/v1/reports/spot?until=2026-03-02T00:58:30Z").await;
        assert_eq!((&before["rows"], &before["waived"]), (&json!([]), &json!([])));
        let sold = cloud.get("operator", "/v1/reports/spot?until=2026-03-02T01:00:00Z").await;
        assert_eq!((&sold["rows"][0]["sold"], &sold["rows"][0]["ended"]), (&json!(1), &json!(0)));
        cloud.nothing_broke().await;
    }
}

#[tokio::test]
async fn the_report_says_how_late_releases_were() {
    for on in [On::Sqlite, On::Postgres] {
        let slow = Behaviour { remove_millis: 1_500, ..Behaviour::default() };
        let cloud = Cloud::with(on, &SMALL, slow).await;
        let id = cloud.buy("enterprise", block(3)).await;
        cloud.buy("enterprise", block(1)).await;
        cloud.wait(60).await;
        cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!({"urgent": true})).await;
        cloud.wait(10).await;
        let report = cloud.get("enterprise", "/v1/reports/spot").await;
        let (one, three) = (&report["rows"][0], &report["rows"][1]);
        assert_eq!(three["releases"], json!({"count": 1, "p50_ms": 1_500, "p99_ms": 1_500, "max_ms": 1_500}));
        assert_eq!((&one["hours"], &one["ended"], &one["releases"]), (&json!(1), &json!(0), &Value::Null));
        assert_eq!(report["waived"][0]["cause"], "operator");
        assert_eq!(report["waived"][0]["took"], Value::Null);
        cloud.agrees().await;
    }
}
