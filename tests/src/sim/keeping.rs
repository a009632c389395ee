//! The keeper and its snapshots on the simulated disk, and starts from them, held against full replays.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use engine::{
    command::Stamped,
    event::Event,
    exchange::Exchange,
    ids::Seq,
    journal::{self, JournalError, Position},
    keeper::{History, Keeper, KeeperError, Retention},
    pipeline::{self, RecoverError, Replay},
    snapshots,
};

use super::{
    EXCHANGE_ID, Mutation, Options, SEGMENT_BYTES, Trace,
    disk::{Harm, SimDisk, Trap},
    oracle::print_of,
    start::{Recovered, folder, recover},
    world::World,
};

/// Bytes before a snapshot's state, as `JOURNAL.md` draws them.
const HEADER: usize = 512;

/// A history: a number for each command and its events.
#[derive(Debug, Default)]
pub struct Heard {
    prints: Vec<u64>,
    scratch: Vec<u8>,
}

impl Heard {
    fn of(annex: &[u8]) -> Result<Self, String> {
        let (words, rest) = annex.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(format!("{} bytes are no history", annex.len()));
        }
        Ok(Self {
            prints: words.iter().map(|word| u64::from_le_bytes(*word)).collect(),
            scratch: Vec::new(),
        })
    }
}

impl History for Heard {
    fn hear(&mut self, stamped: &Stamped, events: &[Event]) {
        let print = print_of(stamped, events, &mut self.scratch);
        self.prints.push(print);
    }

    fn annex(&self) -> Vec<u8> {
        let words = self.prints.iter();
        words.flat_map(|print| print.to_le_bytes()).collect()
    }

    fn try_annex(annex: &[u8], _: Seq) -> Result<(), String> {
        Self::of(annex).map(drop)
    }
}

fn settings(disk: &SimDisk) -> journal::Settings {
    journal::Settings {
        segment_bytes: SEGMENT_BYTES,
        reserve_segments: 1,
        disk: Arc::new(disk.clone()),
        ..journal::Settings::new(folder(), EXCHANGE_ID)
    }
}

/// A start as the server's: newest whole snapshot, then the tail.
fn begin(disk: &SimDisk) -> Result<pipeline::Recovered<Heard>, RecoverError> {
    pipeline::recover_with_room(settings(disk), (0, 0), |kept| {
        kept.map_or(Ok(Heard::default()), |(annex, _)| Heard::of(annex))
    })
}

/// A keeper as the server's, from the newest whole snapshot.
fn keeper(disk: &SimDisk) -> Result<Keeper<Heard>, KeeperError> {
    let dir = snapshots::beside(&folder());
    let found = snapshots::newest_valid(disk, &dir, EXCHANGE_ID, u64::MAX)?;
    let (exchange, position, heard) = match found.loaded {
        Some(loaded) => {
            let heard = Heard::of(&loaded.annex).unwrap_or_else(|wrong| panic!("{wrong}"));
            (loaded.exchange, Some(loaded.position), heard)
        }
        None => (Exchange::new(), None, Heard::default()),
    };
    let disk = Arc::new(disk.clone());
    Ok(Keeper::start(
        disk,
        &folder(),
        position.as_ref(),
        exchange,
        heard,
    )?)
}

/// What a full replay of everything durable gives.
#[derive(Debug)]
pub struct Truth {
    digest: [u8; 32],
    prints: Vec<u64>,
}

impl Truth {
    fn of(recovered: &Recovered) -> Self {
        Self {
            digest: recovered.exchange.digest(),
            prints: recovered.history.clone(),
        }
    }

    /// A start must end here, having passed over so many snapshots. Answers whether it began with one.
    ///
    /// # Errors
    /// What is different.
    pub fn check(&self, disk: &SimDisk, passed_over: usize) -> Result<bool, String> {
        let found = begin(disk).map_err(|error| format!("the exchange does not start: {error}"))?;
        let rejected = &found.began.rejected;
        if rejected.len() != passed_over {
            return Err(format!(
                "{passed_over} snapshots to pass over, not {rejected:?}"
            ));
        }
        if found.history.prints != self.prints {
            return Err(format!(
                "from {:?} another history: {} commands, not {}",
                found.began.snapshot,
                found.history.prints.len(),
                self.prints.len()
            ));
        }
        if found.exchange.digest() != self.digest {
            return Err(format!("from {:?} another state", found.began.snapshot));
        }
        found.exchange.audit()?;
        Ok(found.began.snapshot.is_some())
    }

    /// The same, also when the newest snapshot rots, whose fallback is the one before.
    ///
    /// # Errors
    /// What is different.
    pub fn check_both(&self, disk: &SimDisk) -> Result<bool, String> {
        let began = self.check(&disk.fork(), 0)?;
        if let Some(newest) = files(disk).pop() {
            let rotten = disk.fork();
            flip(&rotten, &newest, HEADER as u64 + 40);
            self.check(&rotten, 1)
                .map_err(|wrong| format!("the newest snapshot rotten: {wrong}"))?;
        }
        Ok(began)
    }
}

/// Finished snapshots, oldest first.
fn files(disk: &SimDisk) -> Vec<PathBuf> {
    let names = disk.image().into_keys();
    let is_snapshot = |path: &PathBuf| path.extension().is_some_and(|end| end == "snap");
    names.filter(is_snapshot).collect()
}

/// Segments in the journal's folder, oldest first.
fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    let names = disk.image().into_keys();
    let inside = |path: &PathBuf| path.parent() == Some(&folder()) && is_segment(path);
    names.filter(inside).collect()
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "seg")
}

fn bytes_of(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let bytes = disk.image().remove(path).unwrap_or_default();
    let mut whole = vec![0; bytes.length() as usize];
    bytes.read(&mut whole, 0);
    whole
}

fn flip(disk: &SimDisk, path: &Path, at: u64) {
    let byte = bytes_of(disk, path)[at as usize];
    disk.spoil(path, at, &[byte ^ 1]);
}

impl World {
    /// The keeper's moment, if it has come. Answers what must stop the exchange.
    pub(super) fn keep(
        &mut self,
        keeps: &mut Option<Keeper<Heard>>,
    ) -> Result<Option<JournalError>, String> {
        if self.keeps.between(1, 1_000) > self.options.keeper {
            return Ok(None);
        }
        let failed = match keeps {
            None => match keeper(&self.disk) {
                Ok(new) => {
                    *keeps = Some(new);
                    return Ok(None);
                }
                Err(error) => error,
            },
            Some(keeper) => {
                let turned = keeper.turn();
                let prints = &keeper.history().prints;
                if let Some(news) = prints.get(self.seen.len()..) {
                    self.seen.extend_from_slice(news);
                }
                if prints.last() != prints.len().checked_sub(1).map(|at| &self.seen[at]) {
                    return Err("two keepers saw two histories".into());
                }
                match turned {
                    Err(error) => error.into(),
                    // As the keeper's thread: none without news.
                    Ok(_) if keeper.since_snapshot() == 0 || self.keeps.percent(75) => {
                        return Ok(None);
                    }
                    Ok(_) => match keeper.snapshot() {
                        Ok(written) => {
                            self.report.snapshots += 1;
                            self.trace.say(|| format!("keeper: {written:?}"));
                            return Ok(None);
                        }
                        Err(error) => error,
                    },
                }
            }
        };
        self.trace.say(|| format!("keeper: {failed}"));
        self.report.keeper_errors += 1;
        match failed {
            // It tries again later.
            KeeperError::Snapshot(_) | KeeperError::Nothing => Ok(None),
            // The process that stops ends it too.
            KeeperError::Journal(error @ JournalError::Io { .. }) => Ok(Some(error)),
            KeeperError::Journal(JournalError::NoJournal { .. }) => Ok(None),
            // The end of the machine may be told in any words.
            KeeperError::Journal(_) if self.disk.dead().is_some() => Ok(None),
            KeeperError::Journal(error) => Err(format!("the keeper: {error}")),
        }
    }

    /// What a keeper has seen is never cut, and a start from a snapshot is as good as a full one; also with
    /// the segments gone that nobody needs.
    pub(super) fn check_keeper(&mut self, recovered: &Recovered) -> Result<(), String> {
        if self.options.keeper == 0 {
            return Ok(());
        }
        if recovered.history.get(..self.seen.len()) != Some(&self.seen[..]) {
            return Err(format!(
                "a keeper saw {} commands, the recovered history has {} or others",
                self.seen.len(),
                recovered.history.len()
            ));
        }
        let truth = Truth::of(recovered);
        let began = truth.check_both(&self.disk)?;
        self.report.snapshot_starts += u64::from(began);
        if began && self.keeps.percent(30) {
            let disk = self.disk.fork();
            let retention = match self.keeps.percent(50) {
                true => Retention::Remove(1),
                false => Retention::Archive(1, PathBuf::from("/archive")),
            };
            let mut keeper = keeper(&disk).map_err(|error| error.to_string())?;
            while keeper.turn().map_err(|error| error.to_string())? {}
            keeper.snapshot().map_err(|error| error.to_string())?;
            let gone = keeper
                .retire(&retention)
                .map_err(|error| error.to_string())?;
            self.report.retired += gone.len() as u64;
            truth
                .check_both(&disk)
                .map_err(|wrong| format!("after {gone:?} went: {wrong}"))?;
        }
        Ok(())
    }
}

/// A finished journal with the truth about it, and places in it where a snapshot can be taken.
#[derive(Debug)]
pub struct Finished {
    /// With the journal alone.
    pub disk: SimDisk,
    /// What a start must find.
    pub truth: Truth,
    moments: Vec<(Exchange, Position, usize)>,
}

/// Runs a seed to its end.
///
/// # Errors
/// What does not hold.
pub fn finished(seed: u64, wishes: usize) -> Result<Finished, String> {
    let mut options = Options::orderly(seed, wishes);
    options.pipeline.batch = 1;
    let mut world = World::new(&options, Trace::default());
    world.run_out()?;
    world.disk.crash(true);
    let disk = world.disk.fork();
    let full = recover(&disk.fork(), 1, Mutation::None).map_err(|error| error.to_string())?;
    let (mut exchange, mut replay) = (Exchange::new(), Replay::default());
    let (mut moments, mut heard) = (Vec::new(), 0);
    journal::open(settings(&disk.fork()), |block| {
        let hear = |_: &Stamped, _: &[Event]| heard += 1;
        replay.block(&mut exchange, block.payload, block.count, hear)?;
        if block.count == 1 {
            moments.push((exchange.clone(), block.after.clone(), heard));
        }
        Ok(())
    })
    .map_err(|error| error.to_string())?;
    Ok(Finished {
        disk,
        truth: Truth::of(&full),
        moments,
    })
}

impl Finished {
    /// Writes the snapshot of so many percent of the way. Answers its place among the moments.
    ///
    /// # Errors
    /// The disk's.
    pub fn snapshot_at(&self, disk: &SimDisk, percent: usize) -> Result<usize, String> {
        let at = (self.moments.len() - 2) * percent / 100;
        self.snapshot_of(disk, at).map(|_| at)
    }

    fn snapshot_of(&self, disk: &SimDisk, at: usize) -> Result<PathBuf, String> {
        let (exchange, position, heard) = &self.moments[at];
        let heard = Heard {
            prints: self.truth.prints[..*heard].to_vec(),
            scratch: Vec::new(),
        };
        let dir = snapshots::beside(&folder());
        snapshots::write(disk, &dir, exchange, position, &heard.annex())
            .map(|written| written.path)
            .map_err(|error| error.to_string())
    }

    /// A snapshot and a letting go with harm at every operation in turn, where there are snapshots of so many
    /// percent of the way already. Answers the operations.
    ///
    /// # Errors
    /// What does not hold, and at which operation.
    pub fn every_operation(
        &self,
        harm: Harm,
        retention: &Retention,
        taken: &[usize],
    ) -> Result<u64, String> {
        let ready = self.disk.fork();
        for percent in taken {
            self.snapshot_at(&ready, *percent)?;
        }
        for left in 1.. {
            let at = |what: String| format!("{harm:?} at operation {left}: {what}");
            let disk = ready.fork();
            let mut keeper = keeper(&disk).map_err(|error| at(error.to_string()))?;
            while keeper.turn().map_err(|error| at(error.to_string()))? {}
            disk.set(Trap {
                verb: None,
                left,
                harm,
            });
            // A keeper that cannot write a snapshot goes on.
            let done = keeper
                .snapshot()
                .and_then(|_| keeper.retire(retention).map(drop));
            let again = (done.is_err() && disk.dead().is_none()).then(|| keeper.snapshot());
            if let Some(Err(error)) = again {
                return Err(at(format!("the next attempt fails too: {error}")));
            }
            drop(keeper);
            let sprung = disk.sprung();
            disk.crash(harm == Harm::PowerCut);
            disk.disarm();
            self.truth.check_both(&disk).map_err(at)?;
            if sprung == 0 {
                if segments(&disk).len() == segments(&ready).len() {
                    return Err("no segment was let go of: proves nothing".into());
                }
                return Ok(left - 1);
            }
        }
        unreachable!("a snapshot has an end")
    }

    /// A journal from which the newest was taken away behind a snapshot's back must be refused.
    ///
    /// # Errors
    /// If it starts.
    pub fn rolled_back(&self) -> Result<(), String> {
        let disk = self.disk.fork();
        let at = self.snapshot_at(&disk, 80)?;
        let sound = super::blocks::sound(&disk.image());
        let (exchange, ..) = &self.moments[at / 2];
        let first = sound.iter().find(|block| block.first_seq > exchange.seq());
        let first = first.ok_or("no block there")?;
        for (path, bytes) in disk.image() {
            let from = match (is_segment(&path), &path) {
                (true, path) if *path == first.path => first.offset,
                (true, path) if *path > first.path => 0,
                _ => continue,
            };
            disk.spoil(&path, from, &vec![0; (bytes.length() - from) as usize]);
        }
        match begin(&disk) {
            Err(RecoverError::Journal(JournalError::Refused(_))) => Ok(()),
            other => Err(format!("a journal behind its snapshot: {other:?}")),
        }
    }

    /// A mistake on purpose: a reader that takes a state without looking at its hash, played by a disk that
    /// rots and puts hash and checksum right. Answers what was found, of those states that can be read.
    ///
    /// # Errors
    /// The disk's.
    pub fn hash_not_checked(&self) -> Result<Vec<Result<bool, String>>, String> {
        let ready = self.disk.fork();
        // At the very end: a tail would put some of it right again.
        let at = self.moments.len() - 1;
        self.snapshot_of(&ready, at)?;
        let path = files(&ready).pop().ok_or("no snapshot")?;
        let whole = bytes_of(&ready, &path);
        let state = number(&whole, 24);
        let mut found = Vec::new();
        for place in (HEADER..HEADER + state).step_by(29) {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            let mut kept = &bytes[HEADER..HEADER + state];
            let Ok(loaded) = Exchange::load(&mut kept) else {
                continue;
            };
            if loaded.seq() != self.moments[at].0.seq() {
                continue;
            }
            // With the hash in force it is passed over, and everything is as it was.
            let honest = ready.fork();
            honest.spoil(&path, 0, &bytes);
            self.truth.check(&honest, 1)?;
            let hash = *blake3::hash(&bytes[HEADER..HEADER + state]).as_bytes();
            bytes[32..64].copy_from_slice(&hash);
            put_sum_right(&mut bytes);
            let disk = ready.fork();
            disk.spoil(&path, 0, &bytes);
            let check = AssertUnwindSafe(|| self.truth.check(&disk, 0));
            let checked = catch_unwind(check);
            found.push(checked.unwrap_or_else(|_| Err("a panic: its books do not audit".into())));
        }
        Ok(found)
    }

    /// A mistake on purpose: one segment more is gone than may be.
    ///
    /// # Errors
    /// That it was found.
    pub fn one_segment_too_many(&self) -> Result<(), String> {
        let disk = self.disk.fork();
        self.snapshot_at(&disk, 70).map_err(panicking)?;
        let keeper = keeper(&disk);
        let mut keeper = keeper.map_err(|error| panicking(error.to_string()))?;
        while keeper.turn().map_err(|error| error.to_string())? {}
        keeper.snapshot().map_err(|error| error.to_string())?;
        let gone = keeper.retire(&Retention::Remove(1));
        let gone = gone.map_err(|error| panicking(error.to_string()))?;
        assert!(!gone.is_empty(), "nothing was let go of: proves nothing");
        self.truth.check_both(&disk).map_err(panicking)?;
        let oldest = &segments(&disk)[0];
        engine::journal::Disk::remove(&disk, oldest).map_err(|error| error.to_string())?;
        self.truth.check_both(&disk).map(drop)
    }

    /// Nothing may be let go on the strength of a snapshot that no start can begin with, though its bytes are
    /// what was written.
    ///
    /// # Errors
    /// What went nevertheless, or does not start.
    pub fn unreadable_history(&self) -> Result<(), String> {
        let disk = self.disk.fork();
        let (exchange, position, _) = &self.moments[self.moments.len() / 2];
        let dir = snapshots::beside(&folder());
        snapshots::write(&disk, &dir, exchange, position, b"no history")
            .map_err(|error| error.to_string())?;
        let mut keeper = Keeper::start(
            Arc::new(disk.clone()),
            &folder(),
            None,
            Exchange::new(),
            Heard::default(),
        )
        .map_err(|error| error.to_string())?;
        while keeper.turn().map_err(|error| error.to_string())? {}
        keeper.snapshot().map_err(|error| error.to_string())?;
        let gone = keeper
            .retire(&Retention::Remove(1))
            .map_err(|error| error.to_string())?;
        match gone.is_empty() {
            true => self.truth.check(&disk, 0).map(drop),
            false => Err(format!("{gone:?} went")),
        }
    }

    /// A mistake on purpose: the state one command on, under the place before it.
    ///
    /// # Errors
    /// That it was found.
    pub fn one_command_ahead(&self) -> Result<(), String> {
        let disk = self.disk.fork();
        let at = self.snapshot_at(&disk, 50).map_err(panicking)?;
        let path = files(&disk).pop().ok_or("no snapshot")?;
        self.truth.check(&disk, 0).map_err(panicking)?;
        let mut bytes = bytes_of(&disk, &path);
        let annex = bytes.split_off(HEADER + number(&bytes, 24));
        let mut state = Vec::new();
        let (next, ..) = &self.moments[at + 1];
        next.save(&mut state).map_err(|error| error.to_string())?;
        bytes.truncate(HEADER);
        bytes[24..32].copy_from_slice(&(state.len() as u64).to_le_bytes());
        bytes[32..64].copy_from_slice(blake3::hash(&state).as_bytes());
        put_sum_right(&mut bytes);
        bytes.extend_from_slice(&state);
        bytes.extend_from_slice(&annex);
        let file = engine::journal::Disk::create(&disk, &path);
        let file = file.map_err(|error| panicking(error.to_string()))?;
        let written = file.write_all_at(&bytes, 0);
        written.map_err(|error| panicking(error.to_string()))?;
        self.truth.check(&disk, 0).map(drop)
    }
}

/// What goes wrong before the mistake is made proves nothing about it.
fn panicking(what: String) -> String {
    panic!("before the mistake: {what}")
}

fn number(bytes: &[u8], at: usize) -> usize {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word) as usize
}

fn put_sum_right(bytes: &mut [u8]) {
    let sum = crc32c::crc32c(&bytes[..HEADER - 4]);
    bytes[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
}
