//! What block trades and accepted quotes have in common (BLOCK-03, RFQ-06): what a trade off the book needs of
//! each side, and how it is booked. No order and no resting order takes part.

use super::{
    Exchange,
    admission::{check_band, check_position_limit, check_price_range, check_quantity},
};
use crate::{
    command::{Origin, Side, Tag},
    event::{Event, Fill, Liquidity, OffBook, OrderEvent, OrderEventKind, OrderStatus, Trade},
    ids::{AccountId, AssetId, InstrumentId, OrderId, TradeId},
    instrument::{Instrument, Kind, TradingState},
    ledger::About,
    position::Position,
    reason::{Field, Problem, Reason},
    units::{DAY, Lots, Minor, Nanos, Ppm, Ticks},
};

/// One contract's part of a trade off the book, as one side sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) instrument: InstrumentId,
    pub(super) side: Side,
    pub(super) price: Ticks,
    pub(super) lots: Lots,
}

impl Part {
    /// As the other side sees it.
    pub(super) fn turned(self) -> Self {
        Self {
            side: self.side.opposite(),
            ..self
        }
    }
}

impl Exchange {
    /// A contract that may trade off the book now: a Forward, OPEN.
    pub(super) fn check_off_book(&self, instrument: InstrumentId) -> Result<&Instrument, Problem> {
        let contract = self.instrument(instrument);
        let contract =
            contract.ok_or(Problem::about(Reason::UnknownInstrument, Field::Instrument))?;
        if contract.terms.kind != Kind::Forward {
            let reason = Reason::UnsupportedCombination;
            return Err(Problem::about(reason, Field::Instrument));
        }
        if contract.state != TradingState::Open {
            let (reason, state) = (Reason::InstrumentNotTrading, contract.state.number());
            return Err(Problem::limit(reason, Field::Instrument, 0, state));
        }
        Ok(contract)
    }

    /// Ranks 8 to 11 of one part, as for a limit order.
    pub(super) fn check_part(&self, part: &Part) -> Result<(), Problem> {
        let contract = self.check_off_book(part.instrument)?;
        check_price_range(contract, part.price)?;
        check_quantity(contract, part.lots)?;
        check_band(contract, part.price)?;
        self.check_worth(contract, part.price, part.lots)
    }

    /// Ranks 14 and 15 for everything an account would trade at once: limits of its positions, then margin
    /// after − before, losses against the marks and fees, all together within what is available.
    pub(super) fn check_party(&self, account: AccountId, parts: &[Part]) -> Result<(), Problem> {
        // A handful at most: the parts of one package times the makers of one acceptance.
        let mut seen: Vec<(InstrumentId, Position, Position)> = Vec::with_capacity(parts.len());
        let mut fees = Minor::ZERO;
        for part in parts {
            let contract = self.contract(part.instrument);
            let at = match seen.iter().position(|row| row.0 == part.instrument) {
                Some(at) => at,
                None => {
                    let view: Position = self.positions.view(account, part.instrument);
                    seen.push((part.instrument, view, view));
                    seen.len() - 1
                }
            };
            let after = &mut seen[at].2;
            check_position_limit(contract, after, part.side, part.lots)?;
            after.trade(part.side, part.price, part.lots);
            let value = contract.tick_value.money(part.price.times(part.lots));
            fees += self.off_book_rate(account, contract).of(value);
        }
        let mut needed = fees;
        for (instrument, before, after) in &seen {
            let contract = self.contract(*instrument);
            let margin = after.requirement_in(contract) - before.requirement;
            let loss = before.result.min(Minor::ZERO) - after.result_at(contract).min(Minor::ZERO);
            needed += margin + loss;
        }
        // All of it at once, so a package of opposite months needs no more than it will hold.
        needed -= self.credit_gained(account, &seen);
        match parts.first() {
            Some(part) => self.check_need(self.contract(part.instrument), account, needed),
            None => Ok(()),
        }
    }

    /// Nobody took what the other showed: both pay the maker's rate, at least 0, as in an auction.
    fn off_book_rate(&self, account: AccountId, contract: &Instrument) -> Ppm {
        let rate = |row: &super::Account| row.maker_fee(contract.terms.maker_fee);
        self.account(account).map_or(Ppm(0), rate).max(Ppm(0))
    }

    /// Books both sides of every part: fees, positions, fills; then what must be held; then the tape. One
    /// trade number and one pair of fees for each part, in order. `parts` are the first side's.
    pub(super) fn trade_off_book(
        &mut self,
        how: OffBook,
        sides: [(AccountId, Tag); 2],
        parts: &[Part],
        out: &mut Vec<Event>,
    ) -> Vec<(TradeId, [Minor; 2])> {
        let mut done = Vec::with_capacity(parts.len());
        for part in parts {
            done.push(self.book_part(sides, part, out));
        }
        for part in parts {
            for (account, _) in sides {
                self.rehold(account, part.instrument);
                self.keep_reduce_only(account, part.instrument, &Origin::default(), out);
            }
        }
        for (part, (trade, _)) in parts.iter().zip(&done) {
            self.print_off_book((*trade, how), part, out);
        }
        done
    }

    fn book_part(
        &mut self,
        sides: [(AccountId, Tag); 2],
        part: &Part,
        out: &mut Vec<Event>,
    ) -> (TradeId, [Minor; 2]) {
        let trade = self.next_trade();
        let views = [*part, part.turned()];
        let about = About {
            trade,
            instrument: part.instrument,
            transfer: 0,
        };
        let contract = self.contract(part.instrument);
        let asset: AssetId = contract.terms.price_asset;
        let value = contract.tick_value.money(part.price.times(part.lots));
        let rates = sides.map(|(account, _)| self.off_book_rate(account, contract));
        let mut fees = [Minor::ZERO; 2];
        for ((account, _), (rate, fee)) in sides.iter().zip(rates.iter().zip(&mut fees)) {
            *fee = self
                .ledger
                .charge_fee(out, (*account, asset), *rate, value, about);
        }
        let mut longer = 0;
        let mut nets = [Lots::ZERO; 2];
        for (((account, _), view), net) in sides.iter().zip(&views).zip(&mut nets) {
            let position = self.positions.change(*account, part.instrument);
            let before = position.net.0.max(0);
            position.trade(view.side, part.price, part.lots);
            longer += position.net.0.max(0) - before;
            *net = position.net;
        }
        self.contract_mut(part.instrument).statistics.open_interest += longer;
        for (place, (account, tag)) in sides.into_iter().enumerate() {
            let fill = Fill {
                trade,
                price: part.price,
                lots: part.lots,
                liquidity: Liquidity::Block,
                fee: fees[place],
                position_after: nets[place],
            };
            out.push(told(account, tag, &views[place], fill));
        }
        (trade, fees)
    }

    /// On the tape, marked, and in the day's volume; last price, extremes and the volatility window are
    /// the book's (BLOCK-05).
    fn print_off_book(
        &mut self,
        (trade, how): (TradeId, OffBook),
        part: &Part,
        out: &mut Vec<Event>,
    ) {
        let day = Nanos(self.at.end_of_utc_day().0 - DAY);
        let contract = self.contract_mut(part.instrument);
        contract.public_seq += 1;
        let public_seq = contract.public_seq;
        let statistics = &mut contract.statistics;
        if statistics.day != day {
            (statistics.day, statistics.volume) = (day, 0);
            (statistics.open, statistics.high, statistics.low) = (None, None, None);
        }
        statistics.volume += part.lots.0;
        self.touched_statistics.push(part.instrument);
        out.push(Event::Trade(Trade {
            instrument: part.instrument,
            public_seq,
            trade,
            price: part.price,
            lots: part.lots,
            aggressor: None,
            off_book: Some(how),
        }));
    }
}

/// A fill without an order: order number 0, and a tag that names the report or the request. It is of no
/// session, so it reaches listings, private streams, the journal and the proofs like any other fill of the
/// account.
fn told(account: AccountId, tag: Tag, part: &Part, fill: Fill) -> Event {
    let mut order = OrderEvent::BLANK;
    order.to.account = account;
    Event::Order(OrderEvent {
        kind: OrderEventKind::Fill,
        status: OrderStatus::Filled,
        order_id: OrderId(0),
        instrument: part.instrument,
        side: part.side,
        price: part.price,
        total: part.lots,
        filled: part.lots,
        tag,
        fill: Some(fill),
        ..order
    })
}
