//! What the demo looks like: the picture and the counts as lines of text. No terminal in here.

use std::{fmt::Write as _, time::Duration};

use proto::common::v1::{Decimal, Side};

use super::{
    market::{Contract, Family, Picture},
    tally::{Counts, millis},
};
use crate::cli::amounts;

/// Width of the curve's longest bar.
const BAR: i64 = 36;

/// What one frame shows.
pub(super) struct Frame<'a> {
    pub(super) contracts: &'a [Contract],
    pub(super) picture: &'a Picture,
    pub(super) counts: &'a Counts,
    pub(super) acks_per_second: u64,
    pub(super) elapsed: Duration,
}

/// The whole screen.
pub(super) fn lines(frame: &Frame) -> Vec<String> {
    let mut lines = vec![format!(
        "HASHPIT   {}   {:>3} s",
        index(frame.picture),
        frame.elapsed.as_secs()
    )];
    figures(frame, &mut lines);
    lines.push(String::new());
    curve(frame, &mut lines);
    lines.push(String::new());
    spot(frame, &mut lines);
    lines.push(String::new());
    tape(frame, &mut lines);
    lines
}

fn index(picture: &Picture) -> String {
    let value = picture.index.map(|i| {
        // BTC with exponent -11 is satoshi with exponent -3.
        let sat = Decimal {
            mantissa: i.value.mantissa,
            exponent: i.value.exponent + 8,
        };
        amounts::decimal(&sat)
    });
    let day = match picture.day.as_str() {
        "" => "-",
        day => day,
    };
    format!(
        "hashprice of {day}: {} sat per PH/s per day",
        value.as_deref().unwrap_or("-")
    )
}

/// One bar per month; the bars start a little below the lowest price, so that the slope can be seen.
fn curve(frame: &Frame, lines: &mut Vec<String>) {
    lines.push(format!(
        "{:<12} {:>10} {:>10} {:>10} {:>8} {:>8}  forward curve",
        "month", "bid", "ask", "mark", "roll bid", "ask"
    ));
    let all = || frame.contracts.iter().zip(&frame.picture.quotes);
    let months: Vec<(&Contract, _)> = all()
        .filter(|(c, _)| c.family == Family::Month)
        .map(|(contract, quote)| {
            let middle = match (quote.bid, quote.ask) {
                (Some((bid, _)), Some((ask, _))) => Some(bid / 2 + ask / 2),
                (bid, ask) => bid.or(ask).map(|(price, _)| price),
            };
            (contract, (quote, quote.mark.or(middle), middle))
        })
        .collect();
    let heights = || {
        months
            .iter()
            .filter_map(|(_, (_, mark, middle))| middle.or(*mark))
    };
    let (low, high) = (heights().min().unwrap_or(0), heights().max().unwrap_or(0));
    for (contract, (quote, mark, middle)) in &months {
        // The spread that rolls this month into the next one.
        let rolls = |(of, _): &(&Contract, _)| {
            of.family == Family::Spread && of.legs.first().is_some_and(|leg| leg.0 == contract.id)
        };
        let roll = all().find(rolls).map(|(_, quote)| *quote);
        let roll = roll.unwrap_or_default();
        lines.push(format!(
            "{:<12} {:>10} {:>10} {:>10} {:>8} {:>8}  {}",
            contract.label(),
            amounts::optional(quote.bid.map(|b| b.0)),
            amounts::optional(quote.ask.map(|a| a.0)),
            amounts::optional(quote.mark),
            amounts::optional(roll.bid.map(|b| b.0)),
            amounts::optional(roll.ask.map(|a| a.0)),
            middle
                .or(*mark)
                .map_or(String::new(), |p| bar(p, low, high))
        ));
    }
    if months.is_empty() {
        lines.push("(no month is listed)".into());
    }
    for (contract, quote) in all().filter(|(c, _)| c.family == Family::Strip) {
        lines.push(format!(
            "{:<12} {:>10} {:>10} {:>10}",
            contract.label(),
            amounts::optional(quote.bid.map(|b| b.0)),
            amounts::optional(quote.ask.map(|a| a.0)),
            amounts::optional(quote.mark),
        ));
    }
}

/// A bar in eighths of a character: a fifth of the width is the floor, the rest shows the range.
fn bar(price: i64, low: i64, high: i64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let floor = BAR * 8 / 5;
    let range = i128::from(high - low).max(1);
    let above = i128::from(price - low) * i128::from(BAR * 8 - floor) / range;
    let eighths = (floor + above as i64).clamp(0, BAR * 8);
    let full = usize::try_from(eighths / 8).unwrap_or(0);
    let rest = usize::try_from(eighths % 8).unwrap_or(0);
    "█".repeat(full) + EIGHTHS[rest]
}

fn spot(frame: &Frame, lines: &mut Vec<String>) {
    lines.push("spot days".into());
    let all = frame.contracts.iter().zip(&frame.picture.quotes);
    let days = all.filter(|(c, _)| c.family == Family::Day);
    let before = lines.len();
    for (contract, quote) in days {
        lines.push(format!(
            "{:<12} {:>6} x {:>9} | {:<9} x {:<6}",
            contract.label(),
            amounts::optional(quote.bid.map(|b| b.1)),
            amounts::optional(quote.bid.map(|b| b.0)),
            amounts::optional(quote.ask.map(|a| a.0)),
            amounts::optional(quote.ask.map(|a| a.1)),
        ));
    }
    if lines.len() == before {
        lines.push("(no day is listed)".into());
    }
}

fn tape(frame: &Frame, lines: &mut Vec<String>) {
    lines.push("last trades".into());
    for trade in &frame.picture.trades {
        let side = match trade.aggressor {
            Side::Buy => "bought",
            Side::Sell => "sold",
            Side::Unspecified => "crossed",
        };
        lines.push(format!(
            "{:<26} {:>5} lots {side:<7} @ {:>9}",
            frame.contracts[trade.contract].symbol,
            amounts::grouped(trade.lots),
            amounts::grouped(trade.price)
        ));
    }
}

fn figures(frame: &Frame, lines: &mut Vec<String>) {
    let counts = frame.counts;
    lines.push(format!(
        "acks {}/s   order to durable ack: {}",
        grouped(frame.acks_per_second),
        percentiles(counts)
    ));
    lines.push(format!(
        "commands {}   acks {}   fills {}   trades {} (spreads {}, implied {})   lots {}",
        grouped(counts.orders),
        grouped(counts.acks),
        grouped(counts.fills),
        grouped(frame.picture.trade_count),
        grouped(frame.picture.combination_count),
        grouped(frame.picture.implied_count),
        amounts::grouped(frame.picture.volume_lots)
    ));
    lines.push(format!("rejects {}", rejects(counts)));
    lines.push(match counts.notice.as_str() {
        "" => String::new(),
        notice => format!("note: {notice}"),
    });
}

/// `p50 0.512 ms, p99 1.204 ms, p99.9 3.310 ms`.
pub(super) fn percentiles(counts: &Counts) -> String {
    if counts.ack_nanos.is_empty() {
        return "none yet".into();
    }
    let at = |quantile: f64| millis(counts.ack_nanos.value_at_quantile(quantile));
    format!("p50 {}, p99 {}, p99.9 {}", at(0.5), at(0.99), at(0.999))
}

/// `3 (RATE_LIMITED 2, POSITION_LIMIT 1)`, most frequent first.
pub(super) fn rejects(counts: &Counts) -> String {
    let total: u64 = counts.rejects.values().sum();
    let mut by_count: Vec<_> = counts.rejects.iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let list: Vec<String> = by_count
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    match list.is_empty() {
        true => "0".into(),
        false => format!("{} ({})", grouped(total), list.join(", ")),
    }
}

/// One line for logs.
pub(super) fn compact(frame: &Frame) -> String {
    let mut line = format!("{:>4} s  {}", frame.elapsed.as_secs(), index(frame.picture));
    let quotes = frame.contracts.iter().zip(&frame.picture.quotes);
    if let Some((contract, quote)) = quotes.into_iter().next() {
        let bid = amounts::optional(quote.bid.map(|b| b.0));
        let ask = amounts::optional(quote.ask.map(|a| a.0));
        // Writing to a String cannot fail.
        let _ = write!(line, "  {} {bid}/{ask}", contract.symbol);
    }
    let _ = write!(
        line,
        "  {} acks/s  {}  {} trades  rejects {}",
        grouped(frame.acks_per_second),
        percentiles(frame.counts),
        grouped(frame.picture.trade_count),
        rejects(frame.counts)
    );
    line
}

fn grouped(number: u64) -> String {
    amounts::grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{
        market::{IndexPoint, Printed, Quote},
        tally::Tally,
    };

    fn contract(symbol: &str, family: Family) -> Contract {
        Contract {
            id: 1,
            symbol: symbol.into(),
            family,
            tick: Decimal {
                mantissa: 1,
                exponent: -8,
            },
            days_out: 30,
            lots: (1, 100),
            legs: Vec::new(),
        }
    }

    fn picture() -> Picture {
        let quote = |bid, ask| Quote {
            bid: Some((bid, 5)),
            ask: Some((ask, 7)),
            mark: Some((bid + ask) / 2),
            ..Quote::default()
        };
        let mut picture = Picture {
            quotes: vec![
                quote(410_000, 411_000),
                quote(400_000, 401_000),
                quote(412_000, 412_500),
                quote(-350, -340),
            ],
            index: Some(IndexPoint {
                value: Decimal {
                    mantissa: 412_345_678,
                    exponent: -11,
                },
                round_id: 1,
            }),
            day: "2022-03-11".into(),
            ..Picture::default()
        };
        picture.trades.push_front(Printed {
            contract: 0,
            price: 411_000,
            lots: 3,
            aggressor: Side::Buy,
        });
        picture
    }

    #[test]
    fn a_frame_shows_curve_spot_tape_and_figures() {
        let contracts = [
            contract("BTC-FWD-2026-12", Family::Month),
            contract("BTC-FWD-2027-01", Family::Month),
            contract("BTC-SPOT-2026-11-23", Family::Day),
            Contract {
                legs: vec![(1, -1), (2, 1)],
                ..contract("BTC-SPREAD-2026-12-2027-01", Family::Spread)
            },
        ];
        let tally = Tally::new();
        tally.acked(Duration::from_micros(400));
        tally.rejected("RATE_LIMITED");
        let frame = Frame {
            contracts: &contracts,
            picture: &picture(),
            counts: &tally.read(),
            acks_per_second: 1_234,
            elapsed: Duration::from_secs(7),
        };
        let text = lines(&frame).join("\n");
        for part in [
            "hashprice of 2022-03-11: 412345.678 sat",
            "2026-12         410_000    411_000    410_500     -350     -340",
            "2026-11-23        5 x   412_000 | 412_500   x 7",
            "3 lots bought  @   411_000",
            "acks 1_234/s",
            "rejects 1 (RATE_LIMITED 1)",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(!compact(&frame).contains('\n'));
        assert!(compact(&frame).contains("BTC-FWD-2026-12 410_000/411_000"));
    }

    #[test]
    fn bars_show_the_range() {
        let width = |price| bar(price, 400_000, 410_000).chars().count();
        assert_eq!(width(410_000), BAR as usize);
        assert!(width(400_000) < width(405_000) && width(405_000) < width(410_000));
        assert_eq!(bar(5, 5, 5).chars().count(), (BAR as usize).div_ceil(5));
    }
}
