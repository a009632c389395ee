//! What went wrong, as one sentence a person can act on.
//!
//! The details of a status decide, not its code: with the exchange's own `ErrorInfo` the command was
//! certainly not done; without it the answer came from the transport and the outcome is unknown.

use std::{fmt, time::Duration};

use proto::common::v1::{Problem, Reason};
use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Domain of the exchange's own error details.
const DOMAIN: &str = "hashpit";

/// Why a call or a session failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The address cannot be used.
    #[error(
        "{address:?} is not an address such as http://127.0.0.1:7070 ({})",
        root(cause)
    )]
    Address {
        /// As given.
        address: String,
        /// From the transport.
        cause: tonic::transport::Error,
    },
    /// Nobody answers there.
    #[error("no exchange answers at {address}; is it running? ({})", root(cause))]
    Connect {
        /// As given.
        address: String,
        /// From the transport.
        cause: tonic::transport::Error,
    },
    /// The exchange said no. Nothing was done.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The transport failed; a command may or may not have been done.
    #[error("{}", unknown(.0))]
    Unknown(Box<Status>),
    /// The session's stream ended or broke its own rules; resume it.
    #[error("session lost: {0}")]
    SessionLost(String),
    /// The answer lacks a part the contract promises.
    #[error("the exchange answered without {0}")]
    Incomplete(&'static str),
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        match Refusal::read(&status) {
            Some(refusal) => Self::Refused(Box::new(refusal)),
            None => Self::Unknown(Box::new(status)),
        }
    }
}

impl ClientError {
    /// The reason of a refusal, without its prefix; empty otherwise.
    pub fn reason(&self) -> &str {
        match self {
            Self::Refused(refusal) => &refusal.reason,
            _ => "",
        }
    }
}

/// A refusal in numbers and words. Certain: the command had no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the reason without `REASON_`, such as `PRICE_OUTSIDE_BAND`.
    pub reason: String,
    /// The exchange's own words; may be empty.
    pub message: String,
    /// Path of the offending field; may be empty.
    pub field: String,
    /// The limit that applied, as text in the unit of the field; empty = none given.
    pub limit: String,
    /// What was seen, in the same unit; empty = none given.
    pub actual: String,
    /// When the same request may be tried again; none = not unchanged.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Reads the exchange's details; none if the status is not the exchange's own.
    pub fn read(status: &Status) -> Option<Self> {
        let details = status.get_error_details();
        let info = details.error_info().filter(|i| i.domain == DOMAIN)?;
        let known = |name: &str| info.metadata.get(name).cloned().unwrap_or_default();
        let mut refusal = Self {
            reason: info.reason.clone(),
            message: status.message().to_owned(),
            field: known("field"),
            limit: known("limit"),
            actual: known("actual"),
            retry_after: details.retry_info().and_then(|r| r.retry_delay),
        };
        if let Some(bad) = details
            .bad_request()
            .and_then(|b| b.field_violations.first())
        {
            refusal.add(&bad.field, &bad.description);
        }
        if let Some(failed) = details
            .precondition_failure()
            .and_then(|p| p.violations.first())
        {
            refusal.add(&failed.subject, &failed.description);
        }
        if let Some(quota) = details.quota_failure().and_then(|q| q.violations.first()) {
            refusal.add("", &quota.description);
        }
        Some(refusal)
    }

    /// The in-band twin of [`Refusal::read`].
    pub fn from_problem(problem: &Problem) -> Self {
        let number = |n: i64| {
            let given = problem.limit != 0 || problem.actual != 0;
            if given { n.to_string() } else { String::new() }
        };
        Self {
            reason: reason_name(problem.reason),
            message: problem.message.clone(),
            field: problem.field.clone(),
            limit: number(problem.limit),
            actual: number(problem.actual),
            retry_after: u64::try_from(problem.retry_after_nanos)
                .ok()
                .filter(|nanos| *nanos > 0)
                .map(Duration::from_nanos),
        }
    }

    fn add(&mut self, field: &str, description: &str) {
        if self.field.is_empty() {
            self.field = field.to_owned();
        }
        if self.message.is_empty() {
            self.message = description.to_owned();
        } else if !description.is_empty() && !self.message.contains(description) {
            self.message = format!("{}; {description}", self.message);
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.reason)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        let mut facts = Vec::new();
        for (name, value) in [
            ("field", &self.field),
            ("limit", &self.limit),
            ("actual", &self.actual),
        ] {
            if !value.is_empty() {
                facts.push(format!("{name} {value}"));
            }
        }
        if let Some(wait) = self.retry_after {
            facts.push(format!("try again after {} ms", wait.as_millis()));
        }
        if !facts.is_empty() {
            write!(f, " ({})", facts.join(", "))?;
        }
        Ok(())
    }
}

/// Name of a reason number without its prefix; unknown numbers keep their number.
pub fn reason_name(number: i32) -> String {
    match Reason::try_from(number) {
        Ok(reason) => reason
            .as_str_name()
            .trim_start_matches("REASON_")
            .to_owned(),
        Err(_) => format!("REASON_{number}"),
    }
}

fn unknown(status: &Status) -> String {
    let words = match status.message() {
        "" => "no text".to_owned(),
        text => text.to_owned(),
    };
    let head = match status.code() {
        Code::Unauthenticated => "the exchange does not know this key or rejects its token",
        Code::PermissionDenied => "this key may not do that",
        Code::Unimplemented => "this exchange does not offer the call",
        Code::Unavailable => "the connection was lost; a command may or may not have been done",
        _ => "the call failed; a command may or may not have been done",
    };
    format!("{head} ({:?}: {words})", status.code())
}

/// The innermost cause: transport errors bury it three levels down.
fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use tonic_types::ErrorDetails;

    #[test]
    fn the_exchanges_own_details_make_a_sentence() {
        let facts = [("limit", "46200"), ("actual", "50000")];
        let facts: HashMap<String, String> =
            facts.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let mut details = ErrorDetails::with_error_info("PRICE_OUTSIDE_BAND", "hashpit", facts);
        details.add_precondition_failure_violation("BAND", "order.price_ticks", "above the band");
        let status = Status::with_error_details(Code::FailedPrecondition, "too high", details);
        assert_eq!(
            ClientError::from(status).to_string(),
            "refused: PRICE_OUTSIDE_BAND: too high; above the band \
             (field order.price_ticks, limit 46200, actual 50000)"
        );
    }

    #[test]
    fn a_bare_status_is_an_unknown_outcome() {
        let error = ClientError::from(Status::unavailable("reset"));
        assert!(error.to_string().contains("may or may not"));
        assert_eq!(error.reason(), "");
    }
}
