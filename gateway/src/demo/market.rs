//! The public market as the demo's actors see it: contracts, best prices, marks, bands, trades, index.
//!
//! One feed writes, everybody reads. Nothing here is private to the exchange.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use proto::{
    common::v1::{Decimal, Side, TradingState},
    marketdata::v1::{Bbo, Statistics, Trade, TradeKind},
    reference::v1::{GetServerInfoRequest, Instrument, InstrumentKind},
};

use crate::client::{Client, ClientError};

const DAY_NANOS: i64 = 86_400_000_000_000;
/// Trades kept for the view.
const TRADES_KEPT: usize = 8;
const FORWARD_PREFIX: &str = "BTC-FWD-";
const SPOT_PREFIX: &str = "BTC-SPOT-";
const BTC_PREFIX: &str = "BTC-";
/// Trades remembered to see that one is on several tapes.
const SEEN_KEPT: usize = 512;

/// What kind of contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// A month forward.
    Month,
    /// A spot day.
    Day,
    /// Two months against each other.
    Spread,
    /// Months in a row.
    Strip,
}

impl Family {
    /// Made of months.
    pub(super) fn is_combination(self) -> bool {
        matches!(self, Self::Spread | Self::Strip)
    }
}

/// A contract the demo trades.
#[derive(Clone, Debug)]
pub(super) struct Contract {
    pub(super) id: i32,
    pub(super) symbol: String,
    pub(super) family: Family,
    pub(super) tick: Decimal,
    /// From now to the middle of delivery.
    pub(super) days_out: i64,
    /// Lots the demo's orders stay between.
    pub(super) lots: (i64, i64),
    /// Contracts and signed lots that one lot turns into; empty for months and days.
    pub(super) legs: Vec<(i32, i64)>,
}

impl Contract {
    /// The symbol without its family: `2026-12`.
    pub(super) fn label(&self) -> &str {
        let prefix = match self.family {
            Family::Month => FORWARD_PREFIX,
            Family::Day => SPOT_PREFIX,
            Family::Spread | Family::Strip => BTC_PREFIX,
        };
        self.symbol.strip_prefix(prefix).unwrap_or(&self.symbol)
    }

    /// Month forwards, spot days and what is made of months, in BTC; everything else is left alone.
    fn read(instrument: &Instrument, now_unix_nanos: i64) -> Option<Self> {
        let window = instrument.delivery_window?;
        let days = (window.end_unix_nanos - window.start_unix_nanos) / DAY_NANOS;
        let symbol = &instrument.symbol;
        let family = match instrument.kind() {
            InstrumentKind::Forward if symbol.starts_with(FORWARD_PREFIX) => Family::Month,
            InstrumentKind::SpotBlock if symbol.starts_with(SPOT_PREFIX) => Family::Day,
            InstrumentKind::CalendarSpread if symbol.starts_with(BTC_PREFIX) => Family::Spread,
            InstrumentKind::Strip if symbol.starts_with(BTC_PREFIX) => Family::Strip,
            _ => return None,
        };
        let wanted = match family {
            Family::Month => (28..=31).contains(&days) && !symbol.ends_with("-USD"),
            Family::Day => days == 1,
            Family::Spread | Family::Strip => true,
        };
        let middle = window.start_unix_nanos / 2 + window.end_unix_nanos / 2;
        wanted.then(|| Self {
            id: instrument.instrument_id,
            symbol: symbol.clone(),
            family,
            tick: instrument.tick_size.unwrap_or(Decimal {
                mantissa: 1,
                exponent: -8,
            }),
            days_out: (middle - now_unix_nanos).max(0) / DAY_NANOS,
            lots: lots(instrument),
            legs: instrument
                .legs
                .iter()
                .map(|leg| (leg.instrument_id, leg.ratio.into()))
                .collect(),
        })
    }
}

/// Smallest and largest order; 0 on the wire means not set.
fn lots(instrument: &Instrument) -> (i64, i64) {
    let low = instrument.min_lots.max(1);
    match instrument.max_lots {
        0 => (low, i64::MAX),
        high => (low, high.max(low)),
    }
}

/// What is known of a contract right now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quote {
    /// Price and lots.
    pub(super) bid: Option<(i64, i64)>,
    /// Price and lots.
    pub(super) ask: Option<(i64, i64)>,
    pub(super) mark: Option<i64>,
    pub(super) band: Option<(i64, i64)>,
    pub(super) state: TradingState,
}

impl Quote {
    /// New orders may rest.
    pub(super) fn accepts_quotes(&self) -> bool {
        matches!(
            self.state,
            TradingState::Open | TradingState::PostOnly | TradingState::PreOpen
        )
    }

    /// New orders may match.
    pub(super) fn trades(&self) -> bool {
        self.state == TradingState::Open
    }
}

/// The newest index value.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexPoint {
    pub(super) value: Decimal,
    pub(super) round_id: i64,
}

/// A trade for the view.
#[derive(Clone, Debug)]
pub(super) struct Printed {
    pub(super) contract: usize,
    pub(super) price: i64,
    pub(super) lots: i64,
    pub(super) aggressor: Side,
}

/// Everything that changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    /// One per contract, in the order of [`Market::contracts`].
    pub(super) quotes: Vec<Quote>,
    pub(super) index: Option<IndexPoint>,
    /// The day of the series whose value was submitted last.
    pub(super) day: String,
    /// Newest first.
    pub(super) trades: VecDeque<Printed>,
    pub(super) trade_count: u64,
    /// Of those, in the books of spreads and strips.
    pub(super) combination_count: u64,
    /// Of those, implied: on the tapes of several legs at once.
    pub(super) implied_count: u64,
    /// Volume in PH/s·days would need each contract's window; lots are what the tapes say.
    pub(super) volume_lots: i64,
    /// Newest trade counted, per contract.
    pub(super) last_trade_ids: HashMap<usize, i64>,
    /// Trades counted lately, oldest first, and on how many tapes they were.
    pub(super) seen: VecDeque<(i64, u32)>,
}

impl Picture {
    /// Takes over best prices.
    pub(super) fn bbo(&mut self, contract: usize, bbo: &Bbo) {
        let quote = &mut self.quotes[contract];
        quote.bid = bbo.bid_ticks.map(|price| (price, bbo.bid_lots));
        quote.ask = bbo.ask_ticks.map(|price| (price, bbo.ask_lots));
    }

    /// Takes over mark and band.
    pub(super) fn statistics(&mut self, contract: usize, statistics: &Statistics) {
        let quote = &mut self.quotes[contract];
        quote.mark = statistics.mark_ticks;
        quote.band = statistics.band_low_ticks.zip(statistics.band_high_ticks);
    }

    /// Counts a trade once, also after the feed has come back.
    pub(super) fn trade(&mut self, contract: usize, family: Family, trade: &Trade) {
        let last = self.last_trade_ids.entry(contract).or_default();
        if trade.trade_id <= *last || trade.kind() == TradeKind::Bust {
            return;
        }
        *last = trade.trade_id;
        self.volume_lots += trade.lots;
        let before = self.seen.iter_mut().find(|(id, _)| *id == trade.trade_id);
        match before {
            Some((_, tapes)) => {
                *tapes += 1;
                self.implied_count += u64::from(*tapes == 2);
            }
            None => {
                self.trade_count += 1;
                self.combination_count += u64::from(family.is_combination());
                if self.seen.len() >= SEEN_KEPT {
                    self.seen.pop_front();
                }
                self.seen.push_back((trade.trade_id, 1));
            }
        }
        self.trades.truncate(TRADES_KEPT - 1);
        self.trades.push_front(Printed {
            contract,
            price: trade.price_ticks,
            lots: trade.lots,
            aggressor: trade.aggressor(),
        });
    }
}

/// Contracts and their picture.
#[derive(Debug)]
pub(super) struct Market {
    /// Months by delivery, then spot days, spreads and strips by delivery.
    pub(super) contracts: Vec<Contract>,
    picture: Mutex<Picture>,
}

impl Market {
    /// Asks the exchange what there is to trade.
    pub(super) async fn discover(client: &Client) -> Result<Self, ClientError> {
        let info = client
            .reference()
            .get_server_info(GetServerInfoRequest {})
            .await?
            .into_inner();
        let listed = client.instruments().await?;
        let mut found: Vec<(Contract, TradingState)> = listed
            .iter()
            .filter_map(|i| Some((Contract::read(i, info.server_unix_nanos)?, i.state())))
            .collect();
        let known: Vec<i32> = found.iter().map(|(c, _)| c.id).collect();
        found.retain(|(c, _)| c.legs.iter().all(|(leg, _)| known.contains(leg)));
        found.sort_by_key(|(c, _)| (c.family, c.days_out, c.id));
        let quotes = found.iter().map(|(_, state)| Quote {
            state: *state,
            ..Quote::default()
        });
        Ok(Self {
            picture: Mutex::new(Picture {
                quotes: quotes.collect(),
                ..Picture::default()
            }),
            contracts: found.into_iter().map(|(contract, _)| contract).collect(),
        })
    }

    /// Place of a contract in the list.
    pub(super) fn position(&self, instrument_id: i32) -> Option<usize> {
        self.contracts.iter().position(|c| c.id == instrument_id)
    }

    /// Places of one family, by delivery.
    pub(super) fn family(&self, family: Family) -> Vec<usize> {
        let all = self.contracts.iter().enumerate();
        all.filter(|(_, c)| c.family == family)
            .map(|(i, _)| i)
            .collect()
    }

    /// The picture; hold it briefly and never across an await.
    pub(super) fn picture(&self) -> MutexGuard<'_, Picture> {
        // Writers only assign fields, so a poisoned lock still holds a usable picture.
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::reference::v1::DeliveryWindow;

    #[test]
    fn months_and_days_are_found_and_the_rest_is_not() {
        let listed = |symbol: &str, kind: InstrumentKind, days: i64| Instrument {
            symbol: symbol.into(),
            kind: kind.into(),
            delivery_window: Some(DeliveryWindow {
                start_unix_nanos: 10 * DAY_NANOS,
                end_unix_nanos: (10 + days) * DAY_NANOS,
                ..Default::default()
            }),
            ..Default::default()
        };
        let family = |i: &Instrument| Contract::read(i, 0).map(|c| c.family);
        use InstrumentKind::{CalendarSpread, Forward, SpotBlock, Strip};
        let month = listed("BTC-FWD-2026-12", Forward, 31);
        assert_eq!(family(&month), Some(Family::Month));
        let read = Contract::read(&month, 0).expect("just found");
        assert_eq!((read.label(), read.days_out), ("2026-12", 25));
        assert_eq!(family(&listed("BTC-FWD-2027Q1", Forward, 90)), None);
        assert_eq!(family(&listed("BTC-FWD-2026-12-USD", Forward, 31)), None);
        let day = listed("BTC-SPOT-2026-11-23", SpotBlock, 1);
        assert_eq!(family(&day), Some(Family::Day));
        assert_eq!(family(&listed("KAS-FWD-2026-12", Forward, 31)), None);
        let spread = listed("BTC-SPREAD-2026-12-2027-01", CalendarSpread, 62);
        assert_eq!(family(&spread), Some(Family::Spread));
        let strip = listed("BTC-STRIP-2027Q1", Strip, 90);
        assert_eq!(family(&strip), Some(Family::Strip));
    }

    #[test]
    fn a_trade_counts_once() {
        let mut picture = Picture {
            quotes: vec![Quote::default()],
            ..Picture::default()
        };
        let trade = Trade {
            trade_id: 5,
            lots: 3,
            ..Default::default()
        };
        picture.trade(0, Family::Month, &trade);
        picture.trade(0, Family::Month, &trade);
        assert_eq!((picture.trade_count, picture.volume_lots), (1, 3));
        // On a second tape, and on a third: one trade, implied.
        picture.trade(1, Family::Month, &trade);
        picture.trade(2, Family::Month, &trade);
        assert_eq!((picture.trade_count, picture.implied_count), (1, 1));
        let spread = Trade {
            trade_id: 6,
            ..trade
        };
        picture.trade(3, Family::Spread, &spread);
        assert_eq!((picture.trade_count, picture.combination_count), (2, 1));
    }
}
