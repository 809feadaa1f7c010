//! ebb-engine
