//! Orders, live and recently ended, in slots that are used again.
//!
//! An [`OrderId`] is slot plus generation, so finding an order is one index and one comparison. A slot
//! freed by an ended order waits until [`limits::ENDED_ORDERS_KEPT`] others have ended, so that a late
//! cancel or a query still learns how the order ended. Two lists run through the slots: the queue of a
//! price level (owned by the book) and the orders of an account in order of entry.

use std::collections::VecDeque;

use bincode::{Decode, Encode};

use crate::{
    book::{Node, Nodes},
    command::{OrderTerms, Pricing},
    event::{OrderStatus, QuoteKey},
    ids::{AccountId, OrderId, Seq, SessionId},
    limits,
    prefetch::{prefetch, prefetch_whole},
    reason::Problem,
    units::{Lots, Minor, Nanos, TickLots, Ticks},
    visits::visit,
};

pub use crate::book::NIL;

mod saved;

/// An order: the client's instructions and what became of them.
#[derive(Clone, Debug, Encode, Decode)]
#[repr(align(64))]
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
    /// Lives in no book: a stop before its trigger, a pegged order that sleeps.
    pub(crate) waiting: bool,
    /// In a combination: its open lots count in its owner's positions of the legs.
    pub(crate) combined: bool,
    /// Where its owner's position in the contract lies.
    pub(crate) position: u32,
    /// The account's orders: who was entered before and after.
    pub(crate) owner: Link,
}

/// Neighbours in a list through the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
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
    /// What a slot holds before its first order.
    const BLANK: Self = Self {
        id: OrderId(0),
        terms: OrderTerms::BLANK,
        account: AccountId(0),
        session: SessionId(0),
        quote: None,
        price: Ticks::ZERO,
        total: Lots::ZERO,
        filled: Lots::ZERO,
        open: Lots::ZERO,
        filled_exposure: TickLots::ZERO,
        priority: 0,
        hold_lot: Minor::ZERO,
        expire: Nanos::ZERO,
        status: OrderStatus::Cancelled,
        problem: None,
        accepted_at: Nanos::ZERO,
        updated_at: Nanos::ZERO,
        updated_seq: 0,
        resting: false,
        waiting: false,
        combined: false,
        position: 0,
        owner: Link::LOOSE,
    };

    /// Whether it rests or may still trade.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.status == OrderStatus::Open
    }

    /// Whether it is not over: open, or a stop that waits.
    #[must_use]
    pub fn lives(&self) -> bool {
        matches!(self.status, OrderStatus::Open | OrderStatus::Untriggered)
    }

    /// Price its money is held at: that of a pegged order is the worst it may go to.
    #[must_use]
    pub fn hold_price(&self) -> Ticks {
        match self.terms.pricing {
            Pricing::Peg(peg) => peg.cap,
            Pricing::Limit(_) | Pricing::Market => self.price,
        }
    }

    /// What would be seen of so many open lots (ORDER-17).
    #[must_use]
    pub fn visible(&self, open: Lots) -> Lots {
        match self.terms.display {
            Lots::ZERO => open,
            display => display.min(open),
        }
    }
}

/// First and last order of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
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
#[derive(Debug)]
pub struct Orders {
    slots: Vec<Order>,
    /// What the books need of the orders that rest, by the same slots.
    nodes: Nodes,
    /// Ended, oldest first.
    freed: VecDeque<u32>,
    live: usize,
}

impl Default for Orders {
    /// With address space for every order there can be, so that no growth ever moves them. Memory is
    /// taken page by page as slots come into use.
    fn default() -> Self {
        Self {
            slots: Vec::with_capacity(limits::ORDERS),
            nodes: Nodes::with_capacity(limits::ORDERS),
            freed: VecDeque::with_capacity(limits::ENDED_ORDERS_KEPT + 1),
            live: 0,
        }
    }
}

impl Clone for Orders {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        copy.slots.extend_from_slice(&self.slots);
        copy.nodes = self.nodes.clone();
        copy.freed.extend(&self.freed);
        copy.live = self.live;
        copy
    }
}

impl Orders {
    /// Places of all books.
    #[must_use]
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    pub(crate) fn nodes_mut(&mut self) -> &mut Nodes {
        &mut self.nodes
    }

    /// The place an order takes when it rests.
    pub(crate) fn node(&self, slot: u32) -> Node {
        let order = self.at(slot);
        let lots = order.visible(order.open);
        Node::new(order.terms.side, order.price, lots, order.account)
    }

    /// Takes memory for so many orders from the system now, not page by page in the middle of trading:
    /// a large page costs as much as a thousand orders.
    pub(crate) fn reserve(&mut self, orders: usize) {
        let used = self.slots.len();
        self.slots.resize(used.max(orders), Order::BLANK);
        self.slots.truncate(used);
        self.nodes.reserve(orders);
    }

    /// Asks for an order that will be needed soon, and its place in a book.
    pub(crate) fn ask(&self, id: OrderId) {
        if let Some(slot) = id.slot()
            && let Some(order) = self.slots.get(slot as usize)
        {
            prefetch_whole(order);
            self.nodes.ask(slot);
        }
    }

    /// Asks for the slot that the `ahead`-th next order will take, if it was used before.
    pub(crate) fn ask_next(&self, ahead: usize) {
        // Until then orders may end and make it free.
        if self.freed.len() + ahead > limits::ENDED_ORDERS_KEPT
            && let Some(slot) = self.freed.get(ahead)
        {
            self.ask_slot(*slot);
        }
    }

    /// Asks for a slot and its place in a book.
    pub(crate) fn ask_slot(&self, slot: u32) {
        if let Some(order) = self.slots.get(slot as usize) {
            prefetch_whole(order);
            self.nodes.ask(slot);
        }
    }

    /// Asks for the youngest order of an account, to which its next one will be linked.
    pub(crate) fn ask_last(&self, list: OwnerList) {
        if let Some(order) = self.slots.get(list.tail as usize) {
            prefetch(&order.owner);
        }
    }

    /// Asks for the neighbours of an order in its account's list.
    pub(crate) fn ask_owner_neighbours(&self, order: &Order) {
        for slot in [order.owner.prev, order.owner.next] {
            if let Some(order) = self.slots.get(slot as usize) {
                prefetch(&order.owner);
            }
        }
    }

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

    /// A slot for a new order, named; everything else in it is still its former tenant's.
    pub(crate) fn take_slot(&mut self) -> (u32, &mut Order) {
        self.live += 1;
        if self.freed.len() > limits::ENDED_ORDERS_KEPT
            && let Some(slot) = self.freed.pop_front()
        {
            let order = &mut self.slots[slot as usize];
            // The wire's order ids are signed; a slot that has served 2^31 orders starts over.
            order.id = OrderId::new(slot, (order.id.generation() + 1) & 0x7fff_ffff);
            return (slot, order);
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(NIL);
        self.slots.push(Order::BLANK);
        self.nodes.grow();
        let order = &mut self.slots[slot as usize];
        order.id = OrderId::new(slot, 0);
        (slot, order)
    }

    /// Marks the slot's order as ended; it stays readable for a while.
    pub(crate) fn free(&mut self, slot: u32) {
        self.live -= 1;
        self.freed.push_back(slot);
    }

    /// The order of that name, open or recently ended.
    #[must_use]
    pub fn get(&self, id: OrderId) -> Option<&Order> {
        visit();
        let order = self.slots.get(id.slot()? as usize)?;
        (order.id == id).then_some(order)
    }

    /// The order in a slot that is known to be in use.
    #[must_use]
    pub fn at(&self, slot: u32) -> &Order {
        visit();
        &self.slots[slot as usize]
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Order {
        visit();
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
            visit();
            slot = order.owner.next;
            Some(order)
        })
    }
}
