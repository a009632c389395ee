//! Orders, live and recently ended, in slots that are used again.
//!
//! An [`OrderId`] is slot plus generation, so finding an order is one index and one comparison. A slot
//! freed by an ended order waits until [`limits::ENDED_ORDERS_KEPT`] others have ended, so that a late
//! cancel or a query still learns how the order ended. Two lists run through the slots: the queue of a
//! price level (owned by the book) and the orders of an account in order of entry.

use std::collections::VecDeque;

use bincode::Encode;

use crate::{
    command::OrderTerms,
    event::{OrderStatus, QuoteKey},
    ids::{AccountId, OrderId, Seq, SessionId},
    limits,
    reason::Problem,
    units::{Lots, Minor, Nanos, TickLots, Ticks},
};

/// "No slot" in a link.
pub const NIL: u32 = u32::MAX;

/// An order: the client's instructions and what became of them.
#[derive(Clone, Debug, Encode)]
pub struct Order {
    /// Name.
    pub id: OrderId,
    /// As accepted, with replaced values.
    pub terms: OrderTerms,
    /// Owner.
    pub account: AccountId,
    /// Entered by this session; none for a unary call.
    pub session: SessionId,
    /// Which quote it is a side of, if any; then without a client order id.
    pub quote: Option<QuoteKey>,
    /// Working price.
    pub price: Ticks,
    /// Total quantity, after cuts.
    pub total: Lots,
    /// Traded.
    pub filled: Lots,
    /// Still open.
    pub open: Lots,
    /// Sum of price times lots over its fills.
    pub filled_exposure: TickLots,
    /// Place in time at its price; lower comes first.
    pub priority: u64,
    /// Money held per open lot.
    pub hold_lot: Minor,
    /// When its time is over; 0 = never.
    pub expire: Nanos,
    /// Open, or how it ended.
    pub status: OrderStatus,
    /// Why it ended.
    pub problem: Option<Problem>,
    /// Core time of entry.
    pub accepted_at: Nanos,
    /// Core time of the last change.
    pub updated_at: Nanos,
    /// Journal position of the last change.
    pub updated_seq: Seq,
    /// Stands in the queue of its level.
    pub(crate) resting: bool,
    /// Level queue: who comes before and after.
    pub(crate) level: Link,
    /// The account's orders: who was entered before and after.
    pub(crate) owner: Link,
}

/// Neighbours in a list through the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub(crate) struct Link {
    pub(crate) prev: u32,
    pub(crate) next: u32,
}

impl Link {
    pub(crate) const LOOSE: Self = Self {
        prev: NIL,
        next: NIL,
    };
}

impl Order {
    /// Whether it rests or may still trade.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.status == OrderStatus::Open
    }
}

/// First and last order of an account.
#[derive(Clone, Copy, Debug)]
pub struct OwnerList {
    head: u32,
    tail: u32,
}

impl Default for OwnerList {
    fn default() -> Self {
        Self {
            head: NIL,
            tail: NIL,
        }
    }
}

/// All order slots.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    slots: Vec<Order>,
    /// Ended, oldest first.
    freed: VecDeque<u32>,
    live: usize,
}

impl Orders {
    /// Whether one more order fits.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.live + limits::ENDED_ORDERS_KEPT < limits::ORDERS
    }

    /// Orders that are open.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live
    }

    /// Puts an order into a slot and names it.
    pub(crate) fn insert(&mut self, mut order: Order) -> u32 {
        self.live += 1;
        if self.freed.len() > limits::ENDED_ORDERS_KEPT
            && let Some(slot) = self.freed.pop_front()
        {
            let generation = self.slots[slot as usize].id.generation() + 1;
            // The wire's order ids are signed; a slot that has served 2^31 orders starts over.
            order.id = OrderId::new(slot, generation & 0x7fff_ffff);
            self.slots[slot as usize] = order;
            return slot;
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(NIL);
        order.id = OrderId::new(slot, 0);
        self.slots.push(order);
        slot
    }

    /// Marks the slot's order as ended; it stays readable for a while.
    pub(crate) fn free(&mut self, slot: u32) {
        self.live -= 1;
        self.freed.push_back(slot);
    }

    /// The order of that name, open or recently ended.
    #[must_use]
    pub fn get(&self, id: OrderId) -> Option<&Order> {
        let order = self.slots.get(id.slot()? as usize)?;
        (order.id == id).then_some(order)
    }

    /// The order in a slot that is known to be in use.
    #[must_use]
    pub fn at(&self, slot: u32) -> &Order {
        &self.slots[slot as usize]
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Order {
        &mut self.slots[slot as usize]
    }

    /// Appends to the account's orders.
    pub(crate) fn own(&mut self, list: &mut OwnerList, slot: u32) {
        self.slots[slot as usize].owner = Link {
            prev: list.tail,
            next: NIL,
        };
        match list.tail {
            NIL => list.head = slot,
            tail => self.slots[tail as usize].owner.next = slot,
        }
        list.tail = slot;
    }

    /// Takes out of the account's orders.
    pub(crate) fn disown(&mut self, list: &mut OwnerList, slot: u32) {
        let Link { prev, next } = self.slots[slot as usize].owner;
        match prev {
            NIL => list.head = next,
            prev => self.slots[prev as usize].owner.next = next,
        }
        match next {
            NIL => list.tail = prev,
            next => self.slots[next as usize].owner.prev = prev,
        }
        self.slots[slot as usize].owner = Link::LOOSE;
    }

    /// Open orders of an account, in order of entry.
    pub fn of(&self, list: OwnerList) -> impl Iterator<Item = &Order> {
        let mut slot = list.head;
        std::iter::from_fn(move || {
            let order = self.slots.get(slot as usize)?;
            slot = order.owner.next;
            Some(order)
        })
    }
}
