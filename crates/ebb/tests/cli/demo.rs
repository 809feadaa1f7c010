//! Does the demo play the six tables to the digit, and does every bill of random lives follow from its log?

use crate::sandbox::EBB;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Seconds, and charges in 10⁻⁸, of the document's six tables, line by line.
const TABLES: [&[(i64, &str)]; 6] = [
    &[(90, "0.00175000"), (3600, "0.07000000"), (3600, "0.07000000"), (3510, "0.06825000")],
    &[(90, "0.00175000"), (3600, "0.07000000"), (1710, "0.03325000")],
    &[(90, "0.00000000"), (3600, "0.00000000"), (1710, "0.00000000")],
    &[
        (90, "0.00300000"),
        (3600, "0.12000000"),
        (3600, "0.12000000"),
        (3600, "0.12000000"),
        (3600, "0.12000000"),
        (3600, "0.12000000"),
        (3510, "0.11700000"),
    ],
    &[
        (90, "0.00300000"),
        (3600, "0.12000000"),
        (3600, "0.12000000"),
        (3600, "0.12000000"),
        (3600, "0.12000000"),
        (1710, "0.05700000"),
    ],
    &[
        (90, "0.00000000"),
        (3600, "0.00000000"),
        (3600, "0.00000000"),
        (3600, "0.00000000"),
        (3600, "0.00000000"),
        (1710, "0.00000000"),
    ],
];

#[test]
fn the_six_tables_agree_with_the_document() {
    let output = Command::new(EBB).args(["demo", "--driver", "fake", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tables: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(tables.len(), 6);
    for (at, (table, wanted)) in tables.iter().zip(TABLES).enumerate() {
        assert_eq!(table["table"], at + 1);
        let records = table["records"].as_array().unwrap();
        let said: Vec<(i64, &str)> =
            records.iter().map(|r| (r["seconds"].as_i64().unwrap(), r["amount"].as_str().unwrap())).collect();
        assert_eq!(said, wanted, "table {}", at + 1);
        let price = if at < 3 { "0.07" } else { "0.12" };
        assert!(records.iter().all(|record| record["price"] == price), "{table}");
        assert!(records[0]["since"].as_str().unwrap().ends_with("T08:58:30+08:00"), "{table}");
        assert!(records.windows(2).all(|pair| pair[0]["until"] == pair[1]["since"]), "{table}");
    }
}

#[test]
fn every_bill_of_random_lives_follows_from_its_log() {
    let dump = std::env::temp_dir().join(format!("ebb-lives-{}.json", std::process::id()));
    play("50", "1", &dump);
    assert!(oracle(&[dump.to_str().unwrap()]).contains("follow from"));
    // What must have happened to somebody in one of these: whose log has most of it is falsified below.
    let wanted = [
        "\"trial-overruled\"",
        "\"trial-revoked\"",
        "\"host-lost\"",
        "\"event\":\"firm-start-asked\",\"took_room\":true",
        "\"economical\":true",
        "\"resized\"",
        "\"reason\":\"drill\"",
        "\"waived_until\"",
        "\"trial-low\"",
        "\"trial-end\"",
        "\"charged_until\"",
        "\"event\":\"converted\",\"from\":\"trial\"",
        "\"event\":\"converted\",\"from\":\"on-demand\"",
        "\"renewed\"",
        "\"event\":\"subscription-ends-soon\"",
        "\"subscription-end\"",
        "\"traffic-low\"",
        "\"address-kept\"",
        "\"address-bound\"",
        "\"address-unbound\"",
        "\"meter\":\"bandwidth\"",
        "\"cap-soon\"",
        "\"cap-reached\"",
        "\"spending-cap\"",
        "\"event\":\"adjusted\"",
        "\"vouchers\":[{\"voucher\"",
        "\"gone\":\"expired\"",
        "\"voucher-revoked\"",
        "\"voucher-expired\"",
        "\"voucher-used-up\"",
        "\"freeze-soon\"",
        "\"account-frozen\"",
        "\"by\":\"grace\"",
        "\"by\":\"debt-limit\"",
        "\"release-soon\"",
        "\"thawed\"",
        "\"arrears-released\"",
        "\"cause\":\"arrears\"",
        "\"subscription-began\"",
        "\"auto\":true",
        "\"budget-reached\"",
        "\"budget-expected\"",
        "\"bought_with\":true",
        "\"volume-resized\"",
        "\"volume-unavailable\"",
        "\"volume-available\"",
        "\"disk-detach-asked\"",
        "\"of\":\"snapshot\"",
        "\"of\":\"disk\"",
    ];
    let (mut missing, mut richest) = (wanted.to_vec(), (0, ""));
    for seed in ["14", "16", "21", "22"] {
        play("30", seed, &dump);
        assert!(oracle(&[dump.to_str().unwrap()]).contains("follow from"));
        let told = std::fs::read_to_string(&dump).unwrap();
        missing.retain(|one| !told.contains(one));
        richest = richest.max((wanted.iter().filter(|one| told.contains(**one)).count(), seed));
    }
    assert!(missing.is_empty(), "nobody's life has {missing:?}: take other seeds");
    play("30", richest.1, &dump);
    let said = oracle(&["--self-test", dump.to_str().unwrap()]);
    assert!(said.contains("falsifications of") && said.contains("were found"), "{said}");
    std::fs::remove_file(dump).unwrap();
}

fn play(lives: &str, seed: &str, dump: &PathBuf) {
    let mut command = Command::new(EBB);
    let output = command.args(["demo", "--lives", lives, "--seed", seed, "--dump"]).arg(dump).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.lines().last().is_some_and(|line| line.starts_with("All agree: ")), "{said}");
}

fn oracle(args: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/bill_oracle.py");
    let output = Command::new("python3").arg(script).args(args).output().expect("python3 is there");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}
