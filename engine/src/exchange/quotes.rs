//! Two-sided quotes: ladders refreshed by one command (QUOTE).
//!
//! A side of a quote is an ordinary order, found by (group, contract, slot, side) through dense rows of
//! its group. The common refresh, same price and no more lots, touches only the order, its level and
//! its position.

use super::{
    Exchange,
    admission::{
        Admitted, Door, check_band, check_position_limit, check_price_range, check_quantity,
    },
    batch::too_many,
};
use crate::{
    command::{
        DisconnectAction, MassQuote, OrderTerms, Origin, PostOnly, Pricing, QuoteEntry, QuoteSide,
        SelfTrade, Side, TimeInForce,
    },
    event::{Event, OrderStatus, QuoteKey, QuoteOrder, QuoteProblem, Quoted},
    ids::{InstrumentId, OrderId},
    instrument::{Instrument, TradingState},
    limits,
    reason::{Field, Problem, Reason},
    units::{Lots, Nanos, Ticks},
};

/// Answers of the present mass quote; kept between commands for its room.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    problems: Vec<(u16, Side, Problem)>,
    orders: Vec<(u16, Side, OrderId)>,
}

/// What became of an accepted side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pulled,
    /// Same price, no more lots.
    Kept(OrderId),
    /// New, or at the back of its level.
    Moved(OrderId),
}

/// Where a side stands.
#[derive(Clone, Copy)]
struct Place {
    instrument: InstrumentId,
    slot: u8,
    side: Side,
}

/// Entries of a mass quote, by their numbers: there are at most as many as a word has bits.
#[derive(Clone, Copy)]
struct Entries(u64);

const _: () = assert!(limits::QUOTE_ENTRIES <= 64, "a bit for each entry");

impl Entries {
    fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let index = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (index < u64::BITS).then_some(index as usize)
        })
    }
}

/// Best prices of a ladder.
#[derive(Clone, Copy, Default)]
struct Best {
    bid: Option<Ticks>,
    ask: Option<Ticks>,
}

impl Best {
    fn count(&mut self, side: Side, price: Ticks) {
        match side {
            Side::Buy => self.bid = Some(self.bid.map_or(price, |bid| bid.max(price))),
            Side::Sell => self.ask = Some(self.ask.map_or(price, |ask| ask.min(price))),
        }
    }
}

impl Exchange {
    /// Refreshes quotes.
    pub(super) fn mass_quote(&mut self, quote: &MassQuote, out: &mut Vec<Event>) {
        if matches!(self.enter(&quote.origin, out), Door::Shut) {
            return;
        }
        let origin = &quote.origin;
        let checked = self
            .check_deadline(origin)
            .and_then(|()| self.check_quote(quote));
        if let Err(problem) = checked {
            return self.refuse(origin, problem, out);
        }
        let mut scratch = std::mem::take(&mut self.quoting);
        let (mut accepted, mut kept) = (0, 0);
        let grouped = quote.entries.is_sorted_by_key(|entry| entry.instrument);
        let mut done = Entries(0);
        for index in 0..quote.entries.len() {
            if done.has(index) {
                continue;
            }
            let ladder = same_contract(quote, index, grouped);
            done.0 |= ladder.0;
            let first = self.first_side(quote, ladder);
            for side in [first, first.opposite()] {
                for index in ladder.iter() {
                    let entry = &quote.entries[index];
                    let number = u16::try_from(index).unwrap_or(u16::MAX);
                    let Some(wish) = side_of(entry, side) else {
                        continue;
                    };
                    let crossed = bid_not_below_ask(entry);
                    match self.quote_side(quote, entry, side, wish, crossed, out) {
                        Err(problem) => scratch.problems.push((number, side, problem)),
                        Ok(fate) => {
                            accepted += 1;
                            kept += u16::from(matches!(fate, Fate::Kept(_)));
                            if let Fate::Kept(order) | Fate::Moved(order) = fate {
                                scratch.orders.push((number, side, order));
                            }
                        }
                    }
                }
            }
        }
        // Told in order of entries, the bid first, in whatever order they ran.
        scratch.problems.sort_unstable_by_key(|row| (row.0, row.1));
        scratch.orders.sort_unstable_by_key(|row| (row.0, row.1));
        let to = self.address(origin.account, origin.session, origin.client_seq);
        for (entry, side, problem) in scratch.problems.drain(..) {
            out.push(Event::QuoteProblem(QuoteProblem {
                to,
                entry,
                side,
                problem,
            }));
        }
        for (entry, side, order_id) in scratch.orders.drain(..) {
            let alive = self.orders.get(order_id).filter(|order| order.is_open());
            if let Some(order) = alive.filter(|_| quote.report_order_ids) {
                out.push(Event::QuoteOrder(QuoteOrder {
                    to,
                    entry,
                    side,
                    order_id,
                    priority: order.priority,
                }));
            }
        }
        self.quoting = scratch;
        out.push(Event::Quoted(Quoted {
            to,
            quote_id: quote.quote_id,
            accepted,
            kept,
        }));
    }

    /// What refuses the whole command (QUOTE-01).
    fn check_quote(&self, quote: &MassQuote) -> Result<(), Problem> {
        let origin = &quote.origin;
        let session = self.session(origin.session);
        let session = session.ok_or(Problem::about(Reason::NotEstablished, Field::Session))?;
        if session.action == DisconnectAction::Keep {
            return Err(Problem::about(
                Reason::UnsupportedCombination,
                Field::Session,
            ));
        }
        let entries = quote.entries.len();
        if !(1..=limits::QUOTE_ENTRIES).contains(&entries) {
            return Err(too_many(limits::QUOTE_ENTRIES, entries));
        }
        let group = self.group(origin.account, quote.mmp_group);
        let group = group.ok_or(Problem::about(Reason::NotFound, Field::MmpGroup))?;
        self.check_trader(origin, false)?;
        if group.frozen {
            return Err(Problem::about(Reason::MmpFrozen, Field::MmpGroup));
        }
        Ok(())
    }

    /// The living order at a quote's place.
    fn quote_at(&self, quote: &MassQuote, place: Place) -> Option<u32> {
        let group = self.group(quote.origin.account, quote.mmp_group)?;
        let id = group.quote_at(place.instrument, place.slot, place.side);
        self.orders.get(id).filter(|order| order.is_open())?;
        id.slot()
    }

    /// Asks go first where the ladder moves up, so that it does not meet itself: where a new bid reaches an
    /// ask that the command moves, or, if no new ask reaches such a bid, where both best prices rise
    /// (QUOTE-02).
    fn first_side(&self, quote: &MassQuote, ladder: Entries) -> Side {
        let (mut old, mut new) = (Best::default(), Best::default());
        for index in ladder.iter() {
            let entry = &quote.entries[index];
            if usize::from(entry.slot) >= limits::QUOTE_SLOTS {
                continue;
            }
            let crossed = bid_not_below_ask(entry);
            for side in [Side::Buy, Side::Sell] {
                let Some(wish) = side_of(entry, side) else {
                    continue;
                };
                if wish.lots > Lots::ZERO && !crossed {
                    new.count(side, wish.price);
                }
                let place = Place {
                    instrument: entry.instrument,
                    slot: entry.slot,
                    side,
                };
                if let Some(slot) = self.quote_at(quote, place) {
                    old.count(side, self.orders.at(slot).price);
                }
            }
        }
        let reaches = |bid: Option<Ticks>, ask: Option<Ticks>| {
            bid.is_some_and(|bid| ask.is_some_and(|ask| bid >= ask))
        };
        let rises = |new: Option<Ticks>, old: Option<Ticks>| {
            new.is_some_and(|new| old.is_some_and(|old| new > old))
        };
        let asks_first = reaches(new.bid, old.ask)
            || (!reaches(old.bid, new.ask) && rises(new.bid, old.bid) && rises(new.ask, old.ask));
        if asks_first { Side::Sell } else { Side::Buy }
    }

    /// Sets one side; if it is refused, its former quote is gone (QUOTE-03).
    fn quote_side(
        &mut self,
        quote: &MassQuote,
        entry: &QuoteEntry,
        side: Side,
        wish: QuoteSide,
        crossed: bool,
        out: &mut Vec<Event>,
    ) -> Result<Fate, Problem> {
        if usize::from(entry.slot) >= limits::QUOTE_SLOTS {
            let limit = i64::try_from(limits::QUOTE_SLOTS - 1).unwrap_or(0);
            let actual = i64::from(entry.slot);
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Slot,
                limit,
                actual,
            ));
        }
        let (account, number) = (quote.origin.account, quote.mmp_group);
        let product = self.group(account, number).map(|group| group.terms.product);
        let contract = self.instrument(entry.instrument);
        let Some(contract) = contract.filter(|contract| Some(contract.product) == product) else {
            return Err(Problem::about(Reason::UnknownInstrument, Field::Instrument));
        };
        let may_not_cancel = contract.state == TradingState::NoCancel;
        let place = Place {
            instrument: entry.instrument,
            slot: entry.slot,
            side,
        };
        let present = self.quote_at(quote, place);
        let judged = match present {
            _ if crossed => Err(Problem::about(Reason::QuoteCrossed, Field::Price)),
            Some(_) if may_not_cancel => {
                Err(Problem::about(Reason::NoCancelPeriod, Field::Instrument))
            }
            _ if wish.lots == Lots::ZERO => Ok(None),
            _ => self.judge_side(quote, contract, place, wish, present),
        };
        match judged {
            Err(problem) => {
                if let Some(slot) = present.filter(|_| !may_not_cancel) {
                    self.end_quietly(slot, Reason::QuoteReplaced);
                }
                Err(problem)
            }
            Ok(None) => {
                if let Some(slot) = present {
                    self.end_quietly(slot, Reason::ClientRequest);
                }
                Ok(Fate::Pulled)
            }
            Ok(Some(admitted)) => Ok(self.set_side(quote, place, &admitted, present, out)),
        }
    }

    /// Ranks 7 to 12, 14 and 15 of one side, its present self not counted.
    fn judge_side(
        &self,
        quote: &MassQuote,
        contract: &Instrument,
        place: Place,
        wish: QuoteSide,
        present: Option<u32>,
    ) -> Result<Option<Admitted>, Problem> {
        let (account, side) = (quote.origin.account, place.side);
        self.check_state(contract, side, wish.price, true, PostOnly::No)?;
        check_price_range(contract, wish.price)?;
        let group = self.group(account, quote.mmp_group);
        let most = group.map_or(Lots::ZERO, |group| group.terms.max_quote_lots);
        check_quantity(contract, wish.lots)?;
        if wish.lots > most {
            return Err(Problem::limit(
                Reason::QuantityOutOfRange,
                Field::Quantity,
                most.0,
                wish.lots.0,
            ));
        }
        check_band(contract, wish.price)?;
        self.check_worth(contract, wish.price, wish.lots)?;
        let present = present.map(|slot| self.orders.at(slot));
        let mut admitted = Admitted {
            price: wish.price,
            lots: wish.lots,
            slid: false,
            asleep: false,
            hold_lot: crate::units::Minor::ZERO,
            expire: Nanos::ZERO,
        };
        // A trade of an earlier entry may have frozen the group.
        self.check_group(account, quote.mmp_group, contract)?;
        if let Some(order) = present.filter(|order| stays(order, wish.price, wish.lots)) {
            // Less at the same price needs no more money and no more room than it has.
            admitted.hold_lot = order.hold_lot;
            return Ok(Some(admitted));
        }
        let before = self.positions.view(account, contract.id);
        let limit = contract.terms.limits.max_open_orders;
        let full = i64::from(before.orders) >= i64::from(limit) || !self.orders.has_room();
        if present.is_none() && full {
            let actual = i64::from(before.orders);
            let reason = Reason::OpenOrderLimit;
            return Err(Problem::limit(reason, Field::None, limit.into(), actual));
        }
        if contract.terms.kind.is_combination() {
            let wanted = (side, wish.price, wish.lots);
            self.check_legs(account, contract, wanted, present)?;
            return Ok(Some(admitted));
        }
        let mut after = before;
        if let Some(order) = present {
            let hold = order.hold_lot.for_lots(order.open);
            after.count_open(side, false, -order.open, -hold);
        }
        check_position_limit(contract, &after, side, wish.lots)?;
        self.check_capacity(contract, &after, side, wish.lots)?;
        admitted.hold_lot = self.hold_lot(account, contract, side, wish.price);
        let hold = admitted.hold_lot.for_lots(wish.lots);
        after.count_open(side, false, wish.lots, hold);
        self.check_money(contract, &before, &after)?;
        Ok(Some(admitted))
    }

    /// Does an accepted side.
    fn set_side(
        &mut self,
        quote: &MassQuote,
        place: Place,
        admitted: &Admitted,
        present: Option<u32>,
        out: &mut Vec<Event>,
    ) -> Fate {
        let (origin, (price, lots)) = (&quote.origin, (admitted.price, admitted.lots));
        let key = QuoteKey {
            quote_id: quote.quote_id,
            slot: place.slot,
        };
        let Some(slot) = present else {
            let terms = quote_terms(quote, place, price, lots);
            let slot = self.enroll(origin, &terms, admitted, Some(key));
            let id = self.orders.at(slot).id;
            if let Some(group) = self.group_mut(origin.account, quote.mmp_group) {
                group.set_quote(place.instrument, place.slot, place.side, id);
            }
            self.work(slot, origin, out);
            return Fate::Moved(id);
        };
        let order = self.orders.at(slot);
        let (id, old_open) = (order.id, order.open);
        let keeps = stays(order, price, lots);
        if keeps && lots == old_open {
            return Fate::Kept(id);
        }
        if keeps {
            self.shrink(slot, old_open - lots);
        } else {
            self.unrest(slot);
            self.count_lots(slot, -old_open);
            self.reprioritise(slot);
            let order = self.orders.at_mut(slot);
            order.price = price;
            order.open = lots;
            order.hold_lot = admitted.hold_lot;
            self.count_open(slot, lots);
        }
        let (now, seq) = (self.at, self.seq);
        let order = self.orders.at_mut(slot);
        order.total = order.filled + lots;
        order.terms.lots = order.total;
        order.terms.pricing = Pricing::Limit(price);
        order.quote = Some(key);
        order.session = origin.session;
        (order.updated_at, order.updated_seq) = (now, seq);
        if keeps {
            return Fate::Kept(id);
        }
        self.work(slot, origin, out);
        Fate::Moved(id)
    }

    /// Ends a quote without an event of its own: the mass quote's answer says it.
    fn end_quietly(&mut self, slot: u32, reason: Reason) {
        let open = self.orders.at(slot).open;
        self.count_open(slot, -open);
        let (now, seq) = (self.at, self.seq);
        let order = self.orders.at_mut(slot);
        order.status = OrderStatus::Cancelled;
        order.problem = Some(Problem::new(reason));
        (order.updated_at, order.updated_seq) = (now, seq);
        self.retire(slot);
    }

    /// A halted contract has no quotes (QUOTE-06).
    pub(super) fn pull_quotes(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        let book = &self.books[id.index().unwrap_or(usize::MAX)];
        let slots: Vec<u32> = book
            .queue(Side::Buy, &self.orders)
            .chain(book.queue(Side::Sell, &self.orders))
            .filter(|slot| self.orders.at(*slot).quote.is_some())
            .collect();
        self.cancel_slots(slots, Reason::InstrumentHalted, &Origin::default(), out);
    }
}

/// Whether a side keeps its order's priority (QUOTE-04).
fn stays(order: &crate::order::Order, price: Ticks, lots: Lots) -> bool {
    order.price == price && lots <= order.open
}

/// The entries from this one on that name its contract; they are neighbours if `grouped`.
fn same_contract(quote: &MassQuote, first: usize, grouped: bool) -> Entries {
    let contract = quote.entries[first].instrument;
    let mut same = Entries(0);
    for (index, entry) in quote.entries.iter().enumerate().skip(first) {
        if entry.instrument == contract {
            same.0 |= 1 << index;
        } else if grouped {
            break;
        }
    }
    same
}

fn side_of(entry: &QuoteEntry, side: Side) -> Option<QuoteSide> {
    match side {
        Side::Buy => entry.bid,
        Side::Sell => entry.ask,
    }
}

fn bid_not_below_ask(entry: &QuoteEntry) -> bool {
    match (entry.bid, entry.ask) {
        (Some(bid), Some(ask)) => {
            bid.lots > Lots::ZERO && ask.lots > Lots::ZERO && bid.price >= ask.price
        }
        _ => false,
    }
}

/// A quote's side as an order: good till cancelled, its own group's resting orders give way.
fn quote_terms(quote: &MassQuote, place: Place, price: Ticks, lots: Lots) -> OrderTerms {
    OrderTerms {
        instrument: place.instrument,
        side: place.side,
        pricing: Pricing::Limit(price),
        lots,
        time_in_force: TimeInForce::Gtc,
        self_trade: SelfTrade::CancelResting,
        mmp_group: quote.mmp_group,
        ..OrderTerms::BLANK
    }
}
