//! Snapshot files: the whole state after a command, and the place in the journal to go on from.
//!
//! A file is written aside, synced, renamed, and the folder synced; then it is read back, and counts
//! only if its hash is right. Looking for one begins with the newest, and says what is wrong with each
//! that is passed over. The format is drawn byte by byte in `JOURNAL.md`.

mod error;
mod header;

use std::{
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use error::io_error;
pub use error::{Flaw, Rejected, SnapshotError};
use header::Header;

use crate::{
    exchange::Exchange,
    ids::Seq,
    journal::{Disk, DiskFile, Position},
    saved::LoadError,
};

/// The format that this program writes, and the only one it reads: of header and state together.
pub const VERSION: u16 = header::VERSION;

/// What is written is synced each time it has grown by so much, so that the journal, on the same disk,
/// never waits for more of a snapshot than this.
const SYNC_BYTES: u64 = 1 << 20;
/// Bytes read at a time.
const CHUNK: usize = 1 << 18;

const FINISHED: &str = "snap";
const UNFINISHED: &str = "tmp";

/// The folder of the snapshots that belong to a journal's folder.
#[must_use]
pub fn beside(journal: &Path) -> PathBuf {
    journal.with_file_name("snapshots")
}

/// A snapshot that was written, and read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Last command of the state.
    pub seq: u64,
    /// All its bytes.
    pub bytes: u64,
    /// BLAKE3 of the state: what [`Exchange::digest`] answers.
    pub digest: [u8; 32],
}

/// A snapshot that was read.
#[derive(Debug)]
pub struct Loaded {
    /// The state.
    pub exchange: Exchange,
    /// Where the journal goes on.
    pub position: Position,
    /// What the writer put beside the state.
    pub annex: Vec<u8>,
    /// The file.
    pub path: PathBuf,
    /// BLAKE3 of the state: what [`Exchange::digest`] answers.
    pub digest: [u8; 32],
}

/// What looking for a snapshot found.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest valid one.
    pub loaded: Option<Loaded>,
    /// Those that were passed over, newest first.
    pub rejected: Vec<Rejected>,
}

/// Writes the state of this moment, and beside it whatever the caller needs to go on from it; makes the
/// folder unless it is there.
///
/// # Errors
/// The system's, a place of another moment, and bytes that read back wrong. Then there is no new
/// snapshot, or one that [`newest_valid`] will pass over.
pub fn write(
    disk: &dyn Disk,
    dir: &Path,
    exchange: &Exchange,
    position: &Position,
    annex: &[u8],
) -> Result<Written, SnapshotError> {
    let (seq, place) = (exchange.seq(), position.last_seq());
    if seq != place {
        return Err(SnapshotError::OutOfStep { seq, place });
    }
    disk.make_dir(dir).map_err(io_error("create", dir))?;
    let path = dir.join(name(seq));
    let aside = path.with_extension(UNFINISHED);
    let begun = aside_with(disk, &aside, exchange, position, annex)
        .map_err(io_error("write", &aside))
        .and_then(|header| {
            let renamed = disk
                .rename(&aside, &path)
                .map_err(io_error("rename", &aside));
            renamed.map(|()| header)
        });
    let header = match begun {
        Ok(header) => header,
        Err(error) => {
            // On a full disk what was begun takes the room that the journal's next segment needs. After any
            // other failure nothing more is asked of the disk; the next start clears up.
            let full = matches!(&error, SnapshotError::Io { source, .. }
                if source.kind() == io::ErrorKind::StorageFull);
            if full && let Err(why) = remove_unfinished(disk, dir) {
                tracing::warn!(%why, "a half-made snapshot stays behind");
            }
            return Err(error);
        }
    };
    disk.sync_dir(dir).map_err(io_error("sync", dir))?;
    let wrong = |flaw| SnapshotError::NotWritten {
        path: path.clone(),
        flaw,
    };
    match verify(disk, &path, position.exchange_id()) {
        Ok(read) if read == header => Ok(Written {
            bytes: header::BYTES as u64 + header.state_bytes + header.annex_bytes,
            path,
            seq,
            digest: header.state_hash,
        }),
        Ok(_) => Err(wrong(Flaw::StateHash)),
        Err(flaw) => Err(wrong(flaw)),
    }
}

/// Removes what a failed attempt or a crash left half made: nobody may be writing.
///
/// # Errors
/// The system's; a folder that is not there has none.
pub fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), SnapshotError> {
    for path in unfinished(disk, dir)? {
        disk.remove(&path).map_err(io_error("remove", &path))?;
    }
    Ok(())
}

fn unfinished(disk: &dyn Disk, dir: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let mut paths = files(disk, dir)?;
    paths.retain(|path| path.extension().is_some_and(|end| end == UNFINISHED));
    Ok(paths)
}

/// State first, since the header says how long it is.
fn aside_with(
    disk: &dyn Disk,
    aside: &Path,
    exchange: &Exchange,
    position: &Position,
    annex: &[u8],
) -> io::Result<Header> {
    let file = disk.create(aside)?;
    let mut sink = Sink {
        file: &*file,
        hasher: blake3::Hasher::new(),
        bytes: 0,
        synced: 0,
    };
    exchange.save(&mut sink)?;
    let header = Header {
        seq: position.last_seq(),
        position: position.clone(),
        state_bytes: sink.bytes,
        state_hash: *sink.hasher.finalize().as_bytes(),
        annex_bytes: annex.len() as u64,
        annex_hash: *blake3::hash(annex).as_bytes(),
    };
    for chunk in annex.chunks(SYNC_BYTES as usize) {
        io::Write::write_all(&mut sink, chunk)?;
    }
    file.write_all_at(&header.encode(), 0)?;
    file.sync()?;
    Ok(header)
}

/// The newest snapshot that is whole, of this exchange (0: of any), and of a moment at or before command
/// `latest`. Those passed over for a flaw are in the answer, and in the log.
///
/// # Errors
/// The system's, if the folder cannot be listed; a folder that is not there has no snapshots.
/// [`SnapshotError::Newer`] if none can be used and a later version of this program wrote some.
pub fn newest_valid(
    disk: &dyn Disk,
    dir: &Path,
    exchange_id: u64,
    latest: u64,
) -> Result<Found, SnapshotError> {
    let mut found = Found::default();
    for (seq, path) in list(disk, dir)? {
        if seq > latest {
            continue;
        }
        match load(disk, &path, exchange_id) {
            Ok(loaded) => {
                found.loaded = Some(loaded);
                break;
            }
            Err(flaw) => {
                tracing::warn!(snapshot = %path.display(), "a snapshot is passed over: {flaw}");
                found.rejected.push(Rejected { path, flaw });
            }
        }
    }
    let newer = |rejected: &Rejected| rejected.flaw.is_newer();
    match found.rejected.iter().position(newer) {
        Some(place) if found.loaded.is_none() => {
            let Rejected { path, flaw } = found.rejected.swap_remove(place);
            Err(SnapshotError::Newer { path, flaw })
        }
        _ => Ok(found),
    }
}

/// Keeps the newest `count` snapshots of this exchange that are whole, and removes what is older: whole
/// or damaged, but nothing that a later version of this program or another exchange wrote. With fewer
/// than `count` whole ones nothing is removed. Half-made files always are: nobody may be writing.
/// Answers what was removed.
///
/// # Errors
/// The system's.
pub fn keep(
    disk: &dyn Disk,
    dir: &Path,
    exchange_id: u64,
    count: usize,
) -> Result<Vec<PathBuf>, SnapshotError> {
    let mut removed = unfinished(disk, dir)?;
    let (mut whole, mut old) = (0, Vec::new());
    for (seq, path) in list(disk, dir)? {
        let is_ours = path
            .file_name()
            .is_some_and(|its| its == name(seq).as_str());
        let is_old = whole >= count.max(1) && is_ours;
        match verify(disk, &path, exchange_id) {
            Ok(_) if is_old => old.push(path),
            Ok(_) => whole += 1,
            Err(flaw) if is_old && !flaw.is_foreign() => old.push(path),
            Err(flaw) => {
                tracing::warn!(snapshot = %path.display(), "a snapshot is left alone: {flaw}");
            }
        }
    }
    removed.extend(old);
    for path in &removed {
        disk.remove(path).map_err(io_error("remove", path))?;
    }
    if !removed.is_empty() {
        disk.sync_dir(dir).map_err(io_error("sync", dir))?;
    }
    Ok(removed)
}

/// Tries a start from a snapshot: loads it into a state of its own, and has `remembers` read what stands
/// beside it. One that is no beginning is removed, so that it does not count as one of those that are kept.
/// For the moment of the trial both are in memory a second time.
///
/// # Errors
/// Why nobody can begin with it, or the system's.
pub fn try_start(
    disk: &dyn Disk,
    path: &Path,
    remembers: impl Fn(&[u8], Seq) -> Result<(), String>,
) -> Result<(), SnapshotError> {
    let tried = load(disk, path, 0);
    let tried = tried.map_err(|flaw| flaw.to_string());
    let Err(why) = tried.and_then(|it| remembers(&it.annex, it.exchange.seq())) else {
        return Ok(());
    };
    disk.remove(path).map_err(io_error("remove", path))?;
    if let Some(dir) = path.parent() {
        disk.sync_dir(dir).map_err(io_error("sync", dir))?;
    }
    Err(SnapshotError::NoBeginning {
        path: path.to_owned(),
        why,
    })
}

/// The oldest segment that the newest `count` whole snapshots need to go on from, if `begins` has nothing
/// against them; none if there are not that many. Segments that were let go do not come back.
///
/// # Errors
/// The system's.
pub fn oldest_needed(
    disk: &dyn Disk,
    dir: &Path,
    exchange_id: u64,
    count: usize,
    mut begins: impl FnMut(&Path, Seq) -> Result<(), SnapshotError>,
) -> Result<Option<u64>, SnapshotError> {
    let mut needed = Vec::new();
    for (seq, path) in list(disk, dir)? {
        if let Ok(header) = verify(disk, &path, exchange_id) {
            match begins(&path, seq) {
                Ok(()) => needed.push(header.position.segment_id()),
                Err(error @ SnapshotError::NoBeginning { .. }) => {
                    tracing::warn!(%error, "nothing is let go on its strength");
                }
                Err(error) => return Err(error),
            }
        }
        if needed.len() == count {
            return Ok(needed.into_iter().min());
        }
    }
    Ok(None)
}

/// The moment of the oldest finished snapshot, whole or not.
///
/// # Errors
/// The system's.
pub fn oldest(disk: &dyn Disk, dir: &Path) -> Result<Option<u64>, SnapshotError> {
    let mut moments = list(disk, dir)?.into_iter().rev();
    // A strange name says nothing about a moment.
    Ok(moments.find(|(seq, _)| *seq > 0).map(|(seq, _)| seq))
}

/// The name of the snapshot after a command.
fn name(seq: u64) -> String {
    format!("snapshot-{seq:020}.{FINISHED}")
}

fn files(disk: &dyn Disk, dir: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    match disk.list(dir) {
        Ok(files) => Ok(files),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io_error("list", dir)(error)),
    }
}

/// Finished snapshots by their names, newest first; those with strange names come last.
fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u64, PathBuf)>, SnapshotError> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for path in files(disk, dir)? {
        if path.extension().is_some_and(|end| end == FINISHED) {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let seq = stem.and_then(|stem| stem.strip_prefix("snapshot-")?.parse().ok());
            found.push((seq.unwrap_or(0), path));
        }
    }
    found.sort_unstable();
    found.reverse();
    Ok(found)
}

/// Opens a snapshot and looks at everything but the state.
fn open(
    disk: &dyn Disk,
    path: &Path,
    exchange_id: u64,
) -> Result<(Header, Box<dyn DiskFile>), Flaw> {
    let file = disk.open(path)?;
    let found = file.length()?;
    if found < header::BYTES as u64 {
        return Err(Flaw::Short { bytes: found });
    }
    let mut bytes = [0; header::BYTES];
    file.read_exact_at(&mut bytes, 0)?;
    let header = Header::decode(&bytes)?;
    let its_id = header.position.exchange_id();
    if exchange_id != 0 && exchange_id != its_id {
        return Err(Flaw::ForeignExchange {
            expected: exchange_id,
            found: its_id,
        });
    }
    let expected = name(header.seq);
    if path
        .file_name()
        .is_none_or(|name| name != expected.as_str())
    {
        return Err(Flaw::Misnamed { expected });
    }
    let body = header.state_bytes.saturating_add(header.annex_bytes);
    let expected = body.saturating_add(header::BYTES as u64);
    if found != expected {
        return Err(Flaw::Length { expected, found });
    }
    Ok((header, file))
}

/// Reads a whole snapshot and compares its hash.
fn verify(disk: &dyn Disk, path: &Path, exchange_id: u64) -> Result<Header, Flaw> {
    let (header, file) = open(disk, path, exchange_id)?;
    let mut source = Source::new(&*file, header::BYTES as u64, header.state_bytes);
    io::copy(&mut source, &mut io::sink())?;
    if source.hash() != header.state_hash {
        return Err(Flaw::StateHash);
    }
    read_annex(&*file, &header, &mut io::sink())?;
    Ok(header)
}

/// What stands behind the state.
fn read_annex(file: &dyn DiskFile, header: &Header, into: &mut impl io::Write) -> Result<(), Flaw> {
    let at = header::BYTES as u64 + header.state_bytes;
    let mut source = Source::new(file, at, header.annex_bytes);
    io::copy(&mut source, into)?;
    match source.hash() == header.annex_hash {
        true => Ok(()),
        false => Err(Flaw::AnnexHash),
    }
}

fn load(disk: &dyn Disk, path: &Path, exchange_id: u64) -> Result<Loaded, Flaw> {
    let (header, file) = open(disk, path, exchange_id)?;
    let mut source = Source::new(&*file, header::BYTES as u64, header.state_bytes);
    let exchange = match Exchange::load(&mut source) {
        Err(LoadError::Io(error)) => return Err(error.into()),
        exchange => exchange,
    };
    // The hash is of all bytes, whether they made a state or not; it is the better word about damage.
    io::copy(&mut source, &mut io::sink())?;
    if source.hash() != header.state_hash {
        return Err(Flaw::StateHash);
    }
    let exchange = exchange.map_err(Flaw::State)?;
    if exchange.seq() != header.seq {
        return Err(Flaw::Contradiction("the state is of another moment"));
    }
    let mut annex = Vec::new();
    read_annex(&*file, &header, &mut annex)?;
    Ok(Loaded {
        exchange,
        position: header.position,
        annex,
        path: path.to_owned(),
        digest: header.state_hash,
    })
}

/// Writes a state and its annex behind the room for the header, and hashes them.
struct Sink<'a> {
    file: &'a dyn DiskFile,
    hasher: blake3::Hasher,
    bytes: u64,
    synced: u64,
}

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(SYNC_BYTES as usize)];
        let at = header::BYTES as u64 + self.bytes;
        self.file.write_all_at(bytes, at)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        if self.bytes - self.synced >= SYNC_BYTES {
            #[expect(
                clippy::disallowed_methods,
                reason = "paces the writing; nothing of it reaches a state"
            )]
            let begun = Instant::now();
            self.file.sync()?;
            self.synced = self.bytes;
            // At least half of the disk's time is the journal's.
            std::thread::sleep(begun.elapsed());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a part of a file, and hashes what was read.
struct Source<'a> {
    file: &'a dyn DiskFile,
    hasher: blake3::Hasher,
    at: u64,
    left: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were handed out.
    used: usize,
}

impl<'a> Source<'a> {
    fn new(file: &'a dyn DiskFile, at: u64, bytes: u64) -> Self {
        Self {
            file,
            hasher: blake3::Hasher::new(),
            at,
            left: bytes,
            buffer: Vec::new(),
            used: 0,
        }
    }

    fn hash(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

impl io::Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            let next = self.left.min(CHUNK as u64);
            self.buffer.resize(next as usize, 0);
            self.used = 0;
            self.file.read_exact_at(&mut self.buffer, self.at)?;
            self.hasher.update(&self.buffer);
            (self.at, self.left) = (self.at + next, self.left - next);
        }
        let rest = &self.buffer[self.used..];
        let bytes = rest.len().min(into.len());
        into[..bytes].copy_from_slice(&rest[..bytes]);
        self.used += bytes;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
