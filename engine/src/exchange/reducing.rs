//! Living reduce-only orders in order of priority, by position and side, so that the newest one that no
//! longer closes anything (ORDER-07) is found without looking at the others.

use std::collections::BTreeSet;

use super::Exchange;
use crate::{command::Side, order::Order, visits::Sorted};

/// Position's place, side, priority, slot.
type Key = Sorted<(u32, Side, u64, u32)>;

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Reducing(BTreeSet<Key>);

fn key(slot: u32, order: &Order) -> Key {
    Sorted((order.position, order.terms.side, order.priority, slot))
}

impl Reducing {
    /// An order lives, or has its new priority.
    pub(super) fn join(&mut self, slot: u32, order: &Order) {
        if order.terms.reduce_only {
            self.0.insert(key(slot, order));
        }
    }

    /// An order is over, or about to have a new priority.
    pub(super) fn leave(&mut self, slot: u32, order: &Order) {
        if order.terms.reduce_only {
            self.0.remove(&key(slot, order));
        }
    }

    /// Slots of a position's side, newest first.
    pub(super) fn newest(&self, position: u32, side: Side) -> impl Iterator<Item = u32> {
        let all = Sorted((position, side, 0, 0))..=Sorted((position, side, u64::MAX, u32::MAX));
        self.0.range(all).rev().map(|key| key.0.3)
    }
}

impl Exchange {
    /// Gives an order the next priority number (ORDER-14).
    pub(super) fn reprioritise(&mut self, slot: u32) {
        self.priorities += 1;
        self.reducing.leave(slot, self.orders.at(slot));
        self.orders.at_mut(slot).priority = self.priorities;
        self.reducing.join(slot, self.orders.at(slot));
    }

    /// Exactly the living reduce-only orders stand in the table, under their priorities.
    pub(super) fn recount_reducing(&self) -> Result<(), String> {
        let mut counted = Reducing::default();
        for account in &self.accounts {
            for order in self.orders_of(account.id) {
                if let Some(slot) = order.id.slot() {
                    counted.join(slot, order);
                }
            }
        }
        if counted.0 == self.reducing.0 {
            return Ok(());
        }
        let (is, want) = (&self.reducing.0, &counted.0);
        Err(format!("reduce-only orders {is:?} should be {want:?}"))
    }
}
