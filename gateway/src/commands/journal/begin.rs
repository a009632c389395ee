//! Where reading begins: the first command, or a snapshot.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use engine::{
    exchange::Exchange,
    ids::Seq,
    journal::{BlockView, JournalError, Position, RealDisk, ScanReport, reaches_back, scan_from},
    pipeline::RecoverError,
    snapshots::{self, Loaded},
};

/// A state, and where the journal goes on from it.
pub(in crate::commands) struct Begin {
    /// The state.
    pub(in crate::commands) exchange: Exchange,
    /// None is the very beginning.
    pub(in crate::commands) position: Option<Position>,
    /// The snapshot.
    pub(in crate::commands) snapshot: Option<PathBuf>,
    /// What it keeps beside the state.
    pub(in crate::commands) annex: Option<Vec<u8>>,
}

impl Begin {
    fn first() -> Self {
        Self {
            exchange: Exchange::new(),
            position: None,
            snapshot: None,
            annex: None,
        }
    }

    fn from(loaded: Loaded) -> Self {
        Self {
            exchange: loaded.exchange,
            position: Some(loaded.position),
            snapshot: Some(loaded.path),
            annex: Some(loaded.annex),
        }
    }

    /// As early as the journal allows: its first command, or else the oldest whole snapshot from which it
    /// goes on.
    pub(in crate::commands) fn earliest(folder: &Path) -> Result<Self> {
        if reaches_back(&RealDisk, folder)? {
            return Ok(Self::first());
        }
        let dir = snapshots::beside(folder);
        for seq in moments(&dir)? {
            // Whatever is older was looked at and cannot be used.
            let found = newest(&dir, seq)?;
            if let Some(loaded) = found.filter(|loaded| goes_on(folder, &loaded.position)) {
                return Ok(Self::from(loaded));
            }
        }
        bail!(
            "{}: the oldest segments were retired, and no whole snapshot in {} leads on from there; put \
             the retired segments back",
            folder.display(),
            dir.display()
        )
    }

    /// As late as possible, but not after command `latest`: the newest such snapshot from which the journal
    /// goes on, or else as early as the journal allows, which may be too late.
    pub(super) fn latest(folder: &Path, latest: Seq) -> Result<Self> {
        let dir = snapshots::beside(folder);
        let found = newest(&dir, latest)?;
        match found.filter(|loaded| goes_on(folder, &loaded.position)) {
            Some(loaded) => Ok(Self::from(loaded)),
            None => Self::earliest(folder),
        }
    }
}

/// The newest whole snapshot at or before a command.
fn newest(dir: &Path, latest: Seq) -> Result<Option<Loaded>, RecoverError> {
    Ok(snapshots::newest_valid(&RealDisk, dir, 0, latest)?.loaded)
}

/// Moments of all finished snapshots, oldest first.
fn moments(dir: &Path) -> Result<Vec<Seq>> {
    let mut moments = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(moments),
        Err(error) => bail!("cannot list {}: {error}", dir.display()),
    };
    for entry in entries {
        let name = entry?.file_name();
        let seq: Option<Seq> = name.to_str().and_then(|name| {
            let digits = name.strip_prefix("snapshot-")?.strip_suffix(".snap")?;
            digits.parse().ok()
        });
        moments.extend(seq);
    }
    moments.sort_unstable();
    Ok(moments)
}

/// Whether the segment that reading goes on in has not been retired.
fn goes_on(folder: &Path, position: &Position) -> bool {
    folder
        .join(format!("{:08}.seg", position.segment_id()))
        .exists()
}

/// Reads from there on, until `visit` has seen enough and answers `false`.
pub(in crate::commands) fn read(
    folder: &Path,
    position: Option<&Position>,
    mut visit: impl FnMut(BlockView<'_>) -> Result<bool, String>,
) -> Result<Option<ScanReport>, JournalError> {
    let mut enough = false;
    let report = scan_from(&RealDisk, folder, position, |block| {
        if visit(block)? {
            return Ok(());
        }
        enough = true;
        // The only way to end a reading early.
        Err(String::new())
    });
    match report {
        Err(JournalError::Visitor { .. }) if enough => Ok(None),
        report => report.map(Some),
    }
}
