//! Reads a folder from its first block to its last good one, and judges what comes after.
//!
//! Changes nothing. What follows the last good block is a clean end (zeros), a torn tail that nobody
//! was told about, or damage to something that had been durable, which is refused. The rule is in
//! `JOURNAL.md`; [`open`](super::open) and [`scan`] share this code, so they cannot disagree.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::BlockView;
use super::block::{self, Fault, Header, VERSION};
use super::disk::{Disk, DiskFile, RealDisk};
use super::error::{JournalError, Reason, io_error, refuse};
use super::limits::{BLOCK_ALIGN, BLOCK_BYTES_MAX, BLOCKS_IN_FLIGHT_MAX};
use super::place::{Place, Position, Verdict};
use super::segment;

/// A tail that nobody was told about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment file.
    pub segment: PathBuf,
    /// Where the tail begins, bytes.
    pub offset: u64,
    /// From there to the end of the last page that held anything, bytes.
    pub bytes: u64,
    /// The first sequence number that was in it, if any was.
    pub first_seq: u64,
    /// What is wrong with its first block.
    pub fault: Fault,
}

/// What [`scan`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanReport {
    /// The exchange that the journal belongs to; 0 if there is no block.
    pub exchange_id: u64,
    /// Number of the last segment file in the folder, those that wait for use included.
    pub segments: u64,
    /// Good blocks.
    pub blocks: u64,
    /// The last sequence number in a good block; 0 if there is none.
    pub last_seq: u64,
    /// The highest sequence number that a good block says was durable before it.
    pub durable_seq: u64,
    /// The recovery epoch, from 1.
    pub epoch: u64,
    /// BLAKE3 of the last good block.
    pub chain: [u8; 32],
    /// Where the next block goes.
    pub segment: PathBuf,
    /// Where in that segment, bytes.
    pub offset: u64,
    /// What a recovery would cut.
    pub torn: Option<Cut>,
}

/// Reads a journal and changes nothing, also while it is being written. A torn tail is reported.
///
/// # Errors
/// The same refusals as [`open`](super::open), the system's errors, and the visitor's.
pub fn scan(
    dir: &Path,
    visit: impl FnMut(BlockView<'_>) -> Result<(), String>,
) -> Result<ScanReport, JournalError> {
    scan_from(&RealDisk, dir, None, visit)
}

/// Like [`scan`], on any disk, and from a position on that an earlier reading has reached.
///
/// # Errors
/// As [`scan`]; also if the position's segment is no longer there.
pub fn scan_from(
    disk: &dyn Disk,
    dir: &Path,
    from: Option<&Position>,
    visit: impl FnMut(BlockView<'_>) -> Result<(), String>,
) -> Result<ScanReport, JournalError> {
    let Some(folder) = segment::list(disk, dir)? else {
        return Err(JournalError::NoJournal {
            dir: dir.to_owned(),
        });
    };
    let walk = walk(disk, dir, beginning(disk, dir, &folder, 0, from)?, visit)?;
    let at = walk.at;
    Ok(ScanReport {
        exchange_id: at.exchange_id,
        segments: walk.segments,
        blocks: at.next_block - 1,
        last_seq: at.next_seq - 1,
        durable_seq: at.durable_seq,
        epoch: at.epoch,
        chain: at.chain,
        segment: segment::path(dir, at.segment_id),
        offset: at.offset,
        torn: walk.torn,
    })
}

/// Where reading ended.
pub(super) struct Walk {
    pub(super) at: Place,
    pub(super) segments: u64,
    pub(super) torn: Option<Cut>,
    /// Where the first of the last few blocks of the last segment begins, as many as may be in flight:
    /// those that were perhaps read from this machine's memory only.
    pub(super) unproven_from: u64,
    /// Those blocks, as they were read and judged: read again they might be others.
    pub(super) unproven: Vec<Vec<u8>>,
}

/// The place where reading begins. `exchange_id` 0 accepts whatever the first block says.
pub(super) fn beginning(
    disk: &dyn Disk,
    dir: &Path,
    folder: &segment::Folder,
    exchange_id: u64,
    from: Option<&Position>,
) -> Result<Place, JournalError> {
    let place = match from {
        None => Place::start(exchange_id, folder.bytes),
        Some(position) => position.place().clone(),
    };
    let path = segment::path(dir, place.segment_id);
    if exchange_id != 0 && place.exchange_id != exchange_id {
        let (expected, found) = (exchange_id, place.exchange_id);
        return Err(refuse(
            path,
            place.offset,
            place.next_seq,
            Reason::ForeignExchange { expected, found },
        ));
    }
    if place.segment_bytes != folder.bytes {
        let (expected, found) = (place.segment_bytes, folder.bytes);
        return Err(refuse(
            path,
            0,
            place.next_seq,
            Reason::SegmentLength { expected, found },
        ));
    }
    if !(folder.first..=folder.last).contains(&place.segment_id) {
        let id = place.segment_id;
        return Err(refuse(
            path,
            0,
            place.next_seq,
            Reason::MissingSegment { id },
        ));
    }
    if from.is_some() && !Reader::at(disk, dir, place.clone())?.stands_behind_its_block()? {
        return Err(refuse(
            path,
            place.last_offset,
            place.next_seq,
            Reason::NotReached,
        ));
    }
    Ok(place)
}

/// Visits every good block from `start` on.
pub(super) fn walk(
    disk: &dyn Disk,
    dir: &Path,
    start: Place,
    mut visit: impl FnMut(BlockView<'_>) -> Result<(), String>,
) -> Result<Walk, JournalError> {
    let mut reader = Reader::at(disk, dir, start)?;
    loop {
        match reader.next_block()? {
            Ok(header) => reader.accept(&header, &mut visit)?,
            Err(Verdict::Wrong(reason)) => return Err(reader.refusal(reason)),
            Err(Verdict::Bad(fault)) => match reader.after_bad(fault)? {
                After::ReadAgain => {}
                After::NextSegment => reader.go_to_next_segment()?,
                After::End(torn) => {
                    let segments = reader.segments()?;
                    let here = reader.at.offset;
                    return Ok(Walk {
                        unproven_from: reader.recent.front().map_or(here, |first| first.0),
                        unproven: reader.recent.into_iter().map(|block| block.1).collect(),
                        at: reader.at,
                        segments,
                        torn,
                    });
                }
            },
        }
    }
}

enum After {
    /// A live journal went on while we looked.
    ReadAgain,
    NextSegment,
    End(Option<Cut>),
}

/// Stands between two blocks of a folder and can look at the next.
pub(super) struct Reader<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    pub(super) at: Place,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    block: Vec<u8>,
    /// Where the last few blocks of this segment begin, and their bytes, the oldest first.
    recent: VecDeque<(u64, Vec<u8>)>,
}

impl<'a> Reader<'a> {
    pub(super) fn at(disk: &'a dyn Disk, dir: &'a Path, at: Place) -> Result<Self, JournalError> {
        let path = segment::path(dir, at.segment_id);
        let file = disk.open(&path).map_err(io_error("open", &path))?;
        let block = Vec::with_capacity(BLOCK_BYTES_MAX);
        Ok(Self {
            disk,
            dir,
            at,
            path,
            file,
            block,
            recent: VecDeque::new(),
        })
    }

    /// The next block, in the next segment if the writer has gone on there.
    pub(super) fn next_anywhere(&mut self) -> Result<Result<Header, Verdict>, JournalError> {
        let here = self.next_block()?;
        let next = segment::path(self.dir, self.at.segment_id + 1);
        if !matches!(here, Err(Verdict::Bad(_)))
            || self.at.offset == 0
            || segment::find(self.disk, &next)?.is_none()
        {
            return Ok(here);
        }
        let stay = self.at.clone();
        self.go_to_next_segment()?;
        let there = self.next_block()?;
        if there.is_err() {
            *self = Self::at(self.disk, self.dir, stay)?;
            return Ok(here);
        }
        Ok(there)
    }

    fn go_to_next_segment(&mut self) -> Result<(), JournalError> {
        let mut at = self.at.clone();
        at.enter_next_segment();
        *self = Self::at(self.disk, self.dir, at)?;
        Ok(())
    }

    /// Whether the block before this place is the one that it was reached by.
    fn stands_behind_its_block(&mut self) -> Result<bool, JournalError> {
        let sound = self.sound_block(self.at.last_offset)?;
        Ok(sound.is_ok_and(|header| {
            block::chain(&self.block, header.payload_len as usize) == self.at.chain
        }))
    }

    pub(super) fn next_block(&mut self) -> Result<Result<Header, Verdict>, JournalError> {
        let offset = self.at.offset;
        Ok(match self.sound_block(offset)? {
            Err(Fault::Version(found)) => Err(Reason::UnknownVersion {
                found,
                known: VERSION,
            }
            .into()),
            Err(fault) => Err(Verdict::Bad(fault)),
            Ok(header) => self.at.judge(&header).map(|()| header),
        })
    }

    /// Reads the block at `offset` into `self.block`, as far as its own checksums can tell.
    fn sound_block(&mut self, offset: u64) -> Result<Result<Header, Fault>, JournalError> {
        let left = self.at.segment_bytes - offset;
        if left < BLOCK_ALIGN as u64 {
            return Ok(Err(Fault::Zero));
        }
        self.read(offset, 0, BLOCK_ALIGN)?;
        let header = match block::decode(&self.block) {
            Ok(header) => header,
            Err(fault) => return Ok(Err(fault)),
        };
        let length = block::block_bytes(header.payload_len as usize);
        if length as u64 > left {
            return Ok(Err(Fault::Length(header.payload_len)));
        }
        self.read(offset, BLOCK_ALIGN, length)?;
        if block::payload_is_sound(&self.block) {
            return Ok(Ok(header));
        }
        Ok(Err(Fault::PayloadChecksum))
    }

    /// Fills bytes `from` to `to` of `self.block` with those of the block at `offset`.
    fn read(&mut self, offset: u64, from: usize, to: usize) -> Result<(), JournalError> {
        self.block.resize(to, 0);
        self.file
            .read_exact_at(&mut self.block[from..], offset + from as u64)
            .map_err(io_error("read", &self.path))
    }

    pub(super) fn accept(
        &mut self,
        header: &Header,
        visit: &mut impl FnMut(BlockView<'_>) -> Result<(), String>,
    ) -> Result<(), JournalError> {
        let payload_len = header.payload_len as usize;
        let chain = block::chain(&self.block, payload_len);
        let mut after = self.at.clone();
        after.pass(header, chain);
        let after = Position::new(after);
        let view = BlockView {
            kind: header.kind,
            block_seq: header.block_seq,
            epoch: header.epoch,
            first_seq: header.first_seq,
            count: header.count,
            payload: &self.block[super::HEADER_BYTES..super::HEADER_BYTES + payload_len],
            durable_seq: header.durable_seq,
            chain,
            segment: &self.path,
            offset: self.at.offset,
            after: &after,
        };
        visit(view).map_err(|reason| JournalError::Visitor {
            segment: self.path.clone(),
            offset: self.at.offset,
            first_seq: header.first_seq,
            reason,
        })?;
        let mut bytes = Vec::new();
        if self.recent.len() as u64 == BLOCKS_IN_FLIGHT_MAX
            && let Some((_, oldest)) = self.recent.pop_front()
        {
            bytes = oldest;
            bytes.clear();
        }
        bytes.extend_from_slice(&self.block);
        self.recent.push_back((self.at.offset, bytes));
        self.at = after.into_place();
        Ok(())
    }

    /// The recovery rule: clean end, torn tail, next segment, or refusal.
    fn after_bad(&mut self, fault: Fault) -> Result<After, JournalError> {
        let rest = segment::used_pages(&*self.file, self.at.offset, self.at.segment_bytes)
            .map_err(io_error("read", &self.path))?;
        let later_in_use = self.later_segment_in_use()?;
        let Some((_, last_page)) = rest else {
            if !later_in_use {
                return Ok(After::End(None));
            }
            // A live writer may have filled this segment between our two looks.
            return Ok(if self.is_good_now()? {
                After::ReadAgain
            } else {
                After::NextSegment
            });
        };
        if later_in_use {
            return self.unless_good_now(Reason::CompleteAndDamaged { fault });
        }
        if let Some(proof_offset) = self.proof_behind(last_page)? {
            return self.unless_good_now(Reason::ToldAndDamaged {
                fault,
                proof_offset,
            });
        }
        Ok(After::End(Some(Cut {
            segment: self.path.clone(),
            offset: self.at.offset,
            bytes: last_page + BLOCK_ALIGN as u64 - self.at.offset,
            first_seq: self.at.next_seq,
            fault,
        })))
    }

    /// Looks at every page behind the bad one for a sound block that says that it had been durable.
    fn proof_behind(&mut self, last_page: u64) -> Result<Option<u64>, JournalError> {
        let mut offset = self.at.offset + BLOCK_ALIGN as u64;
        while offset <= last_page {
            if let Ok(header) = self.sound_block(offset)? {
                let ours = self.at.exchange_id == 0 || header.exchange_id == self.at.exchange_id;
                let in_place = (header.segment_id, header.offset) == (self.at.segment_id, offset);
                let current = header.epoch >= self.at.epoch;
                let told = header.durable_block >= self.at.next_block;
                if ours && in_place && current && told {
                    return Ok(Some(offset));
                }
            }
            offset += BLOCK_ALIGN as u64;
        }
        Ok(None)
    }

    /// A writer finishes a segment before it touches the next, so use of a later one is proof.
    fn later_segment_in_use(&self) -> Result<bool, JournalError> {
        for id in self.at.segment_id + 1.. {
            let path = segment::path(self.dir, id);
            let Some(file) = segment::find(self.disk, &path)? else {
                break;
            };
            let used = segment::in_use(&*file, self.at.segment_bytes);
            if used.map_err(io_error("read", &path))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_good_now(&mut self) -> Result<bool, JournalError> {
        Ok(self.next_block()?.is_ok())
    }

    fn unless_good_now(&mut self, reason: Reason) -> Result<After, JournalError> {
        if self.is_good_now()? {
            return Ok(After::ReadAgain);
        }
        Err(self.refusal(reason))
    }

    pub(super) fn refusal(&self, reason: Reason) -> JournalError {
        refuse(self.path.clone(), self.at.offset, self.at.next_seq, reason)
    }

    fn segments(&self) -> Result<u64, JournalError> {
        Ok(segment::list(self.disk, self.dir)?.map_or(0, |folder| folder.last))
    }
}
