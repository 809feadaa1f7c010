//! Which schema does this program need, and how does a database get there?
//!
//! A migration is a file in the workspace's `migrations/`, numbered without gaps from 1, and only ever added. It holds
//! lowercase statements that both databases understand, each ended by `;` at the end of a line. Each migration is
//! applied in one transaction together with its row in `schema_version`.

use crate::error::StoreError;

pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/0001_init.sql"),
    include_str!("../../../migrations/0002_spot.sql"),
    include_str!("../../../migrations/0003_subscriptions.sql"),
    include_str!("../../../migrations/0004_hosts.sql"),
    include_str!("../../../migrations/0005_drills.sql"),
    include_str!("../../../migrations/0006_zones.sql"),
    include_str!("../../../migrations/0007_persons.sql"),
    include_str!("../../../migrations/0008_reserve.sql"),
    include_str!("../../../migrations/0009_evidence.sql"),
    include_str!("../../../migrations/0010_economical.sql"),
    include_str!("../../../migrations/0011_trial_end.sql"),
    include_str!("../../../migrations/0012_traffic.sql"),
    include_str!("../../../migrations/0013_spending_cap.sql"),
    include_str!("../../../migrations/0014_monthly.sql"),
    include_str!("../../../migrations/0015_orders_under_way.sql"),
    include_str!("../../../migrations/0016_arrears.sql"),
    include_str!("../../../migrations/0017_vouchers.sql"),
    include_str!("../../../migrations/0018_prices.sql"),
    include_str!("../../../migrations/0019_adjustments.sql"),
    include_str!("../../../migrations/0020_budget.sql"),
    include_str!("../../../migrations/0021_given_to_vouchers.sql"),
    include_str!("../../../migrations/0022_terms.sql"),
    include_str!("../../../migrations/0023_resources.sql"),
    include_str!("../../../migrations/0024_login.sql"),
    include_str!("../../../migrations/0025_networks.sql"),
    include_str!("../../../migrations/0026_images.sql"),
    include_str!("../../../migrations/0027_volumes.sql"),
    include_str!("../../../migrations/0028_images_there.sql"),
];

pub(crate) const CREATE_VERSION_TABLE: &str = "create table if not exists schema_version (number bigint primary key)";
pub(crate) const SELECT_VERSION: &str = "select coalesce(max(number), 0) as number from schema_version";
pub(crate) const INSERT_VERSION: &str = "insert into schema_version (number) values ($1)";

/// A migration that a database lacks.
pub(crate) struct Pending {
    pub(crate) number: i64,
    pub(crate) statements: Vec<&'static str>,
}

/// The migration after the one that a database has, or a refusal if it has more than this program knows.
pub(crate) fn after(found: i64) -> Result<Option<Pending>, StoreError> {
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    let text = usize::try_from(found).ok().and_then(|at| MIGRATIONS.get(at));
    Ok(text.map(|text| Pending { number: found + 1, statements: statements(text) }))
}

/// Cuts a migration into its statements, so that an error can name the one that failed.
fn statements(text: &'static str) -> Vec<&'static str> {
    let says_something =
        |piece: &&str| piece.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with("--"));
    text.trim().trim_end_matches(';').split(";\n").map(str::trim).filter(says_something).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_with_a_semicolon_at_the_end_of_a_line() {
        let text = "-- first\ncreate table a (b text default ';x');\n\ncreate table c (d text);\n-- the end\n";
        let expected = ["-- first\ncreate table a (b text default ';x')", "create table c (d text)"];
        assert_eq!(statements(text), expected);
    }

    #[test]
    fn a_database_from_the_future_is_refused() {
        let known = MIGRATIONS.len() as i64;
        assert!(matches!(after(known), Ok(None)));
        assert!(matches!(after(known + 1), Err(StoreError::NewerSchema { .. })));
    }
}
