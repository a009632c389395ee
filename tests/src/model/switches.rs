//! SWITCH: order entry blocked at four levels.

use engine::{
    command::{SetKillSwitch, SwitchScope},
    event::OrderStatus,
    ids::AccountId,
    reason::Reason,
};

use super::{Model, Order};
use crate::rows::Told;

impl Model {
    pub(super) fn set_kill_switch(&mut self, body: SetKillSwitch) -> Result<(), Reason> {
        let (on, not_found) = (body.engaged, Reason::NotFound);
        let reason = match body.scope {
            SwitchScope::Session(id) => {
                let session = self.sessions.get_mut(&id).ok_or(not_found)?;
                session.killed = on;
                // A release by risk is a release of everything at this level.
                session.blocked = session.blocked && on;
                Reason::KillSwitchSession
            }
            SwitchScope::Account(id) => {
                let account = self.accounts.get_mut(&id).ok_or(not_found)?;
                account.killed = on;
                account.blocked = account.blocked && on;
                Reason::KillSwitchAccount
            }
            SwitchScope::Firm(id) => {
                *self.firms.get_mut(&id).ok_or(not_found)? = on;
                Reason::KillSwitchFirm
            }
            SwitchScope::Venue => {
                self.venue_killed = on;
                Reason::KillSwitchExchange
            }
        };
        if on && body.cancel_open_orders {
            for account in self.accounts.keys().copied().collect::<Vec<_>>() {
                self.cancel_covered(account, body.scope, reason);
            }
        }
        self.seen.told.push(Told::Switch(body.scope, on));
        Ok(())
    }

    /// SWITCH-03: one account's orders that a switch covers, oldest first.
    fn cancel_covered(&mut self, account: AccountId, scope: SwitchScope, reason: Reason) {
        let firm = self.accounts[&account].firm;
        let covers = |order: &Order| {
            order.key.0 == account
                && match scope {
                    SwitchScope::Session(id) => order.session == id,
                    SwitchScope::Account(id) => account == id,
                    SwitchScope::Firm(id) => firm == id,
                    SwitchScope::Venue => true,
                }
        };
        for key in self.oldest_first(covers) {
            self.end_or_defer(key, OrderStatus::Cancelled, reason);
        }
    }
}
