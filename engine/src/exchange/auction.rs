//! Call auctions: orders are collected, then all trade at one price (AUCTION-02 to AUCTION-07).
//!
//! A contract enters a call when its state becomes one that collects (`states.rs`), and leaves it in
//! [`Exchange::change_state`], through which every change of state goes. On the way to OPEN or POST_ONLY
//! a crossed book is uncrossed in steps of bounded size; between two steps the contract is NO_CANCEL.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};

use super::{Exchange, News, states, timers::Timer};
use crate::{
    command::{Origin, Side, TimeInForce},
    event::{AuctionChange, Event, Fill, Liquidity, OrderEventKind, Trade},
    ids::{InstrumentId, OrderId, TradeId},
    instrument::TradingState,
    ledger::About,
    limits,
    order::Order,
    reason::Reason,
    units::{Lots, MILLISECOND, Nanos, Ppm, Ticks},
};

mod price;
pub(super) mod saved;

pub use price::Found;

/// What a contract keeps for its auctions.
#[derive(Clone, Debug, Default)]
pub(super) struct Auction {
    /// When the present call began; `None` outside of one.
    began: Option<Nanos>,
    /// A call ended without its auction: the book may be crossed until there is one.
    broken_off: bool,
    /// When the call becomes NO_CANCEL; 0 = no such timer.
    freezes: Nanos,
    /// The auction, while it takes more than one step.
    uncross: Option<Uncross>,
    /// At-auction orders that wait for a call, by priority number: open, but in no book.
    waiting: BTreeMap<u64, u32>,
    /// Cancels that fell into NO_CANCEL, in their order.
    deferred: Vec<(OrderId, Reason)>,
    /// The orders in `deferred`.
    doomed: BTreeSet<OrderId>,
    /// Newest indicative price, volume and imbalance that was told in this call.
    told: Option<Found>,
    /// When the book was last looked at for it.
    looked_at: Nanos,
    /// When it will be looked at again; 0 = no such timer.
    looks: Nanos,
}

/// An auction under way.
#[derive(Clone, Copy, Debug, Encode, Decode)]
struct Uncross {
    found: Found,
    /// Traded so far at this price.
    lots: Lots,
    /// Newest price that traded.
    traded_at: Option<Ticks>,
    /// When the next step runs; 0 = it runs now.
    next: Nanos,
    then: Arrival,
}

/// Where a contract goes after its auction.
#[derive(Clone, Copy, Debug, Encode, Decode)]
struct Arrival {
    state: TradingState,
    reason: Reason,
    then: Reopening,
}

/// Whether it moves on from there by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
enum Reopening {
    /// No.
    None,
    /// Open after the time that a volatility auction's post-only trading takes.
    Soon,
    /// Open at this time.
    At(Nanos),
}

impl Exchange {
    fn auction(&self, id: InstrumentId) -> &Auction {
        &self.auctions[id.index().unwrap_or(usize::MAX)]
    }

    fn auction_mut(&mut self, id: InstrumentId) -> &mut Auction {
        &mut self.auctions[id.index().unwrap_or(usize::MAX)]
    }

    /// What the contract's auction would do, as it was told last; none outside of a call, and while
    /// nothing has crossed.
    #[must_use]
    pub fn indicative(&self, id: InstrumentId) -> Option<AuctionChange> {
        let auction = self.auctions.get(id.index()?)?;
        auction.began?;
        let told = auction.told?;
        Some(AuctionChange {
            instrument: id,
            public_seq: self.contract(id).public_seq,
            price: told.price,
            lots: told.lots,
            imbalance: told.imbalance,
        })
    }

    /// Whether an order stands aside until a call begins (ORDER-20).
    pub(super) fn waits_for_auction(&self, order: &Order) -> bool {
        order.terms.time_in_force == TimeInForce::AtAuction
            && !states::is_call(self.contract(order.terms.instrument).state)
    }

    /// Lets an order stand aside.
    pub(super) fn wait_for_auction(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        let (id, priority) = (order.terms.instrument, order.priority);
        self.orders.at_mut(slot).waiting = true;
        self.auction_mut(id).waiting.insert(priority, slot);
    }

    /// A waiting order ends or moves.
    pub(super) fn stop_waiting_for_auction(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        if order.terms.time_in_force == TimeInForce::AtAuction {
            let (id, priority) = (order.terms.instrument, order.priority);
            self.orders.at_mut(slot).waiting = false;
            self.auction_mut(id).waiting.remove(&priority);
        }
    }

    /// Slots of the orders that wait for a contract's next call, in order of priority number.
    pub(super) fn waiting_for_auction(&self, id: InstrumentId) -> impl Iterator<Item = u32> + '_ {
        self.auction(id).waiting.values().copied()
    }

    /// An auction of the contract takes more than one step and is not over.
    pub(super) fn is_uncrossing(&self, id: InstrumentId) -> bool {
        self.auction(id).uncross.is_some()
    }

    /// Whether the contract's book may be crossed: in a call, or after one that was broken off.
    pub(super) fn may_be_crossed(&self, id: InstrumentId) -> bool {
        let auction = self.auction(id);
        auction.began.is_some() || auction.broken_off
    }

    /// Puts a cancel off until after NO_CANCEL (AUCTION-06); `false` = it may run now.
    pub(super) fn defers(&mut self, slot: u32, reason: Reason) -> bool {
        let order = self.orders.at(slot);
        let (id, contract) = (order.id, order.terms.instrument);
        let now = states::allows(self.contract(contract).state, states::Action::Cancel);
        if now == states::Answer::Yes {
            return false;
        }
        let auction = self.auction_mut(contract);
        if auction.doomed.insert(id) {
            auction.deferred.push((id, reason));
        }
        true
    }

    fn run_deferred(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        let auction = self.auction_mut(id);
        auction.doomed.clear();
        for (order, reason) in std::mem::take(&mut auction.deferred) {
            let lives = self.orders.get(order).is_some_and(Order::lives);
            if let Some(slot) = order.slot().filter(|_| lives) {
                self.end(slot, reason, &Origin::default(), out);
            }
        }
    }

    /// The one way from state to state: begins and ends calls, and uncrosses before a contract matches.
    pub(super) fn change_state(
        &mut self,
        id: InstrumentId,
        state: TradingState,
        reason: Reason,
        out: &mut Vec<Event>,
    ) {
        let arrival = Arrival {
            state,
            reason,
            then: Reopening::None,
        };
        self.arrive(id, arrival, out);
    }

    /// As [`Self::change_state`], with all open orders cancelled instead of an auction (STATE-01).
    pub(super) fn clear_into(
        &mut self,
        id: InstrumentId,
        state: TradingState,
        reason: Reason,
        out: &mut Vec<Event>,
    ) -> u32 {
        let (state, reason) = if self.is_index_halted(id, state) {
            (TradingState::Halted, Reason::IndexUnavailable)
        } else {
            (state, reason)
        };
        self.settle_into(id, state, reason, out);
        self.cancel_book(id, Reason::Operator, out)
    }

    /// A halted contract returns towards the state it was in: to resting orders before matching.
    pub(super) fn come_back(&mut self, id: InstrumentId, was: TradingState, out: &mut Vec<Event>) {
        let (state, then) = match was {
            TradingState::Open | TradingState::VolatilityAuction => {
                (TradingState::PostOnly, Reopening::Soon)
            }
            TradingState::NoCancel => (TradingState::PreOpen, Reopening::None),
            other => (other, Reopening::None),
        };
        let reason = Reason::IndexUnavailable;
        self.arrive(
            id,
            Arrival {
                state,
                reason,
                then,
            },
            out,
        );
    }

    fn arrive(&mut self, id: InstrumentId, mut then: Arrival, out: &mut Vec<Event>) {
        if self.is_index_halted(id, then.state) {
            (then.state, then.reason) = (TradingState::Halted, Reason::IndexUnavailable);
        }
        if !states::is_uncrossed(then.state) {
            return self.settle_into(id, then.state, then.reason, out);
        }
        if let Some(uncross) = &mut self.auction_mut(id).uncross {
            // The auction goes on, to another end.
            uncross.then = then;
            return;
        }
        if self.must_uncross(id) {
            return self.begin_uncross(id, then, out);
        }
        self.open_into(id, then, out);
    }

    /// Changes the state without an auction: a call begins, goes on, or is broken off.
    fn settle_into(
        &mut self,
        id: InstrumentId,
        state: TradingState,
        reason: Reason,
        out: &mut Vec<Event>,
    ) {
        let uncross = self.auction_mut(id).uncross.take();
        if let Some(uncross) = uncross {
            self.timers.clear(uncross.next, Timer::Uncross(id));
        }
        if state != TradingState::NoCancel {
            self.run_deferred(id, out);
        }
        let calls = states::is_call(state);
        let began = self.auction(id).began.is_some();
        if calls && !began {
            self.begin_call(id, out);
        } else if !calls && began {
            self.end_call(id);
            self.auction_mut(id).broken_off = true;
        }
        // Whoever opens a book without an auction empties it.
        if states::is_uncrossed(state) {
            self.auction_mut(id).broken_off = false;
        }
        // Before the state is told: it says when the call ends.
        self.set_state(id, state, reason, out);
        self.plan_no_cancel(id);
    }

    fn open_into(&mut self, id: InstrumentId, then: Arrival, out: &mut Vec<Event>) {
        self.run_deferred(id, out);
        self.end_call(id);
        self.auction_mut(id).broken_off = false;
        match then.then {
            Reopening::None => {}
            Reopening::Soon => {
                let at = self.at.after(limits::REOPEN_MS * MILLISECOND);
                self.reopen_at(id, at);
            }
            Reopening::At(at) => self.reopen_at(id, at.max(self.at.after(1))),
        }
        self.set_state(id, then.state, then.reason, out);
    }

    /// A volatility call is over, or post-only trading after it or after a restart (SESSION-05).
    pub(super) fn reopen(&mut self, id: InstrumentId, due: Nanos, out: &mut Vec<Event>) {
        if self.contract(id).reopens != due {
            return;
        }
        let contract = self.contract_mut(id);
        contract.reopens = Nanos::ZERO;
        let calls = states::is_call(contract.state);
        let reason = contract.state_reason;
        if !calls {
            return self.change_state(id, TradingState::Open, reason, out);
        }
        let post_only = Arrival {
            state: TradingState::PostOnly,
            reason: Reason::Volatility,
            then: Reopening::Soon,
        };
        self.arrive(id, post_only, out);
    }

    /// The process started again: what would soon match waits until sessions may be back (SESSION-05).
    pub(super) fn restart_auction(&mut self, id: InstrumentId, until: Nanos, out: &mut Vec<Event>) {
        let reopens = self.contract(id).reopens;
        let soon = self.at.after(limits::REOPEN_MS * MILLISECOND);
        if let Some(uncross) = &mut self.auction_mut(id).uncross {
            let then = &mut uncross.then;
            if then.state == TradingState::Open || then.then != Reopening::None {
                // Never shorter than it would have been.
                let until = match then.then {
                    Reopening::None => until,
                    Reopening::Soon => until.max(soon),
                    Reopening::At(at) => until.max(at),
                };
                *then = Arrival {
                    state: TradingState::PostOnly,
                    reason: Reason::Restart,
                    then: Reopening::At(until),
                };
            }
        } else if self.auction(id).began.is_some() && reopens != Nanos::ZERO && reopens < until {
            self.reopen_at(id, until);
            self.plan_no_cancel(id);
            self.tell_status(id, out);
        }
    }

    fn begin_call(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        let now = self.at;
        let auction = self.auction_mut(id);
        auction.began = Some(now);
        (auction.told, auction.looked_at) = (None, Nanos::ZERO);
        let waiting = std::mem::take(&mut auction.waiting);
        self.calls.insert(id);
        self.called.push(id);
        self.windows[id.index().unwrap_or(usize::MAX)].restart(now, None);
        // Nobody's doing, nor that of a batch's item that called the auction.
        let step = self.step.take();
        for slot in waiting.into_values() {
            // It was not in the book: it comes behind those who were.
            self.reprioritise(slot);
            self.orders.at_mut(slot).waiting = false;
            self.rest(slot);
            let mut news = News::plain(OrderEventKind::Restated);
            news.priority_lost = true;
            self.tell(slot, news, &Origin::default(), out);
        }
        self.step = step;
    }

    fn end_call(&mut self, id: InstrumentId) {
        self.calls.remove(&id);
        let auction = self.auction_mut(id);
        auction.began = None;
        let freezes = std::mem::replace(&mut auction.freezes, Nanos::ZERO);
        let looks = std::mem::replace(&mut auction.looks, Nanos::ZERO);
        self.timers.clear(freezes, Timer::NoCancel(id));
        self.timers.clear(looks, Timer::Indicative(id));
    }

    /// Sets, moves or drops the beginning of NO_CANCEL (AUCTION-02).
    pub(super) fn plan_no_cancel(&mut self, id: InstrumentId) {
        let old = std::mem::replace(&mut self.auction_mut(id).freezes, Nanos::ZERO);
        self.timers.clear(old, Timer::NoCancel(id));
        let contract = self.contract(id);
        let collects = matches!(
            contract.state,
            TradingState::PreOpen | TradingState::VolatilityAuction
        );
        let Some(began) = self.auction(id).began.filter(|_| collects) else {
            return;
        };
        let ends = contract
            .scheduled
            .filter(|change| states::is_uncrossed(change.state) && !change.cancel_open_orders);
        let reopens = Some(contract.reopens).filter(|at| *at != Nanos::ZERO);
        let Some(end) = ends
            .map(|change| change.at)
            .into_iter()
            .chain(reopens)
            .min()
        else {
            return;
        };
        let freezes = end.after(-limits::NO_CANCEL_MS * MILLISECOND);
        if began < freezes {
            let at = freezes.max(self.at.after(1));
            self.auction_mut(id).freezes = at;
            self.timers.set(at, Timer::NoCancel(id));
        }
    }

    /// The last part of the call begins.
    pub(super) fn begin_no_cancel(&mut self, id: InstrumentId, due: Nanos, out: &mut Vec<Event>) {
        let auction = self.auction_mut(id);
        if auction.freezes == due && auction.uncross.is_none() {
            auction.freezes = Nanos::ZERO;
            let reason = self.contract(id).state_reason;
            self.set_state(id, TradingState::NoCancel, reason, out);
        }
    }

    /// A book that is crossed, or holds orders that are only for an auction.
    fn must_uncross(&self, id: InstrumentId) -> bool {
        if !self.may_be_crossed(id) {
            return false;
        }
        let Some(book) = self.book(id) else {
            return false;
        };
        let crossed = book
            .best(Side::Buy)
            .zip(book.best(Side::Sell))
            .is_some_and(|(bid, ask)| bid >= ask);
        crossed || !self.at_auction(id).is_empty()
    }

    /// At-auction orders in the book, buys best first, then sells.
    fn at_auction(&self, id: InstrumentId) -> Vec<u32> {
        let Some(book) = self.book(id) else {
            return Vec::new();
        };
        book.queue(Side::Buy, &self.orders)
            .chain(book.queue(Side::Sell, &self.orders))
            .filter(|slot| self.orders.at(*slot).terms.time_in_force == TimeInForce::AtAuction)
            .collect()
    }

    /// The price of the auction, and the first step.
    fn begin_uncross(&mut self, id: InstrumentId, then: Arrival, out: &mut Vec<Event>) {
        let found = self.auction_price(id);
        self.auction_mut(id).uncross = Some(Uncross {
            found,
            lots: Lots::ZERO,
            traded_at: None,
            next: Nanos::ZERO,
            then,
        });
        self.step_uncross(id, Nanos::ZERO, out);
    }

    /// One bounded step of an auction; the last one ends the call (AUCTION-05).
    pub(super) fn step_uncross(&mut self, id: InstrumentId, due: Nanos, out: &mut Vec<Event>) {
        let under_way = self.auction(id).uncross;
        let Some(mut uncross) = under_way.filter(|uncross| uncross.next == due) else {
            return;
        };
        loop {
            let price = uncross.found.price;
            while let Some((price, buy, sell)) = price.and_then(|at| self.next_pair(id, at)) {
                if self.uncross_left == 0 {
                    return self.pause_uncross(id, uncross, out);
                }
                self.uncross_left -= 1;
                uncross.lots += self.auction_trade(buy, sell, price, out);
            }
            if uncross.lots > Lots::ZERO {
                uncross.traded_at = price;
            }
            let last = Found {
                lots: uncross.lots,
                ..uncross.found
            };
            // Only cuts (self-trade, reduce-only) leave a book crossed; the rest has a price of its own.
            let again = self.auction_price(id);
            if last.lots > Lots::ZERO || again.price.is_none() {
                self.tell_auction(id, last, out);
            }
            if again.price.is_none() {
                break;
            }
            (uncross.found, uncross.lots) = (again, Lots::ZERO);
        }
        self.auction_mut(id).uncross = None;
        for slot in self.at_auction(id) {
            self.end(slot, Reason::AuctionRemainder, &Origin::default(), out);
        }
        let now = self.at;
        self.windows[id.index().unwrap_or(usize::MAX)].restart(now, uncross.traded_at);
        self.open_into(id, uncross.then, out);
    }

    /// The rest comes after this Tick, before anything else.
    fn pause_uncross(&mut self, id: InstrumentId, mut uncross: Uncross, out: &mut Vec<Event>) {
        uncross.next = self.at.after(1);
        self.timers.set(uncross.next, Timer::Uncross(id));
        self.auction_mut(id).uncross = Some(uncross);
        if self.contract(id).state != TradingState::NoCancel {
            self.set_state(id, TradingState::NoCancel, uncross.then.reason, out);
        }
    }

    /// First buy and first sell, if both accept the price.
    fn next_pair(&self, id: InstrumentId, price: Ticks) -> Option<(Ticks, u32, u32)> {
        let book = self.book(id)?;
        let (buy, sell) = (book.first(Side::Buy)?, book.first(Side::Sell)?);
        let accept = self.orders.at(buy).price >= price && self.orders.at(sell).price <= price;
        accept.then_some((price, buy, sell))
    }

    /// Two orders meet in an auction (AUCTION-04); answers with the lots traded. The one place where
    /// auctions trade: whatever follows every trade is called from here and from `matching.rs`.
    fn auction_trade(&mut self, buy: u32, sell: u32, price: Ticks, out: &mut Vec<Event>) -> Lots {
        let (buyer, seller) = (self.orders.at(buy), self.orders.at(sell));
        let lots = buyer.open.min(seller.open);
        let (instrument, nobody) = (buyer.terms.instrument, Origin::default());
        if self.same_group(buyer.account, buyer.terms.self_trade_group, seller) {
            let newer = if buyer.priority > seller.priority {
                buy
            } else {
                sell
            };
            self.cut(newer, lots, Reason::SelfTradePrevented, &nobody, out);
            return Lots::ZERO;
        }
        let sides = [
            (buy, buyer.account, buyer.price, Side::Buy),
            (sell, seller.account, seller.price, Side::Sell),
        ];
        let contract = self.contract(instrument);
        let value = contract.tick_value.money(price.times(lots));
        let (asset, kind, rate) = (
            contract.terms.price_asset,
            contract.terms.kind,
            contract.terms.maker_fee,
        );
        self.trades += 1;
        let trade = TradeId(self.trades);
        let about = About {
            trade,
            instrument,
            transfer: 0,
        };
        // Nobody takes: both pay the maker's rate, and nobody is paid.
        let fees = sides.map(|(_, account, _, _)| {
            let rate = self.account(account).map_or(Ppm(0), |a| a.maker_fee(rate));
            let rate = rate.max(Ppm(0));
            self.ledger
                .charge_fee(out, (account, asset), rate, value, about)
        });
        let after = sides.map(|(slot, _, limit, side)| {
            let after = self.book_fill(slot, price, lots, kind, value);
            let order = self.orders.at(slot);
            let visible = order.visible(order.open);
            let index = instrument.index().unwrap_or(usize::MAX);
            self.books[index].show(self.orders.nodes_mut(), slot, visible);
            self.touch_level(instrument, side, limit);
            after
        });
        for (at, (slot, ..)) in sides.iter().enumerate() {
            let fill = Fill {
                trade,
                price,
                lots,
                liquidity: Liquidity::Auction,
                fee: fees[at],
                position_after: after[at],
            };
            let news = News {
                fill: Some(fill),
                ..News::plain(OrderEventKind::Fill)
            };
            self.tell(*slot, news, &nobody, out);
        }
        let row = Trade {
            instrument,
            public_seq: 0,
            trade,
            price,
            lots,
            aggressor: None,
            off_book: None,
        };
        self.print(row, out);
        self.retire_if_filled(buy);
        self.retire_if_filled(sell);
        for (_, account, _, _) in sides {
            self.rehold(account, instrument);
            self.keep_reduce_only(account, instrument, &nobody, out);
        }
        self.protect([buy, sell], lots, value, &nobody, out);
        lots
    }

    /// Tells what auctions would do now, of the calls that this command changed (AUCTION-07).
    pub(super) fn tell_auctions(&mut self, out: &mut Vec<Event>) {
        let mut changed = std::mem::take(&mut self.called);
        if !self.calls.is_empty() {
            let levels = self.touched_levels.iter().map(|(id, _, _)| *id);
            changed.extend(levels.chain(self.touched_statistics.iter().copied()));
            changed.retain(|id| self.calls.contains(id));
            changed.sort_unstable();
            changed.dedup();
            for id in &changed {
                self.look_at_call(*id, out);
            }
        }
        changed.clear();
        self.called = changed;
    }

    fn look_at_call(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        let now = self.at;
        let auction = self.auction_mut(id);
        if auction.uncross.is_some() || auction.looks != Nanos::ZERO {
            return;
        }
        let next = auction.looked_at.after(limits::INDICATIVE_MS * MILLISECOND);
        if auction.looked_at != Nanos::ZERO && now < next {
            auction.looks = next;
            self.timers.set(next, Timer::Indicative(id));
            return;
        }
        auction.looked_at = now;
        let found = self.auction_price(id);
        if self.auction(id).told != Some(found) {
            self.tell_auction(id, found, out);
        }
    }

    /// The interval after an indicative price is over.
    pub(super) fn look_again(&mut self, id: InstrumentId, due: Nanos) {
        let auction = self.auction_mut(id);
        if auction.looks == due {
            auction.looks = Nanos::ZERO;
            self.called.push(id);
        }
    }

    fn tell_auction(&mut self, id: InstrumentId, found: Found, out: &mut Vec<Event>) {
        self.auction_mut(id).told = Some(found);
        let contract = self.contract_mut(id);
        contract.public_seq += 1;
        out.push(Event::Auction(AuctionChange {
            instrument: id,
            public_seq: contract.public_seq,
            price: found.price,
            lots: found.lots,
            imbalance: found.imbalance,
        }));
    }

    /// What an auction of the contract would do now; a book that is not crossed has no price.
    #[must_use]
    pub fn auction_price(&self, id: InstrumentId) -> Found {
        // By orders, not by levels: what an iceberg hides counts too.
        let crossed = |side: Side| {
            let mut levels: Vec<(Ticks, i64)> = Vec::new();
            let Some(book) = self.book(id) else {
                return levels;
            };
            let limit = book.best(side.opposite());
            let orders = book
                .queue(side, &self.orders)
                .map(|slot| self.orders.at(slot))
                .take_while(|order| limit.is_some_and(|at| side.accepts(order.price, at)));
            for order in orders {
                match levels.last_mut().filter(|(price, _)| *price == order.price) {
                    Some((_, lots)) => *lots += order.open.0,
                    None => levels.push((order.price, order.open.0)),
                }
            }
            levels
        };
        let mark = self.instrument(id).map_or(Ticks::ZERO, |row| row.mark);
        price::find(&crossed(Side::Buy), &crossed(Side::Sell), mark)
    }

    /// Waiting at-auction orders of all contracts, for the audit.
    pub(super) fn audit_waiting(&self) -> Result<usize, String> {
        let mut count = 0;
        for contract in &self.instruments {
            let auction = self.auction(contract.id);
            for (priority, slot) in &auction.waiting {
                let order = self.orders.at(*slot);
                let right = order.is_open()
                    && order.waiting
                    && !order.resting
                    && order.priority == *priority
                    && order.terms.instrument == contract.id
                    && order.terms.time_in_force == TimeInForce::AtAuction;
                if !right || auction.began.is_some() {
                    return Err(format!("{order:?} should not wait for an auction"));
                }
                count += 1;
            }
            let calls = states::is_call(contract.state);
            if calls != auction.began.is_some() || calls != self.calls.contains(&contract.id) {
                return Err(format!("{}: is it in a call?", contract.terms.symbol));
            }
            if !self.may_be_crossed(contract.id) && !self.at_auction(contract.id).is_empty() {
                return Err(format!("{}: at-auction orders rest", contract.terms.symbol));
            }
            if !auction.deferred.is_empty() && contract.state != TradingState::NoCancel {
                return Err(format!("{}: cancels were forgotten", contract.terms.symbol));
            }
        }
        Ok(count)
    }
}
