//! DeliveryService: so far the settled days of cash-settled positions.

use proto::{
    common::v1::Permission,
    delivery::v1::{self as wire, delivery_service_server::DeliveryService},
};
use tonic::{Request, Response, Status};

use crate::{
    auth::caller,
    desk::Desk,
    outbound::Outgoing,
    paging::{List, Page, beyond},
    refusal,
    statements::day_settlements,
};

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    desk: Desk,
}

type Reply<T> = Result<Response<T>, Status>;

impl Service {
    /// For this exchange.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }
}

#[tonic::async_trait]
impl DeliveryService for Service {
    type StreamDeliveryStream =
        Outgoing<wire::StreamDeliveryResponse, wire::StreamDeliveryResponse>;

    async fn list_settlements(
        &self,
        request: Request<wire::ListSettlementsRequest>,
    ) -> Reply<wire::ListSettlementsResponse> {
        let caller = caller(&request)?;
        let asked = request.get_ref();
        let account = caller.need_on(Permission::Read, asked.account_id)?;
        let page = Page::read(List::Settlements, asked.page_size, &asked.page_token)?;
        let after = asked.after_settlement_id;
        let after = u64::try_from(after).map_err(|_| beyond("after_settlement_id", 0, after))?;
        let mut rows = day_settlements(&self.desk, account, after.max(page.after))?;
        rows.retain(|row| {
            (asked.obligation_id == 0 || row.obligation_id == asked.obligation_id)
                && (asked.instrument_id == 0 || row.instrument_id == asked.instrument_id)
        });
        let key = |row: &wire::Settlement| row.settlement_id.max(0).unsigned_abs();
        let (settlements, next_page_token) = page.cut(rows.into_iter(), key);
        Ok(Response::new(wire::ListSettlementsResponse {
            settlements,
            next_page_token,
        }))
    }

    async fn stream_delivery(
        &self,
        _: Request<wire::StreamDeliveryRequest>,
    ) -> Reply<Self::StreamDeliveryStream> {
        Err(refusal::unimplemented("DeliveryService.StreamDelivery"))
    }

    async fn set_destination(
        &self,
        _: Request<wire::SetDestinationRequest>,
    ) -> Reply<wire::SetDestinationResponse> {
        Err(refusal::unimplemented("DeliveryService.SetDestination"))
    }

    async fn list_destinations(
        &self,
        _: Request<wire::ListDestinationsRequest>,
    ) -> Reply<wire::ListDestinationsResponse> {
        Err(refusal::unimplemented("DeliveryService.ListDestinations"))
    }

    async fn assign_destination(
        &self,
        _: Request<wire::AssignDestinationRequest>,
    ) -> Reply<wire::AssignDestinationResponse> {
        Err(refusal::unimplemented("DeliveryService.AssignDestination"))
    }

    async fn list_obligations(
        &self,
        _: Request<wire::ListObligationsRequest>,
    ) -> Reply<wire::ListObligationsResponse> {
        Err(refusal::unimplemented("DeliveryService.ListObligations"))
    }

    async fn get_capacity(
        &self,
        _: Request<wire::GetCapacityRequest>,
    ) -> Reply<wire::GetCapacityResponse> {
        Err(refusal::unimplemented("DeliveryService.GetCapacity"))
    }

    async fn dispute_interval(
        &self,
        _: Request<wire::DisputeIntervalRequest>,
    ) -> Reply<wire::DisputeIntervalResponse> {
        Err(refusal::unimplemented("DeliveryService.DisputeInterval"))
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
