//! Batches, quotes, protection groups, switches.

use super::*;
use OrderEventKind::{Accepted, Cancelled, Fill, Rejected};

fn batch(story: &mut Story, policy: BatchPolicy, orders: &[OrderTerms]) -> Observed {
    let items = orders.iter().map(|order| {
        story.ids += 1;
        BatchItem::Place(Place {
            origin: Origin::default(),
            order: OrderTerms {
                client_order_id: story.ids,
                ..*order
            },
        })
    });
    let items = items.collect();
    story.run(Command::Batch(Batch {
        origin: origin(ALICE),
        policy,
        items,
    }))
}

fn counts(seen: &Observed) -> Option<[u16; 3]> {
    seen.told.iter().find_map(|told| match told {
        Told::Batch(_, counts) => Some(*counts),
        _ => None,
    })
}

#[test]
fn a_batch_goes_on_or_stops_or_never_starts() {
    let orders = [buy(1, 44_000), buy(0, 44_000), buy(2, 44_000)];
    let wrong = Some(Reason::QuantityOutOfRange);
    let stopped = Some(Reason::BatchStopped);

    let mut story = Story::new();
    let seen = batch(&mut story, BatchPolicy::BestEffort, &orders);
    assert_eq!(
        told(&seen),
        [
            (Accepted, 1, None),
            (Rejected, 2, wrong),
            (Accepted, 3, None)
        ]
    );
    let items: Vec<u16> = seen.private.iter().map(|row| row.item).collect();
    assert_eq!((items, counts(&seen)), (vec![0, 1, 2], Some([2, 1, 0])));

    let mut story = Story::new();
    let seen = batch(&mut story, BatchPolicy::StopOnReject, &orders);
    assert_eq!(
        told(&seen),
        [
            (Accepted, 1, None),
            (Rejected, 2, wrong),
            (Rejected, 3, stopped)
        ]
    );
    assert_eq!(counts(&seen), Some([1, 1, 1]));
    // A skipped order does not use up its id.
    story.ids = 2;
    assert_eq!(
        told(&story.place(ALICE, buy(5, 44_000))),
        [(Accepted, 3, None)]
    );

    let mut story = Story::new();
    let seen = batch(&mut story, BatchPolicy::AllOrNoneValidate, &orders);
    assert_eq!(
        told(&seen),
        [
            (Rejected, 1, stopped),
            (Rejected, 2, wrong),
            (Rejected, 3, stopped)
        ]
    );
    assert_eq!(counts(&seen), Some([0, 1, 2]));
    story.ids = 1;
    assert_eq!(
        told(&story.place(ALICE, buy(5, 44_000))),
        [(Accepted, 2, None)]
    );
}

fn group(account: AccountId, fill_limit: i32, net_limit: i64) -> MmpGroup {
    MmpGroup {
        account,
        mmp_group: 1,
        product: ProductId(1),
        window_ms: 1_000,
        frozen_ms: 5_000,
        quantity_limit: 0,
        net_limit,
        notional_limit: 0,
        fill_limit,
        contracts_limit: 0,
        max_quote_lots: Lots(100),
    }
}

fn set(story: &mut Story, group: MmpGroup) {
    let seen = story.run(Command::SetMmpGroup(story.request(group)));
    assert_eq!(seen.refused, []);
}

#[test]
fn a_group_leaves_after_its_second_fill() {
    let mut story = Story::new();
    set(&mut story, group(ALICE, 2, 0));
    let grouped = |order: OrderTerms| OrderTerms {
        mmp_group: 1,
        ..order
    };
    for price in [45_000, 45_010, 45_020] {
        story.place(ALICE, grouped(sell(1, price)));
    }
    let seen = story.place(BOB, buy(3, 45_100));
    assert_eq!(trades(&seen), [(45_000, 1), (45_010, 1)]);
    assert_eq!(
        told(&seen).last(),
        Some(&(Cancelled, 3, Some(Reason::MmpTriggered)))
    );
    let until = story.now + 5_000 * MILLISECOND;
    let limit = Some(engine::event::MmpLimit::Fills);
    assert_eq!(seen.told, [Told::Mmp(ALICE, 1, true, until, limit, 1)]);
    let frozen = story.place(ALICE, grouped(sell(1, 46_000)));
    assert_eq!(refusal(&frozen), Some(Reason::MmpFrozen));
    let thawed = story.wait(5_000 * MILLISECOND);
    assert_eq!(thawed.told, [Told::Mmp(ALICE, 1, false, 0, None, 0)]);
    let again = story.place(ALICE, grouped(sell(1, 46_000)));
    assert_eq!(told(&again).len(), 1);
    let elsewhere = OrderTerms {
        mmp_group: 2,
        ..sell(1, 46_000)
    };
    let unknown = story.place(ALICE, elsewhere);
    assert_eq!(refusal(&unknown), Some(Reason::NotFound));
}

#[test]
fn fills_leave_the_window_and_signs_cancel_out() {
    let mut story = Story::new();
    // Three lots over 24 hours of delivery.
    set(&mut story, group(ALICE, 0, 3 * 24));
    let grouped = |order: OrderTerms| OrderTerms {
        mmp_group: 1,
        ..order
    };
    story.place(ALICE, grouped(sell(2, 45_000)));
    story.place(ALICE, grouped(buy(2, 44_000)));
    assert_eq!(story.place(BOB, buy(2, 45_000)).told, []);
    assert_eq!(story.place(BOB, sell(2, 44_000)).told, []);
    story.place(ALICE, grouped(sell(2, 45_000)));
    assert_eq!(story.place(BOB, buy(2, 45_000)).told, []);
    story.wait(1_000 * MILLISECOND);
    story.place(ALICE, grouped(sell(3, 45_000)));
    assert_eq!(story.place(BOB, buy(2, 45_000)).told, []);
    assert_eq!(story.place(BOB, buy(1, 45_000)).told.len(), 1);
}

fn quote(story: &mut Story, mut origin: Origin, sides: [Option<(i64, i64)>; 2]) -> Observed {
    story.ids += 1;
    origin.client_seq = story.ids;
    let side = |wish: Option<(i64, i64)>| {
        wish.map(|(lots, price)| QuoteSide {
            price: Ticks(price),
            lots: Lots(lots),
        })
    };
    story.run(Command::MassQuote(MassQuote {
        origin,
        quote_id: 7,
        mmp_group: 1,
        entries: vec![QuoteEntry {
            instrument: ONE,
            slot: 0,
            bid: side(sides[0]),
            ask: side(sides[1]),
        }],
        report_order_ids: true,
    }))
}

fn quoted(seen: &Observed) -> Option<(u16, u16)> {
    match seen.told.last() {
        Some(Told::Quoted(_, 7, accepted, kept)) => Some((*accepted, *kept)),
        _ => None,
    }
}

#[test]
fn a_quote_keeps_its_place_when_it_only_shrinks() {
    let mut story = Story::new();
    set(&mut story, group(ALICE, 0, 0));
    let session = story.session(ALICE, 1, DisconnectAction::CancelSession);
    let seen = quote(&mut story, session, [Some((5, 44_000)), Some((5, 46_000))]);
    assert_eq!((quoted(&seen), seen.told.len()), (Some((2, 0)), 3));
    assert_eq!(seen.private, []);
    story.place(BOB, buy(1, 44_000));
    let seen = quote(&mut story, session, [Some((4, 44_000)), Some((5, 46_000))]);
    assert_eq!(quoted(&seen), Some((2, 2)));
    let seen = story.place(CAROL, sell(2, 44_000));
    let makers: Vec<bool> = seen.private.iter().map(|row| row.quote.is_some()).collect();
    assert_eq!(makers, [false, false, true]);
    // More than what is open goes to the back; the sell is pulled.
    let seen = quote(&mut story, session, [Some((3, 44_000)), Some((0, 1))]);
    assert_eq!(quoted(&seen), Some((2, 0)));
    let seen = story.place(CAROL, sell(2, 44_000));
    let makers: Vec<u64> = seen.private.iter().map(|row| row.client_order_id).collect();
    assert_eq!(makers.len(), 5);
    assert_eq!(seen.private[2].account, BOB);
    assert_eq!(seen.private[4].account, ALICE);
    assert_eq!(story.model.book(ONE), (vec![(44_000, 2, 1)], vec![]));
    let lost = story.run(Command::Lost(Lost {
        session: session.session,
        login: 1,
        cause: Reason::Disconnect,
    }));
    assert_eq!(told(&lost), [(Cancelled, 0, Some(Reason::Disconnect))]);
}

#[test]
fn a_crossed_or_refused_quote_is_gone() {
    let mut story = Story::new();
    set(&mut story, group(ALICE, 0, 0));
    let session = story.session(ALICE, 1, DisconnectAction::CancelSession);
    quote(&mut story, session, [Some((5, 44_000)), Some((5, 46_000))]);
    let seen = quote(
        &mut story,
        session,
        [Some((5, 44_000)), Some((101, 46_000))],
    );
    assert_eq!(quoted(&seen), Some((1, 1)));
    assert_eq!(story.model.book(ONE), (vec![(44_000, 5, 1)], vec![]));
    let seen = quote(&mut story, session, [Some((5, 45_000)), Some((5, 45_000))]);
    assert_eq!((quoted(&seen), seen.told.len()), (Some((0, 0)), 3));
    assert_eq!(story.model.book(ONE), (vec![], vec![]));
    // A quote takes like any other order.
    story.place(BOB, sell(2, 45_000));
    let seen = quote(&mut story, session, [Some((5, 45_001)), None]);
    assert_eq!(trades(&seen), [(45_000, 2)]);
    assert_eq!(told(&seen), [(Fill, 0, None), (Fill, story.ids - 1, None)]);
    let halted = story.state(ONE, TradingState::Halted, 0);
    assert_eq!(
        told(&halted),
        [(Cancelled, 0, Some(Reason::InstrumentHalted))]
    );
}

fn switch(story: &mut Story, scope: SwitchScope, engaged: bool) -> Observed {
    story.run(Command::SetKillSwitch(story.request(SetKillSwitch {
        scope,
        engaged,
        cancel_open_orders: engaged,
    })))
}

#[test]
fn each_switch_is_its_own() {
    let mut story = Story::new();
    story.place(ALICE, buy(1, 44_000));
    story.place(BOB, buy(1, 44_000));
    let seen = switch(&mut story, SwitchScope::Account(ALICE), true);
    let killed = Reason::KillSwitchAccount;
    assert_eq!(told(&seen), [(Cancelled, 1, Some(killed))]);
    let seen = switch(&mut story, SwitchScope::Venue, true);
    assert_eq!(
        told(&seen),
        [(Cancelled, 2, Some(Reason::KillSwitchExchange))]
    );
    let seen = story.place(ALICE, buy(1, 44_000));
    assert_eq!(refusal(&seen), Some(Reason::KillSwitchExchange));
    switch(&mut story, SwitchScope::Venue, false);
    let seen = story.place(ALICE, buy(1, 44_000));
    assert_eq!(refusal(&seen), Some(killed));
    let seen = switch(&mut story, SwitchScope::Account(ALICE), false);
    assert_eq!(
        seen.told,
        [Told::Switch(SwitchScope::Account(ALICE), false)]
    );
    assert_eq!(told(&story.place(ALICE, buy(1, 44_000))).len(), 1);
    let seen = switch(&mut story, SwitchScope::Account(AccountId(99)), true);
    assert_eq!(seen.refused, [(AccountId::NONE, Reason::NotFound)]);
}
