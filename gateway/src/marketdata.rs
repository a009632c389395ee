//! MarketDataService: public data for any valid key. One client's lag never touches another.

use engine::{
    exchange::Exchange,
    ids::{InstrumentId, ProductId, TradeId},
    reason::{Field, Problem, Reason},
};
use proto::marketdata::v1::{
    self as wire, MarketDataUpdate as Update, market_data_service_server::MarketDataService,
};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    auth,
    desk::{Desk, wide},
    outbound::{Outgoing, pipe},
    paging::{List, Page, beyond},
    refusal,
    translate::{self, reference::number},
};

pub mod contracts;
pub mod feed;
mod past;
pub mod row;
pub mod series;
pub mod subscription;
pub mod view;

use feed::{Feed, SUBSCRIPTIONS};
use row::Channel;

// As many trades as the archive keeps per contract; with fewer, it has them all.

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    desk: Desk,
}

impl Service {
    /// On this desk.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

fn stream_response(updates: Vec<Update>) -> wire::StreamResponse {
    wire::StreamResponse {
        updates,
        gateway_out_unix_nanos: auth::now_nanos(),
    }
}

fn subscribe_response(updates: Vec<Update>) -> wire::SubscribeResponse {
    wire::SubscribeResponse {
        updates,
        gateway_out_unix_nanos: auth::now_nanos(),
    }
}

#[tonic::async_trait]
impl MarketDataService for Service {
    type StreamStream = Outgoing<Vec<Update>, wire::StreamResponse>;
    type SubscribeStream = Outgoing<Vec<Update>, wire::SubscribeResponse>;

    async fn stream(
        &self,
        request: Request<Streaming<wire::StreamRequest>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let caller = auth::caller(&request)?;
        let feed = Feed::new(self.desk.clone(), Box::new(move || caller.still_valid()));
        let requests = request.into_inner();
        let (outbound, outgoing) = pipe(&self.desk, stream_response as fn(_) -> _);
        tokio::spawn(async move {
            let over = feed.run(requests, &outbound).await;
            outbound.end(over);
        });
        Ok(Response::new(outgoing))
    }

    async fn subscribe(
        &self,
        request: Request<wire::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let caller = auth::caller(&request)?;
        let mut feed = Feed::new(self.desk.clone(), Box::new(move || caller.still_valid()));
        let asked = request.into_inner().subscriptions;
        if asked.len() > SUBSCRIPTIONS {
            let (limit, actual) = (wide(SUBSCRIPTIONS as u64), wide(asked.len() as u64));
            let problem = Problem::limit(Reason::TooManyItems, Field::None, limit, actual);
            return Err(refusal::status(&problem));
        }
        if asked.is_empty() {
            return Err(refusal::invalid("subscriptions", "at least one"));
        }
        let (outbound, outgoing) = pipe(&self.desk, subscribe_response as fn(_) -> _);
        tokio::spawn(async move {
            for subscription in &asked {
                feed.subscribe(subscription).await;
            }
            let over = feed.run(tokio_stream::pending(), &outbound).await;
            outbound.end(over);
        });
        Ok(Response::new(outgoing))
    }

    async fn get_book(
        &self,
        request: Request<wire::GetBookRequest>,
    ) -> Result<Response<wire::GetBookResponse>, Status> {
        auth::caller(&request)?;
        let asked = request.get_ref();
        let levels = usize::try_from(asked.depth_levels)
            .map_err(|_| beyond("depth_levels", 0, asked.depth_levels.into()))?;
        let answer = self.desk.state(|exchange| {
            let contract = exchange.instrument(InstrumentId(number(asked.instrument_id)))?;
            let seed = row::Seed::take(exchange, contract, Channel::Depth(levels));
            Some((wide(exchange.seq()), seed))
        });
        let (journal_seq, seed) = answer.ok_or_else(|| unknown(asked.instrument_id))?;
        let seq = seed.seq();
        Ok(Response::new(wire::GetBookResponse {
            instrument_id: asked.instrument_id,
            seq,
            journal_seq,
            book: Some(seed.view(levels).snapshot()),
        }))
    }

    async fn list_trades(
        &self,
        request: Request<wire::ListTradesRequest>,
    ) -> Result<Response<wire::ListTradesResponse>, Status> {
        auth::caller(&request)?;
        let asked = request.get_ref();
        let page = Page::read(List::Trades, asked.page_size, &asked.page_token)?;
        let id = InstrumentId(number(asked.instrument_id));
        if !self
            .desk
            .state(|exchange| exchange.instrument(id).is_some())
        {
            return Err(unknown(asked.instrument_id));
        }
        let after = u64::try_from(asked.after_trade_id)
            .map_err(|_| beyond("after_trade_id", 0, asked.after_trade_id))?;
        let after = TradeId(after.max(page.after));
        let archive = self.desk.hub.archive();
        let oldest = archive.trades(id).next().map(|row| row.what.trade);
        if let Some(oldest) = oldest.filter(|oldest| after.0 > 0 && after < *oldest)
            && archive.trades(id).count() >= archive.rows_kept()
        {
            // A client that has a position must not miss what lies between.
            let (limit, actual) = (wide(oldest.0), wide(after.0));
            let problem = Problem::limit(Reason::ResumeTooOld, Field::None, limit, actual);
            return Err(refusal::status(&problem));
        }
        let rows = archive.trades(id).filter(|row| row.what.trade > after);
        let (trades, next_page_token) = page.cut(rows, |row| row.what.trade.0);
        let trades = trades.into_iter().map(translate::market::trade_record);
        Ok(Response::new(wire::ListTradesResponse {
            trades: trades.collect(),
            next_page_token,
        }))
    }

    async fn list_candles(
        &self,
        request: Request<wire::ListCandlesRequest>,
    ) -> Result<Response<wire::ListCandlesResponse>, Status> {
        auth::caller(&request)?;
        Err(refusal::unimplemented("ListCandles"))
    }

    async fn list_index_values(
        &self,
        request: Request<wire::ListIndexValuesRequest>,
    ) -> Result<Response<wire::ListIndexValuesResponse>, Status> {
        auth::caller(&request)?;
        // Only the newest value of an index is kept; a page of one would pass for a history.
        Err(refusal::unimplemented("ListIndexValues"))
    }

    async fn get_forward_curve(
        &self,
        request: Request<wire::GetForwardCurveRequest>,
    ) -> Result<Response<wire::GetForwardCurveResponse>, Status> {
        auth::caller(&request)?;
        let product = ProductId(number(request.get_ref().product_id));
        let look = |exchange: &Exchange| {
            let known = product.index().and_then(|at| exchange.products().get(at));
            known.map(|_| wire::GetForwardCurveResponse {
                curve: Some(translate::market::curve(exchange, product)),
                as_of_journal_seq: wide(exchange.seq()),
            })
        };
        let answer = self.desk.state(look);
        answer
            .map(Response::new)
            .ok_or_else(|| refusal::about(Reason::NotFound, Field::Product))
    }
}

fn unknown(id: i32) -> Status {
    let (reason, field) = (Reason::UnknownInstrument, Field::Instrument);
    refusal::status(&Problem::limit(reason, field, 0, id.into()))
}
