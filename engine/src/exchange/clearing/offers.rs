//! What no order closed is offered to the makers, sealed, for a while (DEFAULT-04, DEFAULT-05).

use bincode::{Decode, Encode};

use super::{health::Distress, liquidation::distance};
use crate::{
    command::{AccountKind, AccountStatus, BidOffer, Side},
    event::{ClearingEvent, Done, Event, Moved, Moving, Offered, Refused},
    exchange::{Exchange, Timer, admission::Door},
    ids::{AccountId, AssetId, InstrumentId},
    position::Position,
    reason::{Field, Problem, Reason},
    units::{Lots, MILLISECOND, Minor, Nanos, Ticks},
};

/// A defaulter's position for sale.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Offer {
    /// Whose; not told to bidders.
    pub account: AccountId,
    /// In which contract.
    pub instrument: InstrumentId,
    /// Signed.
    pub net: Lots,
    /// Worst price a bid may name: the published reach, and no further than the defaulter's equity and the
    /// fund's money pay for.
    pub worst: Ticks,
    /// When the bids are opened.
    pub closes: Nanos,
    /// Sealed, in order of arrival; one for an account.
    pub bids: Vec<Bid>,
}

/// A sealed bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Bid {
    /// Who.
    pub account: AccountId,
    /// At which price.
    pub price: Ticks,
    /// Up to so many lots.
    pub lots: Lots,
}

impl Offer {
    /// What the defaulter does.
    #[must_use]
    pub fn side(&self) -> Side {
        Side::closing(self.net)
    }
}

impl Exchange {
    /// Offers that makers may bid for, by number.
    pub fn offers(&self) -> impl Iterator<Item = (u64, &Offer)> {
        self.defaults
            .offers
            .iter()
            .map(|(number, offer)| (*number, offer))
    }

    /// Offers every position that is left.
    pub(super) fn offer_rest(&mut self, account: AccountId, asset: AssetId, out: &mut Vec<Event>) {
        let Some(terms) = self.defaults.terms else {
            return;
        };
        let left: Vec<(InstrumentId, Lots)> = self
            .margined(account, asset)
            .filter(|position| position.net != Lots::ZERO)
            .map(|position| (position.instrument, position.net))
            .collect();
        if left.is_empty() {
            return self.absorb(account, asset, out);
        }
        self.defaults
            .distressed
            .insert((account, asset), Distress::Offered);
        let closes = self.at.after(i64::from(terms.offer_ms) * MILLISECOND);
        // Beyond it nobody could pay the difference: the fund does not go into debt to find a buyer.
        let share = self.concession_share(account, asset);
        let share = share.min(terms.offer_reach.0);
        for (instrument, net) in left {
            let mark = self.contract(instrument).mark;
            let away = distance(mark, share);
            let worst = match net.0 {
                0.. => Ticks((mark.0 - away).max(1)),
                _ => Ticks(mark.0 + away),
            };
            self.defaults.offered += 1;
            let number = self.defaults.offered;
            let offer = Offer {
                account,
                instrument,
                net,
                worst,
                closes,
                bids: Vec::new(),
            };
            self.defaults.offers.insert(number, offer);
            self.timers.set(closes, Timer::CloseOffer(number));
            out.push(Event::Clearing(ClearingEvent::Offered(Offered {
                offer: number,
                account,
                instrument,
                net,
                worst,
                closes,
            })));
        }
    }

    /// A maker bids.
    pub(in crate::exchange) fn bid_offer(&mut self, bid: &BidOffer, out: &mut Vec<Event>) {
        if matches!(self.enter(&bid.origin, out), Door::Shut) {
            return;
        }
        let decided = self
            .check_deadline(&bid.origin)
            .and_then(|()| self.check_bid(bid));
        if let Err(problem) = decided {
            let to = self.address(
                bid.origin.account,
                bid.origin.session,
                bid.origin.client_seq,
            );
            return out.push(Event::Refused(Refused { to, problem }));
        }
        if let Some(offer) = self.defaults.offers.get_mut(&bid.offer) {
            offer
                .bids
                .retain(|known| known.account != bid.origin.account);
            if bid.lots > Lots::ZERO {
                offer.bids.push(Bid {
                    account: bid.origin.account,
                    price: bid.price,
                    lots: bid.lots,
                });
            }
        }
        out.push(Event::Done(Done {
            object: bid.offer,
            count: 1,
            cancelled: 0,
            first_seq: 0,
        }));
    }

    fn check_bid(&self, bid: &BidOffer) -> Result<(), Problem> {
        let account = self.account(bid.origin.account);
        let account = account.ok_or(Problem::about(Reason::NotFound, Field::Account))?;
        let makes = account.kind == AccountKind::MarketMaker;
        // Taking a bid back is never refused for who one is by now.
        let enters = bid.lots != Lots::ZERO;
        if !makes || (enters && account.status != AccountStatus::Active) {
            return Err(Problem::about(Reason::AccountNotActive, Field::Account));
        }
        if enters && self.is_switched_off(bid.origin.account) {
            let reason = match account.firm_killed {
                true => Reason::KillSwitchFirm,
                false => Reason::KillSwitchAccount,
            };
            return Err(Problem::about(reason, Field::Account));
        }
        let offer = self.defaults.offers.get(&bid.offer);
        let offer = offer.ok_or(Problem::about(Reason::NotFound, Field::Request))?;
        // Nobody buys from the own firm at the fund's expense.
        if self.firm_of(offer.account) == self.firm_of(bid.origin.account) {
            return Err(Problem::about(Reason::AccountNotActive, Field::Account));
        }
        let size = offer.net.0.abs();
        if !(0..=size).contains(&bid.lots.0) {
            let reason = Reason::QuantityOutOfRange;
            return Err(Problem::limit(reason, Field::Quantity, size, bid.lots.0));
        }
        let worse = !offer.side().accepts(offer.worst, bid.price);
        if worse || bid.price.0 > crate::limits::PRICE_TICKS {
            let (reason, limit) = (Reason::PriceOutsideBand, offer.worst.0);
            return Err(Problem::limit(reason, Field::Price, limit, bid.price.0));
        }
        Ok(())
    }

    /// The bids are opened: the best price for the defaulter first, the earlier of equals.
    pub(in crate::exchange) fn close_offer(&mut self, number: u64, out: &mut Vec<Event>) {
        let Some(mut offer) = self.defaults.offers.remove(&number) else {
            return;
        };
        match offer.side() {
            Side::Sell => offer.bids.sort_by_key(|bid| std::cmp::Reverse(bid.price)),
            Side::Buy => offer.bids.sort_by_key(|bid| bid.price),
        }
        let (from, instrument) = (offer.account, offer.instrument);
        let asset = self.contract(instrument).terms.price_asset;
        // Money came in meanwhile.
        if self.defaults.distressed.get(&(from, asset)) != Some(&Distress::Offered) {
            return;
        }
        for bid in &offer.bids {
            let left = self.positions.view(from, instrument).net;
            // A cascade may have turned the position round: that is not what was bid for.
            let same_side = left.0.signum() == offer.net.0.signum();
            if !same_side {
                break;
            }
            // Cut to what the defaulter and the fund can give away, then to what the bidder can carry.
            let lots = Lots(left.0.abs().min(bid.lots.0));
            let lots = self.within_concession((from, instrument), (left, lots), bid.price);
            let lots = self.lots_it_can_take(bid.account, instrument, (left, lots), bid.price);
            if lots > Lots::ZERO {
                let moving = (bid.price, lots, Moving::Offer(number));
                self.move_position(from, bid.account, instrument, moving, out);
            }
        }
        self.recount_open_interest(instrument);
        let waits = self.defaults.offers.values().any(|other| {
            let same = self.contract(other.instrument).terms.price_asset == asset;
            other.account == from && same
        });
        if !waits {
            self.absorb(from, asset, out);
        }
    }

    /// Whether an account has the money to take over lots of a position at a price.
    pub(super) fn can_take(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        (net, lots): (Lots, Lots),
        price: Ticks,
    ) -> bool {
        let contract = self.contract(instrument);
        let position = self.positions.view(account, instrument);
        let mut after: Position = position;
        let side = Side::closing(net).opposite();
        after.trade(side, price, lots);
        let more = self.more_margin(contract, &position, &after);
        let loss = position.result.min(Minor::ZERO) - after.result_at(contract).min(Minor::ZERO);
        let available = self
            .ledger
            .balance(account, contract.terms.price_asset)
            .available();
        more + loss <= available.max(Minor::ZERO)
    }

    /// Lots of a position change hands at a price, outside the book: two sides, one price, no fee. Open
    /// interest is recounted by the caller, once.
    pub(super) fn move_position(
        &mut self,
        from: AccountId,
        to: AccountId,
        instrument: InstrumentId,
        (price, lots, why): (Ticks, Lots, Moving),
        out: &mut Vec<Event>,
    ) {
        let net = self.positions.view(from, instrument).net;
        let side = Side::closing(net);
        for (account, side) in [(from, side), (to, side.opposite())] {
            let position = self.positions.change(account, instrument);
            position.trade(side, price, lots);
            let net = position.net;
            self.rehold(account, instrument);
            let nobody = crate::command::Origin::default();
            self.keep_reduce_only(account, instrument, &nobody, out);
            out.push(Event::Clearing(ClearingEvent::Moved(Moved {
                account,
                instrument,
                side,
                lots,
                price,
                net,
                why,
            })));
        }
    }
}
