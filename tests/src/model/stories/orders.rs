//! Icebergs, minimum fills, stops, pegs.

use super::*;
use OrderEventKind::{Accepted, Cancelled, Fill, Restated, Triggered};

#[test]
fn an_iceberg_shows_a_part_and_goes_to_the_back_with_the_next() {
    let mut story = Story::new();
    let iceberg = OrderTerms {
        display: Lots(4),
        ..sell(10, 45_000)
    };
    story.place(ALICE, iceberg);
    story.place(BOB, sell(3, 45_000));
    assert_eq!(story.model.book(ONE).1, [(45_000, 7, 2)]);
    // 4 of the iceberg, 3 of the other, 2 of the iceberg again.
    let seen = story.place(CAROL, buy(9, 45_000));
    assert_eq!(trades(&seen), [(45_000, 4), (45_000, 3), (45_000, 2)]);
    assert_eq!(
        told(&seen),
        [
            (Accepted, 3, None),
            (Fill, 3, None),
            (Fill, 1, None),
            (Restated, 1, Some(Reason::IcebergRefresh)),
            (Fill, 3, None),
            (Fill, 2, None),
            (Fill, 3, None),
            (Fill, 1, None),
        ]
    );
    let shown: Vec<i64> = seen.private.iter().map(|row| row.display).collect();
    assert_eq!(shown, [0, 0, 0, 4, 0, 0, 0, 2]);
    // Four lots are left, two of them visible: FOK counts all.
    assert_eq!(story.model.book(ONE).1, [(45_000, 2, 1)]);
    let all = OrderTerms {
        time_in_force: TimeInForce::Fok,
        ..buy(4, 45_000)
    };
    assert_eq!(trades(&story.place(CAROL, all)), [(45_000, 2), (45_000, 2)]);
}

#[test]
fn an_iceberg_shows_at_least_two_and_rests() {
    let mut story = Story::new();
    let show = |display, order: OrderTerms| OrderTerms {
        display: Lots(display),
        ..order
    };
    let too_small = story.place(ALICE, show(1, buy(9, 44_000)));
    assert_eq!(refusal(&too_small), Some(Reason::DisplayTooSmall));
    let too_large = story.place(ALICE, show(10, buy(9, 44_000)));
    assert_eq!(refusal(&too_large), Some(Reason::DisplayTooSmall));
    let ioc = OrderTerms {
        time_in_force: TimeInForce::Ioc,
        ..buy(9, 44_000)
    };
    let ioc = story.place(ALICE, show(3, ioc));
    assert_eq!(refusal(&ioc), Some(Reason::UnsupportedCombination));
}

#[test]
fn a_minimum_fills_at_once_or_not_at_all() {
    let mut story = Story::new();
    story.place(ALICE, sell(5, 45_000));
    let wish = |lots, least| OrderTerms {
        time_in_force: TimeInForce::Ioc,
        min_fill: Lots(least),
        ..buy(lots, 45_000)
    };
    let refused = story.place(BOB, wish(9, 6));
    assert_eq!(refusal(&refused), Some(Reason::FokNotFillable));
    let wrong = story.place(BOB, wish(9, 10));
    assert_eq!(refusal(&wrong), Some(Reason::InvalidField));
    let seen = story.place(BOB, wish(9, 5));
    assert_eq!(trades(&seen), [(45_000, 5)]);
    assert_eq!(
        seen.private.last().and_then(|row| row.reason),
        Some(Reason::IocRemainder)
    );
}

fn stop(order: OrderTerms, price: i64) -> OrderTerms {
    let trigger = Some(Trigger {
        source: TriggerSource::Last,
        price: Ticks(price),
    });
    OrderTerms { trigger, ..order }
}

#[test]
fn one_stop_releases_the_next() {
    let mut story = Story::new();
    for (lots, price) in [(1, 45_000), (2, 45_010), (3, 45_020)] {
        story.place(ALICE, sell(lots, price));
    }
    let market = |lots| OrderTerms {
        pricing: Pricing::Market,
        time_in_force: TimeInForce::Ioc,
        ..buy(lots, 0)
    };
    let waiting = story.place(BOB, stop(market(3), 45_010));
    assert_eq!(waiting.private[0].status, OrderStatus::Untriggered);
    assert_eq!(waiting.private[0].price, 67_500);
    story.place(BOB, stop(market(2), 45_000));
    assert_eq!(story.model.book(ONE).0, []);
    assert_eq!(story.model.position(BOB, ONE).open_buy, 5);
    // One lot at 45,000 releases the second stop, whose 45,010 releases the first.
    let seen = story.place(CAROL, buy(1, 45_000));
    assert_eq!(trades(&seen), [(45_000, 1), (45_010, 2), (45_020, 3)]);
    let released: Vec<u64> = seen
        .private
        .iter()
        .filter(|row| row.kind == Triggered)
        .map(|row| row.client_order_id)
        .collect();
    assert_eq!(released, [5, 4]);
}

#[test]
fn a_stop_may_come_too_late() {
    let mut story = Story::new();
    story.place(ALICE, sell(1, 45_000));
    let fok = OrderTerms {
        time_in_force: TimeInForce::Fok,
        ..buy(2, 45_000)
    };
    story.place(BOB, stop(fok, 45_000));
    let resting = story.place(BOB, stop(sell(2, 45_005), 44_999));
    assert_eq!(told(&resting), [(Accepted, 3, None)]);
    let seen = story.place(CAROL, buy(1, 45_000));
    assert_eq!(
        told(&seen)[3..],
        [
            (Triggered, 2, None),
            (Cancelled, 2, Some(Reason::FokNotFillable))
        ]
    );
    let post_only = OrderTerms {
        post_only: PostOnly::Reject,
        ..buy(1, 44_000)
    };
    let wrong = story.place(BOB, stop(post_only, 45_000));
    assert_eq!(refusal(&wrong), Some(Reason::UnsupportedCombination));
}

fn peg(side: Side, lots: i64, offset: i64, cap: i64) -> OrderTerms {
    OrderTerms {
        pricing: Pricing::Peg(Peg {
            to: PegTo::Best,
            offset: Ticks(offset),
            cap: Ticks(cap),
        }),
        ..order(side, lots, 0)
    }
}

#[test]
fn a_peg_follows_its_side_up_to_its_cap_and_never_takes() {
    let mut story = Story::new();
    let asleep = story.place(ALICE, peg(Side::Buy, 5, -10, 45_000));
    assert_eq!(asleep.private[0].price, 45_000);
    assert_eq!(story.model.book(ONE).0, []);
    // It wakes when there is something to follow, in the same command.
    let seen = story.place(BOB, buy(1, 44_900));
    assert_eq!(told(&seen)[1], (Restated, 1, Some(Reason::PegRepriced)));
    assert_eq!(story.model.book(ONE).0, [(44_900, 1, 1), (44_890, 5, 1)]);
    story.place(BOB, buy(1, 45_500));
    assert_eq!(story.model.book(ONE).0[1], (45_000, 5, 1));
    // A sell at 44,995 would meet 45,500 first, which then no longer leads.
    let seen = story.place(CAROL, sell(1, 44_995));
    assert_eq!(trades(&seen), [(45_500, 1)]);
    assert_eq!(story.model.book(ONE).0, [(44_900, 1, 1), (44_890, 5, 1)]);
    let wrong = story.place(CAROL, peg(Side::Buy, 1, 1, 45_000));
    assert_eq!(refusal(&wrong), Some(Reason::InvalidField));
}

#[test]
fn a_peg_stays_a_tick_away_from_the_other_side() {
    let mut story = Story::new();
    story.place(BOB, buy(1, 44_999));
    story.place(CAROL, sell(1, 45_001));
    story.place(ALICE, peg(Side::Buy, 2, 0, 46_000));
    story.place(BOB, peg(Side::Sell, 2, 0, 44_000));
    assert_eq!(
        story.model.book(ONE),
        (vec![(44_999, 3, 2)], vec![(45_001, 3, 2)])
    );
    // The only buy that is no peg goes: the peg has nothing to follow any more.
    let cancel = Command::Cancel(Cancel {
        origin: origin(BOB),
        target: Target::Client(1),
        instrument: InstrumentId::NONE,
    });
    story.run(cancel);
    assert_eq!(story.model.book(ONE), (vec![], vec![(45_001, 3, 2)]));
}
