//! Places in a queue: what matching needs of a resting order, and nothing else.

use crate::{
    command::Side,
    ids::AccountId,
    prefetch::prefetch,
    units::{Lots, Ticks},
    visits::visit,
};

/// "No slot" in a link.
pub const NIL: u32 = u32::MAX;

/// A resting order as the book sees it. Two fit a cache line; the rest of the order lies elsewhere
/// under the same slot.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub struct Node {
    /// Older neighbour in the queue of its level.
    pub(super) prev: u32,
    /// Younger neighbour.
    pub(super) next: u32,
    /// Visible lots.
    pub lots: Lots,
    /// Price it rests at.
    pub price: Ticks,
    /// Owner.
    pub account: AccountId,
    /// Side it rests on.
    pub side: Side,
}

const _: () = assert!(size_of::<Node>() == 32, "two places share a cache line");

impl Node {
    const LOOSE: Self = Self {
        prev: NIL,
        next: NIL,
        lots: Lots::ZERO,
        price: Ticks::ZERO,
        account: AccountId::NONE,
        side: Side::Buy,
    };

    /// Slot of the younger neighbour.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// An order about to rest.
    #[must_use]
    pub fn new(side: Side, price: Ticks, lots: Lots, account: AccountId) -> Self {
        Self {
            lots,
            price,
            account,
            side,
            ..Self::LOOSE
        }
    }
}

/// Places of all books, by slot.
#[derive(Debug, Default)]
pub struct Nodes(Vec<Node>);

impl Clone for Nodes {
    /// A copy with as much room.
    fn clone(&self) -> Self {
        let mut copy = Vec::with_capacity(self.0.capacity());
        copy.extend_from_slice(&self.0);
        Self(copy)
    }
}

impl Nodes {
    /// Room for this many slots, so that growing never moves them.
    #[must_use]
    pub fn with_capacity(slots: usize) -> Self {
        Self(Vec::with_capacity(slots))
    }

    /// Takes memory for so many slots from the system now.
    pub fn reserve(&mut self, slots: usize) {
        let used = self.0.len();
        self.0.resize(used.max(slots), Node::LOOSE);
        self.0.truncate(used);
    }

    /// Makes the next slot.
    pub fn grow(&mut self) {
        self.0.push(Node::LOOSE);
    }

    /// Slots made so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no slot yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place under a slot.
    #[must_use]
    pub fn at(&self, slot: u32) -> &Node {
        visit();
        &self.0[slot as usize]
    }

    /// Asks for a place that will be needed soon.
    #[inline]
    pub fn ask(&self, slot: u32) {
        if let Some(node) = self.0.get(slot as usize) {
            prefetch(node);
        }
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> &mut Node {
        visit();
        &mut self.0[slot as usize]
    }
}
