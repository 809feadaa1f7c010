//! ebb-model
