//! Facts from outside. Index fixings are served; and so are meter readings and
//! attestations of capacity (`delivery.rs`); headers are not yet.

use engine::{
    command::{Command, FixingKind, SubmitFixing},
    event::Event,
    ids::IndexId,
    reason::{Field, Reason},
    units::Decimal,
};
use proto::{
    admin::v1::{self as wire, oracle_service_server::OracleService},
    common::v1::Permission,
};
use tonic::{Request, Response, Status};

use super::Service;
use crate::{
    auth::caller,
    desk::{refused, wide},
    refusal,
};

#[tonic::async_trait]
impl OracleService for Service {
    async fn submit_index_fixing(
        &self,
        request: Request<wire::SubmitIndexFixingRequest>,
    ) -> Result<Response<wire::SubmitIndexFixingResponse>, Status> {
        let caller = caller(&request)?;
        caller.need(Permission::Oracle)?;
        let request = request.into_inner();
        if !request.signature.is_empty() || !request.oracle_public_key.is_empty() {
            return Err(refusal::unimplemented(
                "signature (signed fixings of several oracles; the caller's key authenticates)",
            ));
        }
        let fixing = request
            .fixing
            .ok_or_else(|| refusal::invalid("fixing", "required"))?;
        let kind = match wire::FixingKind::try_from(fixing.kind) {
            Ok(wire::FixingKind::Indicative) => FixingKind::Indicative,
            Ok(wire::FixingKind::Daily) => FixingKind::Daily,
            Ok(wire::FixingKind::Final | wire::FixingKind::Restatement) => {
                return Err(refusal::unimplemented("fixing.kind FINAL and RESTATEMENT"));
            }
            _ => return Err(refusal::invalid("fixing.kind", "INDICATIVE or DAILY")),
        };
        let index = self.desk.state(|state| {
            let named =
                |index: &engine::exchange::IndexState| index.details.name == fixing.index_name;
            state.indexes().iter().position(named).map(IndexId::nth)
        });
        let index = index.ok_or_else(|| refusal::about(Reason::NotFound, Field::Index))?;
        let value = fixing
            .value
            .ok_or_else(|| refusal::invalid("fixing.value", "required"))?;
        let round = fixing.round_id.max(0).unsigned_abs();
        let command = Command::SubmitFixing(SubmitFixing {
            index,
            kind,
            round,
            value: Decimal {
                mantissa: value.mantissa,
                exponent: value.exponent,
            },
            key_id: caller.key_id.clone(),
        });
        let answer = self.desk.ask(command).await?;
        if let Some(problem) = refused(&answer) {
            return Err(refusal::status(&problem));
        }
        let first = answer.events().iter().find_map(|event| match event {
            Event::Done(done) if done.first_seq > 0 => Some(done.first_seq),
            _ => None,
        });
        Ok(Response::new(wire::SubmitIndexFixingResponse {
            journal_seq: wide(first.unwrap_or(answer.seq())),
            agreeing_oracles: 1,
            in_force: true,
        }))
    }

    async fn submit_chain_header(
        &self,
        _: Request<wire::SubmitChainHeaderRequest>,
    ) -> Result<Response<wire::SubmitChainHeaderResponse>, Status> {
        Err(refusal::unimplemented("OracleService.SubmitChainHeader"))
    }

    async fn submit_meter_reading(
        &self,
        request: Request<wire::SubmitMeterReadingRequest>,
    ) -> Result<Response<wire::SubmitMeterReadingResponse>, Status> {
        self.deliver_reading(request).await
    }

    async fn submit_capacity_attestation(
        &self,
        request: Request<wire::SubmitCapacityAttestationRequest>,
    ) -> Result<Response<wire::SubmitCapacityAttestationResponse>, Status> {
        self.deliver_attestation(request).await
    }
}
