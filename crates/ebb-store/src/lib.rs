//! ebb-store
