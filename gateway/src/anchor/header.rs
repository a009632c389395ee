//! What goes to the chain: a header, its hash, and where it comes from.
//!
//! Everything in a header is cumulative, so one header repairs any gap: after an outage of days there is
//! one to post, never a queue.

use std::fmt::Debug;

use revm::primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};

use super::abi::Words;

/// The state of the exchange at an epoch mark, as the contract takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Epoch, grows with every anchor.
    pub epoch: u64,
    /// Journal position of the epoch mark.
    pub seq: u64,
    /// Its time, seconds since 1970.
    pub time: u64,
    /// Deposits credited.
    pub deposit_count: u64,
    /// Exit requests served.
    pub forced_count: u64,
    /// Withdrawals issued.
    pub withdraw_count: u64,
    /// Hash of the header before; zero for the first.
    pub prev: B256,
    /// Root of the state trees.
    pub state_root: B256,
    /// All that accounts have, wei.
    pub liabilities: u128,
    /// All that was ever issued as withdrawals, wei.
    pub withdraw_total: u128,
    /// Root of the withdrawals.
    pub withdraw_root: B256,
    /// BLAKE3 chain value of the journal after the epoch mark.
    pub journal_head: B256,
    /// Root of the fills.
    pub fills_root: B256,
    /// The contract's deposit chain at `deposit_count`.
    pub deposit_acc: B256,
}

impl Header {
    /// `keccak(abi.encode("hashpit/header/v1", header))`, as the contract computes it.
    #[must_use]
    pub fn hash(&self) -> B256 {
        const NAME: &str = "hashpit/header/v1";
        let fields = self.words();
        let offset = 32 + fields.len() as u64;
        let words = Words::new().number(offset).raw(&fields).text(NAME);
        keccak256(words.bytes())
    }

    /// Its fields, a word each.
    #[must_use]
    pub fn words(&self) -> Vec<u8> {
        Words::new()
            .number(self.epoch)
            .number(self.seq)
            .number(self.time)
            .number(self.deposit_count)
            .number(self.forced_count)
            .number(self.withdraw_count)
            .word(self.prev)
            .word(self.state_root)
            .wide(self.liabilities)
            .wide(self.withdraw_total)
            .word(self.withdraw_root)
            .word(self.journal_head)
            .word(self.fills_root)
            .word(self.deposit_acc)
            .bytes()
            .to_vec()
    }
}

/// One link of the contract's deposit chain: what a header's last credited deposit is shown with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The chain before it.
    pub previous: B256,
    /// Who deposited.
    pub owner: Address,
    /// How much, wei.
    pub amount: u128,
    /// All deposits up to and with this one, wei.
    pub total: u128,
}

impl Link {
    /// The chain after it: `keccak(abi.encode("hashpit/deposit/v1", previous, id, owner, amount, total))`.
    #[must_use]
    pub fn acc(&self, id: u64) -> B256 {
        let words = Words::new()
            .number(6 * 32)
            .word(self.previous)
            .number(id)
            .word(self.owner.into_word())
            .wide(self.amount)
            .wide(self.total)
            .text("hashpit/deposit/v1");
        keccak256(words.bytes())
    }
}

/// A header with what must be shown beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The header.
    pub header: Header,
    /// The last credited deposit; ignored if there is none.
    pub tip: Link,
}

/// Where the state of the exchange stands now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// Newest sealed epoch.
    pub epoch: u64,
    /// Its journal position.
    pub seq: u64,
    /// Somebody waits for a withdrawal to be anchored.
    pub urgent: bool,
}

/// The exchange's side: what to anchor. The seam between the state trees and the chain.
pub trait Heads: Send + Debug {
    /// Where the exchange stands.
    fn newest(&mut self) -> Newest;
    /// The header of the newest epoch, as the anchor of a number, linked to the one before. None if there
    /// is nothing to anchor yet.
    ///
    /// # Errors
    /// Why it cannot be formed.
    fn content(&mut self, number: u64, previous: B256) -> Result<Option<Content>, String>;
}
