//! ebb-server
