//! What the calendar makes of listed months: a spread between each two neighbours, and the next whole
//! quarter as a strip.

use engine::{
    exchange::Exchange,
    instrument::{EntryLimits, Instrument, Kind, Leg, MarginTerms, Terms, Volatility, Window},
    units::{Ppm, Ticks},
};
use jiff::civil::Date;

use super::date_of;

/// Product whose months are combined.
const MONTHS: &str = "BTC-FWD";
/// First part of the combinations' symbols.
const COMMODITY: &str = "BTC";
/// Of each leg's value: a roll costs the taker what one month does.
const TAKER_FEE: Ppm = Ppm(75);

/// Spreads and strips that should be listed at a moment.
pub(super) fn due(exchange: &Exchange, now: i64) -> Vec<Terms> {
    let mut months: Vec<(Date, &Instrument)> = exchange
        .instruments()
        .iter()
        .filter(|contract| contract.terms.product == MONTHS && contract.terms.last_trade.0 > now)
        .filter_map(|contract| Some((date_of(contract.terms.window.start.0)?, contract)))
        .collect();
    months.sort_by_key(|(month, _)| *month);
    let spreads = months.windows(2).filter_map(|pair| match pair {
        [front, back] if follows(front.0, back.0) => {
            let symbol = format!("{COMMODITY}-SPREAD-{}-{}", label(front.0), label(back.0));
            Some(combined(symbol, Kind::CalendarSpread, pair))
        }
        _ => None,
    });
    let quarter = months.windows(3).find_map(|legs| match legs {
        [first, second, third]
            if (first.0.month() - 1) % 3 == 0
                && follows(first.0, second.0)
                && follows(second.0, third.0) =>
        {
            let number = (first.0.month() + 2) / 3;
            let symbol = format!("{COMMODITY}-STRIP-{:04}Q{number}", first.0.year());
            Some(combined(symbol, Kind::Strip, legs))
        }
        _ => None,
    });
    spreads.chain(quarter).collect()
}

fn label(month: Date) -> String {
    format!("{:04}-{:02}", month.year(), month.month())
}

/// Whether two months are neighbours.
fn follows(before: Date, after: Date) -> bool {
    let month = |date: Date| i32::from(date.year()) * 12 + i32::from(date.month());
    month(after) == month(before) + 1
}

/// A combination of these months, in their order. What its legs have in common it has too; money and
/// positions are theirs.
fn combined(symbol: String, kind: Kind, months: &[(Date, &Instrument)]) -> Terms {
    let (first, last) = (&months[0].1.terms, &months[months.len() - 1].1.terms);
    let shape = match kind {
        Kind::CalendarSpread => "SPREAD",
        _ => "STRIP",
    };
    let legs = months.iter().zip(0..).map(|((_, contract), place)| Leg {
        instrument: contract.id,
        ratio: if kind == Kind::CalendarSpread && place == 0 {
            -1
        } else {
            1
        },
    });
    Terms {
        symbol,
        kind,
        product: format!("{COMMODITY}-{shape}"),
        window: Window {
            start: first.window.start,
            end: last.window.end,
        },
        margin: MarginTerms {
            initial_buy: Ppm(0),
            initial_sell: Ppm(0),
            maintenance_of_initial: Ppm(0),
            delivery_bond: Ppm(0),
            concentration_lots: 0,
            concentration: Ppm(0),
        },
        limits: EntryLimits {
            position_limit: 0,
            ..first.limits
        },
        maker_fee: Ppm(0),
        taker_fee: TAKER_FEE,
        reference: Ticks(1),
        volatility: Volatility::default(),
        legs: legs.collect(),
        ..first.clone()
    }
}
