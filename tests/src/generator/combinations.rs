//! Three months of one product, two rolls between them, one strip of all.

use engine::{
    command::{
        Command, OrderTerms, PostOnly, Pricing, SetTradingState, Side, StateScope, TimeInForce,
    },
    ids::{AccountId, AssetId, CommodityId, IndexId, InstrumentId},
    instrument::{Kind, Leg, Terms, TradingState, Volatility, Window},
    reason::Reason,
    units::{DAY, Lots, Nanos, Ppm, SECOND, Ticks},
};

use super::{
    Generator, START,
    setup::{Sheet, tick},
};
use crate::model::Model;

const PETA: i64 = 1_000_000_000_000_000;
/// Where the months begin, in days, and when the last ends.
const BEGINS: [i64; 4] = [0, 31, 59, 90];
/// The first month ends inside a long stream, and takes its combinations with it.
const HOURS: [i64; 6] = [13, 400, 400, 12, 400, 13];
/// Legs by their place among the months.
const LEGS: [&[(usize, i64)]; 3] = [
    &[(0, -1), (1, 1)],
    &[(1, -1), (2, 1)],
    &[(0, 1), (1, 1), (2, 1)],
];

impl Generator {
    /// Contracts 0 to 2 are the months, 3 and 4 the rolls, 5 the strip; then all of them open.
    pub(super) fn list_combinations(
        &mut self,
        step: usize,
        contracts: &[InstrumentId],
        (commodity, asset, index): (CommodityId, AssetId, IndexId),
    ) -> Option<Command> {
        if step >= 6 {
            let scope = StateScope::Instrument(*contracts.get(step - 6)?);
            return Some(Command::SetTradingState(self.request(SetTradingState {
                scope,
                target: TradingState::Open,
                reason: Reason::Operator,
                effective: Nanos(0),
                cancel_open_orders: false,
            })));
        }
        let sheet = Sheet {
            symbol: ["MON-1", "MON-2", "MON-3", "ROLL-1", "ROLL-2", "STRIP-1"][step],
            product: ["MON", "MON", "MON", "ROLL", "ROLL", "STRIP"][step],
            kind: match step {
                0..=2 => Kind::Forward,
                3 | 4 => Kind::CalendarSpread,
                _ => Kind::Strip,
            },
            asset: 0,
            tick: tick(1, -8),
            lot: PETA,
            seconds: 0,
            hours_to_last_trade: HOURS[step],
            min_lots: 1,
            max_notional: 31 * 54_000 * [1, 1, 1, 2, 2, 3][step],
            fees: [
                (-100, 300),
                (50, 250),
                (0, 300),
                (0, 100),
                (70, 130),
                (20, 200),
            ][step],
        };
        let mut terms = super::setup::terms(&sheet, commodity, asset, index);
        let start = terms.window.start.0;
        let days = |first: usize, last: usize| Window {
            start: Nanos(start + BEGINS[first] * DAY),
            end: Nanos(start + BEGINS[last + 1] * DAY),
        };
        match step.checked_sub(3).and_then(|at| LEGS.get(at)) {
            None => terms.window = days(step, step),
            Some(legs) => {
                terms.window = days(legs[0].0, legs[legs.len() - 1].0);
                let leg = |(month, ratio): &(usize, i64)| Leg {
                    instrument: contracts.get(*month).copied().unwrap_or_default(),
                    ratio: *ratio,
                };
                terms.legs = legs.iter().map(leg).collect();
            }
        }
        self.limits_of_combination(step, &mut terms);
        Some(Command::CreateInstrument(self.request(terms)))
    }

    fn limits_of_combination(&mut self, step: usize, terms: &mut Terms) {
        terms.limits.max_open_orders = if self.features.quotes { 9 } else { 6 };
        if step >= 3 {
            terms.limits.position_limit = 0;
            terms.limits.band_basis_points = [450, 500, 300][step - 3];
        } else if self.features.volatility && step != 1 {
            terms.volatility = Volatility {
                window_ms: 60_000,
                move_ppm: 4_000,
            };
        }
        debug_assert!(terms.last_trade.0 > START + SECOND, "it lives for a while");
    }

    /// Half of the stream is about combinations and their legs.
    pub(super) fn some_of_combinations(&mut self) -> Option<InstrumentId> {
        let six = self.contracts.len().checked_sub(6)?;
        if !self.features.combinations || !self.random.percent(60) {
            return None;
        }
        let alive: Vec<InstrumentId> = self.contracts[six..]
            .iter()
            .copied()
            .filter(|id| self.alive.contains(id))
            .collect();
        self.random.pick(&alive).copied()
    }

    /// What is made of the best prices on the other side, of other books and of this one.
    pub(super) fn implied_touch(
        &mut self,
        model: &Model,
        instrument: InstrumentId,
        side: Side,
    ) -> Option<i64> {
        if !self.features.combinations || !self.random.percent(45) {
            return None;
        }
        model.implied_touch(instrument, side)
    }

    /// Somebody who has the best order of a combination, mostly.
    pub(super) fn owner_in_combination(&mut self, model: &Model) -> Option<AccountId> {
        if !self.features.combinations || !self.random.percent(70) {
            return None;
        }
        let mut owners: Vec<AccountId> = Vec::new();
        for (id, contract) in &model.contracts {
            for side in [Side::Buy, Side::Sell] {
                let queue = model.queue(*id, side);
                let first = queue.first().filter(|_| contract.is_combination());
                owners.extend(first.map(|order| order.key.0));
            }
        }
        self.random.pick(&owners).copied()
    }

    /// COMBO-01: a combination with one thing wrong, or none; it stays closed either way.
    pub(super) fn list_badly(&mut self, model: &Model) -> Command {
        let listed = model.contracts.values();
        let listed: Vec<&Terms> = listed.map(|contract| &contract.terms).collect();
        let combined = listed.iter().filter(|terms| !terms.legs.is_empty());
        let combined: Vec<&Terms> = combined.copied().collect();
        let Some(mut terms) = self.random.pick(&combined).map(|terms| (*terms).clone()) else {
            return self.deposit();
        };
        self.client_ids += 1;
        terms.symbol = format!("NEW-{}", self.client_ids);
        let other = self.some_contract();
        match self.random.between(0, 17) {
            0 => terms.legs.truncate(1),
            1 => terms.legs = terms.legs.iter().cycle().take(13).copied().collect(),
            2 => terms.legs[0].instrument = other,
            3 => terms.legs[1].instrument = InstrumentId(99),
            4 => terms.legs.swap(0, 1),
            5 => terms.legs[0].ratio = -terms.legs[0].ratio,
            6 => terms.legs[1].ratio = 2,
            7 => terms.kind = Kind::Forward,
            8 => terms.product = "MON".into(),
            9 => terms.window.start.0 += DAY,
            10 => terms.window.end.0 -= DAY,
            11 => terms.last_trade.0 = START + 800 * 3_600 * SECOND,
            12 => terms.limits.position_limit = 100,
            13 => terms.limits.band_basis_points = 501,
            14 => terms.maker_fee = Ppm(-1),
            15 => {
                terms.volatility = Volatility {
                    window_ms: 60_000,
                    move_ppm: 4_000,
                };
            }
            16 => terms.legs[1].instrument = terms.legs[0].instrument,
            _ => terms.tick_size = tick(1, -9),
        }
        Command::CreateInstrument(self.request(terms))
    }

    /// Mostly what a combination can take.
    pub(super) fn suit_combination(&mut self, model: &Model, order: &mut OrderTerms) {
        let Some(contract) = model.contracts.get(&order.instrument) else {
            return;
        };
        if !contract.is_combination() || self.random.percent(8) {
            return;
        }
        order.reduce_only = false;
        order.trigger = None;
        order.lots = Lots(order.lots.0.min(20));
        if order.time_in_force == TimeInForce::AtAuction {
            order.time_in_force = TimeInForce::Gtc;
        }
        if let Pricing::Peg(peg) = order.pricing {
            order.pricing = Pricing::Limit(Ticks(peg.cap.0));
        }
        let takes = matches!(order.time_in_force, TimeInForce::Ioc | TimeInForce::Fok);
        if order.pricing == Pricing::Market && !takes {
            order.time_in_force = TimeInForce::Ioc;
        }
        if takes {
            order.post_only = PostOnly::No;
        }
    }
}
