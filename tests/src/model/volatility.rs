//! AUCTION-08: a price that moved too far, too fast is decided by an auction.

use engine::{ids::InstrumentId, instrument::TradingState, limits, units::MILLISECOND};

use super::{Contract, Model};

const MILLION: i128 = 1_000_000;
/// The window is kept in so many slices.
const SLICES: i64 = 8;

impl Contract {
    /// Length of the window; none = any distance is fine.
    fn window(&self) -> Option<i64> {
        let window = i64::from(self.terms.volatility.window_ms) * MILLISECOND;
        (window > 0).then_some(window)
    }
}

impl Model {
    /// Whether a continuous trade at this price does not happen, after others of this moment.
    pub(super) fn moves_too_far(&self, id: InstrumentId, price: i64, others: &[i64]) -> bool {
        let contract = &self.contracts[&id];
        let Some(window) = contract.window() else {
            return false;
        };
        let ppm = i128::from(contract.terms.volatility.move_ppm);
        let inside = contract.moves.iter();
        let inside: Vec<_> = inside
            .filter(|(began, _, _)| self.now < began + window)
            .collect();
        let low = inside.iter().map(|(_, low, _)| low).chain(others).min();
        let high = inside.iter().map(|(_, _, high)| high).chain(others).max();
        let exact = i128::from(price) * MILLION;
        low.is_some_and(|low| exact > i128::from(*low) * (MILLION + ppm))
            || high.is_some_and(|high| exact < i128::from(*high) * (MILLION - ppm))
    }

    /// Newest trade; the slice that it falls into begins at a multiple of the slices' length.
    pub(super) fn remember_trade(&mut self, id: InstrumentId, price: i64) {
        let now = self.now;
        let Some(contract) = self.contracts.get_mut(&id) else {
            return;
        };
        contract.last = Some(price);
        let Some(window) = contract.window() else {
            return;
        };
        let began = now.div_euclid(window / SLICES) * (window / SLICES);
        match contract.moves.iter_mut().find(|slice| slice.0 == began) {
            Some(slice) => (slice.1, slice.2) = (slice.1.min(price), slice.2.max(price)),
            None => contract.moves.push((began, price, price)),
        }
        contract.moves.retain(|(began, _, _)| now < began + window);
    }

    /// Newest trade of an auction; the window learns of it when the auction is over.
    pub(super) fn set_last(&mut self, id: InstrumentId, price: i64) {
        if let Some(contract) = self.contracts.get_mut(&id) {
            contract.last = Some(price);
        }
    }

    /// The window begins anew with the auction's price, if something traded at it.
    pub(super) fn restart_window(&mut self, id: InstrumentId, price: Option<i64>) {
        if let Some(contract) = self.contracts.get_mut(&id) {
            contract.moves.clear();
        }
        if let Some(price) = price {
            self.remember_trade(id, price);
        }
    }

    /// The contract, and with a lead all others of its product that match.
    pub(super) fn begin_volatility(&mut self, id: InstrumentId) {
        self.broken_off = true;
        let product = self.contracts[&id].product;
        let family = self.contracts.iter();
        let family: Vec<(i64, InstrumentId)> = family
            .filter(|(_, contract)| contract.product == product && !contract.expired)
            .map(|(id, contract)| (contract.terms.last_trade.0, *id))
            .collect();
        let trades = |id: &InstrumentId| {
            let state = self.contracts[id].state;
            state != TradingState::Closed && state != TradingState::Halted
        };
        let lead = family.iter().filter(|(_, id)| trades(id)).min();
        let lead = lead.map(|(_, lead)| *lead);
        self.call_for_volatility(id);
        if lead == Some(id) {
            let mut others: Vec<InstrumentId> = family.into_iter().map(|(_, id)| id).collect();
            others.sort_unstable();
            for other in others {
                if self.contracts[&other].state == TradingState::Open {
                    self.call_for_volatility(other);
                }
            }
        }
    }

    fn call_for_volatility(&mut self, id: InstrumentId) {
        let at = self.now + limits::VOLATILITY_CALL_MS * MILLISECOND;
        if let Some(contract) = self.contracts.get_mut(&id) {
            contract.reopens = Some(at);
        }
        self.settle_state(id, TradingState::VolatilityAuction);
    }
}
