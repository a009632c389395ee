//! Does a server process that stands still for a while (SIGSTOP) lose or double anything?

use std::time::Duration;

use proto::{
    common::v1::Reason,
    trading::v1::{DisconnectAction, OrderEventKind},
};
use tests::{
    crowd::Crowd,
    journalled::Journalled,
    process::Plan,
    venue::Folder,
    witness::{Terms, Witness, judge},
};

/// How long it stands still: longer than the patience of a session with short heartbeats, shorter than
/// that of the transport, which gives a connection up after 5 s.
const STILL: Duration = Duration::from_millis(1_500);
const ROUNDS: usize = 3;

/// The miner and one taker want to hear from each other every 200 ms; the miner's orders go if it stays
/// away for more than a minute. The others wait for half a minute.
fn some_are_impatient(terms: Terms) -> Terms {
    match terms.actor.as_str() {
        "miner-1" => Terms {
            heartbeat_ms: 200,
            action: DisconnectAction::CancelSessionOrders,
            grace_ms: 60_000,
            ..terms
        },
        "taker-2" => Terms {
            heartbeat_ms: 200,
            ..terms
        },
        _ => terms,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_goes_on_where_it_was() {
    let folder = Folder::new("freeze");
    let plan = Plan::new(folder.path());
    let mut server = plan.start().await;
    let mut crowd = Crowd::gather_as(&plan, 5, some_are_impatient).await;
    let mut heard_while_still = 0;
    for _ in 0..ROUNDS {
        let from = crowd.progress();
        let working = |now: &tests::witness::Progress| now.acks >= from.acks + 500;
        crowd.reach(&mut server, working).await;
        server.signal("STOP").await;
        let before = crowd.progress();
        tokio::time::sleep(STILL).await;
        let after = crowd.progress();
        server.signal("CONT").await;
        // What had left the process may still arrive; nothing that was sent later is answered.
        let under_way = 6 * 64;
        heard_while_still += after.acks - before.acks;
        assert!(after.acks <= before.acks + under_way, "it was not still");
    }
    let from = crowd.progress();
    crowd
        .reach(&mut server, |now| now.acks >= from.acks + 500)
        .await;
    let witnesses = crowd.finish().await;
    server.kill().await;
    let journal = Journalled::read(&folder.path().join("journal"));
    let verdict = judge(&witnesses, &journal);
    println!(
        "{verdict}; {ROUNDS} times still for {STILL:?}, {heard_while_still} answers under way then"
    );
    for witness in &witnesses {
        sessions_keep_their_times(witness);
    }
    assert_eq!(verdict.doubles, 0, "a command ran twice");
    assert!(verdict.fills > 0);
}

/// A session whose patience is longer than the silence keeps its stream. One with less may be told
/// HEARTBEAT_TIMEOUT, comes back within its grace, and keeps its orders.
fn sessions_keep_their_times(witness: &Witness) {
    let (terms, record) = (&witness.terms, &witness.record);
    println!("{}: streams ended: {:?}", terms.actor, record.losses);
    for loss in &record.losses {
        let in_time = loss == "HEARTBEAT_TIMEOUT" && terms.heartbeat_ms < 1_000;
        assert!(in_time, "{}: {loss}", terms.actor);
    }
    for (_, order) in record.orders() {
        let why = order.problem.as_ref().map_or(0, |problem| problem.reason);
        let absent = [Reason::Disconnect as i32, Reason::HeartbeatLost as i32];
        let cancelled = order.kind == OrderEventKind::Cancelled as i32;
        assert!(
            !(cancelled && absent.contains(&why)),
            "{}: {order:?}",
            terms.actor
        );
    }
}
