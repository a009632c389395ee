//! Pages of long answers: a size with a limit, and a token that names the last row shown.
//!
//! A token is opaque to clients and only good for the list that handed it out.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use engine::reason::Reason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::refusal;

/// Rows of a page when the client does not say.
const USUAL: usize = 100;
/// Rows of the largest page.
pub const LARGEST: i32 = 1_000;

/// The lists that have pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the methods")]
#[repr(u8)]
pub enum List {
    Assets = 1,
    Commodities = 2,
    Indexes = 3,
    Instruments = 4,
    Ledger = 5,
    Transfers = 6,
    Trades = 7,
    Orders = 8,
    Fills = 9,
    Firms = 10,
    Accounts = 11,
    Keys = 12,
    Switches = 13,
    MmpGroups = 14,
    Destinations = 15,
    Obligations = 16,
    Settlements = 17,
    Epochs = 18,
}

/// Which page is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    list: List,
    size: usize,
    /// Key of the last row of the page before; 0 = this is the first page.
    pub after: u64,
}

impl Page {
    /// From a request's `page_size` and `page_token`.
    ///
    /// # Errors
    /// INVALID_FIELD with the limit for a size out of range, or for a token of another list.
    pub fn read(list: List, size: i32, token: &str) -> Result<Self, Status> {
        let size = match usize::try_from(size) {
            Ok(0) => USUAL,
            Ok(asked) if size <= LARGEST => asked,
            _ => return Err(beyond("page_size", LARGEST.into(), size.into())),
        };
        let after = if token.is_empty() {
            0
        } else {
            key_in(list, token).ok_or_else(|| {
                refusal::invalid("page_token", "not a token that this list handed out")
            })?
        };
        Ok(Self { list, size, after })
    }

    /// Takes one page off the front of rows that come after [`Self::after`] already; answers with the
    /// token of the next page, empty if there is none.
    pub fn cut<T>(
        &self,
        mut rows: impl Iterator<Item = T>,
        key: impl Fn(&T) -> u64,
    ) -> (Vec<T>, String) {
        let page: Vec<T> = rows.by_ref().take(self.size).collect();
        let next = match page.last() {
            Some(last) if rows.next().is_some() => token(self.list, key(last)),
            _ => String::new(),
        };
        (page, next)
    }
}

/// The token of the page after the row with this key.
fn token(list: List, key: u64) -> String {
    let mut bytes = vec![list as u8];
    bytes.extend_from_slice(&key.to_le_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key_in(list: List, token: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (tag, key) = bytes.split_first()?;
    let key = u64::from_le_bytes(key.try_into().ok()?);
    (*tag == list as u8).then_some(key)
}

/// A number outside its range, with field, limit and what was seen.
#[must_use]
pub fn beyond(field: &str, limit: i64, actual: i64) -> Status {
    let text = format!("invalid field ({field}): limit {limit}, got {actual}");
    let metadata = HashMap::from([
        ("field".to_owned(), field.to_owned()),
        ("limit".to_owned(), limit.to_string()),
        ("actual".to_owned(), actual.to_string()),
    ]);
    let reason = refusal::name(Reason::InvalidField);
    let mut details = ErrorDetails::with_error_info(reason, refusal::DOMAIN, metadata);
    details.add_bad_request_violation(field, text.clone());
    Status::with_error_details(Code::InvalidArgument, text, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_chain_until_the_rows_end() -> Result<(), Status> {
        let rows: Vec<u64> = (1..=25).collect();
        let (mut seen, mut next) = (Vec::new(), String::new());
        for turn in 0.. {
            let page = Page::read(List::Assets, 10, &next)?;
            let rest = rows.iter().copied().filter(|row| *row > page.after);
            let (shown, token) = page.cut(rest, |row| *row);
            seen.extend(shown);
            next = token;
            if next.is_empty() {
                assert_eq!(turn, 2);
                break;
            }
        }
        assert_eq!(seen, rows);
        Ok(())
    }

    #[test]
    fn sizes_and_tokens_out_of_range_are_refused() {
        assert!(Page::read(List::Assets, 1_000, "").is_ok());
        let usual = Page::read(List::Assets, 0, "").map(|page| page.size);
        assert_eq!(usual.ok(), Some(100));
        for size in [-1, 1_001, i32::MAX, i32::MIN] {
            let code = Page::read(List::Assets, size, "").map_err(|status| status.code());
            assert_eq!(code, Err(Code::InvalidArgument), "{size}");
        }
        let foreign = token(List::Trades, 7);
        assert!(Page::read(List::Trades, 1, &foreign).is_ok());
        for text in [foreign.as_str(), "x", "!!!!"] {
            assert!(Page::read(List::Assets, 1, text).is_err(), "{text}");
        }
    }
}
