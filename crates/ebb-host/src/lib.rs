//! ebb-host
