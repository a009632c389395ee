//! Pages: a bounded size and an opaque place to go on from.

use engine::reason::{Field, Problem, Reason};
use tonic::Status;

use crate::refusal;

/// Rows of a page when the caller does not say.
const DEFAULT: usize = 100;
/// Most rows of a page.
const MOST: i32 = 1_000;

/// Rows of a page.
///
/// # Errors
/// Outside 0..=1000, with the limit.
pub fn size(wished: i32) -> Result<usize, Status> {
    match wished {
        0 => Ok(DEFAULT),
        1..=MOST => Ok(wished.unsigned_abs() as usize),
        _ => {
            let (limit, actual) = (i64::from(MOST), i64::from(wished));
            Err(refusal::status(&Problem::limit(
                Reason::InvalidField,
                Field::Limit,
                limit,
                actual,
            )))
        }
    }
}

/// Position after which a page begins; 0 for the first.
///
/// # Errors
/// If the token is not one of ours.
pub fn position(token: &str) -> Result<u64, Status> {
    if token.is_empty() {
        return Ok(0);
    }
    token
        .parse()
        .map_err(|_| refusal::invalid("page_token", "not a token of this listing"))
}
