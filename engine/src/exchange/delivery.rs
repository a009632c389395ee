//! Delivery of spot blocks (DELIVERY): what happens between the last trade and the last settlement, and
//! what sellers must show before they sell. Wishes are decided here; the parts do them.

mod begin;
mod capacity;
mod leaving;
mod places;
mod readings;
pub(super) mod saved;
mod settle;

use std::collections::BTreeMap;

use super::{
    Exchange,
    admin::{Outcome, made},
    timers::Timer,
};
use crate::{
    command::{Delivery, NewMeter, SetDeliveryRules, Signed},
    delivery::{
        Attestation, Destination, Dispute, Meter, Obligation, ObligationState, Rules, statistics,
    },
    event::{DeliveryEvent, Event},
    ids::{AccountId, CommodityId, InstrumentId, MeterId, ObligationId},
    limits,
    reason::{Field, Problem, Reason},
    units::{DAY, Nanos, SECOND, TickLots},
};

/// Everything the exchange knows about deliveries.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    /// Commodities whose spot blocks are delivered.
    rules: BTreeMap<CommodityId, Rules>,
    meters: Vec<Meter>,
    /// Newest word of each attestor on each site, in order of arrival.
    attestations: BTreeMap<(AccountId, CommodityId), Vec<Attestation>>,
    /// Newest force majeure of a seller: since when, and whether it lasts.
    suspensions: BTreeMap<(AccountId, CommodityId), (Nanos, bool)>,
    destinations: Vec<Destination>,
    obligations: Vec<Obligation>,
    disputes: Vec<Dispute>,
    /// What blocks traded: price times lots, and lots.
    traded: BTreeMap<InstrumentId, (TickLots, i64)>,
    /// Living obligations of a seller; follows from the obligations.
    by_seller: BTreeMap<(AccountId, CommodityId), Vec<ObligationId>>,
}

impl Exchange {
    /// Obligations, by number.
    #[must_use]
    pub fn obligations(&self) -> &[Obligation] {
        &self.deliveries.obligations
    }

    /// Destinations, by number.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.deliveries.destinations
    }

    /// Meters and attestors, by number.
    #[must_use]
    pub fn meters(&self) -> &[Meter] {
        &self.deliveries.meters
    }

    /// Disputes, by number.
    #[must_use]
    pub fn disputes(&self) -> &[Dispute] {
        &self.deliveries.disputes
    }

    /// How a commodity's spot blocks are delivered, if they are.
    #[must_use]
    pub fn delivery_rules(&self, commodity: CommodityId) -> Option<&Rules> {
        self.deliveries.rules.get(&commodity)
    }

    pub(super) fn deliver(&mut self, wish: &Delivery, out: &mut Vec<Event>) -> Outcome {
        match wish {
            Delivery::SetRules(set) => self.set_delivery_rules(set, out),
            Delivery::RegisterMeter(meter) => self.register_meter(meter, out),
            Delivery::RetireMeter(meter) => self.retire_meter(*meter, out),
            Delivery::Attest(attest) => self.attest(attest, out),
            Delivery::SetDestination(set) => self.set_destination(set, out),
            Delivery::AssignDestination(assign) => self.assign_destination(assign, out),
            Delivery::Read(reading) => self.read_meter(reading, out),
            Delivery::Dispute(dispute) => self.dispute_interval(dispute, out),
            Delivery::Resolve(resolve) => self.resolve_dispute(resolve, out),
            Delivery::Suspend(set) => self.set_delivery_suspension(set, out),
        }
    }

    fn set_delivery_rules(&mut self, set: &SetDeliveryRules, out: &mut Vec<Event>) -> Outcome {
        let commodity = set
            .commodity
            .index()
            .and_then(|at| self.commodities.get(at));
        let commodity = commodity.ok_or(Problem::about(Reason::NotFound, Field::Commodity))?;
        if commodity.hashes_per_share <= 0 {
            // Nothing to count shares with: metered compute needs another meter.
            return Err(Problem::about(Reason::InvalidField, Field::Commodity));
        }
        match set.rules {
            Some(rules) => {
                check_rules(&rules)?;
                self.deliveries.rules.insert(set.commodity, rules);
            }
            None => {
                self.deliveries.rules.remove(&set.commodity);
            }
        }
        self.reference_version += 1;
        tell(DeliveryEvent::Rules(set.commodity), out);
        let sellers: Vec<AccountId> = self.accounts.iter().map(|row| row.id).collect();
        for seller in sellers {
            self.fit_capacity(seller, set.commodity, out);
        }
        Ok(made(set.commodity.0))
    }

    fn register_meter(&mut self, new: &NewMeter, out: &mut Vec<Event>) -> Outcome {
        super::admin::check_name(&new.name, Field::Meter)?;
        super::admin::check_room(self.deliveries.meters.len(), limits::METERS)?;
        let mut known = self.deliveries.meters.iter();
        if known.any(|meter| meter.name == new.name || meter.public_key == new.public_key) {
            return Err(Problem::about(Reason::AlreadyExists, Field::Meter));
        }
        let id = MeterId::nth(self.deliveries.meters.len());
        self.deliveries.meters.push(Meter {
            id,
            name: new.name.clone(),
            kind: new.kind,
            public_key: new.public_key,
            attests: new.attests,
            retired: false,
        });
        tell(DeliveryEvent::Meter(id), out);
        Ok(made(id.0))
    }

    /// What a retired meter said stays; attestations of it lapse at once.
    fn retire_meter(&mut self, id: MeterId, out: &mut Vec<Event>) -> Outcome {
        let meter = id.index().and_then(|at| self.deliveries.meters.get_mut(at));
        let meter = meter.ok_or(Problem::about(Reason::NotFound, Field::Meter))?;
        meter.retired = true;
        tell(DeliveryEvent::Meter(id), out);
        let sellers: Vec<_> = self.deliveries.attestations.keys().copied().collect();
        for (seller, commodity) in sellers {
            self.fit_capacity(seller, commodity, out);
        }
        Ok(made(id.0))
    }

    /// The meter that speaks, if it may and the signature is under its key.
    fn signing_meter(&self, id: MeterId, signed: &Signed) -> Result<&Meter, Problem> {
        let meter = id.index().and_then(|at| self.deliveries.meters.get(at));
        let meter = meter.ok_or(Problem::about(Reason::NotFound, Field::Meter))?;
        if meter.retired {
            return Err(Problem::about(Reason::IllegalTransition, Field::Meter));
        }
        if meter.public_key != signed.public_key {
            return Err(Problem::about(Reason::SignatureInvalid, Field::Meter));
        }
        Ok(meter)
    }

    fn obligation(&self, id: ObligationId) -> Option<&Obligation> {
        self.deliveries.obligations.get(id.index()?)
    }

    fn at_obligation(&mut self, id: ObligationId) -> &mut Obligation {
        &mut self.deliveries.obligations[id.index().unwrap_or(usize::MAX)]
    }

    /// The hashes behind a share of difficulty 1.
    fn hashes_per_share(&self, commodity: CommodityId) -> u64 {
        let row = commodity.index().and_then(|at| self.commodities.get(at));
        row.map_or(0, |row| row.hashes_per_share.max(0).unsigned_abs())
    }

    /// Its timer: the window's edges, then each interval's settlement.
    pub(super) fn look_at_obligation(
        &mut self,
        id: ObligationId,
        due: Nanos,
        out: &mut Vec<Event>,
    ) {
        let expected = self.obligation(id).is_some_and(|row| row.timer == due);
        if expected {
            self.advance(id, out);
        }
    }

    /// Settles what is due, then finds the state and the next moment of interest.
    fn advance(&mut self, id: ObligationId, out: &mut Vec<Event>) {
        while let Some(step) = self.due_step(id) {
            self.settle_step(id, step, out);
        }
        self.refresh(id, out);
    }

    /// Finds state and timer of an obligation anew, and tells a change of state.
    fn refresh(&mut self, id: ObligationId, out: &mut Vec<Event>) {
        let state = self.state_of(id);
        let timer = self.timer_of(id);
        let row = self.at_obligation(id);
        let before = std::mem::replace(&mut row.timer, timer);
        let changed = std::mem::replace(&mut row.state, state) != state;
        if before != timer {
            self.timers.clear(before, Timer::Delivery(id));
            if timer != Nanos::ZERO {
                self.timers.set(timer, Timer::Delivery(id));
            }
        }
        if changed {
            self.tell_obligation(id, out);
        }
    }

    /// DELIVERY-14.
    fn state_of(&self, id: ObligationId) -> ObligationState {
        use ObligationState::{
            Completed, Delivering, Disputed, Matched, Ready, Short, SuspendedBuyer,
            SuspendedForceMajeure,
        };
        let Some(row) = self.obligation(id) else {
            return Matched;
        };
        if !row.lives() {
            return row.state;
        }
        let disputed = |step: &crate::delivery::Interval| self.open_dispute(step).is_some();
        let waiting = row.intervals.get(row.next as usize..).unwrap_or_default();
        let (begins, ends) = (row.begins(), row.ends());
        let has_place = row.reachable_from != Nanos::ZERO;
        if row.is_suspended() {
            return SuspendedForceMajeure;
        }
        if waiting.iter().any(disputed) {
            return Disputed;
        }
        if begins.is_some_and(|begins| self.at < begins) {
            return if has_place { Ready } else { Matched };
        }
        if ends.is_some_and(|ends| self.at >= ends) {
            return Completed;
        }
        let running = waiting
            .iter()
            .find(|step| step.start <= self.at && self.at < step.end);
        let newest = running.and_then(|step| step.readings.first());
        let down = newest.is_some_and(|reading| reading.down_seconds > row.rules.grace_seconds);
        if !has_place || down {
            return SuspendedBuyer;
        }
        let early = running.zip(newest).map(|(step, reading)| {
            let expected = row.hashes_of(reading.end.0 - step.start.0);
            let per_share = self.hashes_per_share(row.commodity);
            statistics::early(statistics::early_score(expected, reading.shares, per_share))
        });
        match early {
            Some(statistics::Early::Short) => Short,
            Some(statistics::Early::Fine) => Delivering,
            _ if row.was_short => Short,
            _ => Delivering,
        }
    }

    /// When an obligation looks at itself again; 0 = never.
    fn timer_of(&self, id: ObligationId) -> Nanos {
        let Some(row) = self.obligation(id).filter(|row| row.lives()) else {
            return Nanos::ZERO;
        };
        let settles = row
            .intervals
            .get(row.next as usize)
            .map(|step| self.settles_at(row, step));
        let moments = [row.begins(), row.ends(), settles];
        let ahead = moments
            .into_iter()
            .flatten()
            .filter(|moment| *moment > self.at);
        ahead.min().unwrap_or(self.at.after(SECOND))
    }

    fn tell_obligation(&self, id: ObligationId, out: &mut Vec<Event>) {
        let Some(row) = self.obligation(id) else {
            return;
        };
        tell(DeliveryEvent::Obligation(row.into()), out);
    }

    /// Escrow and bonds of living obligations, by account and asset.
    pub(super) fn delivery_holds(
        &self,
    ) -> impl Iterator<Item = (AccountId, crate::ids::AssetId, crate::units::Minor)> + '_ {
        let living = self.deliveries.obligations.iter().filter(|row| row.lives());
        living.flat_map(|row| {
            let asset = self.contract(row.instrument).terms.price_asset;
            [
                (row.buyer, asset, row.escrow),
                (row.seller, asset, row.bond),
            ]
        })
    }

    /// Counts a trade for the mean price of its block.
    pub(super) fn count_block_trade(&mut self, trade: &crate::event::Trade) {
        if self.deliveries.rules.is_empty() {
            return;
        }
        let terms = &self.contract(trade.instrument).terms;
        let spot = terms.kind == crate::instrument::Kind::SpotBlock;
        if spot && self.deliveries.rules.contains_key(&terms.commodity) {
            let sums = self.deliveries.traded.entry(trade.instrument).or_default();
            sums.0 += trade.price.times(trade.lots);
            sums.1 += trade.lots.0;
        }
    }

    /// Whether an account still delivers or receives.
    pub(super) fn delivers(&self, account: AccountId) -> bool {
        let mut rows = self.deliveries.obligations.iter().filter(|row| row.lives());
        rows.any(|row| row.seller == account || row.buyer == account)
    }
}

fn tell(event: DeliveryEvent, out: &mut Vec<Event>) {
    out.push(Event::Delivery(Box::new(event)));
}

/// DELIVERY-01.
fn check_rules(rules: &Rules) -> Result<(), Problem> {
    let day = DAY / SECOND;
    let share = 0..=1_000_000;
    let fits = (60..=day).contains(&rules.interval_seconds.into())
        && rules.tolerance_bp <= 5_000
        && share.contains(&rules.surcharge.0)
        && (0..=100_000).contains(&rules.fee.0)
        && share.contains(&rules.reserve.0)
        && (1..=16).contains(&rules.attestors)
        && (1..=day).contains(&rules.settle_after_seconds.into())
        && (1..=7 * day).contains(&rules.dispute_seconds.into())
        && i64::from(rules.grace_seconds) <= i64::from(rules.interval_seconds);
    if fits {
        return Ok(());
    }
    Err(Problem::about(Reason::InvalidField, Field::Rules))
}
