//! Meters' words and objections to them (DELIVERY-07, 08, 11), and force majeure (DELIVERY-12).

use super::{Exchange, Nanos, ObligationId, SECOND, capacity::TERA, statistics, tell};
use crate::{
    command::{DisputeInterval, MeterReading, ResolveDispute, SetDeliverySuspension},
    delivery::{Dispute, Interval, MeterKind, Obligation, Reading, Shares},
    event::{DeliveryEvent, DisputeRow, Done, Event, IntervalRow},
    exchange::admin::{Outcome, made},
    ids::{AccountId, DisputeId},
    limits,
    reason::{Field, Problem, Reason},
};

/// What an interval's readings come to.
pub(super) enum Word {
    /// These shares count.
    Shares(Shares),
    /// Exchange and pool differ by more than counting explains.
    Apart,
    /// Nobody who counts said anything.
    None,
}

impl Exchange {
    pub(super) fn read_meter(&mut self, told: &MeterReading, out: &mut Vec<Event>) -> Outcome {
        let meter = self.signing_meter(told.meter, &told.signed)?;
        let (kind, meter) = (meter.kind, meter.id);
        let unknown = Problem::about(Reason::UnknownObligation, Field::Obligation);
        let row = self.obligation(told.obligation).ok_or(unknown)?;
        let place = row
            .intervals
            .iter()
            .position(|step| step.start == told.start);
        let closed = Problem::about(Reason::DeliveryWindowClosed, Field::Interval);
        if !row.lives() {
            return Err(closed);
        }
        let place = place.ok_or(Problem::about(Reason::InvalidField, Field::Interval))?;
        if place < row.next as usize {
            return Err(closed);
        }
        let step = &row.intervals[place];
        self.check_span(told, step)?;
        check_counts(told)?;
        let reading = Reading {
            meter,
            kind,
            end: told.end,
            shares: Shares {
                difficulty: told.accepted_difficulty,
                mean_difficulty: told.mean_difficulty,
            },
            count: told.accepted_shares,
            rejected_difficulty: told.rejected_difficulty,
            rejected_shares: told.rejected_shares,
            down_seconds: told.down_seconds,
            blocks_found: told.blocks_found,
            committed: told.committed,
        };
        let known = step.readings.iter().position(|known| known.meter == meter);
        match known.map(|at| step.readings[at]) {
            Some(known) if known == reading => {
                // The same again: answered, told to nobody.
                return Ok(Done {
                    first_seq: self.seq,
                    ..made(told.obligation.0)
                });
            }
            Some(known) if known.committed => {
                return Err(Problem::about(Reason::ObservationConflict, Field::Interval));
            }
            Some(known) if known.end > reading.end => {
                let (limit, actual) = (known.end.0, reading.end.0);
                let reason = Reason::StaleObservation;
                return Err(Problem::limit(reason, Field::Interval, limit, actual));
            }
            None => {
                crate::exchange::admin::check_room(step.readings.len(), limits::READINGS)?;
            }
            Some(_) => {}
        }
        let told_row = self.interval_row(row, step, &reading);
        let readings = &mut self.at_obligation(told.obligation).intervals[place].readings;
        readings.retain(|known| known.meter != meter);
        readings.push(reading);
        readings.sort_by_key(|reading| (reading.kind, reading.meter));
        tell(DeliveryEvent::Interval(told_row), out);
        self.advance(told.obligation, out);
        Ok(made(told.obligation.0))
    }

    /// A reading covers the beginning of its interval, and not the future.
    fn check_span(&self, told: &MeterReading, step: &Interval) -> Result<(), Problem> {
        let ends_inside = told.start < told.end && told.end <= step.end;
        if !ends_inside || (told.committed && told.end != step.end) {
            let (limit, actual) = (step.end.0, told.end.0);
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Interval,
                limit,
                actual,
            ));
        }
        if told.end > self.at {
            let (limit, actual) = (self.at.0, told.end.0);
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Interval,
                limit,
                actual,
            ));
        }
        let seconds = (told.end.0 - told.start.0) / SECOND;
        let down = i64::from(told.down_seconds);
        if down > seconds {
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Value,
                seconds,
                down,
            ));
        }
        Ok(())
    }

    fn interval_row(&self, row: &Obligation, step: &Interval, reading: &Reading) -> IntervalRow {
        let per_share = self.hashes_per_share(row.commodity);
        let expected = row.hashes_of(reading.end.0 - step.start.0);
        let accepted = reading.shares.work(per_share);
        let tolerance = row.rules.tolerance_bp;
        let short = statistics::is_short(expected, reading.shares, per_share, tolerance);
        IntervalRow {
            obligation: row.id,
            seller: row.seller,
            buyer: row.buyer,
            meter: reading.kind,
            start: step.start,
            end: reading.end,
            expected,
            accepted,
            rejected: u128::from(reading.rejected_difficulty) * u128::from(per_share),
            shares: reading.shares,
            count: reading.count,
            shortfall: if short { expected - accepted } else { 0 },
            committed: reading.committed,
        }
    }

    /// Which reading settles an interval (DELIVERY-11).
    pub(super) fn word_on(&self, row: &Obligation, step: &Interval) -> Word {
        let of = |kind: MeterKind| step.readings.iter().find(|reading| reading.kind == kind);
        let (proxy, pool) = (of(MeterKind::ExchangeProxy), of(MeterKind::Pool));
        let (Some(one), Some(other)) = (proxy, pool) else {
            let only = proxy.or(pool).map(|reading| Word::Shares(reading.shares));
            return only.unwrap_or(Word::None);
        };
        let (less, more) = match one.shares.difficulty <= other.shares.difficulty {
            true => (one.shares, other.shares),
            false => (other.shares, one.shares),
        };
        let per_share = self.hashes_per_share(row.commodity);
        let tolerance = row.rules.tolerance_bp;
        if statistics::is_short(more.work(per_share), less, per_share, tolerance) {
            return Word::Apart;
        }
        Word::Shares(less)
    }

    /// The dispute that holds an interval, if one does.
    pub(super) fn open_dispute(&self, step: &Interval) -> Option<&Dispute> {
        let row = step
            .dispute
            .index()
            .and_then(|at| self.deliveries.disputes.get(at));
        row.filter(|row| row.decided.is_none() && row.until > self.at)
    }

    pub(super) fn dispute_interval(
        &mut self,
        told: &DisputeInterval,
        out: &mut Vec<Event>,
    ) -> Outcome {
        let unknown = Problem::about(Reason::UnknownObligation, Field::Obligation);
        let row = self.obligation(told.obligation).ok_or(unknown)?;
        if told.account != row.seller && told.account != row.buyer {
            return Err(unknown);
        }
        let closed = Problem::about(Reason::DisputeWindowClosed, Field::Interval);
        let place = row
            .intervals
            .iter()
            .position(|step| step.start == told.start);
        if !row.lives() {
            return Err(closed);
        }
        let place = place.ok_or(Problem::about(Reason::InvalidField, Field::Interval))?;
        let step = &row.intervals[place];
        if place < row.next as usize {
            return Err(closed);
        }
        if self.at < step.end {
            let (limit, actual) = (step.end.0, self.at.0);
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Interval,
                limit,
                actual,
            ));
        }
        if step.dispute.is_set() {
            // One objection for each interval: nobody holds the other's money for ever.
            return Err(Problem::about(Reason::AlreadyExists, Field::Dispute));
        }
        if told.claimed_terahashes < 0 {
            let actual = told.claimed_terahashes;
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Value,
                0,
                actual,
            ));
        }
        let claimed = u128::from(told.claimed_terahashes.unsigned_abs()) * TERA;
        let id = self.open(told.obligation, place, told.account, claimed, out);
        self.refresh(told.obligation, out);
        Ok(made(id.0))
    }

    /// Holds an interval's money.
    pub(super) fn open(
        &mut self,
        obligation: ObligationId,
        place: usize,
        by: AccountId,
        claimed: u128,
        out: &mut Vec<Event>,
    ) -> DisputeId {
        let id = DisputeId::nth(self.deliveries.disputes.len());
        let at = self.at;
        let row = self.at_obligation(obligation);
        let until = at.after(i64::from(row.rules.dispute_seconds) * SECOND);
        let step = &mut row.intervals[place];
        step.dispute = id;
        let start = step.start;
        self.deliveries.disputes.push(Dispute {
            id,
            obligation,
            start,
            by,
            claimed,
            until,
            decided: None,
        });
        self.tell_dispute(id, out);
        id
    }

    pub(super) fn tell_dispute(&self, id: DisputeId, out: &mut Vec<Event>) {
        let dispute = id.index().and_then(|at| self.deliveries.disputes.get(at));
        let both = dispute.and_then(|row| Some((row, self.obligation(row.obligation)?)));
        let Some((dispute, row)) = both else { return };
        let told = DisputeRow {
            id,
            obligation: row.id,
            seller: row.seller,
            buyer: row.buyer,
            start: dispute.start,
            by: dispute.by,
            until: dispute.until,
            decided: dispute.decided,
        };
        tell(DeliveryEvent::Dispute(told), out);
    }

    pub(super) fn resolve_dispute(
        &mut self,
        told: &ResolveDispute,
        out: &mut Vec<Event>,
    ) -> Outcome {
        let not_found = Problem::about(Reason::NotFound, Field::Dispute);
        let at = told.dispute.index().ok_or(not_found)?;
        let dispute = *self.deliveries.disputes.get(at).ok_or(not_found)?;
        let row = self.obligation(dispute.obligation).ok_or(not_found)?;
        let waits = row.intervals.get(row.next as usize..).unwrap_or_default();
        let held = waits.iter().find(|step| step.dispute == dispute.id);
        if dispute.decided.is_some() || held.is_none() {
            return Err(Problem::about(Reason::DisputeWindowClosed, Field::Dispute));
        }
        if told.decided_terahashes < 0 {
            let actual = told.decided_terahashes;
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Value,
                0,
                actual,
            ));
        }
        let decided = u128::from(told.decided_terahashes.unsigned_abs()) * TERA;
        self.deliveries.disputes[at].decided = Some(decided);
        self.tell_dispute(dispute.id, out);
        self.advance(dispute.obligation, out);
        Ok(made(told.dispute.0))
    }

    pub(super) fn set_delivery_suspension(
        &mut self,
        set: &SetDeliverySuspension,
        out: &mut Vec<Event>,
    ) -> Outcome {
        let account = self.account(set.account);
        account.ok_or(Problem::about(Reason::NotFound, Field::Account))?;
        if set
            .commodity
            .index()
            .is_some_and(|at| at >= self.commodities.len())
        {
            return Err(Problem::about(Reason::NotFound, Field::Commodity));
        }
        let key = (set.account, set.commodity);
        let now = self.deliveries.suspensions.get(&key).copied();
        if now.is_some_and(|(_, lasts)| lasts) == set.suspended {
            return Err(Problem::about(Reason::IllegalTransition, Field::State));
        }
        let covers = |row: &Obligation| {
            row.lives()
                && row.seller == set.account
                && (!set.commodity.is_set() || row.commodity == set.commodity)
        };
        let rows = self.deliveries.obligations.iter().filter(|row| covers(row));
        let ids: Vec<ObligationId> = rows.map(|row| row.id).collect();
        if !set.suspended {
            let since = now.map_or(Nanos::ZERO, |(since, _)| since);
            self.check_attested_since(set, since)?;
        }
        let since = match (set.suspended, now) {
            (false, Some((since, _))) => since,
            _ => self.at,
        };
        self.deliveries
            .suspensions
            .insert(key, (since, set.suspended));
        let at = self.at;
        for id in &ids {
            let row = self.at_obligation(*id);
            match set.suspended {
                true if !row.is_suspended() => row.suspensions.push((at, Nanos::ZERO)),
                true => {}
                false => {
                    if let Some(last) = row.suspensions.last_mut() {
                        last.1 = at;
                    }
                }
            }
            self.advance(*id, out);
        }
        let kinds: Vec<_> = self.deliveries.rules.keys().copied().collect();
        for commodity in kinds {
            if !set.commodity.is_set() || commodity == set.commodity {
                self.fit_capacity(set.account, commodity, out);
            }
        }
        let mut done = made(0);
        done.count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        Ok(done)
    }

    /// Whoever was away shows again what it has, in every commodity with the duty.
    fn check_attested_since(
        &self,
        set: &SetDeliverySuspension,
        since: Nanos,
    ) -> Result<(), Problem> {
        for (commodity, rules) in &self.deliveries.rules {
            let concerned = !set.commodity.is_set() || *commodity == set.commodity;
            let rows = self.deliveries.attestations.get(&(set.account, *commodity));
            let Some(rows) = rows.filter(|_| concerned && rules.capacity_duty) else {
                continue;
            };
            let fresh =
                |row: &crate::delivery::Attestation| row.at > since && row.valid_until > self.at;
            if !rows.iter().any(fresh) {
                return Err(Problem::about(Reason::IllegalTransition, Field::Capacity));
            }
        }
        Ok(())
    }
}

/// Whether the numbers of a reading can be of one list of shares.
fn check_counts(told: &MeterReading) -> Result<(), Problem> {
    let invalid = |limit: u64, actual: u64| {
        let narrow = |wide: u64| i64::try_from(wide).unwrap_or(i64::MAX);
        let (limit, actual) = (narrow(limit), narrow(actual));
        Err(Problem::limit(
            Reason::InvalidField,
            Field::Value,
            limit,
            actual,
        ))
    };
    let (sum, n, mean) = (
        told.accepted_difficulty,
        told.accepted_shares,
        told.mean_difficulty,
    );
    if sum > limits::DIFFICULTY {
        return invalid(limits::DIFFICULTY, sum);
    }
    if told.rejected_difficulty > limits::DIFFICULTY {
        return invalid(limits::DIFFICULTY, told.rejected_difficulty);
    }
    if n > sum {
        // A share of difficulty below 1 is none.
        return invalid(sum, n);
    }
    // Σd²/Σd is at least the plain mean and at most the sum; rounding takes at most half a share each.
    if sum > 0 && (u128::from(mean) + 1) * u128::from(n) < u128::from(sum) {
        return invalid(sum.checked_div(n).unwrap_or(sum), mean);
    }
    if mean > sum || (sum > 0 && mean == 0) {
        return invalid(sum, mean);
    }
    Ok(())
}
