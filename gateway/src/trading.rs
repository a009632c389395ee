//! The trading service: the same commands as a session's, one call each, and the queries that
//! reconcile. Unary orders belong to no session.

use std::pin::Pin;

use engine::{
    command::{Command, MassCancel, Origin, Place, SetCancelTimer, Target},
    event::{Event, OrderEvent, OrderEventKind},
    ids::{AccountId, InstrumentId},
    order::Order,
    reason::{Field, Reason},
    units::Nanos,
};
use proto::{
    common::v1::Permission,
    trading::v1::{self as wire, trading_service_server::TradingService},
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    auth::caller,
    bulletin::{Answer, legs_after},
    core_view,
    desk::{Desk, Digger, refused, wide},
    paging::{List, Page},
    private_events, refusal, session,
    translate::orders,
};

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    desk: Desk,
}

impl Service {
    /// For this exchange.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }

    fn origin(account: AccountId, deadline: i64) -> Origin {
        Origin {
            account,
            deadline: Nanos(deadline),
            ..Origin::default()
        }
    }

    /// Order events of an answer that are the account's own, as messages.
    fn events_of(&self, answer: &Answer, account: AccountId) -> Vec<wire::OrderEvent> {
        let events = answer.events();
        let own = events.iter().enumerate().filter_map(|(place, event)| {
            let order = own_order(event, account)?;
            let asset = self
                .desk
                .state(|state| orders::price_asset(state, order.instrument));
            let legs = legs_after(events, place);
            Some(orders::event_out(order, legs, asset))
        });
        own.collect()
    }

    /// The first result of a repeated client order id.
    async fn first_answer(&self, account: AccountId, client_order_id: u64) -> Option<Answer> {
        let first = self.desk.state(|state| {
            state
                .client_ids()
                .get(account, client_order_id)
                .map(|first| first.seq)
        });
        let answers = self.desk.answers(&[first?], Digger::Reader).await.ok()?;
        answers.into_iter().next()
    }
}

/// Order events of an account in an answer, without copies.
pub(crate) fn order_events(
    answer: &Answer,
    account: AccountId,
) -> impl Iterator<Item = &OrderEvent> {
    let events = answer.events().iter();
    events.filter_map(move |event| own_order(event, account))
}

fn own_order(event: &Event, account: AccountId) -> Option<&OrderEvent> {
    match event {
        Event::Order(order) if order.to.account == account && !order.copy => Some(order),
        _ => None,
    }
}

/// The refusal of an order command, as a status.
fn refusal_of(answer: &Answer, account: AccountId) -> Option<Status> {
    if let Some(problem) = refused(answer) {
        return Some(refusal::status(&problem));
    }
    order_events(answer, account).find_map(|event| {
        let refused = matches!(
            event.kind,
            OrderEventKind::Rejected
                | OrderEventKind::ReplaceRejected
                | OrderEventKind::CancelRejected
        );
        event
            .problem
            .filter(|_| refused)
            .map(|problem| refusal::status(&problem))
    })
}

/// A stream of answers.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl TradingService for Service {
    type OpenSessionStream = Answers<wire::OpenSessionResponse>;
    type StreamEventsStream = Answers<wire::StreamEventsResponse>;

    async fn open_session(
        &self,
        request: Request<Streaming<wire::OpenSessionRequest>>,
    ) -> Result<Response<Self::OpenSessionStream>, Status> {
        let caller = caller(&request)?;
        caller.need(Permission::Trade)?;
        let stream = session::open(self.desk.clone(), caller, request.into_inner());
        Ok(Response::new(Box::pin(stream)))
    }

    async fn stream_events(
        &self,
        request: Request<wire::StreamEventsRequest>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        let caller = caller(&request)?;
        let stream = private_events::open(self.desk.clone(), caller, request.into_inner()).await?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn submit_order(
        &self,
        request: Request<wire::SubmitOrderRequest>,
    ) -> Result<Response<wire::SubmitOrderResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Trade, request.account_id)?;
        let order = request
            .order
            .as_ref()
            .ok_or_else(|| refusal::invalid("order", "required"))?;
        let order = orders::new_order(order).map_err(|bad| bad.status("order"))?;
        let origin = Self::origin(account, request.deadline_unix_nanos);
        let place = Place { origin, order };
        if request.validate_only {
            let problem = self.desk.state(|state| state.preview(&place).problem);
            return match problem {
                Some(problem) => Err(refusal::status(&problem)),
                None => Ok(Response::new(wire::SubmitOrderResponse {
                    journal_seq: self.desk.as_of(),
                    ..wire::SubmitOrderResponse::default()
                })),
            };
        }
        let answer = self.desk.ask(Command::Place(place)).await?;
        let repeated = order_events(&answer, account).any(|event| event.repeated);
        let answer = if repeated {
            let first = self.first_answer(account, order.client_order_id).await;
            first.unwrap_or(answer)
        } else {
            answer
        };
        if let Some(status) = refusal_of(&answer, account) {
            return Err(status);
        }
        let mine = |event: &wire::OrderEvent| event.client_order_id == order.client_order_id;
        Ok(Response::new(wire::SubmitOrderResponse {
            journal_seq: wide(answer.seq()),
            events: self
                .events_of(&answer, account)
                .into_iter()
                .filter(mine)
                .collect(),
            replayed: repeated,
        }))
    }

    async fn replace_order(
        &self,
        request: Request<wire::ReplaceOrderRequest>,
    ) -> Result<Response<wire::ReplaceOrderResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Trade, request.account_id)?;
        let replace = request
            .replace
            .as_ref()
            .ok_or_else(|| refusal::invalid("replace", "required"))?;
        let origin = Self::origin(account, request.deadline_unix_nanos);
        let replace = orders::replace(replace, origin).map_err(|bad| bad.status("replace"))?;
        if request.validate_only {
            let checked = self.desk.state(|state| state.preview_replace(&replace));
            checked.map_err(|problem| refusal::status(&problem))?;
            return Ok(Response::new(wire::ReplaceOrderResponse {
                journal_seq: self.desk.as_of(),
                events: Vec::new(),
            }));
        }
        let answer = self.desk.ask(Command::Replace(replace)).await?;
        if let Some(status) = refusal_of(&answer, account) {
            return Err(status);
        }
        Ok(Response::new(wire::ReplaceOrderResponse {
            journal_seq: wide(answer.seq()),
            events: self.events_of(&answer, account),
        }))
    }

    async fn cancel_order(
        &self,
        request: Request<wire::CancelOrderRequest>,
    ) -> Result<Response<wire::CancelOrderResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Trade, request.account_id)?;
        let cancel = request
            .cancel
            .as_ref()
            .ok_or_else(|| refusal::invalid("cancel", "required"))?;
        let origin = Self::origin(account, 0);
        let cancel = orders::cancel(cancel, origin).map_err(|bad| bad.status("cancel"))?;
        let answer = self.desk.ask(Command::Cancel(cancel)).await?;
        if let Some(status) = refusal_of(&answer, account) {
            return Err(status);
        }
        Ok(Response::new(wire::CancelOrderResponse {
            journal_seq: wide(answer.seq()),
            event: self.events_of(&answer, account).into_iter().next(),
        }))
    }

    async fn mass_cancel(
        &self,
        request: Request<wire::MassCancelRequest>,
    ) -> Result<Response<wire::MassCancelResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Trade, request.account_id)?;
        let wished = request.selection.unwrap_or_default();
        let selection = orders::selection(&wished).map_err(|bad| bad.status("selection"))?;
        let origin = Self::origin(account, 0);
        let block_new_orders = wished.block_new_orders;
        let command = MassCancel {
            origin,
            selection,
            block_new_orders,
        };
        let answer = self.desk.ask(Command::MassCancel(command)).await?;
        if let Some(problem) = refused(&answer) {
            return Err(refusal::status(&problem));
        }
        let result = answer.events().iter().find_map(|event| match event {
            Event::MassCancelled(done) => Some(session::mass_cancel_done(done)),
            _ => None,
        });
        Ok(Response::new(wire::MassCancelResponse {
            journal_seq: wide(answer.seq()),
            result,
        }))
    }

    async fn set_cancel_timer(
        &self,
        request: Request<wire::SetCancelTimerRequest>,
    ) -> Result<Response<wire::SetCancelTimerResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Trade, request.account_id)?;
        let wished = request.selection.unwrap_or_default();
        let selection = orders::selection(&wished).map_err(|bad| bad.status("selection"))?;
        let after_ms = request.cancel_after_ms;
        let command = SetCancelTimer {
            origin: Self::origin(account, 0),
            after_ms,
            selection,
        };
        let answer = self.desk.ask(Command::SetCancelTimer(command)).await?;
        if let Some(problem) = refused(&answer) {
            return Err(refusal::status(&problem));
        }
        let fires_at = answer.events().iter().find_map(|event| match event {
            Event::CancelTimer(set) => Some(set.fires_at.0),
            _ => None,
        });
        Ok(Response::new(wire::SetCancelTimerResponse {
            fires_at_unix_nanos: fires_at.unwrap_or(0),
            journal_seq: wide(answer.seq()),
        }))
    }

    async fn get_order(
        &self,
        request: Request<wire::GetOrderRequest>,
    ) -> Result<Response<wire::GetOrderResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Read, request.account_id)?;
        let target = match request.key {
            Some(wire::get_order_request::Key::OrderId(id)) => {
                orders::order_target(id).map_err(|bad| bad.status("key"))?
            }
            Some(wire::get_order_request::Key::ClientOrderId(id)) => Target::Client(id),
            None => return Err(refusal::invalid("key", "name order_id or client_order_id")),
        };
        self.desk.state(|state| {
            let (id, first) = match target {
                Target::Order(id) => (id, None),
                Target::Client(client) => {
                    let first = state.client_ids().get(account, client).copied();
                    (first.map(|first| first.order).unwrap_or_default(), first)
                }
            };
            let found = state
                .orders()
                .get(id)
                .filter(|order| order.account == account);
            let order = match (found, first, target) {
                (Some(order), _, _) => Some(orders::order_out(order)),
                (None, Some(first), Target::Client(client)) => first.refused.map(|why| {
                    orders::refused_order_out(request.account_id, client, &why, first.seq)
                }),
                _ => None,
            };
            match order {
                Some(order) => Ok(Response::new(wire::GetOrderResponse {
                    order: Some(order),
                    as_of_journal_seq: wide(state.seq()),
                })),
                None => Err(refusal::about(Reason::UnknownOrder, Field::Target)),
            }
        })
    }

    async fn list_open_orders(
        &self,
        request: Request<wire::ListOpenOrdersRequest>,
    ) -> Result<Response<wire::ListOpenOrdersResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Read, request.account_id)?;
        let page = Page::read(List::Orders, request.page_size, &request.page_token)?;
        let wanted = InstrumentId(request.instrument_id.unsigned_abs());
        self.desk.state(|state| {
            let mut open: Vec<&Order> = state
                .orders_of(account)
                .filter(|order| !wanted.is_set() || order.terms.instrument == wanted)
                .filter(|order| request.include_quotes || core_view::quote_key(order).is_none())
                .filter(|order| order.id.0 > page.after)
                .collect();
            open.sort_unstable_by_key(|order| order.id);
            let (orders, next_page_token) = page.cut(open.into_iter(), |order| order.id.0);
            Ok(Response::new(wire::ListOpenOrdersResponse {
                orders: orders.into_iter().map(orders::order_out).collect(),
                next_page_token,
                as_of_journal_seq: wide(state.seq()),
            }))
        })
    }

    async fn list_fills(
        &self,
        request: Request<wire::ListFillsRequest>,
    ) -> Result<Response<wire::ListFillsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Read, request.account_id)?;
        let page = Page::read(List::Fills, request.page_size, &request.page_token)?;
        let after = page.after.max(request.after_trade_id.max(0).unsigned_abs());
        let archive = self.desk.hub.archive();
        let oldest = archive
            .fills(account)
            .next()
            .map_or(0, |row| row.what.fill.trade.0);
        if after > 0
            && archive.fills(account).count() >= archive.rows_kept()
            && after.saturating_add(1) < oldest
        {
            return Err(refusal::no(Reason::ResumeTooOld));
        }
        let as_of_journal_seq = wide(archive.newest());
        let wanted = |row: &crate::archive::FillRow, at: i64| {
            let order = &row.order;
            let wished = request.instrument_id.unsigned_abs();
            let in_a_leg = || row.legs.iter().any(|leg| leg.instrument.0 == wished);
            (request.client_order_id == 0 || request.client_order_id == order.client_order_id)
                && (request.order_id == 0 || request.order_id == wide(order.order_id.0))
                && (wished == 0 || wished == order.instrument.0 || in_a_leg())
                && (request.start_unix_nanos == 0 || at >= request.start_unix_nanos)
                && (request.end_unix_nanos == 0 || at < request.end_unix_nanos)
        };
        let rows = archive
            .fills(account)
            .filter(|row| row.what.fill.trade.0 > after && wanted(&row.what, row.at.0));
        let (rows, next_page_token) = page.cut(rows, |row| row.what.fill.trade.0);
        Ok(Response::new(wire::ListFillsResponse {
            fills: rows
                .into_iter()
                .map(|row| self.fill_report(account, row))
                .collect(),
            next_page_token,
            as_of_journal_seq,
        }))
    }
}

impl Service {
    fn fill_report(
        &self,
        account: AccountId,
        row: &crate::archive::Dated<crate::archive::FillRow>,
    ) -> wire::FillReport {
        let order = &row.what.order;
        let asset = self
            .desk
            .state(|state| orders::price_asset(state, order.instrument));
        wire::FillReport {
            journal_seq: wide(row.seq),
            matched_unix_nanos: row.at.0,
            account_id: i64::from(account.0),
            order_id: wide(order.order_id.0),
            client_order_id: order.client_order_id,
            client_tag: order.tag.as_str().into(),
            instrument_id: order.instrument.0.cast_signed(),
            side: orders::side_out(order.side),
            fill: Some(orders::fill_out(&row.what.fill, &row.what.legs, asset)),
            quote: order.quote.map(orders::quote_key_out),
            busted: false,
        }
    }
}
