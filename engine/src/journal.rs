//! The durable journal: what was asked, in order, on disk before anybody is told.
//!
//! It carries opaque bytes and the range of sequence numbers they stand for. A folder of zero-written
//! segments holds 4 KiB aligned blocks, each with two checksums and a hash of the block before it.
//! [`open`] reads everything back and leaves the folder ready to append, [`spawn`] runs the one
//! thread that appends, [`scan`] only looks. The format is drawn byte by byte in `JOURNAL.md`.

mod ahead;
mod block;
mod buffer;
mod disk;
mod error;
mod follow;
mod inbox;
mod io;
mod limits;
mod place;
mod reader;
mod recovery;
mod room;
mod segment;
mod stats;
mod tail;
mod uring;
#[cfg(test)]
mod vocabulary;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use block::{Fault, Kind, VERSION};
pub use buffer::Buffer;
pub use disk::{Disk, DiskFile, Lock, RealDisk};
pub use error::{JournalError, Reason, Refusal};
pub use follow::Follow;
pub use inbox::{Door, Feeder, Inbox, inbox};
pub use io::{Done, IoChoice, JournalIo, PlainIo, Waker, Woken, select};
pub use limits::{
    BATCH_BYTES_MAX, BLOCK_ALIGN, BLOCK_BYTES_MAX, BLOCKS_IN_FLIGHT_MAX, HEADER_BYTES, IDLE,
    PAYLOAD_BYTES_MAX, RESERVE_SEGMENTS, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
};
pub use place::Position;
pub use reader::{Cut, ScanReport, scan, scan_from};
pub use recovery::{Journal, RecoveryReport, open};
pub use room::Room;
pub use segment::{Retired, exchange_id, oldest_segment, reaches_back, retire};
pub use stats::{Backend, JournalStats};
pub use uring::UringIo;
pub use writer::{Writer, spawn, spawn_with};

/// Where the journal lives and how it writes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder; made if it is not there. One process at a time may hold it.
    pub dir: PathBuf,
    /// Which exchange the journal belongs to. 0 takes what the folder says and refuses a new folder;
    /// any other value names a new folder and must agree with an old one.
    pub exchange_id: u64,
    /// Bytes of one segment, a multiple of 4096, for a new folder. An old folder keeps its own.
    pub segment_bytes: u64,
    /// Which backend writes.
    pub io: IoChoice,
    /// Zero-written segments kept ready, at least 1: the reserve for a full disk.
    pub reserve_segments: usize,
    /// Where reading begins; none is the very beginning. What lies before is not looked at.
    pub from: Option<Position>,
    /// The file system.
    pub disk: Arc<dyn Disk>,
}

impl Settings {
    /// Settings for `dir` with 64 MiB segments and whichever backend this kernel allows.
    pub fn new(dir: impl Into<PathBuf>, exchange_id: u64) -> Self {
        Self {
            dir: dir.into(),
            exchange_id,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            io: IoChoice::Auto,
            reserve_segments: RESERVE_SEGMENTS,
            from: None,
            disk: Arc::new(RealDisk),
        }
    }
}

/// One good block, as handed to the visitors of [`open`] and [`scan`].
#[derive(Clone, Copy, Debug)]
pub struct BlockView<'a> {
    /// What the block is for; only data blocks carry records.
    pub kind: Kind,
    /// Position of the block in the whole journal, from 1.
    pub block_seq: u64,
    /// Raised by each recovery that cut a tail, from 1.
    pub epoch: u64,
    /// First sequence number in the block; of a block without records, the next one to come.
    pub first_seq: u64,
    /// How many sequence numbers the block covers; 0 unless it is a data block.
    pub count: u32,
    /// The record bytes as the entries encoded them, one after another.
    pub payload: &'a [u8],
    /// The last sequence number that was durable when this block was sealed.
    pub durable_seq: u64,
    /// BLAKE3 of this block: the value that the next block must name.
    pub chain: [u8; 32],
    /// The segment file.
    pub segment: &'a Path,
    /// Where the block begins in the segment, bytes.
    pub offset: u64,
    /// The place behind the block, from which a later reading can go on.
    pub after: &'a Position,
}

/// Something that travels through the journal thread and comes out when durable.
pub trait Entry: Send + 'static {
    /// The first sequence number that the entry covers; contiguous from entry to entry, from 1.
    fn first_seq(&self) -> u64;
    /// How many sequence numbers the entry covers, at least 1.
    fn count(&self) -> u32;
    /// Appends the record bytes, at most [`PAYLOAD_BYTES_MAX`]. Never removes what `out` holds.
    fn encode(&mut self, out: &mut Vec<u8>);
}
