//! ebb-wire
