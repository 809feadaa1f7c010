//! Is the API that is described the API that is served?

use crate::cloud::{Cloud, On};
use std::path::Path;

/// To take a change over: `EBB_ACCEPT=1 cargo test -p ebb-server openapi`
#[test]
fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/ebb.json");
    let served = ebb_server::openapi_json();
    if std::env::var_os("EBB_ACCEPT").is_some() {
        std::fs::write(&file, &served).unwrap();
    }
    let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(served == checked_in, "openapi/ebb.json is old: run `EBB_ACCEPT=1 cargo test -p ebb-server openapi`");
    assert!(served.contains("\"openapi\": \"3.1.0\""));
}

#[tokio::test]
async fn every_path_of_the_document_answers() {
    let cloud = Cloud::new(On::Sqlite).await;
    let api: serde_json::Value = serde_json::from_str(&ebb_server::openapi_json()).unwrap();
    let paths = api["paths"].as_object().unwrap();
    assert!(paths.len() >= 20);
    let operations = paths.values().flat_map(|methods| methods.as_object().unwrap().values());
    let ids: Vec<&str> = operations.filter_map(|operation| operation["operationId"].as_str()).collect();
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len(), "two operations share an id");
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "parameters") {
            let path = path.replace("{id}", "x").replace("{key}", "x").replace("{name}", "x").replace("{zone}", "x");
            let method = method.to_uppercase().parse().unwrap();
            let (status, answer) = cloud.ask("operator", method, &path, None).await;
            assert_ne!(answer["code"], "no-route", "{path}");
            assert!(status.as_u16() < 500, "{path}: {answer}");
        }
    }
    let client = reqwest::Client::new();
    for path in ["/healthz", "/metrics", "/openapi.json", "/docs"] {
        let answer = client.get(format!("{}{path}", cloud.endpoint)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
}
