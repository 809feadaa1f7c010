//! Does the audit end with 1 when something differs, and does a bill show what can be explained?

use crate::sandbox::Sandbox;
use ebb_store::{Decision, Place, Store, args, query};

#[test]
fn a_row_that_was_changed_is_named_and_the_command_fails() {
    let data = std::env::temp_dir().join(format!("ebb-audit-{}", std::process::id()));
    let sandbox = Sandbox::with(&["--data", data.to_str().expect("a path")]);
    sandbox.ok("ebb buy c6.large.2 --spot 1 --name job && ebb clock advance 2h");
    let said = sandbox.ok("ebb audit --as operator");
    assert!(said.starts_with("All agree: 2 accounts, 1 instance, 2 spans, "), "{said}");
    assert!(sandbox.ok("ebb audit").starts_with("All agree: 1 account, 1 instance, 2 spans, "));

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(Place::Sqlite(data.join("ebb.db"))).await.expect("the sandbox's rows");
        let change = "update account set cash = cash + 5 where cash > 0 and payable_total_exact <> '0'";
        let tampered = store.unit::<(), std::convert::Infallible, _, _>("tamper", "tamper", move |_| async move {
            Ok(Decision { guards: vec![], writes: vec![query(change, args![])], answer: () })
        });
        tampered.await.expect("it is changed");
    });
    let said = sandbox.run("ebb audit");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.starts_with("purse: account cash of a-"), "{said:?}");
    let (stored, comes_to) = ("  stored    9999.91000005", "  comes to  9999.91000000");
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines[1..3], [stored, comes_to], "{said:?}");
    assert!(said.err.contains("one thing is not what everything else says"), "{said:?}");
    let json = sandbox.run("ebb audit --json --as operator");
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((&json["agrees"], &json["found"]), (&serde_json::json!(false), &serde_json::json!(1)));
    drop(sandbox);
    let _ = std::fs::remove_dir_all(data);
}

#[test]
fn what_a_bill_shows_of_a_record_is_enough_to_explain_it() {
    let sandbox = Sandbox::start();
    sandbox.ok("ebb buy c6.large.2 --spot 1 --name job && ebb clock advance 2h");
    let bill = sandbox.ok("ebb bill");
    let shown = bill.lines().nth(1).and_then(|line| line.split_whitespace().last()).expect("a record");
    assert!(shown.starts_with("r-") && shown.len() == 22, "{bill}");
    let said = sandbox.ok(&format!("ebb bill explain {shown}"));
    for part in [
        "It begins there because the guest was first seen running then.",
        "0.07 CNY per hour",
        "Entry e-",
        "can be given back",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let refused = sandbox.run("ebb bill explain job");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("its id begins with r-"), "{refused:?}");
    let back = sandbox.ok(&format!("ebb bill adjust {shown} 0.001 --reason slow --as operator --account Individual"));
    assert!(back.starts_with("0.00100000 of record r-") && back.contains("0.00100000 to cash"), "{back}");
    assert!(sandbox.ok("ebb bill").contains("GIVEN BACK"));
    assert!(sandbox.ok("ebb balance").contains("Given back of that: 0.00100000 to cash"));
}
