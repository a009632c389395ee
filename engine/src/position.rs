//! Positions: what an account is long or short, what it cost, and what must be held for it.

use bincode::{Decode, Encode};

use crate::{
    command::Side,
    ids::{AccountId, InstrumentId},
    instrument::{Instrument, Kind},
    prefetch::{prefetch, prefetch_whole},
    units::{Lots, Minor, Ppm, TickLots, Ticks, div_half_even},
    visits::visit,
};

mod saved;

/// Position of one account in one contract, open orders included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[repr(align(64))]
pub struct Position {
    /// Whose.
    pub account: AccountId,
    /// In what.
    pub instrument: InstrumentId,
    /// Positive = long hashrate.
    pub net: Lots,
    /// Signed cost of the open lots.
    pub cost: TickLots,
    /// Forward: result of closed lots, not yet settled.
    pub realised: TickLots,
    /// Forward: what daily marks have posted. Spot: nothing.
    pub settled: Minor,
    /// Spot: what is due at delivery; positive = this account pays.
    pub owed: Minor,
    /// Lots of open buys.
    pub open_buy: Lots,
    /// Lots of open sells.
    pub open_sell: Lots,
    /// Open lots of reduce-only buys.
    pub reduce_buy: Lots,
    /// Open lots of reduce-only sells.
    pub reduce_sell: Lots,
    /// Money held for open buys.
    pub buy_holds: Minor,
    /// Money held for open sells.
    pub sell_holds: Minor,
    /// Open orders.
    pub orders: u32,
    /// What is held for all of it.
    pub requirement: Minor,
    /// Forward: unsettled result at the mark.
    pub result: Minor,
    /// Lots of `open_buy` that are legs of calendar spreads.
    pub spread_buy: Lots,
    /// Lots of `open_sell` that are legs of calendar spreads.
    pub spread_sell: Lots,
    /// In a family: initial margin of what no fill of the open orders can take away, negative for a short.
    pub sure: Minor,
}

impl Position {
    pub(crate) fn new(account: AccountId, instrument: InstrumentId) -> Self {
        Self {
            account,
            instrument,
            net: Lots::ZERO,
            cost: TickLots::ZERO,
            realised: TickLots::ZERO,
            settled: Minor::ZERO,
            owed: Minor::ZERO,
            open_buy: Lots::ZERO,
            open_sell: Lots::ZERO,
            reduce_buy: Lots::ZERO,
            reduce_sell: Lots::ZERO,
            buy_holds: Minor::ZERO,
            sell_holds: Minor::ZERO,
            orders: 0,
            requirement: Minor::ZERO,
            result: Minor::ZERO,
            spread_buy: Lots::ZERO,
            spread_sell: Lots::ZERO,
            sure: Minor::ZERO,
        }
    }

    /// Books a fill (MONEY-06): first closes at average cost, then opens.
    pub(crate) fn trade(&mut self, side: Side, price: Ticks, lots: Lots) {
        let signed = side.signed(lots);
        let closes = self.net.0.signum() * signed.0.signum() < 0;
        let closed = if closes {
            self.net.0.abs().min(lots.0)
        } else {
            0
        };
        if closed > 0 {
            let held = i128::from(self.net.0.abs());
            let removed = if i128::from(closed) == held {
                self.cost
            } else {
                TickLots(div_half_even(self.cost.0 * i128::from(closed), held))
            };
            let signed_closed = side.signed(Lots(closed));
            self.realised -= price.times(signed_closed) + removed;
            self.cost -= removed;
        }
        self.cost += price.times(signed - side.signed(Lots(closed)));
        self.net += signed;
    }

    /// Takes over lots with their cost and unsettled result: closes what is opposite, each side at its
    /// average cost, then adds the rest.
    pub(crate) fn join(&mut self, net: Lots, cost: TickLots, realised: TickLots) {
        let opposite = self.net.0.signum() * net.0.signum() < 0;
        let closed = if opposite {
            self.net.0.abs().min(net.0.abs())
        } else {
            0
        };
        let share = |cost: TickLots, net: Lots| match i128::from(net.0.abs()) {
            held if held == i128::from(closed) => cost,
            held => TickLots(div_half_even(cost.0 * i128::from(closed), held)),
        };
        let removed = match closed {
            0 => TickLots::ZERO,
            _ => share(self.cost, self.net) + share(cost, net),
        };
        self.realised += realised - removed;
        self.cost += cost - removed;
        self.net += net;
    }

    /// Counts an order's lots in (or out, if negative), with their hold.
    pub(crate) fn count_open(&mut self, side: Side, reduce_only: bool, lots: Lots, hold: Minor) {
        let (open, reduce, holds) = match side {
            Side::Buy => (
                &mut self.open_buy,
                &mut self.reduce_buy,
                &mut self.buy_holds,
            ),
            Side::Sell => (
                &mut self.open_sell,
                &mut self.reduce_sell,
                &mut self.sell_holds,
            ),
        };
        *open += lots;
        *holds += hold;
        if reduce_only {
            *reduce += lots;
        }
    }

    /// Nothing open, nothing owed, nothing unsettled.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.orders == 0
            && self.net == Lots::ZERO
            && self.owed == Minor::ZERO
            && self.realised == TickLots::ZERO
    }

    /// Lots of open orders of a side.
    #[must_use]
    pub fn open(&self, side: Side) -> Lots {
        match side {
            Side::Buy => self.open_buy,
            Side::Sell => self.open_sell,
        }
    }

    /// Open lots of reduce-only orders of a side.
    #[must_use]
    pub fn reducing(&self, side: Side) -> Lots {
        match side {
            Side::Buy => self.reduce_buy,
            Side::Sell => self.reduce_sell,
        }
    }

    /// Whether any reduce-only order is open.
    #[must_use]
    pub fn has_reducing(&self) -> bool {
        self.reduce_buy != Lots::ZERO || self.reduce_sell != Lots::ZERO
    }

    /// Lots that orders of a side may close.
    #[must_use]
    pub fn closable(&self, side: Side) -> Lots {
        match side {
            Side::Buy => Lots((-self.net.0).max(0)),
            Side::Sell => Lots(self.net.0.max(0)),
        }
    }

    /// Unsettled result of a forward at a mark (MONEY-06).
    #[must_use]
    pub fn result_at(&self, instrument: &Instrument) -> Minor {
        match instrument.terms.kind {
            Kind::SpotBlock | Kind::CalendarSpread | Kind::Strip => Minor::ZERO,
            Kind::Forward => {
                let at_mark = instrument.mark.times(self.net);
                instrument
                    .tick_value
                    .money(self.realised + at_mark - self.cost)
            }
        }
    }

    /// Result of the open lots alone, at the mark.
    #[must_use]
    pub fn unrealised_at(&self, instrument: &Instrument) -> Minor {
        instrument
            .tick_value
            .money(instrument.mark.times(self.net) - self.cost)
    }

    /// Result of closed lots and settled marks.
    #[must_use]
    pub fn realised_total(&self, instrument: &Instrument) -> Minor {
        self.settled + instrument.tick_value.money(self.realised)
    }

    /// What must be held (MONEY-08).
    #[must_use]
    pub fn requirement_in(&self, instrument: &Instrument) -> Minor {
        self.requirement_with(instrument, Side::Buy, Lots::ZERO, Minor::ZERO)
    }

    /// What would have to be held with so many more open lots of a side and their hold.
    #[must_use]
    pub fn requirement_with(
        &self,
        instrument: &Instrument,
        side: Side,
        lots: Lots,
        hold: Minor,
    ) -> Minor {
        let one_lot = &instrument.at_mark;
        let (mut long, mut short) = (self.net + self.open_buy, self.open_sell - self.net);
        let (mut buy_holds, mut sell_holds) = (self.buy_holds, self.sell_holds);
        match side {
            Side::Buy => (long, buy_holds) = (long + lots, buy_holds + hold),
            Side::Sell => (short, sell_holds) = (short + lots, sell_holds + hold),
        }
        let (worst_long, worst_short) = (long.max(Lots::ZERO), short.max(Lots::ZERO));
        match instrument.terms.kind {
            // Its open orders count in the positions of its legs.
            Kind::CalendarSpread | Kind::Strip => Minor::ZERO,
            Kind::SpotBlock => {
                let bond = one_lot.bond.for_lots(worst_short);
                self.owed.max(Minor::ZERO) + buy_holds + sell_holds + bond
            }
            Kind::Forward => {
                let mut long = one_lot.initial_buy.for_lots(worst_long) + buy_holds;
                let mut short = one_lot.initial_sell.for_lots(worst_short) + sell_holds;
                if one_lot.concentration != Minor::ZERO {
                    long += instrument.surcharge(worst_long);
                    short += instrument.surcharge(worst_short);
                }
                long.max(short)
            }
        }
    }

    /// Lots that no fill of the open orders can take away, with so many more on a side: what stands against
    /// an opposite position in another maturity (MARGIN-05). Negative for a short. Orders of calendar spreads
    /// take nothing away: what they take from one leg, they take from the other or put on it.
    #[must_use]
    pub fn sure_lots(&self, side: Side, lots: Lots) -> Lots {
        let more = |of: Side| if of == side { lots } else { Lots::ZERO };
        if self.net.0 > 0 {
            let closing = self.open_sell - self.spread_sell + more(Side::Sell);
            (self.net - closing).max(Lots::ZERO)
        } else {
            let closing = self.open_buy - self.spread_buy + more(Side::Buy);
            (self.net + closing).min(Lots::ZERO)
        }
    }

    /// Their initial margin at the mark, negative for a short; nothing outside of a family.
    #[must_use]
    pub fn sure_in(&self, instrument: &Instrument, side: Side, lots: Lots) -> Minor {
        if instrument.family == 0 {
            return Minor::ZERO;
        }
        let sure = self.sure_lots(side, lots);
        instrument.at_mark.initial(sure).for_lots(sure)
    }

    /// Counts lots of a calendar spread's order in one of its legs (out, if negative).
    pub(crate) fn count_spread(&mut self, side: Side, lots: Lots) {
        match side {
            Side::Buy => self.spread_buy += lots,
            Side::Sell => self.spread_sell += lots,
        }
    }
}

/// Money to hold for one open lot of an order (MONEY-07). `fee` is the larger rate it may be charged.
#[must_use]
pub fn hold_of_one_lot(instrument: &Instrument, side: Side, price: Ticks, fee: Ppm) -> Minor {
    let value = instrument.tick_value;
    let (_, band_high) = instrument.at_mark.band;
    match (instrument.terms.kind, side) {
        // Held in the positions of its legs (COMBO-05).
        (Kind::CalendarSpread | Kind::Strip, _) => Minor::ZERO,
        (Kind::SpotBlock, Side::Buy) => {
            value.lot_up(price) + fee.of_rounded_up(value.lot_up(price))
        }
        (Kind::Forward, Side::Buy) => {
            value.lot_up(Ticks(price.0.saturating_sub(instrument.mark.0)))
                + fee.of_rounded_up(value.lot_up(price))
        }
        (Kind::SpotBlock, Side::Sell) => fee.of_rounded_up(value.lot_up(price.max(band_high))),
        (Kind::Forward, Side::Sell) => {
            value.lot_up(Ticks(instrument.mark.0.saturating_sub(price.0)))
                + fee.of_rounded_up(value.lot_up(price.max(band_high)))
        }
    }
}

/// Index of "no position" in an account's row.
const NONE: u32 = u32::MAX;

/// All positions ever opened, findable by account and contract, walkable by contract.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    table: Vec<Position>,
    /// Per account, per contract: place in the table.
    by_account: Vec<Vec<u32>>,
    /// Per contract: places in the table, in order of first use.
    by_instrument: Vec<Vec<u32>>,
    touched: Vec<u32>,
    /// Per place: stands in `touched`.
    marks: Vec<bool>,
}

impl Positions {
    /// Makes room for so many changes of one command.
    pub(crate) fn reserve(&mut self, changes: usize) {
        self.touched.reserve(changes);
    }

    pub(crate) fn open_account(&mut self) {
        self.by_account.push(Vec::new());
    }

    pub(crate) fn add_instrument(&mut self) {
        self.by_instrument.push(Vec::new());
    }

    fn place(&self, account: AccountId, instrument: InstrumentId) -> Option<u32> {
        visit();
        let row = self.by_account.get(account.index()?)?;
        row.get(instrument.index()?)
            .copied()
            .filter(|place| *place != NONE)
    }

    /// The position, if there ever was one.
    #[must_use]
    pub fn get(&self, account: AccountId, instrument: InstrumentId) -> Option<&Position> {
        self.place(account, instrument)
            .map(|place| &self.table[place as usize])
    }

    /// The position, or an empty one that is not stored.
    #[must_use]
    pub fn view(&self, account: AccountId, instrument: InstrumentId) -> Position {
        self.get(account, instrument)
            .copied()
            .unwrap_or_else(|| Position::new(account, instrument))
    }

    /// Asks for the list of an account's positions.
    pub(crate) fn ask_row(&self, account: AccountId) {
        if let Some(row) = account.index().and_then(|row| self.by_account.get(row)) {
            prefetch(row);
        }
    }

    /// Asks for the place of a position.
    pub(crate) fn ask_place(&self, account: AccountId, instrument: InstrumentId) {
        let row = account.index().and_then(|row| self.by_account.get(row));
        if let Some((row, column)) = row.zip(instrument.index())
            && let Some(place) = row.get(column)
        {
            prefetch(place);
        }
    }

    /// Asks for a position.
    pub(crate) fn ask(&self, account: AccountId, instrument: InstrumentId) {
        if let Some(place) = self.place(account, instrument) {
            self.ask_at(place);
        }
    }

    /// Asks for the position in a place.
    pub(crate) fn ask_at(&self, place: u32) {
        if let Some(position) = self.table.get(place as usize) {
            prefetch_whole(position);
            prefetch(&self.marks[place as usize]);
        }
    }

    /// Where a position lies, made if needed.
    pub(crate) fn place_of(&mut self, account: AccountId, instrument: InstrumentId) -> u32 {
        self.place(account, instrument).unwrap_or_else(|| {
            let place = u32::try_from(self.table.len()).unwrap_or(NONE);
            self.table.push(Position::new(account, instrument));
            self.marks.push(false);
            let column = instrument.index().unwrap_or(0);
            let row = &mut self.by_account[account.index().unwrap_or(0)];
            if row.len() <= column {
                row.resize(column + 1, NONE);
            }
            row[column] = place;
            self.by_instrument[column].push(place);
            place
        })
    }

    /// The position to change, made if needed and noted as changed.
    pub(crate) fn change(&mut self, account: AccountId, instrument: InstrumentId) -> &mut Position {
        let place = self.place_of(account, instrument);
        self.change_at(place)
    }

    /// The position in a place.
    pub(crate) fn at(&self, place: u32) -> &Position {
        visit();
        &self.table[place as usize]
    }

    /// The position in a place to change, noted as changed.
    pub(crate) fn change_at(&mut self, place: u32) -> &mut Position {
        visit();
        if !std::mem::replace(&mut self.marks[place as usize], true) {
            self.touched.push(place);
        }
        &mut self.table[place as usize]
    }

    /// Positions of an account, by contract.
    pub fn of(&self, account: AccountId) -> impl Iterator<Item = &Position> {
        let row = account.index().and_then(|row| self.by_account.get(row));
        row.into_iter()
            .flatten()
            .inspect(|_| visit())
            .filter(|place| **place != NONE)
            .map(|place| self.at(*place))
    }

    /// Positions in a contract, in order of first use.
    pub fn in_instrument(&self, instrument: InstrumentId) -> impl Iterator<Item = &Position> {
        let column = instrument
            .index()
            .and_then(|column| self.by_instrument.get(column));
        column.into_iter().flatten().map(|place| self.at(*place))
    }

    /// Tells each position changed since the last call, in order of first change.
    pub(crate) fn take_touched(&mut self, mut tell: impl FnMut(&Position)) {
        for place in &self.touched {
            self.marks[*place as usize] = false;
            tell(&self.table[*place as usize]);
        }
        self.touched.clear();
    }
}
