//! What do readers see, and how do values travel?

use ebb_store::{Kind, StoreError, args, query};

use crate::home::Home;

crate::everywhere!(
    arguments_go_by_number,
    values_come_back_as_they_went,
    a_snapshot_does_not_move,
    a_read_may_not_write,
    a_wrong_number_of_arguments_is_an_error,
    a_float_is_unreadable,
    a_panicking_reader_is_an_error,
    a_newer_schema_is_refused,
    rows_outlive_a_close,
);

async fn arguments_go_by_number(home: Home) {
    let select = "select cast($2 as text) as second, cast($1 as bigint) as first, cast($2 as text) as again";
    let rows = home.store.rows(query(select, args![1, "two"])).await.unwrap();
    assert_eq!((rows[0].int("first"), rows[0].text("second"), rows[0].text(2)), (1, "two", "two"));
}

async fn values_come_back_as_they_went(home: Home) {
    let insert = "insert into counter (id, generation, used, capacity, note) values ($1, $2, $3, $4, $5)";
    let nothing: Option<i64> = None;
    home.write(insert, args!["empty", i64::MIN, i64::MAX, nothing, None::<&str>]).await.unwrap();
    home.write(insert, args!["full", 0, 0, Some(7), String::from("naïve 'quoted' text")]).await.unwrap();
    let empty = home.counter("empty").await;
    assert_eq!((empty.int("generation"), empty.int("used")), (i64::MIN, i64::MAX));
    assert_eq!((empty.opt_int("capacity"), empty.opt_text("note")), (None, None));
    let full = home.counter("full").await;
    assert_eq!((full.opt_int("capacity"), full.opt_text("note")), (Some(7), Some("naïve 'quoted' text")));
    let count = "select count(*) as n, cast(sum(capacity) as bigint) as total, count(*) = 2 as both from counter";
    let counted = &home.store.rows(query(count, args![])).await.unwrap()[0];
    assert_eq!((counted.int("n"), counted.int("total"), counted.int("both")), (2, 7, 1));
}

async fn a_snapshot_does_not_move(home: Home) {
    home.add("a", 9).await;
    if home.store.kind() == Kind::Memory {
        // Its reader is the writer itself: nothing can happen in between.
        return;
    }
    let (reading, started) = std::sync::mpsc::channel();
    let (changed, go_on) = std::sync::mpsc::channel();
    let store = home.store.clone();
    let reader = tokio::spawn(async move {
        let read = store.read(move |reads| async move {
            let select = "select used from counter where id = 'a'";
            let before = reads.row(query(select, args![])).await?.unwrap().int("used");
            reading.send(()).unwrap();
            // Blocks the thread on purpose: a snapshot that awaited something else would be refused.
            go_on.recv().unwrap();
            let after = reads.row(query(select, args![])).await?.unwrap().int("used");
            Ok((before, after))
        });
        read.await
    });
    tokio::task::spawn_blocking(move || started.recv().unwrap()).await.unwrap();
    home.write("update counter set used = 5 where id = $1", args!["a"]).await.unwrap();
    assert_eq!(home.used("a").await, 5);
    changed.send(()).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), (0, 0));
}

async fn a_read_may_not_write(home: Home) {
    home.add("a", 9).await;
    let sneaky = query("update counter set used = 5 where id = $1 returning id", args!["a"]);
    home.store.rows(sneaky).await.unwrap_err();
    assert_eq!(home.used("a").await, 0);
}

async fn a_wrong_number_of_arguments_is_an_error(home: Home) {
    let select = "select id from counter where id = $1";
    for wrong in [args![], args!["a", "b"]] {
        let error = home.store.rows(query(select, wrong)).await.unwrap_err();
        assert!(matches!(error, StoreError::Arguments { wanted: 1, .. }), "{error:?}");
    }
}

async fn a_float_is_unreadable(home: Home) {
    let select = "select cast(0.5 as double precision) as half";
    let error = home.store.rows(query(select, args![])).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unreadable { column, .. } if column == "half"), "{error:?}");
}

async fn a_panicking_reader_is_an_error(home: Home) {
    home.add("a", 9).await;
    let select = "select id from counter";
    for _ in 0..10 {
        let read = home.store.read(move |reads| async move {
            let row = reads.row(query(select, args![])).await?;
            Ok(row.unwrap().int("id"))
        });
        let error = read.await.unwrap_err();
        let StoreError::Panicked { message, .. } = &error else { panic!("{error:?}") };
        assert!(message.contains("column id should be an integer") && message.contains(select), "{message}");
    }
    assert_eq!(home.store.counters().panics, 10);
    assert_eq!(home.used("a").await, 0);
}

async fn a_newer_schema_is_refused(home: Home) {
    home.write("insert into schema_version (number) values ($1)", args![9999]).await.unwrap();
    if home.store.kind() == Kind::Memory {
        return;
    }
    let Err(error) = home.again().await else { panic!("a newer schema should be refused") };
    assert!(matches!(error, StoreError::NewerSchema { found: 9999, .. }), "{error:?}");
}

async fn rows_outlive_a_close(home: Home) {
    home.add("a", 9).await;
    home.store.close().await.unwrap();
    let error = home.store.rows(query("select 1", args![])).await.unwrap_err();
    assert!(matches!(error, StoreError::Closed), "{error:?}");
    assert!(home.write("delete from counter", args![]).await.is_err());
    if home.store.kind() != Kind::Memory {
        let again = home.again().await.unwrap();
        assert_eq!(again.rows(query("select id from counter", args![])).await.unwrap().len(), 1);
    }
}
