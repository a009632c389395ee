//! Who bears what a defaulter cannot, once the makers have bid for the fund's money too: backstop,
//! deleveraging, what the fund owes the winners, and the debt that stops the venue (DEFAULT-06 to DEFAULT-09; `domain.md` section 11).

use super::health::Distress;
use crate::{
    command::{AccountStatus, DefaultTerms, Side, SwitchScope},
    event::{ClearingEvent, Covered, Done, Event, Moving, PostingKind, SwitchChange},
    exchange::Exchange,
    ids::{AccountId, AssetId, InstrumentId, house},
    ledger::About,
    position::Position,
    reason::{Field, Problem, Reason},
    units::{Lots, Minor, PPM},
};

impl Exchange {
    /// The operator sets how defaults are dealt with.
    pub(in crate::exchange) fn set_default_terms(
        &mut self,
        terms: &DefaultTerms,
        _: &mut Vec<Event>,
    ) -> Result<Done, Problem> {
        let checks = [
            (terms.reach.0, 1, 500_000, Field::Price),
            (terms.slice.0, 1, 1_000_000, Field::Quantity),
            (terms.pause_ms, 100, 3_600_000, Field::Timer),
            (terms.tries, 1, 1_000, Field::Items),
            (terms.offer_ms, 100, 86_400_000, Field::Window),
            (terms.offer_reach.0, 1, 900_000, Field::Band),
        ];
        for (value, least, most, field) in checks {
            if !(least..=most).contains(&value) {
                let limit = if value < least { least } else { most };
                let reason = Reason::InvalidField;
                return Err(Problem::limit(reason, field, limit.into(), value.into()));
            }
        }
        if !(0..=crate::limits::MONEY_MINOR).contains(&terms.debt_cap) {
            return Err(Problem::about(Reason::InvalidField, Field::Amount));
        }
        let known = !terms.backstop.is_set() || self.account(terms.backstop).is_some();
        if !known {
            return Err(Problem::about(Reason::NotFound, Field::Account));
        }
        self.defaults.terms = Some(*terms);
        Ok(Done {
            object: 0,
            count: 1,
            cancelled: 0,
            first_seq: 0,
        })
    }

    /// After the makers: what is left of the positions, then of the debt. The account is done with.
    pub(super) fn absorb(&mut self, account: AccountId, asset: AssetId, out: &mut Vec<Event>) {
        if self.is_restored(account, asset, out) {
            return;
        }
        let left: Vec<InstrumentId> = self
            .margined(account, asset)
            .filter(|position| position.net != Lots::ZERO)
            .map(|position| position.instrument)
            .collect();
        for instrument in left {
            self.give_to_backstop(account, instrument, out);
            self.deleverage(account, instrument, out);
            self.recount_open_interest(instrument);
        }
        self.settle_closed(account, asset, out);
        self.cover(account, asset, out);
        let health = self.health(account, asset);
        self.defaults.distressed.remove(&(account, asset));
        out.push(Event::Clearing(ClearingEvent::LiquidationEnded(health)));
    }

    /// At the mark, as far as the backstop's money reaches.
    pub(super) fn give_to_backstop(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        out: &mut Vec<Event>,
    ) {
        let Some(backstop) = self.defaults.terms.map(|terms| terms.backstop) else {
            return;
        };
        if !backstop.is_set() || backstop == account {
            return;
        }
        let mark = self.contract(instrument).mark;
        let net = self.positions.view(account, instrument).net;
        let status = self.account(backstop).map(|row| row.status);
        if status != Some(AccountStatus::Active) || self.is_liquidated(backstop) {
            return;
        }
        let lots = self.affordable(backstop, instrument, (net, Lots(net.0.abs())), mark);
        if lots > Lots::ZERO {
            let moving = (mark, lots, Moving::Backstop);
            self.move_position(account, backstop, instrument, moving, out);
        }
    }

    /// The other side gives up lots at the mark, the highest in the queue first. Hedges of real machines stay:
    /// the fund stands in for what only they could give up, until the contract has settled in cash.
    pub(super) fn deleverage(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        out: &mut Vec<Event>,
    ) {
        let net = self.positions.view(account, instrument).net;
        let mark = self.contract(instrument).mark;
        let side = Side::closing(net);
        for other in self.deleverage_queue(instrument, side) {
            let left = self.positions.view(account, instrument).net.0.abs();
            let has = self.lots_to_give(&self.positions.view(other, instrument));
            let lots = Lots(left.min(has.0));
            if other != account && lots > Lots::ZERO {
                let moving = (mark, lots, Moving::Deleveraged);
                self.move_position(account, other, instrument, moving, out);
            }
        }
        let left = Lots(self.positions.view(account, instrument).net.0.abs());
        if left > Lots::ZERO && account != house::INSURANCE {
            let moving = (mark, left, Moving::Fund);
            self.move_position(account, house::INSURANCE, instrument, moving, out);
        }
    }

    /// What deleveraging may take of a position.
    fn lots_to_give(&self, position: &Position) -> Lots {
        Lots(position.net.0.abs()) - self.covered_lots(position)
    }

    /// Who gives up lots of a side (sell = short): the fund, if it had to stand in before, then by profit x
    /// leverage, the highest first, then by number: the order in which positions are closed if nobody else
    /// takes a defaulter's. Whose lots are all covered by machines does not stand in it.
    #[must_use]
    pub fn deleverage_queue(&self, instrument: InstrumentId, side: Side) -> Vec<AccountId> {
        let holds = |position: &&Position| match side {
            Side::Buy => position.net.0 > 0,
            Side::Sell => position.net.0 < 0,
        };
        let mut queue: Vec<(bool, i128, AccountId)> = self
            .positions
            .in_instrument(instrument)
            .filter(holds)
            .filter(|position| self.lots_to_give(position) > Lots::ZERO)
            .map(|position| {
                let own = position.account == house::INSURANCE;
                (!own, self.rank(position), position.account)
            })
            .collect();
        queue.sort_by_key(|(own, rank, account)| (*own, std::cmp::Reverse(*rank), *account));
        queue.into_iter().map(|(_, _, account)| account).collect()
    }

    /// Profit x leverage, leverage in millionths: notional over what the account has.
    fn rank(&self, position: &Position) -> i128 {
        let contract = self.contract(position.instrument);
        let profit = position.settled + position.result;
        let size = Lots(position.net.0.abs());
        let notional = contract.tick_value.money(contract.mark.times(size));
        let equity = self
            .health(position.account, contract.terms.price_asset)
            .equity
            .max(Minor(1));
        let leverage = i128::from(notional.0) * PPM / i128::from(equity.0);
        i128::from(profit.0) * leverage
    }

    /// Closed lots have no mark to wait for: their result becomes cash now, on both sides of each
    /// contract, so that what is left is what the account owes.
    fn settle_closed(&mut self, account: AccountId, asset: AssetId, out: &mut Vec<Event>) {
        let flat: Vec<InstrumentId> = self
            .margined(account, asset)
            .filter(|position| position.net == Lots::ZERO && position.result != Minor::ZERO)
            .map(|position| position.instrument)
            .collect();
        for instrument in flat {
            self.settle_at_mark(instrument, out);
        }
    }

    /// The fund pays what the account owes; beyond the cap the venue stops.
    pub(super) fn cover(&mut self, account: AccountId, asset: AssetId, out: &mut Vec<Event>) {
        let balance = self.ledger.balance(account, asset);
        // What others have got already and its own cash does not cover; escrow and withdrawals that wait are
        // its own affair.
        let owes = Minor((-balance.cash.0).max(0));
        if owes == Minor::ZERO {
            return;
        }
        let about = About::default();
        let kind = PostingKind::InsuranceFund;
        self.ledger
            .post(out, (house::INSURANCE, asset), -owes, kind, about);
        self.ledger.post(out, (account, asset), owes, kind, about);
        let fund = self.ledger.balance(house::INSURANCE, asset).cash;
        out.push(Event::Clearing(ClearingEvent::Covered(Covered {
            account,
            asset,
            amount: owes,
            fund,
        })));
        let cap = self.defaults.terms.map_or(0, |terms| terms.debt_cap);
        if fund.0 < -cap && !self.killed {
            self.killed = true;
            out.push(Event::Switch(SwitchChange {
                scope: SwitchScope::Venue,
                engaged: true,
            }));
        }
    }

    /// Whether the fund's debt stops withdrawals.
    pub(in crate::exchange) fn is_in_debt(&self, asset: AssetId) -> bool {
        let cap = self.defaults.terms.map(|terms| terms.debt_cap);
        let fund = self.ledger.balance(house::INSURANCE, asset).cash;
        cap.is_some_and(|cap| fund.0 < -cap)
    }

    /// How many have not enough, and are told so or closed.
    #[must_use]
    pub fn distressed(&self) -> usize {
        self.defaults.distressed.len()
    }

    /// Whether an account is called for margin (false) or being closed (true); none = neither.
    #[must_use]
    pub fn distress_of(&self, account: AccountId, asset: AssetId) -> Option<bool> {
        let distress = self.defaults.distressed.get(&(account, asset))?;
        Some(*distress != Distress::Called)
    }
}
