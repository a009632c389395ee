//! What survives a bad day? The real exchange on a simulated disk, under a simulated clock, with clients that
//! do not behave, one seed after another.
//!
//! `HASHPIT_SIM_SEED=n` replays one run and prints what happened; `HASHPIT_SIM_SECONDS=n` runs new seeds for
//! that long; `HASHPIT_SIM_FROM=n` says with which seed to begin instead of the clock's.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tests::sim::{Options, Report, Trace, run};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
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
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
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
    println!("seeds {from} to {}: {runs} runs, {per_hour:.0} an hour, {sum:?}", seed - 1);
    assert!(runs > 0);
}
