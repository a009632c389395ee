//! The end of trading: longs and shorts become obligations, and everybody's dues become money or escrow
//! (DELIVERY-05).

use super::{Exchange, Nanos, ObligationId, ObligationState, Rules, SECOND};
use crate::{
    delivery::{Interval, Obligation},
    event::{Event, PostingKind},
    ids::{AccountId, DestinationId, DisputeId, InstrumentId},
    instrument::{Instrument, Kind, Window},
    ledger::About,
    position::Position,
    units::{Lots, Minor, TickLots},
    wide::share,
};

/// Lots of a seller that go to one buyer, and the money for them.
struct Pair {
    seller: AccountId,
    buyer: AccountId,
    lots: i64,
    value: Minor,
}

/// Sellers and buyers meet in the order in which they first used the contract.
fn pair_up(positions: &[Position]) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut buyers = positions.iter().filter(|row| row.net > Lots::ZERO);
    let mut buyer = buyers.next();
    let mut wants = buyer.map_or(0, |row| row.net.0);
    for seller in positions.iter().filter(|row| row.net < Lots::ZERO) {
        let (all, due) = (-seller.net.0, (-seller.owed).max(Minor::ZERO));
        let (mut sold, mut given) = (0, Minor::ZERO);
        let wide = |lots: i64| u128::from(lots.max(0).unsigned_abs());
        while sold < all
            && let Some(row) = buyer
        {
            let lots = (all - sold).min(wants);
            sold += lots;
            wants -= lots;
            // Up to here, less what was given: the slices add up exactly.
            let value = Minor(share(due.0, wide(sold), wide(all))) - given;
            given += value;
            pairs.push(Pair {
                seller: seller.account,
                buyer: row.account,
                lots,
                value,
            });
            if wants == 0 {
                buyer = buyers.next();
                wants = buyer.map_or(0, |row| row.net.0);
            }
        }
    }
    pairs
}

/// Steps of a window: whole intervals from its beginning, then the rest.
fn steps(window: Window, rules: &Rules) -> Vec<Interval> {
    let length = i64::from(rules.interval_seconds) * SECOND;
    let mut steps = Vec::new();
    let mut start = window.start;
    while start < window.end {
        let end = start.after(length).min(window.end);
        steps.push(Interval {
            start,
            end,
            readings: Vec::new(),
            dispute: DisputeId::NONE,
        });
        start = end;
    }
    steps
}

impl Exchange {
    /// Trading in a block is over: who is long waits for hashes, who is short owes them.
    pub(in crate::exchange) fn begin_delivery(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        let contract = self.contract(id);
        let terms = &contract.terms;
        let Some(rules) = self.delivery_rules(terms.commodity).copied() else {
            return;
        };
        // A block that trades into its own window has no beginning to deliver from.
        if terms.kind != Kind::SpotBlock || terms.window.start < terms.last_trade {
            return;
        }
        let (asset, bond_lot) = (terms.price_asset, contract.at_mark.bond);
        let all: Vec<Position> = self.positions.in_instrument(id).copied().collect();
        let pairs = pair_up(&all);
        let about = About {
            instrument: id,
            ..About::default()
        };
        for row in &all {
            let account = row.account;
            // What the account's own dues leave once its obligations hold their part.
            let held = |pair: &&Pair| pair.buyer == account;
            let escrow = pairs.iter().filter(held).map(|pair| pair.value);
            let escrow = escrow.fold(Minor::ZERO, |sum, value| sum + value);
            let owed = match row.net.0 {
                ..0 => row.owed.max(Minor::ZERO),
                0 => row.owed,
                1.. => row.owed - escrow,
            };
            let contract = self.contract(id);
            let realised = row.realised_total(contract);
            let position = self.positions.change(account, id);
            (position.net, position.cost) = (Lots::ZERO, TickLots::ZERO);
            (position.realised, position.settled) = (TickLots::ZERO, realised);
            position.owed = Minor::ZERO;
            self.rehold(account, id);
            let kind = PostingKind::FinalSettlement;
            self.ledger.post(out, (account, asset), -owed, kind, about);
        }
        self.contract_mut(id).statistics.open_interest = 0;
        self.touched_statistics.push(id);
        for pair in pairs {
            self.oblige(id, &rules, &pair, bond_lot.for_lots(Lots(pair.lots)), out);
        }
    }

    fn oblige(
        &mut self,
        instrument: InstrumentId,
        rules: &Rules,
        pair: &Pair,
        bond: Minor,
        out: &mut Vec<Event>,
    ) {
        let contract: &Instrument = self.contract(instrument);
        let terms = &contract.terms;
        let (commodity, asset) = (terms.commodity, terms.price_asset);
        let lot = u128::from(terms.lot_hashes_per_second.max(0).unsigned_abs());
        let rate = lot * u128::from(pair.lots.max(0).unsigned_abs());
        let intervals = steps(terms.window, rules);
        let id = ObligationId::nth(self.deliveries.obligations.len());
        let mut row = Obligation {
            id,
            instrument,
            commodity,
            seller: pair.seller,
            buyer: pair.buyer,
            lots: pair.lots,
            rate,
            hashes: 0,
            value: pair.value,
            rules: *rules,
            state: ObligationState::Matched,
            cause: None,
            destination: DestinationId::NONE,
            reachable_from: Nanos::ZERO,
            uncovered: false,
            intervals,
            next: 0,
            failures: 0,
            was_short: false,
            silent: true,
            suspensions: Vec::new(),
            due: 0,
            counted: 0,
            bought: 0,
            paid: 0,
            cashed: 0,
            paid_money: Minor::ZERO,
            returned: Minor::ZERO,
            escrow: pair.value,
            bond,
            settlements: Vec::new(),
            timer: Nanos::ZERO,
        };
        // The sum of the steps, so that rounding a step's hashes down leaves nothing over.
        row.hashes = row
            .intervals
            .iter()
            .map(|step| row.hashes_of(step.span()))
            .sum();
        if self
            .suspension(pair.seller, commodity)
            .is_some_and(|(_, lasts)| lasts)
        {
            row.suspensions.push((self.at, Nanos::ZERO));
        }
        self.deliveries.obligations.push(row);
        let key = (pair.seller, commodity);
        self.deliveries.by_seller.entry(key).or_default().push(id);
        self.ledger.change(pair.buyer, asset).held += pair.value;
        self.ledger.change(pair.seller, asset).held += bond;
        self.house_by_default(id);
        self.refresh(id, out);
        if self
            .obligation(id)
            .is_some_and(|row| row.state == ObligationState::Matched)
        {
            self.tell_obligation(id, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(account: u32, net: i64, owed: i64) -> Position {
        Position {
            net: Lots(net),
            owed: Minor(owed),
            ..Position::new(AccountId(account), InstrumentId(1))
        }
    }

    /// Ten accounts with odd dues: every lot finds a buyer, every sat of a seller's due is in a pair.
    #[test]
    fn slices_add_up() {
        let rows = [
            position(1, -7, -1_001),
            position(2, 3, 400),
            position(3, 0, 5),
            position(4, -2, 9),
            position(5, 6, 587),
        ];
        let pairs = pair_up(&rows);
        let shape: Vec<_> = pairs
            .iter()
            .map(|pair| (pair.seller.0, pair.buyer.0, pair.lots, pair.value.0))
            .collect();
        assert_eq!(
            shape,
            [(1, 2, 3, 429), (1, 5, 4, 572), (4, 5, 2, 0)],
            "429 + 572 = 1,001; who owes more than he gets is paid nothing"
        );
    }
}
