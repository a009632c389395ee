//! A sandbox's time, moved forward: contracts begin and end on the way as they would by themselves.

use engine::{
    command::Command,
    exchange::Exchange,
    instrument::TradingState,
    reason::{Field, Reason},
    units::DAY,
};
use proto::admin::v1 as wire;
use tonic::Status;

use crate::{
    desk::{Desk, Environment, wide},
    listing,
    paging::beyond,
    refusal,
};

/// Longest way in one call.
const FURTHEST: i64 = 366 * DAY;

fn settled(exchange: &Exchange) -> usize {
    let contracts = exchange.instruments().iter();
    contracts
        .filter(|contract| contract.state == TradingState::Settled)
        .count()
}

/// Moves the exchange's clock to a time, runs what became due, and lists what the calendar has then.
/// Days of contracts in delivery settle when their fixings come, as always.
///
/// # Errors
/// Outside a sandbox; a time in the past or more than 366 days ahead; or the exchange stops.
pub(super) async fn advance(
    desk: &Desk,
    target: i64,
) -> Result<wire::AdvanceClockResponse, Status> {
    if desk.environment != Environment::Sandbox {
        return Err(refusal::about(Reason::NotSandbox, Field::None));
    }
    let now = desk.clock.time();
    if target < now || target - now > FURTHEST {
        let limit = if target < now { now } else { now + FURTHEST };
        return Err(beyond("target_unix_nanos", limit, target));
    }
    let before = desk.state(settled);
    desk.clock.advance_to(target);
    // Stamped with the new time: everything due before it runs first.
    desk.ask(Command::Tick).await?;
    if let Err(why) = listing::list_due(desk).await {
        tracing::warn!(%why, "the listing calendar will try again");
    }
    Ok(desk.state(|exchange| wire::AdvanceClockResponse {
        exchange_unix_nanos: exchange.at().0,
        journal_seq: wide(exchange.seq()),
        settled_instruments: i32::try_from(settled(exchange).saturating_sub(before))
            .unwrap_or(i32::MAX),
    }))
}
