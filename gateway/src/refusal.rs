//! Saying no, in the words of the wire: reason, field, limit, what was seen, and a sentence.
//!
//! The detail, not the status code, tells "refused" from "outcome unknown": every refusal of ours
//! carries `ErrorInfo` with the domain `hashpit` (api.md G9).

use std::{collections::HashMap, time::Duration};

use engine::{
    pipeline::Refusal,
    reason::{Field, Problem, Reason},
};
use proto::common::v1 as wire;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Domain of our error details.
pub const DOMAIN: &str = "hashpit";
/// Earliest sensible retry after an overload.
const RETRY: Duration = Duration::from_millis(5);

/// Path of a field in an order request; other requests use the same names.
#[must_use]
pub fn path(field: Field) -> &'static str {
    match field {
        Field::None => "",
        Field::ClientOrderId => "client_order_id",
        Field::Instrument => "instrument_id",
        Field::Side => "side",
        Field::OrderType => "order_type",
        Field::TimeInForce => "time_in_force",
        Field::Price => "price_ticks",
        Field::Quantity => "quantity_lots",
        Field::PostOnly => "post_only",
        Field::ReduceOnly => "reduce_only",
        Field::Expire => "expire_unix_nanos",
        Field::Account => "account_id",
        Field::Asset => "asset_id",
        Field::Amount => "amount",
        Field::Symbol => "symbol",
        Field::Target => "target",
        Field::State => "target_state",
        Field::Request => "request_id",
        Field::Window => "delivery_window",
        Field::Margin => "margin",
        Field::Fee => "fee_ppm",
        Field::Band => "band_basis_points",
        Field::Limit => "limits",
        Field::Index => "index_name",
        Field::Round => "round_id",
        Field::Value => "value",
        Field::Session => "session_name",
        Field::Key => "key_id",
        Field::Name => "name",
        Field::Commodity => "commodity_id",
        Field::Firm => "firm_id",
        Field::Product => "product_id",
        Field::Rail => "rail",
        Field::Transfer => "transfer_id",
        Field::Version => "version",
        Field::Timer => "cancel_after_ms",
        Field::Grace => "disconnect_grace_ms",
        Field::Lot => "lot_hashes_per_second",
        Field::TickSize => "tick_size",
        Field::LastTrade => "last_trade_unix_nanos",
        Field::Display => "display_lots",
        Field::MinFill => "min_fill_lots",
        Field::Trigger => "trigger_price_ticks",
        Field::MmpGroup => "mmp_group",
        Field::Slot => "slot",
        Field::Volatility => "volatility_move_ppm",
        Field::Items => "items",
        Field::Legs => "legs",
        Field::Cascade => "cascade_instrument_ids",
        Field::Feed => "feed_name",
        Field::Observed => "observed_unix_nanos",
        Field::Sequence => "sequence",
        Field::Source => "required_sources",
        Field::Height => "height",
        Field::Depth => "depth",
        Field::Formula => "formula",
        Field::Meter => "meter_id",
        Field::Destination => "destination",
        Field::Obligation => "obligation_id",
        Field::Interval => "interval_start_unix_nanos",
        Field::Capacity => "attested_ths",
        Field::Dispute => "dispute_id",
        Field::Rules => "rules",
        Field::Owner => "l2_owner",
    }
}

/// Name of a reason on the wire, without its prefix.
#[must_use]
pub fn name(reason: Reason) -> &'static str {
    wire::Reason::try_from(reason.number()).map_or("UNSPECIFIED", |known| {
        known.as_str_name().trim_start_matches("REASON_")
    })
}

/// A sentence for people; bots read the numbers.
#[must_use]
pub fn sentence(problem: &Problem) -> String {
    let mut text = name(problem.reason).to_ascii_lowercase().replace('_', " ");
    let field = path(problem.field);
    if !field.is_empty() {
        text += &format!(" ({field})");
    }
    if problem.limit != 0 || problem.actual != 0 {
        text += &format!(": limit {}, got {}", problem.limit, problem.actual);
    }
    text
}

/// A problem as a message.
#[must_use]
pub fn problem(problem: &Problem) -> wire::Problem {
    wire::Problem {
        reason: problem.reason.number(),
        message: sentence(problem),
        field: path(problem.field).into(),
        limit: problem.limit,
        actual: problem.actual,
        retry_after_nanos: retry_after(problem.reason)
            .map_or(0, |after| i64::try_from(after.as_nanos()).unwrap_or(0)),
    }
}

fn retry_after(reason: Reason) -> Option<Duration> {
    matches!(reason, Reason::Overloaded | Reason::RateLimited).then_some(RETRY)
}

/// The status code that scripts expect for a reason.
#[must_use]
pub fn code(reason: Reason) -> Code {
    use Reason as R;
    match reason {
        R::AuthenticationFailed => Code::Unauthenticated,
        R::NotAuthorized => Code::PermissionDenied,
        R::InvalidField
        | R::UnsupportedCombination
        | R::ExpireTimeInvalid
        | R::TooManyItems
        | R::ClientSeqGap
        | R::NotEstablished => Code::InvalidArgument,
        R::UnknownInstrument | R::UnknownOrder | R::NotFound | R::UnknownEpoch | R::EpochPruned => {
            Code::NotFound
        }
        R::DuplicateClientOrderId | R::AlreadyExists | R::RequestIdConflict => Code::AlreadyExists,
        R::RateLimited | R::Overloaded | R::SlowConsumer | R::DiskFull => Code::ResourceExhausted,
        R::ServerDraining => Code::Unavailable,
        R::VersionMismatch | R::SessionFenced => Code::Aborted,
        R::NotImplemented => Code::Unimplemented,
        _ => Code::FailedPrecondition,
    }
}

/// A problem as the status of a failed unary call.
#[must_use]
pub fn status(problem: &Problem) -> Status {
    let code = code(problem.reason);
    let (field, text) = (path(problem.field), sentence(problem));
    let metadata = HashMap::from([
        ("field".to_owned(), field.to_owned()),
        ("limit".to_owned(), problem.limit.to_string()),
        ("actual".to_owned(), problem.actual.to_string()),
    ]);
    let mut details = ErrorDetails::with_error_info(name(problem.reason), DOMAIN, metadata);
    match code {
        Code::InvalidArgument if !field.is_empty() => {
            details.add_bad_request_violation(field, text.clone());
        }
        Code::FailedPrecondition => {
            details.add_precondition_failure_violation(name(problem.reason), field, text.clone());
        }
        Code::NotFound | Code::AlreadyExists => {
            details.set_resource_info(field, problem.actual.to_string(), "", text.clone());
        }
        _ => {}
    }
    if let Some(after) = retry_after(problem.reason) {
        details.set_retry_info(Some(after));
    }
    Status::with_error_details(code, text, details)
}

/// A refusal without numbers, as a status.
#[must_use]
pub fn no(reason: Reason) -> Status {
    status(&Problem::new(reason))
}

/// A refusal about a field, as a status.
#[must_use]
pub fn about(reason: Reason, field: Field) -> Status {
    status(&Problem::about(reason, field))
}

/// A field that is missing or illegal, with its own path and a sentence.
#[must_use]
pub fn invalid(field: &str, why: &str) -> Status {
    let text = format!("invalid field ({field}): {why}");
    let metadata = HashMap::from([("field".to_owned(), field.to_owned())]);
    let mut details = ErrorDetails::with_error_info(name(Reason::InvalidField), DOMAIN, metadata);
    details.add_bad_request_violation(field, why);
    Status::with_error_details(Code::InvalidArgument, text, details)
}

/// Part of the contract that this build does not serve.
#[must_use]
pub fn unimplemented(what: &str) -> Status {
    let details = ErrorDetails::with_error_info(
        name(Reason::NotImplemented),
        DOMAIN,
        HashMap::from([("what".to_owned(), what.to_owned())]),
    );
    let text = format!("{what} is not served by this build yet");
    Status::with_error_details(Code::Unimplemented, text, details)
}

/// The intake said no.
#[must_use]
pub fn intake(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Overloaded => no(Reason::Overloaded),
        Refusal::DiskFull => no(Reason::DiskFull),
        Refusal::Stopped => no(Reason::ServerDraining),
    }
}
