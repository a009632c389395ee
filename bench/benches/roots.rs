//! What a root costs: 2^20 accounts in one asset, of which some changed since the last one.
//!
//! ```text
//! cargo bench -p bench --bench roots
//! ```
//!
//! On one thread, with as many lanes as the processor has, and with fewer; times are the thread's own
//! processor time, since the machine is shared. Leaves are hashed, too, and the path to depth 32.

use std::time::Duration;

use cpu_time::ThreadTime;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use engine::roots::{
    keccak::{self, Lanes},
    leaf::{BalanceLeaf, tag},
    tree::{Node, Sum, Tree},
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

criterion_group!(benches, roots);
criterion_main!(benches);
