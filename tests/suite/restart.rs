//! Is a restarted exchange the same exchange?

use gateway::{
    client::{Session, SessionOptions},
    desk::Digger,
};
use proto::{
    common::v1::Side,
    trading::v1::{
        DisconnectAction, SubmitOrderRequest, open_session_request::Command, session_event::Event,
    },
};
use tests::venue::{Folder, Venue, limit};

mod clock_jumps;
mod under_load;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_event_numbers_and_answers_survive_a_restart() {
    let folder = Folder::new("restart");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let mut maker = venue.session("maker-1", "survivor", 60_000).await;
    for id in 1..=50 {
        let price = 42_000 + i64::try_from(id).expect("small");
        let order = limit(id, &contract, Side::Buy, 2, price);
        maker.send(Command::NewOrder(order)).await.expect("sent");
    }
    let mut last = 0;
    while last < 50 {
        last = maker.next().await.expect("acks").event_seq.max(last);
    }
    let taker = venue.client("taker-1").await;
    let account_id = venue.account("taker-1");
    let sell = limit(9, &contract, Side::Sell, 7, 42_040);
    let request = SubmitOrderRequest {
        account_id,
        order: Some(sell),
        ..Default::default()
    };
    let first = taker
        .trading()
        .submit_order(request.clone())
        .await
        .expect("trades")
        .into_inner();
    let follower = venue.running.desk.follower.clone();
    let address = venue.address();
    venue.running.stop().await;
    let before = follower.read().digest();
    let seq = follower.read().seq();
    drop((taker, follower));

    // The same folder, replayed: the same state, before the new process adds its own commands.
    let verified = gateway::commands::journal::verify(folder.path()).expect("the journal is good");
    assert_eq!((verified.commands, verified.digest), (seq, before));

    let venue = Venue::start(folder.path()).await;
    assert_ne!(
        venue.address(),
        address,
        "another port, another process in effect"
    );
    assert_eq!(venue.running.recovered.last_seq, seq);
    let taker = venue.client("taker-1").await;
    let again = taker
        .trading()
        .submit_order(request)
        .await
        .expect("repeats")
        .into_inner();
    assert!(again.replayed);
    assert_eq!(
        (again.journal_seq, again.events),
        (first.journal_seq, first.events)
    );

    // The session's numbers go on; what the taker did while nobody listened is replayed.
    let options = SessionOptions {
        name: "survivor".into(),
        account_id: venue.account("maker-1"),
        heartbeat_interval_ms: 1_000,
        disconnect_action: DisconnectAction::CancelSessionOrders,
        disconnect_grace_ms: 60_000,
    };
    let client = venue.client("maker-1").await;
    let mut back = Session::open(client, options).await.expect("logs on");
    assert_eq!(back.upcoming_client_seq(), 51);
    back.send(Command::NewOrder(limit(
        51,
        &contract,
        Side::Buy,
        1,
        41_000,
    )))
    .await
    .expect("sent");
    let told = loop {
        let event = back.next().await.expect("an event");
        if event.event_seq > 0 {
            break event;
        }
    };
    assert!(matches!(told.event, Some(Event::Order(_))));
    // 50 acceptances, then the fills of a sale of 7 lots against orders of 2, best first: 4 fills.
    assert_eq!(
        (told.event_seq, told.client_seq),
        (55, 51),
        "no number skipped, none used twice"
    );
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resume_goes_back_to_the_journal_itself() {
    let folder = Folder::new("excavate");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let client = venue.client("maker-1").await;
    for id in 1..=20 {
        let order = limit(id, &contract, Side::Buy, 1, 42_000);
        let account_id = venue.account("maker-1");
        let request = SubmitOrderRequest {
            account_id,
            order: Some(order),
            ..Default::default()
        };
        client.trading().submit_order(request).await.expect("rests");
    }
    // From the archive in memory, and executed again from disk: the same events, byte for byte.
    let desk = &venue.running.desk;
    let last = desk.follower.read().seq();
    let seqs: Vec<u64> = (last - 19..=last).collect();
    let recent = desk
        .answers(&seqs, Digger::Reader)
        .await
        .expect("from memory");
    let wanted = seqs.clone();
    let dug = desk
        .excavate(Digger::Reader, 1, move |stamped, _| {
            wanted.contains(&stamped.seq)
        })
        .await
        .expect("from the journal");
    assert_eq!(recent.len(), 20);
    for (answer, (stamped, events)) in recent.iter().zip(dug.commands()) {
        assert_eq!((answer.seq(), answer.events()), (stamped.seq, events));
    }
    venue.running.stop().await;
}
