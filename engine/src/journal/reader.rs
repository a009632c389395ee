//! Reads a folder from its first block to its last good one, and judges what comes after.
//!
//! Changes nothing. What follows the last good block is a clean end (zeros), a torn tail that nobody
//! was told about, or damage to something that had been durable, which is refused. The rule is in
//! `JOURNAL.md`; [`open`](super::open) and [`scan`] share this code, so they cannot disagree.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::BlockView;
use super::block::{self, Fault, Header, VERSION};
use super::error::{JournalError, Reason, io_error, refuse};
use super::limits::{BLOCK_ALIGN, BLOCK_BYTES_MAX, BLOCKS_IN_FLIGHT_MAX};
use super::place::{Place, Verdict};
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
    /// Segment files in the folder, those that wait for use included.
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
    let Some(folder) = segment::list(dir)? else {
        return Err(JournalError::NoJournal {
            dir: dir.to_owned(),
        });
    };
    let walk = walk(dir, 0, folder.bytes, visit)?;
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
}

/// Visits every good block. `exchange_id` 0 accepts whatever the first block says.
pub(super) fn walk(
    dir: &Path,
    exchange_id: u64,
    segment_bytes: u64,
    mut visit: impl FnMut(BlockView<'_>) -> Result<(), String>,
) -> Result<Walk, JournalError> {
    let mut reader = Reader::at_start(dir, Place::start(exchange_id, segment_bytes))?;
    loop {
        match reader.next_block()? {
            Ok(header) => reader.accept(&header, &mut visit)?,
            Err(Verdict::Wrong(reason)) => return Err(reader.refusal(reason)),
            Err(Verdict::Bad(fault)) => match reader.after_bad(fault)? {
                After::ReadAgain => {}
                After::NextSegment => reader.go_to_next_segment()?,
                After::End(torn) => {
                    let segments = reader.segments()?;
                    return Ok(Walk {
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

struct Reader<'a> {
    dir: &'a Path,
    at: Place,
    path: PathBuf,
    file: File,
    block: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn at_start(dir: &'a Path, at: Place) -> Result<Self, JournalError> {
        let path = segment::path(dir, at.segment_id);
        let file = File::open(&path).map_err(io_error("open", &path))?;
        let block = Vec::with_capacity(BLOCK_BYTES_MAX);
        Ok(Self {
            dir,
            at,
            path,
            file,
            block,
        })
    }

    fn go_to_next_segment(&mut self) -> Result<(), JournalError> {
        let mut at = self.at.clone();
        at.segment_id += 1;
        at.offset = 0;
        at.last_offset = 0;
        *self = Self::at_start(self.dir, at)?;
        Ok(())
    }

    fn next_block(&mut self) -> Result<Result<Header, Verdict>, JournalError> {
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

    fn accept(
        &mut self,
        header: &Header,
        visit: &mut impl FnMut(BlockView<'_>) -> Result<(), String>,
    ) -> Result<(), JournalError> {
        let payload_len = header.payload_len as usize;
        let chain = block::chain(&self.block, payload_len);
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
        };
        visit(view).map_err(|reason| JournalError::Visitor {
            segment: self.path.clone(),
            offset: self.at.offset,
            first_seq: header.first_seq,
            reason,
        })?;
        self.at.pass(header, chain);
        Ok(())
    }

    /// The recovery rule: clean end, torn tail, next segment, or refusal.
    fn after_bad(&mut self, fault: Fault) -> Result<After, JournalError> {
        let rest = segment::used_pages(&self.file, self.at.offset, self.at.segment_bytes)
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

    /// Looks at every page behind the bad one for a sound block that proves it had been durable:
    /// because it says so, or because it could not have been sealed before.
    fn proof_behind(&mut self, last_page: u64) -> Result<Option<u64>, JournalError> {
        let mut offset = self.at.offset + BLOCK_ALIGN as u64;
        while offset <= last_page {
            if let Ok(header) = self.sound_block(offset)? {
                let ours = self.at.exchange_id == 0 || header.exchange_id == self.at.exchange_id;
                let in_place = (header.segment_id, header.offset) == (self.at.segment_id, offset);
                let current = header.epoch >= self.at.epoch;
                let told = header.durable_seq >= self.at.next_seq
                    || header.block_seq >= self.at.next_block + BLOCKS_IN_FLIGHT_MAX;
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
            if !path.exists() {
                break;
            }
            let file = File::open(&path).map_err(io_error("open", &path))?;
            if segment::in_use(&file, self.at.segment_bytes).map_err(io_error("read", &path))? {
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

    fn refusal(&self, reason: Reason) -> JournalError {
        refuse(self.path.clone(), self.at.offset, self.at.next_seq, reason)
    }

    fn segments(&self) -> Result<u64, JournalError> {
        Ok(segment::list(self.dir)?.map_or(0, |folder| folder.last))
    }
}
