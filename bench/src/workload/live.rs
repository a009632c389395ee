//! The orders that live, as the events tell.

use std::collections::HashMap;

use engine::{
    event::{Event, OrderStatus},
    ids::{AccountId, OrderId},
};

use super::Random;

/// Living orders, any of which can be drawn.
#[derive(Debug, Default)]
pub(super) struct Live {
    orders: Vec<(AccountId, OrderId)>,
    places: HashMap<OrderId, usize>,
}

impl Live {
    pub(super) fn len(&self) -> usize {
        self.orders.len()
    }

    /// One of them.
    pub(super) fn any(&self, random: &mut Random) -> (AccountId, OrderId) {
        self.orders[random.index(self.orders.len())]
    }

    /// Takes over what events say.
    pub(super) fn hear(&mut self, events: &[Event]) {
        for event in events {
            let Event::Order(order) = event else { continue };
            if order.status == OrderStatus::Open {
                let next = self.orders.len();
                self.places.entry(order.order_id).or_insert_with(|| {
                    self.orders.push((order.to.account, order.order_id));
                    next
                });
            } else if let Some(place) = self.places.remove(&order.order_id) {
                self.orders.swap_remove(place);
                if let Some((_, moved)) = self.orders.get(place) {
                    self.places.insert(*moved, place);
                }
            }
        }
    }
}
