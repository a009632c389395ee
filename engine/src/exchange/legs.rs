//! A trade that touches several contracts: every party is booked before any is told (COMBO-04, COMBO-07,
//! COMBO-11).

use super::{
    Exchange, News,
    combinations::{LegPrices, leg_side},
};
use crate::{
    command::Origin,
    event::{Event, Fill, LegFill, Liquidity, OrderEventKind, OrderStatus},
    ids::{AccountId, InstrumentId, TradeId},
    instrument::Kind,
    ledger::About,
    limits::COMBINATION_LEGS,
    order::NIL,
    units::{Lots, Minor, Ppm, Ticks},
};

/// Parties of one trade: an order in each leg, and the combination's.
pub(super) const PARTIES: usize = COMBINATION_LEGS + 1;

/// One side of a trade that touches several contracts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Party {
    pub(super) slot: u32,
    pub(super) price: Ticks,
    pub(super) liquidity: Liquidity,
}

impl Party {
    pub(super) const NOBODY: Self = Self {
        slot: NIL,
        price: Ticks::ZERO,
        liquidity: Liquidity::Maker,
    };
}

/// What a trade was for one party.
#[derive(Clone, Copy)]
struct Booked {
    fee: Minor,
    value: Minor,
    net: Lots,
    leg_fees: [Minor; COMBINATION_LEGS],
    leg_nets: [Lots; COMBINATION_LEGS],
}

impl Booked {
    const NOTHING: Self = Self {
        fee: Minor::ZERO,
        value: Minor::ZERO,
        net: Lots::ZERO,
        leg_fees: [Minor::ZERO; COMBINATION_LEGS],
        leg_nets: [Lots::ZERO; COMBINATION_LEGS],
    };
}

impl Exchange {
    /// A trade between an incoming and a resting order of a combination, at the resting price.
    pub(super) fn trade_combination(
        &mut self,
        taker: u32,
        maker: u32,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) {
        let (incoming, resting) = (self.orders.at(taker), self.orders.nodes().at(maker));
        let lots = incoming.open.min(resting.lots);
        let price = resting.price;
        let (side, instrument) = (incoming.terms.side, incoming.terms.instrument);
        let prices = self.leg_prices(self.contract(instrument), price);
        let party = |slot, liquidity| Party {
            slot,
            price,
            liquidity,
        };
        let parties = [
            party(taker, Liquidity::Taker),
            party(maker, Liquidity::Maker),
        ];
        let trade = self.next_trade();
        let printed = crate::event::Trade {
            instrument,
            public_seq: 0,
            trade,
            price,
            lots,
            aggressor: Some(side),
            off_book: None,
        };
        let values = self.exchange_lots(trade, &parties, &prices, lots, commander, out);
        self.print(printed, out);
        self.clear_up(&parties, commander, out);
        // The maker's group is looked at before the taker's, as in every book.
        let fills = [(maker, values[1]), (taker, values[0])];
        self.protect_all(&fills, taker, lots, commander, out);
    }

    pub(super) fn next_trade(&mut self) -> TradeId {
        self.trades += 1;
        TradeId(self.trades)
    }

    /// Books lots on all parties at once, the incoming one first, and tells their fills; answers with the
    /// value of each. `prices` are the legs' of the combination's order among them.
    pub(super) fn exchange_lots(
        &mut self,
        trade: TradeId,
        parties: &[Party],
        prices: &LegPrices,
        lots: Lots,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) -> [Minor; PARTIES] {
        let mut booked = [Booked::NOTHING; PARTIES];
        for (party, booked) in parties.iter().zip(&mut booked) {
            self.charge(trade, party, prices, lots, booked, out);
        }
        for (party, booked) in parties.iter().zip(&mut booked) {
            self.book_party(party, prices, lots, booked);
        }
        for (place, (party, booked)) in parties.iter().zip(&booked).enumerate() {
            // Makers' fills are nobody's doing, even within one account.
            let nobody = Origin::default();
            let by = if place == 0 { commander } else { &nobody };
            let fill = Fill {
                trade,
                price: party.price,
                lots,
                liquidity: party.liquidity,
                fee: booked.fee,
                position_after: booked.net,
            };
            // Nor are they an item's doing, even for who sent the batch and stands in another leg.
            let step = self.step;
            if place > 0 {
                self.step = None;
            }
            self.tell_fill(party.slot, fill, booked, prices, by, out);
            self.step = step;
        }
        booked.map(|booked| booked.value)
    }

    /// Fees of one party; a maker has no rebate where several contracts trade at once.
    fn charge(
        &mut self,
        trade: TradeId,
        party: &Party,
        prices: &LegPrices,
        lots: Lots,
        booked: &mut Booked,
        out: &mut Vec<Event>,
    ) {
        let order = self.orders.at(party.slot);
        let (account, instrument) = (order.account, order.terms.instrument);
        let contract = self.contract(instrument);
        let asset = contract.terms.price_asset;
        let (maker, taker) = (contract.terms.maker_fee, contract.terms.taker_fee);
        let rate = self.account(account).map_or(Ppm(0), |row| {
            match party.liquidity {
                Liquidity::Taker => row.taker_fee(taker),
                Liquidity::Maker | Liquidity::Auction | Liquidity::Block => row.maker_fee(maker),
            }
            .max(Ppm(0))
        });
        let about = |instrument| About {
            trade,
            instrument,
            transfer: 0,
        };
        let links = *self.links(instrument);
        if links.count == 0 {
            booked.value = contract.tick_value.money(party.price.times(lots));
            let (value, about) = (booked.value, about(instrument));
            booked.fee = self
                .ledger
                .charge_fee(out, (account, asset), rate, value, about);
            return;
        }
        for (place, leg) in links.legs().iter().enumerate() {
            let value = self.contract(leg.instrument).tick_value;
            let value = Minor(value.money(prices[place].times(lots)).0.saturating_abs());
            let about = about(leg.instrument);
            let fee = self
                .ledger
                .charge_fee(out, (account, asset), rate, value, about);
            booked.leg_fees[place] = fee;
            booked.fee += fee;
            booked.value += value;
        }
    }

    /// A party's fill on its order, its position or its legs' positions, and the book it rests in.
    fn book_party(&mut self, party: &Party, prices: &LegPrices, lots: Lots, booked: &mut Booked) {
        let slot = party.slot;
        let order = self.orders.at(slot);
        let (instrument, side, rests) = (order.terms.instrument, order.terms.side, order.resting);
        if order.combined {
            self.book_legs(slot, party.price, prices, lots, booked);
        } else {
            booked.net = self.book_fill(slot, party.price, lots, Kind::Forward, booked.value);
        }
        if rests {
            let index = instrument.index().unwrap_or(usize::MAX);
            self.books[index].shrink(self.orders.nodes_mut(), slot, lots);
            self.touch_level(instrument, side, party.price);
        }
    }

    /// A fill of a combination's order becomes positions in its legs (COMBO-04).
    fn book_legs(
        &mut self,
        slot: u32,
        price: Ticks,
        prices: &LegPrices,
        lots: Lots,
        booked: &mut Booked,
    ) {
        self.count_lots(slot, -lots);
        let order = self.orders.at_mut(slot);
        order.open -= lots;
        order.filled += lots;
        order.filled_exposure += price.times(lots);
        if order.open == Lots::ZERO {
            order.status = OrderStatus::Filled;
        }
        let (account, side, id) = (order.account, order.terms.side, order.terms.instrument);
        let links = *self.links(id);
        for (place, (leg, price)) in links.legs().iter().zip(prices).enumerate() {
            let position = self.positions.change(account, leg.instrument);
            let long_before = position.net.0.max(0);
            position.trade(leg_side(side, *leg), *price, lots);
            let net = position.net;
            let statistics = &mut self.contract_mut(leg.instrument).statistics;
            statistics.open_interest += net.0.max(0) - long_before;
            self.touched_statistics.push(leg.instrument);
            booked.leg_nets[place] = net;
        }
    }

    /// Tells a fill, and behind it, under its address, what it did in the legs; copies likewise.
    fn tell_fill(
        &mut self,
        slot: u32,
        fill: Fill,
        booked: &Booked,
        prices: &LegPrices,
        by: &Origin,
        out: &mut Vec<Event>,
    ) {
        let news = News {
            fill: Some(fill),
            ..News::plain(OrderEventKind::Fill)
        };
        let first = out.len();
        self.tell(slot, news, by, out);
        if !self.orders.at(slot).combined {
            return;
        }
        let copy = if out.len() > first + 1 {
            out.pop()
        } else {
            None
        };
        self.tell_legs(slot, fill, booked, prices, out);
        if let Some(copy) = copy {
            out.push(copy);
            self.tell_legs(slot, fill, booked, prices, out);
        }
    }

    /// The legs of the fill that was told last.
    fn tell_legs(
        &self,
        slot: u32,
        fill: Fill,
        booked: &Booked,
        prices: &LegPrices,
        out: &mut Vec<Event>,
    ) {
        let Some(Event::Order(told)) = out.last() else {
            return;
        };
        let (to, copy) = (told.to, told.copy);
        let order = self.orders.at(slot);
        let combination = order.terms.instrument;
        for (place, leg) in self.links(combination).legs().iter().enumerate() {
            out.push(Event::Leg(LegFill {
                to,
                copy,
                order_id: order.id,
                client_order_id: order.terms.client_order_id,
                combination,
                instrument: leg.instrument,
                side: leg_side(order.terms.side, *leg),
                fill: Fill {
                    price: prices[place],
                    fee: booked.leg_fees[place],
                    position_after: booked.leg_nets[place],
                    ..fill
                },
            }));
        }
    }

    /// After a trade: ended orders leave, icebergs show their next part, balances follow, reduce-only
    /// orders are kept small.
    pub(super) fn clear_up(&mut self, parties: &[Party], commander: &Origin, out: &mut Vec<Event>) {
        for party in parties {
            self.retire_if_filled(party.slot);
        }
        let step = self.step.take();
        for party in parties {
            self.refresh_if_used_up(party.slot, out);
        }
        self.step = step;
        for party in parties {
            let order = self.orders.at(party.slot);
            let (account, own) = (order.account, order.terms.instrument);
            let links = *self.links(own);
            if links.count == 0 {
                self.rehold_and_reduce(account, own, commander, out);
            }
            for leg in links.legs() {
                self.rehold_and_reduce(account, leg.instrument, commander, out);
            }
        }
    }

    fn rehold_and_reduce(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) {
        let place = self.positions.place_of(account, instrument);
        self.rehold_at(place);
        if self.positions.at(place).has_reducing() {
            self.keep_reduce_only(account, instrument, commander, out);
        }
    }
}
