//! The order commands.

use engine::{
    command::{
        Cancel, MassCancel, Place, Replace, Selection, SetCancelTimer, SetOrderEntry, Side, Target,
    },
    event::{OrderEventKind, OrderStatus},
    ids::{AccountId, InstrumentId, SessionId},
    instrument::TradingState,
    limits,
    reason::Reason,
    units::MILLISECOND,
};

use super::{First, Model, Names, Order, admission::Change};
use crate::{readings, rows::Key};

/// Rank 3.
pub(super) enum Answer {
    /// No effect, and no result to remember.
    Refused(Reason),
    /// The first result again: refused with this, or accepted.
    Repeated(Option<Reason>),
}

impl Model {
    /// Enters an order.
    pub(super) fn place(&mut self, place: &Place) {
        if !self.enter(&place.origin) {
            return;
        }
        if !self.in_time(&place.origin) {
            return self.tell_rejected(place, Reason::DeadlinePassed, false);
        }
        self.enter_order(place);
    }

    /// Rank 3: the first result of a client order id that was used before, or why it may not be used.
    pub(super) fn used_before(&self, place: &Place) -> Option<Answer> {
        let key = (place.origin.account, place.order.client_order_id);
        if place.order.client_order_id == 0 {
            return Some(Answer::Refused(Reason::InvalidField));
        }
        let first = self.results.get(&key)?;
        if first.terms != place.order {
            return Some(Answer::Refused(Reason::DuplicateClientOrderId));
        }
        Some(Answer::Repeated(first.refused))
    }

    /// Ranks 3 to 17, and what follows; whether it was accepted.
    pub(super) fn enter_order(&mut self, place: &Place) -> bool {
        let key = (place.origin.account, place.order.client_order_id);
        match self.used_before(place) {
            Some(Answer::Refused(reason)) => {
                self.tell_rejected(place, reason, false);
                return false;
            }
            Some(Answer::Repeated(Some(reason))) => {
                self.tell_rejected(place, reason, true);
                return false;
            }
            Some(Answer::Repeated(None)) => {
                self.tell_repeated(key);
                return true;
            }
            None => {}
        }
        let verdict = self.admit_place(place);
        let refused = verdict.as_ref().err().copied();
        if self.accounts.contains_key(&place.origin.account) {
            let terms = place.order;
            self.results.insert(key, First { terms, refused });
        }
        match verdict {
            Err(reason) => {
                self.tell_rejected(place, reason, false);
                false
            }
            Ok((order, slid)) => {
                self.accept(order, slid.then_some(Reason::PostOnlySlid));
                true
            }
        }
    }

    /// ORDER-02, ORDER-14: an order lives from here on.
    fn accept(&mut self, mut order: Order, reason: Option<Reason>) {
        self.entries += 1;
        order.entry = self.entries;
        order.priority = self.next_priority();
        order.fill_up();
        let in_call = self.contracts[&order.terms.instrument].in_call();
        if order.trigger.is_some() {
            (order.status, order.aside) = (OrderStatus::Untriggered, true);
        } else if order.peg().is_some() {
            self.price_new_peg(&mut order);
        } else if order.at_auction() {
            order.aside = !in_call;
        }
        let (key, aside) = (order.key, order.aside);
        self.orders.insert(key, order.clone());
        self.tell(&order, OrderEventKind::Accepted, reason, false, None);
        if !aside {
            self.work(key);
        }
    }

    /// Changes an order.
    pub(super) fn replace(&mut self, command: &Replace, names: &Names) {
        if !self.enter(&command.origin) {
            return;
        }
        if !self.in_time(&command.origin) {
            let found = self.find_replaced(command, names);
            let (kind, reason) = (OrderEventKind::ReplaceRejected, Reason::DeadlinePassed);
            return self.tell_refused_change(kind, reason, command.target, found);
        }
        self.replace_order(command, names);
    }

    pub(super) fn find_replaced(&self, command: &Replace, names: &Names) -> Result<Key, Reason> {
        let account = command.origin.account;
        self.find(account, command.target, command.instrument, names)
    }

    /// Ranks 4 to 17 of a Replace without carrying it out.
    pub(super) fn judge_replace(&self, command: &Replace, names: &Names) -> Result<(), Reason> {
        let found = self.find_replaced(command, names);
        self.admit_replace(command, found).map(|_| ())
    }

    /// Ranks 4 to 17, and what follows; whether it was accepted.
    pub(super) fn replace_order(&mut self, command: &Replace, names: &Names) -> bool {
        let found = self.find_replaced(command, names);
        let verdict = self.admit_replace(command, found);
        let kind = OrderEventKind::ReplaceRejected;
        match (verdict, found) {
            (Ok(change), Ok(key)) => {
                self.cause.subject = Some(key);
                self.amend(key, change);
                true
            }
            (Err(reason), _) | (_, Err(reason)) => {
                self.tell_refused_change(kind, reason, command.target, found);
                false
            }
        }
    }

    fn amend(&mut self, key: Key, change: Change) {
        match change {
            // It ends as it was: what else the change asked for does not come about.
            Change::CancelRest => self.end(key, OrderStatus::Cancelled, Reason::ClientRequest),
            Change::Amend {
                mut order,
                loses,
                slid,
            } => {
                let old = &self.orders[&key];
                let same = !loses && (old.open, old.shown()) == (order.open, order.shown());
                if old.resting && !same {
                    self.touched.insert(order.terms.instrument);
                }
                // What waits or follows another price meets nobody when it loses its place.
                let stays = order.aside || order.peg().is_some();
                order.resting = order.resting && (!loses || stays);
                if loses {
                    order.priority = self.next_priority();
                }
                self.orders.insert(key, (*order).clone());
                let reason = slid.then_some(Reason::PostOnlySlid);
                self.tell(&order, OrderEventKind::Replaced, reason, loses, None);
                if loses && !stays {
                    self.work(key);
                }
            }
        }
    }

    /// Cancels an order.
    pub(super) fn cancel_one(&mut self, command: &Cancel, names: &Names) {
        if !self.enter(&command.origin) {
            return;
        }
        if !self.in_time(&command.origin) {
            let found = self.find_cancelled(command, names);
            let (kind, reason) = (OrderEventKind::CancelRejected, Reason::DeadlinePassed);
            return self.tell_refused_change(kind, reason, command.target, found);
        }
        self.cancel_order(command, names);
    }

    pub(super) fn find_cancelled(&self, command: &Cancel, names: &Names) -> Result<Key, Reason> {
        let account = command.origin.account;
        self.find(account, command.target, command.instrument, names)
    }

    /// Rank 6 of a Cancel, AUCTION-01.
    pub(super) fn judge_cancel(&self, command: &Cancel, names: &Names) -> Result<Key, Reason> {
        let key = self.find_cancelled(command, names)?;
        let order = self.orders.get(&key).ok_or_else(|| self.too_late(key))?;
        match self.contracts[&order.terms.instrument].state {
            TradingState::NoCancel => Err(Reason::NoCancelPeriod),
            _ => Ok(key),
        }
    }

    /// Rank 6, and what follows; whether it was accepted.
    pub(super) fn cancel_order(&mut self, command: &Cancel, names: &Names) -> bool {
        match self.judge_cancel(command, names) {
            Ok(key) => {
                self.cause.subject = Some(key);
                self.end(key, OrderStatus::Cancelled, Reason::ClientRequest);
                true
            }
            Err(reason) => {
                let found = self.find_cancelled(command, names);
                let kind = OrderEventKind::CancelRejected;
                self.tell_refused_change(kind, reason, command.target, found);
                false
            }
        }
    }

    /// ORDER-11: an order that lives or lived, of this account, in this contract if one is named.
    fn find(
        &self,
        account: AccountId,
        target: Target,
        instrument: InstrumentId,
        names: &Names,
    ) -> Result<Key, Reason> {
        let key = match target {
            Target::Client(id) => (account, id),
            Target::Order(id) => *names.orders.get(&id).ok_or(Reason::UnknownOrder)?,
        };
        let order = self.orders.get(&key).or_else(|| self.ended.get(&key));
        let order = order.ok_or(Reason::UnknownOrder)?;
        let elsewhere = instrument.is_set() && instrument != order.terms.instrument;
        if key.0 != account || elsewhere {
            return Err(Reason::UnknownOrder);
        }
        Ok(key)
    }

    /// ORDER-11: why an ended order cannot be changed.
    pub(super) fn too_late(&self, key: Key) -> Reason {
        match self.ended.get(&key).map(|order| order.status) {
            Some(OrderStatus::Filled) => Reason::TooLateAlreadyFilled,
            Some(_) => Reason::TooLateAlreadyCancelled,
            None => Reason::UnknownOrder,
        }
    }

    /// ORDER-12.
    pub(super) fn mass_cancel(&mut self, command: &MassCancel) {
        if !self.enter(&command.origin) {
            return;
        }
        if !self.in_time(&command.origin) {
            return self.refuse_numbered(Reason::DeadlinePassed);
        }
        let account = command.origin.account;
        let keys = self.selected(account, command.origin.session, &command.selection);
        self.cause.all = true;
        let mut counts = [0; 3];
        for key in &keys {
            let order = &self.orders[key];
            let kept = self.contracts[&order.terms.instrument].state == TradingState::NoCancel;
            counts[if kept {
                2
            } else {
                usize::from(order.quote.is_some())
            }] += 1;
            if !kept {
                self.end(*key, OrderStatus::Cancelled, Reason::MassCancel);
            }
        }
        if command.block_new_orders
            && let Some(account) = self.accounts.get_mut(&account)
        {
            account.blocked = true;
        }
        self.number(self.cause.session);
        self.seen.mass_cancelled.push((account, counts));
        if command.block_new_orders && readings::BLOCK_OF_ACCOUNT_IS_TOLD {
            self.number(self.cause.session);
        }
    }

    /// Orders of an account that match all set fields, oldest first.
    pub(super) fn selected(
        &self,
        account: AccountId,
        session: SessionId,
        selection: &Selection,
    ) -> Vec<Key> {
        let product = |order: &Order| self.contracts[&order.terms.instrument].product;
        let better = |order: &Order| match (selection.price_at_or_better, order.terms.side) {
            (None, _) => true,
            (Some(price), Side::Buy) => order.price >= price.0,
            (Some(price), Side::Sell) => order.price <= price.0,
        };
        let matches = |order: &Order| {
            let terms = &order.terms;
            order.key.0 == account
                && (!selection.instrument.is_set() || selection.instrument == terms.instrument)
                && (!selection.product.is_set() || selection.product == product(order))
                && selection.side.is_none_or(|side| side == terms.side)
                && (selection.mmp_group == 0 || selection.mmp_group == terms.mmp_group)
                && (selection.cancel_group == 0 || selection.cancel_group == terms.cancel_group)
                && (!selection.this_session_only || !session.is_set() || order.session == session)
                && better(order)
        };
        self.oldest_first(matches)
    }

    /// Open orders that match, in the order of their entry.
    pub(super) fn oldest_first(&self, matches: impl Fn(&Order) -> bool) -> Vec<Key> {
        let mut found: Vec<&Order> = self
            .orders
            .values()
            .filter(|order| matches(order))
            .collect();
        found.sort_by_key(|order| order.entry);
        found.into_iter().map(|order| order.key).collect()
    }

    /// SESSION-06.
    pub(super) fn set_cancel_timer(&mut self, command: &SetCancelTimer) {
        if !self.enter(&command.origin) {
            return;
        }
        let (now, origin) = (self.now, command.origin);
        if !self.in_time(&origin) {
            return self.refuse_numbered(Reason::DeadlinePassed);
        }
        let in_range = limits::CANCEL_TIMER_MS.contains(&command.after_ms);
        if command.after_ms != 0 && !in_range {
            return self.refuse_numbered(Reason::InvalidField);
        }
        if let Some(account) = self.accounts.get_mut(&origin.account) {
            let at = now + i64::from(command.after_ms) * MILLISECOND;
            account.timer =
                (command.after_ms != 0).then_some((at, origin.session, command.selection));
        }
    }

    /// A session's switch; releasing it releases the account's.
    pub(super) fn set_order_entry(&mut self, command: &SetOrderEntry) {
        if !self.enter(&command.origin) {
            return;
        }
        if !self.in_time(&command.origin) {
            return self.refuse_numbered(Reason::DeadlinePassed);
        }
        let session = command.origin.session;
        if let Some(session) = self.sessions.get_mut(&session) {
            session.blocked = command.blocked;
        }
        self.number(session);
        let account = self.accounts.get_mut(&command.origin.account);
        if let Some(account) = account.filter(|account| account.blocked && !command.blocked) {
            account.blocked = false;
            if readings::RELEASE_OF_ACCOUNT_IS_TOLD {
                self.number(session);
            }
        }
    }

    /// An order is over.
    pub(super) fn end(&mut self, key: Key, status: OrderStatus, reason: Reason) {
        let Some(mut order) = self.orders.remove(&key) else {
            return;
        };
        if order.resting {
            self.touched.insert(order.terms.instrument);
        }
        (order.open, order.visible, order.status) = (0, 0, status);
        (order.resting, order.aside) = (false, false);
        self.ended.insert(key, order.clone());
        self.tell(&order, OrderEventKind::Cancelled, Some(reason), false, None);
    }
}
