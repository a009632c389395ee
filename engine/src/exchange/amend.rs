//! Changing and cancelling what rests.

use super::{
    Exchange, News,
    admission::{
        Door, check_band, check_display, check_position_limit, check_price_range, check_quantity,
    },
    implied::Asker,
    timers::Timer,
};
use crate::{
    command::{
        Cancel, MassCancel, Origin, PostOnly, Pricing, Replace, Selection, SetCancelTimer,
        SetOrderEntry, Target, TimeInForce, Trigger,
    },
    event::{CancelTimerSet, Event, MassCancelled, OrderEvent, OrderEventKind, OrderStatus},
    ids::{AccountId, InstrumentId},
    limits,
    order::Order,
    reason::{Field, Problem, Reason},
    units::{Lots, MILLISECOND, Minor, Nanos, Ticks},
};

/// A decided change of a resting order.
pub(super) struct Change {
    price: Ticks,
    total: Lots,
    post_only: PostOnly,
    display: Lots,
    trigger: Option<Trigger>,
    expire: Nanos,
    loses_priority: bool,
    slid: bool,
    hold_lot: Minor,
}

impl Exchange {
    /// The account's order of that name, open or ended.
    fn named(&self, account: AccountId, target: Target) -> Option<&Order> {
        let id = match target {
            Target::Order(id) => id,
            Target::Client(id) => self.client_ids.get(account, id)?.order,
        };
        self.orders.get(id).filter(|order| order.account == account)
    }

    /// The account's open order that a command means (ORDER-11).
    pub(super) fn find(
        &self,
        account: AccountId,
        target: Target,
        instrument: InstrumentId,
    ) -> Result<&Order, Problem> {
        let unknown = Problem::about(Reason::UnknownOrder, Field::Target);
        let order = self.named(account, target).ok_or(unknown)?;
        if instrument.is_set() && order.terms.instrument != instrument {
            return Err(unknown);
        }
        match order.status {
            OrderStatus::Open | OrderStatus::Untriggered => Ok(order),
            OrderStatus::Filled => Err(Problem::about(Reason::TooLateAlreadyFilled, Field::Target)),
            OrderStatus::Cancelled | OrderStatus::Expired | OrderStatus::Rejected => Err(
                Problem::about(Reason::TooLateAlreadyCancelled, Field::Target),
            ),
        }
    }

    /// Changes an order in place.
    pub(super) fn replace(&mut self, replace: &Replace, out: &mut Vec<Event>) {
        if matches!(self.enter(&replace.origin, out), Door::Shut) {
            return;
        }
        if let Err(problem) = self.check_deadline(&replace.origin) {
            let kind = OrderEventKind::ReplaceRejected;
            return self.refuse_target(&replace.origin, replace.target, kind, problem, out);
        }
        self.replace_inside(replace, out);
    }

    /// Changes an order whose command is through the door; answers whether it was accepted.
    pub(super) fn replace_inside(&mut self, replace: &Replace, out: &mut Vec<Event>) -> bool {
        let origin = &replace.origin;
        match self.decide_replace(replace) {
            Err(problem) => {
                let kind = OrderEventKind::ReplaceRejected;
                self.refuse_target(origin, replace.target, kind, problem, out);
                return false;
            }
            Ok((slot, None)) => self.end(slot, Reason::ClientRequest, origin, out),
            Ok((slot, Some(change))) => self.change(slot, &change, origin, out),
        }
        true
    }

    /// Ranks 4 to 16 for a change; `None` = the total is already filled, so the rest goes.
    pub(super) fn decide_replace(
        &self,
        replace: &Replace,
    ) -> Result<(u32, Option<Change>), Problem> {
        let origin = &replace.origin;
        let found = self.find(origin.account, replace.target, replace.instrument);
        let pure_decrease = found
            .as_ref()
            .is_ok_and(|order| only_decreases(order, replace));
        if !pure_decrease {
            let named = self.named(origin.account, replace.target);
            let meant = |order: &Order| {
                !replace.instrument.is_set() || order.terms.instrument == replace.instrument
            };
            let reducing = named.is_some_and(|order| meant(order) && order.terms.reduce_only);
            self.check_trader(origin, reducing)?;
        }
        let order = found?;
        let slot = order.id.slot().unwrap_or(u32::MAX);
        let price = replace.price.unwrap_or(order.price);
        let total = replace.lots.unwrap_or(order.total);
        let post_only = replace.post_only.unwrap_or(order.terms.post_only);
        let display = replace.display.unwrap_or(order.terms.display);
        let trigger = order.terms.trigger.map(|trigger| Trigger {
            price: replace.trigger.unwrap_or(trigger.price),
            ..trigger
        });
        let price_moves = price != order.price;
        let loses_priority = price_moves
            || total > order.total
            || trigger != order.terms.trigger
            || shows_more(order.terms.display, display);
        let contract = self.contract(order.terms.instrument);
        self.check_cancel(contract)?;
        let waits = order.status == OrderStatus::Untriggered;
        let at_auction = order.terms.time_in_force == TimeInForce::AtAuction;
        let takes = !waits && !at_auction && !matches!(order.terms.pricing, Pricing::Peg(_));
        if !pure_decrease {
            let state_post_only = if price_moves && takes {
                post_only
            } else {
                PostOnly::Slide
            };
            self.check_state(contract, order.terms.side, price, true, state_post_only)?;
        }
        if at_auction && post_only != PostOnly::No {
            return Err(Problem::about(
                Reason::UnsupportedCombination,
                Field::TimeInForce,
            ));
        }
        check_changeable(order, replace)?;
        let expire = self.replaced_expiry(order, replace.expire)?;
        check_price_range(contract, price)?;
        check_trigger_range(replace)?;
        if total <= order.filled {
            return Ok((slot, None));
        }
        let open = total - order.filled;
        let hold_price = if price_moves {
            price
        } else {
            order.hold_price()
        };
        let hold_lot = self.hold_lot(order.account, contract, order.terms.side, hold_price);
        if !pure_decrease {
            check_quantity(contract, total)?;
            if display != order.terms.display && display != Lots::ZERO {
                check_display(contract, display, total)?;
            }
            check_band(contract, hold_price)?;
            self.check_worth(contract, hold_price, total)?;
            if order.combined {
                let wish = (order.terms.side, hold_price, open);
                self.check_legs(order.account, contract, wish, Some(order))?;
            } else {
                self.check_room(order, open, hold_lot)?;
            }
        }
        if loses_priority && replace.reject_if_priority_lost {
            return Err(Problem::about(Reason::WouldLosePriority, Field::None));
        }
        let switched_on = order.terms.post_only == PostOnly::No && post_only != PostOnly::No;
        let (price, slid) = if takes && (price_moves || switched_on) {
            let asker = Asker {
                account: order.account,
                self_trade_group: order.terms.self_trade_group,
                side: order.terms.side,
                limit: price,
            };
            self.settle_post_only(contract, &asker, post_only)?
        } else {
            (price, false)
        };
        if slid && price != order.price && replace.reject_if_priority_lost {
            return Err(Problem::about(Reason::WouldLosePriority, Field::None));
        }
        let hold_lot = if slid {
            self.hold_lot(order.account, contract, order.terms.side, price)
        } else if loses_priority {
            hold_lot
        } else {
            order.hold_lot
        };
        let change = Change {
            price,
            total,
            post_only,
            display,
            trigger,
            expire,
            loses_priority,
            slid,
            hold_lot,
        };
        Ok((slot, Some(change)))
    }

    fn replaced_expiry(&self, order: &Order, expire: Option<Nanos>) -> Result<Nanos, Problem> {
        match (expire, order.terms.time_in_force) {
            (None, _) => Ok(order.expire),
            (Some(expire), TimeInForce::Gtd(_)) => self.check_expire(expire),
            (Some(_), _) => Err(Problem::about(
                Reason::UnsupportedCombination,
                Field::Expire,
            )),
        }
    }

    /// Ranks 13 to 15 for the changed order, with its present self not counted.
    fn check_room(&self, order: &Order, open: Lots, hold_lot: Minor) -> Result<(), Problem> {
        let (side, reduce) = (order.terms.side, order.terms.reduce_only);
        let contract = self.contract(order.terms.instrument);
        let before = self.positions.view(order.account, order.terms.instrument);
        let mut after = before;
        after.count_open(
            side,
            reduce,
            -order.open,
            -order.hold_lot.for_lots(order.open),
        );
        if reduce {
            let allowed = after.closable(side) - after.reducing(side);
            if open > allowed {
                let reason = Reason::ReduceOnlyWouldIncrease;
                let problem = Problem::limit(reason, Field::ReduceOnly, allowed.0.max(0), open.0);
                return Err(problem);
            }
        }
        check_position_limit(contract, &after, side, open)?;
        self.check_capacity(contract, &after, side, open)?;
        after.count_open(side, reduce, open, hold_lot.for_lots(open));
        self.check_money(contract, &before, &after)
    }

    /// Does a decided change: in place if it keeps its priority, to the back of the queue if not.
    fn change(&mut self, slot: u32, change: &Change, commander: &Origin, out: &mut Vec<Event>) {
        let order = self.orders.at(slot);
        let (id, old_expire) = (order.id, order.expire);
        let (old_price, old_open) = (order.price, order.open);
        let open = change.total - order.filled;
        let pegged = matches!(order.terms.pricing, Pricing::Peg(_));
        let asleep = order.waiting && pegged;
        let stop = order.status == OrderStatus::Untriggered;
        if change.expire != old_expire {
            self.timers.clear(old_expire, Timer::Expiry(id));
            self.timers.set(change.expire, Timer::Expiry(id));
        }
        let moves = change.loses_priority || change.price != old_price;
        if moves {
            if stop {
                self.stop_waiting_for_trigger(slot);
            } else if self.orders.at(slot).resting {
                self.unrest(slot);
            } else {
                self.stop_waiting_for_auction(slot);
            }
            self.count_lots(slot, -old_open);
            self.reprioritise(slot);
            let order = self.orders.at_mut(slot);
            order.price = change.price;
            order.open = open;
            order.hold_lot = change.hold_lot;
            self.count_open(slot, open);
        } else {
            self.shrink(slot, old_open - open);
        }
        let order = self.orders.at_mut(slot);
        order.total = change.total;
        order.expire = change.expire;
        order.terms.lots = change.total;
        if let Pricing::Limit(price) = &mut order.terms.pricing {
            *price = change.price;
        }
        order.terms.post_only = change.post_only;
        order.terms.display = change.display;
        order.terms.trigger = change.trigger;
        if let TimeInForce::Gtd(expire) = &mut order.terms.time_in_force {
            *expire = change.expire;
        }
        if !moves {
            self.show_less(slot);
        }
        if moves && stop {
            self.wait_for_trigger(slot);
        } else if moves && pegged && !asleep {
            self.rest(slot);
        }
        let mut news = News::plain(OrderEventKind::Replaced);
        news.priority_lost = moves;
        if change.slid {
            news.problem = Some(Problem::new(Reason::PostOnlySlid));
        }
        self.tell(slot, news, commander, out);
        if moves && !stop && !pegged {
            self.work(slot, commander, out);
        }
    }

    /// A smaller visible part hides the rest, in place (ORDER-17).
    fn show_less(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        if !order.resting || order.terms.display == Lots::ZERO {
            return;
        }
        let (instrument, side, price) = (order.terms.instrument, order.terms.side, order.price);
        let less = self.orders.nodes().at(slot).lots - order.terms.display;
        if less > Lots::ZERO {
            let index = instrument.index().unwrap_or(usize::MAX);
            self.books[index].shrink(self.orders.nodes_mut(), slot, less);
            self.touch_level(instrument, side, price);
        }
    }

    /// Cancels one order.
    pub(super) fn cancel(&mut self, cancel: &Cancel, out: &mut Vec<Event>) {
        if matches!(self.enter(&cancel.origin, out), Door::Shut) {
            return;
        }
        if let Err(problem) = self.check_deadline(&cancel.origin) {
            let kind = OrderEventKind::CancelRejected;
            return self.refuse_target(&cancel.origin, cancel.target, kind, problem, out);
        }
        self.cancel_inside(cancel, out);
    }

    /// Cancels an order whose command is through the door; answers whether it was accepted.
    pub(super) fn cancel_inside(&mut self, cancel: &Cancel, out: &mut Vec<Event>) -> bool {
        let origin = &cancel.origin;
        let found = self.find(origin.account, cancel.target, cancel.instrument);
        let found = found.and_then(|order| {
            self.check_cancel(self.contract(order.terms.instrument))?;
            Ok(order)
        });
        match found.map(|order| order.id.slot().unwrap_or(u32::MAX)) {
            Ok(slot) => {
                self.end(slot, Reason::ClientRequest, origin, out);
                true
            }
            Err(problem) => {
                let kind = OrderEventKind::CancelRejected;
                self.refuse_target(origin, cancel.target, kind, problem, out);
                false
            }
        }
    }

    /// Says no to a change or cancel, with what is known of the order.
    pub(super) fn refuse_target(
        &mut self,
        origin: &Origin,
        target: Target,
        kind: OrderEventKind,
        problem: Problem,
        out: &mut Vec<Event>,
    ) {
        let to = self.address(origin.account, origin.session, origin.client_seq);
        let known = self.named(origin.account, target);
        let news = News {
            problem: Some(problem),
            ..News::plain(kind)
        };
        let Some(order) = known else {
            let mut event = OrderEvent {
                to,
                kind,
                status: OrderStatus::Rejected,
                problem: Some(problem),
                ..OrderEvent::BLANK
            };
            match target {
                Target::Order(id) => event.order_id = id,
                Target::Client(id) => event.client_order_id = id,
            }
            return out.push(Event::Order(event));
        };
        let slot = order.id.slot();
        let shown = slot.map_or(Lots::ZERO, |slot| self.iceberg(slot));
        super::describe(super::event_of_order(out), order, shown, to, &news);
    }

    /// Cancels every order that matches.
    pub(super) fn mass_cancel(&mut self, mass: &MassCancel, out: &mut Vec<Event>) {
        if matches!(self.enter(&mass.origin, out), Door::Shut) {
            return;
        }
        let origin = &mass.origin;
        let checked = self
            .check_deadline(origin)
            .and_then(|()| self.check_selection(origin, &mass.selection));
        if let Err(problem) = checked {
            return self.refuse(origin, problem, out);
        }
        let slots = self.selected(origin.account, origin.session, &mass.selection);
        let (slots, kept): (Vec<u32>, Vec<u32>) = slots.into_iter().partition(|slot| {
            let contract = self.contract(self.orders.at(*slot).terms.instrument);
            self.check_cancel(contract).is_ok()
        });
        let is_quote = |slot: &&u32| self.orders.at(**slot).quote.is_some();
        let quotes = u32::try_from(slots.iter().filter(is_quote).count()).unwrap_or(u32::MAX);
        let orders = self.cancel_slots(slots, Reason::MassCancel, origin, out) - quotes;
        if mass.block_new_orders
            && let Some(account) = self.account_mut(origin.account)
        {
            account.blocked = true;
        }
        let to = self.address(origin.account, origin.session, origin.client_seq);
        let blocked = mass.block_new_orders;
        out.push(Event::MassCancelled(MassCancelled {
            to,
            orders,
            quotes,
            kept: u32::try_from(kept.len()).unwrap_or(u32::MAX),
            blocked,
        }));
    }

    fn check_selection(&self, origin: &Origin, selection: &Selection) -> Result<(), Problem> {
        if self.account(origin.account).is_none() {
            return Err(Problem::about(Reason::NotFound, Field::Account));
        }
        if selection.instrument.is_set() && self.instrument(selection.instrument).is_none() {
            return Err(Problem::about(Reason::UnknownInstrument, Field::Instrument));
        }
        let vague = !selection.instrument.is_set() || selection.side.is_none();
        if selection.price_at_or_better.is_some() && vague {
            return Err(Problem::about(Reason::InvalidField, Field::Price));
        }
        Ok(())
    }

    /// Slots of the account's orders that match, oldest entry first.
    pub(super) fn selected(
        &self,
        account: AccountId,
        session: crate::ids::SessionId,
        selection: &Selection,
    ) -> Vec<u32> {
        self.slots_where(account, |order| {
            let contract = self.contract(order.terms.instrument);
            (!selection.instrument.is_set() || order.terms.instrument == selection.instrument)
                && (!selection.product.is_set() || contract.product == selection.product)
                && selection.side.is_none_or(|side| side == order.terms.side)
                && (selection.cancel_group == 0
                    || selection.cancel_group == order.terms.cancel_group)
                && (selection.mmp_group == 0 || selection.mmp_group == order.terms.mmp_group)
                && (!selection.this_session_only || !session.is_set() || order.session == session)
                && selection
                    .price_at_or_better
                    .is_none_or(|price| order.terms.side.opposite().accepts(price, order.price))
        })
    }

    /// Cancels listed orders, in NO_CANCEL after it; answers with the number of those cancelled now.
    pub(super) fn cancel_slots(
        &mut self,
        slots: Vec<u32>,
        reason: Reason,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) -> u32 {
        let mut cancelled = 0;
        for slot in slots {
            if !self.defers(slot, reason) {
                self.end(slot, reason, commander, out);
                cancelled += 1;
            }
        }
        cancelled
    }

    /// Slots of an account's open orders that match, in order of entry.
    pub(super) fn slots_where(
        &self,
        account: AccountId,
        matches: impl Fn(&Order) -> bool,
    ) -> Vec<u32> {
        self.orders_of(account)
            .filter(|order| matches(order))
            .filter_map(|order| order.id.slot())
            .collect()
    }

    /// Arms, re-arms or disarms an account's dead man's switch.
    pub(super) fn set_cancel_timer(&mut self, set: &SetCancelTimer, out: &mut Vec<Event>) {
        if matches!(self.enter(&set.origin, out), Door::Shut) {
            return;
        }
        let origin = &set.origin;
        if let Err(problem) = self.check_deadline(origin) {
            return self.refuse(origin, problem, out);
        }
        let in_range = set.after_ms == 0 || limits::CANCEL_TIMER_MS.contains(&set.after_ms);
        if !in_range {
            let (limit, actual) = (
                i64::from(*limits::CANCEL_TIMER_MS.end()),
                set.after_ms.into(),
            );
            let problem = Problem::limit(Reason::InvalidField, Field::Timer, limit, actual);
            return self.refuse(origin, problem, out);
        }
        if let Err(problem) = self.check_selection(origin, &set.selection) {
            return self.refuse(origin, problem, out);
        }
        let account = origin.account;
        self.disarm(account);
        let mut fires_at = Nanos::ZERO;
        if set.after_ms > 0 {
            fires_at = self.at.after(i64::from(set.after_ms) * MILLISECOND);
            self.timers.set(fires_at, Timer::CancelTimer(account));
            if let Some(row) = self.account_mut(account) {
                row.cancel_timer = Some((fires_at, origin.session, set.selection));
            }
        }
        out.push(Event::CancelTimer(CancelTimerSet { account, fires_at }));
    }

    fn disarm(&mut self, account: AccountId) {
        let armed = self
            .account_mut(account)
            .and_then(|row| row.cancel_timer.take());
        if let Some((at, _, _)) = armed {
            self.timers.clear(at, Timer::CancelTimer(account));
        }
    }

    /// A session's own switch; releasing it releases the account's too.
    pub(super) fn set_order_entry(&mut self, entry: &SetOrderEntry, out: &mut Vec<Event>) {
        if matches!(self.enter(&entry.origin, out), Door::Shut) {
            return;
        }
        let origin = &entry.origin;
        if let Err(problem) = self.check_deadline(origin) {
            return self.refuse(origin, problem, out);
        }
        let Some(session) = self.session_mut(origin.session) else {
            let problem = Problem::about(Reason::NotEstablished, Field::Session);
            return self.refuse(origin, problem, out);
        };
        session.blocked = entry.blocked;
        let account = self.account_mut(origin.account).filter(|_| !entry.blocked);
        let released = account.is_some_and(|row| std::mem::replace(&mut row.blocked, false));
        let mut tell = |level| {
            let to = self.address(origin.account, origin.session, origin.client_seq);
            let blocked = entry.blocked;
            out.push(Event::OrderEntry(crate::event::OrderEntry {
                to,
                blocked,
                level,
            }));
        };
        tell(Reason::KillSwitchSession);
        if released {
            tell(Reason::KillSwitchAccount);
        }
    }
}

/// Rank 8: what an order of this kind does not have, or may not change.
fn check_changeable(order: &Order, replace: &Replace) -> Result<(), Problem> {
    let unsupported = |field| Err(Problem::about(Reason::UnsupportedCombination, field));
    let waits = order.status == OrderStatus::Untriggered;
    let pegged = matches!(order.terms.pricing, Pricing::Peg(_));
    let limit = matches!(order.terms.pricing, Pricing::Limit(_));
    if order.quote.is_some() {
        return unsupported(Field::Target);
    }
    if !limit && replace.price.is_some() {
        return unsupported(Field::Price);
    }
    if (waits || pegged) && replace.post_only.is_some_and(|wish| wish != PostOnly::No) {
        return unsupported(Field::PostOnly);
    }
    let rests = matches!(
        order.terms.time_in_force,
        TimeInForce::Gtc | TimeInForce::Gtd(_) | TimeInForce::Day
    );
    let may_hide = !waits && !pegged && rests;
    if !may_hide && replace.display.is_some_and(|wish| wish != Lots::ZERO) {
        return unsupported(Field::Display);
    }
    if !waits && replace.trigger.is_some() {
        return unsupported(Field::Trigger);
    }
    Ok(())
}

/// Rank 8: a trigger price that no price can meet; like every price after the expiry.
fn check_trigger_range(replace: &Replace) -> Result<(), Problem> {
    match replace.trigger {
        Some(price) if !(1..=limits::PRICE_TICKS).contains(&price.0) => {
            let (limit, actual) = (limits::PRICE_TICKS, price.0);
            let reason = Reason::InvalidField;
            Err(Problem::limit(reason, Field::Trigger, limit, actual))
        }
        _ => Ok(()),
    }
}

/// Whether a change of the visible part shows more than before; 0 shows everything.
fn shows_more(old: Lots, new: Lots) -> bool {
    old != Lots::ZERO && (new == Lots::ZERO || new > old)
}

/// Whether a change only takes lots off: whatever else it names is as it is already.
fn only_decreases(order: &Order, replace: &Replace) -> bool {
    replace.price.is_none_or(|price| price == order.price)
        && replace.lots.is_some_and(|lots| lots < order.total)
        && replace
            .post_only
            .is_none_or(|post_only| post_only == order.terms.post_only)
        && replace.expire.is_none_or(|expire| expire == order.expire)
        && replace
            .display
            .is_none_or(|display| display == order.terms.display)
        && replace.trigger.is_none_or(|price| {
            let trigger = order.terms.trigger;
            trigger.is_some_and(|trigger| trigger.price == price)
        })
}
