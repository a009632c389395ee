//! Deliveries, from the operator's and the meters' side.

use engine::{
    command::{Attest, Command, Delivery, MeterReading, ResolveDispute, SetDeliverySuspension},
    event::{DeliveryEvent, Event},
    ids::{AccountId, CommodityId, DisputeId, MeterId, ObligationId},
    reason::{Field, Reason},
    units::Nanos,
};
use proto::{admin::v1 as wire, common::v1::Permission};
use tonic::{Request, Response, Status};

use super::{Reply, Service, asked, count, position, run};
use crate::{
    auth::caller,
    delivery::signed,
    desk::wide,
    refusal,
    translate::{delivery as words, reference::number},
};

fn narrow(id: i64) -> u32 {
    u32::try_from(id).unwrap_or_default()
}

/// A count that may not be negative.
fn natural(number: i64, field: &str) -> Result<u64, Status> {
    u64::try_from(number).map_err(|_| refusal::invalid(field, "at least 0"))
}

fn small(number: i32, field: &str) -> Result<u32, Status> {
    u32::try_from(number).map_err(|_| refusal::invalid(field, "at least 0"))
}

impl Service {
    /// The meter of a name; the kind it claims must be the registered one.
    fn meter(&self, name: &str, kind: Option<i32>) -> Result<MeterId, Status> {
        let meter = self.desk.state(|state| {
            let row = state.meters().iter().find(|meter| meter.name == name);
            row.map(|row| (row.id, row.kind))
        });
        let (id, known) = meter.ok_or_else(|| refusal::about(Reason::NotFound, Field::Meter))?;
        if let Some(kind) = kind
            && words::meter_kind_in(kind, "reading.kind")? != known
        {
            return Err(refusal::invalid(
                "reading.kind",
                "not the kind that the meter is registered as",
            ));
        }
        Ok(id)
    }

    pub(super) async fn deliver_rules(
        &self,
        request: Request<wire::SetDeliveryRulesRequest>,
    ) -> Reply<wire::SetDeliveryRulesResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let body = Delivery::SetRules(words::rules_in(&request)?);
        let command = Command::Delivery(asked(&caller, request.request_id, "", body)?);
        let (answer, done) = self.run(command).await?;
        Ok(Response::new(wire::SetDeliveryRulesResponse {
            journal_seq: position(&answer, &done),
        }))
    }

    pub(super) async fn deliver_meter(
        &self,
        request: Request<wire::RegisterMeterRequest>,
    ) -> Reply<wire::RegisterMeterResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let body = match request.retired {
            true => Delivery::RetireMeter(self.meter(&request.meter_id, None)?),
            false => Delivery::RegisterMeter(words::meter_in(&request)?),
        };
        let command = Command::Delivery(asked(&caller, request.request_id, "", body)?);
        let (answer, done) = self.run(command).await?;
        Ok(Response::new(wire::RegisterMeterResponse {
            journal_seq: position(&answer, &done),
        }))
    }

    pub(super) async fn deliver_suspension(
        &self,
        request: Request<wire::SetDeliverySuspensionRequest>,
    ) -> Reply<wire::SetDeliverySuspensionResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let body = Delivery::Suspend(SetDeliverySuspension {
            account: AccountId(narrow(request.account_id)),
            commodity: CommodityId(number(request.commodity_id)),
            suspended: request.suspended,
        });
        let command = Command::Delivery(asked(&caller, request.request_id, &request.note, body)?);
        let (answer, done) = self.run(command).await?;
        Ok(Response::new(wire::SetDeliverySuspensionResponse {
            journal_seq: position(&answer, &done),
            affected_obligations: count(done.count),
        }))
    }

    pub(super) async fn deliver_decision(
        &self,
        request: Request<wire::ResolveDisputeRequest>,
    ) -> Reply<wire::ResolveDisputeResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let body = Delivery::Resolve(ResolveDispute {
            dispute: DisputeId(narrow(request.dispute_id)),
            decided_terahashes: request.decided_terahashes,
        });
        let command = Command::Delivery(asked(&caller, request.request_id, &request.note, body)?);
        let (answer, done) = self.run(command).await?;
        Ok(Response::new(wire::ResolveDisputeResponse {
            journal_seq: position(&answer, &done),
        }))
    }

    pub(super) async fn deliver_reading(
        &self,
        request: Request<wire::SubmitMeterReadingRequest>,
    ) -> Reply<wire::SubmitMeterReadingResponse> {
        let caller = caller(&request)?;
        caller.need(Permission::Meter)?;
        let request = request.into_inner();
        let told = request
            .reading
            .ok_or_else(|| refusal::invalid("reading", "required"))?;
        let proof = words::signed_in(&request.meter_public_key, &request.signature)?;
        signed::check(&signed::reading(&told), &[&told.meter_id], &proof)?;
        let shares = words::shares_of(&told);
        let body = MeterReading {
            meter: self.meter(&told.meter_id, Some(told.kind))?,
            obligation: ObligationId(narrow(told.obligation_id)),
            start: Nanos(told.start_unix_nanos),
            end: Nanos(told.end_unix_nanos),
            accepted_difficulty: natural(told.accepted_difficulty, "reading.accepted_difficulty")?,
            accepted_shares: natural(told.accepted_shares, "reading.accepted_shares")?,
            mean_difficulty: shares.mean_difficulty,
            rejected_difficulty: natural(told.rejected_difficulty, "reading.rejected_difficulty")?,
            rejected_shares: natural(told.rejected_shares, "reading.rejected_shares")?,
            down_seconds: small(
                told.destination_down_seconds,
                "reading.destination_down_seconds",
            )?,
            blocks_found: small(told.blocks_found, "reading.blocks_found")?,
            committed: told.committed,
            signed: proof,
        };
        // Write-once by obligation, interval and meter: no request id is needed.
        let command = Command::Delivery(engine::command::Request {
            id: 0,
            key_id: caller.key_id.clone(),
            note: String::new(),
            body: Delivery::Read(body),
        });
        let (answer, done) = run(&self.desk, command).await?;
        let row = answer.events().iter().find_map(|event| match event {
            Event::Delivery(event) => match &**event {
                DeliveryEvent::Interval(row) => Some(*row),
                _ => None,
            },
            _ => None,
        });
        let (accepted, shortfall) = row.map_or((0, 0), |row| (row.accepted, row.shortfall));
        Ok(Response::new(wire::SubmitMeterReadingResponse {
            journal_seq: position(&answer, &done),
            accepted_terahashes: words::terahashes(accepted),
            shortfall_terahashes: words::terahashes(shortfall),
        }))
    }

    pub(super) async fn deliver_attestation(
        &self,
        request: Request<wire::SubmitCapacityAttestationRequest>,
    ) -> Reply<wire::SubmitCapacityAttestationResponse> {
        let caller = caller(&request)?;
        caller.need(Permission::Meter)?;
        let request = request.into_inner();
        let told = request
            .attestation
            .ok_or_else(|| refusal::invalid("attestation", "required"))?;
        let proof = words::signed_in(&request.meter_public_key, &request.signature)?;
        let names = [
            &told.meter_id,
            &told.site,
            &told.jurisdiction,
            &told.machine_class,
        ];
        signed::check(
            &signed::attestation(&told),
            &names.map(String::as_str),
            &proof,
        )?;
        let body = Attest {
            account: AccountId(narrow(told.account_id)),
            commodity: CommodityId(number(told.commodity_id)),
            attested_ths: told.attested_ths,
            measured_from: Nanos(told.measured_start_unix_nanos),
            measured_to: Nanos(told.measured_end_unix_nanos),
            accepted_shares: natural(told.accepted_shares, "attestation.accepted_shares")?,
            valid_until: Nanos(told.valid_until_unix_nanos),
            meter: self.meter(&told.meter_id, None)?,
            site: told.site,
            jurisdiction: told.jurisdiction,
            machine_class: told.machine_class,
            signed: proof,
        };
        let command = Command::Delivery(engine::command::Request {
            id: 0,
            key_id: caller.key_id.clone(),
            note: String::new(),
            body: Delivery::Attest(body),
        });
        let (answer, done) = run(&self.desk, command).await?;
        Ok(Response::new(wire::SubmitCapacityAttestationResponse {
            journal_seq: wide(answer.seq()),
            restated_orders: count(done.count),
        }))
    }
}
