//! How does a refusal look?

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable, for programs: `no-capacity`, `reclaiming`, …
    #[schema(example = "periods-need-six-hours")]
    pub code: String,
    /// For people: what was refused, by which rule, and the way out.
    pub message: String,
    /// Names this answer in the server's log.
    pub request_id: String,
}

/// A page of things. Pass `next` as `after` for the following one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
