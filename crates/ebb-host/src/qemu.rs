//! What does it take to run a guest with QEMU?
//!
//! [`machine`] is the life of one guest, [`furnish`] what it finds and [`command`] how it is called, [`process`] how it is watched and killed,
//! [`monitor`] how it is asked, [`disks`] how it gets its disks, [`console`] what it prints, [`limits`] what it may use, [`accelerator`] how fast it runs.

pub mod accelerator;
pub mod command;
pub mod console;
pub mod disks;
pub mod furnish;
pub mod limits;
pub mod machine;
pub mod monitor;
pub mod process;
