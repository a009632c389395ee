//! Every bound of the journal in one place, with the arithmetic that ties the bounds together.

use std::time::Duration;

/// Blocks begin and end on this boundary, bytes.
pub const BLOCK_ALIGN: usize = 4096;

/// Bytes of a block's header.
pub const HEADER_BYTES: usize = 128;

/// Entries are packed into one block until the next one would pass this many payload bytes.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// The largest payload of a block, and so the largest single entry, bytes. In a folder with small
/// segments the limit is what fits into one segment.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// The largest block, bytes.
pub const BLOCK_BYTES_MAX: usize = (HEADER_BYTES + PAYLOAD_BYTES_MAX).next_multiple_of(BLOCK_ALIGN);

/// Bytes of a segment unless the settings say otherwise.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// The smallest segment that [`open`](super::open) accepts, bytes.
pub const SEGMENT_BYTES_MIN: u64 = 512 * 1024;

/// The largest segment that [`open`](super::open) accepts, bytes.
pub const SEGMENT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Zero-written segments kept ready unless the settings say otherwise: the reserve that cancels and
/// settlement go on into when the disk is full.
pub const RESERVE_SEGMENTS: usize = 2;

/// Blocks written but not yet durable. A block is sealed only once the block this many places before
/// it is durable; recovery relies on it.
pub const BLOCKS_IN_FLIGHT_MAX: u64 = 8;

/// After about this long without work the journal writes a watermark block, once.
pub const IDLE: Duration = Duration::from_millis(10);

/// How much is read or zeroed at a time, bytes.
pub(super) const CHUNK_BYTES: usize = 1024 * 1024;

const _: () = assert!(HEADER_BYTES < BLOCK_ALIGN);
const _: () = assert!(crate::record::PART_BYTES == PAYLOAD_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX <= PAYLOAD_BYTES_MAX);
const _: () = assert!(PAYLOAD_BYTES_MAX <= u32::MAX as usize - HEADER_BYTES);
const _: () = assert!(BLOCK_BYTES_MAX.is_multiple_of(BLOCK_ALIGN));
const _: () = assert!((BATCH_BYTES_MAX + HEADER_BYTES) as u64 <= SEGMENT_BYTES_MIN);
const _: () = assert!(SEGMENT_BYTES_MIN.is_multiple_of(BLOCK_ALIGN as u64));
const _: () = assert!(SEGMENT_BYTES_MAX.is_multiple_of(BLOCK_ALIGN as u64));
const _: () = assert!(BLOCK_BYTES_MAX as u64 <= SEGMENT_BYTES_DEFAULT);
const _: () = assert!(SEGMENT_BYTES_MIN <= SEGMENT_BYTES_DEFAULT);
const _: () = assert!(SEGMENT_BYTES_DEFAULT <= SEGMENT_BYTES_MAX);
const _: () = assert!(CHUNK_BYTES.is_multiple_of(BLOCK_ALIGN));
const _: () = assert!(BLOCKS_IN_FLIGHT_MAX >= 1);
