//! Do guests really run with KVM here? That `/dev/kvm` opens is no proof: under some hypervisors it does, and no guest ever boots.

use super::command;
use crate::config::Accelerator;
use crate::files;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tracing::{info, warn};

/// What the built-in guest prints first.
const MARKER: &str = "ebb-guest:";
const PATIENCE: Duration = Duration::from_secs(10);

/// A verdict, good until the machine boots again.
#[derive(Serialize, Deserialize)]
struct Verdict {
    boot: String,
    accelerator: Accelerator,
}

/// The accelerator for this machine, found out by booting `image` once per boot of the machine.
pub async fn find(data: &Path, image: Option<&Path>) -> Accelerator {
    if !["kvm_intel", "kvm_amd"].iter().any(|module| Path::new("/sys/module").join(module).exists()) {
        info!("guests run without hardware acceleration (TCG): the kernel has neither kvm_intel nor kvm_amd");
        return Accelerator::Tcg;
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let file = data.join("accelerator.json");
    if let Ok(Some(verdict)) = files::read::<Verdict>(&file)
        && verdict.boot == boot
    {
        return verdict.accelerator;
    }
    let Some(image) = image else {
        warn!("guests run without hardware acceleration (TCG): there is no image to try KVM with");
        return Accelerator::Tcg;
    };
    let accelerator = match tokio::time::timeout(PATIENCE, boots(image)).await {
        Ok(true) => Accelerator::Kvm,
        Ok(false) | Err(_) => {
            warn!("guests run without hardware acceleration (TCG): a guest did not boot with KVM within {PATIENCE:?}");
            Accelerator::Tcg
        }
    };
    if let Err(e) = files::write(&file, &files::json(&Verdict { boot, accelerator })) {
        warn!("what was found out about KVM cannot be kept: {e}");
    }
    accelerator
}

async fn boots(image: &Path) -> bool {
    let child = Command::new(command::PROGRAM)
        .args(command::engine(Accelerator::Kvm).split_whitespace())
        .args("-m 160 -nodefaults -no-user-config -display none -no-reboot -serial stdio -append".split_whitespace())
        .arg("console=ttyS0 quiet panic=-1")
        .arg("-kernel")
        .arg(image.join(command::KERNEL))
        .arg("-initrd")
        .arg(image.join(command::INITRAMFS))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut child) = child else { return false };
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe that was asked for")).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains(MARKER) {
            return true;
        }
    }
    false
}
