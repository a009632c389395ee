//! Views against a naive client: one that applies deltas to plain maps, and a book that is recomputed.

use std::collections::BTreeMap;

use super::*;

/// A client, or the truth: price to level, per side.
type Plain = [BTreeMap<i64, Level>; 2];

fn apply(side: &mut BTreeMap<i64, Level>, levels: &[wire::PriceLevel]) {
    for level in levels {
        if level.lots == 0 {
            assert!(
                side.remove(&level.price_ticks).is_some(),
                "gone but unknown"
            );
        } else {
            let orders = u32::try_from(level.order_count).unwrap_or(0);
            let lots = level.lots;
            let before = side.insert(level.price_ticks, Level { lots, orders });
            assert_ne!(before, Some(Level { lots, orders }), "told twice");
        }
    }
}

fn best(truth: &Plain, limit: usize) -> Plain {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let bids = truth[0].iter().rev().take(limit);
    let asks = truth[1].iter().take(limit);
    [
        bids.map(|(price, level)| (*price, *level)).collect(),
        asks.map(|(price, level)| (*price, *level)).collect(),
    ]
}

fn naive_digest(shown: &Plain) -> u32 {
    let bids = shown[0].iter().rev().take(25);
    let asks = shown[1].iter().take(25);
    let bytes: Vec<u8> = bids
        .chain(asks)
        .flat_map(|(price, level)| [price.to_le_bytes(), level.lots.to_le_bytes()])
        .flatten()
        .collect();
    crc32c::crc32c(&bytes)
}

fn dice(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |sides| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    }
}

#[test]
fn the_clients_levels_are_always_the_best_ones() {
    for limit in [0, 1, 2, 5, 25, 60] {
        let mut roll = dice(limit as u64 + 1);
        let mut view = View::new(limit);
        let (mut truth, mut client) = (Plain::default(), Plain::default());
        for step in 0..4_000 {
            for _ in 0..=roll(4) {
                let buys = roll(2) == 0;
                let price = if buys {
                    940 + roll(60)
                } else {
                    1_000 + roll(60)
                };
                let price = i64::try_from(price).unwrap_or(0) - 970;
                let level = match roll(3) {
                    0 => GONE,
                    _ => Level {
                        lots: i64::try_from(roll(3)).unwrap_or(0) + 1,
                        orders: u32::try_from(roll(2)).unwrap_or(0) + 1,
                    },
                };
                let (side, half) = if buys {
                    (Side::Buy, 0)
                } else {
                    (Side::Sell, 1)
                };
                view.set(side, price, level);
                if level == GONE {
                    truth[half].remove(&price);
                } else {
                    truth[half].insert(price, level);
                }
            }
            if roll(3) == 0 {
                continue; // conflated
            }
            let before = client.clone();
            if let Some(delta) = view.changes() {
                apply(&mut client[0], &delta.bids);
                apply(&mut client[1], &delta.asks);
                assert_eq!(
                    delta.digest,
                    naive_digest(&client),
                    "limit {limit} step {step}"
                );
                assert_ne!(client, before, "limit {limit} step {step}: an empty delta");
            }
            assert_eq!(client, best(&truth, limit), "limit {limit} step {step}");
            if roll(100) == 0 {
                let shown = view.snapshot();
                client = Plain::default();
                apply(&mut client[0], &shown.bids);
                apply(&mut client[1], &shown.asks);
                assert_eq!(client, best(&truth, limit), "snapshot at step {step}");
                assert_eq!(shown.digest, naive_digest(&client));
            }
        }
    }
}

#[test]
fn the_digest_of_a_known_book() {
    let mut view = View::new(0);
    assert_eq!(view.digest(), 0, "nothing");
    view.set(Side::Buy, 99, Level { lots: 2, orders: 1 });
    view.set(Side::Sell, 101, Level { lots: 3, orders: 2 });
    let mut bytes = Vec::new();
    for number in [99_i64, 2, 101, 3] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    assert_eq!(view.digest(), crc32c::crc32c(&bytes));
    assert_eq!(
        crc32c::crc32c(b"123456789"),
        0xe306_9283,
        "CRC-32C, not CRC-32"
    );
}

#[test]
fn best_prices_of_empty_and_full_sides() {
    let mut view = View::new(1);
    view.set(Side::Buy, 0, Level { lots: 5, orders: 1 });
    view.set(Side::Buy, -3, Level { lots: 7, orders: 1 });
    let bbo = view.bbo();
    assert_eq!((bbo.bid_ticks, bbo.bid_lots), (Some(0), 5));
    assert_eq!((bbo.ask_ticks, bbo.ask_lots), (None, 0));
    view.set(Side::Buy, 0, GONE);
    assert_eq!(view.bbo().bid_ticks, Some(-3));
}
