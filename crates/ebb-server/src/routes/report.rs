//! What was promised with spot blocks, and what was kept?

use crate::app::App;
use crate::call::{Principal, Role};
use crate::denied::Denied;
use axum::Json;
use axum::extract::{Query, State};
use ebb_model::money::Exact;
use ebb_model::time::Timestamp;
use ebb_store::rows::block::{self, By, Window};
use ebb_store::{Reads, Row, StoreError};
use ebb_wire::problem::Problem;
use ebb_wire::report::{Lateness, SpotReport, SpotRow, Waived};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize, utoipa::IntoParams)]
pub struct Which {
    /// What happened at or after this instant; the beginning if not given.
    since: Option<String>,
    /// What happened before this instant; everything so far if not given.
    until: Option<String>,
    /// `flavor` (with hours; if not given) or `account`.
    by: Option<String>,
    /// operator: whose; everybody's if not given
    #[serde(rename = "account")]
    _account: Option<String>,
}

/// Blocks sold, how they ended, what was given away, and how late notices and releases were; an owner sees its own.
#[utoipa::path(get, path = "/v1/reports/spot", operation_id = "report_spot", params(Which),
    responses((status = 200, body = SpotReport), (status = 400, body = Problem)))]
pub async fn spot(
    State(app): State<App>,
    who: Principal,
    Query(which): Query<Which>,
) -> Result<Json<SpotReport>, Denied> {
    let operator = who.role == Role::Operator;
    let account = if operator { who.account } else { Some(who.account()?) };
    let by = match which.by.as_deref() {
        None | Some("flavor") => By::Flavor,
        Some("account") => By::Account,
        Some(_) => return Err(Denied::BadInput("by: it is flavor or account".to_owned())),
    };
    let instant = |what: &str, text: Option<&String>, default: Timestamp| match text {
        None => Ok(default),
        Some(text) => text.parse().map_err(|error| Denied::BadInput(format!("{what}: {error}"))),
    };
    let since: Timestamp = instant("since", which.since.as_ref(), Timestamp::from_micros(0))?;
    // What happens at this very instant is in it.
    let until: Timestamp =
        instant("until", which.until.as_ref(), Timestamp::from_micros(app.clock.now().micros() + 1))?;
    let of = Window { account, since, until };
    let (rows, waived) = app
        .store
        .read(move |reads| async move { Ok((spot_rows(&reads, by, &of).await?, waived(&reads, &of, operator).await?)) })
        .await?;
    Ok(Json(SpotReport {
        currency: app.catalog.currency.clone(),
        since: since.to_string(),
        until: until.to_string(),
        by: if by == By::Flavor { "flavor" } else { "account" }.to_owned(),
        rows,
        waived,
    }))
}

type Key = (String, i64);

fn key(row: &Row) -> Key {
    (row.text("one").to_owned(), row.int("two"))
}

async fn spot_rows(reads: &Reads, by: By, of: &Window) -> Result<Vec<SpotRow>, StoreError> {
    let mut rows: BTreeMap<Key, (SpotRow, Exact, Exact)> = BTreeMap::new();
    for row in reads.rows(block::sold(by, of)).await? {
        rows.entry(key(&row)).or_default().0.sold = row.int("sold");
    }
    for row in reads.rows(block::ends(by, of)).await? {
        let (shown, charged, waived) = rows.entry(key(&row)).or_default();
        shown.ended += row.int("blocks");
        shown.ended_by.insert(row.text("cause").to_owned(), row.int("blocks"));
        shown.seconds += row.int("seconds");
        shown.waived_seconds += row.int("waived_seconds");
        *charged += block::read_exact(&row, "payable");
        *waived += block::read_exact(&row, "waived");
    }
    for row in reads.rows(block::notices(by, of)).await? {
        rows.entry(key(&row)).or_default().0.notices = Some(lateness(&row));
    }
    for row in reads.rows(block::releases(by, of)).await? {
        rows.entry(key(&row)).or_default().0.releases = Some(lateness(&row));
    }
    let shown = rows.into_iter().map(|((one, two), (row, charged, waived))| {
        let (flavor, hours, account) = match by {
            By::Flavor => (Some(one), Some(two), None),
            By::Account => (None, None, Some(one)),
        };
        let (charged, waived) = (charged.posted().to_string(), waived.posted().to_string());
        SpotRow { flavor, hours, account, charged, waived, ..row }
    });
    Ok(shown.collect())
}

async fn waived(reads: &Reads, of: &Window, operator: bool) -> Result<Vec<Waived>, StoreError> {
    let mut all: Vec<Waived> = vec![];
    for row in reads.rows(block::waived_by_taker(of, operator)).await? {
        all.push(Waived {
            lost: row.text("lost").to_owned(),
            took: row.opt_text("took").map(str::to_owned),
            cause: row.text("cause").to_owned(),
            blocks: row.int("blocks"),
            waived_seconds: row.int("waived_seconds"),
            waived: block::read_exact(&row, "waived").posted().to_string(),
        });
    }
    Ok(all)
}

fn lateness(row: &Row) -> Lateness {
    let late = block::read_late(row);
    let millis = |micros: i64| (micros + 999) / 1_000;
    Lateness { count: late.told, p50_ms: millis(late.p50), p99_ms: millis(late.p99), max_ms: millis(late.most) }
}
