//! Stopped economically: what is charged, what is given back, and who makes room for the start.

use crate::cloud::{Cloud, On, block, order};
use crate::rooms::{HOST, nothing_is_off};
use serde_json::{Value, json};

pub fn firm(flavor: &str) -> Value {
    json!({"option": "on-demand", "flavor": flavor})
}

/// A story on both databases, in a zone with one host of so many vCPU. Guests do not feel their power button: they are off a minute
/// after they were asked.
#[macro_export]
macro_rules! room_story {
    ($name:ident, $vcpu:expr, $body:expr) => {
        room_story!($name, $vcpu, |_| {}, $body);
    };
    ($name:ident, $vcpu:expr, $catalog:expr, $body:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for on in [On::Sqlite, On::Postgres] {
                let cloud = Cloud::of_hosts(on, &[$vcpu], $catalog).await;
                let body = $body;
                body(cloud.clone()).await;
                nothing_is_off(&cloud).await;
                cloud.nothing_broke().await;
            }
        }
    };
}

/// Stops it economically, and waits until it is off.
pub async fn put_away(cloud: &Cloud, who: &str, id: &str) {
    let asked = cloud.post(who, &format!("/v1/instances/{id}/stop"), json!({"economical": true})).await;
    if asked["state"] == "stopping" {
        cloud.wait(60).await;
    }
    let off = cloud.instance(who, id).await;
    assert_eq!((&off["state"], &off["economical"]), (&json!("stopped"), &json!(true)), "{off}");
}

pub async fn start(cloud: &Cloud, who: &str, id: &str) -> String {
    let started = cloud.post(who, &format!("/v1/instances/{id}/start"), json!(null)).await;
    started["state"].as_str().unwrap().to_owned()
}

pub async fn refused(cloud: &Cloud, who: &str, id: &str, verb: &str, body: Value) -> (u16, String) {
    cloud.refused(who, &format!("/v1/instances/{id}/{verb}"), body).await
}

fn economical() -> Value {
    json!({"economical": true})
}

fn no(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

room_story!(only_the_disk_is_charged_from_the_second_in_which_it_is_off, 4, |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm("c6.large.2")).await;
    cloud.until("09:10:00").await;
    let asked = cloud.post("individual", &format!("/v1/instances/{id}/stop"), economical()).await;
    assert_eq!((&asked["state"], &asked["economical"]), (&json!("stopping"), &json!(true)));
    cloud.until("09:10:59").await;
    assert_eq!(cloud.state("individual", &id).await, "stopping");
    cloud.until("09:11:00").await;
    let room = cloud.get("operator", &format!("/v1/hosts/{HOST}")).await["host"]["room"].clone();
    assert_eq!(
        (&room["vcpu"]["used"], &room["memory_mib"]["used"], &room["disk_gib"]["used"]),
        (&json!(0), &json!(0), &json!(40))
    );
    // Asked again it stays as it is, also when it is asked as usual.
    for body in [economical(), json!(null)] {
        let again = cloud.post("individual", &format!("/v1/instances/{id}/stop"), body).await;
        assert_eq!((&again["state"], &again["economical"]), (&json!("stopped"), &json!(true)));
    }
    // All the room is somebody else's meanwhile.
    let other = cloud.buy("enterprise", firm("c6.xlarge.2")).await;
    cloud.until("09:20:00").await;
    cloud.delete("enterprise", &other).await;

    cloud.until("09:30:00").await;
    assert_eq!(start(&cloud, "individual", &id).await, "starting");
    cloud.until("11:00:00").await;
    // 0.39 × 90/3600, × 660/3600, × 1800/3600, and a whole hour.
    assert_eq!(
        cloud.records("individual", &id, "compute").await,
        [
            "08:58:30-09:00:00 90 0.39 0.00975000",
            "09:00:00-09:11:00 660 0.39 0.07150000",
            "09:30:00-10:00:00 1800 0.39 0.19500000",
            "10:00:00-11:00:00 3600 0.39 0.39000000"
        ]
    );
    assert_eq!(
        cloud.records("individual", &id, "system-disk").await,
        [
            "08:58:30-09:00:00 90 0.02 0.00050000",
            "09:00:00-10:00:00 3600 0.02 0.02000000",
            "10:00:00-11:00:00 3600 0.02 0.02000000"
        ]
    );
    let events = cloud.get("individual", "/v1/events").await;
    let told = events["items"].as_array().unwrap().iter().map(|event| &event["body"]);
    let told: Vec<&Value> =
        told.filter(|body| body["event"] != "hour-closed").skip_while(|b| b["event"] != "running").collect();
    assert_eq!(told[1], &json!({"event": "economical-stop-asked"}));
    assert_eq!(told[2], &json!({"event": "stopped", "at": "2026-03-02T01:11:00Z", "economical": true}));
    assert_eq!(told[3], &json!({"event": "firm-start-asked", "waits": false, "took_room": false}));
    assert_eq!(told[4], &json!({"event": "running", "at": "2026-03-02T01:30:00Z", "first": false}));
});

room_story!(what_is_stopped_already_gives_its_room_back_at_once, 4, |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm("c6.large.2")).await;
    cloud.until("09:10:00").await;
    cloud.post("individual", &format!("/v1/instances/{id}/stop"), json!(null)).await;
    cloud.until("09:20:00").await;
    let stopped = cloud.instance("individual", &id).await;
    assert_eq!((&stopped["state"], &stopped["economical"]), (&json!("stopped"), &Value::Null));
    put_away(&cloud, "individual", &id).await;
    cloud.until("10:00:00").await;
    assert_eq!(
        cloud.records("individual", &id, "compute").await,
        ["08:58:30-09:00:00 90 0.39 0.00975000", "09:00:00-09:20:00 1200 0.39 0.13000000"]
    );
    // Nothing but its disk, until it is deleted.
    cloud.until("10:30:00").await;
    cloud.delete("individual", &id).await;
    cloud.until("12:00:00").await;
    assert_eq!(cloud.records("individual", &id, "compute").await.len(), 2);
    let disk = cloud.records("individual", &id, "system-disk").await;
    assert_eq!(disk.last().unwrap(), "10:00:00-10:30:00 1800 0.02 0.01000000");
});

room_story!(a_start_takes_the_room_of_blocks_and_keeps_it_a_while, 4, |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm("c6.large.2")).await;
    cloud.until("08:59:00").await;
    put_away(&cloud, "individual", &id).await;
    let old = cloud.buy("enterprise", block(3)).await;
    cloud.until("09:01:00").await;
    let young = cloud.buy("enterprise", block(3)).await;
    cloud.until("09:02:00").await;
    assert_eq!(start(&cloud, "individual", &id).await, "pending");
    nothing_is_off(&cloud).await;
    assert_eq!(cloud.state("enterprise", &old).await, "running");
    let notice = cloud.instance("enterprise", &young).await["interruption"].clone();
    assert_eq!((&notice["cause"], &notice["deadline"]), (&json!("capacity"), &json!("2026-03-02T01:07:00Z")));
    let why = cloud.get("operator", &format!("/v1/instances/{id}/decisions")).await;
    assert_eq!(why["items"][0]["hosts"][0]["victims"], json!([young]));
    // It caused a notice, so it cannot be withdrawn; asked to start again it waits on.
    assert_eq!(cloud.delete("individual", &id).await.1["code"], "order-caused-notice");
    assert_eq!(refused(&cloud, "individual", &id, "stop", economical()).await, no(409, "order-caused-notice"));
    assert_eq!(start(&cloud, "individual", &id).await, "pending");

    cloud.until("09:06:59").await;
    assert_eq!(cloud.state("individual", &id).await, "pending");
    cloud.until("09:07:00").await;
    assert_eq!(
        (cloud.state("enterprise", &young).await, cloud.state("individual", &id).await),
        ("released".into(), "running".into())
    );
    cloud.until("09:08:00").await;
    assert_eq!(refused(&cloud, "individual", &id, "stop", economical()).await, no(409, "room-was-taken"));
    cloud.delete("individual", &id).await;
    // Ten minutes at least, for those who went.
    assert_eq!(cloud.instance("individual", &id).await["ended_at"], "2026-03-02T01:17:00Z");
    cloud.until("10:00:00").await;
    assert_eq!(
        cloud.records("individual", &id, "compute").await,
        ["08:58:30-09:00:00 90 0.39 0.00975000", "09:07:00-09:17:00 600 0.39 0.06500000"]
    );
    assert_eq!(cloud.records("enterprise", &young, "compute").await, ["09:01:00-09:07:00 360 0.07 0.00000000"]);
});

room_story!(
    a_start_counts_as_a_taking_and_ones_own_block_is_ones_own_order,
    4,
    |catalog| catalog.limits.takings_per_hour = 1,
    |cloud: Cloud| async move {
        let (first, second) =
            (cloud.buy("enterprise", firm("c6.large.2")).await, cloud.buy("enterprise", firm("c6.large.2")).await);
        put_away(&cloud, "enterprise", &first).await;
        put_away(&cloud, "enterprise", &second).await;
        let (old, young) = (cloud.buy("enterprise", block(3)).await, cloud.buy("enterprise", block(3)).await);
        cloud.wait(60).await;
        assert_eq!(start(&cloud, "enterprise", &first).await, "pending");
        assert_eq!(cloud.instance("enterprise", &young).await["interruption"]["cause"], "own-order");
        assert_eq!(refused(&cloud, "enterprise", &second, "start", json!(null)).await, no(429, "too-many-takings"));
        assert_eq!(cloud.state("enterprise", &second).await, "stopped");
        assert_eq!(cloud.state("enterprise", &old).await, "running");
        cloud.wait(3_600).await;
        assert_eq!(start(&cloud, "enterprise", &second).await, "pending");
    }
);

room_story!(a_start_without_room_is_refused_and_changes_nothing, 4, |cloud: Cloud| async move {
    cloud.post("individual", "/v1/trial", json!(null)).await;
    let trial = cloud.buy("individual", json!({"option": "trial", "flavor": "c6.large.2"})).await;
    let id = cloud.buy("enterprise", firm("c6.large.2")).await;
    put_away(&cloud, "individual", &trial).await;
    put_away(&cloud, "enterprise", &id).await;
    let large = cloud.buy("individual", firm("c6.xlarge.2")).await;
    let before = cloud.get("enterprise", "/v1/events").await;
    assert_eq!(refused(&cloud, "enterprise", &id, "start", json!(null)).await, no(409, "no-capacity"));
    assert_eq!(cloud.get("enterprise", "/v1/events").await, before);
    // Blocks would make room, but not for a trial.
    cloud.delete("individual", &large).await;
    let blocks = [cloud.buy("enterprise", block(3)).await, cloud.buy("enterprise", block(3)).await];
    assert_eq!(refused(&cloud, "individual", &trial, "start", json!(null)).await, no(409, "no-capacity"));
    for one in blocks {
        assert_eq!(cloud.state("enterprise", &one).await, "running");
    }
    // Of a trial that is off only the disk takes of the grant: 0.02 an hour.
    cloud.until("10:00:00").await;
    let before = cloud.get("individual", "/v1/trial").await["settled"].as_str().unwrap().parse::<f64>().unwrap();
    cloud.until("11:00:00").await;
    let after = cloud.get("individual", "/v1/trial").await["settled"].as_str().unwrap().parse::<f64>().unwrap();
    assert_eq!(format!("{:.8}", after - before), "0.02000000");
});

room_story!(
    a_trial_takes_room_where_the_catalog_says_so,
    2,
    |catalog| catalog.limits.trial_takes_room = true,
    |cloud: Cloud| async move {
        cloud.post("individual", "/v1/trial", json!(null)).await;
        let trial = cloud.buy("individual", json!({"option": "trial", "flavor": "c6.large.2"})).await;
        put_away(&cloud, "individual", &trial).await;
        cloud.buy("enterprise", block(3)).await;
        assert_eq!(start(&cloud, "individual", &trial).await, "pending");
        cloud.wait(300).await;
        assert_eq!(cloud.state("individual", &trial).await, "running");
    }
);

room_story!(a_start_that_took_nobody_may_be_withdrawn, 4, |cloud: Cloud| async move {
    let (one, other) =
        (cloud.buy("individual", firm("c6.large.2")).await, cloud.buy("individual", firm("c6.large.2")).await);
    put_away(&cloud, "individual", &one).await;
    put_away(&cloud, "individual", &other).await;
    let big = json!({"option": "spot-block", "flavor": "c6.xlarge.1", "hours": 1});
    cloud.buy("enterprise", big).await;
    cloud.wait(3_400).await;
    // The block ends by itself before a notice would.
    for id in [&one, &other] {
        assert_eq!(start(&cloud, "individual", id).await, "pending");
    }
    nothing_is_off(&cloud).await;
    put_away(&cloud, "individual", &one).await;
    cloud.delete("individual", &other).await;
    nothing_is_off(&cloud).await;
    cloud.wait(300).await;
    assert_eq!(cloud.state("individual", &one).await, "stopped");
    assert_eq!(cloud.instance("individual", &other).await["end_cause"], "deleted");
    // 08:58:30 to the second in which each was off, and nothing since.
    cloud.until("12:00:00").await;
    assert_eq!(cloud.records("individual", &one, "compute").await.len(), 1);
});

room_story!(a_wait_that_fails_leaves_it_as_it_was, 2, |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm("c6.large.2")).await;
    put_away(&cloud, "individual", &id).await;
    cloud.buy("enterprise", block(3)).await;
    cloud.wait(60).await;
    assert_eq!(start(&cloud, "individual", &id).await, "pending");
    // Nobody hears that the block is gone.
    cloud.post("operator", &format!("/v1/hosts/{HOST}/unplug"), json!(null)).await;
    cloud.wait(300 + 900).await;
    assert_eq!(cloud.state("individual", &id).await, "pending", "perhaps its room is free, and the word of it late");
    cloud.wait(65).await;
    let back = cloud.instance("individual", &id).await;
    assert_eq!((&back["state"], &back["economical"]), (&json!("stopped"), &json!(true)));
    cloud.post("operator", &format!("/v1/hosts/{HOST}/plug"), json!(null)).await;
    nothing_is_off(&cloud).await;
    cloud.until("10:00:00").await;
    assert_eq!(start(&cloud, "individual", &id).await, "starting");
    cloud.until("11:00:00").await;
    // It was off at 08:59:30.
    assert_eq!(
        cloud.records("individual", &id, "compute").await,
        ["08:58:30-08:59:30 60 0.39 0.00650000", "10:00:00-11:00:00 3600 0.39 0.39000000"]
    );
    let disk = cloud.records("individual", &id, "system-disk").await;
    assert_eq!(disk[1], "09:00:00-10:00:00 3600 0.02 0.02000000");
});

room_story!(a_host_that_takes_nothing_firm_starts_nothing, 4, |cloud: Cloud| async move {
    let (id, usual) =
        (cloud.buy("individual", firm("c6.large.2")).await, cloud.buy("individual", firm("c6.large.2")).await);
    put_away(&cloud, "individual", &id).await;
    cloud.post("individual", &format!("/v1/instances/{usual}/stop"), json!(null)).await;
    cloud.wait(60).await;
    let tell = |verb: &'static str, body: Value| {
        let cloud = cloud.clone();
        async move { cloud.post("operator", &format!("/v1/hosts/{HOST}/{verb}"), body).await }
    };
    let path = format!("/v1/instances/{id}/start");
    for (verb, body, is) in [
        ("drain", json!(null), "drained"),
        ("drain", json!({"at": "2026-03-02T08:00:00Z"}), "drained from 2026-03-02T08:00:00Z"),
        ("take-back", json!({"at": "2026-03-02T08:00:00Z"}), "lent until 2026-03-02T08:00:00Z"),
        ("take-back", json!(null), "with its owner"),
    ] {
        tell(verb, body).await;
        cloud.wait(300).await;
        let (status, problem) = cloud.ask("individual", reqwest::Method::POST, &path, None).await;
        assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("host-of-disk-closed")), "{problem}");
        assert!(problem["message"].as_str().unwrap().contains(&format!("a host that is {is} and gives")), "{problem}");
        tell("resume", json!(null)).await;
    }
    tell("unplug", json!(null)).await;
    let (_, problem) = cloud.ask("individual", reqwest::Method::POST, &path, None).await;
    assert!(problem["message"].as_str().unwrap().contains("a host that is away and gives"), "{problem}");
    tell("plug", json!(null)).await;
    // Who kept his room starts in it, drained or not; he gets no more.
    tell("drain", json!(null)).await;
    let larger = json!({"flavor": "c6.xlarge.2"});
    assert_eq!(refused(&cloud, "individual", &usual, "resize", larger).await, no(409, "host-of-disk-closed"));
    assert_eq!(start(&cloud, "individual", &usual).await, "starting");
    tell("resume", json!(null)).await;
    assert_eq!(start(&cloud, "individual", &id).await, "starting");
});

room_story!(a_start_that_waits_keeps_its_promise_on_a_drained_host, 2, |cloud: Cloud| async move {
    let id = cloud.buy("individual", firm("c6.large.2")).await;
    put_away(&cloud, "individual", &id).await;
    cloud.buy("enterprise", block(3)).await;
    cloud.wait(60).await;
    assert_eq!(start(&cloud, "individual", &id).await, "pending");
    cloud.post("operator", &format!("/v1/hosts/{HOST}/drain"), json!(null)).await;
    assert_eq!(cloud.state("individual", &id).await, "pending");
    cloud.wait(300).await;
    assert_eq!(cloud.state("individual", &id).await, "running");
});

room_story!(a_lost_host_keeps_the_disk_and_gives_it_back, 4, |cloud: Cloud| async move {
    let (off, waiting) =
        (cloud.buy("individual", firm("c6.large.2")).await, cloud.buy("individual", firm("c6.large.2")).await);
    put_away(&cloud, "individual", &off).await;
    put_away(&cloud, "individual", &waiting).await;
    cloud.buy("enterprise", json!({"option": "spot-block", "flavor": "c6.xlarge.1", "hours": 3})).await;
    cloud.until("09:10:00").await;
    assert_eq!(start(&cloud, "individual", &waiting).await, "pending");
    cloud.post("operator", &format!("/v1/hosts/{HOST}/unplug"), json!(null)).await;
    cloud.until("09:20:00").await;
    cloud.post("operator", &format!("/v1/hosts/{HOST}/lost"), json!({"fenced": true})).await;
    for id in [&off, &waiting] {
        let lost = cloud.instance("individual", id).await;
        assert_eq!((&lost["state"], &lost["economical"]), (&json!("lost"), &json!(true)));
        assert_eq!(refused(&cloud, "individual", id, "start", json!(null)).await, no(409, "wrong-state"));
    }
    nothing_is_off(&cloud).await;
    cloud.until("09:40:00").await;
    cloud.post("operator", &format!("/v1/hosts/{HOST}/plug"), json!(null)).await;
    for id in [&off, &waiting] {
        let back = cloud.instance("individual", id).await;
        assert_eq!((&back["state"], &back["economical"]), (&json!("stopped"), &json!(true)));
    }
    assert_eq!(start(&cloud, "individual", &waiting).await, "starting");
    cloud.until("10:00:00").await;
    // A disk that nobody can reach is not charged.
    let disk = cloud.records("individual", &off, "system-disk").await;
    assert_eq!(disk[1..], ["09:00:00-09:10:00 600 0.02 0.00333333", "09:40:00-10:00:00 1200 0.02 0.00666667"]);
    assert_eq!(cloud.records("individual", &off, "compute").await.len(), 1);
    let compute = cloud.records("individual", &waiting, "compute").await;
    assert_eq!(compute[2..], ["09:40:00-10:00:00 1200 0.39 0.13000000"], "{compute:?}");
});

room_story!(a_block_is_never_stopped_economically, 4, |cloud: Cloud| async move {
    let id = cloud.buy("enterprise", block(3)).await;
    assert_eq!(refused(&cloud, "enterprise", &id, "stop", economical()).await, no(409, "spot-no-economical-stop"));
    cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
    assert_eq!(refused(&cloud, "enterprise", &id, "stop", economical()).await, no(409, "spot-no-economical-stop"));
    assert_eq!(refused(&cloud, "enterprise", &id, "stop", json!({"economicly": true})).await, no(400, "bad-input"));
    cloud.buy("individual", firm("c6.xlarge.2")).await;
    let waits = cloud.get("individual", "/v1/instances").await["items"][0].clone();
    assert_eq!(waits["state"], "pending");
    let id = waits["id"].as_str().unwrap();
    assert_eq!(refused(&cloud, "individual", id, "stop", economical()).await, no(409, "wrong-state"));
    let operations = cloud.get("individual", &format!("/v1/instances/{id}/operations")).await;
    let told = |name: &str| {
        let all = operations["items"].as_array().unwrap().iter();
        all.clone().find(|one| one["operation"] == name).unwrap()["code"].clone()
    };
    assert_eq!((told("economical-stop"), told("resize")), (json!(""), json!("not-stopped")));
    assert_eq!(
        refused(&cloud, "individual", id, "operations/economical-stop", json!(null)).await,
        no(400, "bad-input")
    );
    assert_eq!(cloud.refused("enterprise", "/v1/instances", order(block(1))).await.1, "no-capacity");
});

/// The service stops and begins again while one waits for room and another is off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_outlives_the_service() {
    let dir = std::env::temp_dir().join(format!("ebb-economical-{}", std::process::id()));
    let (cloud, ended) = Cloud::kept_in(&dir, 4).await;
    let (off, waiting) =
        (cloud.buy("individual", firm("c6.large.2")).await, cloud.buy("individual", firm("c6.large.2")).await);
    put_away(&cloud, "individual", &off).await;
    put_away(&cloud, "individual", &waiting).await;
    cloud.buy("enterprise", block(3)).await;
    cloud.buy("enterprise", block(3)).await;
    cloud.until("09:10:00").await;
    assert_eq!(start(&cloud, "individual", &waiting).await, "pending");
    drop(cloud);
    ended.await.unwrap();

    let (cloud, _ended) = Cloud::kept_in(&dir, 4).await;
    assert_eq!(cloud.state("individual", &waiting).await, "pending");
    nothing_is_off(&cloud).await;
    cloud.until("09:15:00").await;
    assert_eq!(cloud.state("individual", &waiting).await, "running");
    assert_eq!(cloud.state("individual", &off).await, "stopped");
    nothing_is_off(&cloud).await;
    cloud.until("10:00:00").await;
    let compute = cloud.records("individual", &waiting, "compute").await;
    assert_eq!(compute.last().unwrap(), "09:15:00-10:00:00 2700 0.39 0.29250000");
    cloud.nothing_broke().await;
    std::fs::remove_dir_all(dir).unwrap();
}
