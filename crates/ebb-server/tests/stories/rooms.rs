//! Is the room that each host's rows have what its instances use and were promised?

use crate::cloud::Cloud;
use serde_json::Value;
use std::collections::BTreeMap;

/// The one host of the first zone.
pub const HOST: &str = "cn-beijing-a-1";

/// Adds up what each instance has by its state, and compares.
pub async fn nothing_is_off(cloud: &Cloud) {
    for host in cloud.get("operator", "/v1/hosts").await["items"].as_array().unwrap() {
        let shown = cloud.get("operator", &format!("/v1/hosts/{}", host["name"].as_str().unwrap())).await;
        let mut sums: BTreeMap<(String, &str), i64> = BTreeMap::new();
        for there in shown["instances"].as_array().unwrap() {
            let one = cloud.instance("operator", there["instance"].as_str().unwrap()).await;
            for (kind, amount) in one["resources"].as_object().unwrap() {
                let mut add = |part| *sums.entry((kind.clone(), part)).or_default() += amount.as_i64().unwrap();
                match place(&one, kind) {
                    Some(part) => add(part),
                    None => continue,
                }
                if one["state"] == "reclaiming" {
                    add("releasing");
                }
            }
        }
        for (kind, room) in shown["host"]["room"].as_object().unwrap() {
            for part in ["used", "claimed", "releasing"] {
                let sum = sums.get(&(kind.clone(), part)).copied().unwrap_or(0);
                assert_eq!(room[part], sum, "{kind} {part} of {shown}");
            }
        }
    }
}

/// Where an instance's share of a kind stands: its disk is its own from its first second on, the rest while it is not put away.
fn place(one: &Value, kind: &str) -> Option<&'static str> {
    let has_disk = kind == "disk_gib" && one["started_at"].is_string();
    match (one["state"].as_str().unwrap(), one["economical"] == true) {
        ("pending", _) if !has_disk => Some("claimed"),
        ("stopped" | "lost", true) if !has_disk => None,
        _ => Some("used"),
    }
}
