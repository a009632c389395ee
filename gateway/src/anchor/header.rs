//! What goes to the chain: a header with what must be shown beside it, and where it comes from.
//!
//! Everything in a header is cumulative, so one header repairs any gap: after an outage of days there is
//! one to post, never a queue.

use std::fmt::Debug;

use engine::roots::chain::{ChainHeader, Tip, Top, Tops};
use revm::primitives::{B256, hex};
use serde::{Deserialize, Serialize};

use super::abi::{Part, Words, tuple};
use crate::proofs::Step;

/// A header with what must be shown beside it. In the log it is hex, as the engine encodes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Content {
    /// The header.
    pub header: ChainHeader,
    /// The children of its roots.
    pub tops: Tops,
    /// The last credited deposit; ignored if there is none.
    pub tip: Tip,
}

impl From<Content> for String {
    fn from(content: Content) -> Self {
        let parts = (content.header, content.tops, content.tip);
        let bytes = bincode::encode_to_vec(parts, bincode::config::standard());
        hex::encode(bytes.unwrap_or_default())
    }
}

impl TryFrom<String> for Content {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = hex::decode(text).map_err(|error| error.to_string())?;
        let decoded = bincode::decode_from_slice(&bytes, bincode::config::standard());
        let ((header, tops, tip), length) = decoded.map_err(|error| error.to_string())?;
        if length != bytes.len() {
            return Err("a header with more behind it".into());
        }
        Ok(Self { header, tops, tip })
    }
}

impl Content {
    /// The header's hash, as the contract computes it.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.header.hash().into()
    }

    /// The header as an argument.
    #[must_use]
    pub fn header_tuple(&self) -> Words {
        header_tuple(&self.header)
    }
}

/// A header as an argument.
#[must_use]
pub fn header_tuple(header: &ChainHeader) -> Words {
    // What is hashed is the tuple behind its name: two places and a text of two words.
    Words::new().raw(&header.bytes()[4 * 32..])
}

/// The children of the roots as an argument.
#[must_use]
pub fn tops_tuple(tops: &Tops) -> Words {
    let list = |tops: &[Top]| {
        let words = Words::new().number(tops.len() as u64);
        tops.iter().fold(words, |words, top| {
            words
                .word(top.left_hash.into())
                .wide(top.left_sum)
                .word(top.right_hash.into())
                .wide(top.right_sum)
        })
    };
    tuple(&[
        Part::Far(list(&tops.balances)),
        Part::Far(list(&tops.withdrawals)),
        Part::Here(Words::new().word(tops.positions.into())),
    ])
}

/// The last credited deposit as an argument.
#[must_use]
pub fn tip_tuple(tip: &Tip) -> Words {
    let totals = Words::new().number(tip.totals.len() as u64);
    let totals = tip
        .totals
        .iter()
        .fold(totals, |words, total| words.wide(*total));
    let owner = revm::primitives::Address::from(tip.owner);
    let fixed = Words::new()
        .word(tip.previous.into())
        .word(owner.into_word())
        .number(tip.asset.into())
        .wide(tip.amount);
    tuple(&[Part::Here(fixed), Part::Far(totals)])
}

/// Where the state of the exchange stands now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// Newest sealed epoch.
    pub epoch: u64,
    /// Its journal position.
    pub seq: u64,
    /// Somebody waits for a withdrawal, or for a served exit, to be anchored.
    pub urgent: bool,
}

/// Exit requests in the books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitCount {
    /// Taken from the chain.
    pub taken: u64,
    /// Of those, served, from the first on.
    pub served: u64,
}

/// The header that the next one stands behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Its hash; zero before the first.
    pub head: B256,
    /// Its epoch; 0 before the first, or if the log does not know it.
    pub epoch: u64,
    /// Exit requests that it claims as served.
    pub served: u64,
}

/// The exchange's side: what to anchor. The seam between the state trees and the chain.
pub trait Heads: Send + Debug {
    /// Where the exchange stands.
    fn newest(&mut self) -> Newest;
    /// The header of the newest epoch, as the anchor of a number, behind another one. None if there is nothing
    /// to anchor yet.
    ///
    /// # Errors
    /// Why it cannot be formed.
    fn content(&mut self, number: u64, behind: &Behind) -> Result<Option<Content>, String>;
    /// Exit requests, for people.
    fn exits(&mut self) -> ExitCount {
        ExitCount::default()
    }
    /// What happened to an epoch that was chosen.
    fn note(&mut self, epoch: u64, step: Step);
    /// The newest anchor is this old in seconds and the exchange is idle: an epoch is wanted all the same,
    /// or anybody may freeze the contract for silence.
    fn heartbeat(&mut self);
}
