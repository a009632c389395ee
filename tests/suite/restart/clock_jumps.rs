//! The clock of the server's machine is set while its clients trade, an hour back and an hour on.

use std::path::Path;

use tests::{
    crowd::{Crowd, ask_once_more},
    journalled::Journalled,
    process::{Plan, faked_clock},
    venue::Folder,
    witness::judge,
};

/// CI sets it: there the library has to be.
const REQUIRED: &str = "HASHPIT_REQUIRE_FAKETIME";

/// So many seconds off, for the whole process, from now on. Renamed into place: it is never read half written.
fn set(clock: &Path, off: &str) {
    let aside = clock.with_extension("new");
    std::fs::write(&aside, format!("{off}\n")).expect("written");
    std::fs::rename(&aside, clock).expect("renamed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_changes_nothing_for_those_who_trade() {
    if faked_clock().is_none() {
        let wanted = std::env::var_os(REQUIRED).is_some();
        assert!(!wanted, "libfaketime is not on this machine");
        println!("skipped: libfaketime is not on this machine");
        return;
    }
    let folder = Folder::new("clock-jumps");
    let clock = folder.path().join("clock");
    set(&clock, "+0");
    let plan = Plan::new(folder.path()).clock(&clock);
    let mut server = plan.start().await;
    let mut crowd = Crowd::gather(&plan, 11).await;
    let logons = |crowd: &Crowd| crowd.progress().logons;
    for off in ["+0", "-3600", "+3600", "-1800", "+0"] {
        set(&clock, off);
        let from = crowd.progress();
        crowd
            .reach(&mut server, |now| {
                now.acks >= from.acks + 400 && now.fills >= from.fills + 20
            })
            .await;
        if off != "+0" {
            assert_eq!(logons(&crowd), from.logons, "{off} s: nobody was cut off");
        }
    }
    let witnesses = crowd.finish().await;
    assert!(server.stop().await.success());

    // The journal's stamps rise whatever the clock said, its commands stand in the order in which they were
    // acknowledged, and executed again they come to the same results, one by one.
    let journal = Journalled::read(&folder.path().join("journal"));
    let verdict = judge(&witnesses, &journal);
    assert_eq!(verdict.doubles, 0, "a command ran twice");
    assert!(verdict.fills > 0);
    let verified = gateway::commands::journal::verify(folder.path()).expect("a good journal");

    // It starts an hour before its own last stamp, in the same state, and still knows every answer.
    set(&clock, "-3600");
    let server = plan.start().await;
    set(&clock, "+0");
    let asked = ask_once_more(&plan, &witnesses, 5).await;
    assert!(server.stop().await.success());
    println!(
        "{verdict}; {} commands executed again; {asked} asked for once more",
        verified.commands
    );
}
