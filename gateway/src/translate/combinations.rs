//! Legs of calendar spreads and strips between wire and engine.
//!
//! Which legs make a combination is the engine's to say (COMBO-01); here they are only read.

use engine::{
    exchange::Exchange,
    ids::InstrumentId,
    instrument::{Kind, Leg, MarginTerms, Window},
    limits,
    reason::{Field, Problem, Reason},
    units::Ppm,
};
use proto::reference::v1 as wire;
use tonic::Status;

use crate::refusal;

const FIELD: &str = "instrument.legs";

/// A combination asks for no margin of its own: its legs do.
pub(super) const NO_MARGIN: MarginTerms = MarginTerms {
    initial_buy: Ppm(0),
    initial_sell: Ppm(0),
    maintenance_of_initial: Ppm(0),
    delivery_bond: Ppm(0),
    concentration_lots: 0,
    concentration: Ppm(0),
};

/// What a contract is made of, as the wire shows it.
pub(super) fn legs_out(legs: &[Leg]) -> Vec<wire::Leg> {
    let leg = |leg: &Leg| wire::Leg {
        instrument_id: leg.instrument.0.cast_signed(),
        // A listed ratio is 1 or -1.
        ratio: i32::try_from(leg.ratio).unwrap_or_default(),
    };
    legs.iter().map(leg).collect()
}

/// What a contract should be made of.
///
/// # Errors
/// INVALID_FIELD naming the leg.
pub(super) fn legs_in(kind: Kind, legs: &[wire::Leg]) -> Result<Vec<Leg>, Status> {
    if !kind.is_combination() && !legs.is_empty() {
        let why = "only calendar spreads and strips have legs";
        return Err(refusal::invalid(FIELD, why));
    }
    if kind.is_combination() && legs.is_empty() {
        return Err(refusal::invalid(FIELD, "missing"));
    }
    if legs.len() > limits::COMBINATION_LEGS {
        let most = i64::try_from(limits::COMBINATION_LEGS).unwrap_or(0);
        let actual = i64::try_from(legs.len()).unwrap_or(i64::MAX);
        let problem = Problem::limit(Reason::TooManyItems, Field::Legs, most, actual);
        return Err(refusal::status(&problem));
    }
    let read = |(place, leg): (usize, &wire::Leg)| {
        let number = u32::try_from(leg.instrument_id)
            .ok()
            .filter(|number| *number > 0);
        let number = number.ok_or_else(|| {
            let field = format!("{FIELD}[{place}].instrument_id");
            refusal::invalid(&field, "required")
        })?;
        if leg.ratio == 0 {
            let field = format!("{FIELD}[{place}].ratio");
            return Err(refusal::invalid(&field, "1 is bought, -1 is sold"));
        }
        Ok(Leg {
            instrument: InstrumentId(number),
            ratio: leg.ratio.into(),
        })
    };
    legs.iter().enumerate().map(read).collect()
}

/// From the first leg's start to the last leg's end.
///
/// # Errors
/// INVALID_FIELD if a leg is not listed.
pub(super) fn window_of(exchange: &Exchange, legs: &[Leg]) -> Result<Window, Status> {
    let window = |leg: Option<&Leg>| {
        let contract = leg.and_then(|leg| exchange.instrument(leg.instrument));
        let window = contract.map(|contract| contract.terms.window);
        window.ok_or_else(|| refusal::invalid(FIELD, "not a listed contract"))
    };
    Ok(Window {
        start: window(legs.first())?.start,
        end: window(legs.last())?.end,
    })
}
