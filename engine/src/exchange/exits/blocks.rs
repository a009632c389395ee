//! Positions of whoever leaves: forwards as in a default, at the mark; blocks that still trade at the mark,
//! which is the index, against those on the other side (EXIT-06).

use crate::{
    command::{Origin, Side},
    event::{ClearingEvent, Event, Moved, Moving, PostingKind},
    exchange::Exchange,
    ids::{AccountId, InstrumentId, house},
    instrument::Kind,
    ledger::About,
    limits,
    position::Position,
    units::{Lots, Minor, TickLots},
};

impl Exchange {
    /// Closes blocks in which an account has lots or dues; `false` = there are more of them.
    pub(super) fn close_blocks_of(&mut self, account: AccountId, out: &mut Vec<Event>) -> bool {
        let open = |position: &&Position| {
            self.contract(position.instrument).terms.kind == Kind::SpotBlock && !position.is_flat()
        };
        let open = self.positions.of(account).filter(open);
        let open: Vec<InstrumentId> = open.map(|position| position.instrument).collect();
        for instrument in open.iter().copied().take(limits::EXIT_CONTRACTS) {
            self.close_block(account, instrument, out);
        }
        open.len() <= limits::EXIT_CONTRACTS
    }

    fn close_block(&mut self, account: AccountId, instrument: InstrumentId, out: &mut Vec<Event>) {
        let net = self.positions.view(account, instrument).net;
        let others = self.positions.in_instrument(instrument);
        let others = others.filter(|other| other.net.0.signum() == -net.0.signum());
        // Sellers and buyers meet in the order in which they came, as at delivery (DELIVERY-05).
        let others: Vec<(AccountId, Lots)> =
            others.map(|other| (other.account, other.net)).collect();
        for (other, has) in others {
            let left = self.positions.view(account, instrument).net;
            let lots = Lots(left.0.abs().min(has.0.abs()));
            if lots > Lots::ZERO {
                self.move_block((account, other), instrument, (left, lots), out);
            }
        }
        self.recount_open_interest(instrument);
        self.settle_dues(account, instrument, out);
        let realised = self
            .positions
            .view(account, instrument)
            .realised_total(self.contract(instrument));
        let position = self.positions.change(account, instrument);
        (position.realised, position.settled) = (TickLots::ZERO, realised);
        self.rehold(account, instrument);
    }

    /// Lots change hands at the mark, as by a fill without a fee.
    fn move_block(
        &mut self,
        (from, to): (AccountId, AccountId),
        instrument: InstrumentId,
        (net, lots): (Lots, Lots),
        out: &mut Vec<Event>,
    ) {
        let contract = self.contract(instrument);
        let price = contract.mark;
        let value = contract.tick_value.money(price.times(lots));
        let side = Side::closing(net);
        for (account, side) in [(from, side), (to, side.opposite())] {
            let position = self.positions.change(account, instrument);
            position.trade(side, price, lots);
            match side {
                Side::Buy => position.owed += value,
                Side::Sell => position.owed -= value,
            }
            let net = position.net;
            self.rehold(account, instrument);
            self.keep_reduce_only(account, instrument, &Origin::default(), out);
            out.push(Event::Clearing(ClearingEvent::Moved(Moved {
                account,
                instrument,
                side,
                lots,
                price,
                net,
                why: Moving::Deleveraged,
            })));
        }
    }

    /// What an account without lots would pay or get at delivery becomes cash now. Somebody takes its place
    /// in the dues with the same cash: first a buyer, whose escrow it is, so that nobody lacks anything by it.
    fn settle_dues(&mut self, account: AccountId, instrument: InstrumentId, out: &mut Vec<Event>) {
        let due = self.positions.view(account, instrument).owed;
        let mut others: Vec<Position> = self
            .positions
            .in_instrument(instrument)
            .filter(|other| other.account != account)
            .copied()
            .collect();
        others.sort_by_key(|other| other.net <= Lots::ZERO);
        if due > Minor::ZERO
            && let Some(buyer) = others.first().filter(|other| other.net > Lots::ZERO)
        {
            return self.shift_due((account, buyer.account), instrument, due, out);
        }
        for other in others {
            let left = self.positions.view(account, instrument).owed;
            // Of the other sign: all dues of a contract add up to nothing.
            let opposite = left.0.signum() == -other.owed.0.signum();
            let part = left.0.abs().min(other.owed.0.abs()) * left.0.signum();
            if opposite && part != 0 {
                self.shift_due((account, other.account), instrument, Minor(part), out);
            }
        }
    }

    /// `due` (negative: is paid) goes from one to the other, and as much cash with it. An innocent party
    /// pays no more than it has free; the fund adds what it can, and the rest is not paid.
    fn shift_due(
        &mut self,
        (from, to): (AccountId, AccountId),
        instrument: InstrumentId,
        due: Minor,
        out: &mut Vec<Event>,
    ) {
        let asset = self.contract(instrument).terms.price_asset;
        for (account, change) in [(from, -due), (to, due)] {
            self.positions.change(account, instrument).owed += change;
            self.rehold(account, instrument);
        }
        let about = About {
            instrument,
            ..About::default()
        };
        let mut pays = due;
        if due < Minor::ZERO {
            let free = |who| self.ledger.balance(who, asset).available().max(Minor::ZERO);
            let lacks = (-due - free(to)).max(Minor::ZERO);
            let fund = self.ledger.balance(house::INSURANCE, asset).cash;
            let insured = lacks.min(fund.max(Minor::ZERO));
            pays = due + lacks - insured;
            let kind = PostingKind::InsuranceFund;
            let ledger = &mut self.ledger;
            ledger.post(out, (house::INSURANCE, asset), -insured, kind, about);
            ledger.post(out, (to, asset), insured, kind, about);
        }
        let kind = PostingKind::FinalSettlement;
        self.ledger.post(out, (from, asset), -pays, kind, about);
        self.ledger.post(out, (to, asset), pays, kind, about);
    }
}
