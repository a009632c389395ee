//! Calls, auctions, volatility.

use super::*;
use OrderEventKind::{Cancelled, Fill, Restated};

/// The book of T-AUC.
fn worked_example(story: &mut Story) {
    for (lots, price) in [(10, 50_000), (20, 48_000), (30, 45_000)] {
        story.place(ALICE, buy(lots, price));
    }
    for (lots, price) in [(15, 40_000), (20, 44_000), (40, 47_000)] {
        story.place(BOB, sell(lots, price));
    }
}

fn indications(seen: &Observed) -> Vec<(Option<i64>, i64, i64)> {
    let all = seen.told.iter().filter_map(|told| match told {
        Told::Auction(_, price, lots, imbalance) => Some((*price, *lots, *imbalance)),
        _ => None,
    });
    all.collect()
}

#[test]
fn the_worked_example_of_an_auction() {
    let mut story = Story::new();
    let begins = story.state(ONE, TradingState::PreOpen, 0);
    assert_eq!(indications(&begins), [(None, 0, 0)]);
    worked_example(&mut story);
    assert_eq!(story.model.trades(), 0);
    // Told once the interval is over.
    let seen = story.wait(SECOND);
    assert_eq!(indications(&seen), [(Some(45_000), 35, 25)]);
    let seen = story.state(ONE, TradingState::Open, 0);
    assert_eq!(
        trades(&seen),
        [(45_000, 10), (45_000, 5), (45_000, 15), (45_000, 5)]
    );
    assert!(seen.trades.iter().all(|trade| trade.3.is_none()));
    assert_eq!(indications(&seen), [(Some(45_000), 35, 25)]);
    let kinds: Vec<u64> = seen.private.iter().map(|row| row.client_order_id).collect();
    assert_eq!(kinds, [1, 4, 2, 4, 2, 5, 3, 5]);
    // The maker's rate is a rebate, and nobody gets one in an auction.
    let fills = seen.private.iter().filter_map(|row| row.fill.as_ref());
    assert!(fills.clone().all(|fill| fill.fee == 0));
    assert!(
        fills
            .clone()
            .all(|fill| fill.liquidity == Liquidity::Auction)
    );
    assert_eq!(
        story.model.book(ONE),
        (vec![(45_000, 25, 1)], vec![(47_000, 40, 1)])
    );
    assert_eq!(story.model.state(ONE), Some(TradingState::Open));
}

#[test]
fn an_even_surplus_goes_to_the_mark() {
    let mut story = Story::new();
    story.state(ONE, TradingState::PreOpen, 0);
    story.place(ALICE, buy(10, 46_000));
    story.place(BOB, sell(10, 44_900));
    // Every price from 44,900 to 46,000 trades ten and leaves nothing; the mark is 45,000.
    let seen = story.state(ONE, TradingState::PostOnly, 0);
    assert_eq!(trades(&seen), [(45_000, 10)]);
}

#[test]
fn in_a_call_nobody_takes_and_at_the_end_nobody_leaves() {
    let mut story = Story::new();
    let early = OrderTerms {
        time_in_force: TimeInForce::AtAuction,
        ..buy(3, 45_000)
    };
    story.place(ALICE, early);
    assert_eq!(story.model.book(ONE).0, []);
    story.state(ONE, TradingState::PreOpen, 0);
    assert_eq!(story.model.book(ONE).0, [(45_000, 3, 1)]);
    let ioc = OrderTerms {
        time_in_force: TimeInForce::Ioc,
        ..sell(1, 45_000)
    };
    let seen = story.place(BOB, ioc);
    assert_eq!(refusal(&seen), Some(Reason::InstrumentNotTrading));
    let iceberg = OrderTerms {
        display: Lots(2),
        ..sell(5, 44_000)
    };
    story.place(BOB, iceberg);
    story.state(ONE, TradingState::Open, 20 * SECOND);
    story.wait(11 * SECOND);
    assert_eq!(story.model.state(ONE), Some(TradingState::NoCancel));
    let cancel = Command::Cancel(Cancel {
        origin: origin(ALICE),
        target: Target::Client(1),
        instrument: InstrumentId::NONE,
    });
    assert_eq!(
        story.run(cancel).private[0].reason,
        Some(Reason::NoCancelPeriod)
    );
    let more = OrderTerms {
        time_in_force: TimeInForce::AtAuction,
        ..buy(4, 44_500)
    };
    story.place(CAROL, more);
    let mass = story.run(Command::MassCancel(MassCancel {
        origin: origin(CAROL),
        selection: Selection::default(),
        block_new_orders: false,
    }));
    assert_eq!(mass.mass_cancelled, [(CAROL, [0, 0, 1])]);
    // Seven wanted, five offered from 44,000 on: five trade at up to 44,500, and buyers are left.
    let seen = story.wait(15 * SECOND);
    assert_eq!(trades(&seen), [(44_500, 3), (44_500, 2)]);
    assert_eq!(
        told(&seen),
        [
            (Fill, 1, None),
            (Fill, 3, None),
            (Fill, 4, None),
            (Fill, 3, None),
            (Cancelled, 4, Some(Reason::AuctionRemainder)),
        ]
    );
    // After three of five the two that are left are visible.
    assert_eq!(seen.private[1].display, 2);
    assert_eq!(story.model.state(ONE), Some(TradingState::Open));
}

#[test]
fn one_does_not_trade_with_oneself_in_an_auction() {
    let mut story = Story::new();
    story.state(ONE, TradingState::PreOpen, 0);
    story.place(ALICE, buy(5, 45_000));
    story.place(ALICE, sell(2, 45_000));
    story.place(BOB, sell(2, 45_000));
    let seen = story.state(ONE, TradingState::Open, 0);
    assert_eq!(
        told(&seen),
        [
            (Cancelled, 2, Some(Reason::SelfTradePrevented)),
            (Fill, 1, None),
            (Fill, 3, None)
        ]
    );
    // The other way round the buy is the younger one, and is cut.
    story.state(ONE, TradingState::PreOpen, 0);
    story.place(CAROL, sell(2, 44_000));
    story.place(CAROL, buy(9, 46_000));
    let seen = story.state(ONE, TradingState::Open, 0);
    assert_eq!(
        told(&seen)[0],
        (Restated, 5, Some(Reason::SelfTradePrevented))
    );
}

#[test]
fn a_cancel_by_the_exchange_waits_for_the_end() {
    let mut story = Story::new();
    story.state(ONE, TradingState::NoCancel, 0);
    let dated = OrderTerms {
        time_in_force: TimeInForce::Gtd(Nanos(START + SECOND)),
        ..buy(5, 45_000)
    };
    story.place(ALICE, dated);
    story.place(BOB, buy(1, 44_000));
    assert_eq!(story.wait(2 * SECOND).private, []);
    assert_eq!(story.model.book(ONE).0.len(), 2);
    let seen = story.state(ONE, TradingState::Open, 0);
    assert_eq!(told(&seen), [(Cancelled, 1, Some(Reason::Expired))]);
}

#[test]
fn a_price_that_runs_away_calls_an_auction_for_the_whole_curve() {
    // One percent in a second. Contract 2 ends first and leads.
    let mut story = Story::with(Volatility {
        window_ms: 1_000,
        move_ppm: 10_000,
    });
    let at_two = |order: OrderTerms| OrderTerms {
        instrument: TWO,
        ..order
    };
    story.place(ALICE, at_two(sell(1, 45_000)));
    story.place(ALICE, at_two(sell(1, 45_450)));
    story.place(ALICE, at_two(sell(1, 45_451)));
    // 45,450 is exactly one percent above 45,000; 45,451 is more.
    let ioc = OrderTerms {
        time_in_force: TimeInForce::Ioc,
        ..at_two(buy(3, 45_500))
    };
    let seen = story.place(BOB, ioc);
    assert_eq!(trades(&seen), [(45_000, 1), (45_450, 1)]);
    let last = seen.private.last().map(|row| (row.kind, row.reason));
    assert_eq!(last, Some((Cancelled, Some(Reason::Volatility))));
    for contract in [ONE, TWO] {
        let state = story.model.state(contract);
        assert_eq!(state, Some(TradingState::VolatilityAuction));
    }
    story.place(BOB, at_two(buy(1, 46_000)));
    story.wait(110 * SECOND);
    assert_eq!(story.model.state(TWO), Some(TradingState::NoCancel));
    let seen = story.wait(10 * SECOND);
    assert_eq!(trades(&seen), [(45_451, 1)]);
    assert_eq!(story.model.state(TWO), Some(TradingState::PostOnly));
    story.wait(10 * SECOND);
    assert_eq!(story.model.state(TWO), Some(TradingState::Open));
    assert_eq!(story.model.state(ONE), Some(TradingState::Open));
}

#[test]
fn a_follower_calls_only_for_itself_and_old_trades_are_forgotten() {
    let mut story = Story::with(Volatility {
        window_ms: 1_000,
        move_ppm: 10_000,
    });
    for price in [45_000, 46_000, 47_000] {
        story.place(ALICE, sell(1, price));
    }
    story.place(BOB, buy(1, 45_000));
    story.wait(1_000 * MILLISECOND);
    let seen = story.place(BOB, buy(2, 47_000));
    assert_eq!(trades(&seen), [(46_000, 1)]);
    assert_eq!(
        story.model.state(ONE),
        Some(TradingState::VolatilityAuction)
    );
    assert_eq!(story.model.state(TWO), Some(TradingState::Open));
    // The rest of a limit order stays, crossed.
    assert_eq!(
        story.model.book(ONE),
        (vec![(47_000, 1, 1)], vec![(47_000, 1, 1)])
    );
}
