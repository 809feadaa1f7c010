//! Where does a test of the layer run, and which table does it use?

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ebb_store::{Decision, Halt, Kind, Place, Reads, Row, Store, StoreError, Value, args, query};
use ebb_testing::TempPostgres;

/// A store with an empty table of counters: `id`, `generation`, `used`, `capacity`, `note`.
pub struct Home {
    pub store: Store,
    place: Place,
    folder: Option<PathBuf>,
}

impl Home {
    pub async fn new(kind: Kind) -> Home {
        let mut folder = None;
        let place = match kind {
            Kind::Memory => Place::Memory,
            Kind::Sqlite => Place::Sqlite(folder.insert(new_folder()).join("ebb.db")),
            Kind::Postgres => Place::Postgres(TempPostgres::start().database().await),
        };
        let store = Store::open(place.clone()).await.expect("a new place should open");
        let home = Home { store, place, folder };
        home.create_table().await;
        home
    }

    /// The file of a place that has one.
    pub fn file(&self) -> &Path {
        match &self.place {
            Place::Sqlite(path) => path,
            other => panic!("{other:?} has no file"),
        }
    }

    /// The name of a database on the server.
    pub fn database(&self) -> &str {
        match &self.place {
            Place::Postgres(address) => address.rsplit_once("dbname=").expect("an address with a name").1,
            other => panic!("{other:?} is on no server"),
        }
    }

    async fn create_table(&self) {
        self.write(
            "create table counter (id text primary key, generation bigint not null, used bigint not null,
             capacity bigint, note text)",
            args![],
        )
        .await
        .unwrap();
    }

    /// Opens the same place once more.
    pub async fn again(&self) -> Result<Store, StoreError> {
        Store::open(self.place.clone()).await
    }

    /// One statement as a unit of its own.
    pub async fn write(&self, sql: &'static str, args: Vec<Value>) -> Result<(), Halt<()>> {
        let write = query(sql, args);
        let decide = move |_| {
            let writes = vec![write.clone()];
            async { Ok(Decision { guards: vec![], writes, answer: () }) }
        };
        self.store.unit("write", "one", decide).await
    }

    pub async fn add(&self, id: &str, capacity: i64) {
        let insert = "insert into counter (id, generation, used, capacity) values ($1, 0, 0, $2)";
        self.write(insert, args![id, capacity]).await.unwrap();
    }

    pub async fn used(&self, id: &str) -> i64 {
        self.counter(id).await.int("used")
    }

    pub async fn counter(&self, id: &str) -> Row {
        let rows = self.store.rows(query("select * from counter where id = $1", args![id])).await.unwrap();
        rows.into_iter().next().expect("the counter should be there")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// A decision: raises a counter by one, guarded by its generation.
pub async fn raise(reads: Reads, id: &'static str) -> Result<Decision<i64>, Halt<&'static str>> {
    let row = reads.row(query("select generation, used from counter where id = $1", args![id])).await?;
    let row = row.ok_or(Halt::Refused("no such counter"))?;
    let used = row.int("used") + 1;
    let guard = "update counter set generation = generation + 1 where id = $1 and generation = $2";
    let write = "update counter set used = $2 where id = $1";
    Ok(Decision {
        guards: vec![query(guard, args![id, row.int("generation")])],
        writes: vec![query(write, args![id, used])],
        answer: used,
    })
}

fn new_folder() -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("ebb-store-{}-{number}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder for the test");
    folder
}
