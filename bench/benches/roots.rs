//! What a root costs: 2^20 accounts in one asset, of which some changed since the last one.
//!
//! ```text
//! cargo bench -p bench --bench roots
//! ```
//!
//! On one thread, with as many lanes as the processor has, and with fewer; times are the thread's own
//! processor time, since the machine is shared. Leaves are hashed, too, and the path to depth 32.
//!
//! ```text
//! cargo bench -p bench --bench roots -- --beside
//! ```
//!
//! What the core feels of it: single commands against the wall clock, while a second thread executes the same
//! commands on a copy, as the keeper does, once listening for the trees with a mark every second and once not,
//! in turns.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use bench::{
    report,
    workload::{BALANCED, Flow},
};
use cpu_time::ThreadTime;
use criterion::{BenchmarkId, Criterion};
use engine::{
    command::Command,
    roots::{
        Roots,
        keccak::{self, Lanes},
        leaf::{BalanceLeaf, tag},
        tree::{Node, Sum, Tree},
    },
};

const ACCOUNTS: u32 = 1 << 20;

fn leaf(index: u32, round: u64) -> BalanceLeaf {
    BalanceLeaf {
        index,
        owner: [index as u8; 20],
        nonce: 1,
        available: u128::from(index) * 1_000 + u128::from(round),
        locked: 500,
        asset: 1,
        closed: false,
    }
}

/// Leaves hashed as the exchange hashes them.
fn hashed(lanes: Lanes, leaves: &[BalanceLeaf]) -> Vec<(u32, Sum)> {
    let mut nodes = vec![(0, Node::EMPTY); leaves.len()];
    let block = |n: usize| keccak::pad(&leaves[n].bytes());
    keccak::hash_blocks(lanes, leaves.len(), block, |n, hash| {
        nodes[n] = (leaves[n].index, Node::new(hash, &[leaves[n].sum()]));
    });
    nodes
}

/// So many changed leaves, all over the tree.
fn spread(dirty: u32, round: u64) -> Vec<BalanceLeaf> {
    let step = f64::from(ACCOUNTS) / f64::from(dirty);
    (0..dirty)
        .map(|n| leaf((f64::from(n) * step) as u32, round))
        .collect()
}

fn roots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("root over 2^20 accounts, CPU time");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(2));
    for lanes in Lanes::all() {
        let all: Vec<BalanceLeaf> = (0..ACCOUNTS).map(|index| leaf(index, 0)).collect();
        let mut tree = Tree::new(tag::BALANCE_NODE, lanes);
        let start = ThreadTime::now();
        tree.update(&hashed(lanes, &all));
        println!("{lanes:?} lanes: full build {:?}", start.elapsed());
        for (epoch, dirty) in [(1, 10_000), (2, 100_000)] {
            tree.keep(epoch);
            let changed = spread(dirty, epoch + 1_000_000);
            let start = ThreadTime::now();
            tree.update(&hashed(lanes, &changed));
            println!(
                "{lanes:?} lanes: {dirty} dirty leaves below a kept epoch {:?}, {} nodes remembered",
                start.elapsed(),
                tree.remembered()
            );
            tree.drop(epoch);
        }
        for dirty in [1_000, 10_000, 100_000_u32] {
            let mut round = 0;
            let name = BenchmarkId::new(format!("{lanes:?} lanes"), dirty);
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|times| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..times {
                        round += 1;
                        let changed = spread(dirty, round);
                        let start = ThreadTime::now();
                        tree.update(&hashed(lanes, &changed));
                        std::hint::black_box(tree.root());
                        spent += start.elapsed();
                    }
                    spent
                });
            });
        }
    }
    group.finish();
}

/// Commands of the flow; both threads begin again when they are through.
const FLOW: usize = 400_000;
/// Turns, each once with and once without roots.
const TURNS: usize = 4;
/// How long one of them lasts.
const TURN: Duration = Duration::from_secs(4);
/// Between marks.
const CADENCE: Duration = Duration::from_secs(1);

/// What the keeper's thread did in a turn.
#[derive(Default)]
struct Kept {
    commands: u64,
    marks: u32,
    /// Processor time of the commands that carried a mark: trees brought up to date, header formed.
    marking: Duration,
    longest: Duration,
}

/// Executes the flow over and over, as the keeper does, until told to stop.
fn keep(flow: &Flow, with_roots: bool, over: &AtomicBool) -> Kept {
    let mut kept = Kept::default();
    let mut out = Vec::with_capacity(1 << 12);
    while !over.load(Ordering::Relaxed) {
        let (mut exchange, mut roots) = (flow.start.clone(), Roots::default());
        let (mut marked, mut at) = (0, Instant::now());
        // The first mark builds every tree; only those after it are the cadence's.
        let mut built = false;
        for stamped in &flow.commands {
            let mut stamped = stamped.clone();
            if with_roots && (!built || at.elapsed() >= CADENCE) {
                let mut mark = stamped.clone();
                mark.seq = stamped.seq + marked;
                mark.at.0 -= 1; // stamps differ by more
                mark.command = Command::MarkEpoch;
                marked += 1;
                out.clear();
                let start = ThreadTime::now();
                exchange.apply(&mark, &mut out);
                roots.hear(&exchange, &mark, &out);
                roots.end_of_block([0; 32]);
                if built {
                    let took = start.elapsed();
                    kept.marks += 1;
                    kept.marking += took;
                    kept.longest = kept.longest.max(took);
                }
                (built, at) = (true, Instant::now());
            }
            stamped.seq += marked;
            out.clear();
            exchange.apply(&stamped, &mut out);
            if with_roots {
                roots.hear(&exchange, &stamped, &out);
            }
            kept.commands += 1;
            if over.load(Ordering::Relaxed) {
                break;
            }
        }
        black_box(roots.epochs().len());
    }
    kept
}

/// Single commands of the core, with and without somebody who computes roots beside it.
fn beside() {
    println!("roots beside the core: {}", report::machine());
    let flow = Flow::new(BALANCED, FLOW, 1);
    let mut single = [report::histogram(), report::histogram()];
    let mut kept = [Kept::default(), Kept::default()];
    for turn in 0..2 * TURNS {
        let with_roots = turn % 2 == 1;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let keeper = scope.spawn(|| keep(&flow, with_roots, &over));
            let begin = Instant::now();
            while begin.elapsed() < TURN {
                let (mut exchange, mut out) = (flow.start.clone(), Vec::with_capacity(1 << 12));
                for (place, stamped) in flow.commands.iter().enumerate() {
                    let ahead = |at: usize| flow.commands.get(at).map(|ahead| &ahead.command);
                    exchange.look_ahead(ahead, place);
                    out.clear();
                    let start = Instant::now();
                    exchange.apply(black_box(stamped), &mut out);
                    report::record(&mut single[usize::from(with_roots)], start.elapsed());
                    black_box(&out);
                }
            }
            over.store(true, Ordering::Relaxed);
            let done = keeper.join().expect("the keeper's thread does not panic");
            let sum = &mut kept[usize::from(with_roots)];
            sum.commands += done.commands;
            sum.marks += done.marks;
            sum.marking += done.marking;
            sum.longest = sum.longest.max(done.longest);
        });
    }
    for (name, at) in [("without roots", 0), ("with a root every second", 1)] {
        println!("{name}: {}", report::percentiles(&single[at]));
        println!("      {} commands on the copy beside it", kept[at].commands);
    }
    let marks = &kept[1];
    println!(
        "{} roots, {:?} of CPU time on average, {:?} at most",
        marks.marks,
        marks.marking / marks.marks.max(1),
        marks.longest
    );
}

fn main() {
    if std::env::args().any(|argument| argument == "--beside") {
        return beside();
    }
    if report::wanted() {
        let mut criterion = Criterion::default().configure_from_args();
        roots(&mut criterion);
        criterion.final_summary();
    }
}
