//! No price rather than a wrong one: contracts without an index do not trade (INDEX-05).

use crate::{
    event::{Event, Quality},
    exchange::Exchange,
    ids::{IndexId, InstrumentId},
    instrument::TradingState,
    reason::Reason,
    units::Nanos,
};

impl Exchange {
    /// Whether the contract may not go into this state because its index is halted; if so, it goes there
    /// once the index is back.
    pub(in crate::exchange) fn is_index_halted(
        &mut self,
        id: InstrumentId,
        state: TradingState,
    ) -> bool {
        if !self.waits_for_index(id, state) {
            return false;
        }
        let index = self.contract(id).terms.index;
        let Some(rounds) = self.oracle.rounds.get_mut(&index) else {
            return false;
        };
        match rounds.held.iter_mut().find(|(held, _)| *held == id) {
            Some(held) => held.1 = state,
            None => rounds.held.push((id, state)),
        }
        true
    }

    /// Whether the contract may not take orders now because its index is halted.
    pub(in crate::exchange) fn waits_for_index(
        &self,
        id: InstrumentId,
        state: TradingState,
    ) -> bool {
        let rounds = self.rounds(self.contract(id).terms.index);
        state.takes_orders() && rounds.is_some_and(|rounds| rounds.quality == Quality::Halted)
    }

    /// Halts what takes orders.
    pub(super) fn halt_contracts(&mut self, index: IndexId, out: &mut Vec<Event>) {
        for id in self.contracts_on(index) {
            let contract = self.contract(id);
            let (state, over) = (contract.state, contract.terms.last_trade <= self.at);
            if over || !state.takes_orders() {
                continue;
            }
            // Post-only trading that was about to end counts as open.
            let opens = state == TradingState::PostOnly && contract.reopens != Nanos::ZERO;
            let state = if opens { TradingState::Open } else { state };
            if let Some(rounds) = self.oracle.rounds.get_mut(&index) {
                rounds.held.push((id, state));
            }
            self.forget_reopening(id);
            self.change_state(id, TradingState::Halted, Reason::IndexUnavailable, out);
        }
    }

    /// Brings back what the halt stopped, and nothing that somebody else closed since: resting orders first,
    /// then matching.
    pub(super) fn resume_contracts(&mut self, index: IndexId, out: &mut Vec<Event>) {
        let rounds = self.oracle.rounds.get_mut(&index);
        let held = rounds.map(|rounds| std::mem::take(&mut rounds.held));
        for (id, state) in held.unwrap_or_default() {
            let contract = self.contract(id);
            let ours = contract.state == TradingState::Halted
                && contract.state_reason == Reason::IndexUnavailable;
            if ours && contract.terms.last_trade > self.at {
                self.come_back(id, state, out);
            }
        }
    }
}
