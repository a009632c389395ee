//! RfqService: requests for quote, trades agreed off the book, and the stream of both.

use engine::{
    command::{AffirmBlock, BlockTerms, BlockWish, Command, Origin, ReportBlock, Side},
    event::{BlockState, Event},
    exchange::Exchange,
    ids::{AccountId, FirmId, InstrumentId},
    reason::{Field, Reason},
    units::{Lots, Nanos, Ticks},
};
use proto::{
    common::v1::{Permission, Side as WireSide},
    rfq::v1::{self as wire, rfq_service_server::RfqService},
};
use tonic::{Request, Response, Status};

use crate::{
    auth::caller,
    bulletin::Answer,
    desk::{Desk, refused, wide},
    outbound::{Outgoing, pipe},
    paging::beyond,
    refusal,
    translate::{market::side, reference::number},
};

mod requests;
mod stream;

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    desk: Desk,
}

type Reply<T> = Result<Response<T>, Status>;

/// A reported trade as its two firms see it.
pub(super) struct Row {
    number: u64,
    state: BlockState,
    reporter: AccountId,
    terms: BlockTerms,
    trade: u64,
}

impl Row {
    /// Whether an account's firm is one of the two.
    fn concerns(&self, state: &Exchange, account: AccountId) -> bool {
        let firm = |account| state.account(account).map(|row| row.firm);
        let own = firm(account);
        own.is_some() && (own == firm(self.reporter) || own == Some(self.terms.counterparty))
    }

    fn words(&self, state: &Exchange) -> wire::BlockTrade {
        let code = |firm: FirmId| {
            let row = firm.index().and_then(|at| state.firms().get(at));
            row.map_or_else(String::new, |row| row.details.code.clone())
        };
        let reporter = state.account(self.reporter).map(|row| code(row.firm));
        let is = match self.state {
            BlockState::Reported => wire::BlockTradeState::Reported,
            BlockState::Affirmed => wire::BlockTradeState::Affirmed,
            BlockState::Refused => wire::BlockTradeState::Refused,
            BlockState::Expired => wire::BlockTradeState::Expired,
        };
        let trade_ids = match self.trade {
            0 => Vec::new(),
            trade => vec![wide(trade)],
        };
        wire::BlockTrade {
            block_id: wide(self.number),
            state: is.into(),
            reporter_firm_code: reporter.unwrap_or_default(),
            counterparty_firm_code: code(self.terms.counterparty),
            legs: vec![wire::RfqLeg {
                instrument_id: self.terms.instrument.0.cast_signed(),
                side: WireSide::Buy.into(),
                ratio: 1,
            }],
            side: side(self.terms.side),
            price_ticks: self.terms.price.0,
            lots: self.terms.lots.0,
            affirm_by_unix_nanos: self.terms.affirm_by.0,
            trade_ids,
            problem: None,
        }
    }
}

impl Service {
    /// For this exchange.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }

    async fn run(&self, wish: BlockWish) -> Result<Answer, Status> {
        let answer = self.desk.ask(Command::Block(wish)).await?;
        match refused(&answer) {
            Some(problem) => Err(refusal::status(&problem)),
            None => Ok(answer),
        }
    }
}

fn origin(account: AccountId) -> Origin {
    Origin {
        account,
        ..Origin::default()
    }
}

/// Where an earlier answer counts, its position; else the command's own.
fn done(answer: &Answer) -> (u64, u64) {
    let done = answer.events().iter().find_map(|event| match event {
        Event::Done(done) => Some((done.object, done.first_seq)),
        _ => None,
    });
    let (object, first) = done.unwrap_or_default();
    (object, if first == 0 { answer.seq() } else { first })
}

#[tonic::async_trait]
impl RfqService for Service {
    type StreamRfqsStream = Outgoing<wire::StreamRfqsResponse, wire::StreamRfqsResponse>;

    async fn create_rfq(
        &self,
        request: Request<wire::CreateRfqRequest>,
    ) -> Reply<wire::CreateRfqResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Rfq, request.account_id)?;
        self.create(account, request).await.map(Response::new)
    }

    async fn cancel_rfq(
        &self,
        request: Request<wire::CancelRfqRequest>,
    ) -> Reply<wire::CancelRfqResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Rfq, request.account_id)?;
        self.cancel(account, request).await.map(Response::new)
    }

    async fn submit_quote(
        &self,
        request: Request<wire::SubmitQuoteRequest>,
    ) -> Reply<wire::SubmitQuoteResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Rfq, request.account_id)?;
        self.quote(account, request).await.map(Response::new)
    }

    async fn cancel_quote(
        &self,
        request: Request<wire::CancelQuoteRequest>,
    ) -> Reply<wire::CancelQuoteResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Rfq, request.account_id)?;
        self.pull(account, request).await.map(Response::new)
    }

    async fn accept_quote(
        &self,
        request: Request<wire::AcceptQuoteRequest>,
    ) -> Reply<wire::AcceptQuoteResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Rfq, request.account_id)?;
        self.accept(account, request).await.map(Response::new)
    }

    async fn get_rfq(&self, request: Request<wire::GetRfqRequest>) -> Reply<wire::GetRfqResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Read, request.account_id)?;
        self.get(account, request).map(Response::new)
    }

    async fn stream_rfqs(
        &self,
        request: Request<wire::StreamRfqsRequest>,
    ) -> Reply<Self::StreamRfqsStream> {
        let caller = caller(&request)?;
        let account = caller.need_on(Permission::Read, request.get_ref().account_id)?;
        let resume = request.get_ref().resume_after_journal_seq;
        let resume = resume
            .map(|seq| u64::try_from(seq).map_err(|_| beyond("resume_after_journal_seq", 0, seq)))
            .transpose()?;
        let stream = stream::RfqStream::new(self.desk.clone(), caller, account);
        let past = resume.map(|after| stream.past(after)).transpose()?;
        let (outbound, outgoing) = pipe(&self.desk, std::convert::identity);
        tokio::spawn(async move {
            let over = stream.run(past, &outbound).await;
            outbound.end(over);
        });
        Ok(Response::new(outgoing))
    }

    async fn report_block_trade(
        &self,
        request: Request<wire::ReportBlockTradeRequest>,
    ) -> Reply<wire::ReportBlockTradeResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Rfq, request.account_id)?;
        if !request.allocations.is_empty() {
            return Err(refusal::unimplemented("allocations (account_id gets all)"));
        }
        let [leg] = request.legs.as_slice() else {
            let why = "exactly one: packages are not served yet";
            return Err(refusal::invalid("legs", why));
        };
        if leg.ratio != 1 || leg.side != WireSide::Buy as i32 {
            return Err(refusal::invalid("legs[0]", "side BUY and ratio 1"));
        }
        let side = match WireSide::try_from(request.side) {
            Ok(WireSide::Buy) => Side::Buy,
            Ok(WireSide::Sell) => Side::Sell,
            _ => return Err(refusal::invalid("side", "BUY or SELL")),
        };
        let code = &request.counterparty_firm_code;
        let firm = self.desk.state(|state| {
            let known = state.firms().iter().find(|row| row.details.code == *code);
            known.map(|row| row.id)
        });
        let report = ReportBlock {
            origin: origin(account),
            client_id: request.client_block_id,
            terms: BlockTerms {
                counterparty: firm
                    .ok_or_else(|| refusal::about(Reason::UnknownCounterparty, Field::Firm))?,
                instrument: InstrumentId(number(leg.instrument_id)),
                side,
                price: Ticks(request.price_ticks),
                lots: Lots(request.lots),
                affirm_by: Nanos(request.affirm_by_unix_nanos),
            },
        };
        let answer = self.run(BlockWish::Report(report)).await?;
        let (block, seq) = done(&answer);
        Ok(Response::new(wire::ReportBlockTradeResponse {
            block_id: wide(block),
            journal_seq: wide(seq),
        }))
    }

    async fn affirm_block_trade(
        &self,
        request: Request<wire::AffirmBlockTradeRequest>,
    ) -> Reply<wire::AffirmBlockTradeResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Rfq, request.account_id)?;
        if !request.allocations.is_empty() {
            return Err(refusal::unimplemented("allocations (account_id gets all)"));
        }
        let block = request.block_id.max(0).unsigned_abs();
        let affirm = AffirmBlock {
            origin: origin(account),
            block,
            accept: request.accept,
        };
        let answer = self.run(BlockWish::Affirm(affirm)).await?;
        let row = self.desk.state(|state| {
            state
                .blocks()
                .find(|(number, _)| *number == block)
                .map(|row| row.1.trade.0)
        });
        let trade = row.filter(|trade| *trade != 0);
        Ok(Response::new(wire::AffirmBlockTradeResponse {
            trade_ids: trade.map(wide).into_iter().collect(),
            journal_seq: wide(done(&answer).1),
        }))
    }
}
