//! Who has enough: margin calls, and when one becomes a liquidation (DEFAULT-01, DEFAULT-02).

use std::collections::BTreeSet;

use crate::{
    command::Origin,
    event::{ClearingEvent, Event, Health},
    exchange::{Exchange, Timer},
    ids::{AccountId, AssetId, IndexId, house},
    instrument::Kind,
    position::Position,
    reason::Reason,
    units::{Lots, MILLISECOND, Minor, Nanos},
};

/// How far an account's trouble in an asset has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(in crate::exchange) enum Distress {
    /// Below the initial margin: told, and free to bring money or to close.
    Called,
    /// Below the maintenance margin: the exchange closes its positions.
    Liquidating {
        /// Orders so far.
        tries: i32,
        /// When the next one is due.
        due: Nanos,
    },
    /// What no order closed is offered to the makers.
    Offered,
}

impl Exchange {
    /// Looks at everybody with a position in a contract on the index, after its marks moved.
    pub(in crate::exchange) fn check_margins(&mut self, index: IndexId, out: &mut Vec<Event>) {
        if self.defaults.terms.is_none() {
            return;
        }
        let mut touched = BTreeSet::new();
        for contract in &self.instruments {
            if contract.terms.index == index && contract.terms.kind == Kind::Forward {
                let asset = contract.terms.price_asset;
                let holders = self.positions.in_instrument(contract.id);
                touched.extend(
                    holders
                        .filter(|position| position.net != Lots::ZERO)
                        // Where the fund stands in, it does so until the end.
                        .filter(|position| position.account != house::INSURANCE)
                        .map(|position| (position.account, asset)),
                );
            }
        }
        // Whoever was called may have paid in since, or hold nothing any more.
        touched.extend(self.defaults.distressed.keys().copied());
        for (account, asset) in touched {
            self.check_margin(account, asset, out);
        }
    }

    /// Money came in: a call may be met.
    pub(in crate::exchange) fn look_again_at(
        &mut self,
        account: AccountId,
        asset: AssetId,
        out: &mut Vec<Event>,
    ) {
        if self.defaults.distressed.contains_key(&(account, asset)) {
            self.check_margin(account, asset, out);
        }
    }

    /// Looks at one account.
    pub(super) fn check_margin(
        &mut self,
        account: AccountId,
        asset: AssetId,
        out: &mut Vec<Event>,
    ) {
        let missing = -self.ledger.balance(account, asset).available();
        let known = self.defaults.distressed.get(&(account, asset)).copied();
        match known {
            Some(Distress::Liquidating { .. } | Distress::Offered) => {
                self.is_restored(account, asset, out);
            }
            _ if missing <= Minor::ZERO => {
                if known.is_some() {
                    self.defaults.distressed.remove(&(account, asset));
                    let health = self.health(account, asset);
                    out.push(Event::Clearing(ClearingEvent::CallMet(health)));
                }
            }
            _ => {
                let health = self.health(account, asset);
                if health.equity < health.maintenance {
                    self.begin_liquidation(health, out);
                } else if known.is_none() {
                    self.defaults
                        .distressed
                        .insert((account, asset), Distress::Called);
                    out.push(Event::Clearing(ClearingEvent::Called(health)));
                }
            }
        }
    }

    /// What an account has in an asset against what it should have. Gains count here, and nowhere else.
    pub(super) fn health(&self, account: AccountId, asset: AssetId) -> Health {
        let balance = self.ledger.balance(account, asset);
        let (mut results, mut maintenance) = (Minor::ZERO, Minor::ZERO);
        for position in self.margined(account, asset) {
            results += position.result;
            maintenance += self.maintenance_of(position);
        }
        maintenance -= self.maintenance_credit(account, asset).min(maintenance);
        Health {
            account,
            asset,
            equity: balance.cash - balance.held + results,
            maintenance,
            missing: Minor((-balance.available().0).max(0)),
        }
    }

    /// Forward positions of an account in contracts of an asset, by contract.
    pub(super) fn margined(
        &self,
        account: AccountId,
        asset: AssetId,
    ) -> impl Iterator<Item = &Position> {
        self.positions.of(account).filter(move |position| {
            let terms = &self.contract(position.instrument).terms;
            terms.kind == Kind::Forward && terms.price_asset == asset
        })
    }

    /// Maintenance margin of what is open, orders not counted.
    fn maintenance_of(&self, position: &Position) -> Minor {
        let contract = self.contract(position.instrument);
        let one_lot = contract.at_mark.initial(position.net);
        let lots = Lots(position.net.0.abs());
        let initial = one_lot.for_lots(lots) + contract.surcharge(lots);
        let share = contract.terms.margin.maintenance_of_initial;
        share.of_rounded_up(initial)
    }

    /// Orders first: often that is enough (DEFAULT-02).
    fn begin_liquidation(&mut self, health: Health, out: &mut Vec<Event>) {
        let (account, asset) = (health.account, health.asset);
        let pause = self.defaults.terms.map_or(0, |terms| terms.pause_ms);
        let due = self.at.after(i64::from(pause) * MILLISECOND);
        let begun = Distress::Liquidating { tries: 0, due };
        self.defaults.distressed.insert((account, asset), begun);
        out.push(Event::Clearing(ClearingEvent::LiquidationBegan(health)));
        let slots = self.slots_where(account, |order| {
            self.contract(order.terms.instrument).terms.price_asset == asset
        });
        self.cancel_slots(slots, Reason::Liquidation, &Origin::default(), out);
        if !self.is_restored(account, asset, out) {
            self.timers.set(due, Timer::Liquidate(account, asset));
        }
    }

    /// Whether an account is back at its initial margin; then its liquidation is over, and said.
    pub(super) fn is_restored(
        &mut self,
        account: AccountId,
        asset: AssetId,
        out: &mut Vec<Event>,
    ) -> bool {
        let health = self.health(account, asset);
        let restored = health.missing == Minor::ZERO;
        if restored {
            self.defaults.distressed.remove(&(account, asset));
            out.push(Event::Clearing(ClearingEvent::LiquidationEnded(health)));
        }
        restored
    }

    /// Whether the exchange itself closes the account's positions at the moment.
    pub(in crate::exchange) fn is_liquidated(&self, account: AccountId) -> bool {
        let all = (account, AssetId(0))..=(account, AssetId(u32::MAX));
        self.defaults
            .distressed
            .range(all)
            .any(|(_, distress)| *distress != Distress::Called)
    }
}
