//! Margin of families, between the wire and the engine.

use engine::{
    command::{ChainCalendar, MarginMethod, Side, SubsidyStep, Tenor},
    exchange::{Asked, Exchange, Parts},
    ids::{AssetId, CommodityId, FeedId, InstrumentId},
    instrument::Instrument,
    margin::{Ranges, Scenario},
    units::Ppm,
};
use proto::{account::v1::MarginParts, reference::v1 as wire};
use tonic::Status;

use crate::refusal;

/// A method as it is asked for; what is out of range is named by its field.
///
/// # Errors
/// Without a method, or if a count is negative or too large. The exchange checks all other ranges.
pub fn method(method: Option<wire::MarginMethod>) -> Result<MarginMethod, Status> {
    let method = method.ok_or_else(|| refusal::invalid("method", "missing"))?;
    let most = [
        ("price_ppm", method.price_ppm, 900_000),
        ("difficulty_ppm", method.difficulty_ppm, 900_000),
        ("fee_share_ppm", method.fee_share_ppm, 1_000_000),
        ("fees_ppm", method.fees_ppm, 1_000_000),
        ("retarget_down_ppm", method.retarget_down_ppm, 900_000),
        ("retarget_up_ppm", method.retarget_up_ppm, 900_000),
        ("extreme_counts_ppm", method.extreme_counts_ppm, 1_000_000),
        ("delivery_ppm", method.delivery_ppm, 1_000_000),
        ("adjacent_credit_ppm", method.adjacent_credit_ppm, 1_000_000),
        (
            "other_credit_ppm",
            method.other_credit_ppm,
            method.adjacent_credit_ppm,
        ),
    ];
    for (field, value, most) in most {
        within::<i32>(&format!("method.{field}"), value, 0, most)?;
    }
    let tenors = method.tenors.iter().enumerate().map(|(place, tenor)| {
        let name = |field| format!("method.tenors[{place}].{field}");
        within::<i32>(&name("share_ppm"), tenor.share_ppm, 0, 2_000_000)?;
        Ok(Tenor {
            days: within(&name("days"), tenor.days, 1, 10_000)?,
            share: Ppm(tenor.share_ppm),
        })
    });
    let tenors = tenors.collect::<Result<Vec<_>, Status>>()?;
    if !tenors.windows(2).all(|two| two[0].days < two[1].days) {
        return Err(refusal::invalid(
            "method.tenors",
            "nearest first, each once",
        ));
    }
    Ok(MarginMethod {
        commodity: CommodityId(id(method.commodity_id)),
        asset: AssetId(id(method.asset_id)),
        ranges: Ranges {
            price: Ppm(method.price_ppm),
            difficulty: Ppm(method.difficulty_ppm),
            fee_share: Ppm(method.fee_share_ppm),
            fees: Ppm(method.fees_ppm),
            retarget_down: Ppm(method.retarget_down_ppm),
            retarget_up: Ppm(method.retarget_up_ppm),
            extreme_counts: Ppm(method.extreme_counts_ppm),
        },
        tenors,
        delivery: Ppm(method.delivery_ppm),
        adjacent_credit: Ppm(method.adjacent_credit_ppm),
        other_credit: Ppm(method.other_credit_ppm),
        calendar: method.calendar.map(calendar).transpose()?,
    })
}

fn calendar(calendar: wire::ChainCalendar) -> Result<ChainCalendar, Status> {
    let name = |field| format!("method.calendar.{field}");
    let step = match calendar.step_height {
        0 => None,
        height => Some(SubsidyStep {
            height: u64::try_from(height)
                .map_err(|_| refusal::invalid(&name("step_height"), "negative"))?,
            left: Ppm(within(
                &name("step_left_ppm"),
                calendar.step_left_ppm,
                0,
                1_000_000,
            )?),
            notice_days: within(
                &name("step_notice_days"),
                calendar.step_notice_days,
                0,
                1_000,
            )?,
        }),
    };
    let notice = calendar.retarget_notice_hours;
    Ok(ChainCalendar {
        feed: FeedId(id(calendar.feed_id)),
        block_ms: within(&name("block_ms"), calendar.block_ms, 100, 3_600_000)?,
        retarget_blocks: within(
            &name("retarget_blocks"),
            calendar.retarget_blocks,
            0,
            1_000_000,
        )?,
        retarget_notice_hours: within(&name("retarget_notice_hours"), notice, 0, 8_760)?,
        step,
    })
}

fn within<T: TryFrom<i32>>(field: &str, value: i32, least: i32, most: i32) -> Result<T, Status> {
    let narrow = T::try_from(value).ok();
    narrow
        .filter(|_| (least..=most).contains(&value))
        .ok_or_else(|| refusal::invalid(field, &format!("{value} is not {least} to {most}")))
}

/// A number of a row; 0, which is none, if it cannot be one.
fn id(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn number(value: impl TryInto<i32>) -> i32 {
    value.try_into().unwrap_or(i32::MAX)
}

/// All families with what they ask for now.
pub fn families(exchange: &Exchange) -> Vec<wire::MarginFamily> {
    let families = exchange.families().iter();
    let asked = |id: InstrumentId| exchange.asked(id).map(|asked| contract(id, &asked));
    let family = |family: &engine::exchange::Family| wire::MarginFamily {
        method: Some(told(&family.method)),
        contracts: family.contracts().filter_map(asked).collect(),
    };
    families.map(family).collect()
}

fn told(method: &MarginMethod) -> wire::MarginMethod {
    let ranges = &method.ranges;
    let tenor = |tenor: &Tenor| wire::MarginTenor {
        days: tenor.days.into(),
        share_ppm: tenor.share.0,
    };
    wire::MarginMethod {
        commodity_id: number(method.commodity.0),
        asset_id: number(method.asset.0),
        price_ppm: ranges.price.0,
        difficulty_ppm: ranges.difficulty.0,
        fee_share_ppm: ranges.fee_share.0,
        fees_ppm: ranges.fees.0,
        retarget_down_ppm: ranges.retarget_down.0,
        retarget_up_ppm: ranges.retarget_up.0,
        extreme_counts_ppm: ranges.extreme_counts.0,
        tenors: method.tenors.iter().map(tenor).collect(),
        delivery_ppm: method.delivery.0,
        adjacent_credit_ppm: method.adjacent_credit.0,
        other_credit_ppm: method.other_credit.0,
        calendar: method.calendar.map(|calendar| wire::ChainCalendar {
            feed_id: number(calendar.feed.0),
            block_ms: number(calendar.block_ms),
            retarget_blocks: number(calendar.retarget_blocks),
            retarget_notice_hours: calendar.retarget_notice_hours.into(),
            step_height: calendar
                .step
                .map_or(0, |step| i64::try_from(step.height).unwrap_or(i64::MAX)),
            step_left_ppm: calendar.step.map_or(0, |step| step.left.0),
            step_notice_days: calendar.step.map_or(0, |step| step.notice_days.into()),
        }),
    }
}

fn contract(id: InstrumentId, asked: &Asked) -> wire::MarginAsked {
    let scenario = |outcome: &Scenario| wire::MarginScenario {
        price_ppm: outcome.price,
        difficulty_ppm: outcome.difficulty,
        fees_ppm: outcome.fees,
        retarget_ppm: outcome.retarget,
        extreme: outcome.extreme,
        rate_ppm: outcome.rate.0,
    };
    let (step, before, after) = asked.step.unwrap_or((Ppm(0), 0, 0));
    wire::MarginAsked {
        instrument_id: number(id.0),
        floor_buy_ppm: asked.floor.0.0,
        floor_sell_ppm: asked.floor.1.0,
        buy_ppm: asked.rates.0.0,
        sell_ppm: asked.rates.1.0,
        share_ppm: asked.share.0,
        retarget_counts: asked.retarget,
        delivery_ppm: asked.delivery.0,
        step_ppm: step.0,
        days_before_step: number(before),
        days_after_step: number(after),
        long: Some(scenario(&asked.worst.long)),
        short: Some(scenario(&asked.worst.short)),
    }
}

/// What an order's need is made of.
pub fn parts(contract: &Instrument, side: Side, parts: &Parts) -> MarginParts {
    let (floor, rates) = (contract.terms.margin.rates(), contract.rates);
    let (floor, rate) = match side {
        Side::Buy => (floor.0, rates.0),
        Side::Sell => (floor.1, rates.1),
    };
    MarginParts {
        initial_minor: parts.initial.0,
        hold_minor: parts.hold.0,
        concentration_minor: parts.concentration.0,
        credit_lost_minor: parts.credit_lost.0,
        covered_minor: parts.covered.0,
        initial_ppm: rate.0,
        floor_ppm: floor.0,
    }
}
