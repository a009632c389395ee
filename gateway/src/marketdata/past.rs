//! The tape from before what memory holds: looked for in the journal, away from the core.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use engine::{
    command::Stamped,
    event::{Event, Trade},
    reason::Reason,
};
use proto::{common::v1 as common, marketdata::v1 as wire};

use super::{
    row::public,
    subscription::{FIELD, resume_point, wrong},
};
use crate::{
    archive::Dated,
    desk::{Desk, Digger, wide},
    refusal,
};

/// The trades of a continued tape that the archive no longer keeps, oldest first; none if it keeps them all, or if
/// nothing is continued.
///
/// # Errors
/// RESUME_TOO_OLD if the journal does not reach back that far either, OVERLOADED while somebody else digs.
pub(super) async fn of_a_tape(
    asked: &wire::Subscription,
    desk: &Desk,
) -> Result<Vec<Dated<Trade>>, common::Problem> {
    // What is wrong with the request is said where it is begun.
    let Ok(Some(id)) = resume_point(asked, desk) else {
        return Ok(Vec::new());
    };
    let after = asked.resume_after_seq.unsigned_abs();
    let oldest = {
        let archive = desk.hub.archive();
        let kept = archive.trades(id).next().map(|trade| trade.what.public_seq);
        kept.filter(|_| archive.trades(id).count() >= archive.rows_kept())
    };
    if oldest.is_none_or(|oldest| oldest <= after + 1) {
        return Ok(Vec::new());
    }
    let from = desk
        .oldest_on_disk()
        .await
        .map_err(|status| told(&status))?;
    // Only if something of the contract from before is met is nothing missing in between.
    let first = Arc::new(AtomicU64::new(u64::MAX));
    let seen = Arc::clone(&first);
    let wanted = move |_: &Stamped, events: &[Event]| {
        let mut any = false;
        for event in events {
            if let Some((contract, seq)) = public(event)
                && contract == id
            {
                seen.fetch_min(seq, Ordering::Relaxed);
                any |= matches!(event, Event::Trade(_)) && seq > after;
            }
        }
        any
    };
    let dug = desk.excavate(Digger::Reader, from, wanted).await;
    let dug = dug.map_err(|status| told(&status))?;
    let first = first.load(Ordering::Relaxed);
    if from > 1 && first > after + 1 {
        return Err(wrong(
            Reason::ResumeTooOld,
            FIELD,
            wide(first - 1),
            wide(after),
        ));
    }
    let trades = dug.commands().flat_map(|(stamped, events)| {
        let (seq, at) = (stamped.seq, stamped.at);
        events.iter().filter_map(move |event| match event {
            Event::Trade(what) if what.instrument == id && what.public_seq > after => Some(Dated {
                seq,
                at,
                what: *what,
            }),
            _ => None,
        })
    });
    Ok(trades.collect())
}

/// What a status says, for a single subscription.
fn told(status: &tonic::Status) -> common::Problem {
    let refusal = crate::client::Refusal::read(status);
    let reason = refusal.map(|refusal| refusal.reason);
    match reason.as_deref() {
        Some("OVERLOADED") => refusal::problem(&engine::reason::Problem::new(Reason::Overloaded)),
        _ => wrong(Reason::ResumeTooOld, FIELD, 0, 0),
    }
}
