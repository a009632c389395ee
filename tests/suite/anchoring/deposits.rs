//! Deposits come in exactly once, in order, and only when they are final and nobody contradicts.

use std::{path::Path, sync::Arc};

use engine::journal::Disk;
use gateway::anchor::{
    contract::Contract,
    deposits::{DepositError, DepositSink, Watcher},
};
use tests::{
    anchor::{ANYBODY, Ledger, Lie},
    generator::Random,
    sim::disk::{Harm, Trap},
};

use super::Desk;

/// A deposit of so many wei.
fn deposit(desk: &Desk, wei: u128) {
    let (vault, call) = (desk.world.contract.vault, Contract::deposit_call(1));
    desk.world.transact(ANYBODY, Some(vault), wei, call);
}

fn watcher(desk: &Desk) -> Watcher {
    Watcher::new(desk.chain(), desk.world.contract, desk.world.first_block)
}

fn ledger(desk: &Desk) -> Ledger {
    let disk: Arc<dyn Disk> = Arc::new(desk.disk.clone());
    Ledger::open(&disk, Path::new("anchor/deposits.log")).expect("opens")
}

fn amounts(ledger: &Ledger) -> Vec<u128> {
    ledger
        .deposits()
        .iter()
        .map(|deposit| u128::from(deposit.amount.unsigned_abs()))
        .collect()
}

#[test]
fn only_final_deposits_are_credited_and_each_once() {
    let desk = Desk::new(40);
    let (watcher, mut ledger) = (watcher(&desk), ledger(&desk));
    deposit(&desk, 100);
    deposit(&desk, 200);
    desk.world.mine(3);
    assert_eq!(
        watcher.turn(&mut ledger).expect("agreed"),
        0,
        "not final yet"
    );
    desk.world.mine(1);
    assert_eq!(watcher.turn(&mut ledger).expect("agreed"), 2);
    assert_eq!(watcher.turn(&mut ledger).expect("agreed"), 0, "once");
    deposit(&desk, 300);
    desk.world.mine(4);
    assert_eq!(watcher.turn(&mut ledger).expect("agreed"), 1);
    assert_eq!(amounts(&ledger), [100, 200, 300]);
    let last = ledger.deposits().last().expect("three");
    assert_eq!((last.id, &last.totals[..]), (2, &[600][..]));
}

#[test]
fn a_deposit_that_a_reorganisation_takes_away_was_never_credited() {
    let desk = Desk::new(41);
    let (watcher, mut ledger) = (watcher(&desk), ledger(&desk));
    deposit(&desk, 100);
    desk.world.mine(2);
    desk.world.net().reorganise(2, false);
    desk.world.mine(4);
    assert_eq!(watcher.turn(&mut ledger).expect("agreed"), 0);
    deposit(&desk, 200);
    desk.world.mine(4);
    assert_eq!(watcher.turn(&mut ledger).expect("agreed"), 1);
    assert_eq!(amounts(&ledger), [200]);
}

#[test]
fn broken_finality_stops_credits_and_calls_a_person() {
    let desk = Desk::new(42);
    let (watcher, mut ledger) = (watcher(&desk), ledger(&desk));
    deposit(&desk, 100);
    desk.world.mine(4);
    assert_eq!(watcher.turn(&mut ledger).expect("agreed"), 1);
    desk.world.net().reorganise(4, false);
    deposit(&desk, 200);
    deposit(&desk, 300);
    desk.world.mine(5);
    let error = watcher
        .turn(&mut ledger)
        .expect_err("another chain of deposits");
    assert!(error.is_grave(), "{error}");
    assert_eq!(amounts(&ledger), [100], "nothing more is credited");
}

#[test]
fn endpoints_that_disagree_credit_nothing() {
    for lie in [Lie::FewerLogs, Lie::Fork] {
        let desk = Desk::new(43);
        let (watcher, mut ledger) = (watcher(&desk), ledger(&desk));
        deposit(&desk, 100);
        deposit(&desk, 200);
        desk.world.mine(4);
        desk.endpoints[1].tell(lie);
        let error = watcher.turn(&mut ledger).expect_err("two stories");
        assert!(error.is_grave(), "{error}");
        assert_eq!(amounts(&ledger), [0_u128; 0]);
        desk.endpoints[1].tell(Lie::None);
        assert_eq!(watcher.turn(&mut ledger).expect("agreed"), 2);
    }
    // Both leave the same one out: the contract's own count tells on them.
    let desk = Desk::new(44);
    let (watcher, mut ledger) = (watcher(&desk), ledger(&desk));
    deposit(&desk, 100);
    deposit(&desk, 200);
    desk.world.mine(4);
    desk.endpoints
        .iter()
        .for_each(|endpoint| endpoint.tell(Lie::FewerLogs));
    let error = watcher.turn(&mut ledger).expect_err("one is missing");
    assert!(
        matches!(error, DepositError::Broken { id: 1, .. }),
        "{error}"
    );
    assert_eq!(amounts(&ledger), [0_u128; 0]);
}

#[test]
fn deposits_over_any_crash_are_credited_once() {
    for seed in 1..=12 {
        let mut random = Random::new(seed);
        let mut desk = Desk::new(seed);
        let mut given = Vec::new();
        for round in 0..25 {
            for _ in 0..random.between(0, 3) {
                let wei = u128::from(random.between(1, 1_000_000).unsigned_abs());
                deposit(&desk, wei);
                given.push(wei);
            }
            desk.world.mine(random.between(1, 4).unsigned_abs());
            let depth = random.between(1, 3) as usize;
            if random.percent(20) {
                // All of them wait again and come back.
                desk.world.net().reorganise(depth, true);
            }
            let watcher = watcher(&desk);
            let mut ledger = ledger(&desk);
            let left = random.between(1, 6).unsigned_abs();
            let harm = if random.percent(50) {
                Harm::Kill
            } else {
                Harm::PowerCut
            };
            if round % 2 == 0 {
                desk.disk.set(Trap {
                    verb: None,
                    left,
                    harm,
                });
            }
            drop(watcher.turn(&mut ledger));
            if desk.disk.dead().is_some() {
                desk.restart(harm == Harm::PowerCut);
            }
            desk.disk.disarm();
        }
        desk.world.mine(5);
        let mut ledger = ledger(&desk);
        watcher(&desk).turn(&mut ledger).expect("agreed");
        let mut credited = amounts(&ledger);
        // A reorganisation may have changed their order, never their number.
        credited.sort_unstable();
        given.sort_unstable();
        assert_eq!(credited, given, "seed {seed}");
        assert_eq!(ledger.cursor().expect("known").count, given.len() as u64);
    }
}
