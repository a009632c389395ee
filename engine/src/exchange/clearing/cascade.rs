//! A year becomes months and quarters, a quarter its months: the same lots at the same price, no cash
//! (CASCADE-01, CASCADE-02; as EEX does it, `domain.md` section 10, T-CAS).

use crate::{
    event::{Cascaded, ClearingEvent, Event},
    exchange::Exchange,
    ids::InstrumentId,
    instrument::{Kind, Terms, TradingState},
    limits,
    reason::{Field, Problem, Reason},
    units::{Lots, TickLots},
};

impl Exchange {
    /// Whether a contract can turn into those that it names.
    pub(in crate::exchange) fn check_cascade(&self, terms: &Terms) -> Result<(), Problem> {
        let about = |reason| Err(Problem::about(reason, Field::Cascade));
        let count = terms.cascade.len();
        if terms.kind != Kind::Forward {
            return about(Reason::InvalidField);
        }
        if count > limits::COMBINATION_LEGS {
            let (limit, actual) = (limits::COMBINATION_LEGS as i64, count as i64);
            let reason = Reason::TooManyItems;
            return Err(Problem::limit(reason, Field::Cascade, limit, actual));
        }
        let mut filled_up_to = terms.window.start;
        for id in &terms.cascade {
            let Some(part) = self.instrument(*id) else {
                return about(Reason::NotFound);
            };
            let other = &part.terms;
            let alike = other.kind == Kind::Forward
                && other.commodity == terms.commodity
                && other.price_asset == terms.price_asset
                && other.index == terms.index
                && other.tick_size == terms.tick_size
                && other.lot_hashes_per_second == terms.lot_hashes_per_second;
            // Its own trading ends no earlier, so that it is still there, and whole, to be turned into.
            // One that turns into others itself must do so later.
            let lasts = match other.cascade.is_empty() {
                true => other.last_trade >= terms.last_trade,
                false => other.last_trade > terms.last_trade,
            };
            if !alike || !lasts || other.window.start != filled_up_to {
                return about(Reason::InvalidField);
            }
            filled_up_to = other.window.end;
        }
        if filled_up_to != terms.window.end {
            return about(Reason::InvalidField);
        }
        Ok(())
    }

    /// Turns every position into positions of the same size and cost in each part, in order of account.
    /// The parts' tick values add up to the whole's, so nobody wins or loses by it.
    pub(in crate::exchange) fn cascade(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        let parts = self.contract(id).terms.cascade.clone();
        if parts.is_empty() {
            return;
        }
        let mut accounts: Vec<_> = self
            .positions
            .in_instrument(id)
            .filter(|p| p.net != Lots::ZERO || p.realised != TickLots::ZERO)
            .map(|p| p.account)
            .collect();
        accounts.sort_unstable();
        for account in accounts {
            let position = self.positions.change(account, id);
            let (net, cost, realised) = (position.net, position.cost, position.realised);
            (position.net, position.cost) = (Lots::ZERO, TickLots::ZERO);
            position.realised = TickLots::ZERO;
            self.rehold(account, id);
            for part in &parts {
                self.positions
                    .change(account, *part)
                    .join(net, cost, realised);
                self.rehold(account, *part);
            }
            out.push(Event::Clearing(ClearingEvent::Cascaded(Cascaded {
                account,
                instrument: id,
                net,
                cost,
            })));
        }
        for contract in parts.into_iter().chain([id]) {
            self.recount_open_interest(contract);
        }
        self.set_state(id, TradingState::Settled, Reason::Schedule, out);
    }

    /// After positions moved otherwise than by a trade.
    pub(in crate::exchange) fn recount_open_interest(&mut self, id: InstrumentId) {
        let longs = self.positions.in_instrument(id).map(|p| p.net.0.max(0));
        let open_interest = longs.sum();
        self.contract_mut(id).statistics.open_interest = open_interest;
        self.touched_statistics.push(id);
    }
}
