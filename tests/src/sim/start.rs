//! Starts: recovery by the real code, interrupted, repeated, and with rot in the way.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use engine::{
    command::Stamped,
    event::Event,
    exchange::Exchange,
    journal::{self, Disk, Journal, JournalError, Reason, RecoveryReport},
    pipeline,
};
use gateway::{archive::Archive, bulletin::Bulletin};

use super::{
    EXCHANGE_ID, SEGMENT_BYTES,
    blocks::{self, Verdict},
    bytes::Bytes,
    disk::{Harm, Manners, SimDisk, Trap},
    options::Mutation,
    oracle::print_of,
    world::World,
};

/// What a start has found.
#[derive(Debug)]
pub struct Recovered {
    /// The state.
    pub exchange: Exchange,
    /// Ready to append.
    pub journal: Journal,
    /// What opening found and did.
    pub report: RecoveryReport,
    /// What was told, for who resumes.
    pub archive: Archive,
    /// A number for each command and its events.
    pub history: Vec<u64>,
}

/// The folder, which is all that the disk has.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from("/journal")
}

/// The one place where a process starts: a full replay, against which the starts from a
/// snapshot are held (`keeping`).
///
/// # Errors
/// As [`journal::open`].
pub fn recover(
    disk: &SimDisk,
    reserve: usize,
    mutation: Mutation,
) -> Result<Recovered, JournalError> {
    let settings = || journal::Settings {
        segment_bytes: SEGMENT_BYTES,
        reserve_segments: reserve,
        disk: Arc::new(disk.clone()),
        ..journal::Settings::new(folder(), EXCHANGE_ID)
    };
    if mutation == Mutation::EpochNotRaised {
        clear_the_tail_without_a_word(disk, settings())?;
    }
    let (mut archive, mut history, mut scratch) = (Archive::default(), Vec::new(), Vec::new());
    let mut file = |stamped: &Stamped, events: &[Event]| {
        archive.file(Arc::new(Bulletin {
            stamped: vec![stamped.clone()],
            events: events.to_vec(),
            ends: vec![u32::try_from(events.len()).unwrap_or(u32::MAX)],
        }));
    };
    let mut newest = None;
    // What `pipeline::recover` does, without its room for a day's orders, which costs more than a run.
    let (mut exchange, mut replay) = (Exchange::new(), pipeline::Replay::default());
    let mut hear = |stamped: &Stamped, events: &[Event]| {
        history.push(print_of(stamped, events, &mut scratch));
        if mutation != Mutation::ResumeForgets {
            file(stamped, events);
        } else if let Some((stamped, events)) = newest.replace((stamped.clone(), events.to_vec())) {
            file(&stamped, &events);
        }
    };
    let opened = journal::open(settings(), |block| {
        replay.block(&mut exchange, block.payload, block.count, &mut hear)
    });
    if let (Err(JournalError::Refused(refusal)), Mutation::CutsAnyDamage) = (&opened, mutation) {
        let damaged = matches!(
            refusal.reason,
            Reason::ToldAndDamaged { .. } | Reason::CompleteAndDamaged { .. }
        );
        if damaged {
            erase_from(disk, &refusal.segment, refusal.offset);
            return recover(disk, reserve, Mutation::None);
        }
    }
    let (journal, report) = opened?;
    Ok(Recovered {
        exchange,
        journal,
        report,
        archive,
        history,
    })
}

/// A mistake on purpose: everything behind a place becomes zeros, whatever it was.
fn erase_from(disk: &SimDisk, segment: &std::path::Path, offset: u64) {
    for (path, bytes) in disk.image() {
        let from = match path.as_path().cmp(segment) {
            std::cmp::Ordering::Less => continue,
            std::cmp::Ordering::Equal => offset,
            std::cmp::Ordering::Greater => 0,
        };
        let zeros = vec![0; (bytes.length() - from) as usize];
        disk.spoil(&path, from, &zeros);
    }
}

/// A mistake on purpose: the tail is gone before the real recovery sees it, so that it raises no epoch.
fn clear_the_tail_without_a_word(
    disk: &SimDisk,
    mut settings: journal::Settings,
) -> Result<(), JournalError> {
    let copy = disk.fork();
    settings.disk = Arc::new(copy);
    let (_, report) = journal::open(settings, |_| Ok(()))?;
    if let Some(cut) = report.cut {
        erase_from(disk, &cut.segment, cut.offset);
    }
    Ok(())
}

fn segments(image: &BTreeMap<PathBuf, Bytes>) -> BTreeMap<&PathBuf, &Bytes> {
    let kept = image
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|kind| kind == "seg"));
    kept.collect()
}

fn same_segments(one: &BTreeMap<PathBuf, Bytes>, two: &BTreeMap<PathBuf, Bytes>) -> bool {
    let (one, two) = (segments(one), segments(two));
    one.len() == two.len()
        && one
            .iter()
            .zip(&two)
            .all(|((path, bytes), (other, others))| path == other && bytes.same(others))
}

impl World {
    fn recover_on(&self, disk: &SimDisk) -> Result<Recovered, JournalError> {
        recover(disk, self.options.reserve, self.options.mutation)
    }

    /// A start, with everything that may come in its way. `settled`: what is read is what the platters hold.
    pub(super) fn start_up(&mut self, settled: bool, calm: bool) -> Result<Recovered, String> {
        if !calm && self.random.percent(self.options.rot) {
            self.rot()?;
        }
        let repeat = self.random.percent(self.options.repeats_start);
        let interrupt = !calm && self.random.percent(self.options.crashes_in_start);
        let reference = match repeat || interrupt {
            true => Some(self.uninterrupted()?),
            false => None,
        };
        if interrupt && let Some(reference) = &reference {
            for _ in 0..self.random.between(1, 3) {
                self.interrupted(reference.operations)?;
            }
        }
        let mut before = self.disk.image();
        let mut attempts = 0;
        let recovered = loop {
            attempts += 1;
            if attempts > 12 {
                self.disk.behave(Manners {
                    lie: self.options.manners.lie,
                    ..Manners::GOOD
                });
            }
            match self.recover_on(&self.disk) {
                Ok(recovered) => break recovered,
                Err(JournalError::Io { .. } | JournalError::DiskFull { .. }) if attempts <= 12 => {
                    self.report.failed_starts += 1;
                    let cut = self.random.percent(40);
                    self.disk.crash(cut);
                    before = self.disk.image();
                }
                Err(error) => return Err(format!("the exchange does not start: {error}")),
            }
        };
        self.trace.say(|| format!("starts: {:?}", recovered.report));
        self.check_cut(&before, &recovered.report)?;
        self.told().compare(&recovered.history)?;
        self.check_keeper(&recovered)?;
        recovered.exchange.audit()?;
        if let Some(reference) = reference
            && settled
            && self.options.manners.pressure == 0
        {
            let (last, digest) = (recovered.report.last_seq, recovered.exchange.digest());
            if (last, digest) != (reference.last_seq, reference.digest) {
                return Err(format!(
                    "an interrupted start ends at position {last}, an uninterrupted one at {}",
                    reference.last_seq
                ));
            }
        }
        if repeat {
            self.same_again(&recovered)?;
        }
        Ok(recovered)
    }

    /// What a start would find if nothing came in its way.
    fn uninterrupted(&self) -> Result<Reference, String> {
        let copy = self.disk.fork();
        let found = self
            .recover_on(&copy)
            .map_err(|error| format!("the exchange does not start: {error}"))?;
        Ok(Reference {
            last_seq: found.report.last_seq,
            digest: found.exchange.digest(),
            operations: copy.count(None),
        })
    }

    /// A start that ends somewhere in the middle.
    fn interrupted(&mut self, operations: u64) -> Result<(), String> {
        let harm = [Harm::Kill, Harm::PowerCut, Harm::Eio][self.random.between(0, 2) as usize];
        let left = self
            .random
            .between(1, operations.max(1).cast_signed())
            .unsigned_abs();
        self.trace
            .say(|| format!("a start meets {harm:?} at operation {left} of {operations}"));
        self.disk.set(Trap {
            verb: None,
            left,
            harm,
        });
        match self.recover_on(&self.disk) {
            Ok(recovered) => {
                // It could have told all of it.
                self.told().compare(&recovered.history)?;
            }
            Err(error @ JournalError::Refused(_)) => {
                return Err(format!("an interrupted start refuses: {error}"));
            }
            Err(_) => {}
        }
        self.report.interrupted_starts += 1;
        let cut = match self.disk.dead() {
            Some(Harm::PowerCut) => true,
            Some(_) => false,
            None => self.random.percent(30),
        };
        self.disk.crash(cut);
        Ok(())
    }

    /// Nothing behind the end; and an epoch raised if something had to be cut.
    fn check_cut(
        &mut self,
        before: &BTreeMap<PathBuf, Bytes>,
        report: &RecoveryReport,
    ) -> Result<(), String> {
        if blocks::something_behind(&self.disk.image(), report.segment_id, report.offset) {
            return Err("a start left something behind the journal's end".into());
        }
        let sound = blocks::sound(before);
        let (segment, offset, epoch) = blocks::last_in_line(&sound).map_or((1, 0, 0), |last| {
            (last.segment, last.offset + last.bytes, last.epoch)
        });
        let due = blocks::something_behind(before, segment, offset);
        self.report.cuts += u64::from(due);
        let forgetful = self.options.manners.pressure > 0;
        if due && report.epoch != epoch + 1 && !forgetful {
            return Err(format!(
                "a tail of epoch {epoch} was cut, and the epoch is {} now",
                report.epoch
            ));
        }
        Ok(())
    }

    /// A second start at once finds the same and changes nothing.
    fn same_again(&self, recovered: &Recovered) -> Result<(), String> {
        let before = self.disk.image();
        let copy = self.disk.fork();
        let again = self
            .recover_on(&copy)
            .map_err(|error| format!("a second start refuses: {error}"))?;
        if again.report.cut.is_some() {
            return Err(format!("a second start cuts again: {:?}", again.report));
        }
        if again.exchange.digest() != recovered.exchange.digest() {
            return Err("a second start finds another state".into());
        }
        if !same_segments(&before, &copy.image()) {
            return Err("a second start changes bytes".into());
        }
        Ok(())
    }

    /// Rot in one block. What had been durable and shows it must be refused, and is then put back, as from a
    /// replica; anything else must be cut.
    fn rot(&mut self) -> Result<(), String> {
        let image = self.disk.image();
        let sound = blocks::sound(&image);
        let Some(last) = blocks::last_in_line(&sound).map(|last| last.block_seq) else {
            return Ok(());
        };
        let low = match self.random.percent(60) {
            true => last.saturating_sub(10).max(1),
            false => 1,
        };
        let seq = self
            .random
            .between(low.cast_signed(), last.cast_signed())
            .unsigned_abs();
        let Some(block) = sound.iter().find(|block| block.block_seq == seq).cloned() else {
            return Ok(());
        };
        let verdict = blocks::verdict(&block, &image, &sound);
        // A keeper may have seen it on the strength of a later block that the power cut took.
        let known = self.told().newest().max(self.seen.len() as u64);
        if verdict == Verdict::Cut && known >= block.first_seq {
            // The documented window: told, and no later block says so any more. The journal alone cannot
            // know; a start from the keeper's snapshot does, and refuses.
            self.report.windows += 1;
            return Ok(());
        }
        let whole = self.disk.fork();
        let at = block.offset
            + self
                .random
                .between(0, block.bytes.cast_signed() - 1)
                .unsigned_abs();
        let mut byte = [0];
        image[&block.path].read(&mut byte, at);
        let flipped = byte[0] ^ (1 << self.random.between(0, 7));
        self.disk.spoil(&block.path, at, &[flipped]);
        if self.random.percent(30) {
            let junk: Vec<u8> = (0..512).map(|_| self.random.next_u64() as u8).collect();
            self.disk.spoil(&block.path, at / 512 * 512, &junk);
        }
        self.trace
            .say(|| format!("rot at byte {at} of {block:?}: must {verdict:?}"));
        let trial = self.disk.fork();
        let found = self.recover_on(&trial);
        match (verdict, found) {
            (Verdict::Refuse, Err(JournalError::Refused(refusal))) => {
                let place = (&refusal.segment, refusal.offset);
                if place != (&block.path, block.offset) {
                    return Err(format!("rot in {block:?} is refused elsewhere: {refusal}"));
                }
                if !same_segments(&self.disk.image(), &trial.image()) {
                    return Err("a refused start changed bytes".into());
                }
                self.report.refusals += 1;
                self.disk.restore(&whole);
            }
            (Verdict::Refuse, Ok(found)) => {
                return Err(format!(
                    "rot in {block:?}, which had been durable, is not refused but {:?}",
                    found.report
                ));
            }
            (Verdict::Cut, Ok(found)) => {
                if found.report.last_seq != block.first_seq - 1 {
                    return Err(format!("rot in {block:?} is cut to {:?}", found.report));
                }
                self.report.rot_cut += 1;
            }
            (verdict, Err(error)) => {
                return Err(format!("rot in {block:?} must {verdict:?}: {error}"));
            }
        }
        // What the kernel had is what a start reads; both were spoilt alike.
        drop(self.disk.make_dir(&folder()));
        Ok(())
    }
}

struct Reference {
    last_seq: u64,
    digest: [u8; 32],
    operations: u64,
}
