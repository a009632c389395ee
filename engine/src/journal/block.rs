//! One block: 128 bytes of header, the payload, zeros up to the next 4 KiB boundary.
//!
//! Everything is little-endian. The header's checksum covers its first 124 bytes, the payload's covers
//! payload and padding, and the chain value of a block is the BLAKE3 of those 124 bytes and the payload.

use super::limits::{BLOCK_ALIGN, HEADER_BYTES, PAYLOAD_BYTES_MAX};

/// The first four bytes of every block.
pub(super) const MAGIC: [u8; 4] = *b"HPJL";

/// The format that this code writes, and the only one it reads: of the blocks, and of the commands, events
/// and results inside them.
pub const VERSION: u16 = 8;

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
#[repr(u16)]
pub enum Kind {
    /// Carries records.
    Data = 1,
    /// Carries nothing but `durable_seq`: covers the last data block before a pause.
    Watermark = 2,
    /// Opens a journal, and follows each cut: from here on the recovery epoch is one higher.
    EpochStart = 3,
}

/// Why bytes are not a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Where a block's first page should be there are only zeros.
    #[error("nothing but zeros where a block should begin")]
    Zero,
    /// The first four bytes are something else.
    #[error("the block does not begin with the journal's mark")]
    Magic,
    /// The header does not agree with its CRC32C.
    #[error("the block header does not agree with its checksum")]
    HeaderChecksum,
    /// A sound header of a format this code does not read.
    #[error("the block has format version {0}")]
    Version(u16),
    /// A kind that this version does not have.
    #[error("the block is of unknown kind {0}")]
    Kind(u16),
    /// Bytes 112 to 119 are not zero.
    #[error("the reserved bytes of the block header are not zero")]
    Reserved,
    /// Longer than a block may be or than what is left of the segment.
    #[error("the block claims {0} bytes of payload, more than can be there")]
    Length(u32),
    /// Payload and padding do not agree with their CRC32C.
    #[error("the block's payload or padding does not agree with its checksum")]
    PayloadChecksum,
    /// A sound block of an epoch that a recovery has closed.
    #[error("the block belongs to the abandoned recovery epoch {0}")]
    Abandoned(u64),
}

/// The header's fields, without the two checksums that [`seal`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) exchange_id: u64,
    pub(super) segment_id: u64,
    pub(super) offset: u64,
    pub(super) epoch: u64,
    pub(super) block_seq: u64,
    pub(super) first_seq: u64,
    pub(super) count: u32,
    pub(super) payload_len: u32,
    pub(super) durable_seq: u64,
    pub(super) previous_chain: [u8; 32],
    pub(super) durable_block: u64,
}

/// Bytes on disk of a block with this much payload.
pub(super) const fn block_bytes(payload_len: usize) -> usize {
    (HEADER_BYTES + payload_len).next_multiple_of(BLOCK_ALIGN)
}

/// Writes the header in front of the payload that `block` already holds; answers the chain value.
/// `block` is the whole block, payload in place and padding zero.
pub(super) fn seal(header: &Header, block: &mut [u8]) -> [u8; 32] {
    let payload_len = header.payload_len as usize;
    assert!(payload_len <= PAYLOAD_BYTES_MAX);
    assert_eq!(block.len(), block_bytes(payload_len));
    let (head, rest) = block.split_at_mut(HEADER_BYTES);
    head[0..4].copy_from_slice(&MAGIC);
    head[4..6].copy_from_slice(&VERSION.to_le_bytes());
    head[6..8].copy_from_slice(&(header.kind as u16).to_le_bytes());
    head[8..16].copy_from_slice(&header.exchange_id.to_le_bytes());
    head[16..24].copy_from_slice(&header.segment_id.to_le_bytes());
    head[24..32].copy_from_slice(&header.offset.to_le_bytes());
    head[32..40].copy_from_slice(&header.epoch.to_le_bytes());
    head[40..48].copy_from_slice(&header.block_seq.to_le_bytes());
    head[48..56].copy_from_slice(&header.first_seq.to_le_bytes());
    head[56..60].copy_from_slice(&header.count.to_le_bytes());
    head[60..64].copy_from_slice(&header.payload_len.to_le_bytes());
    head[64..72].copy_from_slice(&header.durable_seq.to_le_bytes());
    head[72..104].copy_from_slice(&header.previous_chain);
    head[104..112].copy_from_slice(&header.durable_block.to_le_bytes());
    head[112..120].fill(0);
    head[120..124].copy_from_slice(&crc32c::crc32c(rest).to_le_bytes());
    let head_sum = crc32c::crc32c(&head[..124]);
    head[124..128].copy_from_slice(&head_sum.to_le_bytes());
    chain(block, payload_len)
}

/// The chain value of a sealed block: what the next block's header must name.
pub(super) fn chain(block: &[u8], payload_len: usize) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&block[..124]);
    hasher.update(&block[HEADER_BYTES..HEADER_BYTES + payload_len]);
    *hasher.finalize().as_bytes()
}

/// Reads a header from a block's first page. Says nothing about the payload.
pub(super) fn decode(page: &[u8]) -> Result<Header, Fault> {
    if page.iter().all(|byte| *byte == 0) {
        return Err(Fault::Zero);
    }
    if page[0..4] != MAGIC {
        return Err(Fault::Magic);
    }
    if crc32c::crc32c(&page[..124]) != u32_at(page, 124) {
        return Err(Fault::HeaderChecksum);
    }
    let version = u16_at(page, 4);
    if version != VERSION {
        return Err(Fault::Version(version));
    }
    let kind = match u16_at(page, 6) {
        1 => Kind::Data,
        2 => Kind::Watermark,
        3 => Kind::EpochStart,
        other => return Err(Fault::Kind(other)),
    };
    if page[112..120].iter().any(|byte| *byte != 0) {
        return Err(Fault::Reserved);
    }
    let payload_len = u32_at(page, 60);
    if payload_len as usize > PAYLOAD_BYTES_MAX {
        return Err(Fault::Length(payload_len));
    }
    let mut previous_chain = [0; 32];
    previous_chain.copy_from_slice(&page[72..104]);
    Ok(Header {
        kind,
        exchange_id: u64_at(page, 8),
        segment_id: u64_at(page, 16),
        offset: u64_at(page, 24),
        epoch: u64_at(page, 32),
        block_seq: u64_at(page, 40),
        first_seq: u64_at(page, 48),
        count: u32_at(page, 56),
        payload_len,
        durable_seq: u64_at(page, 64),
        previous_chain,
        durable_block: u64_at(page, 104),
    })
}

/// Whether payload and padding agree with the checksum in the header of this whole block.
pub(super) fn payload_is_sound(block: &[u8]) -> bool {
    crc32c::crc32c(&block[HEADER_BYTES..]) == u32_at(block, 120)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | (u64::from(u32_at(bytes, at + 4)) << 32)
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
