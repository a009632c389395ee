//! Positions in forwards of whoever leaves by the chain: as of a defaulter whom no maker wanted, at once and
//! at the mark (EXIT-06).

use crate::{
    event::{ClearingEvent, Event},
    exchange::Exchange,
    ids::{AccountId, AssetId, InstrumentId},
    instrument::Kind,
    limits,
    position::Position,
    units::{Lots, Minor, TickLots},
};

impl Exchange {
    /// Its bids for others' positions are off.
    pub(in crate::exchange) fn withdraw_bids(&mut self, account: AccountId) {
        for offer in self.defaults.offers.values_mut() {
            offer.bids.retain(|bid| bid.account != account);
        }
    }

    /// Its own positions are offered to nobody any more.
    pub(in crate::exchange) fn withdraw_offers(&mut self, account: AccountId) {
        let offers = &mut self.defaults.offers;
        offers.retain(|_, offer| offer.account != account);
    }

    /// Closes forwards in which an account has lots or a result: to the backstop as far as it can carry them,
    /// then by the queue; then the contract pays variation at the mark. `false` = there are more of them.
    pub(in crate::exchange) fn close_forwards_of(
        &mut self,
        account: AccountId,
        out: &mut Vec<Event>,
    ) -> bool {
        let open = |position: &&Position| {
            let kind = self.contract(position.instrument).terms.kind;
            let unpaid = position.realised != TickLots::ZERO || position.result != Minor::ZERO;
            kind == Kind::Forward && (position.net != Lots::ZERO || unpaid)
        };
        let open = self.positions.of(account).filter(open);
        let open: Vec<InstrumentId> = open.map(|position| position.instrument).collect();
        for instrument in open.iter().copied().take(limits::EXIT_CONTRACTS) {
            if self.positions.view(account, instrument).net != Lots::ZERO {
                self.give_to_backstop(account, instrument, out);
                self.deleverage(account, instrument, out);
                self.recount_open_interest(instrument);
            }
            self.settle_at_mark(instrument, out);
        }
        open.len() <= limits::EXIT_CONTRACTS
    }

    /// Nothing of its positions is left in an asset: the fund pays what it owes, and it is in no default.
    pub(in crate::exchange) fn end_default(
        &mut self,
        account: AccountId,
        asset: AssetId,
        out: &mut Vec<Event>,
    ) {
        self.cover(account, asset, out);
        let health = self.health(account, asset);
        if self.defaults.distressed.remove(&(account, asset)).is_some() {
            out.push(Event::Clearing(ClearingEvent::LiquidationEnded(health)));
        }
    }
}
