//! The order commands.

use engine::{
    command::{
        Cancel, MassCancel, Place, Replace, Selection, SetCancelTimer, SetOrderEntry, Side, Target,
    },
    event::{OrderEventKind, OrderStatus},
    ids::{AccountId, InstrumentId, SessionId},
    limits,
    reason::Reason,
    units::MILLISECOND,
};

use super::{First, Model, Names, Order, admission::Change, narrow};
use crate::{readings, rows::Key};

impl Model {
    /// Enters an order.
    pub(super) fn place(&mut self, place: &Place) {
        if !self.enter(&place.origin) {
            return;
        }
        let key = (place.origin.account, place.order.client_order_id);
        if !self.in_time(&place.origin) {
            return self.tell_rejected(place, Reason::DeadlinePassed, false);
        }
        if place.order.client_order_id == 0 {
            return self.tell_rejected(place, Reason::InvalidField, false);
        }
        if let Some(first) = self.results.get(&key).cloned() {
            if first.terms != place.order {
                return self.tell_rejected(place, Reason::DuplicateClientOrderId, false);
            }
            return match first.refused {
                Some(reason) => self.tell_rejected(place, reason, true),
                None => self.tell_repeated(key),
            };
        }
        let verdict = self.admit_place(place);
        let refused = verdict.as_ref().err().copied();
        self.results.insert(
            key,
            First {
                terms: place.order,
                refused,
            },
        );
        match verdict {
            Err(reason) => self.tell_rejected(place, reason, false),
            Ok((mut order, slid)) => {
                self.entries += 1;
                order.entry = self.entries;
                self.orders.insert(key, order.clone());
                let reason = slid.then_some(Reason::PostOnlySlid);
                self.tell(&order, OrderEventKind::Accepted, reason, false, None);
                self.work(key);
            }
        }
    }

    /// Changes an order.
    pub(super) fn replace(&mut self, command: &Replace, names: &Names) {
        if !self.enter(&command.origin) {
            return;
        }
        let found = self.find(
            command.origin.account,
            command.target,
            command.instrument,
            names,
        );
        let verdict = match self.in_time(&command.origin) {
            false => Err(Reason::DeadlinePassed),
            true => self.admit_replace(command, found),
        };
        let kind = OrderEventKind::ReplaceRejected;
        match (verdict, found) {
            (Ok(change), Ok(key)) => {
                self.cause.subject = Some(key);
                self.amend(key, change);
            }
            (Err(reason), _) | (_, Err(reason)) => {
                self.tell_refused_change(kind, reason, command.target, found);
            }
        }
    }

    fn amend(&mut self, key: Key, change: Change) {
        match change {
            Change::CancelRest => self.end(key, OrderStatus::Cancelled, Reason::ClientRequest),
            Change::Amend {
                mut order,
                loses,
                slid,
            } => {
                order.resting = !loses;
                self.orders.insert(key, (*order).clone());
                if order.open <= 0 {
                    return self.end(key, OrderStatus::Cancelled, Reason::ClientRequest);
                }
                let reason = slid.then_some(Reason::PostOnlySlid);
                self.tell(&order, OrderEventKind::Replaced, reason, loses, None);
                if loses {
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
        let found = self.find(
            command.origin.account,
            command.target,
            command.instrument,
            names,
        );
        let verdict = match (self.in_time(&command.origin), found) {
            (false, _) => Err(Reason::DeadlinePassed),
            (true, Ok(key)) if self.orders.contains_key(&key) => Ok(key),
            (true, Ok(key)) => Err(self.too_late(key)),
            (true, Err(reason)) => Err(reason),
        };
        match verdict {
            Ok(key) => {
                self.cause.subject = Some(key);
                self.end(key, OrderStatus::Cancelled, Reason::ClientRequest);
            }
            Err(reason) => self.tell_refused_change(
                OrderEventKind::CancelRejected,
                reason,
                command.target,
                found,
            ),
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
        for key in &keys {
            self.end(*key, OrderStatus::Cancelled, Reason::MassCancel);
        }
        if command.block_new_orders
            && let Some(account) = self.accounts.get_mut(&account)
        {
            account.blocked = true;
        }
        self.number(self.cause.session);
        self.seen
            .mass_cancelled
            .push((account, narrow(keys.len() as u64)));
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
        (order.open, order.status) = (0, status);
        self.ended.insert(key, order.clone());
        self.tell(&order, OrderEventKind::Cancelled, Some(reason), false, None);
    }
}
