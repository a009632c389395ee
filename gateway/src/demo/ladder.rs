//! From where the quotes should be to the fewest commands that bring them there.
//!
//! Orders are moved in place. Quotes that retreat go first and those that advance after them, so that a
//! maker's own bid never meets its own ask on the way.

use proto::common::v1::Side;

/// Moves smaller than this are not worth a command.
pub(super) const TOLERANCE_TICKS: i64 = 2;

/// One quote of a ladder, wished for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    pub(super) side: Side,
    /// 0 is the best price.
    pub(super) level: u8,
    pub(super) price: i64,
    pub(super) lots: i64,
}

/// One quote in the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) client_order_id: u64,
    pub(super) side: Side,
    pub(super) level: u8,
    pub(super) price: i64,
    pub(super) open: i64,
    pub(super) filled: i64,
}

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Take a quote out.
    Cancel(u64),
    /// Change a quote in place. `total` counts what is filled already.
    Move {
        client_order_id: u64,
        price: Option<i64>,
        total: Option<i64>,
    },
    /// Put a quote in.
    New(Rung),
}

/// Shape of a ladder, in parts per million of the value that it is measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) half_spread_ppm: i64,
    pub(super) step_ppm: i64,
    pub(super) levels: u8,
    pub(super) lots: i64,
}

/// A two-sided ladder around a fair value, inside the band, measured by `scale`: the value itself, or for
/// a spread, which may be worth nothing, something of its legs'. The centre is moved into the band first;
/// rungs that still fall out are left out.
pub(super) fn target(fair: i64, scale: i64, shape: Shape, band: Option<(i64, i64)>) -> Vec<Rung> {
    let part = |ppm: i64| scale.abs().saturating_mul(ppm) / 1_000_000;
    let half = part(shape.half_spread_ppm).max(TOLERANCE_TICKS);
    let step = part(shape.step_ppm).max(1);
    let (low, high) = band.unwrap_or((i64::MIN, i64::MAX));
    // A band narrower than the spread leaves room for one side at most; `max` before `min` is then safe.
    let centre = fair
        .max(low.saturating_add(half))
        .min(high.saturating_sub(half));
    let mut rungs = Vec::with_capacity(2 * usize::from(shape.levels));
    for level in 0..shape.levels {
        let away = half + step * i64::from(level);
        for (side, price) in [(Side::Buy, centre - away), (Side::Sell, centre + away)] {
            if (low..=high).contains(&price) {
                // Deeper rungs are larger, as in most books.
                let lots = shape.lots * (1 + i64::from(level));
                rungs.push(Rung {
                    side,
                    level,
                    price,
                    lots,
                });
            }
        }
    }
    rungs
}

/// The commands that turn the live quotes of one contract into the wished ones, in sending order.
pub(super) fn diff(live: &[Live], wished: &[Rung]) -> Vec<Action> {
    let mut retreats = Vec::new();
    let mut advances = Vec::new();
    for quote in live {
        let same = |r: &&Rung| r.side == quote.side && r.level == quote.level;
        let Some(rung) = wished.iter().find(same) else {
            retreats.push(Action::Cancel(quote.client_order_id));
            continue;
        };
        let moves = rung.price - quote.price;
        let price = (moves.abs() >= TOLERANCE_TICKS).then_some(rung.price);
        // A quote that is more than half eaten is filled up; that costs its place in the queue anyway.
        let total = (quote.open * 2 < rung.lots).then_some(quote.filled + rung.lots);
        if price.is_none() && total.is_none() {
            continue;
        }
        let action = Action::Move {
            client_order_id: quote.client_order_id,
            price,
            total,
        };
        let advancing = match quote.side {
            Side::Buy => moves > 0,
            Side::Sell | Side::Unspecified => moves < 0,
        };
        match advancing {
            true => advances.push(action),
            false => retreats.push(action),
        }
    }
    let missing = wished.iter().filter(|rung| {
        !live
            .iter()
            .any(|quote| quote.side == rung.side && quote.level == rung.level)
    });
    advances.extend(missing.copied().map(Action::New));
    retreats.extend(advances);
    retreats
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        half_spread_ppm: 1_000,
        step_ppm: 500,
        levels: 2,
        lots: 4,
    };

    fn live(client_order_id: u64, side: Side, level: u8, price: i64, open: i64) -> Live {
        Live {
            client_order_id,
            side,
            level,
            price,
            open,
            filled: 0,
        }
    }

    /// The ladder around 100000 as it rests in the book.
    fn resting() -> Vec<Live> {
        target(100_000, 100_000, SHAPE, None)
            .into_iter()
            .zip(1..)
            .map(|(r, id)| live(id, r.side, r.level, r.price, r.lots))
            .collect()
    }

    fn moved(client_order_id: u64, price: i64) -> Action {
        Action::Move {
            client_order_id,
            price: Some(price),
            total: None,
        }
    }

    #[test]
    fn a_ladder_has_two_sides_around_the_middle() {
        let rungs = target(100_000, 100_000, SHAPE, None);
        let prices: Vec<(Side, i64, i64)> =
            rungs.iter().map(|r| (r.side, r.price, r.lots)).collect();
        let expected = [
            (Side::Buy, 99_900, 4),
            (Side::Sell, 100_100, 4),
            (Side::Buy, 99_850, 8),
            (Side::Sell, 100_150, 8),
        ];
        assert_eq!(prices, expected);
    }

    #[test]
    fn the_band_holds_the_ladder() {
        // Fair value above the band: the centre comes down to where the best ask still fits.
        let rungs = target(100_000, 100_000, SHAPE, Some((80_000, 90_000)));
        assert!(rungs.iter().all(|r| (80_000..=90_000).contains(&r.price)));
        let asks: Vec<i64> = rungs
            .iter()
            .filter(|r| r.side == Side::Sell)
            .map(|r| r.price)
            .collect();
        assert_eq!(asks, [90_000]);
        // A band too narrow for the spread does not panic.
        assert!(target(100_000, 100_000, SHAPE, Some((99_990, 100_010))).len() < 4);
    }

    #[test]
    fn nothing_to_do_costs_nothing() {
        assert_eq!(diff(&resting(), &target(100_000, 100_000, SHAPE, None)), []);
        assert_eq!(diff(&resting(), &target(100_001, 100_001, SHAPE, None)), []);
    }

    #[test]
    fn going_up_moves_asks_first_and_going_down_bids() {
        let up = diff(&resting(), &target(100_010, 100_010, SHAPE, None));
        assert_eq!(
            up,
            [
                moved(2, 100_110),
                moved(4, 100_160),
                moved(1, 99_910),
                moved(3, 99_860)
            ]
        );
        let down = diff(&resting(), &target(99_990, 99_990, SHAPE, None));
        assert_eq!(
            down[..2],
            [moved(1, 99_891), moved(3, 99_842)],
            "bids retreat first"
        );
    }

    #[test]
    fn an_empty_book_is_filled_and_an_extra_quote_goes() {
        let wished = target(100_000, 100_000, SHAPE, None);
        let all_new: Vec<Action> = wished.iter().copied().map(Action::New).collect();
        assert_eq!(diff(&[], &wished), all_new);
        let extra = [live(9, Side::Sell, 5, 101_000, 4)];
        assert_eq!(diff(&extra, &[]), [Action::Cancel(9)]);
    }

    #[test]
    fn an_eaten_quote_is_filled_up_by_its_total() {
        let mut quotes = resting();
        quotes[0].open = 1;
        quotes[0].filled = 3;
        let expected = Action::Move {
            client_order_id: 1,
            price: None,
            total: Some(7),
        };
        assert_eq!(
            diff(&quotes, &target(100_000, 100_000, SHAPE, None)),
            [expected]
        );
        quotes[0].open = 2;
        quotes[0].filled = 2;
        assert_eq!(diff(&quotes, &target(100_000, 100_000, SHAPE, None)), []);
    }
}
