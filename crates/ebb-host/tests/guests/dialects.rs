//! Does a real guest find its notice in each cloud's form, where that cloud's programs look for it?

use crate::bench::{self, Bench, account, guest};
use ebb_driver::protocol::{Is, Target};

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reads_its_notice_in_six_forms() {
    let mut bench = Bench::new("dialects").await;
    let id = guest(1);
    let order =
        |bench: &Bench, generation| bench.order(id, account(1), generation).user_data(include_str!("dialects.sh"));
    bench.desire([order(&bench, 1)]).await;
    let address = bench.until_running(id).await.address.unwrap();
    let printed = bench.until_printed(id, "dialect: before over").await;
    let said = |printed: &str, phase: &str| -> Vec<String> {
        let lines = printed.lines().filter_map(|line| line.trim().strip_prefix("dialect: ")?.strip_prefix(phase));
        lines.map(|line| line.trim().to_owned()).collect()
    };
    let none = |cloud: &str| format!("{cloud} wget: server returned error: HTTP/1.1 404 Not Found");
    let refused = |what: &str, status: &str| format!("{what} wget: server returned error: HTTP/1.1 {status}");
    assert_eq!(
        said(&printed, "before"),
        [
            none("huawei"),
            none("aws"),
            none("aws-time"),
            none("alibaba"),
            r#"azure {"DocumentIncarnation":1,"Events":[]}"#.to_owned(),
            "google FALSE".to_owned(),
            none("tencent"),
            refused("stale", "401 Unauthorized"),
            format!("address {address}"),
            "mac 52:54:0a:4d:00:0a".to_owned(),
            refused("flavorless", "403 Forbidden"),
            "name refused".to_owned(),
            "meanwhile home".to_owned(),
            "over".to_owned(),
        ]
    );

    let notice_at = bench::now().plus_seconds(1);
    let at = notice_at.plus_seconds(600);
    bench.desire([order(&bench, 2).end(notice_at, at)]).await;
    let printed = bench.until_printed(id, "dialect: after over").await;
    let (utc, china) = (at.second().to_string(), at.plus_seconds(8 * 3600).second().to_string());
    let plain = |at: &str| at.trim_end_matches('Z').replace('T', " ");
    let mut after = said(&printed, "after");
    let azure = after.remove(4);
    assert!(azure.contains(r#""EventType":"Preempt""#) && azure.contains(r#""EventStatus":"Scheduled""#), "{azure}");
    assert_eq!(said(&printed, "waited"), ["TRUE"]);
    assert_eq!(
        after,
        [
            format!(r#"huawei {{"action":"terminate","timestamp":"{}"}}"#, plain(&utc)),
            format!(r#"aws {{"action":"terminate","time":"{utc}"}}"#),
            format!("aws-time {utc}"),
            format!("alibaba {utc}"),
            "google TRUE".to_owned(),
            format!("tencent {}", plain(&china)),
            refused("wrong", "400 Bad Request"),
            "over".to_owned(),
        ]
    );

    let mut console = bench.stream(id, Target::Console).await.unwrap();
    bench::write(&mut console, "\ntouch /tmp/go\n").await;
    // It approves its end, so it does not wait ten minutes.
    let seen = bench.until(id, |is| matches!(is, Is::Gone { .. })).await;
    let Is::Gone { at: gone_at } = seen.is else { unreachable!("it was waited for") };
    let approved_at = seen.approved_at.unwrap();
    assert!(notice_at < approved_at && approved_at <= gone_at && gone_at < at, "{approved_at} {gone_at}");
    assert!(gone_at.millis_since(approved_at) < 1000);
    assert!(seen.notice_read_at.is_some());
    bench.leave_no_trace().await;
}
