//! A start from a snapshot is a start from the beginning, only sooner.

use std::{fs, path::PathBuf};

use engine::keeper::Retention;
use gateway::{
    client::{Session, SessionOptions},
    settings::Settings,
};
use proto::{
    account::v1::{ListLedgerRequest, StreamAccountRequest},
    common::v1::Side,
    marketdata::v1::{Channel, SubscribeRequest, Subscription, market_data_update::Payload},
    reference::v1::Instrument,
    trading::v1::{
        DisconnectAction, ListFillsRequest, StreamEventsRequest, SubmitOrderRequest,
        SubmitOrderResponse, open_session_request::Command, session_event::Event,
        stream_events_request::Scope,
    },
};
use tests::venue::{Folder, Venue, limit, settings};

/// A snapshot each 40 commands.
fn often(folder: &Folder) -> Settings {
    Settings {
        snapshot_every: 40,
        segment_bytes: 512 << 10,
        ..settings(folder.path())
    }
}

/// Positions of the finished snapshots, oldest first.
fn taken(folder: &Folder) -> Vec<(u64, PathBuf)> {
    let files = fs::read_dir(folder.path().join("snapshots"));
    let mut found: Vec<(u64, PathBuf)> = files
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            let seq = name.strip_prefix("snapshot-")?.strip_suffix(".snap")?;
            Some((seq.parse().ok()?, file.path()))
        })
        .collect();
    found.sort();
    found
}

/// Whether there are two snapshots, both of positions after `seq`.
fn two_after(folder: &Folder, seq: u64) -> bool {
    let taken = taken(folder);
    taken.len() == 2 && taken.iter().all(|(at, _)| *at > seq)
}

fn survivor(venue: &Venue) -> SessionOptions {
    SessionOptions {
        name: "survivor".into(),
        account_id: venue.account("maker-1"),
        heartbeat_interval_ms: 30_000,
        disconnect_action: DisconnectAction::Keep,
        disconnect_grace_ms: 0,
    }
}

/// Rests orders one after the other, each told before the next, from number `first` on until `enough`.
/// Answers the next number.
async fn rest(
    session: &mut Session,
    contract: &Instrument,
    first: u64,
    enough: impl Fn(u64) -> bool,
) -> u64 {
    let mut id = first;
    while !enough(id) {
        let order = limit(id, contract, Side::Buy, 2, 42_000);
        session.send(Command::NewOrder(order)).await.expect("sent");
        while session.next().await.expect("told").event_seq == 0 {}
        id += 1;
    }
    id
}

async fn sell(venue: &Venue, contract: &Instrument, id: u64, lots: i64) -> SubmitOrderResponse {
    let taker = venue.client("taker-1").await;
    let request = SubmitOrderRequest {
        account_id: venue.account("taker-1"),
        order: Some(limit(id, contract, Side::Sell, lots, 42_000)),
        ..SubmitOrderRequest::default()
    };
    let answer = taker.trading().submit_order(request).await;
    answer.expect("answered").into_inner()
}

/// All fills and all postings of the maker.
async fn history(venue: &Venue) -> (String, String) {
    let client = venue.client("maker-1").await;
    let account_id = venue.account("maker-1");
    let fills = client
        .trading()
        .list_fills(ListFillsRequest {
            account_id,
            ..ListFillsRequest::default()
        })
        .await
        .expect("fills");
    let ledger = client
        .account()
        .list_ledger(ListLedgerRequest {
            account_id,
            ..ListLedgerRequest::default()
        })
        .await
        .expect("postings");
    let (fills, ledger) = (fills.into_inner(), ledger.into_inner());
    assert!(!fills.fills.is_empty() && !ledger.entries.is_empty());
    (
        format!("{:?}", fills.fills),
        format!("{:?}", ledger.entries),
    )
}

/// An account's stream goes on from before the snapshot: nothing of it is in memory, all of it in the journal.
async fn assert_changes_of_the_account(venue: &Venue, sale: u64) {
    let client = venue.client("maker-1").await;
    let account_id = venue.account("maker-1");
    let request = StreamAccountRequest {
        account_id,
        resume_after_journal_seq: Some(i64::try_from(sale).expect("small") - 1),
    };
    let mut stream = client
        .account()
        .stream_account(request)
        .await
        .expect("opens")
        .into_inner();
    let told = stream.message().await.expect("told").expect("told");
    assert_eq!(told.journal_seq.unsigned_abs(), sale, "from the sale on");
    assert!(!told.snapshot && told.positions.iter().any(|row| row.net_lots == 7));
}

/// Sells so often that memory, where it keeps little, no longer knows the first trades.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tape_goes_on_from_before_what_memory_keeps() {
    const TRADES: u64 = 1_100;
    let folder = Folder::new("far-tape");
    let venue = Venue::start_with(settings(folder.path())).await;
    let contract = venue.forward().await;
    let mut maker = venue.session("maker-1", "m", 60_000).await;
    let mut taker = venue.session("taker-1", "t", 60_000).await;
    for id in 1..=TRADES {
        let bid = limit(id, &contract, Side::Buy, 1, 42_000);
        maker.send(Command::NewOrder(bid)).await.expect("sent");
        while maker.next().await.expect("told").event_seq == 0 {}
        let offer = limit(id, &contract, Side::Sell, 1, 42_000);
        taker.send(Command::NewOrder(offer)).await.expect("sent");
        while taker.next().await.expect("told").event_seq == 0 {}
    }
    let names = |from: i64| {
        let venue = &venue;
        let contract = contract.instrument_id;
        async move {
            let asked = SubscribeRequest {
                subscriptions: vec![Subscription {
                    subscription_id: 1,
                    channel: Channel::Trades as i32,
                    instrument_ids: vec![contract],
                    resume_after_seq: from,
                    ..Subscription::default()
                }],
            };
            let client = venue.client("taker-2").await;
            let answer = client.market_data().subscribe(asked).await;
            let mut stream = answer.expect("a stream").into_inner();
            let mut names = Vec::new();
            while names.len() < usize::try_from(TRADES).expect("small") {
                let message = stream.message().await.expect("told").expect("told");
                for update in message.updates {
                    match update.payload {
                        Some(Payload::Trade(trade)) => names.push(trade.trade_id),
                        Some(Payload::SubscriptionStatus(status)) => {
                            assert_eq!(status.problem, None);
                        }
                        _ => {}
                    }
                }
            }
            names
        }
    };
    let remembered = names(1).await;
    venue.running.desk.hub.keep_least();
    let kept = venue.running.desk.hub.archive().rows_kept();
    assert!(kept < remembered.len(), "{kept} rows are kept");
    assert_eq!(
        names(1).await,
        remembered,
        "the journal has what memory has not"
    );
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_after_a_start_from_a_snapshot() {
    let folder = Folder::new("from-snapshot");
    let venue = Venue::start_with(often(&folder)).await;
    let contract = venue.forward().await;
    let mut maker = Session::open(venue.client("maker-1").await, survivor(&venue))
        .await
        .expect("logs on");
    let next = rest(&mut maker, &contract, 1, |id| id > 30).await;
    let sale = sell(&venue, &contract, 900, 7).await;
    let after_sale = u64::try_from(sale.journal_seq).expect("positive");
    let next = rest(&mut maker, &contract, next, |_| {
        two_after(&folder, after_sale)
    })
    .await;
    let heard = history(&venue).await;
    drop(maker);
    let follower = venue.running.desk.follower.clone();
    venue.running.stop().await;
    let seq = follower.read().seq();
    drop(follower);

    let newest = taken(&folder).pop().expect("two");
    assert!(newest.0 > after_sale);
    let venue = Venue::start_with(often(&folder)).await;
    assert_eq!(
        venue.running.began.snapshot.as_ref().map(|(_, at)| *at),
        Some(newest.0)
    );
    assert!(venue.running.began.rejected.is_empty());
    assert_eq!(venue.running.recovered.last_seq, seq);
    let verified = gateway::commands::journal::verify(folder.path()).expect("a good journal");
    assert!(
        verified.commands >= seq,
        "from the beginning it is the same"
    );

    // What lies before the snapshot is answered as before.
    assert_eq!(history(&venue).await, heard);
    let again = sell(&venue, &contract, 900, 7).await;
    assert!(again.replayed, "the order's id is remembered");
    assert_eq!(
        (again.journal_seq, again.events),
        (sale.journal_seq, sale.events)
    );
    let client = venue.client("maker-1").await;
    let mut back = Session::open_after(client, survivor(&venue), 3)
        .await
        .expect("logs on");
    let mut numbers = Vec::new();
    loop {
        let event = back.next().await.expect("told");
        if matches!(event.event, Some(Event::ReplayComplete(_))) {
            break;
        }
        if event.event_seq > 0 {
            numbers.push(event.event_seq);
        }
    }
    assert_changes_of_the_account(&venue, after_sale).await;
    // An acceptance each, and the 4 fills of 7 lots against orders of 2.
    let last = i64::try_from(next).expect("small") - 1 + 4;
    assert_eq!(numbers, (4..=last).collect::<Vec<i64>>(), "without a gap");
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_newest_snapshot_is_passed_over_and_said() {
    let folder = Folder::new("fall-back");
    let venue = Venue::start_with(often(&folder)).await;
    let contract = venue.forward().await;
    let mut maker = venue.session("maker-1", "m", 60_000).await;
    rest(&mut maker, &contract, 1, |_| two_after(&folder, 1)).await;
    let follower = venue.running.desk.follower.clone();
    venue.running.stop().await;
    let (seq, digest) = (follower.read().seq(), follower.read().digest());
    let [older, newest] = taken(&folder).try_into().expect("two");
    let mut bytes = fs::read(&newest.1).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&newest.1, bytes).expect("damaged");

    let settings = engine::journal::Settings::new(folder.path().join("journal"), 0);
    let back = engine::pipeline::recover(settings, |_| Ok(())).expect("from the older one");
    assert_eq!(back.began.snapshot, Some((older.1, older.0)));
    assert_eq!(back.began.rejected.len(), 1);
    assert_eq!(back.began.rejected[0].path, newest.1);
    assert_eq!((back.exchange.seq(), back.exchange.digest()), (seq, digest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retired_segments_are_archived_and_the_past_before_the_snapshots_is_refused() {
    let folder = Folder::new("retired");
    let archive = folder.path().join("old");
    let settings = Settings {
        retention: Retention::Archive(1, archive.clone()),
        ..often(&folder)
    };
    let venue = Venue::start_with(settings.clone()).await;
    let contract = venue.forward().await;
    let mut maker = venue.session("maker-1", "m", 60_000).await;
    // Each in a block of its own, 4 KiB at least: several segments of 512 KiB.
    let first = folder.path().join("journal/00000001.seg");
    rest(&mut maker, &contract, 1, |_| !first.exists()).await;
    let follower = venue.running.desk.follower.clone();
    venue.running.stop().await;
    let (seq, digest) = (follower.read().seq(), follower.read().digest());

    let venue = Venue::start_with(settings).await;
    assert_eq!(venue.running.recovered.last_seq, seq);
    let request = StreamEventsRequest {
        scope: Some(Scope::AccountId(venue.account("maker-1"))),
        resume_after_journal_seq: Some(1),
        fills_only: false,
    };
    let client = venue.client("maker-1").await;
    let mut stream = client
        .trading()
        .stream_events(request)
        .await
        .expect("opens")
        .into_inner();
    let status = stream.message().await.expect_err("that far back is gone");
    let refusal = gateway::client::Refusal::read(&status).expect("a refusal of ours");
    assert_eq!(refusal.reason, "RESUME_TOO_OLD");
    venue.running.stop().await;

    // With the archive put back the whole story can be read again.
    for segment in fs::read_dir(&archive).expect("archived").flatten() {
        let home = folder.path().join("journal").join(segment.file_name());
        fs::rename(segment.path(), home).expect("moved back");
    }
    fs::remove_dir_all(folder.path().join("snapshots")).expect("there");
    let settings = engine::journal::Settings::new(folder.path().join("journal"), 0);
    let mut states = Vec::new();
    let journal = settings.dir.clone();
    let mut exchange = engine::exchange::Exchange::new();
    let mut replay = engine::pipeline::Replay::default();
    engine::journal::scan(&journal, |block| {
        replay.block(&mut exchange, block.payload, block.count, |_, _| {})?;
        if exchange.seq() == seq {
            states.push(exchange.digest());
        }
        Ok(())
    })
    .expect("from the beginning");
    assert_eq!(states.first(), Some(&digest));
}
