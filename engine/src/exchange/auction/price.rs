//! The price of an auction (AUCTION-03): most volume, then smallest surplus, then the pressure side,
//! then nearest to the mark.

use bincode::{Decode, Encode};

use crate::units::{Lots, Ticks};

/// What an auction does, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Found {
    /// None if nothing crosses.
    pub price: Option<Ticks>,
    /// Volume at it.
    pub lots: Lots,
    /// Buying interest at it less selling interest.
    pub imbalance: Lots,
}

/// Ticks next to each other at which as much is bought and sold.
#[derive(Clone, Copy)]
struct Stretch {
    low: i64,
    high: i64,
    buys: i64,
    sells: i64,
}

impl Stretch {
    fn volume(&self) -> i64 {
        self.buys.min(self.sells)
    }

    fn surplus(&self) -> i64 {
        (self.buys - self.sells).abs()
    }
}

/// Decides. Levels of the crossed part, best first, with all their open lots.
pub(super) fn find(buys: &[(Ticks, i64)], sells: &[(Ticks, i64)], mark: Ticks) -> Found {
    let mut stretches = stretches(buys, sells);
    let Some(most) = stretches.iter().map(Stretch::volume).max() else {
        return Found::default();
    };
    stretches.retain(|stretch| stretch.volume() == most);
    let least = stretches.iter().map(Stretch::surplus).min();
    stretches.retain(|stretch| Some(stretch.surplus()) == least);
    // Demand falls and supply grows with the price, so that what is left is one run of ticks.
    let low = stretches.iter().map(|stretch| stretch.low).min();
    let high = stretches.iter().map(|stretch| stretch.high).max();
    let (Some(low), Some(high)) = (low, high) else {
        return Found::default();
    };
    let price = if stretches.iter().all(|stretch| stretch.buys > stretch.sells) {
        high
    } else if stretches.iter().all(|stretch| stretch.sells > stretch.buys) {
        low
    } else {
        mark.0.clamp(low, high)
    };
    let here = stretches
        .iter()
        .find(|stretch| (stretch.low..=stretch.high).contains(&price));
    Found {
        price: Some(Ticks(price)),
        lots: Lots(most),
        imbalance: Lots(here.map_or(0, |stretch| stretch.buys - stretch.sells)),
    }
}

/// All ticks from the best sell up to the best buy, in runs of equal interest.
fn stretches(buys: &[(Ticks, i64)], sells: &[(Ticks, i64)]) -> Vec<Stretch> {
    let mut prices: Vec<i64> = buys.iter().chain(sells).map(|(price, _)| price.0).collect();
    prices.sort_unstable();
    prices.dedup();
    let mut bought: i64 = buys.iter().map(|(_, lots)| lots).sum();
    let mut sold = 0;
    let (mut buys, mut sells) = (buys.iter().rev().peekable(), sells.iter().peekable());
    let mut stretches = Vec::new();
    let mut last: Option<i64> = None;
    for price in prices {
        // Between two limits: who bids the upper one still buys, who asks the lower one sells.
        if let Some(last) = last.filter(|last| last + 1 < price) {
            stretches.push(Stretch {
                low: last + 1,
                high: price - 1,
                buys: bought,
                sells: sold,
            });
        }
        while let Some((_, lots)) = sells.next_if(|(at, _)| at.0 <= price) {
            sold += lots;
        }
        stretches.push(Stretch {
            low: price,
            high: price,
            buys: bought,
            sells: sold,
        });
        while let Some((_, lots)) = buys.next_if(|(at, _)| at.0 <= price) {
            bought -= lots;
        }
        last = Some(price);
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_auction_of_the_worked_example() {
        // domain.md T-AUC.
        let buys = [(50_000, 10), (48_000, 20), (45_000, 30)];
        let sells = [(40_000, 15), (44_000, 20), (47_000, 40)];
        let ticks = |rows: [(i64, i64); 3]| rows.map(|(price, lots)| (Ticks(price), lots));
        let found = find(&ticks(buys), &ticks(sells), Ticks(40_000));
        assert_eq!(found.price, Some(Ticks(45_000)));
        assert_eq!((found.lots, found.imbalance), (Lots(35), Lots(25)));
        assert_eq!(find(&[], &[], Ticks(1)), Found::default());
    }
}
