//! ebb-driver
