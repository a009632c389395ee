//! Looking ahead: asking for the memory that the next commands of a batch will touch.
//!
//! With many orders and accounts an order command waits for a dozen cache misses one after the other.
//! Whoever holds a batch knows the commands behind the present one; asked for in time, their misses
//! overlap with the work on it. Nothing here changes anything or decides anything: a wrong guess costs
//! time, never a result.

use super::Exchange;
use crate::{
    book::{Book, NIL},
    command::{Command, Origin, Place, Pricing, Target},
    ids::InstrumentId,
    order::Order,
    prefetch::prefetch,
};

/// How many commands ahead [`Exchange::ask_far`], [`Exchange::ask_middle`] and [`Exchange::ask_near`]
/// look: each follows what the one before asked for.
const FAR: usize = 12;
const MIDDLE: usize = 8;
const NEAR: usize = 4;
/// Below so many orders and accounts everything is near the processor anyway, and asking only costs.
const PAYS: usize = 2_048;

impl Exchange {
    /// How many commands behind the present one are looked at.
    pub const LOOKS_AHEAD: usize = FAR;

    /// Looks ahead from a place in a batch. To be called before the command at that place is applied.
    pub fn look_ahead<'a>(&self, batch: impl Fn(usize) -> Option<&'a Command>, place: usize) {
        if self.is_small() {
            return;
        }
        if let Some(command) = batch(place + FAR) {
            self.ask_far(command);
        }
        if let Some(command) = batch(place + MIDDLE) {
            self.ask_middle(command);
        }
        if let Some(command) = batch(place + NEAR) {
            self.ask_near(command);
        }
    }

    /// Rows that a command names: who sends it, and which order it means.
    fn ask_far(&self, command: &Command) {
        match command {
            Command::Place(place) => {
                self.ask_sender(&place.origin);
                self.client_ids
                    .ask(place.origin.account, place.order.client_order_id);
                self.orders.ask_next(FAR);
                if let Pricing::Limit(price) = place.order.pricing
                    && let Some(book) = self.book(place.order.instrument)
                {
                    book.ask_price(place.order.side, price);
                }
            }
            Command::Cancel(cancel) => {
                self.ask_sender(&cancel.origin);
                self.ask_target(&cancel.origin, cancel.target);
            }
            Command::Replace(replace) => {
                self.ask_sender(&replace.origin);
                self.ask_target(&replace.origin, replace.target);
            }
            _ => {}
        }
    }

    /// What the rows asked for first lead to: an account's places for its positions and balances.
    fn ask_middle(&self, command: &Command) {
        match command {
            Command::Place(place) => {
                self.ask_places(&place.origin, place.order.instrument);
                if let Some(account) = self.account(place.origin.account) {
                    self.orders.ask_last(account.orders);
                }
                self.client_ids.ask_last(place.origin.account);
                if let Some((_, first)) = self.first_met(place) {
                    self.orders.ask_slot(first);
                }
            }
            Command::Cancel(cancel) => {
                if let Some(order) = self.named_ahead(&cancel.origin, cancel.target) {
                    self.ask_places(&cancel.origin, order.terms.instrument);
                }
            }
            Command::Replace(replace) => {
                if let Some(order) = self.named_ahead(&replace.origin, replace.target) {
                    self.ask_places(&replace.origin, order.terms.instrument);
                }
            }
            _ => {}
        }
    }

    /// What those lead to.
    fn ask_near(&self, command: &Command) {
        match command {
            Command::Place(place) => {
                self.positions
                    .ask(place.origin.account, place.order.instrument);
                if let Some((book, first)) = self.first_met(place) {
                    self.ask_owner(first);
                    let next = book.behind(self.orders.nodes(), first);
                    self.orders.ask_slot(next);
                }
                if let Pricing::Limit(price) = place.order.pricing
                    && let Some(book) = self.book(place.order.instrument)
                {
                    book.ask_level(place.order.side, price);
                    book.ask_last(self.orders.nodes(), place.order.side, price);
                }
            }
            Command::Cancel(cancel) => self.ask_neighbours(&cancel.origin, cancel.target),
            Command::Replace(replace) => self.ask_neighbours(&replace.origin, replace.target),
            _ => {}
        }
    }

    fn ask_sender(&self, origin: &Origin) {
        if let Some(account) = self.account(origin.account) {
            prefetch(account);
        }
        if let Some(session) = self.session(origin.session) {
            prefetch(session);
        }
        self.positions.ask_row(origin.account);
        self.ledger.ask_row(origin.account);
    }

    fn ask_target(&self, origin: &Origin, target: Target) {
        match target {
            Target::Order(id) => self.orders.ask(id),
            Target::Client(id) => self.client_ids.ask(origin.account, id),
        }
    }

    fn ask_places(&self, origin: &Origin, instrument: InstrumentId) {
        self.positions.ask_place(origin.account, instrument);
        if let Some(contract) = self.instrument(instrument) {
            self.ledger.ask(origin.account, contract.terms.price_asset);
            if contract.family != 0 {
                self.margins.ask(origin.account, contract.family);
            }
        }
    }

    /// The first resting order that an order at this price would meet.
    fn first_met(&self, place: &Place) -> Option<(&Book, u32)> {
        let Pricing::Limit(price) = place.order.pricing else {
            return None;
        };
        let (book, side) = (self.book(place.order.instrument)?, place.order.side);
        let (best, first) = book.front(side.opposite())?;
        side.accepts(price, best).then_some((book, first))
    }

    /// Asks for what a fill of a resting order touches of its owner.
    fn ask_owner(&self, slot: u32) {
        let order = self.orders.at(slot);
        if let Some(account) = self.account(order.account) {
            prefetch(account);
        }
        if let Some(session) = self.session(order.session) {
            prefetch(session);
        }
        self.positions.ask_at(order.position);
        self.ledger.ask_row(order.account);
        let family = self.contract(order.terms.instrument).family;
        self.margins.ask(order.account, family);
        self.orders.ask_owner_neighbours(order);
    }

    /// Before a fill of a resting order that will not be the last one: asks for the next two.
    pub(super) fn ask_behind(&self, instrument: InstrumentId, slot: u32) {
        if self.is_small() {
            return;
        }
        let (Some(book), nodes) = (self.book(instrument), self.orders.nodes()) else {
            return;
        };
        let next = book.behind(nodes, slot);
        if next != NIL {
            self.ask_owner(next);
            self.orders.ask_slot(book.behind(nodes, next));
        }
    }

    fn is_small(&self) -> bool {
        self.orders.live() < PAYS && self.accounts.len() < PAYS
    }

    /// The order that a later command means, as far as that is known by now.
    fn named_ahead(&self, origin: &Origin, target: Target) -> Option<&Order> {
        let id = match target {
            Target::Order(id) => id,
            Target::Client(id) => self.client_ids.get(origin.account, id)?.order,
        };
        self.orders.get(id)
    }

    fn ask_neighbours(&self, origin: &Origin, target: Target) {
        let Some(order) = self.named_ahead(origin, target) else {
            return;
        };
        self.positions.ask(origin.account, order.terms.instrument);
        if order.resting
            && let Some(slot) = order.id.slot()
            && let Some(book) = self.book(order.terms.instrument)
        {
            book.ask_around(self.orders.nodes(), slot);
        }
        self.orders.ask_owner_neighbours(order);
    }
}
