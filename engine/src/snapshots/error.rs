//! What can go wrong with snapshots, for an operator.

use std::{io, path::PathBuf};

use crate::saved::LoadError;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// The system could not read it.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Shorter than a header.
    #[error("it has {bytes} bytes, fewer than a header")]
    Short {
        /// Its bytes.
        bytes: u64,
    },
    /// It is something else.
    #[error("it does not begin with the snapshots' mark")]
    NoSnapshot,
    /// The header does not agree with its CRC32C.
    #[error("the header does not agree with its checksum")]
    HeaderChecksum,
    /// A sound header of a format that this program does not read.
    #[error("it has snapshot format version {found}, this program reads version {known}")]
    Version {
        /// Its version.
        found: u16,
        /// The version of this program.
        known: u16,
    },
    /// It belongs to a journal of a format that this program does not read.
    #[error("it belongs to journal format version {found}, this program reads version {known}")]
    JournalVersion {
        /// Its version.
        found: u16,
        /// The version of this program.
        known: u16,
    },
    /// A snapshot of another exchange.
    #[error("it belongs to exchange {found:#x}, not to {expected:#x}")]
    ForeignExchange {
        /// This exchange.
        expected: u64,
        /// Its exchange.
        found: u64,
    },
    /// What stands behind the state has changed.
    #[error("what stands behind the state does not agree with its hash")]
    AnnexHash,
    /// The header's checksum is right, but what it says cannot be.
    #[error("the header contradicts itself: {0}")]
    Contradiction(&'static str),
    /// Copied or renamed.
    #[error("its name is not {expected}")]
    Misnamed {
        /// The right name.
        expected: String,
    },
    /// Cut, or something was added.
    #[error("it has {found} bytes, its header asks for {expected}")]
    Length {
        /// What the header says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The state is not what was written.
    #[error("the state does not agree with its hash")]
    StateHash,
    /// The state's hash is right, but it is no state.
    #[error(transparent)]
    State(LoadError),
}

impl Flaw {
    /// It was written by a later version of this program.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        match self {
            Self::Version { found, known } | Self::JournalVersion { found, known } => found > known,
            _ => false,
        }
    }

    /// A whole snapshot as far as can be seen, but none of ours: not to be removed.
    pub(super) fn is_foreign(&self) -> bool {
        self.is_newer() || matches!(self, Self::ForeignExchange { .. })
    }
}

/// A file that was looked at and not used.
#[derive(Debug)]
pub struct Rejected {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub flaw: Flaw,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system refused. Never retried.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The state is of another moment than the place in the journal.
    #[error("the state is that after {seq}, the place in the journal that after {place}")]
    OutOfStep {
        /// Last command of the state.
        seq: u64,
        /// Last command before the place.
        place: u64,
    },
    /// What was written is not what can be read. The disk is suspect; nothing may rely on the file.
    #[error("{} was written and reads back wrong: {flaw}; the disk is suspect", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// Its bytes are what was written, and no start can begin with them: a mistake of the program.
    #[error("{} is whole, and no start could begin with it, so it was removed: {why}", path.display())]
    NoBeginning {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Only a later version of this program can go on from here.
    #[error("{}: {flaw}. Start the program version that wrote it, or move the file away to begin without it", path.display())]
    Newer {
        /// The newest such file.
        path: PathBuf,
        /// Its version.
        flaw: Flaw,
    },
}

/// Turns the system's answer into an error.
pub(super) fn io_error(
    doing: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(io::Error) -> SnapshotError + use<> {
    let path = path.to_owned();
    move |source| SnapshotError::Io {
        doing,
        path,
        source,
    }
}
