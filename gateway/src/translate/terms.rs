//! What an operator asks to create: assets, commodities, indexes and contracts of the wire become terms.
//!
//! What a client may send is either kept or refused; nothing is dropped silently. Fields that only the
//! exchange fills (numbers, versions, state, tick value) are ignored on the way in. Whether numbers make
//! a contract is the engine's to say; here they are only brought into the range it computes with.

use engine::{
    exchange::{Exchange, IndexState},
    ids::{AssetId, CommodityId, IndexId, InstrumentId},
    instrument::{
        Algorithm, Asset, Commodity, EntryLimits, Index, IndexKind, Kind, MarginTerms, Terms,
        Volatility, Window,
    },
    limits,
    reason::{Field, Problem, Reason},
    units::{Decimal, Nanos, Ppm, SECOND, Ticks},
};
use proto::reference::v1 as wire;
use tonic::Status;

use super::{
    combinations,
    reference::{NO_HAIRCUT, interval_seconds, number},
};
use crate::{paging::beyond, refusal};

/// Fields that this build does not keep must stay at zero.
fn unserved(fields: &[(&str, bool)]) -> Result<(), Status> {
    let set = fields.iter().find(|(_, set)| *set);
    set.map_or(Ok(()), |(field, _)| {
        Err(refusal::invalid(
            field,
            "not served by this build, leave it unset",
        ))
    })
}

fn within(field: &str, value: i64, range: std::ops::RangeInclusive<i64>) -> Result<i64, Status> {
    if range.contains(&value) {
        return Ok(value);
    }
    let limit = if value < *range.start() {
        *range.start()
    } else {
        *range.end()
    };
    Err(beyond(field, limit, value))
}

/// An asset to create.
///
/// # Errors
/// INVALID_FIELD naming the field.
pub fn asset_terms(asset: &wire::Asset) -> Result<Asset, Status> {
    unserved(&[
        (
            "asset.collateral_ppm",
            ![0, NO_HAIRCUT].contains(&asset.collateral_ppm),
        ),
        (
            "asset.withdrawal_fee_minor",
            asset.withdrawal_fee_minor != 0,
        ),
    ])?;
    within("asset.decimals", asset.decimals.into(), 0..=18)?;
    Ok(Asset {
        symbol: asset.symbol.clone(),
        decimals: asset.decimals.cast_unsigned(),
        min_withdrawal: asset.min_withdrawal_minor,
    })
}

/// A commodity to create.
///
/// # Errors
/// INVALID_FIELD naming the field.
pub fn commodity_terms(commodity: &wire::Commodity) -> Result<Commodity, Status> {
    use wire::{CommodityKind as K, PowAlgorithm as P};
    let algorithm = match (commodity.kind(), commodity.algorithm()) {
        (K::Hashrate, P::Sha256d) => Algorithm::Sha256d,
        (K::Hashrate, P::Scrypt) => Algorithm::Scrypt,
        (K::Hashrate, P::Kheavyhash) => Algorithm::KHeavyHash,
        (K::Hashrate, P::Etchash) => Algorithm::Etchash,
        (K::Compute, P::Unspecified) => Algorithm::Compute,
        (K::Unspecified, _) => return Err(refusal::invalid("commodity.kind", "missing")),
        (K::Hashrate, P::Unspecified) => {
            return Err(refusal::invalid("commodity.algorithm", "missing"));
        }
        (K::Compute, _) => {
            return Err(refusal::invalid(
                "commodity.algorithm",
                "compute has no algorithm",
            ));
        }
    };
    let compute = algorithm == Algorithm::Compute;
    if compute != commodity.coins.is_empty() {
        let why = "hashrate earns at least one coin, compute none";
        return Err(refusal::invalid("commodity.coins", why));
    }
    let ordered = commodity
        .coins
        .iter()
        .enumerate()
        .all(|(place, coin)| coin.merge_mined == (place > 0));
    if !ordered {
        let why = "the first coin is the main one, all others are merge-mined";
        return Err(refusal::invalid("commodity.coins", why));
    }
    if !commodity.device_model.is_empty() && commodity.device_model != commodity.symbol {
        let why = "the device model is the commodity's symbol";
        return Err(refusal::invalid("commodity.device_model", why));
    }
    if commodity.rate_unit.is_empty() {
        return Err(refusal::invalid("commodity.rate_unit", "missing"));
    }
    let rate = commodity.rate_unit_hashes_per_second;
    within("commodity.rate_unit_hashes_per_second", rate, 1..=i64::MAX)?;
    let share = commodity.hashes_per_difficulty_one_share;
    let shares = if compute { 0..=0 } else { 1..=i64::MAX };
    within("commodity.hashes_per_difficulty_one_share", share, shares)?;
    Ok(Commodity {
        symbol: commodity.symbol.clone(),
        algorithm,
        coins: commodity
            .coins
            .iter()
            .map(|coin| coin.symbol.clone())
            .collect(),
        rate_unit: commodity.rate_unit.clone(),
        rate_unit_hashes_per_second: rate,
        hashes_per_share: share,
    })
}

/// An index to create.
///
/// # Errors
/// INVALID_FIELD naming the field.
pub fn index_terms(index: &wire::Index) -> Result<Index, Status> {
    unserved(&[
        (
            "index.sample_interval_seconds",
            index.sample_interval_seconds != 0,
        ),
        (
            "index.min_valid_samples_ppm",
            index.min_valid_samples_ppm != 0,
        ),
        ("index.stale_after_seconds", index.stale_after_seconds != 0),
        ("index.method_version", index.method_version != 0),
    ])?;
    let kind = match index.kind() {
        wire::IndexKind::Hashprice => IndexKind::Hashprice,
        wire::IndexKind::Difficulty => IndexKind::Difficulty,
        wire::IndexKind::Compute => IndexKind::Compute,
        wire::IndexKind::Unspecified => return Err(refusal::invalid("index.kind", "missing")),
    };
    Ok(Index {
        name: index.index_name.clone(),
        kind,
        commodity: CommodityId(number(index.commodity_id)),
        quote: AssetId(number(index.quote_asset_id)),
        unit: index.unit.clone(),
    })
}

/// A contract to list. Its first mark is the present value of its index.
///
/// # Errors
/// INVALID_FIELD naming the field; NOT_FOUND for an unknown index; INDEX_UNAVAILABLE if an outright's index
/// has no value yet.
pub fn terms(exchange: &Exchange, instrument: &wire::Instrument) -> Result<Terms, Status> {
    refuse_unserved(instrument)?;
    let kind = kind_of(instrument)?;
    let tick = instrument
        .tick_size
        .ok_or_else(|| refusal::invalid("instrument.tick_size", "missing"))?;
    within("instrument.tick_size.mantissa", tick.mantissa, 1..=i64::MAX)?;
    within(
        "instrument.tick_size.exponent",
        tick.exponent.into(),
        -18..=18,
    )?;
    let tick_size = Decimal {
        mantissa: tick.mantissa,
        exponent: tick.exponent,
    };
    let (at, index) = index_of(exchange, &instrument.index_name)?;
    let legs = combinations::legs_in(kind, &instrument.legs)?;
    let reference = match kind.is_combination() {
        // Its mark is made of its legs' marks.
        true => 1,
        false => {
            let value = index.value.and_then(|value| value.ratio(tick_size));
            let value = value.ok_or_else(|| refusal::about(Reason::IndexUnavailable, Field::Index));
            value?.max(1)
        }
    };
    let fees = -1_000_000..=1_000_000;
    let maker = instrument.maker_fee_ppm;
    within("instrument.maker_fee_ppm", maker.into(), fees.clone())?;
    let taker = instrument.taker_fee_ppm;
    within("instrument.taker_fee_ppm", taker.into(), fees)?;
    let last_trade = instrument.last_trade_unix_nanos;
    within("instrument.last_trade_unix_nanos", last_trade, 1..=i64::MAX)?;
    Ok(Terms {
        symbol: instrument.symbol.clone(),
        kind,
        product: product_of(exchange, instrument)?,
        commodity: CommodityId(number(instrument.commodity_id)),
        price_asset: AssetId(number(instrument.price_asset_id)),
        tick_size,
        price_unit: instrument.price_unit.clone(),
        lot_hashes_per_second: within(
            "instrument.lot_hashes_per_second",
            instrument.lot_hashes_per_second,
            1..=i64::MAX,
        )?,
        window: match instrument.delivery_window {
            None if kind.is_combination() => combinations::window_of(exchange, &legs)?,
            _ => window_of(instrument, kind)?,
        },
        index: at,
        last_trade: Nanos(last_trade),
        margin: match instrument.margin {
            None if kind.is_combination() => combinations::NO_MARGIN,
            _ => margin_of(instrument)?,
        },
        limits: EntryLimits {
            min_lots: instrument.min_lots,
            max_lots: instrument.max_lots,
            max_notional: instrument.max_notional_minor,
            band_basis_points: instrument.band_basis_points,
            max_open_orders: instrument.max_open_orders,
            position_limit: instrument.position_limit_lots,
            min_display: min_display_of(instrument)?,
        },
        maker_fee: Ppm(maker),
        taker_fee: Ppm(taker),
        reference: Ticks(reference),
        volatility: volatility_of(instrument)?,
        legs,
        cascade: cascade_of(instrument)?,
    })
}

/// Smallest visible part of an iceberg; unset = the smallest order.
fn min_display_of(instrument: &wire::Instrument) -> Result<i64, Status> {
    match instrument.min_display_lots {
        0 => Ok(instrument.min_lots),
        lots => within("instrument.min_display_lots", lots, 1..=limits::ORDER_LOTS),
    }
}

/// What a forward turns into at its last trade.
fn cascade_of(instrument: &wire::Instrument) -> Result<Vec<InstrumentId>, Status> {
    let (count, most) = (
        instrument.cascade_instrument_ids.len(),
        limits::COMBINATION_LEGS,
    );
    if count > most {
        let (limit, actual) = (most as i64, count as i64);
        let problem = Problem::limit(Reason::TooManyItems, Field::Cascade, limit, actual);
        return Err(refusal::status(&problem));
    }
    let ids = instrument.cascade_instrument_ids.iter();
    Ok(ids.map(|id| InstrumentId(number(*id))).collect())
}

/// When a volatility auction begins: both parts, or none.
fn volatility_of(instrument: &wire::Instrument) -> Result<Volatility, Status> {
    let (window_ms, move_ppm) = (
        instrument.volatility_window_ms,
        instrument.volatility_move_ppm,
    );
    if (window_ms, move_ppm) == (0, 0) {
        return Ok(Volatility::default());
    }
    let (least, most) = (
        *limits::VOLATILITY_WINDOW_MS.start(),
        *limits::VOLATILITY_WINDOW_MS.end(),
    );
    within(
        "instrument.volatility_window_ms",
        window_ms.into(),
        least.into()..=most.into(),
    )?;
    within(
        "instrument.volatility_move_ppm",
        move_ppm.into(),
        1..=999_999,
    )?;
    Ok(Volatility {
        window_ms,
        move_ppm,
    })
}

fn refuse_unserved(instrument: &wire::Instrument) -> Result<(), Status> {
    unserved(&[
        (
            "instrument.delivery_terms",
            instrument.delivery_terms.is_some(),
        ),
        ("instrument.block_min_lots", instrument.block_min_lots != 0),
        (
            "instrument.daily_limit_ppm",
            instrument.daily_limit_ppm != 0,
        ),
    ])
}

fn kind_of(instrument: &wire::Instrument) -> Result<Kind, Status> {
    use wire::{InstrumentKind as K, SettlementKind as S};
    let kind = match instrument.kind() {
        K::SpotBlock => Kind::SpotBlock,
        K::Forward => Kind::Forward,
        K::Unspecified => return Err(refusal::invalid("instrument.kind", "missing")),
        K::CalendarSpread => Kind::CalendarSpread,
        K::Strip => Kind::Strip,
        K::DifficultyEpoch => {
            let why = "spot blocks, forwards, calendar spreads and strips are served by this build";
            return Err(refusal::invalid("instrument.kind", why));
        }
    };
    match (kind, instrument.settlement()) {
        (_, S::Unspecified)
        | (Kind::SpotBlock, S::PhysicalHashrate)
        | (Kind::Forward | Kind::CalendarSpread | Kind::Strip, S::CashDailyIndex) => Ok(kind),
        (Kind::SpotBlock | Kind::Forward | Kind::CalendarSpread | Kind::Strip, _) => {
            let why = "spot blocks deliver hashrate, all others settle daily in cash";
            Err(refusal::invalid("instrument.settlement", why))
        }
    }
}

fn index_of<'a>(exchange: &'a Exchange, name: &str) -> Result<(IndexId, &'a IndexState), Status> {
    let mut all = exchange.indexes().iter().enumerate();
    all.find(|(_, index)| index.details.name == name)
        .map(|(place, index)| (IndexId::nth(place), index))
        .ok_or_else(|| refusal::status(&Problem::about(Reason::NotFound, Field::Index)))
}

/// The product by name, or by number if only that is given.
fn product_of(exchange: &Exchange, instrument: &wire::Instrument) -> Result<String, Status> {
    if instrument.product_id == 0 {
        return Ok(instrument.product.clone());
    }
    let place = number(instrument.product_id).checked_sub(1);
    let known = place.and_then(|place| exchange.products().get(place as usize));
    match known {
        Some(name) if instrument.product.is_empty() || *name == instrument.product => {
            Ok(name.clone())
        }
        _ => Err(refusal::invalid(
            "instrument.product_id",
            "not the number of this product",
        )),
    }
}

fn window_of(instrument: &wire::Instrument, kind: Kind) -> Result<Window, Status> {
    const FIELD: &str = "instrument.delivery_window";
    let window = instrument
        .delivery_window
        .ok_or_else(|| refusal::invalid(FIELD, "missing"))?;
    let whole = |nanos: i64| nanos >= 0 && nanos % SECOND == 0;
    let (start, end) = (window.start_unix_nanos, window.end_unix_nanos);
    if !whole(start) || !whole(end) || start >= end {
        let why = "start before end, both on whole seconds";
        return Err(refusal::invalid(FIELD, why));
    }
    if window.start_height != 0 || window.end_height != 0 {
        return Err(refusal::invalid(FIELD, "this contract has no heights"));
    }
    let span = Window {
        start: Nanos(start),
        end: Nanos(end),
    };
    if ![0, interval_seconds(kind, &span)].contains(&window.interval_seconds) {
        let why = "spot blocks step by hours, forwards over whole days by days";
        return Err(refusal::invalid(
            "instrument.delivery_window.interval_seconds",
            why,
        ));
    }
    Ok(span)
}

fn margin_of(instrument: &wire::Instrument) -> Result<MarginTerms, Status> {
    let margin = instrument
        .margin
        .ok_or_else(|| refusal::invalid("instrument.margin", "missing"))?;
    let offsets = [
        margin.offset_group != 0,
        margin.adjacent_credit_ppm != 0,
        margin.other_credit_ppm != 0,
    ];
    if offsets.contains(&true) {
        let why =
            "credit between contracts is set for a whole family (SetMarginMethod), leave it unset";
        return Err(refusal::invalid("instrument.margin", why));
    }
    Ok(MarginTerms {
        initial_buy: Ppm(margin.initial_buy_ppm),
        initial_sell: Ppm(margin.initial_sell_ppm),
        maintenance_of_initial: Ppm(margin.maintenance_of_initial_ppm),
        delivery_bond: Ppm(margin.delivery_bond_ppm),
        concentration_lots: margin.concentration_lots,
        concentration: Ppm(margin.concentration_ppm),
    })
}

#[cfg(test)]
mod tests;
