//! A crash at every operation of disk and chain: no header is posted twice, none is forgotten.

use tests::sim::disk::{Harm, Trap};

use super::Desk;

/// Runs three anchors with one crash in the middle; false if the crash never came.
fn with_a_crash(seed: u64, arm: impl Fn(&Desk), power_cut: bool) -> bool {
    let mut desk = Desk::new(seed);
    desk.until_final(1);
    arm(&desk);
    // One whole anchor, from waiting to final.
    for _ in 0..12 {
        desk.world.mine(1);
        desk.now = desk.world.now();
        desk.exchange_at(desk.now);
        let turn = desk.process.as_mut().expect("it runs").turn(desk.now);
        if desk.disk.dead().is_some() || desk.fuse.burnt() {
            desk.restart(power_cut);
            desk.until_final(3);
            desk.each_was_posted_once();
            assert_eq!(desk.state().bumps, 0, "nothing was stuck");
            return true;
        }
        turn.expect("nothing is wrong before the crash");
    }
    false
}

#[test]
fn a_crash_at_any_disk_operation_posts_nothing_twice() {
    for harm in [Harm::Kill, Harm::PowerCut] {
        let mut points = 0;
        for left in 1.. {
            let trap = Trap {
                verb: None,
                left,
                harm,
            };
            if !with_a_crash(left, |desk| desk.disk.set(trap), harm == Harm::PowerCut) {
                break;
            }
            points += 1;
        }
        println!("{points} points of crash by {harm:?}");
        assert!(
            points >= 14,
            "seven records of an anchor and two promises, written and synced: {points}"
        );
    }
}

#[test]
fn a_crash_at_any_call_to_the_chain_posts_nothing_twice() {
    let mut points = 0;
    // Every third: what lies between two calls is the same as what lies around them.
    for calls in (0..1_000).step_by(3) {
        if !with_a_crash(calls, |desk| desk.fuse.set(Some(calls)), true) {
            break;
        }
        points += 1;
    }
    println!("{points} points of crash between calls to the chain");
    assert!(points >= 20, "{points}");
}

#[test]
fn a_failed_sync_ends_the_process_and_a_restart_finds_out() {
    for verb in [tests::sim::disk::Verb::Write, tests::sim::disk::Verb::Sync] {
        for left in 1..=6 {
            let mut desk = Desk::new(left);
            desk.until_final(1);
            desk.disk.set(Trap {
                verb: Some(verb),
                left,
                harm: Harm::Eio,
            });
            let mut failed = false;
            for _ in 0..20 {
                desk.world.mine(1);
                desk.now = desk.world.now();
                desk.exchange_at(desk.now);
                if desk
                    .process
                    .as_mut()
                    .expect("it runs")
                    .turn(desk.now)
                    .is_err()
                {
                    failed = true;
                    break;
                }
            }
            assert!(failed, "the error is told, not swallowed");
            desk.restart(true);
            desk.until_final(3);
            desk.each_was_posted_once();
        }
    }
}
