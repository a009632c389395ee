//! How the venue deals with accounts that do not hold enough.

use engine::{
    command::{Command, DefaultTerms},
    units::Ppm,
};
use proto::admin::v1 as wire;
use tonic::{Request, Response, Status};

use super::{Service, account_id, asked, position};

impl Service {
    /// Sets the terms of margin calls, liquidation and what follows.
    pub(super) async fn default_terms(
        &self,
        request: Request<wire::SetDefaultTermsRequest>,
    ) -> Result<Response<wire::SetDefaultTermsResponse>, Status> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let body = DefaultTerms {
            reach: Ppm(request.reach_ppm),
            slice: Ppm(request.slice_ppm),
            pause_ms: request.pause_ms,
            tries: request.tries,
            offer_ms: request.offer_ms,
            offer_reach: Ppm(request.offer_reach_ppm),
            debt_cap: request.debt_cap_minor,
            backstop: account_id(request.backstop_account_id),
        };
        let command =
            Command::SetDefaultTerms(asked(&caller, request.request_id, &request.note, body)?);
        let (answer, done) = self.run(command).await?;
        Ok(Response::new(wire::SetDefaultTermsResponse {
            journal_seq: position(&answer, &done),
        }))
    }
}
