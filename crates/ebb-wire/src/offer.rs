//! What can be bought now, and how much of it an account may have.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One flavor as a spot block in one zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    pub zone: String,
    pub flavor: String,
    /// `normal`; `sold-out`: by the operator's word, or there is no room now; `off`: not on sale here.
    pub state: String,
    /// Per hour of a block of 1, 2, … hours.
    pub prices: Vec<String>,
    /// The longest `hours` and the largest `periods` on sale here.
    pub hours: i64,
    pub periods: i64,
    /// How much of that there is room for now: shorter before a shortage or the return of a host; 0: none.
    pub hours_now: i64,
    pub periods_now: i64,
}

/// The most of something that an account may have, and what it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Limit {
    /// `instances`, or of spot blocks `spot instances`, `spot vcpu`, …; `takings per hour`: orders that made others go.
    pub name: String,
    pub used: i64,
    pub most: i64,
}
