//! Segment files: their names, and how one comes into being, zero-written and synced before use.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::{Disk, DiskFile, Lock};
use super::error::{JournalError, Reason, io_error, refuse};
use super::limits::{BLOCK_ALIGN, CHUNK_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

const UNFINISHED: &str = "tmp";

/// The file of segment `id`, counted from 1.
pub(super) fn path(dir: &Path, id: u64) -> PathBuf {
    dir.join(file_name(id))
}

fn file_name(id: u64) -> String {
    format!("{id:08}.seg")
}

/// What a folder holds: segments `first` to `last`, all `bytes` long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folder {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) bytes: u64,
}

/// Looks at names and lengths only. None if there is no segment yet.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Option<Folder>, JournalError> {
    let mut ids = Vec::new();
    for path in disk.list(dir).map_err(io_error("list", dir))? {
        if path.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let id = stem.and_then(|stem| stem.parse::<u64>().ok()).unwrap_or(0);
        let expected = file_name(id);
        if id == 0
            || path
                .file_name()
                .is_none_or(|name| name != expected.as_str())
        {
            return Err(refuse(path, 0, 0, Reason::MisnamedSegment { expected }));
        }
        ids.push(id);
    }
    ids.sort_unstable();
    let Some((first, last)) = ids.first().copied().zip(ids.last().copied()) else {
        return Ok(None);
    };
    for (id, expected) in ids.iter().zip(first..) {
        if *id != expected {
            let missing = path(dir, expected);
            return Err(refuse(
                missing,
                0,
                0,
                Reason::MissingSegment { id: expected },
            ));
        }
    }
    let bytes = length(disk, &path(dir, first))?;
    for id in first..=last {
        let path = path(dir, id);
        let found = length(disk, &path)?;
        let possible = segment_bytes_possible(found);
        if found != bytes || !possible {
            let expected = if possible {
                bytes
            } else {
                SEGMENT_BYTES_MIN.max(bytes)
            };
            return Err(refuse(
                path,
                0,
                0,
                Reason::SegmentLength { expected, found },
            ));
        }
    }
    Ok(Some(Folder { first, last, bytes }))
}

/// Whether a segment may have this many bytes.
pub(super) fn segment_bytes_possible(bytes: u64) -> bool {
    bytes.is_multiple_of(BLOCK_ALIGN as u64)
        && (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes)
}

fn length(disk: &dyn Disk, path: &Path) -> Result<u64, JournalError> {
    disk.open(path)
        .and_then(|file| file.length())
        .map_err(io_error("look at", path))
}

/// Opens a segment for reading; None if there is no such file.
pub(super) fn find(
    disk: &dyn Disk,
    path: &Path,
) -> Result<Option<Box<dyn DiskFile>>, JournalError> {
    match disk.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("open", path)(error)),
    }
}

/// Makes segment `id` unless it is there: zeros under another name, synced, renamed, folder synced.
/// A segment that is there was found to be all zeros by recovery. Gives up when `stop` is set.
pub(super) fn prepare(
    disk: &dyn Disk,
    dir: &Path,
    id: u64,
    bytes: u64,
    stop: &AtomicBool,
) -> Result<PathBuf, JournalError> {
    let path = path(dir, id);
    if find(disk, &path)?.is_some() {
        return Ok(path);
    }
    let aside = path.with_extension(UNFINISHED);
    // Past the page cache: copying zeros into it cost more than half of the processor time of a busy journal.
    let file = disk
        .create_direct(&aside)
        .map_err(io_error("create", &aside))?;
    let zeros = vec![0; CHUNK_BYTES + BLOCK_ALIGN];
    let zeros = &zeros[zeros.as_ptr().align_offset(BLOCK_ALIGN)..];
    let mut at = 0;
    while at < bytes && !stop.load(Ordering::Relaxed) {
        let now = (bytes - at).min(CHUNK_BYTES as u64);
        file.write_all_at(&zeros[..now as usize], at)
            .map_err(io_error("write zeros to", &aside))?;
        // Chunk by chunk: the journal's own sync never has to wait for a whole segment of zeros.
        file.sync().map_err(io_error("sync", &aside))?;
        at += now;
    }
    if at < bytes {
        return disk
            .remove(&aside)
            .map(|()| path)
            .map_err(io_error("remove", &aside));
    }
    file.sync().map_err(io_error("sync", &aside))?;
    disk.rename(&aside, &path)
        .map_err(io_error("rename", &aside))?;
    disk.sync_dir(dir).map_err(io_error("sync", dir))?;
    Ok(path)
}

/// Removes what a crash left half made.
pub(super) fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), JournalError> {
    for path in disk.list(dir).map_err(io_error("list", dir))? {
        if path
            .extension()
            .is_some_and(|extension| extension == UNFINISHED)
        {
            disk.remove(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

/// Which exchange the journal in a folder belongs to, 0 if its first block is damaged; none if no block was
/// ever written there, or the folder is not there.
///
/// # Errors
/// A folder that is not what it should be, or the system's.
pub fn exchange_id(disk: &dyn Disk, dir: &Path) -> Result<Option<u64>, JournalError> {
    if !dir.exists() {
        return Ok(None);
    }
    let Some(folder) = list(disk, dir)? else {
        return Ok(None);
    };
    let path = path(dir, folder.first);
    let Some(file) = find(disk, &path)? else {
        return Ok(None);
    };
    let mut page = vec![0; BLOCK_ALIGN];
    file.read_exact_at(&mut page, 0)
        .map_err(io_error("read", &path))?;
    Ok(match super::block::decode(&page) {
        Ok(header) => Some(header.exchange_id),
        Err(super::block::Fault::Zero) => None,
        // Something was written, and cannot be read: recovery says what.
        Err(_) => Some(0),
    })
}

/// Number of the oldest segment that is still there; none if there is none yet.
///
/// # Errors
/// A folder that is not what it should be, or the system's.
pub fn oldest_segment(disk: &dyn Disk, dir: &Path) -> Result<Option<u64>, JournalError> {
    Ok(list(disk, dir)?.map(|folder| folder.first))
}

/// Whether the journal can be read from its very beginning: the first segment has not been retired.
///
/// # Errors
/// A folder that is not what it should be, or the system's.
pub fn reaches_back(disk: &dyn Disk, dir: &Path) -> Result<bool, JournalError> {
    Ok(oldest_segment(disk, dir)?.is_none_or(|oldest| oldest == 1))
}

/// A segment that nobody needs any more, and where it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Its number.
    pub id: u64,
    /// Where it lies now; none if it was removed.
    pub archived: Option<PathBuf>,
}

/// Removes the segments before number `before`, oldest first, or moves them into `archive`, a folder on
/// the same file system. Whoever calls this knows that a snapshot makes them needless.
///
/// # Errors
/// The system's.
pub fn retire(
    disk: &dyn Disk,
    dir: &Path,
    before: u64,
    archive: Option<&Path>,
) -> Result<Vec<Retired>, JournalError> {
    let mut retired = Vec::new();
    let Some(folder) = list(disk, dir)? else {
        return Ok(retired);
    };
    if let Some(archive) = archive {
        disk.make_dir(archive)
            .map_err(io_error("create", archive))?;
    }
    // One after the other: what a crash leaves is always without a hole.
    for id in folder.first..before.min(folder.last) {
        let segment = path(dir, id);
        let archived = archive.map(|archive| path(archive, id));
        if let Some(place) = &archived
            && find(disk, place)?.is_some()
        {
            let taken = std::io::Error::new(
                ErrorKind::AlreadyExists,
                "another segment of that number is there: archive each exchange in a folder of its own",
            );
            return Err(io_error("archive to", place)(taken));
        }
        match &archived {
            Some(place) => disk
                .rename(&segment, place)
                .map_err(io_error("move", &segment))?,
            None => disk
                .remove(&segment)
                .map_err(io_error("remove", &segment))?,
        }
        // Where it went before where it was: nowhere is it missing from both.
        if let Some(archive) = archive {
            disk.sync_dir(archive).map_err(io_error("sync", archive))?;
        }
        disk.sync_dir(dir).map_err(io_error("sync", dir))?;
        retired.push(Retired { id, archived });
    }
    Ok(retired)
}

/// Takes the folder for this process.
pub(super) fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, JournalError> {
    let path = dir.join("lock");
    let lock = disk.lock(&path).map_err(io_error("lock", &path))?;
    lock.ok_or_else(|| JournalError::InUse {
        dir: dir.to_owned(),
    })
}

/// First and last page from `from` on that hold anything but zeros, as offsets in bytes.
pub(super) fn used_pages(
    file: &dyn DiskFile,
    from: u64,
    length: u64,
) -> std::io::Result<Option<(u64, u64)>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut found: Option<(u64, u64)> = None;
    let mut at = from;
    while at < length {
        let now = (length - at).min(CHUNK_BYTES as u64) as usize;
        file.read_exact_at(&mut chunk[..now], at)?;
        for (page, bytes) in chunk[..now].chunks(BLOCK_ALIGN).enumerate() {
            if bytes.iter().any(|byte| *byte != 0) {
                let here = at + (page * BLOCK_ALIGN) as u64;
                found = Some((found.map_or(here, |(first, _)| first), here));
            }
        }
        at += now as u64;
    }
    Ok(found)
}

/// Whether the file holds anything but zeros; stops at the first such page.
pub(super) fn in_use(file: &dyn DiskFile, length: u64) -> std::io::Result<bool> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < length {
        let now = (length - at).min(CHUNK_BYTES as u64) as usize;
        match file.read_exact_at(&mut chunk[..now], at) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        if chunk[..now].iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
        at += now as u64;
    }
    Ok(false)
}
