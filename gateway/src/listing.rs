//! The listing calendar: keeps the next spot days and the forward months listed, and what is made of them.
//!
//! It only decides what is missing today and sends ordinary journaled commands, so a replay needs no
//! calendar.

use std::time::Duration;

use engine::{
    command::{Command, SetTradingState, StateScope},
    ids::{AssetId, CommodityId, IndexId, InstrumentId},
    instrument::{EntryLimits, Kind, MarginTerms, Terms, TradingState, Window},
    reason::Reason,
    units::{Decimal, Nanos, Ppm, SECOND, Ticks},
};
use jiff::{ToSpan, civil::Date, tz::TimeZone};

use crate::{
    desk::Desk,
    sandbox::{BTC, USDC, request, send},
};

mod combinations;
mod forwards;

/// Spot days listed ahead.
const SPOT_DAYS: i32 = 7;
/// Forward months of BTC hashrate listed ahead.
const BTC_MONTHS: i32 = 12;
/// Forward months of the other commodities.
const OTHER_MONTHS: i32 = 3;
/// Trading in a spot day ends this long before delivery.
const SPOT_CLOSE: i64 = 3_600 * SECOND;
/// How often the calendar looks.
const LOOK: Duration = Duration::from_secs(60);

/// Weeks of BTC hashrate listed ahead, Monday to Monday.
const BTC_WEEKS: i32 = 2;

/// How a product is listed.
struct Product {
    commodity: &'static str,
    /// Last part of the symbols, where the commodity is quoted in another money than its own.
    suffix: &'static str,
    index: &'static str,
    asset: AssetId,
    tick_size: (i64, i32),
    price_unit: &'static str,
    lot: i64,
    spot_lot: Option<i64>,
    months: i32,
    weeks: i32,
    /// Balance of month, quarters and the next year too.
    quarters: bool,
    initial_margin: i32,
}

/// Ticks and lots of domain.md section 2, margins of section 11.
const PRODUCTS: [Product; 7] = [
    Product {
        commodity: "BTC",
        suffix: "",
        index: "BTC-HASHPRICE-SAT",
        asset: BTC,
        tick_size: (1, -8),
        price_unit: "sat per PH/s per day",
        lot: 1_000_000_000_000_000,
        spot_lot: Some(100_000_000_000_000),
        months: BTC_MONTHS,
        weeks: BTC_WEEKS,
        quarters: true,
        initial_margin: 180_000,
    },
    Product {
        commodity: "BTC",
        suffix: "-USD",
        index: "BTC-HASHPRICE-USD",
        asset: USDC,
        tick_size: (1, -2),
        price_unit: "0.01 USD per PH/s per day",
        lot: 1_000_000_000_000_000,
        spot_lot: None,
        months: BTC_MONTHS,
        weeks: 0,
        quarters: false,
        initial_margin: 350_000,
    },
    Product {
        commodity: "BCH",
        suffix: "",
        index: "BCH-HASHPRICE-SAT",
        asset: BTC,
        tick_size: (1, -8),
        price_unit: "sat per PH/s per day",
        lot: 1_000_000_000_000_000,
        spot_lot: None,
        months: OTHER_MONTHS,
        weeks: 0,
        quarters: false,
        initial_margin: 180_000,
    },
    Product {
        commodity: "LTC-DOGE",
        suffix: "",
        index: "LTC-DOGE-HASHPRICE-SAT",
        asset: BTC,
        tick_size: (1, -9),
        price_unit: "0.1 sat per GH/s per day",
        lot: 10_000_000_000,
        spot_lot: None,
        months: OTHER_MONTHS,
        weeks: 0,
        quarters: false,
        initial_margin: 180_000,
    },
    Product {
        commodity: "KAS",
        suffix: "",
        index: "KAS-HASHPRICE-SAT",
        asset: BTC,
        tick_size: (1, -10),
        price_unit: "0.01 sat per TH/s per day",
        lot: 10_000_000_000_000,
        spot_lot: None,
        months: OTHER_MONTHS,
        weeks: 0,
        quarters: false,
        initial_margin: 180_000,
    },
    Product {
        commodity: "ETC",
        suffix: "",
        index: "ETC-HASHPRICE-SAT",
        asset: BTC,
        tick_size: (1, -8),
        price_unit: "sat per GH/s per day",
        lot: 10_000_000_000,
        spot_lot: None,
        months: OTHER_MONTHS,
        weeks: 0,
        quarters: false,
        initial_margin: 180_000,
    },
    Product {
        commodity: "H100",
        suffix: "",
        index: "H100-HOUR-USD",
        asset: USDC,
        tick_size: (24, -3),
        price_unit: "0.001 USD per GPU and hour",
        lot: 100_000,
        spot_lot: None,
        months: OTHER_MONTHS,
        weeks: 0,
        quarters: false,
        initial_margin: 350_000,
    },
];

/// Lists what is due, once.
///
/// # Errors
/// In words, the first listing that was refused.
pub async fn list_due(desk: &Desk) -> Result<(), String> {
    // Again for what is made of others: combinations and quarters of months, a year of quarters.
    for _ in 0..3 {
        for terms in missing(desk) {
            let symbol = terms.symbol.clone();
            let listed = send(desk, Command::CreateInstrument(request(terms))).await;
            let id = listed.map_err(|why| format!("listing {symbol}: {why:#}"))?;
            open(desk, InstrumentId(id))
                .await
                .map_err(|why| format!("opening {symbol}: {why:#}"))?;
        }
    }
    // Listed, but the process ended before it was opened.
    let calendar = wanted(desk);
    let unopened: Vec<InstrumentId> = desk.state(|state| {
        let ours = |contract: &&engine::instrument::Instrument| {
            calendar
                .iter()
                .any(|terms| terms.symbol == contract.terms.symbol)
        };
        let never_opened = |contract: &&engine::instrument::Instrument| {
            contract.state == TradingState::Closed
                && contract.state_reason == Reason::Schedule
                && contract.scheduled.is_none()
        };
        let contracts = state.instruments().iter().filter(ours).filter(never_opened);
        contracts.map(|contract| contract.id).collect()
    });
    for id in unopened {
        open(desk, id)
            .await
            .map_err(|why| format!("opening contract {}: {why:#}", id.0))?;
    }
    Ok(())
}

async fn open(desk: &Desk, id: InstrumentId) -> anyhow::Result<()> {
    let open = SetTradingState {
        scope: StateScope::Instrument(id),
        target: TradingState::Open,
        reason: Reason::Schedule,
        effective: Nanos(0),
        cancel_open_orders: false,
    };
    send(desk, Command::SetTradingState(request(open)))
        .await
        .map(drop)
}

/// Looks every minute, for as long as the exchange runs.
pub async fn keep_listed(desk: Desk) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        if let Err(why) = list_due(&desk).await {
            tracing::warn!(%why, "the listing calendar will try again");
        }
    }
}

/// Terms that should be listed now and are not.
fn missing(desk: &Desk) -> Vec<Terms> {
    let wanted = wanted(desk).into_iter();
    wanted
        .filter(|terms| {
            desk.state(|state| {
                !state
                    .instruments()
                    .iter()
                    .any(|known| known.terms.symbol == terms.symbol)
            })
        })
        .collect()
}

/// Terms of everything that the calendar has listed at this moment.
fn wanted(desk: &Desk) -> Vec<Terms> {
    let now = desk.clock.time();
    desk.state(|state| {
        let id = |symbol: &str| {
            let known = state.commodities().iter().position(|c| c.symbol == symbol);
            known.map(CommodityId::nth)
        };
        let index = |name: &str| {
            // Without a value there is no mark, and a contract without a mark protects nobody.
            let named = |index: &engine::exchange::IndexState| {
                index.details.name == name && index.value.is_some()
            };
            let known = state.indexes().iter().position(named);
            known.map(IndexId::nth)
        };
        let products: Vec<(&Product, CommodityId, IndexId)> = PRODUCTS
            .iter()
            .filter_map(|product| Some((product, id(product.commodity)?, index(product.index)?)))
            .collect();
        let single = products
            .iter()
            .flat_map(|(product, commodity, index)| due(product, *commodity, *index, now));
        let longer = products.iter().flat_map(|(product, commodity, index)| {
            forwards::due(state, product, (*commodity, *index), now)
        });
        let mut wanted: Vec<Terms> = single
            .chain(longer)
            .filter(|terms| terms.last_trade.0 > now)
            .collect();
        wanted.extend(combinations::due(state, now));
        wanted
    })
}

/// What of a product should be listed at a moment.
fn due(product: &Product, commodity: CommodityId, index: IndexId, now: i64) -> Vec<Terms> {
    let Some(today) = date_of(now) else {
        return Vec::new();
    };
    let mut terms = Vec::new();
    if let Some(lot) = product.spot_lot {
        for ahead in 1..=SPOT_DAYS {
            let Ok(day) = today.checked_add(ahead.days()) else {
                continue;
            };
            let window = window(day, day.checked_add(1.day()).ok());
            terms.extend(window.map(|window| {
                let symbol = format!("{}-SPOT-{day}", product.commodity);
                let last_trade = Nanos(window.start.0 - SPOT_CLOSE);
                product.terms(
                    symbol,
                    Kind::SpotBlock,
                    (commodity, index),
                    (lot, window, last_trade),
                )
            }));
        }
    }
    for ahead in 1..=product.months {
        let first = today.first_of_month().checked_add(ahead.months());
        let Ok(first) = first else { continue };
        let window = window(first, first.checked_add(1.month()).ok());
        terms.extend(window.map(|window| {
            let month = format!("{:04}-{:02}", first.year(), first.month());
            let symbol = format!("{}-FWD-{month}{}", product.commodity, product.suffix);
            let part = (product.lot, window, window.start);
            product.terms(symbol, Kind::Forward, (commodity, index), part)
        }));
    }
    terms
}

fn date_of(nanos: i64) -> Option<Date> {
    let stamp = jiff::Timestamp::from_nanosecond(nanos.into()).ok()?;
    Some(stamp.to_zoned(TimeZone::UTC).date())
}

fn window(first: Date, after: Option<Date>) -> Option<Window> {
    let midnight = |date: Date| {
        let moment = date
            .to_zoned(TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_nanosecond();
        i64::try_from(moment).ok().map(Nanos)
    };
    Some(Window {
        start: midnight(first)?,
        end: midnight(after?)?,
    })
}

impl Product {
    fn terms(
        &self,
        symbol: String,
        kind: Kind,
        (commodity, index): (CommodityId, IndexId),
        (lot, window, last_trade): (i64, Window, Nanos),
    ) -> Terms {
        let shape = match kind {
            Kind::SpotBlock => "SPOT",
            Kind::Forward => "FWD",
            Kind::CalendarSpread => "SPREAD",
            Kind::Strip => "STRIP",
        };
        Terms {
            symbol,
            kind,
            product: format!("{}-{shape}{}", self.commodity, self.suffix),
            commodity,
            price_asset: self.asset,
            tick_size: Decimal {
                mantissa: self.tick_size.0,
                exponent: self.tick_size.1,
            },
            price_unit: self.price_unit.into(),
            lot_hashes_per_second: lot,
            window,
            index,
            last_trade,
            margin: MarginTerms {
                initial_buy: Ppm(self.initial_margin),
                initial_sell: Ppm(self.initial_margin),
                maintenance_of_initial: Ppm(750_000),
                delivery_bond: Ppm(if kind == Kind::SpotBlock { 200_000 } else { 0 }),
                concentration_lots: 0,
                concentration: Ppm(0),
            },
            limits: EntryLimits {
                min_lots: 1,
                max_lots: 10_000,
                max_notional: 1_000_000_000_000_000,
                band_basis_points: 1_000,
                max_open_orders: 10_000,
                position_limit: 1_000_000,
                min_display: 1,
            },
            maker_fee: Ppm(-20),
            taker_fee: Ppm(150),
            reference: Ticks(42_000),
            volatility: engine::instrument::Volatility::default(),
            legs: Vec::new(),
            cascade: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::units::DAY;

    use super::*;

    #[test]
    fn the_calendar_lists_the_next_week_and_the_next_year() {
        // 2026-11-22 18:00 UTC.
        let now = 1_795_370_400 * SECOND;
        let terms = due(&PRODUCTS[0], CommodityId(1), IndexId(1), now);
        let symbols: Vec<&str> = terms.iter().map(|terms| terms.symbol.as_str()).collect();
        assert_eq!(symbols.len(), 19);
        assert_eq!(symbols[0], "BTC-SPOT-2026-11-23");
        assert_eq!(symbols[6], "BTC-SPOT-2026-11-29");
        assert_eq!(symbols[7], "BTC-FWD-2026-12");
        assert_eq!(symbols[18], "BTC-FWD-2027-11");
        let december = &terms[7].window;
        assert_eq!(december.end.0 - december.start.0, 31 * DAY);
        let dollars = due(&PRODUCTS[1], CommodityId(1), IndexId(2), now);
        assert_eq!(dollars.len(), 12);
        assert_eq!(dollars[0].symbol, "BTC-FWD-2026-12-USD");
        assert_eq!(dollars[0].product, "BTC-FWD-USD");
    }

    #[test]
    fn a_week_runs_from_monday_to_monday_and_is_named_by_its_number() {
        let of = (CommodityId(1), IndexId(1));
        // Sunday, 2026-11-22; Monday, the day after.
        for (now, first) in [(1_795_370_400, "W48"), (1_795_456_800, "W49")] {
            let today = date_of(now * SECOND).expect("a date");
            let weeks = forwards::weeks(&PRODUCTS[0], of, today);
            assert_eq!(weeks.len(), 2);
            assert_eq!(weeks[0].symbol, format!("BTC-FWD-2026-{first}"));
            assert_eq!(weeks[0].product, "BTC-FWD-WEEK");
            let (one, two) = (&weeks[0].window, &weeks[1].window);
            assert_eq!(one.end.0 - one.start.0, 7 * DAY);
            assert_eq!(one.end, two.start);
            // 1970-01-01 was a Thursday.
            assert_eq!((one.start.0 / DAY + 3) % 7, 0);
            assert!(one.start.0 > now * SECOND);
        }
    }
}
