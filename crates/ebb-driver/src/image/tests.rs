use super::*;
use proptest::prelude::*;

/// Names of features, an extension that whoever reads may skip.
const FEATURE_NAMES: u32 = 0x6803_f857;

/// A plain qcow2 of version 3 with a disk of 1 GiB, as `qemu-img create` makes it, and its length.
fn plain() -> (Vec<u8>, u64) {
    let mut head = vec![0; 256 << 10];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, MAGIC);
    put(4, &3_u32.to_be_bytes());
    put(20, &16_u32.to_be_bytes());
    put(24, &(1_u64 << 30).to_be_bytes());
    put(36, &2_u32.to_be_bytes());
    put(40, &(3_u64 << 16).to_be_bytes());
    put(48, &(1_u64 << 16).to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &112_u32.to_be_bytes());
    put(112, &FEATURE_NAMES.to_be_bytes());
    put(116, &48_u32.to_be_bytes());
    let length = head.len() as u64;
    (head, length)
}

const MOST: u64 = 1 << 40;

fn with(at: usize, bytes: &[u8]) -> Result<Header, Unfit> {
    let (mut head, length) = plain();
    head[at..at + bytes.len()].copy_from_slice(bytes);
    qcow2(&head, length, MOST)
}

#[test]
fn what_is_plain_is_taken() {
    let (head, length) = plain();
    assert_eq!(qcow2(&head, length, MOST), Ok(Header { bytes: 1 << 30 }));
    assert_eq!(qcow2(&head, length, 1 << 30), Ok(Header { bytes: 1 << 30 }));
    assert_eq!(with(4, &2_u32.to_be_bytes()), Ok(Header { bytes: 1 << 30 }), "version 2 has no more than 72 bytes");
    let zstd = [&(COMPRESSION).to_be_bytes()[..], &[0; 24], &112_u32.to_be_bytes(), &[1]].concat();
    let (mut head, length) = plain();
    head[72..72 + 8].copy_from_slice(&zstd[..8]);
    head[104] = 1;
    assert_eq!(qcow2(&head, length, MOST), Ok(Header { bytes: 1 << 30 }));
}

#[test]
fn each_trick_has_its_own_refusal() {
    let be = |n: u64| n.to_be_bytes();
    let be4 = |n: u32| n.to_be_bytes();
    let table = |table, entries, offset| Err(Unfit::Table { table, entries, offset });
    let refused = [
        (with(0, b"KDMV"), Err(Unfit::Another(Kind::Vmdk))),
        (with(0, b"LUKS\xba\xbe"), Err(Unfit::Another(Kind::Luks))),
        (with(0, b"QED\0"), Err(Unfit::Another(Kind::Qed))),
        (with(0, b"vhdxfile"), Err(Unfit::Another(Kind::Vhdx))),
        (with(0, b"nothing!"), Err(Unfit::Another(Kind::Unknown))),
        (with(4, &be4(1)), Err(Unfit::Another(Kind::Qcow1))),
        (with(4, &be4(4)), Err(Unfit::Version(4))),
        (with(8, &be(1 << 10)), Err(Unfit::Backing)),
        (with(16, &be4(11)), Err(Unfit::Backing)),
        (with(112, &BACKING_FORMAT.to_be_bytes()), Err(Unfit::Backing)),
        (with(72, &be(EXTERNAL_DATA)), Err(Unfit::ExternalData)),
        (with(112, &DATA_FILE.to_be_bytes()), Err(Unfit::ExternalData)),
        (with(32, &be4(1)), Err(Unfit::Encrypted)),
        (with(32, &be4(2)), Err(Unfit::Encrypted)),
        (with(112, &ENCRYPTION.to_be_bytes()), Err(Unfit::Encrypted)),
        (with(60, &be4(1)), Err(Unfit::Snapshots)),
        (with(72, &be(1 << 5)), Err(Unfit::Features(1 << 5))),
        (with(72, &be(DIRTY)), Err(Unfit::Dirty)),
        (with(72, &be(CORRUPT)), Err(Unfit::Corrupt)),
        (with(72, &be(EXTENDED_L2)), Err(Unfit::ExtendedL2)),
        (with(72, &be(COMPRESSION)), Err(Unfit::Compression(0))),
        (with(104, &[1]), Err(Unfit::Compression(1))),
        (with(104, &[9]), Err(Unfit::Compression(9))),
        (with(112, &BITMAPS_EXTENSION.to_be_bytes()), Err(Unfit::Bitmaps)),
        (with(88, &be(BITMAPS)), Err(Unfit::Bitmaps)),
        (with(20, &be4(8)), Err(Unfit::Clusters(8))),
        (with(20, &be4(22)), Err(Unfit::Clusters(22))),
        (with(20, &be4(u32::MAX)), Err(Unfit::Clusters(u32::MAX))),
        (with(96, &be4(7)), Err(Unfit::RefcountOrder(7))),
        (with(100, &be4(0)), Err(Unfit::HeaderLength(0))),
        (with(100, &be4(107)), Err(Unfit::HeaderLength(107))),
        (with(100, &be4(u32::MAX - 7)), Err(Unfit::HeaderLength(u64::from(u32::MAX - 7)))),
        (with(116, &be4(u32::MAX)), Err(Unfit::Extension)),
        (with(116, &be4(1 << 16)), Err(Unfit::Extension)),
        (with(24, &be(0)), Err(Unfit::Size(0))),
        (with(24, &be(1 << 30 | 1)), Err(Unfit::Size(1 << 30 | 1))),
        (with(24, &be(1 << 41)), Err(Unfit::TooLarge { bytes: 1 << 41, most: MOST })),
        (with(24, &be(u64::MAX - 511)), Err(Unfit::TooLarge { bytes: u64::MAX - 511, most: MOST })),
        (with(36, &be4(1)), table("L1 table", 1, 3 << 16)),
        (with(36, &be4(u32::MAX)), table("L1 table", u64::from(u32::MAX), 3 << 16)),
        (with(40, &be(0)), table("L1 table", 2, 0)),
        (with(40, &be(3 << 16 | 8)), table("L1 table", 2, 3 << 16 | 8)),
        (with(40, &be(u64::MAX - 0xffff)), Err(Unfit::Truncated("L1 table"))),
        (with(40, &be(1 << 40)), Err(Unfit::Truncated("L1 table"))),
        (with(48, &be(0)), table("table of reference counts", 8192, 0)),
        (with(56, &be4(0)), table("table of reference counts", 0, 1 << 16)),
        (with(56, &be4(u32::MAX)), table("table of reference counts", u64::from(u32::MAX) << 13, 1 << 16)),
        (with(48, &be(1 << 30)), Err(Unfit::Truncated("table of reference counts"))),
    ];
    for (number, (got, wanted)) in refused.into_iter().enumerate() {
        assert_eq!(got, wanted, "{number}");
    }
    let (head, length) = plain();
    for cut in [0, 3, 7, 71, 103, 111, 119] {
        assert!(qcow2(&head[..cut], cut as u64, MOST).is_err(), "{cut} bytes");
    }
    assert_eq!(qcow2(&head, 3 << 16, MOST), Err(Unfit::Truncated("L1 table")), "of {length} bytes");
}

#[test]
fn what_a_guests_qemu_wrote_may_be_damaged_and_may_not_name_others() {
    let (plain, _) = plain();
    assert_eq!(names_another(&plain), None);
    let mut dirty = plain.clone();
    dirty[79] = 2;
    assert_eq!(names_another(&dirty), None, "that is QEMU's to say");
    for (at, byte) in [(19, 5), (79, 4), (35, 2), (0, 0)] {
        let mut head = plain.clone();
        head[at] = byte;
        assert!(names_another(&head).is_some(), "byte {at}");
    }
}

proptest! {
    /// No bytes at all make the reader panic; and what it takes can be read by QEMU without looking anywhere else.
    #[test]
    fn garbage_is_read_in_peace(
        spoilt in proptest::collection::vec((0..160_usize, any::<u8>()), 0..24),
        cut in 0..300_usize,
        tail in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let (mut head, length) = plain();
        for (at, byte) in spoilt {
            head[at] = byte;
        }
        if let Ok(header) = qcow2(&head, length, MOST) {
            prop_assert!(header.bytes > 0 && header.bytes <= MOST && header.bytes % 512 == 0);
            prop_assert_eq!(be64(&head, 8), Some(0));
            prop_assert_eq!(be32(&head, 32), Some(0));
        }
        let _ = (names_another(&head), kind(&head));
        head.truncate(cut);
        head.extend(&tail);
        let _ = (qcow2(&head, length, MOST), names_another(&head), kind(&head));
        let _ = (qcow2(&tail, tail.len() as u64, MOST), kind(&tail));
    }
}
