//! Reference data as the wire describes it: assets, commodities, indexes and contracts.
//!
//! The way in, for operators, is [`super::terms`].

use engine::{
    exchange::Exchange,
    ids::{AssetId, CommodityId},
    instrument::{
        Algorithm, Asset, Commodity, Index, IndexKind, Instrument, Kind, TradingState, Window,
    },
    units::{DAY, Decimal},
};
use proto::{common::v1 as common, reference::v1 as wire};

use super::combinations;
use crate::desk::wide;

/// Whole value counts: money is held in the asset that it is needed in.
pub(super) const NO_HAIRCUT: i32 = 1_000_000;

/// A number of ours as the wire carries it.
#[must_use]
pub fn id(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A number of the wire; what cannot be ours is 0, which names nothing.
#[must_use]
pub fn number(id: i32) -> u32 {
    u32::try_from(id).unwrap_or(0)
}

/// A trading state.
#[must_use]
pub fn state(state: TradingState) -> i32 {
    let wire = match state {
        TradingState::Open => common::TradingState::Open,
        TradingState::PostOnly => common::TradingState::PostOnly,
        TradingState::CancelOnly => common::TradingState::CancelOnly,
        TradingState::Halted => common::TradingState::Halted,
        TradingState::Closed => common::TradingState::Closed,
        TradingState::PreOpen => common::TradingState::PreOpen,
        TradingState::NoCancel => common::TradingState::NoCancel,
        TradingState::VolatilityAuction => common::TradingState::VolatilityAuction,
        TradingState::InDelivery => common::TradingState::InDelivery,
        TradingState::Settled => common::TradingState::Settled,
    };
    wire.into()
}

/// A decimal.
#[must_use]
pub fn decimal(value: Decimal) -> common::Decimal {
    common::Decimal {
        mantissa: value.mantissa,
        exponent: value.exponent,
    }
}

/// An asset under its number.
#[must_use]
pub fn asset(asset_id: AssetId, asset: &Asset) -> wire::Asset {
    wire::Asset {
        asset_id: id(asset_id.0),
        symbol: asset.symbol.clone(),
        decimals: asset.decimals.cast_signed(),
        collateral_ppm: NO_HAIRCUT,
        min_withdrawal_minor: asset.min_withdrawal,
        withdrawal_fee_minor: 0,
    }
}

/// A commodity under its number.
#[must_use]
pub fn commodity(commodity_id: CommodityId, commodity: &Commodity) -> wire::Commodity {
    let (kind, algorithm) = match commodity.algorithm {
        Algorithm::Sha256d => (wire::CommodityKind::Hashrate, wire::PowAlgorithm::Sha256d),
        Algorithm::Scrypt => (wire::CommodityKind::Hashrate, wire::PowAlgorithm::Scrypt),
        Algorithm::KHeavyHash => (
            wire::CommodityKind::Hashrate,
            wire::PowAlgorithm::Kheavyhash,
        ),
        Algorithm::Etchash => (wire::CommodityKind::Hashrate, wire::PowAlgorithm::Etchash),
        Algorithm::Compute => (
            wire::CommodityKind::Compute,
            wire::PowAlgorithm::Unspecified,
        ),
    };
    let coin = |(place, symbol): (usize, &String)| wire::Coin {
        symbol: symbol.clone(),
        merge_mined: place > 0,
    };
    wire::Commodity {
        commodity_id: id(commodity_id.0),
        symbol: commodity.symbol.clone(),
        kind: kind.into(),
        algorithm: algorithm.into(),
        coins: commodity.coins.iter().enumerate().map(coin).collect(),
        rate_unit: commodity.rate_unit.clone(),
        rate_unit_hashes_per_second: commodity.rate_unit_hashes_per_second,
        hashes_per_difficulty_one_share: commodity.hashes_per_share,
        device_model: match commodity.algorithm {
            Algorithm::Compute => commodity.symbol.clone(),
            _ => String::new(),
        },
    }
}

/// An index.
#[must_use]
pub fn index(index: &Index) -> wire::Index {
    let kind = match index.kind {
        IndexKind::Hashprice => wire::IndexKind::Hashprice,
        IndexKind::Difficulty => wire::IndexKind::Difficulty,
        IndexKind::Compute => wire::IndexKind::Compute,
    };
    wire::Index {
        index_name: index.name.clone(),
        kind: kind.into(),
        commodity_id: id(index.commodity.0),
        quote_asset_id: id(index.quote.0),
        unit: index.unit.clone(),
        ..wire::Index::default()
    }
}

/// Metering and settlement step of a contract.
pub(super) fn interval_seconds(kind: Kind, window: &Window) -> i32 {
    let whole_days = (window.end.0 - window.start.0) % DAY == 0;
    match kind {
        Kind::Forward | Kind::CalendarSpread | Kind::Strip if whole_days => 86_400,
        Kind::Forward | Kind::CalendarSpread | Kind::Strip | Kind::SpotBlock => 3_600,
    }
}

/// A contract in its newest version.
#[must_use]
pub fn instrument(exchange: &Exchange, contract: &Instrument) -> wire::Instrument {
    let terms = &contract.terms;
    let (kind, settlement) = match terms.kind {
        Kind::SpotBlock => (
            wire::InstrumentKind::SpotBlock,
            wire::SettlementKind::PhysicalHashrate,
        ),
        Kind::Forward => (
            wire::InstrumentKind::Forward,
            wire::SettlementKind::CashDailyIndex,
        ),
        Kind::CalendarSpread => (
            wire::InstrumentKind::CalendarSpread,
            wire::SettlementKind::CashDailyIndex,
        ),
        Kind::Strip => (
            wire::InstrumentKind::Strip,
            wire::SettlementKind::CashDailyIndex,
        ),
    };
    let tick_value = match terms.kind.is_combination() {
        true => (0, 0),
        false => (
            contract.tick_value.numerator,
            contract.tick_value.denominator,
        ),
    };
    let index = terms
        .index
        .index()
        .and_then(|at| exchange.indexes().get(at));
    wire::Instrument {
        instrument_id: id(contract.id.0),
        symbol: terms.symbol.clone(),
        kind: kind.into(),
        product_id: id(contract.product.0),
        product: terms.product.clone(),
        commodity_id: id(terms.commodity.0),
        price_asset_id: id(terms.price_asset.0),
        tick_size: Some(decimal(terms.tick_size)),
        price_unit: terms.price_unit.clone(),
        lot_hashes_per_second: terms.lot_hashes_per_second,
        lot_tick_value_numerator: tick_value.0,
        lot_tick_value_denominator: tick_value.1,
        settlement: settlement.into(),
        delivery_window: Some(wire::DeliveryWindow {
            start_unix_nanos: terms.window.start.0,
            end_unix_nanos: terms.window.end.0,
            interval_seconds: interval_seconds(terms.kind, &terms.window),
            start_height: 0,
            end_height: 0,
        }),
        index_name: index.map_or_else(String::new, |index| index.details.name.clone()),
        legs: combinations::legs_out(&terms.legs),
        cascade_instrument_ids: terms.cascade.iter().map(|part| id(part.0)).collect(),
        last_trade_unix_nanos: terms.last_trade.0,
        margin: Some(wire::MarginParameters {
            initial_buy_ppm: terms.margin.initial_buy.0,
            initial_sell_ppm: terms.margin.initial_sell.0,
            maintenance_of_initial_ppm: terms.margin.maintenance_of_initial.0,
            delivery_bond_ppm: terms.margin.delivery_bond.0,
            concentration_lots: terms.margin.concentration_lots,
            concentration_ppm: terms.margin.concentration.0,
            buy_in_force_ppm: contract.rates.0.0,
            sell_in_force_ppm: contract.rates.1.0,
            ..wire::MarginParameters::default()
        }),
        min_lots: terms.limits.min_lots,
        max_lots: terms.limits.max_lots,
        max_notional_minor: terms.limits.max_notional,
        band_basis_points: terms.limits.band_basis_points,
        max_open_orders: terms.limits.max_open_orders,
        min_display_lots: terms.limits.min_display,
        maker_fee_ppm: terms.maker_fee.0,
        taker_fee_ppm: terms.taker_fee.0,
        volatility_window_ms: terms.volatility.window_ms,
        volatility_move_ppm: terms.volatility.move_ppm,
        state: state(contract.state),
        version: wide(contract.version),
        position_limit_lots: terms.limits.position_limit,
        ..wire::Instrument::default()
    }
}
