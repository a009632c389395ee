//! Deliveries as the wire describes them: an obligation is seen from one of its two sides.

use engine::{
    command::{NewMeter, SetDeliveryRules, Signed},
    delivery::{
        CloseCause, Destination, MeterKind, Obligation, ObligationState, Rules, Shares,
        StratumProtocol,
    },
    event::{CapacityRow, IntervalRow, ObligationRow, SettlementRow},
    exchange::Exchange,
    ids::{AccountId, AssetId, CommodityId},
    units::{DAY, Minor, Nanos, Ppm, SECOND, Ticks},
};
use proto::{admin::v1 as admin, common::v1 as common, delivery::v1 as wire};
use tonic::Status;

use super::reference::id;
use crate::refusal;

/// Hashes in a terahash.
pub const TERA: u128 = 1_000_000_000_000;

/// Work in terahashes, rounded down.
#[must_use]
pub fn terahashes(hashes: u128) -> i64 {
    i64::try_from(hashes / TERA).unwrap_or(i64::MAX)
}

/// A calendar day, UTC.
#[must_use]
pub fn date(at: Nanos) -> Option<common::Date> {
    let day =
        jiff::Timestamp::from_nanosecond(at.0.div_euclid(DAY) as i128 * i128::from(DAY)).ok()?;
    let day = day.to_zoned(jiff::tz::TimeZone::UTC).date();
    Some(common::Date {
        year: day.year().into(),
        month: day.month().into(),
        day: day.day().into(),
    })
}

fn amount(asset: AssetId, money: Minor) -> Option<common::Amount> {
    Some(common::Amount {
        asset_id: id(asset.0),
        minor_units: money.0,
    })
}

/// A state on the wire.
#[must_use]
pub fn state(state: ObligationState) -> i32 {
    use ObligationState as From;
    use wire::ObligationState as To;
    let to = match state {
        From::Matched => To::Matched,
        From::Ready => To::Ready,
        From::Delivering => To::Delivering,
        From::Completed => To::Completed,
        From::Settled => To::Settled,
        From::Short => To::Short,
        From::SuspendedBuyer => To::SuspendedBuyer,
        From::SuspendedForceMajeure => To::SuspendedForceMajeure,
        From::Disputed => To::Disputed,
        From::ClosedEarly => To::ClosedEarly,
    };
    to.into()
}

fn cause(cause: Option<CloseCause>) -> i32 {
    use wire::EarlyCloseCause as To;
    let to = match cause {
        None => To::Unspecified,
        Some(CloseCause::UnderDelivery) => To::UnderDelivery,
        Some(CloseCause::ShareTimeout) => To::ShareTimeout,
    };
    to.into()
}

fn side(seller: AccountId, viewer: AccountId) -> i32 {
    let side = if seller == viewer {
        common::Side::Sell
    } else {
        common::Side::Buy
    };
    side.into()
}

/// An obligation as one of its sides sees it; the seller is not told where the buyer's pool accounts lie
/// beyond the destination's number.
#[must_use]
pub fn obligation(exchange: &Exchange, row: &Obligation, viewer: AccountId) -> wire::Obligation {
    obligation_row(exchange, &row.into(), viewer)
}

/// As [`obligation`], from an event.
#[must_use]
pub fn obligation_row(
    exchange: &Exchange,
    row: &ObligationRow,
    viewer: AccountId,
) -> wire::Obligation {
    let window = exchange
        .instrument(row.instrument)
        .map(|contract| contract.terms.window);
    wire::Obligation {
        obligation_id: row.id.0.into(),
        instrument_id: id(row.instrument.0),
        side: side(row.seller, viewer),
        lots: row.lots.0,
        start_unix_nanos: window.map_or(0, |window| window.start.0),
        end_unix_nanos: window.map_or(0, |window| window.end.0),
        state: state(row.state),
        destination_id: id(row.destination.0),
        trade_ids: Vec::new(),
        owed_terahashes: terahashes(row.owed),
        delivered_terahashes: terahashes(row.delivered),
        early_close_cause: cause(row.cause),
    }
}

/// A reading of an interval.
#[must_use]
pub fn interval(row: &IntervalRow) -> wire::DeliveryInterval {
    let seconds = u128::from(
        ((row.end.0 - row.start.0).max(1) / SECOND)
            .max(1)
            .unsigned_abs(),
    );
    let error = row.shares.error_ppm().unwrap_or(0);
    wire::DeliveryInterval {
        obligation_id: row.obligation.0.into(),
        start_unix_nanos: row.start.0,
        end_unix_nanos: row.end.0,
        expected_terahashes: terahashes(row.expected),
        accepted_terahashes: terahashes(row.accepted),
        rejected_terahashes: terahashes(row.rejected),
        share_count: i64::try_from(row.count).unwrap_or(i64::MAX),
        standard_error_ppm: i32::try_from(error).unwrap_or(i32::MAX),
        shortfall_terahashes: terahashes(row.shortfall),
        hashrate_terahashes_per_second: terahashes(row.accepted / seconds),
        committed: row.committed,
    }
}

/// Money of an interval as one side sees it: positive = received.
#[must_use]
pub fn settlement(
    exchange: &Exchange,
    row: &SettlementRow,
    seq: u64,
    viewer: AccountId,
) -> wire::Settlement {
    let contract = exchange.instrument(row.instrument);
    let asset = contract.map_or(AssetId::NONE, |contract| contract.terms.price_asset);
    let sells = row.seller == viewer;
    let seen = |money: Minor| if sells { money } else { -money };
    let tick = contract.map(|contract| contract.terms.tick_size);
    let index = |ticks: Ticks| {
        let tick = tick?;
        Some(common::Decimal {
            mantissa: ticks.0.checked_mul(tick.mantissa)?,
            exponent: tick.exponent,
        })
    };
    let payment = seen(row.payment) - seen(row.difference);
    let own_fee = if sells { row.fee } else { Minor::ZERO };
    wire::Settlement {
        settlement_id: i64::try_from(row.id).unwrap_or(i64::MAX),
        obligation_id: row.obligation.0.into(),
        instrument_id: id(row.instrument.0),
        settlement_date: date(row.start),
        lots: row.lots.0,
        payment: amount(asset, payment - own_fee),
        shortfall_charge: amount(asset, -seen(row.charge)),
        bond_released: amount(
            asset,
            if sells {
                row.bond_released
            } else {
                row.returned
            },
        ),
        index_value: index(row.index),
        index_round_id: 0,
        finalized: true,
        journal_seq: i64::try_from(seq).unwrap_or(i64::MAX),
    }
}

/// A seller's capacity, in terahashes per second.
#[must_use]
pub fn capacity(row: &CapacityRow) -> wire::CapacityStatus {
    let free = row.sellable.saturating_sub(row.committed + row.open);
    wire::CapacityStatus {
        account_id: row.account.0.into(),
        commodity_id: id(row.commodity.0),
        attested_ths: terahashes(row.attested),
        committed_ths: terahashes(row.committed),
        open_order_ths: terahashes(row.open),
        available_ths: terahashes(free),
        attested_until_unix_nanos: row.until.0,
    }
}

/// A destination; the worker's password is not kept.
#[must_use]
pub fn destination(row: &Destination) -> wire::Destination {
    let protocol = match row.protocol {
        StratumProtocol::V1 => wire::StratumProtocol::V1,
        StratumProtocol::V1Tls => wire::StratumProtocol::V1Tls,
        StratumProtocol::V2 => wire::StratumProtocol::V2,
    };
    wire::Destination {
        destination_id: id(row.id.0),
        label: row.label.clone(),
        commodity_id: id(row.commodity.0),
        address: row.address.clone(),
        worker: row.worker.clone(),
        protocol: protocol.into(),
        worker_password: String::new(),
        account_default: row.account_default,
    }
}

/// A protocol from the wire.
///
/// # Errors
/// INVALID_FIELD if none is named.
pub fn protocol_in(protocol: i32) -> Result<StratumProtocol, Status> {
    match wire::StratumProtocol::try_from(protocol) {
        Ok(wire::StratumProtocol::V1) => Ok(StratumProtocol::V1),
        Ok(wire::StratumProtocol::V1Tls) => Ok(StratumProtocol::V1Tls),
        Ok(wire::StratumProtocol::V2) => Ok(StratumProtocol::V2),
        _ => Err(refusal::invalid("destination.protocol", "V1, V1_TLS or V2")),
    }
}

/// A kind of meter from the wire.
///
/// # Errors
/// INVALID_FIELD if none is named.
pub fn meter_kind_in(kind: i32, field: &str) -> Result<MeterKind, Status> {
    match admin::MeterKind::try_from(kind) {
        Ok(admin::MeterKind::ExchangeProxy) => Ok(MeterKind::ExchangeProxy),
        Ok(admin::MeterKind::Pool) => Ok(MeterKind::Pool),
        Ok(admin::MeterKind::Buyer) => Ok(MeterKind::Buyer),
        Ok(admin::MeterKind::Seller) => Ok(MeterKind::Seller),
        _ => Err(refusal::invalid(field, "required")),
    }
}

/// A meter to register.
///
/// # Errors
/// INVALID_FIELD.
pub fn meter_in(request: &admin::RegisterMeterRequest) -> Result<NewMeter, Status> {
    Ok(NewMeter {
        name: request.meter_id.clone(),
        kind: meter_kind_in(request.kind, "kind")?,
        public_key: key_in(&request.public_key)?,
        attests: request.attests,
    })
}

fn key_in(bytes: &[u8]) -> Result<[u8; 32], Status> {
    bytes
        .try_into()
        .map_err(|_| refusal::invalid("meter_public_key", "32 bytes, Ed25519"))
}

/// Key and signature of a reading or attestation.
///
/// # Errors
/// INVALID_FIELD for wrong lengths.
pub fn signed_in(key: &[u8], signature: &[u8]) -> Result<Signed, Status> {
    Ok(Signed {
        public_key: key_in(key)?,
        signature: signature
            .try_into()
            .map_err(|_| refusal::invalid("signature", "64 bytes, Ed25519"))?,
    })
}

/// Rules of a commodity's deliveries.
///
/// # Errors
/// INVALID_FIELD for a number out of range of its type; the exchange looks at the rest.
pub fn rules_in(request: &admin::SetDeliveryRulesRequest) -> Result<SetDeliveryRules, Status> {
    let small = |number: i32, field: &str| {
        u32::try_from(number).map_err(|_| refusal::invalid(field, "at least 0"))
    };
    let tiny = |number: i32, field: &str| {
        u8::try_from(number).map_err(|_| refusal::invalid(field, "0 to 255"))
    };
    let rules = request.rules.as_ref().map(|rules| {
        if rules.tolerance_ppm % 100 != 0 {
            return Err(refusal::invalid(
                "rules.tolerance_ppm",
                "whole hundredths of a percent",
            ));
        }
        Ok(Rules {
            interval_seconds: small(rules.interval_seconds, "rules.interval_seconds")?,
            tolerance_bp: small(rules.tolerance_ppm / 100, "rules.tolerance_ppm")?,
            surcharge: Ppm(rules.imbalance_surcharge_ppm),
            fee: Ppm(rules.fee_ppm),
            capacity_duty: rules.capacity_duty,
            reserve: Ppm(rules.capacity_reserve_ppm),
            attestors: tiny(rules.attestors, "rules.attestors")?,
            settle_after_seconds: small(rules.settle_after_seconds, "rules.settle_after_seconds")?,
            dispute_seconds: small(rules.dispute_seconds, "rules.dispute_seconds")?,
            grace_seconds: small(rules.grace_seconds, "rules.grace_seconds")?,
            failures: tiny(rules.failures_to_close, "rules.failures_to_close")?,
        })
    });
    Ok(SetDeliveryRules {
        commodity: CommodityId(super::reference::number(request.commodity_id)),
        rules: rules.transpose()?,
    })
}

/// The shares of a reading on the wire.
#[must_use]
pub fn shares_of(reading: &admin::MeterReading) -> Shares {
    Shares {
        difficulty: reading.accepted_difficulty.max(0).unsigned_abs(),
        mean_difficulty: reading.mean_weighted_difficulty.max(0).unsigned_abs(),
    }
}
