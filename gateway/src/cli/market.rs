//! `contracts` and `book`: what is traded, and at what prices.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use clap::Args;
use proto::{
    marketdata::v1::{
        BookSnapshot, CurvePoint, GetBookRequest, GetForwardCurveRequest, PriceLevel,
    },
    reference::v1::{Instrument, Leg},
};

use super::{
    Connection, amounts, names, print,
    table::{Align, Table},
};
use crate::client::{Client, ClientError};

/// Lists the contracts with their best prices.
#[derive(Args, Clone, Debug)]
pub struct Contracts {
    #[command(flatten)]
    connection: Connection,
    /// Only symbols that begin with this, such as BTC-FWD.
    prefix: Option<String>,
}

impl Contracts {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let (mut instruments, commodities) =
            tokio::try_join!(client.instruments(), client.commodities())?;
        let symbols: HashMap<i32, String> = instruments
            .iter()
            .map(|i| (i.instrument_id, i.symbol.clone()))
            .collect();
        // Of all contracts: a combination's mark is made of its legs' marks.
        let mut points = curves(&client, &instruments).await;
        if let Some(prefix) = &self.prefix {
            instruments.retain(|i| i.symbol.starts_with(prefix.as_str()));
        }
        for i in instruments.iter().filter(|i| !i.legs.is_empty()) {
            let point = combination(&client, i, &points).await;
            points.insert(i.instrument_id, point);
        }
        let units: HashMap<i32, (String, i64)> = commodities
            .into_iter()
            .map(|c| (c.commodity_id, (c.rate_unit, c.rate_unit_hashes_per_second)))
            .collect();
        let mut table = Table::new(&[
            ("symbol", Align::Left),
            ("id", Align::Right),
            ("state", Align::Left),
            ("tick", Align::Left),
            ("unit", Align::Left),
            ("lot", Align::Left),
            ("delivery", Align::Left),
            ("mark", Align::Right),
            ("bid", Align::Right),
            ("ask", Align::Right),
            ("legs", Align::Left),
        ]);
        for i in &instruments {
            let point = points.get(&i.instrument_id).copied().unwrap_or_default();
            table.row(vec![
                i.symbol.clone(),
                i.instrument_id.to_string(),
                names::state(i.state),
                tick(i),
                i.price_unit.clone(),
                lot(i, &units),
                window(i),
                amounts::optional(point.mark_ticks),
                amounts::optional(point.bid_ticks),
                amounts::optional(point.ask_ticks),
                legs(i, &symbols),
            ]);
        }
        print(&table.render("no contracts are listed"))?;
        Ok(())
    }
}

/// Prices of every product that has a curve. One call per product; what cannot be had stays blank, since
/// the list itself does not depend on it.
pub(super) async fn curves(
    client: &Client,
    instruments: &[Instrument],
) -> HashMap<i32, CurvePoint> {
    let products: BTreeSet<i32> = instruments.iter().map(|i| i.product_id).collect();
    let mut points = HashMap::new();
    for product_id in products {
        let request = GetForwardCurveRequest { product_id };
        if let Ok(answer) = client.market_data().get_forward_curve(request).await {
            let curve = answer.into_inner().curve.unwrap_or_default();
            points.extend(curve.points.into_iter().map(|p| (p.instrument_id, p)));
        }
    }
    points
}

/// Best prices and mark of a combination, which is on no curve; what cannot be had stays blank.
async fn combination(
    client: &Client,
    instrument: &Instrument,
    points: &HashMap<i32, CurvePoint>,
) -> CurvePoint {
    let request = GetBookRequest {
        instrument_id: instrument.instrument_id,
        depth_levels: 1,
    };
    let answer = client.market_data().get_book(request).await.ok();
    let book = answer.and_then(|answer| answer.into_inner().book);
    let book = book.unwrap_or_default();
    let best = |levels: &[PriceLevel]| levels.first().map(|level| level.price_ticks);
    CurvePoint {
        mark_ticks: mark(instrument, points),
        bid_ticks: best(&book.bids),
        ask_ticks: best(&book.asks),
        ..CurvePoint::default()
    }
}

/// Sum of the legs' marks, each with its sign.
fn mark(instrument: &Instrument, points: &HashMap<i32, CurvePoint>) -> Option<i64> {
    let of_leg = |leg: &Leg| {
        let mark = points.get(&leg.instrument_id)?.mark_ticks?;
        Some(i64::from(leg.ratio) * mark)
    };
    instrument.legs.iter().map(of_leg).sum()
}

/// What one lot bought turns into: `-BTC-FWD-2026-12 +BTC-FWD-2027-01`.
fn legs(instrument: &Instrument, symbols: &HashMap<i32, String>) -> String {
    let leg = |leg: &Leg| {
        let sign = if leg.ratio < 0 { '-' } else { '+' };
        match symbols.get(&leg.instrument_id) {
            Some(symbol) => format!("{sign}{symbol}"),
            None => format!("{sign}#{}", leg.instrument_id),
        }
    };
    let all: Vec<String> = instrument.legs.iter().map(leg).collect();
    all.join(" ")
}

/// Size of a tick in the price asset.
fn tick(instrument: &Instrument) -> String {
    instrument
        .tick_size
        .map_or_else(|| "-".into(), |size| amounts::decimal(&size))
}

fn lot(instrument: &Instrument, units: &HashMap<i32, (String, i64)>) -> String {
    let lot = instrument.lot_hashes_per_second;
    let in_unit = units
        .get(&instrument.commodity_id)
        .and_then(|(name, per_unit)| Some(format!("{} {name}", amounts::share(lot, *per_unit)?)));
    in_unit.unwrap_or_else(|| amounts::rate(lot))
}

fn window(instrument: &Instrument) -> String {
    match instrument.delivery_window {
        Some(w) if w.start_height != 0 => format!("blocks {}..={}", w.start_height, w.end_height),
        Some(w) => format!(
            "{}..{}",
            names::date(w.start_unix_nanos),
            names::date(w.end_unix_nanos)
        ),
        None => "-".into(),
    }
}

/// Shows both sides of a book.
#[derive(Args, Clone, Debug)]
pub struct Book {
    #[command(flatten)]
    connection: Connection,
    /// Contract, such as BTC-FWD-2026-12.
    symbol: String,
    /// Price levels per side.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=1000))]
    depth: i32,
}

impl Book {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let instrument = names::instrument(&client, &self.symbol).await?;
        let request = GetBookRequest {
            instrument_id: instrument.instrument_id,
            depth_levels: self.depth,
        };
        let answer = client
            .market_data()
            .get_book(request)
            .await
            .map_err(ClientError::from)?
            .into_inner();
        let book = answer.book.unwrap_or_default();
        let heading = format!(
            "{}  {}  tick {} ({})  change {}\n",
            instrument.symbol,
            names::state(instrument.state),
            tick(&instrument),
            instrument.price_unit,
            answer.seq
        );
        print(&(heading + &ladder(&book)))?;
        Ok(())
    }
}

/// Asks above, bids below, best prices in the middle, bars in proportion to the lots.
fn ladder(book: &BookSnapshot) -> String {
    const BAR: i64 = 24;
    let levels = || book.asks.iter().chain(&book.bids);
    let most = levels().map(|l| l.lots).max().unwrap_or(0).max(1);
    let mut table = Table::new(&[
        ("", Align::Left),
        ("price", Align::Right),
        ("lots", Align::Right),
        ("orders", Align::Right),
        ("", Align::Left),
    ]);
    let mut row = |side: &str, level: &PriceLevel| {
        let bar = (level.lots.saturating_mul(BAR) / most).clamp(1, BAR);
        table.row(vec![
            side.into(),
            amounts::grouped(level.price_ticks),
            amounts::grouped(level.lots),
            level.order_count.to_string(),
            "█".repeat(usize::try_from(bar).unwrap_or(1)),
        ]);
    };
    book.asks.iter().rev().for_each(|level| row("ask", level));
    book.bids.iter().for_each(|level| row("bid", level));
    let mut text = table.render("the book is empty");
    if let (Some(bid), Some(ask)) = (book.bids.first(), book.asks.first()) {
        let spread = ask.price_ticks - bid.price_ticks;
        text.push_str(&format!("spread {} ticks\n", amounts::grouped(spread)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combination_shows_its_legs_and_the_sum_of_their_marks() {
        let leg = |instrument_id, ratio| Leg {
            instrument_id,
            ratio,
        };
        let spread = Instrument {
            legs: vec![leg(8, -1), leg(9, 1)],
            ..Instrument::default()
        };
        let symbols = HashMap::from([(8, "BTC-FWD-2026-12".to_owned())]);
        assert_eq!(legs(&spread, &symbols), "-BTC-FWD-2026-12 +#9");
        let marked = |mark| CurvePoint {
            mark_ticks: Some(mark),
            ..CurvePoint::default()
        };
        let mut points = HashMap::from([(8, marked(42_400))]);
        assert_eq!(mark(&spread, &points), None);
        points.insert(9, marked(42_050));
        assert_eq!(mark(&spread, &points), Some(-350));
    }

    #[test]
    fn best_prices_meet_in_the_middle() {
        let level = |price_ticks, lots| PriceLevel {
            price_ticks,
            lots,
            order_count: 1,
        };
        let book = BookSnapshot {
            bids: vec![level(42_600, 10), level(42_500, 5)],
            asks: vec![level(42_700, 3), level(42_800, 8)],
            digest: 0,
        };
        let text = ladder(&book);
        let prices: Vec<&str> = text.lines().skip(1).map(str::trim_start).collect();
        assert!(prices[0].starts_with("ask  42_800"), "{text}");
        assert!(prices[1].starts_with("ask  42_700"), "{text}");
        assert!(prices[2].starts_with("bid  42_600"), "{text}");
        assert!(text.ends_with("spread 100 ticks\n"), "{text}");
        assert_eq!(ladder(&BookSnapshot::default()), "the book is empty\n");
    }
}
