//! A small durable log: a record is on stable storage when [`Store::append`] returns, or it is an error.
//!
//! One writer, one record at a time, each synced by itself. So a crash can tear only the last record, and
//! that one nobody acted on: [`Store::open`] cuts it. A record that does not read although a whole one
//! stands behind it is damage, and refused: what was promised is never silently forgotten. After a failed
//! write or sync the log takes nothing more until it is opened again, because nobody knows what the disk
//! holds.
//!
//! ```text
//! file    "hashpit log 1\n" and a name, padded with zeros to 64 bytes
//! record  u64 number from 1, u32 length, u32 crc32c of both and the body, body        (little-endian)
//! ```

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use engine::journal::{Disk, DiskFile};

/// Longest record, bytes.
pub const RECORD_MAX: usize = 1 << 20;

const HEAD: u64 = 64;
const FRAME: usize = 16;

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system.
    #[error("{}: {source}", path.display())]
    System {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// Something that no crash leaves.
    #[error("{} is damaged at byte {at}: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What.
        what: String,
    },
    /// An earlier write failed.
    #[error("{}: an earlier write failed; start again to find out what the disk holds", path.display())]
    Poisoned {
        /// Which file.
        path: PathBuf,
    },
    /// The record is too long.
    #[error("{}: a record of {bytes} bytes, at most {RECORD_MAX} are taken", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// How long.
        bytes: usize,
    },
}

/// The log. See the module's page.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    end: u64,
    next: u64,
    poisoned: bool,
}

impl Store {
    /// Opens the log, or makes it; answers its records, oldest first. Who opens it holds the
    /// folder: one process at a time ([`super::run`] sees to it).
    ///
    /// # Errors
    /// The system's, damage, or another process that has it.
    pub fn open(
        disk: &Arc<dyn Disk>,
        path: &Path,
        name: &str,
    ) -> Result<(Self, Vec<Vec<u8>>), StoreError> {
        let system = |source| StoreError::System {
            path: path.to_owned(),
            source,
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        disk.make_dir(folder).map_err(system)?;
        let there = disk
            .list(folder)
            .map_err(system)?
            .iter()
            .any(|found| found == path);
        let file = if there {
            disk.open_to_write(path).map_err(system)?
        } else {
            disk.create(path).map_err(system)?
        };
        let bytes = read_all(&*file).map_err(system)?;
        let head = head(name);
        // A crash in the middle of making it leaves less than a head, and no record.
        if bytes.len() < head.len() {
            file.write_all_at(&head, 0).map_err(system)?;
            file.sync().map_err(system)?;
            disk.sync_dir(folder).map_err(system)?;
        } else if bytes[..head.len()] != head {
            return Err(StoreError::Damaged {
                path: path.into(),
                at: 0,
                what: format!("it is not a log of {name:?}"),
            });
        }
        let (records, end) = parse(&bytes, path)?;
        let store = Self {
            path: path.into(),
            file,
            end,
            next: records.len() as u64 + 1,
            poisoned: false,
        };
        store
            .settle(records.last(), bytes.len() as u64)
            .map_err(system)?;
        Ok((store, records))
    }

    /// The records of a log that somebody else may be writing; what is not whole yet is left out.
    ///
    /// # Errors
    /// The system's, or damage.
    pub fn look(disk: &Arc<dyn Disk>, path: &Path) -> Result<Vec<Vec<u8>>, StoreError> {
        let system = |source| StoreError::System {
            path: path.to_owned(),
            source,
        };
        let file = disk.open(path).map_err(system)?;
        let bytes = read_all(&*file).map_err(system)?;
        Ok(parse(&bytes, path)?.0)
    }

    /// Writes the last record again, and zeros over what an unfinished write left behind it. The kernel may
    /// show a record whose sync failed, and count its pages as clean: only written anew is it durable.
    fn settle(&self, last: Option<&Vec<u8>>, length: u64) -> std::io::Result<()> {
        let mut again = last.map_or_else(Vec::new, |body| frame(self.next - 1, body));
        let from = self.end - again.len() as u64;
        let torn = length.saturating_sub(self.end);
        again.resize(again.len() + usize::try_from(torn).unwrap_or(0), 0);
        if again.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(&again, from)?;
        self.file.sync()
    }

    /// Writes and syncs one record.
    ///
    /// # Errors
    /// The system's; afterwards every append is refused.
    pub fn append(&mut self, body: &[u8]) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned {
                path: self.path.clone(),
            });
        }
        if body.len() > RECORD_MAX {
            return Err(StoreError::TooLong {
                path: self.path.clone(),
                bytes: body.len(),
            });
        }
        let record = frame(self.next, body);
        let written = self
            .file
            .write_all_at(&record, self.end)
            .and_then(|()| self.file.sync());
        if let Err(source) = written {
            self.poisoned = true;
            return Err(StoreError::System {
                path: self.path.clone(),
                source,
            });
        }
        self.end += record.len() as u64;
        self.next += 1;
        Ok(())
    }

    /// Records so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.next - 1
    }
}

fn head(name: &str) -> Vec<u8> {
    let mut head = format!("hashpit log 1\n{name}\n").into_bytes();
    assert!(head.len() <= HEAD as usize, "a short name");
    head.resize(HEAD as usize, 0);
    head
}

fn read_all(file: &dyn DiskFile) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn frame(number: u64, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut record = Vec::with_capacity(FRAME + body.len());
    record.extend_from_slice(&number.to_le_bytes());
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&checksum(number, length, body).to_le_bytes());
    record.extend_from_slice(body);
    record
}

fn checksum(number: u64, length: u32, body: &[u8]) -> u32 {
    let start = crc32c::crc32c(&number.to_le_bytes());
    let start = crc32c::crc32c_append(start, &length.to_le_bytes());
    crc32c::crc32c_append(start, body)
}

/// The record at a place, if it is whole: its number and body.
fn record_at(bytes: &[u8], at: usize) -> Option<(u64, &[u8])> {
    let frame = bytes.get(at..at + FRAME)?;
    let number = u64::from_le_bytes(frame[..8].try_into().ok()?);
    let length = u32::from_le_bytes(frame[8..12].try_into().ok()?);
    let sum = u32::from_le_bytes(frame[12..16].try_into().ok()?);
    let body = bytes.get(at + FRAME..(at + FRAME).checked_add(length as usize)?)?;
    (number != 0 && length as usize <= RECORD_MAX && sum == checksum(number, length, body))
        .then_some((number, body))
}

/// The whole records, and where the next one goes.
fn parse(bytes: &[u8], path: &Path) -> Result<(Vec<Vec<u8>>, u64), StoreError> {
    let mut records = Vec::new();
    let mut at = HEAD as usize;
    while let Some((number, body)) = record_at(bytes, at) {
        if number != records.len() as u64 + 1 {
            break;
        }
        records.push(body.to_vec());
        at += FRAME + body.len();
    }
    // Behind a torn record there is nothing; behind a rotten one there is.
    let last = records.len() as u64;
    let later = (at + 1..bytes.len().saturating_sub(FRAME)).find_map(|place| {
        record_at(bytes, place).filter(|(number, _)| (last + 1..=last + 1_000_000).contains(number))
    });
    if let Some((number, _)) = later {
        return Err(StoreError::Damaged {
            path: path.into(),
            at: at as u64,
            what: format!(
                "record {} does not read, but record {number} behind it does",
                last + 1
            ),
        });
    }
    Ok((records, at as u64))
}
