//! A miner: sells its coming output month by month, in clips, to whoever bids.

use std::{sync::Arc, time::Duration};

use proto::common::v1::Side;
use tokio::time;

use super::{
    fair,
    hit::Hitter,
    market::{Family, Market},
    random::Random,
    stop::Stop,
    tally::Tally,
};

/// Pause between two clips, in milliseconds.
const PAUSE_MILLIS: (i64, i64) = (180, 420);
/// Lots per clip.
const CLIP_LOTS: (i64, i64) = (1, 4);
/// Output sold per month before the next month's turn; 1 lot is 1 PH/s.
const LOTS_PER_MONTH: i64 = 12;
/// A miner does not sell below this share of the index: it could mine instead.
const RESERVE_PERCENT: i64 = 85;

/// Sells until stopped.
pub(super) async fn run(
    hitter: Hitter,
    market: Arc<Market>,
    tally: Arc<Tally>,
    mut random: Random,
    mut stop: Stop,
) {
    let months = market.family(Family::Month);
    if months.is_empty() {
        return;
    }
    let mut month = 0;
    let mut sold = 0;
    while !stop.told() {
        let pause = random
            .between(PAUSE_MILLIS.0, PAUSE_MILLIS.1)
            .unsigned_abs();
        tokio::select! {
            () = stop.wait() => return,
            () = time::sleep(Duration::from_millis(pause)) => {}
        }
        let contract = &market.contracts[months[month]];
        let (quote, index) = {
            let picture = market.picture();
            (picture.quotes[months[month]], picture.index)
        };
        let clip = random
            .between(CLIP_LOTS.0, CLIP_LOTS.1)
            .clamp(contract.lots.0, contract.lots.1);
        let index = index.and_then(|i| fair::in_ticks(&i.value, &contract.tick));
        let (Some((bid, _)), Some(index), true) = (quote.bid, index, quote.trades()) else {
            continue;
        };
        if bid < index / 100 * RESERVE_PERCENT {
            continue;
        }
        let hit = hitter.hit(&tally, contract.id, Side::Sell, clip, bid).await;
        sold += hit.filled_lots;
        if sold >= LOTS_PER_MONTH || hit.filled_lots == 0 {
            // Sold out, or nobody wants it now: offer the next month.
            month = (month + 1) % months.len();
            sold = 0;
        }
    }
}
