//! Are images taken that are what they say, and is nothing harmed by those that are not?

use crate::bench::{self, Bench, account, disk, gone, guest, image_id, snapshot, there};
use ebb_driver::protocol::{Is, ObservedVolume, Source, Stored, VolumeIs, Want};
use ebb_host::DriverConfig;
use ebb_model::volume::{DiskOf, ImageFormat, VolumeId};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of a test, which go with it.
struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Self {
        let dir = PathBuf::from(format!("/tmp/ebb-images-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn qemu_img(&self, line: &str) {
        let output = Command::new("qemu-img").args(line.split_whitespace()).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "qemu-img {line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What a guest would see of a plain qcow2.
    fn contents(&self, qcow2: &[u8]) -> Vec<u8> {
        self.write("contents.qcow2", qcow2);
        self.qemu_img("convert -f qcow2 -O raw contents.qcow2 contents.raw");
        self.read("contents.raw")
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn img(n: u128) -> VolumeId {
    VolumeId::Image(image_id(n))
}

fn bytes_of(format: ImageFormat, bytes: &[u8]) -> Source {
    Source::Bytes { format, sha256: sum(bytes) }
}

/// A disk whose first sector says a word on the serial port, for ever after nothing.
fn speaking(word: &str) -> Vec<u8> {
    // xor ax, ax; mov ds, ax; mov dx, 0x3f8; mov si, 0x7c15; again: lodsb; or al, al; jz end; out dx, al; jmp again; end: hlt
    let code = b"\x31\xc0\x8e\xd8\xba\xf8\x03\xbe\x15\x7c\xac\x08\xc0\x74\x03\xee\xeb\xf8\xf4\xeb\xfd";
    let mut disk = vec![0; 1 << 20];
    disk[..code.len()].copy_from_slice(code);
    disk[code.len()..code.len() + word.len()].copy_from_slice(word.as_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

async fn made(bench: &mut Bench, id: VolumeId) -> ObservedVolume {
    bench.until_volume(id, |is| *is != VolumeIs::Making).await
}

async fn stored(bench: &mut Bench, id: VolumeId) -> (i64, Stored) {
    match made(bench, id).await.is {
        VolumeIs::There { size, .. } => (size.bytes, size.stored.unwrap()),
        other => panic!("{id}: {other:?}"),
    }
}

async fn refused(bench: &mut Bench, id: VolumeId) -> String {
    match made(bench, id).await.is {
        VolumeIs::Failed { reason, .. } => reason,
        other => panic!("{id}: {other:?}"),
    }
}

/// An image comes, goes on to another host, and boots there; so does one of the operator's.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_from_host_to_host_and_boots() {
    let room = Room::new("go");
    let speaks = speaking("a word from the disk\r\n");
    room.write("disk.raw", &speaks);
    room.qemu_img("convert -f raw -O qcow2 -c -o compression_type=zstd disk.raw zstd.qcow2");
    room.qemu_img("convert -f raw -O qcow2 -c -o compat=0.10 disk.raw old.qcow2");
    let mut bench = Bench::new("from").await;
    let mut other = Bench::idle("to", bench.config.driver.clone());
    let catalog = Path::new(&room.path("catalog")).to_owned();
    std::fs::create_dir_all(&catalog).unwrap();
    other.config.images.insert("speaking".to_owned(), catalog.clone());
    std::fs::write(catalog.join("disk.raw"), speaking("a word from the catalog\r\n")).unwrap();
    other.start().await;
    other.call().await;

    let mut sums = vec![];
    for (n, name, format) in
        [(1, "disk.raw", ImageFormat::Raw), (2, "zstd.qcow2", ImageFormat::Qcow2), (3, "old.qcow2", ImageFormat::Qcow2)]
    {
        let bytes = room.read(name);
        bench.desire_with([], [there(img(n), bytes_of(format, &bytes), 1)]).await;
        bench.bring(img(n), &bytes).await.unwrap();
        let (size, stored) = stored(&mut bench, img(n)).await;
        assert_eq!(size, 1 << 20);
        let fetched = bench.fetch(img(n)).await.unwrap();
        assert_eq!((fetched.len() as i64, sum(&fetched)), (stored.bytes, stored.sha256));
        assert!(room.contents(&fetched) == speaks, "{name} changed on its way");
        sums.push(fetched);
    }
    assert!(bench.bring(img(1), b"x").await.unwrap_err().to_string().contains("waits for no bytes"));
    assert!(bench.bring(img(7), b"x").await.unwrap_err().to_string().contains("waits for no bytes"));
    assert!(bench.fetch(img(7)).await.unwrap_err().to_string().contains("has no image"));

    let bytes = sums.pop().unwrap();
    other.desire_with([], [there(img(3), bytes_of(ImageFormat::Qcow2, &bytes), 1)]).await;
    other.bring(img(3), &bytes).await.unwrap();
    stored(&mut other, img(3)).await;
    let (from_image, from_catalog) = (guest(1), guest(2));
    let order = |bench: &Bench, id, image: &str| bench.order(id, account(1), 1).image(image);
    let orders = [order(&other, from_image, &img(3).to_string()), order(&other, from_catalog, "speaking")];
    other.desire(orders).await;
    for (id, word) in [(from_image, "a word from the disk"), (from_catalog, "a word from the catalog")] {
        other.until_running(id).await;
        other.until_printed(id, word).await;
    }
    // The image goes; who began with it stays. The operator puts another in place; who began with the old one keeps that.
    std::fs::write(catalog.join("disk.raw"), speaking("a new word\r\n")).unwrap();
    let off = |bench: &Bench, id, image: &str| {
        bench.order(id, account(1), 2).image(image).want(Want::Off { force_at: bench::now() })
    };
    let offs = [off(&other, from_image, &img(3).to_string()), off(&other, from_catalog, "speaking")];
    other.desire_with(offs, [gone(img(3))]).await;
    other.until_volume_is_gone(img(3)).await;
    for id in [from_image, from_catalog] {
        other.until(id, |is| matches!(is, Is::Off { .. })).await;
    }
    let again = |bench: &Bench, id, image: &str| bench.order(id, account(1), 3).image(image);
    let orders = [
        again(&other, from_image, &img(3).to_string()),
        // This one is made anew of the image as it is now.
        again(&other, from_catalog, "speaking").disk_revision(1),
    ];
    other.desire(orders).await;
    for id in [from_image, from_catalog] {
        other.until_running(id).await;
    }
    other.until_printed_again(from_image, "a word from the disk", 2).await;
    other.until_printed(from_catalog, "a new word").await;
    // A disk that is too small for what it begins with is none.
    let small = guest(3);
    other.desire([other.order(small, account(1), 1).image("speaking").disk_gib(0)]).await;
    let seen = other.until(small, |is| matches!(is, Is::Failed { .. })).await;
    assert!(format!("{seen:?}").contains("holds a disk of 1 GiB, and the system disk has 0"), "{seen:?}");
    bench.leave_no_trace().await;
    other.leave_no_trace().await;
}

/// It does no harm to take it.
const TAKEN: &str = "taken";

/// Bytes that were made to harm, each with what is said about them.
fn hostile(room: &Room) -> Vec<(&'static str, ImageFormat, Vec<u8>, &'static str)> {
    use ImageFormat::Qcow2;
    room.qemu_img("create -q -f qcow2 plain.qcow2 64M");
    let plain = room.read("plain.qcow2");
    let with = |at: usize, bytes: &[u8]| {
        let mut image = plain.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let made = |line: &str, name: &str| {
        room.qemu_img(line);
        room.read(name)
    };
    std::fs::write(room.path("base.raw"), vec![7; 1 << 20]).unwrap();
    room.write("secret", b"secretsecret");
    let data_file = format!("create -q -f qcow2 -o data_file={},data_file_raw=on data.qcow2 1M", room.path("data.raw"));
    let locked = "create -q -f qcow2 --object secret,id=s,file=secret -o encrypt.format=luks,encrypt.key-secret=s locked.qcow2 1M";
    let mut snapshots = plain.clone();
    room.write("snapshots.qcow2", &snapshots);
    room.qemu_img("snapshot -c one snapshots.qcow2");
    snapshots = room.read("snapshots.qcow2");
    room.write("bitmap.qcow2", &plain);
    room.qemu_img("bitmap --add bitmap.qcow2 one");
    // A table of a terabyte in which every entry leads to the same cluster.
    let l1_at = u64::from_be_bytes(plain[40..48].try_into().unwrap());
    let mut bomb = with(24, &(1_u64 << 29).to_be_bytes());
    let (l2_at, data_at) = (plain.len() as u64, plain.len() as u64 + 65536);
    bomb[l1_at as usize..l1_at as usize + 8].copy_from_slice(&(l2_at | 1 << 63).to_be_bytes());
    bomb.extend((0..8192).flat_map(|_| (data_at | 1 << 63).to_be_bytes()));
    bomb.extend(vec![0x5a; 65536]);
    let mut beyond = bomb.clone();
    beyond[l1_at as usize..l1_at as usize + 8].copy_from_slice(&(1_u64 << 40 | 1 << 63).to_be_bytes());
    vec![
        (
            "a backing file",
            Qcow2,
            made("create -q -f qcow2 -b /etc/shadow -F raw backed.qcow2", "backed.qcow2"),
            "has a backing file",
        ),
        ("a data file", Qcow2, made(&data_file, "data.qcow2"), "lies in another file"),
        ("luks inside", Qcow2, made(locked, "locked.qcow2"), "is encrypted"),
        ("a snapshot", Qcow2, snapshots, "snapshots of its own"),
        ("a bitmap", Qcow2, room.read("bitmap.qcow2"), "holds bitmaps"),
        ("extended L2", Qcow2, made("create -q -f qcow2 -o extended_l2=on l2.qcow2 1M", "l2.qcow2"), "extended L2"),
        ("vmdk", Qcow2, made("convert -f raw -O vmdk base.raw x.vmdk", "x.vmdk"), "it is VMDK"),
        ("vdi", Qcow2, made("convert -f raw -O vdi base.raw x.vdi", "x.vdi"), "it is VDI"),
        ("vhdx", Qcow2, made("convert -f raw -O vhdx base.raw x.vhdx", "x.vhdx"), "it is VHDX"),
        ("qed", Qcow2, made("create -q -f qed x.qed 1M", "x.qed"), "it is QED"),
        ("qcow 1", Qcow2, made("create -q -f qcow x.qcow 1M", "x.qcow"), "qcow of version 1"),
        ("a luks disk", Qcow2, [b"LUKS\xba\xbe".to_vec(), vec![0; 4096]].concat(), "it is LUKS"),
        ("raw as qcow2", Qcow2, vec![9; 4096], "of no known format"),
        ("dirty", Qcow2, with(72, &1_u64.to_be_bytes()), "not closed well"),
        ("corrupt", Qcow2, with(72, &2_u64.to_be_bytes()), "marked as corrupt"),
        ("unknown features", Qcow2, with(72, &(1_u64 << 40).to_be_bytes()), "features that are not known"),
        ("too large", Qcow2, with(24, &(1_u64 << 40).to_be_bytes()), "at most 1073741824 are taken"),
        ("cut off", Qcow2, plain[..100].to_vec(), "ends within its own header"),
        ("no tables", Qcow2, plain[..65536].to_vec(), "ends within its own header"),
        ("an L1 table over the header", Qcow2, with(40, &0_u64.to_be_bytes()), "L1 table"),
        ("an extension without end", Qcow2, with(116, &u32::MAX.to_be_bytes()), "runs over"),
        // What our own code does not look at, a tool reads that can do no harm: nothing lies where this leads.
        ("tables that lead nowhere", Qcow2, beyond, TAKEN),
        ("nothing", ImageFormat::Raw, vec![], "no whole number of sectors"),
        ("half a sector", ImageFormat::Raw, vec![0; 700], "no whole number of sectors"),
        ("a bomb", Qcow2, bomb, TAKEN),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_to_harm_is_refused_or_harmless() {
    let room = Room::new("hostile");
    let mut bench = Bench::new("hostile").await;
    for (n, (name, format, bytes, said)) in hostile(&room).into_iter().enumerate() {
        let id = img(100 + n as u128);
        bench.desire_with([], [there(id, bytes_of(format, &bytes), 1)]).await;
        bench.bring(id, &bytes).await.unwrap();
        if said == TAKEN {
            // 64 KiB that a guest sees 8192 times: it is what it says, and takes what was ordered at most.
            let (size, stored) = stored(&mut bench, id).await;
            assert!(size == 1 << 29 && stored.bytes <= (1 << 29) + (16 << 20), "{name}: {stored:?}");
            continue;
        }
        let why = refused(&mut bench, id).await;
        println!("{name}: {why}");
        assert!(why.contains(said), "{name}: {why}");
        assert!(!why.contains("/etc/shadow"), "{why}");
    }
    // Not what was announced, or too much.
    let (other, much) = (img(1), img(2));
    bench.desire_with([], [there(other, bytes_of(ImageFormat::Raw, b"else"), 1)]).await;
    bench.bring(other, &[0; 512]).await.unwrap();
    assert!(refused(&mut bench, other).await.contains("send it again"));
    bench.desire_with([], [there(much, bytes_of(ImageFormat::Raw, b"else"), 0)]).await;
    bench.bring(much, &[0; 512]).await.unwrap();
    assert!(refused(&mut bench, much).await.contains("larger than the 0 bytes"));

    // Raw is raw, whatever it begins with.
    let mut raw = room.read("backed.qcow2");
    raw.resize(1 << 20, 0);
    let id = img(3);
    bench.desire_with([], [there(id, bytes_of(ImageFormat::Raw, &raw), 1)]).await;
    bench.bring(id, &raw).await.unwrap();
    stored(&mut bench, id).await;
    let fetched = bench.fetch(id).await.unwrap();
    assert!(room.contents(&fetched) == raw);
    // One that is to go while it comes.
    let coming = img(4);
    bench.desire_with([], [there(coming, bytes_of(ImageFormat::Raw, &raw), 1)]).await;
    let open = bench.begin_to_bring(coming).await;
    bench.desire_with([], [gone(coming)]).await;
    bench.until_volume_is_gone(coming).await;
    drop(open);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!((bench.layers(), bench.half_made()), (3, 0), "the two harmless and the raw one, and nothing half made");
    bench.leave_no_trace().await;
}

/// A guest writes the header of another format on its own disk, one that names a file of the machine.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_writes_on_its_disk_is_nothing_but_bytes() {
    let room = Room::new("written");
    let mut bench = Bench::idle("written", DriverConfig::Qemu(ebb_host::QemuConfig::default()));
    bench.start().await;
    bench.call().await;
    let (id, a) = (guest(1), disk(1));
    let order = |bench: &Bench, generation| bench.order(id, account(1), generation).firm().disks([a]);
    bench.desire_with([order(&bench, 1)], [there(VolumeId::Disk(a), Source::Blank, 1)]).await;
    bench.until_running(id).await;
    bench.until_printed(id, "ebb-guest: ready").await;
    // Version 2, a backing file of 11 bytes at byte 200, a disk of 16 EiB less something.
    let header = r"QFI\373\000\000\000\002\000\000\000\000\000\000\000\310\000\000\000\013\000\000\000\020\017";
    let write = format!(
        "printf '{header}' | dd of=/dev/vdb 2>/dev/null; printf /etc/passwd | dd of=/dev/vdb bs=1 seek=200 conv=fsync \
         2>/dev/null; echo left >/data/note; sync; echo wrote"
    );
    assert!(bench.sh(id, &write).await.contains("wrote"));

    let (snap, image, system) = (VolumeId::Snapshot(snapshot(1)), img(1), img(2));
    let of = |disk| Source::Disk { disk };
    let orders = [
        there(snap, of(DiskOf::Data(a)), 1),
        there(image, of(DiskOf::Data(a)), 1),
        there(system, of(DiskOf::System(id)), 1),
    ];
    bench.desire_with([], orders).await;
    assert_eq!(bench.until_there(snap).await, 1 << 30);
    let (size, _) = stored(&mut bench, image).await;
    assert_eq!(size, 1 << 30, "as large as the disk, whatever its first bytes say");
    let is_what_was_written = |bytes: &[u8]| {
        let contents = room.contents(bytes);
        assert_eq!((&contents[..8], &contents[200..211]), (&b"QFI\xfb\0\0\0\x02"[..], &b"/etc/passwd"[..]));
        assert!(contents[512..].iter().all(|byte| *byte == 0));
    };
    is_what_was_written(&bench.fetch(image).await.unwrap());

    // A second boot, and a disk of the snapshot beside it.
    let copy = disk(2);
    bench.desire_with([], [there(VolumeId::Disk(copy), Source::Snapshot { snapshot: snapshot(1) }, 1)]).await;
    bench.until_there(VolumeId::Disk(copy)).await;
    let force_at = bench::now();
    bench.desire([order(&bench, 2).want(Want::Off { force_at })]).await;
    bench.until(id, |is| matches!(is, Is::Off { .. })).await;
    bench.desire([order(&bench, 3).disks([a, copy])]).await;
    bench.until_running(id).await;
    bench.until_printed_again(id, "ebb-guest: ready", 2).await;
    let look = "for d in b c; do head -c 3 /dev/vd$d; cat /sys/block/vd$d/size; done";
    let printed = bench.sh(id, look).await;
    assert_eq!(printed.lines().map(str::trim).collect::<Vec<_>>(), ["QFI2097152", "QFI2097152"]);

    // The image of its system disk begins another guest, which has no boot loader and is booted as this one was.
    stored(&mut bench, system).await;
    let two = guest(2);
    bench.desire([bench.order(two, account(2), 1).image(&system.to_string())]).await;
    bench.until_running(two).await;
    bench.until_printed(two, "ebb-guest: ready").await;
    assert!(bench.sh(two, "cat /data/note").await.ends_with("left"));
    bench.leave_no_trace().await;
}

/// A guest that does not hear it is asked for a disk keeps it, and nobody else gets it, until its process is dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_not_react_keeps_its_disk_until_it_is_off() {
    let room = Room::new("deaf");
    room.write("disk.raw", &speaking("deaf\r\n"));
    let mut bench = Bench::idle("deaf", DriverConfig::Qemu(ebb_host::QemuConfig::default()));
    bench.config.images.insert("deaf".to_owned(), room.0.clone());
    bench.start().await;
    bench.call().await;
    let (one, two, a) = (guest(1), guest(2), disk(1));
    let order = |bench: &Bench, id, generation| bench.order(id, account(1), generation).image("deaf");
    let first = order(&bench, one, 1).disks([a]);
    bench.desire_with([first], [there(VolumeId::Disk(a), Source::Blank, 1)]).await;
    assert_eq!(bench.until_running(one).await.disks, [a].into());
    bench.until_printed(one, "deaf").await;
    bench.desire_with([order(&bench, one, 2), order(&bench, two, 1).disks([a])], [gone(VolumeId::Disk(a))]).await;
    bench.until_running(two).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let holds =
        |hello: &ebb_driver::protocol::Hello, id| hello.guests.iter().find(|guest| guest.id == id).unwrap().disks.len();
    let hello = bench.call().await;
    assert_eq!((holds(&hello, one), holds(&hello, two)), (1, 0));
    assert!(matches!(hello.volumes[0].is, VolumeIs::There { .. }), "{:?}", hello.volumes);
    let force_at = bench::now();
    bench.desire([order(&bench, two, 2), order(&bench, one, 3).want(Want::Off { force_at })]).await;
    bench.until(one, |is| matches!(is, Is::Off { .. })).await;
    bench.until_volume_is_gone(VolumeId::Disk(a)).await;
    bench.leave_no_trace().await;
}
