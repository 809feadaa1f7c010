//! What does a program read in the place of a sandbox's guest, in each cloud's form?

use crate::cloud::{Cloud, Directory, On, block};
use crate::story;
use ebb_server::{DeliveryConfig, ServeConfig, sample_catalog, serve};
use ebb_store::Place;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const AZURE: &str = "/metadata/scheduledevents?api-version=2020-07-01";
const GOOGLE: &str = "/computeMetadata/v1/instance/preempted";

/// The notice in the six forms.
async fn notices(cloud: &Cloud, id: &str) -> Vec<String> {
    let mut said = vec![];
    for (path, headers) in [
        ("/openstack/latest/spot/instance-action", &[][..]),
        ("/latest/meta-data/spot/instance-action", &[]),
        // Nobody else has this path, so it needs no name.
        ("/latest/meta-data/instance/spot/termination-time", &[]),
        (AZURE, &[("metadata", "true")]),
        (GOOGLE, &[("metadata-flavor", "Google")]),
        ("/latest/meta-data/spot/termination-time", &[("host", "metadata.tencentyun.com")]),
    ] {
        said.push(cloud.guest(id, &format!("GET {path}"), headers, "").await);
    }
    said
}

story!(the_notice_is_read_in_six_forms, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(3)).await;
    cloud.wait(60).await;
    let nothing = "404 there is nothing here";
    let before = notices(&cloud, &id).await;
    let no_events = r#"200 {"DocumentIncarnation":1,"Events":[]}"#;
    assert_eq!(before, [nothing, nothing, nothing, no_events, "200 FALSE", nothing]);

    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    assert_eq!(cloud.instance("enterprise", &id).await["interruption"]["read_at"], Value::Null);
    cloud.wait(10).await;
    let mut after = notices(&cloud, &id).await;
    let event: Value = serde_json::from_str(after.remove(3).strip_prefix("200 ").unwrap()).unwrap();
    assert_eq!(
        after,
        [
            r#"200 {"action":"terminate","timestamp":"2026-03-02 01:04:30"}"#,
            r#"200 {"action":"terminate","time":"2026-03-02T01:04:30Z"}"#,
            "200 2026-03-02T01:04:30Z",
            "200 TRUE",
            "200 2026-03-02 09:04:30",
        ]
    );
    let event = &event["Events"][0];
    assert_eq!(
        (&event["EventType"], &event["NotBefore"]),
        (&json!("Preempt"), &json!("Mon, 02 Mar 2026 01:04:30 GMT"))
    );
    let interruption = cloud.instance("enterprise", &id).await["interruption"].clone();
    assert_eq!(interruption["read_at"], "2026-03-02T00:59:40Z");
});

/// The guest's `EventId`.
async fn event(cloud: &Cloud, id: &str) -> String {
    let said = cloud.guest(id, &format!("GET {AZURE}"), &[("metadata", "true")], "").await;
    let said: Value = serde_json::from_str(said.strip_prefix("200 ").unwrap()).unwrap();
    said["Events"][0]["EventId"].as_str().unwrap().to_owned()
}

async fn approve(cloud: &Cloud, id: &str, event: &str) -> String {
    let body = json!({ "StartRequests": [{ "EventId": event }] }).to_string();
    cloud.guest(id, &format!("POST {AZURE}"), &[("metadata", "true")], &body).await
}

story!(who_approves_the_end_of_a_lease_pays_up_to_there, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(1)).await;
    cloud.wait(3_600 - 200).await;
    let event = event(&cloud, &id).await;
    assert_eq!(approve(&cloud, &id, &event).await, "200 {}");
    let gone = cloud.instance("enterprise", &id).await;
    assert_eq!((&gone["state"], &gone["end_cause"]), (&json!("released"), &json!("deleted")));
    let charged = cloud.records("enterprise", &id, "compute").await;
    assert_eq!(charged, ["08:58:30-09:00:00 90 0.07 0.00175000", "09:00:00-09:55:10 3310 0.07 0.06436111"]);
});

story!(who_approves_the_event_goes_at_once, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(3)).await;
    let other = cloud.buy("enterprise", block(3)).await;
    cloud.wait(60).await;
    let azure = [("metadata", "true")];
    for id in [&id, &other] {
        cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    }
    let (own, foreign) = (event(&cloud, &id).await, event(&cloud, &other).await);
    assert_eq!(approve(&cloud, &id, &foreign).await.get(..3), Some("400"), "another guest's event");
    assert_eq!(cloud.state("enterprise", &id).await, "reclaiming");

    cloud.wait(20).await;
    assert_eq!(approve(&cloud, &id, &own).await, "200 {}");
    assert_eq!(cloud.state("enterprise", &id).await, "released");
    let gone = cloud.instance("enterprise", &id).await;
    assert_eq!(gone["ended_at"], "2026-03-02T00:59:50Z", "270 seconds early");
    assert_eq!(cloud.guest(&id, &format!("GET {AZURE}"), &azure, "").await.get(..3), Some("404"));
    assert_eq!(cloud.state("enterprise", &other).await, "reclaiming");
});

#[tokio::test(flavor = "multi_thread")]
async fn a_base_address_serves_programs_that_know_nothing_of_it() {
    let cloud = Cloud::new(On::Sqlite).await;
    let id = cloud.buy("enterprise", block(1)).await;
    let named = format!("200 {id}");
    assert_eq!(cloud.guest("", &format!("GET /guest/{id}/latest/meta-data/instance-id"), &[], "").await, named);
    assert_eq!(cloud.guest("", &format!("GET /guest/{id}/aws/latest/meta-data/instance-id"), &[], "").await, named);
    let zone = cloud.guest("", &format!("GET /guest/{id}/tencent/latest/meta-data/placement/zone"), &[], "").await;
    assert_eq!(zone, "200 cn-beijing-a");
    let region = cloud.guest("", &format!("GET /guest/{id}/alibaba/latest/meta-data/region-id"), &[], "").await;
    assert_eq!(region, "200 cn-beijing");

    let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", "60")];
    let token = cloud.guest(&id, "PUT /latest/api/token", &ttl, "").await;
    let token = token.strip_prefix("200 ").unwrap();
    let read = async |id: &str| {
        cloud.guest(id, "GET /latest/meta-data/instance-id", &[("x-aws-ec2-metadata-token", token)], "").await
    };
    assert_eq!(read(&id).await, named);
    let other = cloud.buy("enterprise", block(1)).await;
    assert_eq!(read(&other).await.get(..3), Some("401"), "another guest's token");
    cloud.wait(60).await;
    assert_eq!(read(&id).await.get(..3), Some("401"), "it lives by the sandbox's clock");

    // In the words of each cloud, also where they mean a bad request.
    assert!(cloud.guest(&id, &format!("GET {AZURE}"), &[], "").await.starts_with(r#"400 {"error""#));
    let forwarded = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(cloud.guest(&id, "GET /latest/meta-data/", &forwarded, "").await.get(..3), Some("403"));
    for (nobody, code) in [("i-019cac227e1070008000000000000000", "not-found"), ("nobody", "no-route")] {
        let said = cloud.guest("", &format!("GET /guest/{nobody}/latest/meta-data/"), &[], "").await;
        assert!(said.starts_with("404 {") && said.contains(code), "{said}");
    }
    cloud.nothing_broke().await;
}

#[tokio::test]
async fn a_service_answers_for_no_guest() {
    let directory = Directory::new();
    let config = ServeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        store: Place::Memory,
        catalog: sample_catalog(),
        hosts: vec![],
        restored: false,
        operator_secret: None,
        deliveries: DeliveryConfig { keys: Some("k".repeat(64)), ..DeliveryConfig::default() },
        identity: directory.identity(),
    };
    let serving = serve(config).await.unwrap();
    let address = serving.address;
    let running = tokio::spawn(serving.run(std::future::pending()));
    let id = "i-019cac227e1070008000000000000000";
    for path in [format!("/guest/{id}/latest/meta-data/"), "/latest/meta-data/".to_owned()] {
        let asked = reqwest::Client::new().get(format!("http://{address}{path}")).header("X-Ebb-Instance", id);
        let problem: Value = asked.send().await.unwrap().json().await.unwrap();
        assert_eq!(problem["code"], "no-route", "{path}");
    }
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_change_holds_up_nobody() {
    let cloud = Cloud::new(On::Sqlite).await;
    let id = cloud.buy("enterprise", block(3)).await;
    let google = [("metadata-flavor", "Google")];
    let path = format!("GET {GOOGLE}?wait_for_change=true");
    let waiting = {
        let (cloud, id, path) = (cloud.clone(), id.clone(), path.clone());
        tokio::spawn(async move { cloud.guest(&id, &path, &google, "").await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    cloud.wait(60).await;
    assert!(!waiting.is_finished());
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    assert_eq!(waiting.await.unwrap(), "200 TRUE");

    // By the clock of whoever waits, though the sandbox's stands still.
    let began = Instant::now();
    assert_eq!(cloud.guest(&id, &format!("{path}&timeout_sec=1"), &google, "").await, "200 TRUE");
    assert!((900..5_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    cloud.nothing_broke().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_init_finds_what_it_looks_for() {
    let cloud = Cloud::new(On::Sqlite).await;
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqwYkZgYv1Vv7iHk0xWk3kXW0m3oZfYt0yCk2v8Q5rN me";
    cloud.post("enterprise", "/v1/key-pairs", json!({ "name": "laptop", "public_key": key })).await;
    let script = "#!/bin/sh\necho hello\n";
    let mut what = block(1);
    what["name"] = json!("Web 1");
    what["key_pair"] = json!("laptop");
    what["user_data"] = json!(script);
    let id = cloud.buy("enterprise", what).await;

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let code = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cloud-init");
    let base = format!("{}/guest/{id}", cloud.endpoint);
    let read = tokio::task::spawn_blocking(move || {
        let unpacked = std::process::Command::new(root.join("scripts/cloud-init")).arg(&code).status();
        assert!(unpacked.unwrap().success());
        // Debian's own Python: its packages know no other.
        std::process::Command::new("/usr/bin/python3")
            .arg(root.join("tests/cloud_init.py"))
            .arg(base)
            .env("PYTHONPATH", code.join("usr/lib/python3/dist-packages"))
            .output()
            .unwrap()
    });
    let output = read.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    for form in ["openstack", "ec2", "google"] {
        assert_eq!(found[form]["hostname"], "web-1", "{found}");
        assert_eq!(found[form]["user-data"], script);
    }
    let uuid = found["openstack"]["instance-id"].as_str().unwrap();
    assert_eq!(format!("i-{}", uuid.replace('-', "")), id);
    assert_eq!(found["openstack"]["keys"], json!({ "laptop": key }));
    let ec2 = json!({
        "instance-id": id, "hostname": "web-1", "keys": [key], "user-data": script, "zone": "cn-beijing-a",
        "region": "cn-beijing", "token": true,
    });
    assert_eq!(found["ec2"], ec2);
    assert_eq!(
        (&found["google"]["zone"], &found["google"]["keys"]),
        (&json!("cn-beijing-a"), &json!([format!("root:{key}")]))
    );
    cloud.agrees().await;
}
