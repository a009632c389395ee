//! Money of one interval (DELIVERY-09, 10, 12, 13): found first, then moved.

use super::{Exchange, Nanos, ObligationId, ObligationState, SECOND, readings::Word, tell};
use crate::{
    delivery::{
        CloseCause, Interval, Obligation, Shares,
        price::{Imbalance, Sold, mean_price},
        statistics,
    },
    event::{DeliveryEvent, Event, PostingKind, SettlementRow},
    ids::{AccountId, AssetId, house},
    ledger::About,
    units::{Lots, Minor, Ticks},
};

/// What an interval comes to, in hashes.
pub(super) struct Measured {
    /// To be delivered: what was owed less force majeure.
    due: u128,
    /// Delivered or excused, surplus beyond the tolerance cut off.
    counted: u128,
    /// Bought back.
    missing: u128,
    /// Settled at the index.
    cashed: u128,
    /// The test says short.
    short: bool,
    /// Nobody who counts said anything.
    silent: bool,
}

/// Which step is settled when, and with which prices.
pub(super) struct Prices {
    pub(super) index: Ticks,
    pub(super) imbalance: Imbalance,
}

impl Exchange {
    /// When a step may be settled: readings and objections come until then.
    pub(super) fn settles_at(&self, row: &Obligation, step: &Interval) -> Nanos {
        let usual = step
            .end
            .after(i64::from(row.rules.settle_after_seconds) * SECOND);
        let held = self.open_dispute(step).map(|dispute| dispute.until);
        held.map_or(usual, |held| held.max(usual))
    }

    /// The next step, if its time has come.
    pub(super) fn due_step(&self, id: ObligationId) -> Option<usize> {
        let row = self.obligation(id).filter(|row| row.lives())?;
        let step = row.intervals.get(row.next as usize)?;
        (self.settles_at(row, step) <= self.at).then_some(row.next as usize)
    }

    /// Settles a step, or holds it because exchange and pool differ.
    pub(super) fn settle_step(&mut self, id: ObligationId, place: usize, out: &mut Vec<Event>) {
        let Some(row) = self.obligation(id) else {
            return;
        };
        let step = &row.intervals[place];
        let apart = matches!(self.word_on(row, step), Word::Apart);
        if apart && !step.dispute.is_set() {
            self.open(id, place, AccountId::NONE, 0, out);
            return;
        }
        let measured = self.measure(row, step);
        let prices = self.prices(row);
        let start = step.start;
        self.book_step(id, &measured, &prices, start, out);
    }

    /// What the step's hashes come to.
    pub(super) fn measure(&self, row: &Obligation, step: &Interval) -> Measured {
        let per_share = self.hashes_per_share(row.commodity);
        let owed = row.hashes_of(step.span());
        let cashed = row.hashes_of(row.suspended_in(step, self.at)).min(owed);
        let due = owed - cashed;
        let (shares, silent) = self.shares_of(row, step, per_share);
        // Time without a pool is not asked for at all; beyond the grace it is paid.
        let away = away_nanos(row, step);
        let grace = i64::from(row.rules.grace_seconds) * SECOND;
        let excused = row.hashes_of(away - grace).min(due);
        let wanted = due - row.hashes_of(away).min(due);
        let tolerance = row.rules.tolerance_bp;
        let short = wanted > 0 && statistics::is_short(wanted, shares, per_share, tolerance);
        let most = wanted + wanted * u128::from(tolerance) / 10_000;
        let delivered = shares.work(per_share).min(most);
        let counted = excused + delivered;
        // Surplus of earlier intervals counts, so that noise averages out; more than is missing here is
        // not bought back here.
        let behind = (row.due + due).saturating_sub(row.bought + row.counted + counted);
        let missing = if short {
            behind.min(wanted.saturating_sub(delivered))
        } else {
            0
        };
        Measured {
            due,
            counted,
            missing,
            cashed,
            short,
            silent: silent && short,
        }
    }

    /// The shares that count: the operator's decision, what the meters agree on, or the most trusted word
    /// when a dispute ended without a decision.
    fn shares_of(&self, row: &Obligation, step: &Interval, per_share: u64) -> (Shares, bool) {
        let dispute = step
            .dispute
            .index()
            .and_then(|at| self.deliveries.disputes.get(at));
        let first = step.readings.first().map(|reading| reading.shares);
        if let Some(decided) = dispute.and_then(|dispute| dispute.decided) {
            let difficulty = decided.checked_div(per_share.into()).unwrap_or(0);
            let shares = Shares {
                difficulty: u64::try_from(difficulty).unwrap_or(u64::MAX),
                mean_difficulty: first.map_or(1, |shares| shares.mean_difficulty.max(1)),
            };
            return (shares, false);
        }
        match self.word_on(row, step) {
            Word::Shares(shares) => (shares, false),
            Word::Apart => (first.unwrap_or_default(), false),
            Word::None => (Shares::default(), true),
        }
    }

    pub(super) fn prices(&self, row: &Obligation) -> Prices {
        let contract = self.contract(row.instrument);
        let index = contract
            .terms
            .index
            .index()
            .and_then(|at| self.indexes.get(at));
        let value = index.and_then(|index| index.value);
        let ticks = value.and_then(|value| value.ratio(contract.terms.tick_size));
        // Without any value the last mark stands in.
        let index = ticks.map_or(contract.mark, |ticks| Ticks(ticks.max(1)));
        let traded = self.deliveries.traded.get(&row.instrument);
        let spot = traded.and_then(|(exposure, lots)| mean_price(*exposure, *lots));
        Prices {
            index,
            imbalance: Imbalance::new(index, spot, row.rules.surcharge),
        }
    }

    /// Moves the money of a step, and ends the delivery after the last one or after too many failures.
    pub(super) fn book_step(
        &mut self,
        id: ObligationId,
        measured: &Measured,
        prices: &Prices,
        start: Nanos,
        out: &mut Vec<Event>,
    ) {
        let per_contract = self.obligation(id).map(|row| {
            let contract = self.contract(row.instrument);
            (contract.tick_value, contract.terms.price_asset)
        });
        let Some((tick_value, asset)) = per_contract else {
            return;
        };
        let row = self.at_obligation(id);
        let (seller, buyer, lots) = (row.seller, row.buyer, row.lots);
        let sold = Sold {
            lots,
            hashes: row.hashes.max(1),
            value: row.value,
            tick_value,
        };
        row.next += 1;
        row.failures = if measured.short {
            row.failures.saturating_add(1)
        } else {
            0
        };
        row.silent = if row.failures <= 1 {
            measured.silent
        } else {
            row.silent && measured.silent
        };
        row.was_short = measured.short;
        row.due += measured.due;
        row.counted += measured.counted;
        row.cashed += measured.cashed;
        let (mut missing, mut state) = (measured.missing, None);
        let last = row.next as usize >= row.intervals.len();
        if last {
            state = Some(ObligationState::Settled);
        } else if row.rules.failures > 0 && row.failures >= row.rules.failures {
            // What is left is bought back at once: the buyer can buy elsewhere.
            let rest = row.hashes - row.due - row.cashed;
            (missing, row.due) = (missing + rest, row.due + rest);
            state = Some(ObligationState::ClosedEarly);
            let cause = if row.silent {
                CloseCause::ShareTimeout
            } else {
                CloseCause::UnderDelivery
            };
            row.cause = Some(cause);
        }
        row.bought += missing;
        row.paid = row.paid.max(row.counted.min(row.due - row.bought));
        let paid_money = sold.money(row.paid);
        let payment = paid_money - row.paid_money;
        row.paid_money = paid_money;
        let settled = sold.money(row.paid + row.bought + row.cashed);
        let mut returned = row.returned.max(settled - paid_money);
        if state.is_some() {
            returned = row.value - paid_money;
        }
        let back = returned - row.returned;
        row.returned = returned;
        let escrow = (row.value - paid_money - returned).max(Minor::ZERO);
        let escrow_freed = row.escrow - escrow;
        row.escrow = escrow;
        let charge = sold.charge(missing, prices.imbalance);
        let index_millionths = i128::from(prices.index.0) * 1_000_000;
        let difference = sold.difference(measured.cashed, index_millionths);
        let costs = charge + difference.max(Minor::ZERO);
        let bond = match state {
            Some(_) => Minor::ZERO,
            None => (row.bond - costs).max(Minor::ZERO),
        };
        let bond_freed = row.bond - bond;
        row.bond = bond;
        if let Some(state) = state {
            row.state = state;
            row.intervals = Vec::new();
        }
        let (fee_rate, instrument, commodity) = (row.rules.fee, row.instrument, row.commodity);
        self.ledger.change(buyer, asset).held += -escrow_freed;
        self.ledger.change(seller, asset).held += -bond_freed;
        let about = About {
            instrument,
            transfer: id.0,
            ..About::default()
        };
        let sides = (buyer, seller, asset);
        self.pay(sides, payment, PostingKind::DeliveryPayment, about, out);
        let ledger = &mut self.ledger;
        let fee = ledger.charge_fee(out, (seller, asset), fee_rate, payment, about);
        let insured = self.insure((seller, asset), costs, about, out);
        let sides = (seller, buyer, asset);
        self.pay(sides, charge, PostingKind::Shortfall, about, out);
        self.pay(sides, difference, PostingKind::FinalSettlement, about, out);
        self.settlements += 1;
        let told = SettlementRow {
            id: self.settlements,
            obligation: id,
            instrument,
            seller,
            buyer,
            lots: Lots(lots),
            start,
            delivered: measured.counted,
            missing,
            cashed: measured.cashed,
            payment,
            charge,
            difference,
            fee,
            returned: back,
            bond_released: bond_freed,
            insured,
            index: prices.index,
            imbalance: prices.imbalance.in_ticks(),
        };
        let seq = self.seq;
        self.at_obligation(id).settlements.push((told, seq));
        tell(DeliveryEvent::Settlement(told), out);
        if state.is_some() {
            let living = self.deliveries.by_seller.get_mut(&(seller, commodity));
            if let Some(living) = living {
                living.retain(|known| *known != id);
            }
            self.tell_obligation(id, out);
        }
    }

    /// One side's money to the other.
    pub(super) fn pay(
        &mut self,
        (from, to, asset): (AccountId, AccountId, AssetId),
        amount: Minor,
        kind: PostingKind,
        about: About,
        out: &mut Vec<Event>,
    ) {
        self.ledger.post(out, (from, asset), -amount, kind, about);
        self.ledger.post(out, (to, asset), amount, kind, about);
    }

    /// What neither the freed bond nor free money of the seller covers comes from the insurance fund, as
    /// far as it has any: the buyer is made whole in every case.
    fn insure(
        &mut self,
        (seller, asset): (AccountId, AssetId),
        costs: Minor,
        about: About,
        out: &mut Vec<Event>,
    ) -> Minor {
        let available = self
            .ledger
            .balance(seller, asset)
            .available()
            .max(Minor::ZERO);
        let fund = self
            .ledger
            .balance(house::INSURANCE, asset)
            .cash
            .max(Minor::ZERO);
        let insured = (costs - available).max(Minor::ZERO).min(fund);
        let kind = PostingKind::InsuranceFund;
        self.ledger
            .post(out, (house::INSURANCE, asset), -insured, kind, about);
        self.ledger.post(out, (seller, asset), insured, kind, about);
        insured
    }
}

/// Time of a step in which the buyer had no place for the hashes (DELIVERY-10).
fn away_nanos(row: &Obligation, step: &Interval) -> i64 {
    use crate::delivery::MeterKind::ExchangeProxy;
    let proxy = step
        .readings
        .iter()
        .find(|reading| reading.kind == ExchangeProxy);
    let seen = proxy.map_or(0, |reading| i64::from(reading.down_seconds) * SECOND);
    row.homeless_in(step).max(seen)
}
