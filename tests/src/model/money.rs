//! MONEY: values, holds, requirements, balances, positions. Nothing is stored that can be computed.

use engine::{
    command::Side,
    ids::{AccountId, AssetId, InstrumentId, house},
    instrument::{Asset, Commodity, Terms},
    units::{DAY, Decimal, SECOND},
};

use super::{Contract, Model, Order, Position, WithdrawalState, combinations::sign};

const MILLION: i128 = 1_000_000;

/// Half to even.
#[must_use]
pub(super) fn half_even(top: i128, bottom: i128) -> i128 {
    let (whole, rest) = (top.div_euclid(bottom), top.rem_euclid(bottom));
    match (2 * rest).cmp(&bottom) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => whole + 1,
        std::cmp::Ordering::Equal => whole + whole.rem_euclid(2),
    }
}

/// Never less than the exact amount.
#[must_use]
pub(super) fn up(top: i128, bottom: i128) -> i128 {
    -((-top).div_euclid(bottom))
}

/// A decimal over another, half to even.
#[must_use]
pub(super) fn ratio(top: Decimal, bottom: Decimal) -> i128 {
    scaled_ratio(1, top, bottom)
}

/// `factor * top / bottom`, half to even.
#[must_use]
pub(super) fn scaled_ratio(factor: i128, top: Decimal, bottom: Decimal) -> i128 {
    let (mut above, mut below) = (
        factor * i128::from(top.mantissa),
        i128::from(bottom.mantissa),
    );
    for _ in bottom.exponent..top.exponent {
        above *= 10;
    }
    for _ in top.exponent..bottom.exponent {
        below *= 10;
    }
    half_even(above, below)
}

/// Money per tick and lot, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    numerator: i128,
    denominator: i128,
}

impl Arithmetic {
    /// From the terms: tick in minor units × lots of the rate unit × days of the window.
    #[must_use]
    pub(super) fn new(terms: &Terms, commodity: &Commodity, asset: &Asset) -> Self {
        let seconds = i128::from((terms.window.end.0 - terms.window.start.0) / SECOND);
        let mut numerator = i128::from(terms.tick_size.mantissa)
            * i128::from(terms.lot_hashes_per_second)
            * seconds;
        let mut denominator =
            i128::from(commodity.rate_unit_hashes_per_second) * i128::from(DAY / SECOND);
        for _ in 0..i32::try_from(asset.decimals).unwrap_or(0) + terms.tick_size.exponent {
            numerator *= 10;
        }
        for _ in i32::try_from(asset.decimals).unwrap_or(0) + terms.tick_size.exponent..0 {
            denominator *= 10;
        }
        let (mut divisor, mut rest) = (numerator, denominator);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        Self {
            numerator: numerator / divisor,
            denominator: denominator / divisor,
        }
    }

    /// MONEY-01: value of an exposure.
    #[must_use]
    pub(super) fn value(&self, exposure: i128) -> i128 {
        half_even(exposure * self.numerator, self.denominator)
    }

    /// MONEY-01: one lot up.
    #[must_use]
    pub(super) fn lot_up(&self, price: i64) -> i128 {
        up(i128::from(price.max(0)) * self.numerator, self.denominator)
    }

    /// MONEY-01: one lot's share up.
    #[must_use]
    pub(super) fn share_up(&self, price: i64, ppm: i32) -> i128 {
        let exact = i128::from(price.max(0)) * self.numerator * i128::from(ppm);
        up(exact, self.denominator * MILLION)
    }
}

impl Model {
    /// MONEY-04: (maker, taker) rate of an account in a contract.
    pub(crate) fn rates(&self, account: AccountId, contract: &Contract) -> (i128, i128) {
        let account = &self.accounts[&account];
        (
            i128::from(contract.terms.maker_fee.0) + account.maker_offset,
            i128::from(contract.terms.taker_fee.0) + account.taker_offset,
        )
    }

    /// MONEY-04: fees of the maker and the taker of a fill.
    pub(crate) fn fees(
        &self,
        contract: &Contract,
        maker: AccountId,
        taker: AccountId,
        value: i128,
    ) -> (i128, i128) {
        let taker_rate = self.rates(taker, contract).1;
        let maker_rate = self.rates(maker, contract).0.max(-taker_rate);
        (
            half_even(value * maker_rate, MILLION),
            half_even(value * taker_rate, MILLION),
        )
    }

    /// MONEY-07: hold of one open lot.
    fn lot_hold(&self, contract: &Contract, order: &Order) -> i128 {
        let (maker, taker) = self.rates(order.key.0, contract);
        let rate = maker.max(taker).max(0);
        let (money, price) = (&contract.money, order.hold_price());
        let base = match order.terms.side {
            Side::Buy => money.lot_up(price),
            Side::Sell => money.lot_up(price.max(contract.band().1)),
        };
        let fee = up(base * rate, MILLION);
        let loss = match (contract.is_forward(), order.terms.side) {
            (false, Side::Buy) => money.lot_up(price),
            (false, Side::Sell) => 0,
            (true, Side::Buy) => money.lot_up(price - contract.mark),
            (true, Side::Sell) => money.lot_up(contract.mark - price),
        };
        loss + fee
    }

    /// MONEY-08, with the orders as given.
    pub(crate) fn requirement_with<'a>(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        orders: impl Iterator<Item = &'a Order>,
    ) -> i128 {
        let contract = &self.contracts[&instrument];
        if contract.is_combination() {
            return 0;
        }
        let position = self.stand(account, instrument);
        let (mut open_buy, mut open_sell, mut buy_holds, mut sell_holds) = (0, 0, 0, 0);
        for order in orders {
            if order.key.0 != account {
                continue;
            }
            let (side, hold) = match self.hold_in_leg(order, instrument) {
                Some(in_leg) => in_leg,
                None if order.terms.instrument != instrument => continue,
                None => (order.terms.side, self.lot_hold(contract, order)),
            };
            let hold = hold * i128::from(order.open);
            match side {
                Side::Buy => (open_buy, buy_holds) = (open_buy + order.open, buy_holds + hold),
                Side::Sell => (open_sell, sell_holds) = (open_sell + order.open, sell_holds + hold),
            }
        }
        let margin = &contract.terms.margin;
        let share = |ppm: i32, lots: i64| {
            contract.money.share_up(contract.mark, ppm) * i128::from(lots.max(0))
        };
        if contract.is_forward() {
            let (long, short) = self.margin_rates(contract);
            let buys = share(long, position.net + open_buy) + buy_holds;
            let sells = share(short, open_sell - position.net) + sell_holds;
            buys.max(sells)
        } else {
            let bond = share(margin.delivery_bond.0, open_sell - position.net);
            position.owed.max(0) + buy_holds + sell_holds + bond
        }
    }

    /// MONEY-08.
    pub(crate) fn requirement(&self, account: AccountId, instrument: InstrumentId) -> i128 {
        self.requirement_with(account, instrument, self.orders.values())
    }

    /// Contracts paid in an asset.
    fn paid_in_asset(&self, asset: AssetId) -> impl Iterator<Item = (InstrumentId, &Contract)> {
        let all = self.contracts.iter().map(|(id, contract)| (*id, contract));
        all.filter(move |(_, contract)| contract.terms.price_asset == asset)
    }

    /// MONEY-02: spot requirements and pending withdrawals.
    pub(crate) fn held(&self, account: AccountId, asset: AssetId) -> i128 {
        let spots = self
            .paid_in_asset(asset)
            .filter(|(_, contract)| !contract.is_forward());
        let pending = self.withdrawals.iter().filter(|((of, _), withdrawal)| {
            *of == account && withdrawal.asset == asset && withdrawal.state != WithdrawalState::Over
        });
        spots
            .map(|(id, _)| self.requirement(account, id))
            .sum::<i128>()
            + pending
                .map(|(_, withdrawal)| i128::from(withdrawal.amount))
                .sum::<i128>()
    }

    /// MONEY-02: forward requirements, less credit (MARGIN-05).
    pub(crate) fn margin(&self, account: AccountId, asset: AssetId) -> i128 {
        let forwards = self
            .paid_in_asset(asset)
            .filter(|(_, contract)| contract.is_forward());
        let required: i128 = forwards.map(|(id, _)| self.requirement(account, id)).sum();
        required - self.credit(account, asset)
    }

    /// MONEY-06: result of one forward.
    fn result(contract: &Contract, position: &Position) -> i128 {
        let marked = i128::from(contract.mark) * i128::from(position.net);
        contract
            .money
            .value(position.realised + marked - position.cost)
    }

    /// MONEY-02: unsettled losses of all forwards, contract by contract.
    pub(crate) fn unsettled(&self, account: AccountId, asset: AssetId) -> i128 {
        let forwards = self
            .paid_in_asset(asset)
            .filter(|(_, contract)| contract.is_forward());
        forwards
            .map(|(id, contract)| Self::result(contract, &self.stand(account, id)).min(0))
            .sum()
    }

    /// MONEY-02: what may still be used.
    pub(crate) fn available(&self, account: AccountId, asset: AssetId) -> i128 {
        self.cash
            .get(&(account, asset))
            .copied()
            .unwrap_or_default()
            - self.held(account, asset)
            - self.margin(account, asset)
            + self.unsettled(account, asset)
    }

    /// Moves money between two accounts.
    pub(crate) fn pay(&mut self, from: AccountId, to: AccountId, asset: AssetId, amount: i128) {
        *self.cash.entry((from, asset)).or_default() -= amount;
        *self.cash.entry((to, asset)).or_default() += amount;
    }

    /// MONEY-05 and MONEY-06: one side of a fill.
    pub(crate) fn move_position(
        &mut self,
        account: AccountId,
        (instrument, side): (InstrumentId, Side),
        price: i64,
        lots: i64,
        value: i128,
    ) -> i64 {
        let position = self.positions.entry((account, instrument)).or_default();
        let direction = sign(side);
        let opposite = position.net.signum() == -direction;
        let closed = if opposite {
            lots.min(position.net.abs())
        } else {
            0
        };
        if closed > 0 {
            let (closed, net) = (i128::from(closed), i128::from(position.net.abs()));
            let removed = half_even(position.cost * closed, net);
            position.realised += -i128::from(price) * i128::from(direction) * closed - removed;
            position.cost -= removed;
        }
        position.cost += i128::from(price) * i128::from(direction * (lots - closed));
        position.net += direction * lots;
        position.owed += i128::from(direction) * value;
        position.net
    }

    /// MONEY-10: posts the day's result of one forward.
    pub(crate) fn settle_day(&mut self, instrument: InstrumentId) {
        let contract = self.contracts[&instrument].clone();
        let asset = contract.terms.price_asset;
        for account in self.accounts.keys().copied().collect::<Vec<_>>() {
            let Some(position) = self.positions.get_mut(&(account, instrument)) else {
                continue;
            };
            let result = Self::result(&contract, position);
            position.cost = i128::from(contract.mark) * i128::from(position.net);
            position.realised = 0;
            self.pay(house::ROUNDING, account, asset, result);
        }
    }

    /// MARK-05: how far from the newest daily fixing a book may take a mark.
    fn leash(&self, instrument: InstrumentId, new: Decimal) -> (i128, i128) {
        let contract = &self.contracts[&instrument];
        let held = self.is_held(instrument);
        let Some((anchor, then)) = contract.anchor.filter(|_| held) else {
            return (1, i128::from(engine::limits::MARK_TICKS));
        };
        let moved = scaled_ratio(i128::from(anchor), new, then).max(1);
        let margin = &contract.terms.margin;
        let initial = i128::from(margin.initial_buy.0.min(margin.initial_sell.0));
        let kept = i128::from(margin.maintenance_of_initial.0);
        let share = initial * (MILLION - kept) * MILLION / (MILLION * MILLION + initial * kept);
        let (low, high) = (moved.min(anchor.into()), moved.max(anchor.into()));
        (low - low * share / MILLION, high + high * share / MILLION)
    }

    /// Whether anybody has a position.
    pub(crate) fn is_held(&self, instrument: InstrumentId) -> bool {
        let mut held = self.positions.iter();
        held.any(|((_, of), position)| *of == instrument && position.net != 0)
    }

    /// MARK-02: new mark of a contract after its index moved.
    pub(crate) fn new_mark(
        &self,
        instrument: InstrumentId,
        old: Option<Decimal>,
        new: Decimal,
    ) -> i64 {
        let contract = &self.contracts[&instrument];
        let moved = if contract.is_forward() {
            let by_index = match old {
                Some(old) => scaled_ratio(i128::from(contract.mark), new, old),
                None => ratio(new, contract.terms.tick_size),
            };
            let by_index = by_index.max(1);
            // Enough on both sides to be meant: five times the smallest order.
            let enough = 5 * i128::from(contract.terms.limits.min_lots);
            let firm = |side| {
                let price = self.best(instrument, side)?;
                let (bids, asks) = self.book(instrument);
                let levels = if side == Side::Buy { bids } else { asks };
                let (_, lots, _) = levels.into_iter().find(|(at, _, _)| *at == price)?;
                (i128::from(lots) >= enough).then_some(i128::from(price))
            };
            let mid = firm(Side::Buy)
                .zip(firm(Side::Sell))
                .filter(|(bid, ask)| bid < ask)
                .map(|(bid, ask)| half_even(bid + ask, 2));
            let width = by_index * i128::from(contract.terms.limits.band_basis_points) / 10_000;
            let pull = 2 * width / 20;
            let pulled = mid.map_or(by_index, |mid| mid.clamp(by_index - pull, by_index + pull));
            let (low, high) = self.leash(instrument, new);
            pulled.clamp(low, high)
        } else {
            ratio(new, contract.terms.tick_size)
        };
        super::small(moved.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::{half_even, up};

    #[test]
    fn half_goes_to_the_even_neighbour() {
        let halves: Vec<i128> = (-5..=5).map(|top| half_even(top, 2)).collect();
        assert_eq!(halves, [-2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2]);
        assert_eq!([up(7, 2), up(-7, 2), up(8, 2), up(0, 2)], [4, -3, 4, 0]);
        assert_eq!(half_even(45_001, 240), 188);
    }
}
