//! What can go wrong, for an operator: where, what was found, and what to do about it.

use std::path::PathBuf;

use super::block::Fault;

/// Why the journal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused. Never retried: a restart reads what the disk really holds.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Something that had been told to somebody is damaged, or the folder is not what it should be.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Another process has the folder open.
    #[error("{} is in use by another process; stop that one first", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// A new folder needs an exchange id from the caller.
    #[error("{} holds no journal yet, and no exchange id was given to begin one", dir.display())]
    ExchangeIdNeeded {
        /// The folder.
        dir: PathBuf,
    },
    /// There is nothing to read.
    #[error("{} holds no journal", dir.display())]
    NoJournal {
        /// The folder.
        dir: PathBuf,
    },
    /// The settings ask for segments of an impossible size.
    #[error("segments of {asked} bytes: must be a multiple of 4096 from {least} to {most}")]
    SegmentBytes {
        /// What was asked for, bytes.
        asked: u64,
        /// The least allowed, bytes.
        least: u64,
        /// The most allowed, bytes.
        most: u64,
    },
    /// io_uring was demanded and the kernel or container forbids it.
    #[error("io_uring was asked for and cannot be had: {source}; choose the plain backend")]
    UringUnavailable {
        /// The system's answer.
        source: std::io::Error,
    },
    /// An entry has more bytes than a block may hold. Nothing of its batch was written.
    #[error("the entry at sequence {first_seq} has {bytes} bytes, at most {limit} can be written")]
    EntryTooLarge {
        /// The entry's first sequence number.
        first_seq: u64,
        /// Its bytes.
        bytes: usize,
        /// The most allowed, bytes.
        limit: usize,
    },
    /// The caller's visitor refused a good block.
    #[error("{}, byte {offset}, sequence {first_seq}: {reason}", segment.display())]
    Visitor {
        /// The segment file.
        segment: PathBuf,
        /// Where the block begins, bytes.
        offset: u64,
        /// Its first sequence number.
        first_seq: u64,
        /// What the visitor said.
        reason: String,
    },
    /// The reserve is used up and the disk has no room for another segment.
    #[error("{} has no room for another segment and the reserve is used up", dir.display())]
    DiskFull {
        /// The folder.
        dir: PathBuf,
    },
    /// The thread that prepares segments has ended without a word.
    #[error("the thread that prepares segments has ended")]
    HelperGone,
}

impl JournalError {
    /// The exit code that a process should end with: 65 for damage that must not be cut, 74 for a
    /// refusal of the disk, 75 for a folder in use, 70 for trouble in the process, 78 for settings.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 65,
            Self::EntryTooLarge { .. } | Self::Visitor { .. } | Self::HelperGone => 70,
            Self::Io { .. } | Self::DiskFull { .. } => 74,
            Self::InUse { .. } => 75,
            Self::ExchangeIdNeeded { .. }
            | Self::NoJournal { .. }
            | Self::SegmentBytes { .. }
            | Self::UringUnavailable { .. } => 78,
        }
    }
}

/// A refusal to open or to go on reading. Nothing was changed on disk.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, byte {offset}, sequence {sequence}: {reason}. {advice}", segment.display())]
pub struct Refusal {
    /// The segment file.
    pub segment: PathBuf,
    /// Where in the segment, bytes.
    pub offset: u64,
    /// The sequence number that should have come there.
    pub sequence: u64,
    /// What was found.
    pub reason: Reason,
    /// What an operator can do.
    pub advice: &'static str,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A bad block with proof behind it that it had been durable.
    #[error("{fault}, yet the sound block at byte {proof_offset} proves that it had been durable")]
    ToldAndDamaged {
        /// What is wrong with the block.
        fault: Fault,
        /// Where the proof begins in the same segment, bytes.
        proof_offset: u64,
    },
    /// A bad block in a segment that was complete, since a later segment is in use.
    #[error("{fault}, yet a later segment is in use, so this one had been complete")]
    CompleteAndDamaged {
        /// What is wrong with the block.
        fault: Fault,
    },
    /// A sound block of another exchange.
    #[error("the block belongs to exchange {found:#018x}, this is {expected:#018x}")]
    ForeignExchange {
        /// The id that the journal has.
        expected: u64,
        /// The id in the block.
        found: u64,
    },
    /// A sound header of a format that this program does not read.
    #[error("format version {found}, this program reads version {known}")]
    UnknownVersion {
        /// The version in the block.
        found: u16,
        /// The version that this program reads.
        known: u16,
    },
    /// A segment file is not there though a later one is.
    #[error("segment {id} is missing")]
    MissingSegment {
        /// Number of the missing segment.
        id: u64,
    },
    /// A segment file with a name that the journal would not give, or twice the same number.
    #[error("the file name is not {expected:?}: a copy or a renamed segment")]
    MisnamedSegment {
        /// The name that a segment of that number has.
        expected: String,
    },
    /// A segment file of another length than its neighbours, or of an impossible one.
    #[error("the segment has {found} bytes, expected {expected}")]
    SegmentLength {
        /// The length that it should have, bytes.
        expected: u64,
        /// The length that it has, bytes.
        found: u64,
    },
    /// A sound block at a place that is not its own.
    #[error("the block was written for segment {segment_id}, byte {offset}")]
    Misplaced {
        /// The segment number in the block.
        segment_id: u64,
        /// The offset in the block, bytes.
        offset: u64,
    },
    /// A sound block that is not the next one.
    #[error("block {found} where block {expected} should be")]
    BlockHole {
        /// The block sequence that should come.
        expected: u64,
        /// The block sequence found.
        found: u64,
    },
    /// A sound block that names another predecessor.
    #[error("the block does not continue the hash chain")]
    BrokenChain,
    /// The block behind which a snapshot was taken is not in the journal.
    #[error("a snapshot was taken behind this block, and it is not there")]
    NotReached,
    /// A sound block that contradicts itself or its predecessor.
    #[error("the block contradicts what came before it: {0}")]
    Contradiction(&'static str),
}

impl Reason {
    fn advice(&self) -> &'static str {
        match self {
            Self::ToldAndDamaged { .. } | Self::CompleteAndDamaged { .. } => {
                "Do not cut it. Restore this segment from a replica or a backup, then verify"
            }
            Self::ForeignExchange { .. } => {
                "Point the settings at this exchange's own folder, or put the right segment back"
            }
            Self::UnknownVersion { .. } => "Start the program version that wrote it",
            Self::NotReached => {
                "The journal is older than the snapshot: restore the newer journal, or remove the snapshot"
            }
            Self::MissingSegment { .. } => "Put the file back from a replica or a backup",
            Self::MisnamedSegment { .. } => {
                "Move the file out of the folder; keep it until verified"
            }
            Self::SegmentLength { .. }
            | Self::Misplaced { .. }
            | Self::BlockHole { .. }
            | Self::BrokenChain
            | Self::Contradiction(_) => {
                "A file was truncated, exchanged or edited. Restore the folder from a replica or backup"
            }
        }
    }
}

/// A refusal with the advice that belongs to its reason.
pub(super) fn refuse(segment: PathBuf, offset: u64, sequence: u64, reason: Reason) -> JournalError {
    let advice = reason.advice();
    JournalError::Refused(Box::new(Refusal {
        segment,
        offset,
        sequence,
        reason,
        advice,
    }))
}

/// Adds verb and path to what the system answered.
pub(super) fn io_error(
    doing: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> JournalError {
    let path = path.into();
    move |source| JournalError::Io {
        doing,
        path,
        source,
    }
}
