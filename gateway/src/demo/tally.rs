//! What the actors count: orders, answers, fills, refusals by reason, and how long an answer took.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use proto::{
    common::v1::Problem,
    trading::v1::{Fill, OrderEvent, OrderEventKind},
};

use crate::client::reason_name;

/// Longest answer time that is told apart.
const LONGEST: Duration = Duration::from_secs(60);

/// Shared by all actors of a demo.
#[derive(Debug)]
pub(super) struct Tally(Mutex<Counts>);

/// Totals since the start.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// Commands sent: new orders, replaces, cancels.
    pub(super) orders: u64,
    /// Commands of makers that were answered.
    pub(super) acks: u64,
    /// Own executions; a trade between two actors counts twice.
    pub(super) fills: u64,
    pub(super) rejects: BTreeMap<String, u64>,
    /// Fees paid, by asset, in minor units.
    pub(super) fees: BTreeMap<i32, i64>,
    /// Just before the send until the durable answer was in hand, in nanoseconds. Makers only.
    pub(super) ack_nanos: Histogram<u64>,
    /// Streams that were lost and came back.
    pub(super) reconnects: u64,
    /// The newest thing a person should know.
    pub(super) notice: String,
}

impl Tally {
    /// Zero.
    pub(super) fn new() -> Self {
        let longest = u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX);
        let ack_nanos = Histogram::new_with_bounds(1_000, longest, 3)
            .expect("the bounds are constants that the histogram accepts");
        Self(Mutex::new(Counts {
            orders: 0,
            acks: 0,
            fills: 0,
            rejects: BTreeMap::new(),
            fees: BTreeMap::new(),
            ack_nanos,
            reconnects: 0,
            notice: String::new(),
        }))
    }

    /// The totals of this moment.
    pub(super) fn read(&self) -> Counts {
        self.lock().clone()
    }

    /// A command leaves.
    pub(super) fn sent(&self) {
        self.lock().orders += 1;
    }

    /// The answer to a maker's command is in hand.
    pub(super) fn acked(&self, after: Duration) {
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        let mut counts = self.lock();
        counts.acks += 1;
        counts.ack_nanos.saturating_record(nanos);
    }

    /// The exchange said no.
    pub(super) fn rejected(&self, reason: &str) {
        let mut counts = self.lock();
        *counts.rejects.entry(reason.to_owned()).or_default() += 1;
    }

    /// As [`Tally::rejected`], from an event.
    pub(super) fn problem(&self, problem: Option<&Problem>) {
        self.rejected(&reason_name(problem.map_or(0, |p| p.reason)));
    }

    /// Counts what an order event brings: fills, fees, refusals.
    pub(super) fn order_event(&self, event: &OrderEvent) {
        match event.kind() {
            OrderEventKind::Fill => self.filled(event.fill.as_ref()),
            OrderEventKind::Rejected
            | OrderEventKind::ReplaceRejected
            | OrderEventKind::CancelRejected => self.problem(event.problem.as_ref()),
            OrderEventKind::Unspecified
            | OrderEventKind::Accepted
            | OrderEventKind::Replaced
            | OrderEventKind::Cancelled
            | OrderEventKind::Triggered
            | OrderEventKind::Restated
            | OrderEventKind::TradeBusted => {}
        }
    }

    /// A stream came back.
    pub(super) fn reconnected(&self) {
        self.lock().reconnects += 1;
    }

    /// Something a person should know.
    pub(super) fn notice(&self, text: String) {
        self.lock().notice = text;
    }

    fn filled(&self, fill: Option<&Fill>) {
        let mut counts = self.lock();
        counts.fills += 1;
        if let Some(fee) = fill.and_then(|f| f.fee) {
            *counts.fees.entry(fee.asset_id).or_default() += fee.minor_units;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counting cannot panic half way, so a poisoned lock still holds good counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nanoseconds as milliseconds with three places.
pub(super) fn millis(nanos: u64) -> String {
    let micros = nanos / 1_000;
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let tally = Tally::new();
        tally.sent();
        tally.acked(Duration::from_micros(1_500));
        tally.rejected("RATE_LIMITED");
        tally.rejected("RATE_LIMITED");
        let counts = tally.read();
        assert_eq!((counts.orders, counts.acks), (1, 1));
        assert_eq!(counts.rejects["RATE_LIMITED"], 2);
        assert_eq!(counts.ack_nanos.len(), 1);
        assert_eq!(millis(1_500_000), "1.500 ms");
    }
}
