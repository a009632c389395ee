//! MARGIN: rates and credit of families, from nothing but what was set, what is held and what day it is.

use std::collections::BTreeMap;

use engine::{
    command::{MarginMethod, Side},
    ids::{AccountId, AssetId, InstrumentId},
    instrument::Kind,
    margin::Ranges,
    reason::Reason,
    units::DAY,
};

use super::{Contract, Model, Order, money::up};

const MILLION: i128 = 1_000_000;

impl Model {
    pub(super) fn set_margin_method(&mut self, method: &MarginMethod) -> Result<(), Reason> {
        let ranges = &method.ranges;
        let (nine, one) = (0..=900_000, 0..=1_000_000);
        let fits = [ranges.price, ranges.difficulty]
            .into_iter()
            .chain([ranges.retarget_down, ranges.retarget_up])
            .all(|range| nine.contains(&range.0))
            && [ranges.fee_share, ranges.fees, ranges.extreme_counts]
                .into_iter()
                .chain([method.delivery, method.adjacent_credit])
                .all(|share| one.contains(&share.0))
            && (0..=method.adjacent_credit.0).contains(&method.other_credit.0);
        if !fits {
            return Err(Reason::InvalidField);
        }
        let key = (method.commodity.0, method.asset);
        self.methods.insert(key, method.clone());
        Ok(())
    }

    fn method(&self, contract: &Contract) -> Option<&MarginMethod> {
        let key = (contract.terms.commodity.0, contract.terms.price_asset);
        let is_forward = contract.terms.kind == Kind::Forward;
        self.methods.get(&key).filter(|_| is_forward)
    }

    /// MARGIN-01: rates in force, long and short.
    pub(super) fn margin_rates(&self, contract: &Contract) -> (i32, i32) {
        let margin = &contract.terms.margin;
        let floor = (margin.initial_buy.0, margin.initial_sell.0);
        let Some(method) = self.method(contract) else {
            return floor;
        };
        let today = self.now.div_euclid(DAY);
        let days = contract.terms.window.start.0.div_euclid(DAY) - today;
        let bucket = method.tenors.iter();
        let mut bucket = bucket.filter(|tenor| days.max(0) < i64::from(tenor.days));
        let bucket = bucket.next().or(method.tenors.last());
        let share = bucket.map_or(MILLION, |tenor| i128::from(tenor.share.0));
        let delivery = if days <= 0 { method.delivery.0 } else { 0 };
        let (long, short) = outcomes(&method.ranges, share);
        let rate = |outcome: i128, floor: i32| {
            let rate = i32::try_from(outcome).unwrap_or(0) + delivery;
            rate.min(1_000_000).max(floor)
        };
        (rate(long, floor.0), rate(short, floor.1))
    }

    /// MARGIN-05: margin of the lots of an account that no order of these can take away, by month; long, then
    /// short.
    fn sure<'a>(
        &self,
        account: AccountId,
        key: (u32, AssetId),
        orders: impl Iterator<Item = &'a Order> + Clone,
    ) -> BTreeMap<i64, (i128, i128)> {
        let mut months = BTreeMap::new();
        for (id, contract) in &self.contracts {
            let of_family = (contract.terms.commodity.0, contract.terms.price_asset) == key;
            if !of_family || contract.terms.kind != Kind::Forward {
                continue;
            }
            let net = self.stand(account, *id).net;
            let closes = match net {
                0.. => Side::Sell,
                _ => Side::Buy,
            };
            let open: i64 = orders
                .clone()
                .filter(|order| order.key.0 == account)
                .filter(|order| self.takes_away(order, *id) == Some(closes))
                .map(|order| order.open)
                .sum();
            let left = (net.abs() - open).max(0);
            let (long, short) = self.margin_rates(contract);
            let money = |ppm| contract.money.share_up(contract.mark, ppm) * i128::from(left);
            let month = months
                .entry(month_of(contract.terms.window.start.0))
                .or_insert((0, 0));
            match closes {
                Side::Sell => month.0 += money(long),
                Side::Buy => month.1 += money(short),
            }
        }
        months
    }

    /// On which side an order can change a position in a contract; orders of spreads take nothing away.
    fn takes_away(&self, order: &Order, id: InstrumentId) -> Option<Side> {
        if order.terms.instrument == id {
            return Some(order.terms.side);
        }
        let contract = &self.contracts[&order.terms.instrument];
        let legs = self.exposures(order);
        let side = legs
            .iter()
            .find(|(leg, _)| *leg == id)
            .map(|(_, side)| *side);
        side.filter(|_| contract.terms.kind != Kind::CalendarSpread)
    }

    /// MARGIN-05, with the orders as given.
    pub(super) fn credit_with<'a>(
        &self,
        account: AccountId,
        asset: AssetId,
        orders: impl Iterator<Item = &'a Order> + Clone,
    ) -> i128 {
        let families = self.methods.iter().filter(|((_, of), _)| *of == asset);
        families
            .map(|(key, method)| {
                let months = self.sure(account, *key, orders.clone());
                let near = nearest_first(&months);
                let long: i128 = months.values().map(|(long, _)| long).sum();
                let short: i128 = months.values().map(|(_, short)| short).sum();
                let far = long.min(short) - near;
                let adjacent = i128::from(method.adjacent_credit.0);
                let other = i128::from(method.other_credit.0);
                2 * (near * adjacent + far * other) / MILLION
            })
            .sum()
    }

    /// MARGIN-05.
    pub(crate) fn credit(&self, account: AccountId, asset: AssetId) -> i128 {
        self.credit_with(account, asset, self.orders.values())
    }
}

/// MARGIN-02: the largest fall and the largest rise, up.
fn outcomes(ranges: &Ranges, share: i128) -> (i128, i128) {
    let part = |range: i32| i128::from(range) * share / MILLION;
    let (mut fall, mut rise) = (0, 0);
    for (reach, counts) in [(1, MILLION), (2, i128::from(ranges.extreme_counts.0))] {
        for price in [-1, 0, 1] {
            for difficulty in [-1, 0, 1] {
                for fees in [-1, 0, 1] {
                    let retargets = [-ranges.retarget_down.0, 0, ranges.retarget_up.0];
                    for retarget in retargets.map(i128::from) {
                        let price = (MILLION + price * reach * part(ranges.price.0)).max(0);
                        let fees = fees * reach * part(ranges.fees.0);
                        let reward =
                            (MILLION * MILLION + i128::from(ranges.fee_share.0) * fees).max(0);
                        let harder = MILLION + difficulty * reach * part(ranges.difficulty.0);
                        let harder = harder.max(MILLION / 10);
                        let step = (MILLION + retarget).max(MILLION / 10);
                        // Worth before and after in one scale.
                        let (before, after) = (harder * step * MILLION, price * reward);
                        let fell = up((before - after) * MILLION, before);
                        let rose = up((after - before) * MILLION, before);
                        fall = fall.max(up(fell * counts, MILLION));
                        rise = rise.max(up(rose * counts, MILLION));
                    }
                }
            }
        }
    }
    (fall.min(MILLION), rise.min(MILLION))
}

/// The most that can be matched within a month or with the next, from the last month backwards.
fn nearest_first(months: &BTreeMap<i64, (i128, i128)>) -> i128 {
    let mut left = months.clone();
    let mut matched = 0;
    for month in months.keys().rev() {
        // What is left of the month behind goes first: no earlier month can reach it.
        let (behind_long, behind_short) = left.get(&(month + 1)).copied().unwrap_or((0, 0));
        let (long, short) = left[month];
        let (one, two) = (long.min(behind_short), short.min(behind_long));
        let (long, short) = (long - one, short - two);
        let within = long.min(short);
        matched += one + two + within;
        left.insert(*month, (long - within, short - within));
    }
    matched
}

/// Months since the beginning of 1970, by counting years and months.
fn month_of(moment: i64) -> i64 {
    let mut days = moment.div_euclid(DAY);
    let mut months = 0;
    for year in 1970.. {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let february = if leap { 29 } else { 28 };
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if days < length {
                return months;
            }
            days -= length;
            months += 1;
        }
    }
    months
}
