//! Orders of the newer kinds: icebergs, minimum fills, stops, pegs, orders for the next auction.

use engine::{
    command::{
        OrderTerms, Peg, PegTo, PostOnly, Pricing, Replace, Side, TimeInForce, Trigger,
        TriggerSource,
    },
    ids::AccountId,
    units::{Lots, Ticks},
};

use super::Generator;
use crate::model::{Model, Order};

impl Generator {
    /// Makes some orders one of the newer kinds, and a few of them several at once.
    pub(super) fn dress(&mut self, model: &Model, account: AccountId, order: &mut OrderTerms) {
        let in_call = model
            .contracts
            .get(&order.instrument)
            .is_some_and(|contract| contract.in_call());
        let takes = matches!(order.time_in_force, TimeInForce::Ioc | TimeInForce::Fok);
        if self.features.protection && self.random.percent(25) {
            order.mmp_group = self.group_of(model, account, order);
        }
        if self.features.auctions && self.random.percent(if in_call { 25 } else { 4 }) {
            self.for_the_auction(order);
        } else if self.features.stops && self.random.percent(12) {
            self.stop(model, order);
        } else if self.features.pegs && self.random.percent(8) {
            self.peg(model, order);
        } else if self.features.icebergs && !takes && self.random.percent(20) {
            order.display = Lots(match self.random.percent(90) {
                true => self.random.between(1, 6),
                false => order.lots.0 + self.random.between(-1, 1),
            });
        } else if self.features.min_fill
            && order.time_in_force == TimeInForce::Ioc
            && self.random.percent(35)
        {
            order.min_fill = Lots(self.random.between(1, order.lots.0 + 1));
        }
        if self.random.percent(2) {
            self.overdress(model, order);
        }
    }

    /// Combinations that are none.
    fn overdress(&mut self, model: &Model, order: &mut OrderTerms) {
        match self.random.between(0, 4) {
            0 if self.features.icebergs => order.display = Lots(self.random.between(-1, 5)),
            1 if self.features.min_fill => order.min_fill = Lots(self.random.between(-1, 5)),
            2 if self.features.stops => {
                let post_only = order.post_only;
                self.stop(model, order);
                order.post_only = post_only;
            }
            3 if self.features.pegs => {
                let life = order.time_in_force;
                self.peg(model, order);
                order.time_in_force = life;
            }
            4 if self.features.auctions => {
                let pricing = order.pricing;
                self.for_the_auction(order);
                order.pricing = pricing;
            }
            _ => {}
        }
    }

    fn for_the_auction(&mut self, order: &mut OrderTerms) {
        order.time_in_force = TimeInForce::AtAuction;
        (order.post_only, order.display, order.min_fill) = (PostOnly::No, Lots(0), Lots(0));
    }

    /// Near the newest trade, so that one released stop releases the next.
    fn stop(&mut self, model: &Model, order: &mut OrderTerms) {
        let sources = [
            TriggerSource::Last,
            TriggerSource::Mark,
            TriggerSource::Index,
        ];
        let source = match self.random.percent(60) {
            true => TriggerSource::Last,
            false => self
                .random
                .pick(&sources)
                .copied()
                .unwrap_or(TriggerSource::Mark),
        };
        let contract = model.contracts.get(&order.instrument);
        let mark = model.mark(order.instrument).unwrap_or(1_000);
        let last = contract.and_then(|contract| contract.last).unwrap_or(mark);
        let near = if source == TriggerSource::Last {
            last
        } else {
            mark
        };
        // Positive = waits for the price to move.
        let away = self.random.between(-1, 7);
        let at = match order.side {
            Side::Buy => near + away,
            Side::Sell => near - away,
        };
        let price = match self.random.percent(3) {
            true => self.random.between(-1, 0),
            false => at,
        };
        order.trigger = Some(Trigger {
            source,
            price: Ticks(price),
        });
        (order.post_only, order.display, order.min_fill) = (PostOnly::No, Lots(0), Lots(0));
        if let Pricing::Limit(limit) = &mut order.pricing
            && self.random.percent(70)
        {
            let push = self.random.between(-3, 4);
            limit.0 = match order.side {
                Side::Buy => at + push,
                Side::Sell => at - push,
            };
        }
    }

    fn peg(&mut self, model: &Model, order: &mut OrderTerms) {
        let mark = model.mark(order.instrument).unwrap_or(1_000);
        let room = self.random.between(-6, 40);
        let wrong = self.random.percent(6);
        let to = match self.random.percent(60) {
            true => PegTo::Best,
            false => PegTo::Index,
        };
        let step = match (to, wrong) {
            (PegTo::Best, false) => -self.random.between(0, 4),
            _ => self.random.between(-8, 8),
        };
        let (offset, cap) = match order.side {
            Side::Buy => (step, mark + room),
            Side::Sell => (-step, mark - room),
        };
        order.pricing = Pricing::Peg(Peg {
            to,
            offset: Ticks(offset),
            cap: Ticks(cap),
        });
        if matches!(order.time_in_force, TimeInForce::Ioc | TimeInForce::Fok) {
            order.time_in_force = TimeInForce::Gtc;
        }
        (order.post_only, order.display, order.min_fill) = (PostOnly::No, Lots(0), Lots(0));
        order.trigger = None;
    }

    /// Mostly a group of the account that covers the contract.
    fn group_of(&mut self, model: &Model, account: AccountId, order: &OrderTerms) -> u16 {
        let product = model
            .contracts
            .get(&order.instrument)
            .map(|contract| contract.product);
        let strict = self.random.percent(95);
        let groups = model.groups.iter().filter(|((of, _), group)| {
            *of == account && (!strict || Some(group.terms.product) == product)
        });
        let groups: Vec<u16> = groups.map(|((_, number), _)| *number).collect();
        self.random.pick(&groups).copied().unwrap_or(0)
    }

    /// What a Replace may name of the newer kinds.
    pub(super) fn redress(&mut self, order: &Order, replace: &mut Replace) {
        let special =
            order.peg().is_some() || order.waits() && order.terms.pricing == Pricing::Market;
        // What a new price of these means is left to the rules.
        if special && self.random.percent(95) {
            replace.price = None;
        }
        if order.display != 0 && self.features.icebergs && self.random.percent(30)
            || self.features.icebergs && self.random.percent(4)
        {
            replace.display = Some(Lots(self.random.between(0, 8)));
        }
        let trigger = order.trigger.map(|trigger| trigger.price.0);
        if let Some(price) = trigger.filter(|_| self.random.percent(40)) {
            replace.trigger = Some(Ticks(price + self.random.between(-6, 6)));
        } else if self.features.stops && self.random.percent(2) {
            replace.trigger = Some(Ticks(order.price));
        }
    }
}
