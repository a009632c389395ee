//! Scenario margin: what the hashprice may do to a position before somebody could close it.
//!
//! A hashprice is the reward of a block over the hashes it takes, so its move is
//! `(1 + price) · (1 + share · fees) / ((1 + difficulty) · (1 + retarget)) − 1`: the coin's price in the pay
//! asset, the part of the reward that is fees, the growth of difficulty, and the next retarget. Each factor
//! stays or goes to an end of its range, in every combination, and the worst outcome for each side is its
//! rate; twice the ranges count with a share of their outcome. Nothing between the ends is looked at: each
//! factor moves the hashprice one way, and a forward is worth so many times the hashprice, so no position in
//! it is worst off in the middle.
//! Source: hashrate reference, section 11 (parameters) and 7 (formula).

use bincode::{Decode, Encode};

use crate::units::{Minor, PPM, Ppm};

/// A whole, in parts per million.
const ONE: i128 = PPM;
/// A factor falls to a tenth at most: twice a wide range would take it below nothing.
const LEAST: i128 = ONE / 10;
/// Where a factor may be in its range.
const ENDS: std::ops::RangeInclusive<i128> = -1..=1;

/// How far each factor of a hashprice may go, parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Ranges {
    /// The coin's price in the pay asset, both ways; 0 where the coin itself pays. 0 ..= 900,000.
    pub price: Ppm,
    /// Growth of difficulty, both ways. 0 ..= 900,000.
    pub difficulty: Ppm,
    /// Part of the reward that is fees. 0 ..= 1,000,000.
    pub fee_share: Ppm,
    /// How far fees may go, both ways. 0 ..= 1,000,000.
    pub fees: Ppm,
    /// The next retarget makes mining easier by this. 0 ..= 900,000.
    pub retarget_down: Ppm,
    /// The next retarget makes mining harder by this. 0 ..= 900,000.
    pub retarget_up: Ppm,
    /// How much of the outcome of twice the ranges counts; 0 = they are not looked at. 0 ..= 1,000,000.
    pub extreme_counts: Ppm,
}

impl Ranges {
    /// A share of price, difficulty and fee ranges; without the retarget unless it is near.
    #[must_use]
    pub fn scaled(self, share: Ppm, retarget_near: bool) -> Self {
        let part = |range: Ppm| {
            let exact = i64::from(range.0) * i64::from(share.0) / 1_000_000;
            Ppm(i32::try_from(exact).unwrap_or(range.0))
        };
        let step = |range| if retarget_near { range } else { Ppm(0) };
        Self {
            price: part(self.price),
            difficulty: part(self.difficulty),
            fees: part(self.fees),
            retarget_down: step(self.retarget_down),
            retarget_up: step(self.retarget_up),
            ..self
        }
    }
}

/// One outcome: how far each factor went, and what that did. Parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// Price of the coin.
    pub price: i32,
    /// Difficulty.
    pub difficulty: i32,
    /// Fees.
    pub fees: i32,
    /// Retarget.
    pub retarget: i32,
    /// Twice the ranges, counted in part.
    pub extreme: bool,
    /// What the hashprice loses for a long or gains against a short, as it counts. 0 ..= 1,000,000.
    pub rate: Ppm,
}

/// The worst outcome for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worst {
    /// For who is long.
    pub long: Scenario,
    /// For who is short.
    pub short: Scenario,
}

/// The worst outcomes within ranges. Of equals the first counts: price, difficulty, fees, retarget, each from
/// its lower end.
#[must_use]
pub fn worst(ranges: &Ranges) -> Worst {
    let mut worst = Worst::default();
    for extreme in [false, true] {
        if extreme && ranges.extreme_counts.0 == 0 {
            break;
        }
        let reach = if extreme { 2 } else { 1 };
        for price in ENDS {
            for difficulty in ENDS {
                for fees in ENDS {
                    for retarget in [-ranges.retarget_down.0, 0, ranges.retarget_up.0] {
                        let moves = Moves {
                            price: price * reach * i128::from(ranges.price.0),
                            difficulty: difficulty * reach * i128::from(ranges.difficulty.0),
                            fees: fees * reach * i128::from(ranges.fees.0),
                            retarget: retarget.into(),
                        };
                        worst.consider(ranges, &moves, extreme);
                    }
                }
            }
        }
    }
    worst
}

#[derive(Clone, Copy)]
struct Moves {
    price: i128,
    difficulty: i128,
    fees: i128,
    retarget: i128,
}

impl Worst {
    fn consider(&mut self, ranges: &Ranges, moves: &Moves, extreme: bool) {
        let share = i128::from(ranges.fee_share.0);
        // In parts per million of a millionth: nothing is lost before the division.
        let reward = (ONE * ONE + share * moves.fees).max(0);
        let price = (ONE + moves.price).max(0);
        let harder = (ONE + moves.difficulty).max(LEAST);
        let step = (ONE + moves.retarget).max(LEAST);
        let (top, bottom) = (price * reward * ONE, harder * step * ONE);
        // Against whoever holds the position: up for both sides.
        let lost = ONE - top.div_euclid(bottom);
        let gained = -(-top).div_euclid(bottom) - ONE;
        let counted = |outcome: i128| {
            let counts = i128::from(ranges.extreme_counts.0);
            let outcome = match extreme {
                true => -(-outcome * counts).div_euclid(ONE),
                false => outcome,
            };
            Ppm(i32::try_from(outcome.clamp(0, ONE)).unwrap_or(0))
        };
        let narrow = |part: i128| i32::try_from(part).unwrap_or(0);
        for (side, outcome) in [(&mut self.long, lost), (&mut self.short, gained)] {
            let rate = counted(outcome);
            if rate.0 > side.rate.0 {
                *side = Scenario {
                    price: narrow(moves.price),
                    difficulty: narrow(moves.difficulty),
                    fees: narrow(moves.fees),
                    retarget: narrow(moves.retarget),
                    extreme,
                    rate,
                };
            }
        }
    }
}

/// A rate for days of which some come after a known step: those count with the larger of the rate and the
/// step. Rounded up.
#[must_use]
pub fn across_a_step(rate: Ppm, step: Ppm, days_before: i64, days_after: i64) -> Ppm {
    let all = i128::from(days_before) + i128::from(days_after);
    if all <= 0 {
        return rate;
    }
    let after = i128::from(rate.0.max(step.0)) * i128::from(days_after);
    let sum = i128::from(rate.0) * i128::from(days_before) + after;
    Ppm(i32::try_from(-(-sum).div_euclid(all)).unwrap_or(rate.0))
}

/// The most long and short margin that can be matched, month by month (MARGIN-05).
#[derive(Clone, Copy, Debug, Default)]
pub struct Matching {
    month: u32,
    /// Of the present month.
    long: i128,
    short: i128,
    /// Left of the month before, negative if short.
    carried: i128,
    all_long: i128,
    all_short: i128,
    /// Matched within a month or with the next.
    near: i128,
}

impl Matching {
    /// Margin in a month, negative for a short. Months must come in order.
    pub fn add(&mut self, month: u32, margin: Minor) {
        if month != self.month {
            self.turn(month);
        }
        let margin = i128::from(margin.0);
        if margin > 0 {
            self.long += margin;
            self.all_long += margin;
        } else {
            self.short -= margin;
            self.all_short -= margin;
        }
    }

    /// What is left of the month before goes first: it has no later chance.
    fn turn(&mut self, month: u32) {
        let with_former = if self.carried > 0 {
            let matched = self.carried.min(self.short);
            self.short -= matched;
            matched
        } else {
            let matched = (-self.carried).min(self.long);
            self.long -= matched;
            matched
        };
        let within = self.long.min(self.short);
        self.near += with_former + within;
        let left = self.long - self.short;
        self.carried = if month == self.month + 1 { left } else { 0 };
        (self.month, self.long, self.short) = (month, 0, 0);
    }

    /// Credit at the rates for near and for far matches, rounded down.
    #[must_use]
    pub fn credit(mut self, (adjacent, other): (Ppm, Ppm)) -> Minor {
        self.turn(0);
        let all = self.all_long.min(self.all_short);
        let (adjacent, other) = (i128::from(adjacent.0), i128::from(other.0));
        let credit = 2 * (self.near * adjacent + (all - self.near) * other) / PPM;
        Minor(i64::try_from(credit).unwrap_or(i64::MAX / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges() -> Ranges {
        Ranges {
            difficulty: Ppm(120_000),
            fee_share: Ppm(50_000),
            fees: Ppm(400_000),
            ..Ranges::default()
        }
    }

    #[test]
    fn a_long_loses_when_mining_gets_harder_and_fees_dry_up() {
        let worst = worst(&ranges());
        // 0.98 / 1.12 = 0.875: a long loses 12.5 %; 1.02 / 0.88 = 1.159091: a short 15.9091 %, up.
        assert_eq!(worst.long.rate, Ppm(125_000));
        assert_eq!(
            (worst.long.difficulty, worst.long.fees),
            (120_000, -400_000)
        );
        assert_eq!(worst.short.rate, Ppm(159_091));
        assert_eq!(
            (worst.short.difficulty, worst.short.fees),
            (-120_000, 400_000)
        );
    }

    #[test]
    fn a_retarget_counts_when_it_is_near() {
        let ranges = Ranges {
            retarget_down: Ppm(80_000),
            retarget_up: Ppm(140_000),
            ..ranges()
        };
        let far = worst(&ranges.scaled(Ppm(1_000_000), false));
        assert_eq!(far.long.rate, Ppm(125_000));
        // 0.98 / (1.12 · 1.14) = 0.767543...
        let near = worst(&ranges.scaled(Ppm(1_000_000), true));
        assert_eq!(near.long.rate, Ppm(232_457));
        assert_eq!(near.long.retarget, 140_000);
        // 1.02 / (0.88 · 0.92) = 1.259881...
        assert_eq!(near.short.rate, Ppm(259_882));
    }

    #[test]
    fn twice_a_wide_range_counts_in_part_and_never_beyond_the_whole_value() {
        let wide = Ranges {
            difficulty: Ppm(400_000),
            extreme_counts: Ppm(350_000),
            ..Ranges::default()
        };
        let worst = worst(&wide);
        // 1 / 0.6 gains 66.7 %; 1 / 0.2 gains 400 %, of which 35 % are more than the whole value.
        assert_eq!(worst.short.rate, Ppm(1_000_000));
        assert!(worst.short.extreme);
        assert_eq!(worst.long.rate, Ppm(285_715));
        assert!(!worst.long.extreme);
    }

    #[test]
    fn what_has_no_later_chance_is_matched_first() {
        let mut matching = Matching::default();
        // 10 long in May, 10 short and 10 long in June, 10 short in July: all of it is near.
        for (month, margin) in [(5, 10), (6, -10), (6, 10), (7, -10)] {
            matching.add(month, Minor(margin * 1_000));
        }
        assert_eq!(matching.credit((Ppm(700_000), Ppm(400_000))), Minor(28_000));
        // Two months apart is far.
        let mut apart = Matching::default();
        apart.add(5, Minor(10_000));
        apart.add(7, Minor(-4_000));
        assert_eq!(apart.credit((Ppm(700_000), Ppm(400_000))), Minor(3_200));
    }

    #[test]
    fn days_after_a_halving_count_with_the_halving() {
        // Ten of thirty days lie after it: (20 · 18 % + 10 · 48 %) / 30.
        assert_eq!(
            across_a_step(Ppm(180_000), Ppm(480_000), 20, 10),
            Ppm(280_000)
        );
        assert_eq!(
            across_a_step(Ppm(180_000), Ppm(100_000), 20, 10),
            Ppm(180_000)
        );
    }
}
