//! A taker: crosses the spread at random, now and then, and keeps its position within bounds.

use std::{collections::HashMap, sync::Arc, time::Duration};

use proto::common::v1::Side;
use tokio::time;

use super::{hit::Hitter, market::Market, random::Random, stop::Stop, tally::Tally};

/// Pause between two orders, in milliseconds.
const PAUSE_MILLIS: (i64, i64) = (30, 120);
/// Lots per order.
const LOTS: (i64, i64) = (1, 6);
/// Beyond this a taker only trades back.
const POSITION_LOTS_MAX: i64 = 40;
/// How far behind the best price the limit may be, in ticks: some orders miss.
const REACH_TICKS: (i64, i64) = (-2, 40);

/// Trades until stopped.
pub(super) async fn run(
    hitter: Hitter,
    market: Arc<Market>,
    tally: Arc<Tally>,
    mut random: Random,
    mut stop: Stop,
) {
    let mut positions: HashMap<usize, i64> = HashMap::new();
    while !stop.told() {
        let pause = random
            .between(PAUSE_MILLIS.0, PAUSE_MILLIS.1)
            .unsigned_abs();
        tokio::select! {
            () = stop.wait() => return,
            () = time::sleep(Duration::from_millis(pause)) => {}
        }
        if market.contracts.is_empty() {
            continue;
        }
        // Draw everything first: chance must not depend on what the market happens to show.
        let chosen = random.below(market.contracts.len());
        let coin = random.between(0, 1);
        let lots = random.between(LOTS.0, LOTS.1);
        let reach = random.between(REACH_TICKS.0, REACH_TICKS.1);

        let contract = &market.contracts[chosen];
        let quote = market.picture().quotes[chosen];
        let side = side(coin, positions.get(&chosen).copied().unwrap_or(0));
        let price = match side {
            Side::Buy => quote.ask.map(|(ask, _)| ask + reach),
            Side::Sell | Side::Unspecified => quote.bid.map(|(bid, _)| bid - reach),
        };
        let (Some(price), true) = (price, quote.trades()) else {
            continue;
        };
        let price = match quote.band {
            Some((low, high)) if low <= high => price.clamp(low, high),
            _ => price,
        };
        let lots = lots.clamp(contract.lots.0, contract.lots.1);
        let hit = hitter.hit(&tally, contract.id, side, lots, price).await;
        if let Some(position) = hit.position_lots {
            positions.insert(chosen, position);
        }
    }
}

/// A coin decides, unless the position is too large already.
fn side(coin: i64, position_lots: i64) -> Side {
    match position_lots {
        p if p >= POSITION_LOTS_MAX => Side::Sell,
        p if p <= -POSITION_LOTS_MAX => Side::Buy,
        _ if coin == 0 => Side::Buy,
        _ => Side::Sell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_position_is_traded_back() {
        assert_eq!(side(0, 0), Side::Buy);
        assert_eq!(side(1, 0), Side::Sell);
        assert_eq!(side(0, POSITION_LOTS_MAX), Side::Sell);
        assert_eq!(side(1, -POSITION_LOTS_MAX), Side::Buy);
    }
}
