//! Segment files: their names, and how one comes into being, zero-written and synced before use.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

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

/// What a folder holds: segments 1 to `last`, all `bytes` long.
pub(super) struct Folder {
    pub(super) last: u64,
    pub(super) bytes: u64,
}

/// Looks at names and lengths only. None if there is no segment yet.
pub(super) fn list(dir: &Path) -> Result<Option<Folder>, JournalError> {
    let mut ids = Vec::new();
    for item in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let path = item.map_err(io_error("list", dir))?.path();
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
    for (id, expected) in ids.iter().zip(1..) {
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
    let Some(last) = ids.last().copied() else {
        return Ok(None);
    };
    let bytes = length(&path(dir, 1))?;
    for id in 1..=last {
        let path = path(dir, id);
        let found = length(&path)?;
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
    Ok(Some(Folder { last, bytes }))
}

/// Whether a segment may have this many bytes.
pub(super) fn segment_bytes_possible(bytes: u64) -> bool {
    bytes.is_multiple_of(BLOCK_ALIGN as u64)
        && (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes)
}

fn length(path: &Path) -> Result<u64, JournalError> {
    Ok(fs::metadata(path).map_err(io_error("look at", path))?.len())
}

/// Makes segment `id` unless it is there: zeros under another name, synced, renamed, folder synced.
/// A segment that is there was found to be all zeros by recovery. Gives up when `stop` is set.
pub(super) fn prepare(
    dir: &Path,
    id: u64,
    bytes: u64,
    stop: &AtomicBool,
) -> Result<PathBuf, JournalError> {
    let path = path(dir, id);
    if path.exists() {
        return Ok(path);
    }
    let aside = path.with_extension(UNFINISHED);
    let mut file = File::create(&aside).map_err(io_error("create", &aside))?;
    let zeros = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 && !stop.load(Ordering::Relaxed) {
        let now = left.min(CHUNK_BYTES as u64);
        file.write_all(&zeros[..now as usize])
            .map_err(io_error("write zeros to", &aside))?;
        // Chunk by chunk: the journal's own sync never has to wait for a whole segment of zeros.
        file.sync_data().map_err(io_error("sync", &aside))?;
        left -= now;
    }
    if left > 0 {
        return fs::remove_file(&aside)
            .map(|()| path)
            .map_err(io_error("remove", &aside));
    }
    file.sync_all().map_err(io_error("sync", &aside))?;
    fs::rename(&aside, &path).map_err(io_error("rename", &aside))?;
    sync_dir(dir)?;
    Ok(path)
}

/// Removes what a crash left half made.
pub(super) fn remove_unfinished(dir: &Path) -> Result<(), JournalError> {
    for item in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let path = item.map_err(io_error("list", dir))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == UNFINISHED)
        {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

/// Makes names in the folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir)
        .and_then(|file| file.sync_all())
        .map_err(io_error("sync", dir))
}

/// Makes the folder if need be, and its own name durable.
pub(super) fn make_dir(dir: &Path) -> Result<(), JournalError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(io_error("create", dir))?;
    match dir.canonicalize().map_err(io_error("find", dir))?.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Takes the folder for this process. The lock goes with the file, whatever ends the process.
pub(super) fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(JournalError::InUse {
            dir: dir.to_owned(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

/// First and last page from `from` on that hold anything but zeros, as offsets in bytes.
pub(super) fn used_pages(
    file: &File,
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
pub(super) fn in_use(file: &File, length: u64) -> std::io::Result<bool> {
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
