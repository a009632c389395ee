//! Margin of a family of forwards.

use engine::command::Command;
use proto::admin::v1 as wire;
use tonic::{Request, Response, Status};

use super::{Service, asked, position};
use crate::translate;

impl Service {
    /// Sets the margin method of a family.
    pub(super) async fn margin_method(
        &self,
        request: Request<wire::SetMarginMethodRequest>,
    ) -> Result<Response<wire::SetMarginMethodResponse>, Status> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let body = translate::margins::method(request.method)?;
        let command =
            Command::SetMarginMethod(asked(&caller, request.request_id, &request.note, body)?);
        let (answer, done) = self.run(command).await?;
        Ok(Response::new(wire::SetMarginMethodResponse {
            journal_seq: position(&answer, &done),
            contracts_changed: i32::try_from(done.count).unwrap_or(i32::MAX),
        }))
    }
}
