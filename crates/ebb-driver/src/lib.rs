//! How the server tells a host what should be, and learns what is.
//!
//! [`protocol`] is what crosses the socket, [`agent`] decides on the host's side what to do about it,
//! [`fake`] is a host whose guests are made of nothing, [`link`] is the server's end of the wire, [`wall`] the clock of both, [`image`] looks at what tenants bring along.

pub mod agent;
pub mod counters;
pub mod fake;
pub mod image;
pub mod link;
pub mod protocol;
pub mod wall;
