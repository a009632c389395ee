//! One harm after another, at every place there is.

use super::{
    Mutation, Options, Trace, blocks,
    disk::{Harm, SimDisk, Trap, Verb},
    run,
    start::{Recovered, recover},
    world::World,
};

/// Runs once for each operation of a kind, and lets that one meet harm, until none is left to meet it.
///
/// # Errors
/// What does not hold, and at which operation.
pub fn every_operation(seed: u64, verb: Option<Verb>, harm: Harm) -> Result<u64, String> {
    for left in 1.. {
        let mut options = Options::orderly(seed, 10);
        options.trap = Some(Trap { verb, left, harm });
        let report = run(&options, Trace::default()).map_err(|wrong| {
            format!("{harm:?} at operation {left} of {verb:?}, seed {seed}: {wrong}")
        })?;
        if report.sprung == 0 {
            return Ok(left - 1);
        }
    }
    unreachable!("a run has an end")
}

fn start(disk: &SimDisk) -> Result<Recovered, String> {
    recover(disk, 1, Mutation::None).map_err(|error| error.to_string())
}

/// A start after a power cut with blocks in flight, interrupted at each of its operations in turn; the next
/// one must end as if nothing had come in its way. Answers with the operations, and whether a tail was cut.
///
/// # Errors
/// What does not hold, and at which operation.
pub fn every_operation_of_a_start(seed: u64) -> Result<(u64, bool), String> {
    let mut world = World::new(&Options::orderly(seed, 40), Trace::default());
    world.switched_off(25)?;
    let copy = world.disk.fork();
    let whole = start(&copy)?;
    let operations = copy.count(None);
    let (last, digest) = (whole.report.last_seq, whole.exchange.digest());
    world.told().compare(&whole.history)?;
    for left in 1..=operations {
        for harm in [Harm::Kill, Harm::PowerCut, Harm::Eio] {
            let at = |what: String| {
                format!("{harm:?} at operation {left} of a start, seed {seed}: {what}")
            };
            let disk = world.disk.fork();
            disk.set(Trap {
                verb: None,
                left,
                harm,
            });
            drop(start(&disk));
            disk.crash(harm == Harm::PowerCut);
            let again = start(&disk).map_err(at)?;
            if (again.report.last_seq, again.exchange.digest()) != (last, digest) {
                return Err(at(format!(
                    "ends at {}, not at {last}",
                    again.report.last_seq
                )));
            }
            // And once more after the power goes: what a start has found is on the platters.
            drop(again);
            disk.crash(true);
            let again = start(&disk).map_err(at)?;
            if (again.report.last_seq, again.exchange.digest()) != (last, digest) {
                return Err(at("is lost at the next power cut".into()));
            }
        }
    }
    Ok((operations, whole.report.cut.is_some()))
}

/// The journal of a whole run, ended at every frame boundary and at random bytes inside every frame: what is
/// left is a prefix of the same history. Answers with the frames.
///
/// # Errors
/// What does not hold, and where.
pub fn every_frame(seed: u64, inside: u64) -> Result<usize, String> {
    let mut options = Options::orderly(seed, 60);
    options.pipeline.batch = 2;
    let mut world = World::new(&options, Trace::default());
    world.run_out()?;
    world.disk.crash(true);
    let whole = start(&world.disk.fork())?;
    let all = blocks::sound(&world.disk.image());
    for block in &all {
        let mut ends = vec![block.offset];
        for _ in 0..inside {
            let more = world.random.between(1, block.bytes.cast_signed() - 1);
            ends.push(block.offset + more.unsigned_abs());
        }
        for end in ends {
            let disk = world.disk.fork();
            for (path, bytes) in disk.image() {
                let from = match path.cmp(&block.path) {
                    std::cmp::Ordering::Less => continue,
                    std::cmp::Ordering::Equal => end,
                    std::cmp::Ordering::Greater => 0,
                };
                disk.spoil(&path, from, &vec![0; (bytes.length() - from) as usize]);
            }
            let left = blocks::sound(&disk.image());
            let last = blocks::last_in_line(&left);
            let expected = last.map_or(0, |last| last.first_seq - 1 + u64::from(last.count));
            let at = |what: String| format!("ended at byte {end} of {block:?}: {what}");
            let found = start(&disk).map_err(at)?;
            if found.report.last_seq != expected {
                return Err(at(format!(
                    "starts at {}, not at {expected}",
                    found.report.last_seq
                )));
            }
            let same = whole.history.get(..found.history.len()) == Some(&found.history[..]);
            if !same {
                return Err(at("another history".into()));
            }
        }
    }
    Ok(all.len())
}
