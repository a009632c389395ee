//! The journal's blocks as a stranger finds them, by `engine/JOURNAL.md` alone: for the oracle, which must
//! know without asking the journal what damage may be cut and what must be refused.

use std::{collections::BTreeMap, path::PathBuf};

use super::bytes::{Bytes, PAGE};

const HEADER: usize = 128;

/// A sound block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its file.
    pub path: PathBuf,
    /// Its segment's number.
    pub segment: u64,
    /// Where it begins.
    pub offset: u64,
    /// With padding.
    pub bytes: u64,
    /// 1 data, 2 watermark, 3 epoch start.
    pub kind: u16,
    /// Recovery epoch.
    pub epoch: u64,
    /// Position among all blocks.
    pub block_seq: u64,
    /// First sequence number.
    pub first_seq: u64,
    /// Sequence numbers.
    pub count: u32,
    /// The newest block that was durable when this one was sealed.
    pub durable_block: u64,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(&bytes[at..at + N]);
    u64::from_le_bytes(wide)
}

/// Every sound block at every page of every segment, in order.
#[must_use]
pub fn sound(image: &BTreeMap<PathBuf, Bytes>) -> Vec<Block> {
    let mut found = Vec::new();
    for (path, bytes) in image {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let Some(segment) = name.strip_suffix(".seg").and_then(|stem| stem.parse().ok()) else {
            continue;
        };
        for page in 0..bytes.pages() {
            if bytes.is_blank(page) {
                continue;
            }
            let offset = (page * PAGE) as u64;
            let mut head = [0; HEADER];
            if !bytes.read(&mut head, offset) || &head[..4] != b"HPJL" {
                continue;
            }
            if u64::from(crc32c::crc32c(&head[..124])) != number::<4>(&head, 124) {
                continue;
            }
            let payload = number::<4>(&head, 60) as usize;
            let whole = (HEADER + payload).next_multiple_of(PAGE);
            let mut body = vec![0; whole - HEADER];
            if !bytes.read(&mut body, offset + HEADER as u64)
                || u64::from(crc32c::crc32c(&body)) != number::<4>(&head, 120)
            {
                continue;
            }
            found.push(Block {
                path: path.clone(),
                segment,
                offset,
                bytes: whole as u64,
                kind: number::<2>(&head, 6) as u16,
                epoch: number::<8>(&head, 32),
                block_seq: number::<8>(&head, 40),
                first_seq: number::<8>(&head, 48),
                count: number::<4>(&head, 56) as u32,
                durable_block: number::<8>(&head, 104),
            });
        }
    }
    found
}

/// What a start must do about a damaged block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It had been durable, and it shows: refuse.
    Refuse,
    /// Nothing shows that it had been: cut.
    Cut,
}

/// By the table in `JOURNAL.md`.
#[must_use]
pub fn verdict(damaged: &Block, image: &BTreeMap<PathBuf, Bytes>, sound: &[Block]) -> Verdict {
    let behind = |block: &&Block| {
        block.segment == damaged.segment
            && block.offset > damaged.offset
            && block.epoch >= damaged.epoch
            && block.durable_block >= damaged.block_seq
    };
    let later_in_use = image.iter().any(|(path, bytes)| {
        path.extension().is_some_and(|kind| kind == "seg")
            && *path > damaged.path
            && (0..bytes.pages()).any(|page| !bytes.is_blank(page))
    });
    if later_in_use || sound.iter().any(|block| behind(&block)) {
        Verdict::Refuse
    } else {
        Verdict::Cut
    }
}

/// The last block of the unbroken line from block 1 on.
#[must_use]
pub fn last_in_line(sound: &[Block]) -> Option<&Block> {
    let mut last: Option<&Block> = None;
    let (mut segment, mut offset) = (1, 0);
    loop {
        let seq = last.map_or(1, |last| last.block_seq + 1);
        let epoch = last.map_or(0, |last| last.epoch);
        let next = sound.iter().find(|block| {
            let here = (block.segment, block.offset) == (segment, offset);
            let next_segment = (block.segment, block.offset) == (segment + 1, 0);
            (here || next_segment) && block.block_seq == seq && block.epoch >= epoch
        });
        let Some(next) = next else {
            return last;
        };
        (segment, offset) = (next.segment, next.offset + next.bytes);
        last = Some(next);
    }
}

/// Whether anything lies behind a place.
#[must_use]
pub fn something_behind(image: &BTreeMap<PathBuf, Bytes>, segment: u64, offset: u64) -> bool {
    image.iter().any(|(path, bytes)| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let number = name
            .strip_suffix(".seg")
            .and_then(|stem| stem.parse::<u64>().ok());
        let from = match number {
            Some(number) if number == segment => offset as usize / PAGE,
            Some(number) if number > segment => 0,
            _ => return false,
        };
        (from..bytes.pages()).any(|page| !bytes.is_blank(page))
    })
}
