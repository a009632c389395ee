//! Requests for quote: what callers ask, in the core's words, and what each of them may see of the rest.

use engine::{
    command::{
        AcceptQuote, CancelRfq, Command, CreateRfq, PullQuote, QuotedSide, RfqLeg, RfqTerms,
        RfqWish, Side, SubmitQuote,
    },
    event::{Event, RfqAccepted, RfqChange, RfqEvent, RfqQuoteChange, RfqQuoteState, RfqState},
    exchange::{Exchange, Rfq},
    ids::{AccountId, FirmId, InstrumentId},
    reason::{Field, Reason},
    units::{Lots, Nanos, Ticks},
};
use proto::{common::v1::Side as WireSide, rfq::v1 as wire};
use tonic::Status;

use super::{Service, done, origin};
use crate::{
    bulletin::Answer,
    desk::{refused, wide},
    refusal,
    translate::{market::side, reference::number},
};

/// What an account is to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Taker,
    Maker,
}

/// What an account is to a request; `None` = it does not exist for it.
pub(super) fn role(
    state: &Exchange,
    account: AccountId,
    (taker, terms): (AccountId, &RfqTerms),
) -> Option<Role> {
    if account == taker {
        return Some(Role::Taker);
    }
    let firm = state.account(account)?.firm;
    let asked = state.is_asked(taker, terms, firm);
    asked.then_some(Role::Maker)
}

fn id(number: i64) -> u64 {
    number.max(0).unsigned_abs()
}

fn wished_side(wished: i32) -> Result<Option<Side>, Status> {
    match WireSide::try_from(wished) {
        Ok(WireSide::Unspecified) => Ok(None),
        Ok(WireSide::Buy) => Ok(Some(Side::Buy)),
        Ok(WireSide::Sell) => Ok(Some(Side::Sell)),
        Err(_) => Err(refusal::invalid("side", "BUY, SELL or unspecified")),
    }
}

fn needed_side(field: &str, wished: i32) -> Result<Side, Status> {
    let known = wished_side(wished).ok().flatten();
    known.ok_or_else(|| refusal::invalid(field, "BUY or SELL"))
}

fn quoted(field: &str, (price, lots): (Option<i64>, i64)) -> Result<Option<QuotedSide>, Status> {
    match price {
        None if lots != 0 => Err(refusal::invalid(field, "lots without a price")),
        None => Ok(None),
        Some(price) => Ok(Some(QuotedSide {
            price: Ticks(price),
            lots: Lots(lots),
        })),
    }
}

/// A request as an account in this role may see it. Best prices are the taker's, and known where the whole
/// request is at hand; how many quoted is nobody else's business either.
pub(super) fn rfq_words(
    state: &Exchange,
    change: &RfqChange,
    role: Role,
    row: Option<&Rfq>,
) -> wire::Rfq {
    let is = match change.state {
        RfqState::Open => wire::RfqState::Open,
        RfqState::PartlyFilled => wire::RfqState::PartlyFilled,
        RfqState::Filled => wire::RfqState::Filled,
        RfqState::Cancelled => wire::RfqState::Cancelled,
        RfqState::Expired => wire::RfqState::Expired,
    };
    let terms = &change.terms;
    let own = role == Role::Taker;
    let place = change.firm.index().filter(|_| own || terms.disclosed);
    let firm = place.and_then(|at| state.firms().get(at));
    let quotes = row.filter(|_| own).into_iter();
    let quotes = quotes.flat_map(|row| row.quotes.values());
    let live = quotes.filter(|quote| quote.state == RfqQuoteState::Live);
    let prices = |at: usize| {
        let sides = live.clone().filter_map(move |quote| quote.left[at]);
        sides.map(|side| side.price.0)
    };
    let legs = terms.legs.iter().map(|leg| wire::RfqLeg {
        instrument_id: leg.instrument.0.cast_signed(),
        side: side(leg.side),
        ratio: i32::try_from(leg.ratio).unwrap_or(i32::MAX),
    });
    wire::Rfq {
        rfq_id: wide(change.rfq),
        state: is.into(),
        legs: legs.collect(),
        lots: terms.lots.0,
        filled_lots: change.filled.0,
        min_lots: terms.min_lots.0,
        side: terms.side.map_or(0, side),
        taker_firm_code: firm.map_or_else(String::new, |row| row.details.code.clone()),
        expire_unix_nanos: terms.expire.0,
        best_bid_ticks: prices(0).max(),
        best_ask_ticks: prices(1).min(),
        quote_count: i32::try_from(live.clone().count()).unwrap_or(i32::MAX),
        client_rfq_id: if own { change.client_id } else { 0 },
    }
}

/// A quote as its taker or its maker sees it.
pub(super) fn quote_words(change: &RfqQuoteChange, account: AccountId) -> wire::Quote {
    let is = match change.state {
        RfqQuoteState::Live => wire::QuoteState::Live,
        RfqQuoteState::Traded => wire::QuoteState::Traded,
        RfqQuoteState::Replaced => wire::QuoteState::Replaced,
        RfqQuoteState::Cancelled => wire::QuoteState::Cancelled,
        RfqQuoteState::Expired => wire::QuoteState::Expired,
    };
    let own = change.maker == account;
    // Why a maker cannot keep its quote is the maker's business: the taker hears that it cannot.
    let problem = change.problem.as_ref().map(|why| match own {
        true => refusal::problem(why),
        false => refusal::problem(&engine::reason::Problem::new(Reason::QuoteWithdrawn)),
    });
    wire::Quote {
        quote_id: wide(change.quote),
        rfq_id: wide(change.rfq),
        state: is.into(),
        bid_ticks: change.bid.map(|bid| bid.price.0),
        bid_lots: change.bid.map_or(0, |bid| bid.lots.0),
        ask_ticks: change.ask.map(|ask| ask.price.0),
        ask_lots: change.ask.map_or(0, |ask| ask.lots.0),
        valid_until_unix_nanos: change.valid_until.0,
        client_quote_id: if own { change.client_id } else { 0 },
        problem,
    }
}

/// A remembered request as it is told.
pub(super) fn change(state: &Exchange, number: u64, row: &Rfq) -> RfqChange {
    let firm = state.account(row.taker).map(|account| account.firm);
    RfqChange {
        rfq: number,
        state: row.state,
        taker: row.taker,
        firm: firm.unwrap_or_default(),
        client_id: row.client_id,
        terms: row.terms.clone(),
        filled: row.filled,
    }
}

impl Service {
    async fn wish(&self, wish: RfqWish) -> Result<Answer, Status> {
        let answer = self.desk.ask(Command::Rfq(Box::new(wish))).await?;
        match refused(&answer) {
            Some(problem) => Err(refusal::status(&problem)),
            None => Ok(answer),
        }
    }

    pub(super) async fn create(
        &self,
        account: AccountId,
        request: wire::CreateRfqRequest,
    ) -> Result<wire::CreateRfqResponse, Status> {
        if !request.allocations.is_empty() {
            return Err(refusal::unimplemented("allocations (account_id gets all)"));
        }
        let mut legs = Vec::with_capacity(request.legs.len());
        for (place, leg) in request.legs.iter().enumerate() {
            legs.push(RfqLeg {
                instrument: InstrumentId(number(leg.instrument_id)),
                side: needed_side(&format!("legs[{place}].side"), leg.side)?,
                ratio: leg.ratio.into(),
            });
        }
        let makers: Option<Vec<FirmId>> = self.desk.state(|state| {
            let firm = |code: &String| {
                let mut firms = state.firms().iter();
                firms
                    .find(|row| row.details.code == *code)
                    .map(|row| row.id)
            };
            request.maker_firm_codes.iter().map(firm).collect()
        });
        let create = CreateRfq {
            origin: origin(account),
            client_id: request.client_rfq_id,
            terms: RfqTerms {
                legs,
                lots: Lots(request.lots),
                min_lots: Lots(request.min_lots),
                side: wished_side(request.side)?,
                disclosed: request.disclosed,
                makers: makers
                    .ok_or_else(|| refusal::about(Reason::UnknownCounterparty, Field::Firm))?,
                expire: Nanos(request.expire_unix_nanos),
            },
        };
        let answer = self.wish(RfqWish::Create(create)).await?;
        let (rfq, seq) = done(&answer);
        Ok(wire::CreateRfqResponse {
            rfq_id: wide(rfq),
            journal_seq: wide(seq),
        })
    }

    pub(super) async fn cancel(
        &self,
        account: AccountId,
        request: wire::CancelRfqRequest,
    ) -> Result<wire::CancelRfqResponse, Status> {
        let cancel = CancelRfq {
            origin: origin(account),
            rfq: id(request.rfq_id),
        };
        let answer = self.wish(RfqWish::Cancel(cancel)).await?;
        Ok(wire::CancelRfqResponse {
            journal_seq: wide(done(&answer).1),
        })
    }

    pub(super) async fn quote(
        &self,
        account: AccountId,
        request: wire::SubmitQuoteRequest,
    ) -> Result<wire::SubmitQuoteResponse, Status> {
        if request.mmp_group != 0 {
            return Err(refusal::unimplemented("mmp_group on a request for quote"));
        }
        let quote = SubmitQuote {
            origin: origin(account),
            rfq: id(request.rfq_id),
            client_id: request.client_quote_id,
            bid: quoted("bid_lots", (request.bid_ticks, request.bid_lots))?,
            ask: quoted("ask_lots", (request.ask_ticks, request.ask_lots))?,
            valid_until: Nanos(request.valid_until_unix_nanos),
        };
        let answer = self.wish(RfqWish::Quote(quote)).await?;
        let (quote, seq) = done(&answer);
        Ok(wire::SubmitQuoteResponse {
            quote_id: wide(quote),
            journal_seq: wide(seq),
        })
    }

    pub(super) async fn pull(
        &self,
        account: AccountId,
        request: wire::CancelQuoteRequest,
    ) -> Result<wire::CancelQuoteResponse, Status> {
        let pull = PullQuote {
            origin: origin(account),
            rfq: id(request.rfq_id),
            quote: id(request.quote_id),
        };
        let answer = self.wish(RfqWish::Pull(pull)).await?;
        Ok(wire::CancelQuoteResponse {
            journal_seq: wide(done(&answer).1),
        })
    }

    pub(super) async fn accept(
        &self,
        account: AccountId,
        request: wire::AcceptQuoteRequest,
    ) -> Result<wire::AcceptQuoteResponse, Status> {
        let accept = AcceptQuote {
            origin: origin(account),
            rfq: id(request.rfq_id),
            side: needed_side("side", request.side)?,
            limit: Ticks(request.limit_ticks),
            lots: Lots(request.lots),
            several: request.allow_multi_maker,
            client_id: request.client_accept_id,
        };
        let answer = self.wish(RfqWish::Accept(accept)).await?;
        let told = answer.events().iter().find_map(|event| match event {
            Event::Rfq(told) => match &**told {
                RfqEvent::Accepted(done) => Some(done),
                _ => None,
            },
            _ => None,
        });
        Ok(accepted(told, done(&answer).1))
    }

    pub(super) fn get(
        &self,
        account: AccountId,
        request: wire::GetRfqRequest,
    ) -> Result<wire::GetRfqResponse, Status> {
        let number = id(request.rfq_id);
        let found = self.desk.state(|state| {
            let row = state.rfq(number)?;
            let role = role(state, account, (row.taker, &row.terms))?;
            let mine = |maker: AccountId| role == Role::Taker || maker == account;
            let quotes = row.quotes.iter().filter(|(_, quote)| mine(quote.maker));
            let quotes = quotes
                .map(|(at, quote)| quote_words(&quote.change((number, *at), row.taker), account));
            let words = rfq_words(state, &change(state, number, row), role, Some(row));
            Some((words, quotes.collect(), state.seq()))
        });
        let (rfq, quotes, seq) = found.ok_or_else(|| refusal::no(Reason::UnknownRfq))?;
        Ok(wire::GetRfqResponse {
            rfq: Some(rfq),
            quotes,
            as_of_journal_seq: wide(seq),
        })
    }
}

fn accepted(told: Option<&RfqAccepted>, seq: u64) -> wire::AcceptQuoteResponse {
    let Some(told) = told else {
        return wire::AcceptQuoteResponse::default();
    };
    wire::AcceptQuoteResponse {
        trade_ids: told.trades.iter().map(|trade| wide(trade.0)).collect(),
        filled_lots: told.filled.0,
        problem: told.problem.as_ref().map(refusal::problem),
        journal_seq: wide(seq),
    }
}
