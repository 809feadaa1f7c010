//! Bytes to requests and back: what the outside world says, in the words of the house.

pub mod metadata;
