//! Recounting everything from first principles: the slow truth behind the kept sums.

use std::collections::BTreeMap;

use super::Exchange;
use crate::{
    command::Side,
    ids::{AccountId, AssetId},
    instrument::Kind,
    ledger::Balance,
    position::Position,
    units::{Lots, Minor},
};

impl Exchange {
    /// Recounts balances, positions, holds, levels and lists.
    ///
    /// # Errors
    /// The first thing that does not add up, in words and numbers.
    pub fn audit(&self) -> Result<(), String> {
        self.ledger.recount()?;
        self.recount_positions()?;
        self.recount_books()?;
        self.recount_groups()?;
        self.recount_combinations()?;
        self.recount_credit()?;
        self.recount_holds()
    }

    /// Longs equal shorts; what is owed and what was paid for nets out.
    fn recount_positions(&self) -> Result<(), String> {
        for contract in &self.instruments {
            let symbol = &contract.terms.symbol;
            let (mut net, mut owed, mut exposure, mut longs) = (0_i64, 0_i64, 0_i128, 0_i64);
            for position in self.positions.in_instrument(contract.id) {
                net += position.net.0;
                owed += position.owed.0;
                exposure += position.realised.0 - position.cost.0;
                longs += position.net.0.max(0);
                let requirement = position.requirement_in(contract);
                if requirement != position.requirement {
                    return Err(format!(
                        "{symbol}: requirement {position:?} is {requirement:?}"
                    ));
                }
                if position.result_at(contract) != position.result {
                    return Err(format!("{symbol}: result of {position:?} is stale"));
                }
            }
            let settled_apart = contract.terms.kind == Kind::Forward;
            if net != 0 || owed != 0 {
                return Err(format!(
                    "{symbol}: longs and shorts differ by {net} lots, {owed} owed"
                ));
            }
            if settled_apart && exposure != 0 {
                return Err(format!(
                    "{symbol}: results do not net out: {exposure} tick-lots"
                ));
            }
            if contract.statistics.open_interest != longs {
                return Err(format!("{symbol}: open interest is {longs}"));
            }
        }
        Ok(())
    }

    /// Levels count their orders and lots; queues hold priority; no crossed book outside of calls and of
    /// states entered from one.
    fn recount_books(&self) -> Result<(), String> {
        let mut resting = 0;
        for contract in &self.instruments {
            let symbol = &contract.terms.symbol;
            let Some(book) = self.book(contract.id) else {
                return Err(format!("{symbol} has no book"));
            };
            for side in [Side::Buy, Side::Sell] {
                for (price, level) in book.levels(side) {
                    let queue: Vec<_> = book
                        .queue(side, &self.orders)
                        .map(|slot| self.orders.at(slot))
                        .filter(|order| order.price == price)
                        .collect();
                    let seen = |order: &&crate::order::Order| {
                        let slot = order.id.slot().unwrap_or(crate::order::NIL);
                        self.orders.nodes().at(slot).lots
                    };
                    let lots: i64 = queue.iter().map(|order| seen(order).0).sum();
                    let shown = queue.iter().all(|order| {
                        let seen = seen(order);
                        seen > Lots::ZERO && seen <= order.visible(order.open)
                    });
                    let in_order = queue
                        .windows(2)
                        .all(|two| two[0].priority < two[1].priority);
                    let alive = queue
                        .iter()
                        .all(|order| order.is_open() && order.open.0 > 0);
                    if lots != level.lots || queue.len() != level.orders as usize {
                        return Err(format!(
                            "{symbol} {side:?} {price:?}: {level:?} holds {lots}"
                        ));
                    }
                    if !in_order || !alive || !shown {
                        return Err(format!("{symbol} {side:?} {price:?}: queue is wrong"));
                    }
                    resting += queue.len();
                }
            }
            if let (Some(bid), Some(ask)) = (book.best(Side::Buy), book.best(Side::Sell))
                && bid >= ask
                && !self.may_be_crossed(contract.id)
            {
                return Err(format!("{symbol} is crossed: {bid:?} >= {ask:?}"));
            }
        }
        // What waits lives too, though in no book.
        self.audit_waiting()?;
        self.recount_reducing()?;
        let waiting: usize = self
            .instruments
            .iter()
            .map(|contract| self.waiting_in(contract.id).len())
            .sum();
        if resting + waiting != self.orders.live() {
            return Err(format!(
                "{resting} orders rest, {waiting} wait, {} live",
                self.orders.live()
            ));
        }
        Ok(())
    }

    /// Holds of positions equal their orders'; held and margin of balances equal requirements.
    fn recount_holds(&self) -> Result<(), String> {
        let mut wanted: BTreeMap<(AccountId, AssetId), Balance> = BTreeMap::new();
        for account in &self.accounts {
            for position in self.positions.of(account.id) {
                let contract = self.contract(position.instrument);
                let mut counted = Position::new(account.id, position.instrument);
                for order in self.orders_of(account.id) {
                    if order.terms.instrument == position.instrument {
                        let hold = order.hold_lot.for_lots(order.open);
                        let terms = &order.terms;
                        counted.count_open(terms.side, terms.reduce_only, order.open, hold);
                        counted.orders += 1;
                    }
                }
                self.legs_in(account.id, position.instrument, &mut counted);
                let same = (counted.open_buy, counted.open_sell, counted.orders)
                    == (position.open_buy, position.open_sell, position.orders)
                    && (counted.buy_holds, counted.sell_holds)
                        == (position.buy_holds, position.sell_holds)
                    && (counted.reduce_buy, counted.reduce_sell)
                        == (position.reduce_buy, position.reduce_sell);
                let reduces = [Side::Buy, Side::Sell]
                    .iter()
                    .all(|side| position.reducing(*side) <= position.closable(*side).max(Lots(0)));
                if !same || !reduces {
                    return Err(format!("orders of {position:?} count to {counted:?}"));
                }
                let row = wanted
                    .entry((account.id, contract.terms.price_asset))
                    .or_default();
                row.result += position.result.min(Minor::ZERO);
                match contract.terms.kind {
                    Kind::SpotBlock => row.held += position.requirement,
                    Kind::Forward | Kind::CalendarSpread | Kind::Strip => {
                        row.margin += position.requirement;
                    }
                }
            }
        }
        for (account, asset, held) in self.delivery_holds() {
            wanted.entry((account, asset)).or_default().held += held;
        }
        for transfer in &self.transfers {
            use super::TransferState::{Approved, Pending};
            if matches!(transfer.state, Pending | Approved) {
                let row = wanted
                    .entry((transfer.account, transfer.asset))
                    .or_default();
                row.held += Minor(transfer.amount);
            }
        }
        for account in &self.accounts {
            for (asset, balance) in self.ledger.balances(account.id) {
                let want = wanted
                    .get(&(account.id, asset))
                    .copied()
                    .unwrap_or_default();
                let want = Balance {
                    cash: balance.cash,
                    margin: want.margin - self.credited(account.id, asset),
                    ..want
                };
                if want != balance {
                    return Err(format!(
                        "account {:?}: {balance:?} should be {want:?}",
                        account.id
                    ));
                }
            }
        }
        Ok(())
    }

    /// In debug builds: always while the exchange is small, then every 4,096th command.
    pub(super) fn audit_now_and_then(&self) {
        let small = self.orders.live() < 64 && self.accounts.len() < 64 && self.seq < 20_000;
        if small || self.seq.is_multiple_of(4_096) {
            let audit = self.audit();
            assert!(audit.is_ok(), "after command {}: {audit:?}", self.seq);
        }
    }
}
