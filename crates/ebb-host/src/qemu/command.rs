//! How is a guest's QEMU called? As nobody in particular, in a directory of its own, without a network but its tap.

use crate::config::Accelerator;
use crate::network::plan::Mac;
use crate::volumes::layers::Boot;
use ebb_driver::protocol::GuestSpec;
use ebb_model::id::InstanceId;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;

pub const PROGRAM: &str = "qemu-system-x86_64";
/// The programs that a process runs one after another before it is QEMU; see [`confinement`].
pub const BEFORE_QEMU: [&str; 4] = ["unshare", "setsid", "setpriv", "prlimit"];
/// The names of the files in QEMU's own directory; it works there, so they need no path.
pub const KERNEL: &str = "vmlinuz";
pub const INITRAMFS: &str = "initramfs.img";
/// Where the system disk lay before disks had layers.
pub const OLD_DISK: &str = "disk";
pub const MONITOR: &str = "qmp";
pub const CONSOLE: &str = "console";

/// The translation buffer of TCG, in MiB: the default costs 26 MiB more, half of this a quarter more time.
const TRANSLATION_MIB: u32 = 32;

/// Program and arguments, from the first that is executed by root to QEMU itself.
pub fn of(
    id: InstanceId,
    spec: &GuestSpec,
    boot: &Boot,
    accelerator: Accelerator,
    uid: u32,
    mac: Mac,
) -> Vec<OsString> {
    let mut words = confinement(uid, accelerator);
    let mut put = |line: String| words.extend(line.split_whitespace().map(OsString::from));
    put(format!("{PROGRAM} -name guest={id} -uuid {}", id.uuid()));
    put(engine(accelerator));
    put(format!("-m {} -smp {}", spec.resources.get("memory_mib"), spec.resources.get("vcpu").max(1)));
    put("-nodefaults -no-user-config -display none".to_owned());
    // A guest may reboot. One that powers itself off ends the process: nothing else need be listened for, and an absent host
    // leaves no paused guest in memory.
    put("-action reboot=reset,shutdown=poweroff".to_owned());
    put("-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny".to_owned());
    if let Boot::Kernel(_) = boot {
        put(format!("-kernel {KERNEL} -initrd {INITRAMFS} -append"));
        words.push("console=ttyS0 quiet panic=-1".into());
    }
    // By this the readers of other clouds' images know whom to ask.
    words.extend(["-smbios".into(), "type=1,product=OpenStack Compute".into()]);
    let mut put = |line: String| words.extend(line.split_whitespace().map(OsString::from));
    // It waits to be given its disks: each as an open file, since it may open none itself.
    put("-S".to_owned());
    // The tap is standard input, the one descriptor that no other child can get by accident.
    put("-netdev tap,id=net,fd=0,vhost=off".to_owned());
    put(format!("-device virtio-net-pci,netdev=net,mac={mac},romfile="));
    put("-device virtio-rng-pci,max-bytes=65536,period=1000".to_owned());
    // Waits for the host, which is there already, so that not a byte of the boot is lost.
    put(format!("-chardev socket,id=console,path={CONSOLE},server=on,wait=on -serial chardev:console"));
    put(format!("-qmp unix:{MONITOR},server=on,wait=off"));
    words
}

/// Machine and accelerator.
pub fn engine(accelerator: Accelerator) -> String {
    match accelerator {
        Accelerator::Tcg => format!("-M pc -accel tcg,tb-size={TRANSLATION_MIB}"),
        Accelerator::Kvm => "-M pc -accel kvm -cpu host".to_owned(),
    }
}

/// An own session, so that the guest outlives the host; an own network namespace with nothing in it; an own user without any
/// privilege to keep or to gain.
fn confinement(uid: u32, accelerator: Accelerator) -> Vec<OsString> {
    let groups = match accelerator {
        Accelerator::Tcg => "--clear-groups".to_owned(),
        Accelerator::Kvm => match std::fs::metadata("/dev/kvm") {
            Ok(kvm) => format!("--groups={}", kvm.gid()),
            Err(_) => "--clear-groups".to_owned(),
        },
    };
    let line = format!(
        "unshare --net --ipc -- setsid setpriv --reuid={uid} --regid={uid} {groups} --inh-caps=-all --bounding-set=-all \
         --no-new-privs prlimit --core=0 --nofile=1024 --"
    );
    line.split_whitespace().map(OsString::from).collect()
}
