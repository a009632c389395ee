//! Kill switches of the operator, next to the clients' own (SWITCH).

use super::{
    Exchange,
    admin::{Outcome, made},
};
use crate::{
    command::{Origin, SetKillSwitch, SwitchScope},
    event::{Done, Event, SwitchChange},
    ids::{AccountId, FirmId},
    reason::{Field, Problem, Reason},
};

impl Exchange {
    /// Rank 4, the widest switch first.
    pub(super) fn check_switches(&self, origin: &Origin) -> Result<(), Problem> {
        let (firm, account) = self
            .account(origin.account)
            .map_or((false, false), |account| {
                (account.firm_killed, account.killed | account.blocked)
            });
        let session = self
            .session(origin.session)
            .is_some_and(|session| session.killed | session.blocked);
        if !(self.killed | firm | account | session) {
            return Ok(());
        }
        Err(Problem::new(if self.killed {
            Reason::KillSwitchExchange
        } else if firm {
            Reason::KillSwitchFirm
        } else if account {
            Reason::KillSwitchAccount
        } else {
            Reason::KillSwitchSession
        }))
    }

    /// Switches that are on, those of clients for themselves not counted: the venue's, then by number.
    pub fn kill_switches(&self) -> impl Iterator<Item = SwitchScope> + '_ {
        let venue = self.killed.then_some(SwitchScope::Venue);
        let firms = self.firms.iter().filter(|firm| firm.killed);
        let accounts = self.accounts.iter().filter(|account| account.killed);
        let sessions = self.sessions.iter().filter(|session| session.killed);
        venue
            .into_iter()
            .chain(firms.map(|firm| SwitchScope::Firm(firm.id)))
            .chain(accounts.map(|account| SwitchScope::Account(account.id)))
            .chain(sessions.map(|session| SwitchScope::Session(session.id)))
    }

    /// Moves one switch, and no other; releasing a level also releases what its clients blocked.
    pub(super) fn set_kill_switch(&mut self, set: &SetKillSwitch, out: &mut Vec<Event>) -> Outcome {
        let not_found = |field| Problem::about(Reason::NotFound, field);
        let (object, reason) = match set.scope {
            SwitchScope::Session(id) => {
                let session = self.session_mut(id).ok_or(not_found(Field::Session))?;
                session.killed = set.engaged;
                session.blocked &= set.engaged;
                (id.0, Reason::KillSwitchSession)
            }
            SwitchScope::Account(id) => {
                let account = self.account_mut(id).ok_or(not_found(Field::Account))?;
                account.killed = set.engaged;
                account.blocked &= set.engaged;
                (id.0, Reason::KillSwitchAccount)
            }
            SwitchScope::Firm(id) => {
                let firm = id.index().and_then(|index| self.firms.get_mut(index));
                firm.ok_or(not_found(Field::Firm))?.killed = set.engaged;
                for account in &mut self.accounts {
                    if account.firm == id {
                        account.firm_killed = set.engaged;
                    }
                }
                (id.0, Reason::KillSwitchFirm)
            }
            SwitchScope::Venue => {
                self.killed = set.engaged;
                (0, Reason::KillSwitchExchange)
            }
        };
        let mut cancelled = 0;
        if set.engaged && set.cancel_open_orders {
            cancelled = self.cancel_covered(set.scope, reason, out);
        }
        out.push(Event::Switch(SwitchChange {
            scope: set.scope,
            engaged: set.engaged,
        }));
        Ok(Done {
            cancelled,
            ..made(object)
        })
    }

    /// Cancels what a switch covers: accounts by number, each one's orders by entry.
    fn cancel_covered(&mut self, scope: SwitchScope, reason: Reason, out: &mut Vec<Event>) -> u32 {
        let mut cancelled = 0;
        for index in 0..self.accounts.len() {
            let (account, firm): (AccountId, FirmId) =
                (self.accounts[index].id, self.accounts[index].firm);
            let slots = match scope {
                SwitchScope::Account(id) if id != account => continue,
                SwitchScope::Firm(id) if id != firm => continue,
                SwitchScope::Session(id) => self.slots_where(account, |order| order.session == id),
                _ => self.slots_where(account, |_| true),
            };
            cancelled += self.cancel_slots(slots, reason, &Origin::default(), out);
        }
        cancelled
    }
}
