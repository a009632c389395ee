//! The keeper on the simulated disk: snapshots and retiring with harm at every operation, and mistakes on
//! purpose that must be found.

use engine::keeper::Retention;
use tests::sim::{
    disk::Harm,
    keeping::{Finished, finished},
};

fn journal(seed: u64, wishes: usize) -> Finished {
    finished(seed, wishes).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"))
}

#[test]
fn a_snapshot_and_a_retirement_may_meet_harm_at_every_operation() {
    let journal = journal(41, 200);
    let archive = Retention::Archive(1, "/archive".into());
    // Segments lie between them, so that one who keeps too few of either is caught; and with one alone
    // nothing is removed when the next comes, so that nobody else syncs the folder for it.
    for taken in [&[20, 50][..], &[50]] {
        for retention in [&Retention::Remove(1), &archive] {
            for harm in [Harm::Eio, Harm::Full, Harm::Kill, Harm::PowerCut] {
                let met = journal.every_operation(harm, retention, taken);
                let met = met.unwrap_or_else(|wrong| panic!("{retention:?}: {wrong}"));
                println!("{harm:?}, {retention:?}: {met} operations");
                assert!(met > 15, "only {met} operations");
            }
        }
    }
}

#[test]
fn nothing_goes_on_the_strength_of_a_history_that_cannot_be_read() {
    journal(41, 200)
        .unreadable_history()
        .unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn a_journal_behind_its_snapshot_is_refused() {
    journal(42, 40)
        .rolled_back()
        .unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn a_snapshot_whose_hash_is_not_checked_is_caught() {
    let found = journal(43, 40).hash_not_checked();
    let found = found.unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{} states that can be read and are wrong", found.len());
    assert!(!found.is_empty(), "no rot that can be read: proves nothing");
    for outcome in found {
        outcome.expect_err("a wrong state was believed");
    }
}

#[test]
fn a_segment_too_many_gone_is_caught() {
    let wrong = journal(41, 200).one_segment_too_many();
    println!("caught: {}", wrong.expect_err("nobody missed it"));
}

#[test]
fn a_snapshot_one_command_ahead_is_caught() {
    let wrong = journal(44, 40).one_command_ahead();
    println!("caught: {}", wrong.expect_err("nobody noticed"));
}
