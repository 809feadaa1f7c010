//! What does it take to run a guest with QEMU?
//!
//! [`machine`] is the life of one guest, [`command`] how its QEMU is called, [`process`] how it is watched and killed,
//! [`monitor`] how it is asked, [`console`] what it prints, [`limits`] what it may use, [`accelerator`] how fast it runs.

pub mod accelerator;
pub mod command;
pub mod console;
pub mod limits;
pub mod machine;
pub mod monitor;
pub mod process;
