//! Closing through the book, a slice at a time and never far from the mark (DEFAULT-03).

use super::health::Distress;
use crate::{
    command::{OrderTerms, Origin, Pricing, Side, Tag, TimeInForce},
    event::{Event, OrderEventKind},
    exchange::{Exchange, News, Timer, admission::Admitted},
    ids::{AccountId, AssetId, InstrumentId},
    instrument::{Instrument, TradingState},
    position::Position,
    units::{Lots, MILLISECOND, Minor, Nanos, PPM, Ticks, div_up},
};

/// What a liquidation does next.
enum Next {
    /// An order in this contract.
    Close(InstrumentId),
    /// Nothing trades at the moment; it will again.
    Wait,
    /// No order can close anything.
    Nothing,
}

impl Exchange {
    /// The next order of a liquidation is due.
    pub(in crate::exchange) fn liquidate(
        &mut self,
        account: AccountId,
        asset: AssetId,
        now: Nanos,
        out: &mut Vec<Event>,
    ) {
        let Some(terms) = self.defaults.terms else {
            return;
        };
        let known = self.defaults.distressed.get(&(account, asset)).copied();
        let Some(Distress::Liquidating { tries, due }) = known else {
            return;
        };
        // A timer of an earlier liquidation that ended meanwhile.
        if due != now {
            return;
        }
        if self.is_restored(account, asset, out) {
            return;
        }
        let next = match tries < terms.tries {
            true => self.next_to_close(account, asset, tries),
            false => Next::Nothing,
        };
        match next {
            Next::Close(instrument) => self.close_slice(account, instrument, out),
            Next::Wait => {}
            Next::Nothing => return self.offer_rest(account, asset, out),
        }
        if self.is_restored(account, asset, out) {
            return;
        }
        let due = self.at.after(i64::from(terms.pause_ms) * MILLISECOND);
        let tries = tries + 1;
        let goes_on = Distress::Liquidating { tries, due };
        self.defaults.distressed.insert((account, asset), goes_on);
        self.timers.set(due, Timer::Liquidate(account, asset));
    }

    /// Of the contracts that trade and in whose book somebody would trade within reach, the one that
    /// frees most margin, the first listed of equals. If there is none, those that trade have their turns:
    /// there may be liquidity behind combinations. What is halted or in a call for a while is left out.
    fn next_to_close(&self, account: AccountId, asset: AssetId, tries: i32) -> Next {
        let mut held: Vec<&Position> = self
            .margined(account, asset)
            .filter(|position| position.net != Lots::ZERO)
            .collect();
        held.sort_by_key(|position| (std::cmp::Reverse(position.requirement), position.instrument));
        let state = |position: &Position| self.contract(position.instrument).state;
        let trades: Vec<&Position> = held
            .iter()
            .copied()
            .filter(|position| state(position) == TradingState::Open)
            .collect();
        let met = trades
            .iter()
            .find(|position| self.meets_somebody(position.instrument, Side::closing(position.net)));
        if let Some(position) = met {
            return Next::Close(position.instrument);
        }
        if !trades.is_empty() {
            let turn = usize::try_from(tries).unwrap_or(0) % trades.len();
            return Next::Close(trades[turn].instrument);
        }
        let over = |position: &&Position| {
            use TradingState::{Closed, InDelivery, Settled};
            matches!(state(position), Closed | InDelivery | Settled)
        };
        match held.iter().all(over) {
            true => Next::Nothing,
            false => Next::Wait,
        }
    }

    /// Whether an order of that side at the reach would find the other side.
    fn meets_somebody(&self, instrument: InstrumentId, side: Side) -> bool {
        let price = self.reach_of(self.contract(instrument), side);
        let best = self
            .book(instrument)
            .and_then(|book| book.best(side.opposite()));
        best.is_some_and(|best| side.accepts(price, best))
    }

    /// One immediate order of the account's own, told like all others.
    fn close_slice(&mut self, account: AccountId, instrument: InstrumentId, out: &mut Vec<Event>) {
        // With every place taken it waits for its next turn, as everybody does.
        if !self.orders.has_room() {
            return;
        }
        let net = self.positions.view(account, instrument).net;
        let side = Side::closing(net);
        let lots = self.lots_to_close(account, instrument, net);
        let contract = self.contract(instrument);
        let price = self.reach_of(contract, side);
        let order = OrderTerms {
            instrument,
            side,
            pricing: Pricing::Limit(price),
            lots,
            time_in_force: TimeInForce::Ioc,
            tag: Tag::new("LIQUIDATION").unwrap_or_default(),
            ..OrderTerms::BLANK
        };
        let admitted = Admitted {
            price,
            lots,
            slid: false,
            asleep: false,
            hold_lot: self.hold_lot(account, contract, side, price),
            expire: Nanos::ZERO,
        };
        let origin = Origin {
            account,
            ..Origin::default()
        };
        let slot = self.enroll(&origin, &order, &admitted, None);
        self.tell(slot, News::plain(OrderEventKind::Accepted), &origin, out);
        self.work(slot, &origin, out);
    }

    /// A slice of the position, but no more than brings the account back to its initial margin.
    fn lots_to_close(&self, account: AccountId, instrument: InstrumentId, net: Lots) -> Lots {
        let contract = self.contract(instrument);
        let slice = self.defaults.terms.map_or(0, |terms| terms.slice.0);
        let size = net.0.abs();
        let slice = div_up(i128::from(size) * i128::from(slice), PPM);
        let one_lot = contract.at_mark.initial(net);
        let missing = self
            .health(account, contract.terms.price_asset)
            .missing
            .max(Minor(1));
        let needed = div_up(missing.0.into(), one_lot.0.max(1).into());
        let lots = slice.min(needed).clamp(1, size.into());
        Lots(i64::try_from(lots).unwrap_or(size))
    }

    /// The worst price a liquidation takes: so far from the mark, and inside the band.
    fn reach_of(&self, contract: &Instrument, side: Side) -> Ticks {
        let reach = self.defaults.terms.map_or(0, |terms| terms.reach.0);
        let away = distance(contract.mark, reach);
        let (low, high) = contract.at_mark.band;
        match side {
            Side::Buy => Ticks((contract.mark.0 + away).min(high.0)),
            Side::Sell => Ticks((contract.mark.0 - away).max(low.0).max(1)),
        }
    }
}

/// A share of a mark in ticks, rounded down.
pub(super) fn distance(mark: Ticks, share: i32) -> i64 {
    let exact = i128::from(mark.0) * i128::from(share) / PPM;
    i64::try_from(exact).unwrap_or(0)
}
