//! Golden bytes of a header. Changing them needs a new format version.

use super::{
    Flaw,
    header::{BYTES, Header},
};
use crate::journal::Position;

/// Behind block 42 of the journal of exchange 0x1122334455667788, which ended with command 8.
fn position() -> Position {
    let longs = [
        0x1122_3344_5566_7788_u64,
        3,
        0x40_0000,
        0x9000,
        0x7000,
        1,
        43,
        9,
        6,
        41,
    ];
    let mut bytes: Vec<u8> = longs.iter().flat_map(|long| long.to_le_bytes()).collect();
    bytes.extend_from_slice(&[0xaa; 32]);
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    let read = bincode::decode_from_slice(&bytes, crate::exchange::encoding());
    let (position, used) = read.expect("a place");
    assert_eq!(used, bytes.len());
    position
}

fn header() -> Header {
    Header {
        seq: 8,
        position: position(),
        state_bytes: 1_234,
        state_hash: [0xbb; 32],
        annex_bytes: 77,
        annex_hash: [0xcc; 32],
    }
}

fn hexdump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, line) in bytes.chunks(16).enumerate() {
        if line.iter().all(|byte| *byte == 0) {
            continue;
        }
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("{:08x}  {}\n", row * 16, hex.join(" "));
    }
    text
}

#[test]
fn the_header_has_the_bytes_of_the_document() {
    let bytes = header().encode();
    assert_eq!(Header::decode(&bytes).ok(), Some(header()));
    let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/JOURNAL.md"));
    let shown = hexdump(&bytes);
    assert!(document.contains(&shown), "JOURNAL.md should show\n{shown}");
    let version = format!("| 4 | 2 | version | {} ", super::VERSION);
    assert!(
        document.contains(&version),
        "JOURNAL.md should say: {version}"
    );
}

#[test]
fn no_bit_of_a_header_is_believed_without_its_checksum() {
    let bytes = header().encode();
    for at in 0..BYTES {
        for bit in 0..8 {
            let mut flipped = bytes;
            flipped[at] ^= 1 << bit;
            let flaw = Header::decode(&flipped).expect_err("flipped");
            assert!(
                matches!(flaw, Flaw::HeaderChecksum | Flaw::NoSnapshot),
                "{flaw}"
            );
        }
    }
}

/// A header made with care, of which one word is wrong.
fn forged(at: usize, word: u32) -> Flaw {
    let mut bytes = header().encode();
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    let sum = crc32c::crc32c(&bytes[..BYTES - 4]);
    bytes[BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
    Header::decode(&bytes).expect_err("forged")
}

#[test]
fn what_a_forged_header_says_is_looked_at() {
    let words = |at, word| forged(at, word).to_string();
    assert!(words(4, 0x0002_0009).contains("version 9, this program reads version"));
    assert!(words(4, 0x0009_0005).contains("journal format version 9"));
    assert!(forged(4, 0x0009_0005).is_newer());
    assert!(!forged(4, 0x0001_0005).is_newer());
    assert!(words(8, 5).contains("another exchange's journal"));
    assert!(words(16, 7).contains("not behind the state's last command"));
    assert!(words(64, u32::MAX).contains("longer than its room"));
    assert!(words(64, 10).contains("cannot be read"));
    assert!(words(64, 200).contains("bytes too many"));
    assert!(words(68, 1).contains("reserved"));
    assert!(words(300, 1).contains("padding"));
    // The next command's number would be 0.
    assert!(words(112 + 56, 0).contains("not behind"));
}
