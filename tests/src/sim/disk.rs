//! The simulated disk: what the kernel holds, what the platters hold, and what lies between.
//!
//! A write reaches the kernel; a sync brings it to the platters. A power cut keeps any of the sectors that
//! were on their way, and of each folder a prefix of the names that changed since that folder was synced; a
//! file that went from one folder to another is in both or, after the cut, in one. After a failed sync the pages count as clean, as on Linux: the next sync answers well
//! and stores nothing of them, and memory pressure brings the old bytes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use engine::journal::{Buffer, Disk, DiskFile, IoChoice, JournalError, JournalIo, Lock};

use super::{
    bytes::{Bytes, SECTOR},
    io::SimIo,
    names::{NameChange, bound_together, change},
    trace::Trace,
};
use crate::generator::Random;

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Bytes into a file.
    Write,
    /// Bytes onto the platters.
    Sync,
    /// A new file.
    Create,
    /// Another name.
    Rename,
    /// A name away.
    Remove,
    /// Names onto the platters.
    SyncDir,
    /// A file that is there.
    Open,
    /// Bytes from a file.
    Read,
    /// Names.
    List,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Write,
        Self::Sync,
        Self::Create,
        Self::Rename,
        Self::Remove,
        Self::SyncDir,
        Self::Open,
        Self::Read,
        Self::List,
    ];
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// An error of the device.
    Eio,
    /// Only a part is written.
    Short,
    /// No room.
    Full,
    /// The process is killed in the middle of it.
    Kill,
    /// The power goes in the middle of it.
    PowerCut,
}

/// Harm for one operation to come.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    /// Of this kind; none counts all.
    pub verb: Option<Verb>,
    /// How many of them are still to go, this one included.
    pub left: u64,
    /// What happens then.
    pub harm: Harm,
}

/// A disk that does not do what it says: mistakes that the harness must find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lie {
    /// None.
    #[default]
    None,
    /// No sync stores anything.
    SyncStoresNothing,
    /// The journal's sync answers before it stores.
    SyncAnswersEarly,
    /// A failed sync of the journal is told as a good one.
    SyncErrorSwallowed,
}

/// How a disk behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Operations of ten thousand that fail.
    pub errors: i64,
    /// Ordinary latency, microseconds.
    pub latency: i64,
    /// Operations of a hundred that take fifty times as long.
    pub slow: i64,
    /// Bytes in all; more is "no room".
    pub capacity: u64,
    /// Reads of a hundred before which the kernel forgets clean pages.
    pub pressure: i64,
    /// What it lies about.
    pub lie: Lie,
}

impl Manners {
    /// Nothing goes wrong.
    pub const GOOD: Self = Self {
        errors: 0,
        latency: 20,
        slow: 0,
        capacity: u64::MAX,
        pressure: 0,
        lie: Lie::None,
    };
}

pub(super) type FileId = u64;

/// A write that the kernel has and the platters may not have.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    id: u64,
    offset: u64,
    bytes: Arc<[u8]>,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// As read.
    cache: Bytes,
    /// As after a power cut, but for `pending`.
    durable: Bytes,
    pending: Vec<Pending>,
}

impl File {
    /// Some of the sectors of a write reach the platters, so many of a hundred.
    fn store_some(&mut self, pending: &Pending, share: i64, random: &mut Random) {
        for (place, sector) in pending.bytes.chunks(SECTOR).enumerate() {
            if random.percent(share) {
                self.durable
                    .write(sector, pending.offset + (place * SECTOR) as u64);
            }
        }
    }

    /// Clean pages are forgotten and read again.
    fn evict(&mut self) {
        let mut fresh = self.durable.clone();
        for pending in &self.pending {
            fresh.write(&pending.bytes, pending.offset);
        }
        self.cache = fresh;
    }
}

/// Something of the journal's that has begun and not yet answered.
#[derive(Debug)]
pub(super) struct Flying {
    pub(super) file: FileId,
    pub(super) due: u64,
    pub(super) what: Op,
}

#[derive(Debug)]
pub(super) enum Op {
    Write {
        block_seq: u64,
        block: Buffer,
        offset: u64,
    },
    /// Stores the writes up to and with this one.
    Sync { covers: u64 },
    /// The same, already answered.
    LateSync { covers: u64 },
}

#[derive(Debug)]
pub(super) struct State {
    names: BTreeMap<PathBuf, FileId>,
    durable_names: BTreeMap<PathBuf, FileId>,
    changes: Vec<NameChange>,
    files: BTreeMap<FileId, File>,
    next_id: u64,
    locked: bool,
    counts: BTreeMap<Verb, u64>,
    traps: Vec<Trap>,
    dead: Option<Harm>,
    sprung: u64,
    pub(super) manners: Manners,
    pub(super) random: Random,
    pub(super) now: u64,
    pub(super) flying: Vec<Flying>,
    pub(super) trace: Trace,
}

fn gone() -> io::Error {
    io::Error::other("the machine is gone")
}

fn error(harm: Harm) -> io::Error {
    match harm {
        Harm::Eio => io::Error::other("simulated device error"),
        Harm::Short => io::Error::new(io::ErrorKind::WriteZero, "simulated short write"),
        Harm::Full => io::Error::new(io::ErrorKind::StorageFull, "simulated full disk"),
        Harm::Kill | Harm::PowerCut => gone(),
    }
}

impl State {
    /// The changes of names that reach the platters with those of a folder.
    fn take_changes(&mut self, dir: &Path) -> Vec<NameChange> {
        let folders = bound_together(&self.changes, dir);
        let (taken, left) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|one| one.touches(&folders));
        self.changes = left;
        taken
    }

    /// Counts an operation and says what harm it meets.
    fn meet(&mut self, verb: Verb, what: &dyn std::fmt::Debug) -> io::Result<Option<Harm>> {
        if self.dead.is_some() {
            return Err(gone());
        }
        *self.counts.entry(verb).or_default() += 1;
        let mut harm = None;
        for trap in &mut self.traps {
            if trap.verb.is_none_or(|of| of == verb) && trap.left > 0 {
                trap.left -= 1;
                if trap.left == 0 {
                    harm = Some(trap.harm);
                    self.sprung += 1;
                }
            }
        }
        if harm.is_none()
            && self.manners.errors > 0
            && self.random.between(1, 10_000) <= self.manners.errors
        {
            harm = Some(match verb {
                Verb::Write => {
                    [Harm::Eio, Harm::Short, Harm::Full][self.random.between(0, 2) as usize]
                }
                Verb::Create => [Harm::Eio, Harm::Full][self.random.between(0, 1) as usize],
                _ => Harm::Eio,
            });
        }
        if let Some(harm) = harm {
            self.trace
                .say(|| format!("disk: {verb:?} {what:?} meets {harm:?}"));
            if matches!(harm, Harm::Kill | Harm::PowerCut) {
                self.dead = Some(harm);
            }
        }
        Ok(harm)
    }

    fn room_for(&self, more: u64) -> bool {
        let used: u64 = self
            .names
            .values()
            .map(|id| self.files[id].cache.length())
            .sum();
        used.saturating_add(more) <= self.manners.capacity
    }

    pub(super) fn id(&self, path: &Path) -> io::Result<FileId> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn file(&mut self, id: FileId) -> &mut File {
        self.files.entry(id).or_default()
    }

    /// The kernel has these bytes.
    fn take(&mut self, id: FileId, bytes: &[u8], offset: u64) {
        self.next_id += 1;
        let pending = Pending {
            id: self.next_id,
            offset,
            bytes: bytes.into(),
        };
        let file = self.file(id);
        file.cache.write(bytes, offset);
        file.pending.push(pending);
    }

    /// A write that may meet harm.
    pub(super) fn write(&mut self, id: FileId, bytes: &[u8], offset: u64) -> io::Result<()> {
        let length = self.file(id).cache.length();
        let grows = (offset + bytes.len() as u64).saturating_sub(length);
        let what = (id, offset, bytes.len());
        let harm = match self.meet(Verb::Write, &what)? {
            None if grows > 0 && !self.room_for(grows) => Some(Harm::Full),
            harm => harm,
        };
        match harm {
            None => {
                self.take(id, bytes, offset);
                Ok(())
            }
            Some(harm) => {
                self.take_some(id, bytes, offset);
                Err(error(harm))
            }
        }
    }

    /// A write that is interrupted: nothing, all, the beginning, or any of its sectors.
    fn take_some(&mut self, id: FileId, bytes: &[u8], offset: u64) {
        let sectors = bytes.len().div_ceil(SECTOR) as i64;
        match self.random.between(0, 3) {
            0 => {}
            1 => self.take(id, bytes, offset),
            2 => {
                let some = self.random.between(0, sectors) as usize * SECTOR;
                self.take(id, &bytes[..some.min(bytes.len())], offset);
            }
            _ => {
                for (place, sector) in bytes.chunks(SECTOR).enumerate() {
                    if self.random.percent(50) {
                        self.take(id, sector, offset + (place * SECTOR) as u64);
                    }
                }
            }
        }
    }

    /// The newest write of a file that the kernel has.
    pub(super) fn newest(&mut self, id: FileId) -> u64 {
        self.file(id).pending.last().map_or(0, |pending| pending.id)
    }

    /// Brings everything up to a write onto the platters, or does not.
    pub(super) fn sync(&mut self, id: FileId, covers: u64) -> io::Result<()> {
        let harm = self.meet(Verb::Sync, &id)?;
        match harm {
            None => {
                self.store(id, covers);
                Ok(())
            }
            Some(Harm::Kill | Harm::PowerCut) => {
                if self.random.percent(50) {
                    self.store(id, covers);
                }
                Err(gone())
            }
            Some(harm) => {
                // From now on these pages count as clean.
                let share = self.random.between(0, 100);
                let covered = self.covered(id, covers);
                for pending in covered {
                    let mut random = self.random.clone();
                    self.file(id).store_some(&pending, share, &mut random);
                    self.random = random;
                }
                Err(error(harm))
            }
        }
    }

    fn covered(&mut self, id: FileId, covers: u64) -> Vec<Pending> {
        let file = self.file(id);
        let (covered, rest) = std::mem::take(&mut file.pending)
            .into_iter()
            .partition(|pending| pending.id <= covers);
        file.pending = rest;
        covered
    }

    pub(super) fn store(&mut self, id: FileId, covers: u64) {
        if self.manners.lie == Lie::SyncStoresNothing {
            return;
        }
        for pending in self.covered(id, covers) {
            self.file(id).durable.write(&pending.bytes, pending.offset);
        }
    }

    pub(super) fn latency(&mut self) -> u64 {
        let most = self.manners.latency.max(1);
        let mut takes = self.random.between(1, most);
        if self.manners.slow > 0 && self.random.percent(self.manners.slow) {
            takes *= 50;
        }
        takes.unsigned_abs()
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.is_some()
    }
}

/// A disk; copies of the handle are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk(pub(super) Arc<Mutex<State>>);

impl SimDisk {
    /// An empty one.
    #[must_use]
    pub fn new(seed: u64, manners: Manners, trace: Trace) -> Self {
        Self(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            files: BTreeMap::new(),
            next_id: 0,
            locked: false,
            counts: BTreeMap::new(),
            traps: Vec::new(),
            dead: None,
            sprung: 0,
            manners,
            random: Random::new(seed),
            now: 0,
            flying: Vec::new(),
            trace,
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another disk with the same content, on which nothing goes wrong.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.state();
        Self(Arc::new(Mutex::new(State {
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            changes: state.changes.clone(),
            files: state.files.clone(),
            next_id: state.next_id,
            locked: false,
            counts: BTreeMap::new(),
            traps: Vec::new(),
            dead: None,
            sprung: 0,
            manners: Manners {
                lie: state.manners.lie,
                ..Manners::GOOD
            },
            random: state.random.clone(),
            now: state.now,
            flying: Vec::new(),
            trace: Trace::default(),
        })))
    }

    /// Takes the content of another disk.
    pub fn restore(&self, other: &Self) {
        let other = other.state();
        let mut state = self.state();
        state.names = other.names.clone();
        state.durable_names = other.durable_names.clone();
        state.changes = other.changes.clone();
        state.files = other.files.clone();
        state.next_id = state.next_id.max(other.next_id);
    }

    /// From now on.
    pub fn behave(&self, manners: Manners) {
        self.state().manners = manners;
    }

    /// Harm to come.
    pub fn set(&self, trap: Trap) {
        self.state().traps.push(trap);
    }

    /// No more harm to come.
    pub fn disarm(&self) {
        self.state().traps.clear();
    }

    /// Time passes, microseconds.
    pub fn pass(&self, time: u64) {
        self.state().now += time;
    }

    /// How the process was ended by a trap, if it was.
    #[must_use]
    pub fn dead(&self) -> Option<Harm> {
        self.state().dead
    }

    /// Traps that have been met so far.
    #[must_use]
    pub fn sprung(&self) -> u64 {
        self.state().sprung
    }

    /// Operations so far, of one kind or all.
    #[must_use]
    pub fn count(&self, verb: Option<Verb>) -> u64 {
        let state = self.state();
        match verb {
            Some(verb) => state.counts.get(&verb).copied().unwrap_or(0),
            None => state.counts.values().sum(),
        }
    }

    /// The process is gone, and perhaps the power too: what is left stands still. Ready for the next start.
    pub fn crash(&self, power_cut: bool) {
        let mut state = self.state();
        let state = &mut *state;
        for flying in std::mem::take(&mut state.flying) {
            match flying.what {
                Op::Write { block, offset, .. } => {
                    state.take_some(flying.file, block.block(), offset);
                }
                Op::Sync { covers } | Op::LateSync { covers } => {
                    if state.random.percent(30) {
                        state.store(flying.file, covers);
                    }
                }
            }
        }
        if power_cut {
            while let Some(first) = state.changes.first() {
                let dir = first.folders().into_iter().flatten().next();
                let changes = state.take_changes(&dir.map(Path::to_owned).unwrap_or_default());
                let kept = state.random.between(0, changes.len() as i64) as usize;
                for one in &changes[..kept] {
                    change(&mut state.durable_names, one);
                }
            }
            state.names = state.durable_names.clone();
            let share = [0, 20, 50, 80, 100][state.random.between(0, 4) as usize];
            for file in state.files.values_mut() {
                for pending in std::mem::take(&mut file.pending) {
                    file.store_some(&pending, share, &mut state.random);
                }
                file.cache = file.durable.clone();
            }
            let kept: BTreeSet<FileId> = state.names.values().copied().collect();
            state.files.retain(|id, _| kept.contains(id));
            state
                .trace
                .say(|| format!("power cut: {share} % of the unsynced sectors are kept"));
        } else if state.random.percent(30) {
            for file in state.files.values_mut() {
                file.evict();
            }
            state
                .trace
                .say(|| "kill: and the kernel forgets its clean pages".into());
        } else {
            state
                .trace
                .say(|| "kill: the kernel keeps all it had".into());
        }
        state.dead = None;
        state.locked = false;
        state.traps.clear();
    }

    /// The files as read.
    #[must_use]
    pub fn image(&self) -> BTreeMap<PathBuf, Bytes> {
        let state = self.state();
        let files = state.names.iter();
        files
            .map(|(path, id)| (path.clone(), state.files[id].cache.clone()))
            .collect()
    }

    /// Spoils bytes on the platters and in memory.
    pub fn spoil(&self, path: &Path, offset: u64, with: &[u8]) {
        let mut state = self.state();
        if let Ok(id) = state.id(path) {
            let file = state.file(id);
            file.cache.write(with, offset);
            file.durable.write(with, offset);
            for pending in &mut file.pending {
                let end = pending.offset + pending.bytes.len() as u64;
                if pending.offset <= offset && offset + with.len() as u64 <= end {
                    let mut bytes = pending.bytes.to_vec();
                    let at = (offset - pending.offset) as usize;
                    bytes[at..at + with.len()].copy_from_slice(with);
                    pending.bytes = bytes.into();
                }
            }
        }
    }
}

impl Disk for SimDisk {
    fn make_dir(&self, _dir: &Path) -> io::Result<()> {
        if self.state().is_dead() {
            Err(gone())
        } else {
            Ok(())
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state();
        match state.meet(Verb::List, &dir)? {
            Some(harm) => Err(error(harm)),
            None => {
                let inside = |path: &&PathBuf| path.parent() == Some(dir);
                Ok(state.names.keys().filter(inside).cloned().collect())
            }
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let harm = match state.meet(Verb::Create, &path)? {
            None if !state.room_for(1) => Some(Harm::Full),
            harm => harm,
        };
        if harm.is_none() || (harm != Some(Harm::Full) && state.random.percent(50)) {
            state.next_id += 1;
            let id = state.next_id;
            state.files.insert(id, File::default());
            let created = NameChange::Create(path.to_owned(), id);
            change(&mut state.names, &created);
            state.changes.push(created);
            if harm.is_none() {
                return Ok(self.handle(id));
            }
        }
        Err(error(harm.unwrap_or(Harm::Eio)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if let Some(harm) = state.meet(Verb::Open, &path)? {
            return Err(error(harm));
        }
        let id = state.id(path)?;
        Ok(self.handle(id))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let renamed = NameChange::Rename(from.to_owned(), to.to_owned());
        self.change_name(Verb::Rename, from, renamed)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change_name(Verb::Remove, path, NameChange::Remove(path.to_owned()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let harm = state.meet(Verb::SyncDir, &dir)?;
        if harm.is_none() || state.random.percent(30) {
            let lies = state.manners.lie == Lie::SyncStoresNothing;
            if !lies {
                for one in &state.take_changes(dir) {
                    change(&mut state.durable_names, one);
                }
            }
        }
        harm.map_or(Ok(()), |harm| Err(error(harm)))
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.state();
        if state.is_dead() {
            return Err(gone());
        }
        if std::mem::replace(&mut state.locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(Held(self.clone()))))
    }

    fn journal_io(&self, _choice: IoChoice) -> Result<Box<dyn JournalIo>, JournalError> {
        Ok(Box::new(SimIo::new(self.clone())))
    }
}

impl SimDisk {
    fn handle(&self, id: FileId) -> Box<dyn DiskFile> {
        Box::new(Handle(self.clone(), id))
    }

    fn change_name(&self, verb: Verb, path: &Path, wanted: NameChange) -> io::Result<()> {
        let mut state = self.state();
        let harm = state.meet(verb, &path)?;
        state.id(path)?;
        if harm.is_none() || state.random.percent(50) {
            change(&mut state.names, &wanted);
            state.changes.push(wanted);
        }
        harm.map_or(Ok(()), |harm| Err(error(harm)))
    }

    /// Opens a segment for the journal's writes.
    pub(super) fn open_segment(&self, path: &Path) -> io::Result<FileId> {
        let mut state = self.state();
        match state.meet(Verb::Open, &path)? {
            Some(harm) => Err(error(harm)),
            None => state.id(path),
        }
    }
}

#[derive(Debug)]
struct Handle(SimDisk, FileId);

impl DiskFile for Handle {
    fn length(&self) -> io::Result<u64> {
        let mut state = self.0.state();
        if state.is_dead() {
            return Err(gone());
        }
        Ok(state.file(self.1).cache.length())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.0.state();
        if let Some(harm) = state.meet(Verb::Read, &(self.1, offset, bytes.len()))? {
            return Err(error(harm));
        }
        let pressure = state.manners.pressure;
        if pressure > 0 && state.random.percent(pressure) {
            state.file(self.1).evict();
        }
        if state.file(self.1).cache.read(bytes, offset) {
            return Ok(());
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.state().write(self.1, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.state();
        state.sync(self.1, u64::MAX)
    }
}

#[derive(Debug)]
struct Held(SimDisk);

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}
