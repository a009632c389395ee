//! What a seller may sell: enough attestors vouch for it, and it is not sold yet (DELIVERY-02 to 04).

use super::{Exchange, Nanos, tell};
use crate::{
    command::{Attest, Origin, Side},
    delivery::{Attestation, Rules},
    event::{CapacityRow, DeliveryEvent, Event},
    exchange::{
        admin::{Outcome, check_name, check_text, made},
        timers::Timer,
    },
    ids::{AccountId, CommodityId, InstrumentId},
    instrument::{Instrument, Kind, Window},
    limits,
    position::Position,
    reason::{Field, Problem, Reason},
    units::{DAY, Lots},
};

/// Hashes in a terahash.
pub(super) const TERA: u128 = 1_000_000_000_000;
/// An attestation counts at most this long.
const LONGEST: i64 = 400 * DAY;

/// A span of time with a rate.
type Span = (Window, u128);

impl Exchange {
    pub(super) fn attest(&mut self, attest: &Attest, out: &mut Vec<Event>) -> Outcome {
        let meter = self.signing_meter(attest.meter, &attest.signed)?;
        if !meter.attests {
            return Err(Problem::about(Reason::NotAuthorized, Field::Meter));
        }
        let account = self.account(attest.account);
        account.ok_or(Problem::about(Reason::NotFound, Field::Account))?;
        let commodity = attest.commodity.index();
        if commodity.is_none_or(|at| at >= self.commodities.len()) {
            return Err(Problem::about(Reason::NotFound, Field::Commodity));
        }
        check_name(&attest.site, Field::Name)?;
        check_text(&attest.jurisdiction, Field::Name)?;
        check_text(&attest.machine_class, Field::Name)?;
        let most = limits::ATTESTED_THS;
        if !(0..=most).contains(&attest.attested_ths) {
            let (limit, actual) = (most, attest.attested_ths);
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Capacity,
                limit,
                actual,
            ));
        }
        if attest.measured_from >= attest.measured_to || attest.measured_to > self.at {
            return Err(Problem::about(Reason::InvalidField, Field::Window));
        }
        let latest = self.at.after(LONGEST);
        if attest.valid_until <= self.at || attest.valid_until > latest {
            let (limit, actual) = (latest.0, attest.valid_until.0);
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Expire,
                limit,
                actual,
            ));
        }
        let key = (attest.account, attest.commodity);
        let rows = self.deliveries.attestations.entry(key).or_default();
        let known = rows
            .iter()
            .position(|row| row.site == attest.site && row.meter == attest.meter);
        if known.is_none() {
            crate::exchange::admin::check_room(rows.len(), limits::ATTESTATIONS)?;
        }
        known.map(|at| rows.remove(at));
        rows.push(Attestation {
            account: attest.account,
            commodity: attest.commodity,
            site: attest.site.clone(),
            meter: attest.meter,
            attested_ths: attest.attested_ths,
            valid_until: attest.valid_until,
            at: self.at,
            jurisdiction: attest.jurisdiction.clone(),
            machine_class: attest.machine_class.clone(),
        });
        let lapse = Timer::Capacity(attest.account, attest.commodity);
        self.timers.set(attest.valid_until, lapse);
        let cut = self.fit_capacity(attest.account, attest.commodity, out);
        let mut done = made(0);
        done.count = cut;
        Ok(done)
    }

    /// Attestations of a seller that count now: valid, not retired, younger than its force majeure.
    fn valid(&self, account: AccountId, commodity: CommodityId) -> Vec<&Attestation> {
        let since = self.suspension(account, commodity);
        if since.is_some_and(|(_, lasts)| lasts) {
            return Vec::new();
        }
        let since = since.map_or(Nanos::ZERO, |(since, _)| since);
        let rows = self.deliveries.attestations.get(&(account, commodity));
        let retired = |row: &Attestation| {
            let meter = row
                .meter
                .index()
                .and_then(|at| self.deliveries.meters.get(at));
            meter.is_none_or(|meter| meter.retired)
        };
        let counts =
            |row: &&Attestation| row.valid_until > self.at && row.at > since && !retired(row);
        rows.into_iter().flatten().filter(counts).collect()
    }

    /// Newest force majeure of a seller in a commodity, or in all.
    pub(super) fn suspension(
        &self,
        account: AccountId,
        commodity: CommodityId,
    ) -> Option<(Nanos, bool)> {
        let of = |commodity| {
            self.deliveries
                .suspensions
                .get(&(account, commodity))
                .copied()
        };
        let both = [of(commodity), of(CommodityId::NONE)].into_iter().flatten();
        both.reduce(|one, other| (one.0.max(other.0), one.1 || other.1))
    }

    /// Attested hashes per second, and when the first part lapses: of each site what at least k attestors
    /// vouch for.
    fn attested(&self, account: AccountId, commodity: CommodityId, enough: u8) -> (u128, Nanos) {
        let valid = self.valid(account, commodity);
        let mut sites: Vec<&str> = valid.iter().map(|row| row.site.as_str()).collect();
        sites.sort_unstable();
        sites.dedup();
        let (mut sum, mut until) = (0, Nanos(i64::MAX));
        for site in sites {
            let mut here: Vec<_> = valid.iter().filter(|row| row.site == site).collect();
            here.sort_by_key(|row| (std::cmp::Reverse(row.attested_ths), row.meter));
            let Some(agreed) = here.get(usize::from(enough.max(1)) - 1) else {
                continue;
            };
            sum += u128::from(agreed.attested_ths.max(0).unsigned_abs()) * TERA;
            let vouch = here.iter().take(enough.max(1).into());
            until = vouch.map(|row| row.valid_until).fold(until, Nanos::min);
        }
        (sum, if sum == 0 { Nanos::ZERO } else { until })
    }

    /// Attested less the reserve, rounded down.
    fn sellable(attested: u128, rules: &Rules) -> u128 {
        attested * (1_000_000 - u128::from(rules.reserve.0.clamp(0, 1_000_000).unsigned_abs()))
            / 1_000_000
    }

    /// Rank 14: a sell order in a block that is delivered needs capacity for what it could add.
    pub(in crate::exchange) fn check_capacity(
        &self,
        contract: &Instrument,
        position: &Position,
        side: Side,
        lots: Lots,
    ) -> Result<(), Problem> {
        let rules = match (side, contract.terms.kind) {
            (Side::Sell, Kind::SpotBlock) => self.delivery_rules(contract.terms.commodity),
            _ => None,
        };
        let Some(rules) = rules.filter(|rules| rules.capacity_duty) else {
            return Ok(());
        };
        let short = position.open_sell + lots - position.net;
        if short <= Lots::ZERO {
            return Ok(());
        }
        let (account, commodity) = (position.account, contract.terms.commodity);
        let (attested, _) = self.attested(account, commodity, rules.attestors);
        let sellable = Self::sellable(attested, rules);
        let changed = Some((contract.id, short));
        let wanted = self.peak(account, commodity, contract.terms.window, changed, true);
        if wanted <= sellable {
            return Ok(());
        }
        let (limit, actual) = (sellable / TERA, wanted.div_ceil(TERA));
        let narrow = |wide: u128| i64::try_from(wide).unwrap_or(i64::MAX);
        let (limit, actual) = (narrow(limit), narrow(actual));
        Err(Problem::limit(
            Reason::CapacityExceeded,
            Field::Quantity,
            limit,
            actual,
        ))
    }

    /// The most that an account has sold at any moment of a window, in hashes per second: open orders
    /// and positions of blocks, and obligations. `changed` counts a contract with other lots.
    fn peak(
        &self,
        account: AccountId,
        commodity: CommodityId,
        window: Window,
        changed: Option<(InstrumentId, Lots)>,
        orders: bool,
    ) -> u128 {
        let mut spans: Vec<Span> = Vec::new();
        let mut add = |span: Window, rate: u128| {
            if rate > 0 && span.start < window.end && window.start < span.end {
                spans.push((span, rate));
            }
        };
        let rate_of = |contract: &Instrument, lots: Lots| {
            let lot = u128::from(contract.terms.lot_hashes_per_second.max(0).unsigned_abs());
            u128::from(lots.0.max(0).unsigned_abs()) * lot
        };
        let delivered = |contract: &Instrument| {
            contract.terms.kind == Kind::SpotBlock && contract.terms.commodity == commodity
        };
        for position in self.positions.of(account) {
            let contract = self.contract(position.instrument);
            if !delivered(contract) || changed.is_some_and(|(id, _)| id == contract.id) {
                continue;
            }
            let open = if orders {
                position.open_sell
            } else {
                Lots::ZERO
            };
            add(
                contract.terms.window,
                rate_of(contract, open - position.net),
            );
        }
        if let Some((id, lots)) = changed {
            let contract = self.contract(id);
            add(contract.terms.window, rate_of(contract, lots));
        }
        let rows = self.deliveries.by_seller.get(&(account, commodity));
        for row in rows
            .into_iter()
            .flatten()
            .filter_map(|id| self.obligation(*id))
        {
            if let Some((start, end)) = row.begins().zip(row.ends()) {
                add(Window { start, end }, row.rate);
            }
        }
        let sum_at = |moment: Nanos| {
            let there = spans
                .iter()
                .filter(|(span, _)| span.start <= moment && moment < span.end);
            there.map(|(_, rate)| rate).sum::<u128>()
        };
        let moments = spans.iter().map(|(span, _)| span.start.max(window.start));
        moments.map(sum_at).max().unwrap_or(0)
    }

    /// What a seller could still sell at every moment of a window, in hashes per second: sellable less blocks
    /// and obligations, open orders not counted; nothing without delivery rules.
    pub(in crate::exchange) fn free_capacity(
        &self,
        account: AccountId,
        commodity: CommodityId,
        window: Window,
    ) -> u128 {
        let Some(rules) = self.delivery_rules(commodity) else {
            return 0;
        };
        let (attested, _) = self.attested(account, commodity, rules.attestors);
        let sold = self.peak(account, commodity, window, None, false);
        Self::sellable(attested, rules).saturating_sub(sold)
    }

    /// All time that is still to come.
    fn ahead(&self) -> Window {
        Window {
            start: self.at,
            end: Nanos(i64::MAX),
        }
    }

    /// A seller's capacity and its use; `None` for a commodity that is not delivered.
    #[must_use]
    pub fn capacity(&self, account: AccountId, commodity: CommodityId) -> Option<CapacityRow> {
        let rules = self.delivery_rules(commodity)?;
        let (attested, until) = self.attested(account, commodity, rules.attestors);
        let committed = self.peak(account, commodity, self.ahead(), None, false);
        let all = self.peak(account, commodity, self.ahead(), None, true);
        Some(CapacityRow {
            account,
            commodity,
            attested,
            sellable: Self::sellable(attested, rules),
            committed,
            open: all - committed,
            until,
        })
    }

    /// Time took an attestation away, or something else changed what counts.
    pub(in crate::exchange) fn fit_capacity(
        &mut self,
        account: AccountId,
        commodity: CommodityId,
        out: &mut Vec<Event>,
    ) -> u32 {
        let known = self
            .deliveries
            .attestations
            .contains_key(&(account, commodity));
        let rules = self.delivery_rules(commodity).copied();
        let Some(rules) = rules.filter(|rules| rules.capacity_duty || known) else {
            return 0;
        };
        let (attested, _) = self.attested(account, commodity, rules.attestors);
        let sellable = Self::sellable(attested, &rules);
        let mut cut = 0;
        if rules.capacity_duty {
            cut = self.cut_sells(account, commodity, sellable, out);
            self.flag_uncovered(account, commodity, sellable, out);
        }
        let idle = cut == 0 && !known;
        if let Some(row) = self.capacity(account, commodity).filter(|_| !idle) {
            tell(DeliveryEvent::Capacity(row), out);
        }
        cut
    }

    /// Cuts open sells, newest first, to what is sellable; answers with how many orders.
    fn cut_sells(
        &mut self,
        account: AccountId,
        commodity: CommodityId,
        sellable: u128,
        out: &mut Vec<Event>,
    ) -> u32 {
        let sells = self.orders_of(account).filter(|order| {
            let terms = &self.contract(order.terms.instrument).terms;
            order.terms.side == Side::Sell
                && terms.kind == Kind::SpotBlock
                && terms.commodity == commodity
        });
        let mut slots: Vec<u32> = sells.filter_map(|order| order.id.slot()).collect();
        slots.reverse();
        let mut cut = 0;
        for slot in slots {
            let order = self.orders.at(slot);
            let (id, open) = (order.terms.instrument, order.open);
            let contract = self.contract(id);
            let (window, lot) = (contract.terms.window, contract.terms.lot_hashes_per_second);
            let position = self.positions.at(order.position);
            let counts = (position.open_sell - position.net).max(Lots::ZERO);
            let over = self
                .peak(account, commodity, window, None, true)
                .saturating_sub(sellable);
            let lot = u128::from(lot.max(1).unsigned_abs());
            let lots = Lots(i64::try_from(over.div_ceil(lot)).unwrap_or(i64::MAX));
            let lots = lots.min(open).min(counts);
            if lots <= Lots::ZERO {
                continue;
            }
            cut += 1;
            let reason = Reason::DeliveryCapacity;
            if self.defers(slot, reason) {
                continue;
            }
            if lots == open {
                self.end(slot, reason, &Origin::default(), out);
            } else {
                self.cut(slot, lots, reason, &Origin::default(), out);
            }
        }
        cut
    }

    /// Says which obligations are no longer covered, or are again.
    fn flag_uncovered(
        &mut self,
        account: AccountId,
        commodity: CommodityId,
        sellable: u128,
        out: &mut Vec<Event>,
    ) {
        let rows = self.deliveries.by_seller.get(&(account, commodity));
        for id in rows.cloned().unwrap_or_default() {
            let Some(row) = self.obligation(id) else {
                continue;
            };
            let window = row.begins().zip(row.ends());
            let Some((start, end)) = window else { continue };
            let span = Window { start, end };
            let uncovered = self.peak(account, commodity, span, None, false) > sellable;
            let row = self.at_obligation(id);
            if std::mem::replace(&mut row.uncovered, uncovered) != uncovered {
                self.tell_obligation(id, out);
            }
        }
    }
}
