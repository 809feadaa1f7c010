//! ebb-ledger
