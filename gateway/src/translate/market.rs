//! Public data: states of contracts, books and indexes become messages of the wire.

use engine::{
    command::Side,
    event::{AuctionChange, OffBook, StatisticsChange, StatusChange, Trade},
    exchange::{Exchange, IndexState},
    ids::ProductId,
    instrument::{Instrument, Kind, Statistics, TradingState},
    units::{DAY, Decimal, Nanos, Ticks},
};
use proto::{common::v1 as common, marketdata::v1 as wire};

use super::reference::{decimal, id, state};
use crate::{archive::Dated, core_view, desk::wide};

/// A side.
#[must_use]
pub fn side(side: Side) -> i32 {
    let wire = match side {
        Side::Buy => common::Side::Buy,
        Side::Sell => common::Side::Sell,
    };
    wire.into()
}

/// A trade on the tape.
#[must_use]
pub fn trade(trade: &Trade) -> wire::Trade {
    wire::Trade {
        trade_id: wide(trade.trade.0),
        price_ticks: trade.price.0,
        lots: trade.lots.0,
        aggressor: trade.aggressor.map_or(0, side),
        kind: match (trade.off_book, trade.aggressor) {
            (Some(OffBook::Block), _) => wire::TradeKind::Block,
            (Some(OffBook::Rfq), _) => wire::TradeKind::Rfq,
            (None, Some(_)) => wire::TradeKind::Book,
            (None, None) => wire::TradeKind::Auction,
        }
        .into(),
    }
}

/// A trade with its position.
#[must_use]
pub fn trade_record(row: &Dated<Trade>) -> wire::TradeRecord {
    wire::TradeRecord {
        trade: Some(trade(&row.what)),
        seq: wide(row.what.public_seq),
        journal_seq: wide(row.seq),
        matched_unix_nanos: row.at.0,
    }
}

/// A change of trading state.
#[must_use]
pub fn status(change: &StatusChange) -> wire::InstrumentStatus {
    wire::InstrumentStatus {
        state: state(change.state),
        reason: change.reason.number(),
        next_change_unix_nanos: change.scheduled.map_or(0, |(at, _)| at.0),
        next_state: change.scheduled.map_or(0, |(_, next)| state(next)),
    }
}

/// The present trading state.
#[must_use]
pub fn status_now(contract: &Instrument) -> wire::InstrumentStatus {
    status(&StatusChange {
        instrument: contract.id,
        public_seq: contract.public_seq,
        state: contract.state,
        reason: contract.state_reason,
        scheduled: contract.next_change(),
    })
}

/// When the call that a contract is in is to end; 0 = it is in none, or nobody knows.
#[must_use]
pub fn call_ends(state: TradingState, scheduled: Option<(Nanos, TradingState)>) -> i64 {
    use TradingState as S;
    match scheduled {
        Some((at, S::Open | S::PostOnly)) if is_call(state) => at.0,
        _ => 0,
    }
}

/// Whether orders are collected for an auction.
fn is_call(state: TradingState) -> bool {
    use TradingState as S;
    matches!(state, S::PreOpen | S::NoCancel | S::VolatilityAuction)
}

/// What an auction would do; `ends` is the end of its call.
#[must_use]
pub fn auction(change: &AuctionChange, ends: i64) -> wire::AuctionState {
    let surplus = change.imbalance.0;
    wire::AuctionState {
        indicative_ticks: change.price.map(|price| price.0),
        matched_lots: change.lots.0,
        imbalance_lots: surplus.saturating_abs(),
        imbalance_side: match surplus.signum() {
            1 => side(Side::Buy),
            -1 => side(Side::Sell),
            _ => 0,
        },
        uncross_unix_nanos: ends,
    }
}

/// What the auction of a contract would do now; empty outside of calls.
#[must_use]
pub fn auction_now(exchange: &Exchange, contract: &Instrument) -> wire::AuctionState {
    let ends = call_ends(contract.state, contract.next_change());
    let running = is_call(contract.state);
    let change = running.then(|| core_view::auction(exchange, contract.id));
    change.flatten().map_or_else(
        || wire::AuctionState {
            uncross_unix_nanos: ends,
            ..wire::AuctionState::default()
        },
        |change| auction(&change, ends),
    )
}

/// A change of statistics, as of a moment.
#[must_use]
pub fn statistics(change: &StatisticsChange, at: Nanos) -> wire::Statistics {
    let of_day = today(&change.statistics, at);
    let ticks = |price: Option<Ticks>| price.map(|price| price.0);
    wire::Statistics {
        open_ticks: ticks(of_day.open),
        high_ticks: ticks(of_day.high),
        low_ticks: ticks(of_day.low),
        last_ticks: ticks(of_day.last),
        volume_lots: of_day.volume,
        open_interest_lots: of_day.open_interest,
        settlement_ticks: ticks(of_day.settlement),
        mark_ticks: Some(change.mark.0),
        band_low_ticks: Some(change.band.0.0),
        band_high_ticks: Some(change.band.1.0),
    }
}

/// Statistics whose day is over say nothing about this one: the engine starts a day at its first trade.
fn today(statistics: &Statistics, at: Nanos) -> Statistics {
    if at.0.saturating_sub(statistics.day.0) < DAY {
        return *statistics;
    }
    Statistics {
        open: None,
        high: None,
        low: None,
        volume: 0,
        ..*statistics
    }
}

/// The present statistics.
#[must_use]
pub fn statistics_now(contract: &Instrument, at: Nanos) -> wire::Statistics {
    let change = StatisticsChange {
        instrument: contract.id,
        public_seq: contract.public_seq,
        statistics: contract.statistics,
        mark: contract.mark,
        band: contract.terms.band(contract.mark),
    };
    statistics(&change, at)
}

/// One index value.
#[must_use]
pub fn index_value(
    name: &str,
    round: u64,
    value: Decimal,
    at: Nanos,
    fixing: bool,
) -> wire::IndexValue {
    wire::IndexValue {
        index_name: name.to_owned(),
        value: Some(decimal(value)),
        as_of_unix_nanos: at.0,
        round_id: wide(round),
        quality: wire::IndexQuality::Live.into(),
        fixing,
        ..wire::IndexValue::default()
    }
}

/// The newest value of an index, with its journal position; `None` before the first.
#[must_use]
pub fn index_now(index: &IndexState) -> Option<(u64, wire::IndexValue)> {
    let [indicative, daily] = index.rounds;
    let rounds = [(indicative, false), (daily, true)];
    let newest = rounds
        .into_iter()
        .filter_map(|(round, fixing)| round.map(|round| (round, fixing)))
        .max_by_key(|((_, _, seq), _)| *seq);
    newest.map(|((round, value, seq), fixing)| {
        let name = &index.details.name;
        (seq, index_value(name, round, value, index.at, fixing))
    })
}

/// Forward curve of a product, nearest maturity first; contracts past their last trade are not on it.
#[must_use]
pub fn curve(exchange: &Exchange, product: ProductId) -> wire::ForwardCurve {
    let rows = exchange.instruments().iter();
    let mut forwards: Vec<&Instrument> = rows
        .filter(|contract| contract.product == product)
        .filter(|contract| contract.terms.kind == Kind::Forward)
        .filter(|contract| contract.terms.last_trade > exchange.at())
        .collect();
    forwards.sort_by_key(|contract| (contract.terms.window.start, contract.terms.window.end));
    let point = |contract: &Instrument| {
        let book = exchange.book(contract.id);
        let best = |side| book.and_then(|book| book.best(side)).map(|price| price.0);
        wire::CurvePoint {
            instrument_id: id(contract.id.0),
            delivery_start_unix_nanos: contract.terms.window.start.0,
            delivery_end_unix_nanos: contract.terms.window.end.0,
            bid_ticks: best(Side::Buy),
            ask_ticks: best(Side::Sell),
            mark_ticks: Some(contract.mark.0),
            implied_hashprice: implied(contract.mark, contract.terms.tick_size).map(decimal),
            implied_difficulty_growth_ppm: None,
        }
    };
    wire::ForwardCurve {
        product_id: id(product.0),
        points: forwards.into_iter().map(point).collect(),
    }
}

/// A price as money per rate unit and day.
fn implied(mark: Ticks, tick_size: Decimal) -> Option<Decimal> {
    Some(Decimal {
        mantissa: mark.0.checked_mul(tick_size.mantissa)?,
        exponent: tick_size.exponent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_without_trades_has_no_range() {
        let old = Statistics {
            day: Nanos(3 * DAY),
            open: Some(Ticks(5)),
            high: Some(Ticks(7)),
            low: Some(Ticks(4)),
            last: Some(Ticks(6)),
            volume: 9,
            open_interest: 3,
            settlement: None,
        };
        assert_eq!(today(&old, Nanos(4 * DAY - 1)), old);
        let next = today(&old, Nanos(4 * DAY));
        assert_eq!((next.open, next.volume), (None, 0));
        assert_eq!((next.last, next.open_interest), (Some(Ticks(6)), 3));
    }

    #[test]
    fn a_surplus_has_a_side_and_a_call_an_end() {
        let change = |imbalance| AuctionChange {
            instrument: engine::ids::InstrumentId(1),
            public_seq: 4,
            price: Some(Ticks(45_000)),
            lots: engine::units::Lots(35),
            imbalance: engine::units::Lots(imbalance),
        };
        let told = |imbalance| {
            let told = auction(&change(imbalance), 9);
            assert_eq!(
                (told.indicative_ticks, told.matched_lots),
                (Some(45_000), 35)
            );
            (told.imbalance_side, told.imbalance_lots)
        };
        assert_eq!(told(5), (common::Side::Buy.into(), 5));
        assert_eq!(told(-5), (common::Side::Sell.into(), 5));
        assert_eq!(told(0), (0, 0));

        let open = Some((Nanos(7), TradingState::Open));
        assert_eq!(call_ends(TradingState::PreOpen, open), 7);
        assert_eq!(call_ends(TradingState::NoCancel, open), 7);
        assert_eq!(call_ends(TradingState::PreOpen, None), 0);
        assert_eq!(call_ends(TradingState::PostOnly, open), 0);
        let closed = Some((Nanos(7), TradingState::Closed));
        assert_eq!(call_ends(TradingState::VolatilityAuction, closed), 0);
    }

    #[test]
    fn a_mark_becomes_money_per_rate_unit_and_day() {
        let tick = Decimal {
            mantissa: 5,
            exponent: -8,
        };
        let money = implied(Ticks(42_000), tick);
        assert_eq!(money.map(|m| (m.mantissa, m.exponent)), Some((210_000, -8)));
        assert_eq!(implied(Ticks(i64::MAX), tick), None);
    }
}
