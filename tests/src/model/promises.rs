//! What must hold after every command, for the newer kinds of orders.

use std::collections::BTreeSet;

use engine::{instrument::TradingState, limits};

use super::Model;

impl Model {
    /// # Errors
    /// The first promise that does not hold, in words.
    pub(super) fn check_newer(&self) -> Result<(), String> {
        let mut rungs = BTreeSet::new();
        for order in self.orders.values() {
            let contract = &self.contracts[&order.terms.instrument];
            let matches = matches!(contract.state, TradingState::Open | TradingState::PostOnly);
            let broken = |rule: &str| Err(format!("{rule}: {:?}: {order:?}", contract.state));
            if order.resting == order.aside {
                return broken("an order is in the book or beside it");
            }
            if order.waits() && (!order.aside || order.trigger.is_none()) {
                return broken("ORDER-18");
            }
            if order.at_auction() && order.resting && matches {
                return broken("AUCTION-06");
            }
            let group = self.groups.get(&(order.key.0, order.terms.mmp_group));
            if group.is_some_and(|group| group.frozen.is_some()) {
                return broken("MMP-04");
            }
            if let Some((_, slot)) = order.quote
                && !rungs.insert((
                    order.key.0,
                    order.terms.mmp_group,
                    order.terms.instrument,
                    slot,
                    order.terms.side,
                ))
            {
                return broken("QUOTE-02");
            }
        }
        for (id, contract) in &self.contracts {
            let deferred = contract.call.deferred.len();
            if deferred > 0 && contract.state != TradingState::NoCancel {
                return Err(format!("AUCTION-06: contract {}: {deferred} left", id.0));
            }
            let pegs = self.orders.values();
            let pegs = pegs.filter(|order| order.peg().is_some() && order.terms.instrument == *id);
            if pegs.count() > limits::PEGS {
                return Err(format!("ORDER-21: contract {} has too many pegs", id.0));
            }
        }
        Ok(())
    }
}
