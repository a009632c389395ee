//! An auction as a subscriber sees it, and a book that is crossed while one is called.

use engine::{
    command::Side,
    event::{AuctionChange, StatusChange},
    instrument::TradingState,
    reason::Reason,
    units::{Lots, Ticks},
};
use proto::common::v1 as common;

use super::*;

const CONTRACT: InstrumentId = InstrumentId(3);

fn moment(journal: u64) -> Moment {
    let at = Nanos(journal.cast_signed());
    Moment { journal, at }
}

fn listed(channel: Channel) -> Row {
    let seed = Seed::listed(CONTRACT, wire::InstrumentStatus::default());
    let (row, snapshot) = Row::begin(seed, channel, moment(1));
    assert!(snapshot.is_some_and(|update| update.prev_seq == 0));
    row
}

fn state(public_seq: u64, state: TradingState, ends: Option<i64>) -> Event {
    Event::Status(StatusChange {
        instrument: CONTRACT,
        public_seq,
        state,
        reason: Reason::Schedule,
        scheduled: ends.map(|at| (Nanos(at), TradingState::Open)),
    })
}

fn indication(public_seq: u64, price: Option<i64>, lots: i64, imbalance: i64) -> Event {
    Event::Auction(AuctionChange {
        instrument: CONTRACT,
        public_seq,
        price: price.map(Ticks),
        lots: Lots(lots),
        imbalance: Lots(imbalance),
    })
}

fn level(public_seq: u64, side: Side, price: i64, lots: i64) -> Event {
    Event::Level(LevelChange {
        instrument: CONTRACT,
        public_seq,
        side,
        price: Ticks(price),
        lots: Lots(lots),
        orders: u32::from(lots > 0),
    })
}

/// Shows a row the events of one command, and takes what it tells.
fn command(row: &mut Row, journal: u64, events: &[Event]) -> Vec<Update> {
    let mut out = Vec::new();
    for event in events {
        let (_, seq) = public(event).expect("public");
        row.look(event, wide(seq), moment(journal), &mut out);
    }
    row.tell(Instant::now(), Duration::ZERO, &mut out);
    out
}

fn auction(updates: &[Update]) -> (i64, i64, wire::AuctionState) {
    match updates {
        [
            Update {
                seq,
                prev_seq,
                payload: Some(Payload::Auction(state)),
                ..
            },
        ] => (*prev_seq, *seq, *state),
        other => panic!("one auction state, not {other:?}"),
    }
}

#[test]
fn a_call_is_followed_from_its_begin_to_its_price() {
    let mut row = listed(Channel::Auction);
    assert!(command(&mut row, 2, &[state(2, TradingState::Open, None)]).is_empty());

    let begins = [
        state(3, TradingState::PreOpen, Some(900)),
        indication(4, None, 0, 0),
    ];
    let (prev, seq, told) = auction(&command(&mut row, 3, &begins));
    assert_eq!((prev, seq), (1, 4), "one update for the command");
    assert_eq!(
        (told.indicative_ticks, told.uncross_unix_nanos),
        (None, 900)
    );

    let crosses = [
        level(5, Side::Buy, 105, 40),
        indication(6, Some(100), 35, 5),
    ];
    let (prev, seq, told) = auction(&command(&mut row, 4, &crosses));
    assert_eq!((prev, seq), (4, 6));
    assert_eq!((told.indicative_ticks, told.matched_lots), (Some(100), 35));
    let buyers = common::Side::Buy.into();
    assert_eq!((told.imbalance_side, told.imbalance_lots), (buyers, 5));
    assert_eq!(told.uncross_unix_nanos, 900);

    let end_of_call = [state(7, TradingState::NoCancel, Some(900))];
    assert!(command(&mut row, 5, &end_of_call).is_empty(), "nothing new");

    let uncrossed = [
        indication(8, Some(101), 36, 0),
        state(9, TradingState::Open, None),
    ];
    let (prev, seq, told) = auction(&command(&mut row, 6, &uncrossed));
    assert_eq!((prev, seq), (6, 9));
    assert_eq!((told.indicative_ticks, told.matched_lots), (Some(101), 36));
    assert_eq!((told.imbalance_side, told.uncross_unix_nanos), (0, 0));
}

#[test]
fn a_crossed_book_is_told_like_any_other() {
    let mut depth = listed(Channel::Depth(2));
    let mut bbo = listed(Channel::Bbo);
    let events = [
        level(2, Side::Buy, 105, 40),
        level(3, Side::Buy, 101, 1),
        level(4, Side::Buy, 99, 2),
        level(5, Side::Sell, 100, 35),
        level(6, Side::Sell, 104, 3),
    ];
    let told = command(&mut depth, 2, &events);
    let [
        Update {
            payload: Some(Payload::DepthDelta(delta)),
            ..
        },
    ] = told.as_slice()
    else {
        panic!("one delta, not {told:?}");
    };
    let prices = |levels: &[wire::PriceLevel]| -> Vec<i64> {
        levels.iter().map(|level| level.price_ticks).collect()
    };
    assert_eq!(prices(&delta.bids), [105, 101], "best two, though crossed");
    assert_eq!(prices(&delta.asks), [100, 104]);

    // The digest is that of a book taken afresh.
    let mut fresh = View::new(2);
    for event in &events {
        let Event::Level(change) = event else {
            continue;
        };
        set(&mut fresh, change);
    }
    assert_eq!(delta.digest, fresh.snapshot().digest);

    let told = command(&mut bbo, 2, &events);
    let Some(Payload::Bbo(best)) = told[0].payload else {
        panic!("{told:?}")
    };
    assert_eq!((best.bid_ticks, best.ask_ticks), (Some(105), Some(100)));

    let uncrossed = [level(7, Side::Buy, 105, 5), level(8, Side::Sell, 100, 0)];
    let told = command(&mut depth, 3, &uncrossed);
    let Some(Payload::DepthDelta(delta)) = &told[0].payload else {
        panic!("{told:?}")
    };
    assert_eq!(
        (prices(&delta.bids), prices(&delta.asks)),
        (vec![105], vec![100])
    );
}
