//! DeliveryService: destinations, obligations, metered work and its money. Changes are journaled commands.

use engine::{
    command::{
        AssignDestination, Command, Delivery, DisputeInterval, Request as Asked, SetDestination,
    },
    delivery::{Destination, Obligation},
    event::{DeliveryEvent, Event},
    ids::{AccountId, CommodityId, DestinationId, ObligationId},
    reason::{Field, Problem, Reason},
    units::Nanos,
};
use proto::{
    common::v1::Permission,
    delivery::v1::{self as wire, delivery_service_server::DeliveryService},
};
use tonic::{Request, Response, Status};

use crate::{
    admin::{position, run},
    auth::{Caller, caller, now_nanos},
    desk::{Desk, wide},
    outbound::{Outgoing, pipe},
    paging::{List, Page, beyond},
    refusal,
    statements::day_settlements,
    translate::{delivery as out, reference::number},
};

pub mod signed;
mod stream;

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    desk: Desk,
}

type Reply<T> = Result<Response<T>, Status>;

fn obligation_id(id: i64) -> ObligationId {
    u32::try_from(id).map(ObligationId).unwrap_or_default()
}

fn may_look(caller: &Caller, account: i64) -> Result<AccountId, Status> {
    caller.need_on(Permission::Read, account)
}

impl Service {
    /// For this exchange.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }

    /// A wish of a client: idempotent where it has a request id.
    fn asked(caller: &Caller, id: u64, note: &str, body: Delivery) -> Command {
        Command::Delivery(Asked {
            id,
            key_id: caller.key_id.clone(),
            note: note.into(),
            body,
        })
    }

    fn own(row: &Obligation, account: AccountId) -> bool {
        row.seller == account || row.buyer == account
    }
}

#[tonic::async_trait]
impl DeliveryService for Service {
    type StreamDeliveryStream =
        Outgoing<wire::StreamDeliveryResponse, wire::StreamDeliveryResponse>;

    async fn set_destination(
        &self,
        request: Request<wire::SetDestinationRequest>,
    ) -> Reply<wire::SetDestinationResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Delivery, request.account_id)?;
        let wish = request
            .destination
            .ok_or_else(|| refusal::invalid("destination", "required"))?;
        if request.validate_only {
            return Err(refusal::unimplemented("validate_only (live probes)"));
        }
        if !wish.worker_password.is_empty() {
            let why =
                "not kept: the journal is read by auditors; give the worker a pool password of 'x'";
            return Err(refusal::invalid("destination.worker_password", why));
        }
        let body = SetDestination {
            account,
            id: DestinationId(number(wish.destination_id)),
            label: wish.label,
            commodity: CommodityId(number(wish.commodity_id)),
            address: wish.address,
            worker: wish.worker,
            protocol: out::protocol_in(wish.protocol)?,
            account_default: wish.account_default,
            // Its form is checked by the exchange; whether a pool answers there is for the proxy to see.
            usable: true,
            share_difficulty: 0,
        };
        let command = Self::asked(&caller, 0, "", Delivery::SetDestination(body));
        let (_, done) = run(&self.desk, command).await?;
        let id = u32::try_from(done.object)
            .map(DestinationId)
            .unwrap_or_default();
        let stored = self.desk.state(|state| {
            let row = id.index().and_then(|at| state.destinations().get(at));
            row.map(out::destination)
        });
        Ok(Response::new(wire::SetDestinationResponse {
            destination: stored,
            probe: None,
        }))
    }

    async fn list_destinations(
        &self,
        request: Request<wire::ListDestinationsRequest>,
    ) -> Reply<wire::ListDestinationsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = may_look(&caller, request.account_id)?;
        let page = Page::read(List::Destinations, request.page_size, &request.page_token)?;
        let rows: Vec<Destination> = self.desk.state(|state| {
            let rows = state.destinations().iter();
            rows.filter(|row| row.account == account).cloned().collect()
        });
        let key = |row: &Destination| u64::from(row.id.0);
        let rows = rows.into_iter().filter(|row| key(row) > page.after);
        let (rows, next_page_token) = page.cut(rows, key);
        Ok(Response::new(wire::ListDestinationsResponse {
            destinations: rows.iter().map(out::destination).collect(),
            next_page_token,
        }))
    }

    async fn assign_destination(
        &self,
        request: Request<wire::AssignDestinationRequest>,
    ) -> Reply<wire::AssignDestinationResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Delivery, request.account_id)?;
        let body = AssignDestination {
            account,
            obligation: obligation_id(request.obligation_id),
            destination: DestinationId(number(request.destination_id)),
        };
        let command = Self::asked(&caller, 0, "", Delivery::AssignDestination(body));
        let (answer, _) = run(&self.desk, command).await?;
        Ok(Response::new(wire::AssignDestinationResponse {
            effective_unix_nanos: now_nanos(),
            journal_seq: wide(answer.seq()),
        }))
    }

    async fn list_obligations(
        &self,
        request: Request<wire::ListObligationsRequest>,
    ) -> Reply<wire::ListObligationsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = may_look(&caller, request.account_id)?;
        let page = Page::read(List::Obligations, request.page_size, &request.page_token)?;
        let (rows, as_of) = self.desk.state(|state| {
            let rows = state
                .obligations()
                .iter()
                .filter(|row| Self::own(row, account));
            let rows = rows.map(|row| out::obligation(state, row, account));
            let rows: Vec<_> = rows
                .filter(|row| request.state == 0 || row.state == request.state)
                .filter(|row| {
                    request.instrument_id == 0 || row.instrument_id == request.instrument_id
                })
                .collect();
            (rows, wide(state.seq()))
        });
        let key = |row: &wire::Obligation| row.obligation_id.max(0).unsigned_abs();
        let rows = rows.into_iter().filter(|row| key(row) > page.after);
        let (obligations, next_page_token) = page.cut(rows, key);
        Ok(Response::new(wire::ListObligationsResponse {
            obligations,
            next_page_token,
            as_of_journal_seq: as_of,
        }))
    }

    async fn stream_delivery(
        &self,
        request: Request<wire::StreamDeliveryRequest>,
    ) -> Reply<Self::StreamDeliveryStream> {
        let caller = caller(&request)?;
        let account = may_look(&caller, request.get_ref().account_id)?;
        let resume = request.get_ref().resume_after_journal_seq;
        let resume = resume
            .map(|seq| u64::try_from(seq).map_err(|_| beyond("resume_after_journal_seq", 0, seq)))
            .transpose()?;
        let stream = stream::DeliveryStream::new(self.desk.clone(), caller, account);
        let past = resume.map(|after| stream.past(after)).transpose()?;
        let (outbound, outgoing) = pipe(&self.desk, std::convert::identity);
        tokio::spawn(async move {
            let over = stream.run(past, &outbound).await;
            outbound.end(over);
        });
        Ok(Response::new(outgoing))
    }

    async fn list_settlements(
        &self,
        request: Request<wire::ListSettlementsRequest>,
    ) -> Reply<wire::ListSettlementsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = may_look(&caller, request.account_id)?;
        let page = Page::read(List::Settlements, request.page_size, &request.page_token)?;
        let after = page
            .after
            .max(request.after_settlement_id.max(0).unsigned_abs());
        let mut rows: Vec<wire::Settlement> = self.desk.state(|state| {
            let rows = state
                .obligations()
                .iter()
                .filter(|row| Self::own(row, account));
            let rows = rows.flat_map(|row| &row.settlements);
            rows.filter(|(row, _)| row.id > after)
                .map(|(row, seq)| out::settlement(state, row, *seq, account))
                .collect()
        });
        rows.extend(day_settlements(&self.desk, account, after)?);
        rows.retain(|row| {
            (request.obligation_id == 0 || row.obligation_id == request.obligation_id)
                && (request.instrument_id == 0 || row.instrument_id == request.instrument_id)
        });
        let key = |row: &wire::Settlement| row.settlement_id.max(0).unsigned_abs();
        rows.sort_unstable_by_key(key);
        let (settlements, next_page_token) = page.cut(rows.into_iter(), key);
        Ok(Response::new(wire::ListSettlementsResponse {
            settlements,
            next_page_token,
        }))
    }

    async fn get_capacity(
        &self,
        request: Request<wire::GetCapacityRequest>,
    ) -> Reply<wire::GetCapacityResponse> {
        let caller = caller(&request)?;
        let account = may_look(&caller, request.get_ref().account_id)?;
        let commodity = CommodityId(number(request.get_ref().commodity_id));
        let row = self.desk.state(|state| state.capacity(account, commodity));
        let row = row.ok_or_else(|| refusal::about(Reason::NotFound, Field::Commodity))?;
        Ok(Response::new(wire::GetCapacityResponse {
            capacity: Some(out::capacity(&row)),
        }))
    }

    async fn dispute_interval(
        &self,
        request: Request<wire::DisputeIntervalRequest>,
    ) -> Reply<wire::DisputeIntervalResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Delivery, request.account_id)?;
        let body = DisputeInterval {
            account,
            obligation: obligation_id(request.obligation_id),
            start: Nanos(request.interval_start_unix_nanos),
            claimed_terahashes: request.claimed_terahashes,
        };
        let wish = Delivery::Dispute(body);
        let command = Self::asked(&caller, request.request_id, &request.note, wish);
        let (answer, done) = run(&self.desk, command).await?;
        Ok(Response::new(wire::DisputeIntervalResponse {
            dispute_id: wide(done.object),
            journal_seq: position(&answer, &done),
        }))
    }

    async fn offer_claim(
        &self,
        _: Request<wire::OfferClaimRequest>,
    ) -> Reply<wire::OfferClaimResponse> {
        Err(refusal::unimplemented("DeliveryService.OfferClaim"))
    }

    async fn accept_claim(
        &self,
        _: Request<wire::AcceptClaimRequest>,
    ) -> Reply<wire::AcceptClaimResponse> {
        Err(refusal::unimplemented("DeliveryService.AcceptClaim"))
    }
}

/// Whether a delivery event concerns an account.
fn concerns(event: &Event, account: AccountId) -> Option<&DeliveryEvent> {
    let Event::Delivery(event) = event else {
        return None;
    };
    let ours = match &**event {
        DeliveryEvent::Capacity(row) => row.account == account,
        DeliveryEvent::Obligation(row) => row.seller == account || row.buyer == account,
        DeliveryEvent::Interval(row) => row.seller == account || row.buyer == account,
        // Told as states, and by their lists.
        DeliveryEvent::Rules(_)
        | DeliveryEvent::Meter(_)
        | DeliveryEvent::Destination(..)
        | DeliveryEvent::Settlement(_)
        | DeliveryEvent::Dispute(_) => false,
    };
    ours.then_some(event)
}

/// A resume point that memory does not reach back to.
pub(crate) fn too_old(oldest: u64, after: u64) -> Status {
    let (limit, actual) = (wide(oldest.saturating_sub(1)), wide(after));
    refusal::status(&Problem::limit(
        Reason::ResumeTooOld,
        Field::None,
        limit,
        actual,
    ))
}
