//! The archive as bytes and back: what a snapshot keeps beside the state, so that a start from it answers
//! for the past as a start from the beginning would.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
};

use bincode::{Decode, Encode};
use engine::ids::Seq;

use super::Archive;

/// First in the bytes. Goes up whenever they change; `tests/suite/snapshots/state.rs` has their print.
const VERSION: u32 = 2;

/// Little-endian, fixed integers, as everywhere.
fn encoding() -> impl bincode::config::Config {
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
}

/// A map's rows in the order of their keys, so that equal archives have equal bytes.
fn sorted<K: Ord, V>(map: &HashMap<K, V>) -> BTreeMap<&K, &V> {
    map.iter().collect()
}

fn put(value: &impl Encode, bytes: &mut Vec<u8>) {
    let written = bincode::encode_into_std_write(value, bytes, encoding());
    assert!(written.is_ok(), "encoding into memory: {written:?}");
}

fn take<T: Decode<()>>(bytes: &mut &[u8], what: &str) -> Result<T, String> {
    let (value, used) = bincode::decode_from_slice(bytes, encoding())
        .map_err(|error| format!("the saved history's {what}: {error}"))?;
    *bytes = bytes.get(used..).unwrap_or_default();
    Ok(value)
}

type Rows<K, V> = HashMap<K, VecDeque<V>>;

fn take_rows<K: Decode<()> + Eq + Hash, V: Decode<()>>(
    bytes: &mut &[u8],
    what: &str,
) -> Result<Rows<K, V>, String> {
    take(bytes, what)
}

fn length<K, V>(lists: &Rows<K, V>) -> usize {
    lists.values().map(VecDeque::len).sum()
}

impl Archive {
    /// Everything but the recent events, which are in the journal.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let Self {
            base: _,
            recent: _,
            recent_events: _,
            sessions,
            fills,
            postings,
            trades,
            resets,
            switches,
            statements,
            rows: _,
            halvings,
        } = self;
        let mut bytes = Vec::new();
        put(&VERSION, &mut bytes);
        put(halvings, &mut bytes);
        put(&sorted(sessions), &mut bytes);
        put(&sorted(fills), &mut bytes);
        put(&sorted(postings), &mut bytes);
        put(&sorted(trades), &mut bytes);
        put(&sorted(resets), &mut bytes);
        put(&sorted(switches), &mut bytes);
        put(statements, &mut bytes);
        bytes
    }

    /// What was saved when the journal stood at `base`.
    ///
    /// # Errors
    /// Which part cannot be read, and why.
    pub fn load(mut bytes: &[u8], base: Seq) -> Result<Self, String> {
        let from = &mut bytes;
        let version: u32 = take(from, "version")?;
        if version != VERSION {
            return Err(format!(
                "the saved history is of version {version}, and this program reads {VERSION}"
            ));
        }
        let halvings = take(from, "length of lists")?;
        let mut archive = Self {
            rows: 0,
            halvings,
            base,
            recent: VecDeque::new(),
            recent_events: 0,
            sessions: take_rows(from, "sessions")?,
            fills: take_rows(from, "fills")?,
            postings: take_rows(from, "postings")?,
            trades: take_rows(from, "trades")?,
            resets: take_rows(from, "resets")?,
            switches: take(from, "switches")?,
            statements: take(from, "statements")?,
        };
        if !bytes.is_empty() {
            return Err(format!(
                "the saved history has {} bytes too many",
                bytes.len()
            ));
        }
        archive.rows = length(&archive.fills) + length(&archive.postings) + length(&archive.trades);
        Ok(archive)
    }

    /// A copy that takes no part in answering for recent events.
    #[must_use]
    pub fn without_recent(&self) -> Self {
        Self {
            base: self.newest(),
            recent: VecDeque::new(),
            recent_events: 0,
            ..self.clone()
        }
    }
}
