//! Opens a folder: reads it all, cuts what was never told, and stands ready to append.
//!
//! A crash at any moment in here leads to the same end when it is tried again: the first page of the
//! tail is marked as bad before anything behind it is touched, and replaced last.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::block::Kind;
use super::buffer::Buffer;
use super::disk::{Disk, DiskFile, Lock};
use super::error::{JournalError, io_error};
use super::limits::{
    BLOCK_ALIGN, CHUNK_BYTES, HEADER_BYTES, PAYLOAD_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};
use super::place::{Place, Position};
use super::reader::{self, Cut};
use super::room::Room;
use super::stats::JournalStats;
use super::{BlockView, IoChoice, Settings, segment, tail};

/// Stands at the first page of a tail while the rest is zeroed; never a block.
const CUT_MARK: &[u8; BLOCK_ALIGN] = &[b'!'; BLOCK_ALIGN];

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The exchange that the journal belongs to.
    pub exchange_id: u64,
    /// Good blocks, the one included that opening may have written.
    pub blocks: u64,
    /// The last sequence number; all up to it are durable. 0 if there is none.
    pub last_seq: u64,
    /// The recovery epoch from now on, from 1.
    pub epoch: u64,
    /// BLAKE3 of the last block.
    pub chain: [u8; 32],
    /// Number of the segment that is written next.
    pub segment_id: u64,
    /// Where in that segment, bytes.
    pub offset: u64,
    /// The tail that was cut, if there was one.
    pub cut: Option<Cut>,
}

/// An open journal, ready to append. Holds the folder until dropped.
#[derive(Debug)]
pub struct Journal {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) io: IoChoice,
    pub(super) reserve: usize,
    pub(super) room: Arc<Room>,
    pub(super) at: Place,
    pub(super) payload_max: usize,
    pub(super) durable_seq: Arc<AtomicU64>,
    pub(super) stats: Arc<JournalStats>,
    pub(super) lock: Box<dyn Lock>,
}

impl Journal {
    /// The last sequence number that is durable; stored with Release before the entries come out.
    pub fn durable_watermark(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.durable_seq)
    }

    /// Whether the disk has room for the next segments.
    pub fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    /// Counters of the journal thread.
    pub fn stats(&self) -> Arc<JournalStats> {
        Arc::clone(&self.stats)
    }

    /// The place behind the last block.
    pub fn position(&self) -> Position {
        Position::new(self.at.clone())
    }

    /// The sequence number that the next entry must begin with.
    pub fn next_seq(&self) -> u64 {
        self.at.next_seq
    }

    /// BLAKE3 of the last block.
    pub fn chain(&self) -> [u8; 32] {
        self.at.chain
    }

    /// The most bytes that one entry may have in this folder.
    pub fn entry_bytes_max(&self) -> usize {
        self.payload_max
    }
}

/// Recovers the folder: calls `visit` for every good block in order, cuts a torn tail, and leaves the
/// journal ready to append. A new folder gets its first segment and block.
///
/// # Errors
/// [`JournalError::Refused`] if something that had been told is damaged or the folder is not what it
/// should be; then nothing was changed. Otherwise the system's errors, bad settings, the visitor's.
pub fn open(
    settings: Settings,
    visit: impl FnMut(BlockView<'_>) -> Result<(), String>,
) -> Result<(Journal, RecoveryReport), JournalError> {
    let asked = settings.segment_bytes;
    if !segment::segment_bytes_possible(asked) {
        let (least, most) = (SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        return Err(JournalError::SegmentBytes { asked, least, most });
    }
    let (disk, dir) = (settings.disk, settings.dir);
    let disk_ref = &*disk;
    disk.make_dir(&dir).map_err(io_error("create", &dir))?;
    let lock = segment::lock(disk_ref, &dir)?;
    segment::remove_unfinished(disk_ref, &dir)?;
    let folder = match segment::list(disk_ref, &dir)? {
        Some(folder) => folder,
        None if settings.exchange_id == 0 => return Err(JournalError::ExchangeIdNeeded { dir }),
        None => {
            segment::prepare(disk_ref, &dir, 1, asked, &AtomicBool::new(false))?;
            segment::Folder {
                first: 1,
                last: 1,
                bytes: asked,
            }
        }
    };
    let segment_bytes = folder.bytes;
    let start = reader::beginning(
        disk_ref,
        &dir,
        &folder,
        settings.exchange_id,
        settings.from.as_ref(),
    )?;
    let walk = reader::walk(disk_ref, &dir, start, visit)?;
    let mut at = walk.at;
    if at.exchange_id == 0 {
        return Err(JournalError::ExchangeIdNeeded { dir });
    }
    let path = segment::path(&dir, at.segment_id);
    let file = disk.open_to_write(&path).map_err(io_error("open", &path))?;
    write_again(&*file, walk.unproven_from, &walk.unproven)
        .map_err(io_error("write the last blocks of", &path))?;
    if let Some(cut) = &walk.torn {
        erase(&*file, cut).map_err(io_error("cut the tail of", &path))?;
        tracing::warn!(
            segment = %cut.segment.display(), offset = cut.offset, bytes = cut.bytes,
            first_seq = cut.first_seq, fault = %cut.fault, epoch = at.epoch + 1,
            "cut a tail that nobody had been told about"
        );
    }
    // True once the sync below has answered.
    at.durable_seq = at.next_seq - 1;
    at.durable_block = at.next_block - 1;
    if walk.torn.is_some() || at.next_block == 1 {
        let mut epoch_start = Buffer::new();
        let offset = tail::seal(&mut at, Kind::EpochStart, 0, &mut epoch_start);
        file.write_all_at(epoch_start.block(), offset)
            .map_err(io_error("write", &path))?;
    }
    file.sync().map_err(io_error("sync", &path))?;
    disk.sync_dir(&dir).map_err(io_error("sync", &dir))?;
    at.durable_block = at.next_block - 1;
    let report = RecoveryReport {
        exchange_id: at.exchange_id,
        blocks: at.next_block - 1,
        last_seq: at.next_seq - 1,
        epoch: at.epoch,
        chain: at.chain,
        segment_id: at.segment_id,
        offset: at.offset,
        cut: walk.torn,
    };
    let fits = usize::try_from(segment_bytes).unwrap_or(usize::MAX) - HEADER_BYTES;
    let journal = Journal {
        disk,
        dir,
        io: settings.io,
        reserve: settings.reserve_segments.max(1),
        room: Arc::new(Room::default()),
        payload_max: PAYLOAD_BYTES_MAX.min(fits),
        durable_seq: Arc::new(AtomicU64::new(at.durable_seq)),
        stats: Arc::new(JournalStats::default()),
        at,
        lock,
    };
    assert_eq!(journal.durable_seq.load(Ordering::Relaxed), report.last_seq);
    Ok((journal, report))
}

/// The last blocks may have been read from this machine's memory only, left there by writes whose sync
/// failed or never came. Written again they are new to the system, and the next sync must store them. The
/// bytes are those that were judged: the system may have forgotten its own by now.
fn write_again(file: &dyn DiskFile, from: u64, blocks: &[Vec<u8>]) -> std::io::Result<()> {
    let mut at = from;
    for block in blocks {
        file.write_all_at(block, at)?;
        at += block.len() as u64;
    }
    Ok(())
}

/// Marks the tail's first page as bad, then zeroes everything behind it. Both durable on return; the
/// caller replaces the mark.
fn erase(file: &dyn DiskFile, cut: &Cut) -> std::io::Result<()> {
    file.write_all_at(CUT_MARK, cut.offset)?;
    file.sync()?;
    let zeros = vec![0; CHUNK_BYTES];
    let end = cut.offset + cut.bytes;
    let mut at = cut.offset + BLOCK_ALIGN as u64;
    while at < end {
        let now = (end - at).min(CHUNK_BYTES as u64);
        file.write_all_at(&zeros[..now as usize], at)?;
        at += now;
    }
    file.sync()
}

#[cfg(test)]
mod tests {
    use super::super::block::Fault;
    use super::*;

    #[test]
    fn an_erased_tail_begins_with_the_mark_and_is_zero_behind_it() {
        let path = std::env::temp_dir().join(format!("journal-erase-{}", std::process::id()));
        std::fs::write(&path, vec![7; 6 * BLOCK_ALIGN]).unwrap();
        let file = super::super::RealDisk.open_to_write(&path).unwrap();
        let page = BLOCK_ALIGN as u64;
        let cut = Cut {
            segment: path.clone(),
            offset: page,
            bytes: 4 * page,
            first_seq: 1,
            fault: Fault::Zero,
        };
        erase(&*file, &cut).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let pages: Vec<&[u8]> = bytes.chunks(BLOCK_ALIGN).collect();
        let (seven, zero) = ([7; BLOCK_ALIGN], [0; BLOCK_ALIGN]);
        assert!(pages == [&seven, CUT_MARK, &zero, &zero, &zero, &seven].map(|page| &page[..]));
    }
}
