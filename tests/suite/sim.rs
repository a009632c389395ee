//! What survives a bad day? The real exchange on a simulated disk, under a simulated clock, with clients that
//! do not behave, one seed after another.
//!
//! `HASHPIT_SIM_SEED=n` replays one run and prints what happened; `HASHPIT_SIM_SECONDS=n` runs new seeds for
//! that long; `HASHPIT_SIM_FROM=n` says with which seed to begin instead of the clock's.

mod keeping;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tests::sim::{
    Mutation, Options, Report, Trace,
    disk::{Harm, Verb},
    run, sweeps,
};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
    )
}

fn must_hold(options: &Options) -> Report {
    run(options, Trace::default()).unwrap_or_else(|wrong| {
        let seed = options.seed;
        panic!("{wrong}\nHASHPIT_SIM_SEED={seed} replays it:\n{options:#?}")
    })
}

#[test]
fn new_seeds_hold() {
    if let Some(seed) = number("HASHPIT_SIM_SEED") {
        let options = Options::new(seed);
        println!("{options:#?}");
        match run(&options, Trace::printing()) {
            Ok(report) => println!("holds: {report:#?}"),
            Err(wrong) => panic!("{wrong}"),
        }
        return;
    }
    let seconds = number("HASHPIT_SIM_SECONDS").unwrap_or(20);
    let from = number("HASHPIT_SIM_FROM").unwrap_or_else(|| {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        since.as_secs() * 1_000_000
    });
    let begun = Instant::now();
    let mut seed = from;
    let mut sum = Report::default();
    while begun.elapsed() < Duration::from_secs(seconds) {
        sum.add(&must_hold(&Options::new(seed)));
        seed += 1;
    }
    let runs = seed - from;
    let per_hour = runs as f64 * 3_600.0 / begun.elapsed().as_secs_f64();
    println!(
        "seeds {from} to {}: {runs} runs, {per_hour:.0} an hour, {sum:?}",
        seed - 1
    );
    assert!(runs > 0);
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for seed in 1..=3 {
        let options = Options::new(seed);
        assert_eq!(must_hold(&options), must_hold(&options), "seed {seed}");
    }
}

#[test]
fn every_operation_of_the_disk_may_fail_once() {
    let verbs = Verb::ALL.map(|verb| (Some(verb), Harm::Eio));
    let others = [
        (Some(Verb::Write), Harm::Short),
        (Some(Verb::Write), Harm::Full),
        (Some(Verb::Create), Harm::Full),
    ];
    let mut met = 0;
    for (seed, (verb, harm)) in (1..).zip(verbs.into_iter().chain(others)) {
        met += sweeps::every_operation(seed, verb, harm).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    assert!(met > 150, "only {met} operations");
}

#[test]
fn a_process_may_be_killed_and_the_power_may_go_at_every_operation() {
    for harm in [Harm::Kill, Harm::PowerCut] {
        let met = sweeps::every_operation(31, None, harm).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(met > 70, "only {met} operations");
    }
}

#[test]
fn a_start_may_be_interrupted_at_every_operation() {
    let mut cut = 0;
    for seed in 1..=6 {
        let (operations, torn) =
            sweeps::every_operation_of_a_start(seed).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(operations > 10, "only {operations} operations");
        cut += u64::from(torn);
    }
    assert!(cut > 0, "no tail was torn");
}

#[test]
fn a_journal_may_end_at_every_frame_and_inside_of_it() {
    let frames = sweeps::every_frame(7, 3).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(frames > 50, "only {frames} frames");
}

/// What was found, with which kind of options, by which seed.
type Found = (&'static str, fn(u64) -> Options, u64);

/// Seeds that once found something.
const FOUND: &[Found] = &[
    // A start read the last blocks, the kernel forgot what a failed sync had left clean, and the start wrote
    // again what it read a second time: zeros in place of blocks that it then counted as durable.
    (
        "a start stores what it did not judge",
        Options::hard,
        100_609,
    ),
    // Mistakes of the simulator itself, kept because they are cheap.
    ("half of a mass quote's answer heard", Options::plain, 1_006),
    ("a timer after the end of the core", Options::plain, 1_168),
    ("a slow operation across the calm", Options::plain, 1_307),
    (
        "the harness: rot in a block that only a keeper had seen, its proof gone with the power",
        Options::new,
        1_795_434_220_000_079,
    ),
];

#[test]
fn what_was_once_found_stays_mended() {
    for (what, options, seed) in FOUND {
        let held = run(&options(*seed), Trace::default());
        held.unwrap_or_else(|wrong| panic!("{what}, seed {seed}: {wrong}"));
    }
}

/// How many seeds a mistake on purpose may stay undiscovered.
const SEEDS: u64 = 60;

fn is_caught(mutation: Mutation) {
    for seed in 5_000..5_000 + SEEDS {
        if let Err(wrong) = run(&Options::new(seed).with(mutation), Trace::default()) {
            println!("{mutation:?} is caught by seed {seed}: {wrong}");
            return;
        }
    }
    panic!("{mutation:?} is not caught by {SEEDS} seeds: the harness proves nothing");
}

#[test]
fn a_disk_that_stores_nothing_is_caught() {
    is_caught(Mutation::SyncStoresNothing);
}

#[test]
fn telling_before_durable_is_caught() {
    is_caught(Mutation::ToldBeforeDurable);
}

#[test]
fn a_swallowed_sync_error_is_caught() {
    is_caught(Mutation::SyncErrorSwallowed);
}

#[test]
fn a_start_that_cuts_any_damage_is_caught() {
    is_caught(Mutation::CutsAnyDamage);
}

#[test]
fn an_epoch_that_is_not_raised_is_caught() {
    is_caught(Mutation::EpochNotRaised);
}

#[test]
fn a_follower_that_skips_a_command_is_caught() {
    is_caught(Mutation::FollowerSkips);
}

#[test]
fn a_dropped_event_is_caught() {
    is_caught(Mutation::EventDropped);
}

#[test]
fn an_order_number_used_twice_is_caught() {
    is_caught(Mutation::OrderIdReused);
}

#[test]
fn a_resume_that_forgets_is_caught() {
    is_caught(Mutation::ResumeForgets);
}

#[test]
fn a_repeat_that_counts_twice_is_caught() {
    is_caught(Mutation::NameForgotten);
}

#[test]
fn telling_out_of_order_is_caught() {
    is_caught(Mutation::ToldOutOfOrder);
}
