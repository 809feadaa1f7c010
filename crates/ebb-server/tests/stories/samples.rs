//! The six bill samples of the spot-block document, to the digit.

use crate::cloud::{Cloud, block};
use crate::story;
use serde_json::json;

/// How a sample ends, and when.
enum Ends<'a> {
    Naturally,
    Deleted(&'a str),
    /// Notice five minutes before the release.
    TakenBack {
        notice: &'a str,
        release: &'a str,
    },
}

async fn sample(cloud: Cloud, hours: i64, ends: Ends<'_>) -> Vec<String> {
    let id = cloud.buy("enterprise", block(hours)).await;
    assert_eq!(cloud.state("enterprise", &id).await, "running");
    match ends {
        Ends::Naturally => {
            cloud.wait(hours * 3_600).await;
        }
        Ends::Deleted(at) => {
            cloud.until(at).await;
            cloud.delete("enterprise", &id).await;
        }
        Ends::TakenBack { notice, release } => {
            cloud.until(notice).await;
            cloud.post("operator", &format!("/v1/instances/{id}/reclaim"), json!(null)).await;
            assert_eq!(cloud.state("enterprise", &id).await, "reclaiming");
            assert_eq!(cloud.records("enterprise", &id, "compute").await, Vec::<String>::new());
            cloud.until(release).await;
        }
    }
    assert_eq!(cloud.state("enterprise", &id).await, "released");
    cloud.records("enterprise", &id, "compute").await
}

/// `seconds/3600 × price`, with 8 decimals half up, computed here by other means than the product's.
fn lines(price_micros: i64, periods: &[(&str, &str, i64)], free: bool) -> Vec<String> {
    let shown = |seconds: i64| {
        let exact = if free { 0 } else { seconds * price_micros };
        let amount = (2 * exact + 36) / 72;
        format!("{}.{:08}", amount / 100_000_000, amount % 100_000_000)
    };
    let price = format!("0.{:02}", price_micros / 10_000);
    periods.iter().map(|(a, b, seconds)| format!("{a}-{b} {seconds} {price} {}", shown(*seconds))).collect()
}

const FIRST: (&str, &str, i64) = ("08:58:30", "09:00:00", 90);

story!(table_1, |cloud: Cloud| async move {
    let hours = [("09:00:00", "10:00:00", 3_600), ("10:00:00", "11:00:00", 3_600), ("11:00:00", "11:58:30", 3_510)];
    let expected = lines(70_000, &[&[FIRST], &hours[..]].concat(), false);
    assert_eq!(sample(cloud, 3, Ends::Naturally).await, expected);
    assert_eq!(expected[0], "08:58:30-09:00:00 90 0.07 0.00175000");
    assert_eq!(expected[3], "11:00:00-11:58:30 3510 0.07 0.06825000");
});

story!(table_2, |cloud: Cloud| async move {
    let hours = [("09:00:00", "10:00:00", 3_600), ("10:00:00", "10:28:30", 1_710)];
    let expected = lines(70_000, &[&[FIRST], &hours[..]].concat(), false);
    assert_eq!(sample(cloud, 3, Ends::Deleted("10:28:30")).await, expected);
});

story!(table_3, |cloud: Cloud| async move {
    let hours = [("09:00:00", "10:00:00", 3_600), ("10:00:00", "10:28:30", 1_710)];
    let expected = lines(70_000, &[&[FIRST], &hours[..]].concat(), true);
    let ends = Ends::TakenBack { notice: "10:23:30", release: "10:28:30" };
    assert_eq!(sample(cloud, 3, ends).await, expected);
});

const SIX: [(&str, &str, i64); 4] = [
    ("09:00:00", "10:00:00", 3_600),
    ("10:00:00", "11:00:00", 3_600),
    ("11:00:00", "12:00:00", 3_600),
    ("12:00:00", "13:00:00", 3_600),
];

story!(table_4, |cloud: Cloud| async move {
    let rest = [("13:00:00", "14:00:00", 3_600), ("14:00:00", "14:58:30", 3_510)];
    let expected = lines(120_000, &[&[FIRST], &SIX[..], &rest].concat(), false);
    assert_eq!(sample(cloud, 6, Ends::Naturally).await, expected);
});

story!(table_5, |cloud: Cloud| async move {
    let expected = lines(120_000, &[&[FIRST], &SIX[..], &[("13:00:00", "13:28:30", 1_710)]].concat(), false);
    assert_eq!(sample(cloud, 6, Ends::Deleted("13:28:30")).await, expected);
});

story!(table_6, |cloud: Cloud| async move {
    let expected = lines(120_000, &[&[FIRST], &SIX[..], &[("13:00:00", "13:28:30", 1_710)]].concat(), true);
    let ends = Ends::TakenBack { notice: "13:23:30", release: "13:28:30" };
    assert_eq!(sample(cloud, 6, ends).await, expected);
});
