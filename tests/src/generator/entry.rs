//! Orders: near the touch, of every kind, and wrong in every way.

use engine::{
    command::{
        Cancel, Command, OrderTerms, Place, PostOnly, Pricing, Replace, SelfTrade, Side, Tag,
        Target, TimeInForce,
    },
    ids::{AccountId, InstrumentId, OrderId},
    units::{Lots, MILLISECOND, Nanos, SECOND, Ticks},
};

use super::Generator;
use crate::{
    model::{Model, Names, Order},
    rows::Key,
};

impl Generator {
    fn side(&mut self) -> Side {
        if self.random.percent(50) {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    /// Mostly within a few ticks of the touch, sometimes near the mark.
    fn price(&mut self, model: &Model, instrument: InstrumentId, side: Side) -> i64 {
        let mark = model.mark(instrument).unwrap_or(1_000);
        let touch = model
            .best(instrument, side.opposite())
            .or(model.best(instrument, side));
        let implied = self.implied_touch(model, instrument, side);
        let anchor = match implied.or(touch) {
            Some(price) if implied.is_some() => price,
            Some(price) if self.random.percent(80) => price,
            _ => mark,
        };
        // Positive = more aggressive.
        let push = self.random.between(-6, 5);
        match side {
            Side::Buy => anchor + push,
            Side::Sell => anchor - push,
        }
    }

    fn time_in_force(&mut self) -> TimeInForce {
        match self.random.between(0, 99) {
            0..=54 => TimeInForce::Gtc,
            55..=68 => TimeInForce::Ioc,
            69..=79 => TimeInForce::Fok,
            80..=89 => {
                let life = self.random.between(MILLISECOND, 100 * SECOND);
                TimeInForce::Gtd(Nanos(self.now + life))
            }
            _ => TimeInForce::Day,
        }
    }

    pub(super) fn terms(&mut self, model: &Model, account: AccountId) -> OrderTerms {
        let instrument = self.some_contract();
        let mut side = self.side();
        let net = model.position(account, instrument).net;
        let reduce_only = self.random.percent(14);
        // Reduce-only orders mostly point the right way.
        if reduce_only && net != 0 && self.random.percent(85) {
            side = if net > 0 { Side::Sell } else { Side::Buy };
        }
        let time_in_force = self.time_in_force();
        let takes_only = matches!(time_in_force, TimeInForce::Ioc | TimeInForce::Fok);
        let pricing = match takes_only && self.random.percent(30) {
            true => Pricing::Market,
            false => Pricing::Limit(Ticks(self.price(model, instrument, side))),
        };
        let modes = [
            SelfTrade::CancelResting,
            SelfTrade::CancelIncoming,
            SelfTrade::CancelBoth,
            SelfTrade::Decrement,
        ];
        self.client_ids += 1;
        let mut order = OrderTerms {
            client_order_id: self.client_ids,
            instrument,
            side,
            pricing,
            lots: Lots(match self.random.percent(80) {
                true => self.random.between(2, 20),
                false => self.random.between(2, 60),
            }),
            time_in_force,
            post_only: match self.random.between(0, 9) {
                0 if !takes_only => PostOnly::Reject,
                1 if !takes_only => PostOnly::Slide,
                _ => PostOnly::No,
            },
            reduce_only,
            self_trade: self.random.pick(&modes).copied().unwrap_or_default(),
            self_trade_group: match self.random.percent(40) {
                true => u32::try_from(self.random.between(1, 2)).unwrap_or(1),
                false => 0,
            },
            cancel_group: u32::try_from(self.random.between(0, 3)).unwrap_or(0),
            display: engine::units::Lots(0),
            min_fill: engine::units::Lots(0),
            trigger: None,
            mmp_group: 0,
            keep_on_disconnect: self.random.percent(20),
            tag: Tag::new(if self.random.percent(10) { "hello" } else { "" }).unwrap_or_default(),
        };
        self.dress(model, account, &mut order);
        self.suit_combination(model, &mut order);
        order
    }

    pub(super) fn place(&mut self, model: &Model) -> Command {
        let account = self.some_account();
        let mut origin = self.origin(model, account);
        let mut order = self.terms(model, account);
        if self.random.percent(18) {
            self.spoil(model, &mut order, &mut origin);
        }
        Command::Place(Place { origin, order })
    }

    /// One thing is wrong, or at the edge of being wrong.
    pub(super) fn spoil(
        &mut self,
        model: &Model,
        order: &mut OrderTerms,
        origin: &mut engine::command::Origin,
    ) {
        let contract = model.contracts.get(&order.instrument);
        let (low, high) = contract.map_or((950, 1_050), |contract| contract.band());
        let contents: Vec<_> = self.contents.iter().copied().collect();
        match self.random.between(0, 21) {
            0 => order.client_order_id = 0,
            1 | 2 => {
                // The same again: first result.
                if let Some((account, first)) = self.random.pick(&contents).copied() {
                    *order = first;
                    *origin = self.origin(model, account);
                }
            }
            3 => {
                if let Some((account, first)) = self.random.pick(&contents).copied() {
                    order.client_order_id = first.client_order_id;
                    *origin = self.origin(model, account);
                }
            }
            4 => order.instrument = InstrumentId(99),
            5 => {
                origin.account = AccountId(77_777);
                (origin.session, origin.login, origin.client_seq) = Default::default();
            }
            6 => {
                let prices = [0, -1, 1_000_000_000_001];
                let price = self.random.pick(&prices).copied().unwrap_or(0);
                order.pricing = Pricing::Limit(Ticks(price));
            }
            7 => {
                let sizes = [0, -3, 1, 61, 1_000_000_000, i64::MAX];
                order.lots = Lots(self.random.pick(&sizes).copied().unwrap_or(0));
            }
            8 | 9 => {
                let prices = [low - 1, low, high, high + 1, 1, 1_000_000_000_000];
                let price = self.random.pick(&prices).copied().unwrap_or(1);
                order.pricing = Pricing::Limit(Ticks(price));
            }
            10 => order.lots = Lots(self.random.between(50, 60)),
            11 => {
                order.pricing = Pricing::Market;
                order.time_in_force = self.time_in_force();
            }
            12 => {
                order.post_only = PostOnly::Slide;
                order.time_in_force = self.time_in_force();
            }
            13 => {
                order.post_only = PostOnly::Reject;
                order.time_in_force = TimeInForce::Fok;
            }
            14 => {
                let until = self.now - self.random.between(0, SECOND);
                order.time_in_force = TimeInForce::Gtd(Nanos(until));
            }
            15 => order.time_in_force = TimeInForce::Gtd(Nanos(self.now + 1)),
            16 | 17 => order.reduce_only = true,
            18 | 19 => {
                // Crosses, but must not take; at the edge of the band there may be no room to slide.
                let price = match order.side {
                    Side::Buy => high,
                    Side::Sell => low,
                };
                order.pricing = Pricing::Limit(Ticks(price));
                order.time_in_force = TimeInForce::Gtc;
                order.post_only = match self.random.percent(50) {
                    true => PostOnly::Slide,
                    false => PostOnly::Reject,
                };
            }
            20 => order.time_in_force = TimeInForce::Fok,
            _ => {
                order.pricing = Pricing::Market;
                order.time_in_force = TimeInForce::Ioc;
            }
        }
    }

    /// An open order mostly; sometimes one that ended, somebody else's, or none at all.
    fn target(
        &mut self,
        model: &Model,
        names: &Names,
        of: Option<AccountId>,
    ) -> (AccountId, Target, Option<Order>) {
        let account = of.unwrap_or_else(|| self.some_account());
        // Quotes change with their mass quote.
        let own: Vec<&Order> = model
            .orders
            .values()
            .filter(|order| order.key.0 == account && order.quote.is_none())
            .collect();
        let mut recent: Vec<Key> = self.recent.iter().copied().collect();
        recent.retain(|key| of.is_none_or(|of| key.0 == of));
        let order = self.random.pick(&own).map(|order| (**order).clone());
        let by_id = |key: &Key| names.ids.get(key).copied().map(Target::Order);
        match (self.random.between(0, 99), order) {
            (0..=74, Some(order)) => {
                let target = by_id(&order.key).filter(|_| self.random.percent(50));
                let target = target.unwrap_or(Target::Client(order.key.1));
                (account, target, Some(order))
            }
            (..=91, _) if !recent.is_empty() => {
                let key = self.random.pick(&recent).copied().unwrap_or_default();
                let target = by_id(&key).filter(|_| self.random.percent(50));
                (key.0, target.unwrap_or(Target::Client(key.1)), None)
            }
            (..=95, _) => {
                // Whose it is decides: another account's order is unknown.
                let key = self.random.pick(&recent).copied().unwrap_or_default();
                (account, by_id(&key).unwrap_or(Target::Client(key.1)), None)
            }
            (..=97, _) => (account, Target::Client(u64::MAX), None),
            _ => (account, Target::Order(OrderId(0x7fff_ffff)), None),
        }
    }

    /// None mostly, else the contract, else another one.
    fn named_contract(&mut self, order: Option<&Order>) -> InstrumentId {
        match self.random.between(0, 19) {
            0..=15 => InstrumentId::NONE,
            16 => self.some_contract(),
            _ => order.map_or(InstrumentId::NONE, |order| order.terms.instrument),
        }
    }

    pub(super) fn cancel(&mut self, model: &Model, names: &Names) -> Command {
        self.cancel_of(model, names, None)
    }

    /// Of this account, if one is named.
    pub(super) fn cancel_of(
        &mut self,
        model: &Model,
        names: &Names,
        of: Option<AccountId>,
    ) -> Command {
        let (account, target, order) = self.target(model, names, of);
        let instrument = self.named_contract(order.as_ref());
        let origin = self.origin(model, account);
        Command::Cancel(Cancel {
            origin,
            target,
            instrument,
        })
    }

    pub(super) fn replace(&mut self, model: &Model, names: &Names) -> Command {
        self.replace_of(model, names, None)
    }

    /// Of this account, if one is named.
    pub(super) fn replace_of(
        &mut self,
        model: &Model,
        names: &Names,
        of: Option<AccountId>,
    ) -> Command {
        let (account, target, order) = self.target(model, names, of);
        let mut replace = Replace {
            origin: self.origin(model, account),
            target,
            instrument: self.named_contract(order.as_ref()),
            price: None,
            lots: None,
            post_only: None,
            expire: None,
            display: None,
            trigger: None,
            reject_if_priority_lost: false,
        };
        let Some(order) = order else {
            replace.lots = Some(Lots(self.random.between(1, 20)));
            return Command::Replace(replace);
        };
        let instrument = order.terms.instrument;
        match self.random.between(0, 29) {
            // Only less.
            0..=6 => {
                let lots = self
                    .random
                    .between(order.filled + 1, order.total.max(order.filled + 1));
                replace.lots = Some(Lots(lots));
                if self.random.percent(20) {
                    replace.price = Some(Ticks(order.price));
                }
            }
            // Not above what was filled.
            7 => replace.lots = Some(Lots(self.random.between(0, order.filled))),
            8..=11 => replace.lots = Some(Lots(order.total + self.random.between(0, 10))),
            12..=21 => {
                replace.price = Some(Ticks(self.price(model, instrument, order.terms.side)));
                if self.random.percent(40) {
                    let most = (order.filled + 1).max(order.total + 5);
                    let lots = self.random.between(order.filled + 1, most);
                    replace.lots = Some(Lots(lots));
                }
            }
            22 | 23 => {
                let contract = model.contracts.get(&instrument);
                let (low, high) = contract.map_or((1, 2), |contract| contract.band());
                let prices = [low - 1, low, high, high + 1, 0];
                replace.price = Some(Ticks(self.random.pick(&prices).copied().unwrap_or(0)));
            }
            24 | 25 => replace.expire = Some(Nanos(self.now + self.random.between(-3, SECOND))),
            26 => {
                let lots = [61, 1_000_000_000, order.total + 40];
                replace.lots = Some(Lots(self.random.pick(&lots).copied().unwrap_or(61)));
            }
            _ => {}
        }
        if self.random.percent(15) {
            let settings = [PostOnly::No, PostOnly::Reject, PostOnly::Slide];
            replace.post_only = self.random.pick(&settings).copied();
        }
        self.redress(&order, &mut replace);
        // Nobody needs other wishes beside a total that is filled already, but they come.
        let filled = replace.lots.is_some_and(|lots| lots.0 <= order.filled);
        if filled && self.random.percent(70) {
            (replace.price, replace.post_only, replace.expire) = (None, None, None);
            (replace.display, replace.trigger) = (None, None);
        }
        replace.reject_if_priority_lost = self.random.percent(10);
        Command::Replace(replace)
    }
}
