//! Requests for quote (RFQ): a taker asks, makers answer with firm quotes, the taker accepts within a limit.
//!
//! A quote is firm but holds nothing, like a report of a block trade: what the maker has is looked at when it
//! quotes and again when the taker accepts. A quote that its maker cannot pay any more ends with the reason,
//! and the next best is taken.

mod accept;
pub(super) mod saved;

use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use super::{
    Exchange,
    admission::{Door, check_quantity},
    off_book::Part,
    timers::Timer,
};
use crate::{
    command::{
        CancelRfq, CreateRfq, Origin, PullQuote, QuotedSide, RfqTerms, RfqWish, Side, SubmitQuote,
    },
    event::{
        BlockState, Done, Event, RfqAccepted, RfqChange, RfqEvent, RfqQuoteChange, RfqQuoteState,
        RfqState,
    },
    ids::{AccountId, FirmId},
    limits,
    reason::{Field, Problem, Reason},
    units::{DAY, Lots, Nanos, Ticks},
};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rfq {
    /// Who asks.
    pub taker: AccountId,
    /// The taker's key.
    pub client_id: u64,
    /// What is wanted.
    pub terms: RfqTerms,
    /// Where it stands.
    pub state: RfqState,
    /// Packages traded.
    pub filled: Lots,
    /// Core time of the request.
    pub at: Nanos,
    /// Journal position of the request.
    pub seq: u64,
    /// Quotes by number, which is their age as well.
    pub quotes: BTreeMap<u64, RfqQuote>,
    /// Acceptances, oldest first.
    pub accepts: Vec<Acceptance>,
}

/// A maker's quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RfqQuote {
    /// Whose.
    pub maker: AccountId,
    /// The maker's key.
    pub client_id: u64,
    /// As it was quoted: bid, ask.
    pub quoted: [Option<QuotedSide>; 2],
    /// What is left: bid, ask.
    pub left: [Option<QuotedSide>; 2],
    /// Firm until then.
    pub valid_until: Nanos,
    /// Where it stands.
    pub state: RfqQuoteState,
    /// Journal position of the quote.
    pub seq: u64,
    /// Why it ended, where that was nobody's wish.
    pub problem: Option<Problem>,
}

/// What the taker accepted, so that the same word again has no second effect.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Acceptance {
    /// What was asked: side, limit, lots, several makers.
    pub wish: (Side, Ticks, Lots, bool),
    /// What it did.
    pub done: RfqAccepted,
    /// Journal position.
    pub seq: u64,
}

/// Requests of the last day, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Rfqs {
    rows: BTreeMap<u64, Rfq>,
    /// Requests so far.
    created: u64,
    /// Quotes so far.
    quoted: u64,
    /// By taker and key; follows from the rows.
    by_client_id: BTreeMap<(AccountId, u64), u64>,
}

impl Rfqs {
    /// Forgets requests older than a day from the oldest on. None that is open is that old.
    fn forget(&mut self, now: Nanos) {
        while let Some(oldest) = self.rows.first_entry() {
            let row = oldest.get();
            if row.state.is_open() || row.at.after(DAY) > now {
                return;
            }
            self.by_client_id.remove(&(row.taker, row.client_id));
            oldest.remove();
        }
    }

    fn of(&self, account: AccountId) -> impl Iterator<Item = &Rfq> {
        let keys = (account, 0)..=(account, u64::MAX);
        let numbers = self.by_client_id.range(keys);
        numbers.filter_map(|(_, number)| self.rows.get(number))
    }
}

impl Exchange {
    /// Requests that are remembered, by number.
    pub fn rfqs(&self) -> impl Iterator<Item = (u64, &Rfq)> {
        self.rfqs.rows.iter().map(|(number, row)| (*number, row))
    }

    /// One of them.
    #[must_use]
    pub fn rfq(&self, number: u64) -> Option<&Rfq> {
        self.rfqs.rows.get(&number)
    }

    /// Whether a firm is asked by a request of another.
    #[must_use]
    pub fn is_asked(&self, taker: AccountId, terms: &RfqTerms, firm: FirmId) -> bool {
        firm.is_set()
            && self.firm_of(taker) != firm
            && (terms.makers.is_empty() || terms.makers.contains(&firm))
    }

    pub(super) fn rfq_wish(&mut self, wish: &RfqWish, out: &mut Vec<Event>) {
        let origin = match wish {
            RfqWish::Create(create) => create.origin,
            RfqWish::Cancel(cancel) => cancel.origin,
            RfqWish::Quote(quote) => quote.origin,
            RfqWish::Pull(pull) => pull.origin,
            RfqWish::Accept(accept) => accept.origin,
        };
        if matches!(self.enter(&origin, out), Door::Shut) {
            return;
        }
        let known = match self.account(origin.account) {
            Some(_) => Ok(()),
            None => Err(Problem::about(Reason::NotFound, Field::Account)),
        };
        let may = self.check_deadline(&origin).and(known);
        let done = may.and_then(|()| match wish {
            RfqWish::Create(create) => self.create_rfq(create, out),
            RfqWish::Cancel(cancel) => self.cancel_rfq(cancel, out),
            RfqWish::Quote(quote) => self.submit_quote(quote, out),
            RfqWish::Pull(pull) => self.pull_quote(pull, out),
            RfqWish::Accept(accept) => self.accept_quote(accept, out),
        });
        match done {
            Ok(done) => out.push(Event::Done(done)),
            Err(problem) => self.refuse(&origin, problem, out),
        }
    }

    fn create_rfq(&mut self, create: &CreateRfq, out: &mut Vec<Event>) -> Result<Done, Problem> {
        let (taker, terms) = (create.origin.account, &create.terms);
        check_key(create.client_id)?;
        self.rfqs.forget(self.at);
        let known = self.rfqs.by_client_id.get(&(taker, create.client_id));
        if let Some((number, row)) = known.and_then(|at| self.rfqs.rows.get_key_value(at)) {
            if row.terms != *terms {
                return Err(Problem::about(Reason::RequestIdConflict, Field::Request));
            }
            return Ok(done(*number, row.seq));
        }
        self.check_trader(&create.origin, false)?;
        self.check_rfq_terms(self.firm_of(taker), terms)?;
        self.check_within(terms.expire, self.at.after(DAY))?;
        let rows = || self.rfqs.of(taker).take(limits::RFQS_OF_AN_ACCOUNT);
        check_count(rows().count(), limits::RFQS_OF_AN_ACCOUNT)?;
        let open = rows().filter(|row| row.state.is_open()).count();
        check_count(open, limits::RFQS_OPEN)?;
        self.rfqs.created += 1;
        let number = self.rfqs.created;
        let row = Rfq {
            taker,
            client_id: create.client_id,
            terms: terms.clone(),
            state: RfqState::Open,
            filled: Lots::ZERO,
            at: self.at,
            seq: self.seq,
            quotes: BTreeMap::new(),
            accepts: Vec::new(),
        };
        self.rfqs.rows.insert(number, row);
        let key = (taker, create.client_id);
        self.rfqs.by_client_id.insert(key, number);
        self.timers.set(terms.expire, Timer::Rfq(number));
        self.tell_rfq(number, out);
        Ok(done(number, 0))
    }

    fn check_rfq_terms(&self, firm: FirmId, terms: &RfqTerms) -> Result<(), Problem> {
        let legs = &terms.legs;
        check_size(legs.len(), limits::RFQ_LEGS, Field::Legs)?;
        let bad = Problem::about(Reason::InvalidField, Field::Legs);
        if !legs.iter().any(|leg| leg.ratio == 1) {
            return Err(bad);
        }
        for (place, leg) in legs.iter().enumerate() {
            let contract = self.check_off_book(leg.instrument)?;
            if !(1..=limits::RFQ_RATIO).contains(&leg.ratio) {
                let (most, actual) = (limits::RFQ_RATIO, leg.ratio);
                return Err(Problem::limit(
                    Reason::InvalidField,
                    Field::Legs,
                    most,
                    actual,
                ));
            }
            let twice = legs[..place]
                .iter()
                .any(|other| other.instrument == leg.instrument);
            let first = self.contract(legs[0].instrument).terms.price_asset;
            if twice || contract.terms.price_asset != first {
                return Err(bad);
            }
            check_quantity(contract, times(terms.lots, leg.ratio)?)?;
        }
        if !(0..=terms.lots.0).contains(&terms.min_lots.0) {
            let (most, actual) = (terms.lots.0, terms.min_lots.0);
            let reason = Reason::QuantityOutOfRange;
            return Err(Problem::limit(reason, Field::MinFill, most, actual));
        }
        if !terms.makers.is_empty() {
            check_size(terms.makers.len(), limits::RFQ_MAKERS, Field::Firm)?;
        }
        for maker in &terms.makers {
            if maker.index().is_none_or(|place| place >= self.firms.len()) {
                return Err(Problem::about(Reason::UnknownCounterparty, Field::Firm));
            }
            if *maker == firm {
                return Err(Problem::about(Reason::SelfTradePrevented, Field::Firm));
            }
        }
        Ok(())
    }

    /// A time that lies ahead, and not beyond the latest.
    fn check_within(&self, time: Nanos, latest: Nanos) -> Result<(), Problem> {
        self.check_expire(time)?;
        if time > latest {
            let reason = Reason::ExpireTimeInvalid;
            return Err(Problem::limit(reason, Field::Expire, latest.0, time.0));
        }
        Ok(())
    }

    /// What a trade of packages at a price is in each leg, as who does `side` sees it. Each leg trades at its
    /// mark, except the last one with ratio 1: it takes the difference, so that Σ of price × ratio, sold legs
    /// negative, is the package's price exactly (RFQ-05; a calendar spread does the same, COMBO-03).
    pub(super) fn parts_of(
        &self,
        terms: &RfqTerms,
        (side, price, lots): (Side, Ticks, Lots),
    ) -> Result<Vec<Part>, Problem> {
        if price.0.abs() > limits::PRICE_TICKS {
            let (most, actual) = (limits::PRICE_TICKS, price.0);
            let reason = Reason::InvalidField;
            return Err(Problem::limit(reason, Field::Price, most, actual));
        }
        let sign = |side: Side| side.signed(Lots(1)).0;
        let rest = terms.legs.iter().rposition(|leg| leg.ratio == 1);
        let mut left = price.0;
        for (place, leg) in terms.legs.iter().enumerate() {
            if Some(place) != rest {
                left -= sign(leg.side) * leg.ratio * self.contract(leg.instrument).mark.0;
            }
        }
        let mut parts = Vec::with_capacity(terms.legs.len());
        for (place, leg) in terms.legs.iter().enumerate() {
            let price = if Some(place) == rest {
                Ticks(sign(leg.side) * left)
            } else {
                self.contract(leg.instrument).mark
            };
            parts.push(Part {
                instrument: leg.instrument,
                side: match side {
                    Side::Buy => leg.side,
                    Side::Sell => leg.side.opposite(),
                },
                price,
                lots: times(lots, leg.ratio)?,
            });
        }
        Ok(parts)
    }

    fn submit_quote(&mut self, quote: &SubmitQuote, out: &mut Vec<Event>) -> Result<Done, Problem> {
        let maker = quote.origin.account;
        check_key(quote.client_id)?;
        let row = self.asked_of(quote.rfq, maker)?;
        let quoted = [quote.bid, quote.ask];
        let mut before = row.quotes.iter().filter(|(_, row)| row.maker == maker);
        if let Some((number, row)) = before
            .clone()
            .find(|(_, row)| row.client_id == quote.client_id)
        {
            if row.quoted != quoted || row.valid_until != quote.valid_until {
                return Err(Problem::about(Reason::RequestIdConflict, Field::Request));
            }
            return Ok(done(*number, row.seq));
        }
        if !self.takes_part(row) {
            return Err(closed());
        }
        self.check_trader(&quote.origin, false)?;
        let left = row.terms.lots - row.filled;
        match quoted {
            [None, None] => return Err(Problem::about(Reason::InvalidField, Field::Price)),
            [Some(bid), Some(ask)] if bid.price >= ask.price => {
                let (limit, actual) = (ask.price.0, bid.price.0);
                let reason = Reason::QuoteCrossed;
                return Err(Problem::limit(reason, Field::Price, limit, actual));
            }
            _ => {}
        }
        self.check_within(quote.valid_until, row.terms.expire)?;
        let count = before.clone().count();
        check_count(count, limits::RFQ_QUOTES_OF_A_MAKER)?;
        for (quoted, side) in quoted.iter().zip([Side::Buy, Side::Sell]) {
            let Some(quoted) = quoted else { continue };
            check_lots(quoted.lots, Lots(1), left)?;
            let parts = self.parts_of(&row.terms, (side, quoted.price, quoted.lots))?;
            for part in &parts {
                self.check_part(part)?;
            }
            self.check_party(maker, &parts)?;
        }
        let live = before.find(|(_, row)| row.state == RfqQuoteState::Live);
        if let Some(number) = live.map(|(number, _)| *number) {
            self.end_quote((quote.rfq, number), RfqQuoteState::Replaced, None, out);
        }
        self.rfqs.quoted += 1;
        let number = self.rfqs.quoted;
        let new = RfqQuote {
            maker,
            client_id: quote.client_id,
            quoted,
            left: quoted,
            valid_until: quote.valid_until,
            state: RfqQuoteState::Live,
            seq: self.seq,
            problem: None,
        };
        if let Some(row) = self.rfqs.rows.get_mut(&quote.rfq) {
            row.quotes.insert(number, new);
        }
        let timer = Timer::RfqQuote(quote.rfq, number);
        self.timers.set(quote.valid_until, timer);
        self.tell_quote((quote.rfq, number), out);
        Ok(done(number, 0))
    }

    /// A request that asks an account's firm; what does not ask it does not exist for it.
    fn asked_of(&self, number: u64, maker: AccountId) -> Result<&Rfq, Problem> {
        let firm = self.firm_of(maker);
        let row = self.rfqs.rows.get(&number);
        row.filter(|row| self.is_asked(row.taker, &row.terms, firm))
            .ok_or(unknown())
    }

    /// Whether quotes and acceptances still count. A timer that is due runs in a Tick of its own, which may
    /// come after this.
    fn takes_part(&self, row: &Rfq) -> bool {
        row.state.is_open() && row.terms.expire > self.at
    }

    fn pull_quote(&mut self, pull: &PullQuote, out: &mut Vec<Event>) -> Result<Done, Problem> {
        let row = self.rfqs.rows.get(&pull.rfq);
        let row = row.and_then(|row| row.quotes.get(&pull.quote));
        let row = row.filter(|row| row.maker == pull.origin.account);
        let row = row.ok_or(unknown())?;
        match row.state {
            RfqQuoteState::Live => {}
            RfqQuoteState::Cancelled if row.problem.is_none() => {
                return Ok(done(pull.quote, row.seq));
            }
            _ => return Err(closed()),
        }
        let id = (pull.rfq, pull.quote);
        self.end_quote(id, RfqQuoteState::Cancelled, None, out);
        Ok(done(pull.quote, 0))
    }

    fn cancel_rfq(&mut self, cancel: &CancelRfq, out: &mut Vec<Event>) -> Result<Done, Problem> {
        let row = self.own_rfq(cancel.rfq, cancel.origin.account)?;
        if row.state == RfqState::Cancelled {
            return Ok(done(cancel.rfq, row.seq));
        }
        if !row.state.is_open() {
            return Err(closed());
        }
        self.close_rfq(cancel.rfq, RfqState::Cancelled, out);
        Ok(done(cancel.rfq, 0))
    }

    fn own_rfq(&self, number: u64, taker: AccountId) -> Result<&Rfq, Problem> {
        let row = self.rfqs.rows.get(&number);
        row.filter(|row| row.taker == taker).ok_or(unknown())
    }

    /// Its time is over.
    pub(super) fn expire_rfq(&mut self, number: u64, out: &mut Vec<Event>) {
        self.close_rfq(number, RfqState::Expired, out);
    }

    /// Its time is over.
    pub(super) fn expire_quote(&mut self, id: (u64, u64), out: &mut Vec<Event>) {
        self.end_quote(id, RfqQuoteState::Expired, None, out);
    }

    /// Ends a request and the quotes that live on it.
    fn close_rfq(&mut self, number: u64, state: RfqState, out: &mut Vec<Event>) {
        let Some(row) = self.rfqs.rows.get_mut(&number) else {
            return;
        };
        row.state = state;
        let expire = row.terms.expire;
        let live = row.quotes.iter();
        let live = live.filter(|(_, quote)| quote.state == RfqQuoteState::Live);
        let live: Vec<u64> = live.map(|(quote, _)| *quote).collect();
        self.timers.clear(expire, Timer::Rfq(number));
        let (end, problem) = match state {
            RfqState::Expired => (RfqQuoteState::Expired, None),
            _ => (RfqQuoteState::Cancelled, Some(closed())),
        };
        for quote in live {
            self.end_quote((number, quote), end, problem, out);
        }
        self.tell_rfq(number, out);
    }

    fn end_quote(
        &mut self,
        (rfq, number): (u64, u64),
        state: RfqQuoteState,
        problem: Option<Problem>,
        out: &mut Vec<Event>,
    ) {
        let row = self.rfqs.rows.get_mut(&rfq);
        let Some(quote) = row.and_then(|row| row.quotes.get_mut(&number)) else {
            return;
        };
        (quote.state, quote.problem) = (state, problem);
        let until = quote.valid_until;
        self.timers.clear(until, Timer::RfqQuote(rfq, number));
        self.tell_quote((rfq, number), out);
    }

    /// An account leaves by the chain: its open reports, its requests and its quotes end (EXIT-05).
    pub(super) fn leave_off_book(&mut self, account: AccountId, out: &mut Vec<Event>) {
        let reports = self.blocks();
        let own = reports.filter(|(_, row)| row.reporter == account);
        let open = own.filter(|(_, row)| row.state == BlockState::Reported);
        let open: Vec<(u64, Nanos)> = open
            .map(|(number, row)| (number, row.terms.affirm_by))
            .collect();
        for (number, by) in open {
            self.timers.clear(by, Timer::Block(number));
            self.expire_block(number, out);
        }
        let open = self.rfqs.of(account).filter(|row| row.state.is_open());
        let keys: Vec<u64> = open.map(|row| row.client_id).collect();
        for key in keys {
            if let Some(number) = self.rfqs.by_client_id.get(&(account, key)).copied() {
                self.close_rfq(number, RfqState::Cancelled, out);
            }
        }
        let mut own = Vec::new();
        for (number, row) in self.rfqs() {
            let quotes = row.quotes.iter();
            let live = quotes.filter(|(_, quote)| quote.state == RfqQuoteState::Live);
            let live = live.filter(|(_, quote)| quote.maker == account);
            own.extend(live.map(|(quote, _)| (number, *quote)));
        }
        for id in own {
            let why = Problem::about(Reason::AccountNotActive, Field::Account);
            self.end_quote(id, RfqQuoteState::Cancelled, Some(why), out);
        }
    }

    fn tell_rfq(&self, number: u64, out: &mut Vec<Event>) {
        let Some(row) = self.rfqs.rows.get(&number) else {
            return;
        };
        out.push(Event::Rfq(Box::new(RfqEvent::Request(RfqChange {
            rfq: number,
            state: row.state,
            taker: row.taker,
            firm: self.firm_of(row.taker),
            client_id: row.client_id,
            terms: row.terms.clone(),
            filled: row.filled,
        }))));
    }

    fn tell_quote(&self, (rfq, number): (u64, u64), out: &mut Vec<Event>) {
        let Some(row) = self.rfqs.rows.get(&rfq) else {
            return;
        };
        let Some(quote) = row.quotes.get(&number) else {
            return;
        };
        out.push(Event::Rfq(Box::new(RfqEvent::Quote(
            quote.change((rfq, number), row.taker),
        ))));
    }
}

impl RfqQuote {
    /// As it is told.
    #[must_use]
    pub fn change(&self, (rfq, quote): (u64, u64), taker: AccountId) -> RfqQuoteChange {
        RfqQuoteChange {
            rfq,
            taker,
            quote,
            state: self.state,
            maker: self.maker,
            client_id: self.client_id,
            bid: self.left[0],
            ask: self.left[1],
            valid_until: self.valid_until,
            problem: self.problem,
        }
    }
}

fn check_key(key: u64) -> Result<(), Problem> {
    match key {
        0 => Err(Problem::about(Reason::InvalidField, Field::Request)),
        _ => Ok(()),
    }
}

/// Whether one more finds room.
fn check_count(count: usize, room: usize) -> Result<(), Problem> {
    if count < room {
        return Ok(());
    }
    let room = i64::try_from(room).unwrap_or(i64::MAX);
    let reason = Reason::TooManyItems;
    Err(Problem::limit(reason, Field::Request, room, room + 1))
}

/// Whether a list has 1 to so many items.
fn check_size(count: usize, most: usize, field: Field) -> Result<(), Problem> {
    if (1..=most).contains(&count) {
        return Ok(());
    }
    let wide = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let reason = Reason::TooManyItems;
    Err(Problem::limit(reason, field, wide(most), wide(count)))
}

fn check_lots(lots: Lots, least: Lots, most: Lots) -> Result<(), Problem> {
    if (least..=most).contains(&lots) {
        return Ok(());
    }
    let limit = if lots < least { least } else { most };
    Err(Problem::limit(
        Reason::QuantityOutOfRange,
        Field::Quantity,
        limit.0,
        lots.0,
    ))
}

fn times(lots: Lots, ratio: i64) -> Result<Lots, Problem> {
    let many = lots.0.checked_mul(ratio).map(Lots);
    many.ok_or(Problem::about(Reason::QuantityOutOfRange, Field::Quantity))
}

fn unknown() -> Problem {
    Problem::about(Reason::UnknownRfq, Field::Request)
}

fn closed() -> Problem {
    Problem::about(Reason::RfqClosed, Field::Request)
}

fn done(object: u64, first_seq: u64) -> Done {
    Done {
        object,
        count: 1,
        cancelled: 0,
        first_seq,
    }
}

/// An account as if it gave a command itself.
fn by(account: AccountId) -> Origin {
    Origin {
        account,
        ..Origin::default()
    }
}
