//! Facts from outside: index values, observations and headers; meter readings and attestations of capacity
//! (`delivery.rs`).
//!
//! A signature is checked here, before its command enters, against the bytes of
//! [`engine::index::signed`]; the command keeps it. The key that signs the call may be another one: whoever
//! carries a report needs no right but ORACLE.

mod registry;
mod words;

use engine::{
    command::{
        Command, FixingKind, Header, Report, SignValue, SubmitFixing, SubmitHeader, ValueKind,
    },
    event::Event,
    ids::IndexId,
    index::signed,
    reason::{Field, Reason},
    units::{DAY, Decimal, Nanos},
};
use proto::{
    admin::v1::{self as wire, oracle_service_server::OracleService},
    common::v1::Permission,
};
use tonic::{Request, Response, Status};

use super::{Reply, Service, count, position};
use crate::{
    auth::caller,
    desk::{Desk, refused, wide},
    keys::signature_of,
    refusal,
};

/// The UTC day that a daily value is the mean of; none named = it is of no certain day.
fn day_of(fixing: &wire::IndexFixing) -> Result<Nanos, Status> {
    let (start, end) = (fixing.start_unix_nanos, fixing.end_unix_nanos);
    if (start, end) == (0, 0) || fixing.kind() != wire::FixingKind::Daily {
        return Ok(Nanos::ZERO);
    }
    if start <= 0 || start % DAY != 0 {
        let why = "a UTC midnight";
        return Err(refusal::invalid("fixing.start_unix_nanos", why));
    }
    if end != start + DAY {
        let why = "one day after fixing.start_unix_nanos";
        return Err(refusal::invalid("fixing.end_unix_nanos", why));
    }
    Ok(Nanos(start))
}

/// Refuses a signature that is not over these bytes by this key.
fn checked(key: &[u8], signature: &[u8], bytes: &[u8]) -> Result<([u8; 32], [u8; 64]), Status> {
    let whole = <[u8; 32]>::try_from(key)
        .map_err(|_| refusal::invalid("oracle_public_key", "32 bytes, the source's Ed25519 key"))?;
    let signature = <[u8; 64]>::try_from(signature)
        .map_err(|_| refusal::invalid("signature", "64 bytes, Ed25519"))?;
    if signature_of(&whole, bytes, &signature) {
        return Ok((whole, signature));
    }
    Err(refusal::about(Reason::SignatureInvalid, Field::Key))
}

fn decimal(value: Option<proto::common::v1::Decimal>, field: &str) -> Result<Decimal, Status> {
    let value = value.ok_or_else(|| refusal::invalid(field, "required"))?;
    Ok(Decimal {
        mantissa: value.mantissa,
        exponent: value.exponent,
    })
}

fn index_of(desk: &Desk, name: &str) -> Result<IndexId, Status> {
    let index = desk.state(|state| {
        let named = |index: &engine::exchange::IndexState| index.details.name == name;
        state.indexes().iter().position(named).map(IndexId::nth)
    });
    index.ok_or_else(|| refusal::about(Reason::NotFound, Field::Index))
}

impl Service {
    /// The value as a registered source signed it.
    async fn sign_value(
        &self,
        request: &wire::SubmitIndexFixingRequest,
        fixing: &wire::IndexFixing,
    ) -> Reply<wire::SubmitIndexFixingResponse> {
        let kind = match wire::FixingKind::try_from(fixing.kind) {
            Ok(wire::FixingKind::Indicative) => ValueKind::Indicative,
            Ok(wire::FixingKind::Daily) => ValueKind::Daily,
            Ok(wire::FixingKind::Restatement) => ValueKind::Restatement,
            Ok(wire::FixingKind::Final) => {
                return Err(refusal::unimplemented("fixing.kind FINAL"));
            }
            _ => {
                let why = "INDICATIVE, DAILY or RESTATEMENT";
                return Err(refusal::invalid("fixing.kind", why));
            }
        };
        let value = decimal(fixing.value, "fixing.value")?;
        let round = fixing.round_id.max(0).unsigned_abs();
        let bytes = signed::value(&fixing.index_name, kind, round, value);
        let (key, sign) = (&request.oracle_public_key, &request.signature);
        let (public_key, signature) = checked(key, sign, &bytes)?;
        let index = index_of(&self.desk, &fixing.index_name)?;
        let word = SignValue {
            index,
            kind,
            round,
            value,
            public_key,
            signature,
        };
        let (answer, done) = self.run(Command::SignValue(Box::new(word))).await?;
        let needed = self.desk.state(|state| {
            let method = state
                .rounds(index)
                .and_then(|rounds| rounds.method.as_ref());
            method.map_or(1, |method| u32::from(method.agreeing))
        });
        Ok(Response::new(wire::SubmitIndexFixingResponse {
            journal_seq: position(&answer, &done),
            agreeing_oracles: count(done.count),
            in_force: done.count >= needed,
        }))
    }
}

#[tonic::async_trait]
impl OracleService for Service {
    async fn submit_index_fixing(
        &self,
        request: Request<wire::SubmitIndexFixingRequest>,
    ) -> Reply<wire::SubmitIndexFixingResponse> {
        let caller = caller(&request)?;
        caller.need(Permission::Oracle)?;
        let request = request.into_inner();
        let fixing = request.fixing.clone();
        let fixing = fixing.ok_or_else(|| refusal::invalid("fixing", "required"))?;
        if !request.signature.is_empty() || !request.oracle_public_key.is_empty() {
            return self.sign_value(&request, &fixing).await;
        }
        let kind = match wire::FixingKind::try_from(fixing.kind) {
            Ok(wire::FixingKind::Indicative) => FixingKind::Indicative,
            Ok(wire::FixingKind::Daily) => FixingKind::Daily,
            Ok(wire::FixingKind::Final | wire::FixingKind::Restatement) => {
                return Err(refusal::unimplemented(
                    "fixing.kind FINAL, and RESTATEMENT without a signature",
                ));
            }
            _ => return Err(refusal::invalid("fixing.kind", "INDICATIVE or DAILY")),
        };
        let index = index_of(&self.desk, &fixing.index_name)?;
        let round = fixing.round_id.max(0).unsigned_abs();
        let command = Command::SubmitFixing(SubmitFixing {
            index,
            kind,
            round,
            value: decimal(fixing.value, "fixing.value")?,
            day: day_of(&fixing)?,
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

    async fn submit_observation(
        &self,
        request: Request<wire::SubmitObservationRequest>,
    ) -> Reply<wire::SubmitObservationResponse> {
        caller(&request)?.need(Permission::Oracle)?;
        let request = request.into_inner();
        let seen = request.observation.as_ref();
        let seen = seen.ok_or_else(|| refusal::invalid("observation", "required"))?;
        let observation = words::observation(seen)?;
        let sequence = words::number(seen.sequence, "observation.sequence")?;
        let observed = Nanos(seen.observed_unix_nanos);
        let bytes = signed::report(&seen.feed_name, sequence, observed, &observation);
        let (key, sign) = (&request.oracle_public_key, &request.signature);
        let (public_key, signature) = checked(key, sign, &bytes)?;
        let report = Report {
            feed: words::feed_of(&self.desk, &seen.feed_name)?,
            sequence,
            observed,
            observation,
            public_key,
            signature,
        };
        let (answer, done) = self.run(Command::Report(Box::new(report))).await?;
        Ok(Response::new(wire::SubmitObservationResponse {
            journal_seq: position(&answer, &done),
            agreeing_oracles: count(done.count),
        }))
    }

    async fn submit_chain_header(
        &self,
        request: Request<wire::SubmitChainHeaderRequest>,
    ) -> Reply<wire::SubmitChainHeaderResponse> {
        caller(&request)?.need(Permission::Oracle)?;
        let request = request.into_inner();
        let header = Header {
            height: words::number(request.height, "height")?,
            hash: words::hash(&request.block_hash, "block_hash")?,
            bits: request.bits,
            time: Nanos(request.block_unix_nanos),
        };
        let depth = words::number(request.depth.into(), "depth")?;
        let depth = u32::try_from(depth).unwrap_or(u32::MAX);
        let bytes = signed::header(&request.coin, &header, depth);
        let (key, sign) = (&request.oracle_public_key, &request.signature);
        let (public_key, signature) = checked(key, sign, &bytes)?;
        let feed = words::feed_of(&self.desk, &request.coin)?;
        let word = SubmitHeader {
            feed,
            header,
            depth,
            public_key,
            signature,
        };
        let (answer, done) = self.run(Command::SubmitHeader(Box::new(word))).await?;
        let in_force = self.desk.state(|state| {
            let known = state.chain_header(&request.coin, header.height);
            known == Some(&header)
        });
        Ok(Response::new(wire::SubmitChainHeaderResponse {
            journal_seq: position(&answer, &done),
            agreeing_oracles: count(done.count),
            in_force,
        }))
    }

    async fn set_oracle_feed(
        &self,
        request: Request<wire::SetOracleFeedRequest>,
    ) -> Reply<wire::SetOracleFeedResponse> {
        let caller = Self::operator(&request)?;
        let command = registry::feed(&caller, request.into_inner())?;
        let (answer, done) = self.run(command).await?;
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::SetOracleFeedResponse { journal_seq }))
    }

    async fn set_oracle_source(
        &self,
        request: Request<wire::SetOracleSourceRequest>,
    ) -> Reply<wire::SetOracleSourceResponse> {
        let caller = Self::operator(&request)?;
        let command = registry::source(&self.desk, &caller, request.into_inner())?;
        let (answer, done) = self.run(command).await?;
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::SetOracleSourceResponse { journal_seq }))
    }

    async fn set_index_method(
        &self,
        request: Request<wire::SetIndexMethodRequest>,
    ) -> Reply<wire::SetIndexMethodResponse> {
        let caller = Self::operator(&request)?;
        let command = registry::method(&self.desk, &caller, request.into_inner())?;
        let (answer, done) = self.run(command).await?;
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::SetIndexMethodResponse { journal_seq }))
    }

    async fn list_oracle_feeds(
        &self,
        request: Request<wire::ListOracleFeedsRequest>,
    ) -> Reply<wire::ListOracleFeedsResponse> {
        caller(&request)?;
        let feeds = self.desk.state(|state| {
            let all = state.feeds().iter();
            all.map(registry::feed_out).collect()
        });
        Ok(Response::new(wire::ListOracleFeedsResponse { feeds }))
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
