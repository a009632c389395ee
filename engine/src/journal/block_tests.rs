//! Golden bytes of each kind of block. Changing them needs a new format version.

use super::*;

fn sealed(kind: Kind, payload: &[u8], previous_chain: [u8; 32]) -> (Vec<u8>, [u8; 32]) {
    let number = kind as u64;
    let mut block = vec![0; block_bytes(payload.len())];
    block[HEADER_BYTES..HEADER_BYTES + payload.len()].copy_from_slice(payload);
    let header = Header {
        kind,
        exchange_id: 0x1122_3344_5566_7788,
        segment_id: 1,
        offset: 4096 * number,
        epoch: 1,
        block_seq: 10 + number,
        first_seq: 7,
        count: if kind == Kind::Data { 2 } else { 0 },
        payload_len: payload.len() as u32,
        durable_seq: 6,
        previous_chain,
        durable_block: 9,
    };
    let chain = seal(&header, &mut block);
    assert_eq!(decode(&block), Ok(header));
    assert!(payload_is_sound(&block));
    (block, chain)
}

fn hexdump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let plain: String = line
            .iter()
            .map(|byte| {
                if byte.is_ascii_graphic() {
                    char::from(*byte)
                } else {
                    '.'
                }
            })
            .collect();
        text += &format!("{:08x}  {}  |{plain}|\n", row * 16, hex.join(" "));
    }
    text
}

fn check(kind: Kind, payload: &[u8], golden: &str, golden_chain: &str) {
    let (block, chain) = sealed(kind, payload, [0xaa; 32]);
    let shown = hexdump(&block[..HEADER_BYTES + payload.len().next_multiple_of(16)]);
    assert_eq!(shown, golden, "\n{shown}");
    assert!(
        block[HEADER_BYTES + payload.len()..]
            .iter()
            .all(|byte| *byte == 0)
    );
    let chain: String = chain.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(chain, golden_chain);
}

#[test]
fn data_block() {
    check(Kind::Data, b"first record|second record", DATA, DATA_CHAIN);
    let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/JOURNAL.md"));
    assert!(
        document.contains(DATA),
        "JOURNAL.md shows other bytes than the code writes"
    );
    assert!(document.contains(DATA_CHAIN));
}

#[test]
fn watermark_block() {
    check(Kind::Watermark, b"", WATERMARK, WATERMARK_CHAIN);
}

#[test]
fn epoch_start_block() {
    check(Kind::EpochStart, b"", EPOCH_START, EPOCH_START_CHAIN);
}

#[test]
fn any_flipped_bit_is_seen() {
    let (block, _) = sealed(Kind::Data, b"payload", [7; 32]);
    for bit in 0..block.len() * 8 {
        let mut damaged = block.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let seen = decode(&damaged).is_err() || !payload_is_sound(&damaged);
        assert!(seen, "bit {bit} can be flipped unseen");
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_anything_is_read() {
    let (mut block, _) = sealed(Kind::Data, b"payload", [7; 32]);
    block[60..64].copy_from_slice(&u32::MAX.to_le_bytes());
    let sum = crc32c::crc32c(&block[..124]);
    block[124..128].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(decode(&block), Err(Fault::Length(u32::MAX)));
}

const DATA: &str = r#"00000000  48 50 4a 4c 08 00 01 00 88 77 66 55 44 33 22 11  |HPJL.....wfUD3".|
00000010  01 00 00 00 00 00 00 00 00 10 00 00 00 00 00 00  |................|
00000020  01 00 00 00 00 00 00 00 0b 00 00 00 00 00 00 00  |................|
00000030  07 00 00 00 00 00 00 00 02 00 00 00 1a 00 00 00  |................|
00000040  06 00 00 00 00 00 00 00 aa aa aa aa aa aa aa aa  |................|
00000050  aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa  |................|
00000060  aa aa aa aa aa aa aa aa 09 00 00 00 00 00 00 00  |................|
00000070  00 00 00 00 00 00 00 00 cb 19 c8 f3 75 62 2e ee  |............ub..|
00000080  66 69 72 73 74 20 72 65 63 6f 72 64 7c 73 65 63  |first.record|sec|
00000090  6f 6e 64 20 72 65 63 6f 72 64 00 00 00 00 00 00  |ond.record......|
"#;
const DATA_CHAIN: &str = "19aad6fe0b74e4e7ba5c1538688fb512a47c88bf941f39d5d68db6dc2d1ab4bd";
const WATERMARK: &str = r#"00000000  48 50 4a 4c 08 00 02 00 88 77 66 55 44 33 22 11  |HPJL.....wfUD3".|
00000010  01 00 00 00 00 00 00 00 00 20 00 00 00 00 00 00  |................|
00000020  01 00 00 00 00 00 00 00 0c 00 00 00 00 00 00 00  |................|
00000030  07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|
00000040  06 00 00 00 00 00 00 00 aa aa aa aa aa aa aa aa  |................|
00000050  aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa  |................|
00000060  aa aa aa aa aa aa aa aa 09 00 00 00 00 00 00 00  |................|
00000070  00 00 00 00 00 00 00 00 c4 7e 50 ab 7c 24 db b5  |.........~P.|$..|
"#;
const WATERMARK_CHAIN: &str = "949b89c154348eff20db26e007333cd863e8809315508498f591d28138554b11";
const EPOCH_START: &str = r#"00000000  48 50 4a 4c 08 00 03 00 88 77 66 55 44 33 22 11  |HPJL.....wfUD3".|
00000010  01 00 00 00 00 00 00 00 00 30 00 00 00 00 00 00  |.........0......|
00000020  01 00 00 00 00 00 00 00 0d 00 00 00 00 00 00 00  |................|
00000030  07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  |................|
00000040  06 00 00 00 00 00 00 00 aa aa aa aa aa aa aa aa  |................|
00000050  aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa aa  |................|
00000060  aa aa aa aa aa aa aa aa 09 00 00 00 00 00 00 00  |................|
00000070  00 00 00 00 00 00 00 00 c4 7e 50 ab 31 f8 5a a4  |.........~P.1.Z.|
"#;
const EPOCH_START_CHAIN: &str = "258790109bf40a8cf4604875727088ce592784198972ca8946cb1a4cfb1c214f";
