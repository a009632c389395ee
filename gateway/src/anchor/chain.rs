//! What anchoring asks of a chain, and nothing more.
//!
//! Blocking calls, made on the anchor's own thread, never on the core's. Whatever is read together in one
//! [`Chain::read`] belongs to one block. No answer is believed because it came: [`super::agree`] asks
//! several endpoints, and truth is the contract at the finalized block.

use std::fmt::Debug;

use revm::primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

/// Which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The newest.
    Latest,
    /// The newest that the chain's settings call final.
    Finalized,
    /// This one.
    Number(u64),
}

/// A block's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Hash of the block before.
    pub parent: B256,
    /// Seconds since 1970.
    pub time: u64,
}

/// A question to a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who asks.
    pub from: Address,
    /// Which contract.
    pub to: Address,
    /// What, encoded.
    pub data: Bytes,
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Encoded values.
    Returned(Bytes),
    /// The contract refused, with its encoded error, or the node's words.
    Reverted(Bytes, String),
}

/// What a chain says about one account and one contract at one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The block.
    pub block: Block,
    /// The account's next nonce.
    pub nonce: u64,
    /// The account's coins, wei.
    pub balance: U256,
    /// Answers to the calls, in order.
    pub answers: Vec<Answer>,
}

/// Something that a contract told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Log {
    /// Block number.
    pub block: u64,
    /// Place in the block.
    pub index: u64,
    /// Block hash.
    pub block_hash: B256,
    /// Transaction.
    pub transaction: B256,
    /// Which contract.
    pub address: Address,
    /// Event and its indexed fields.
    pub topics: Vec<B256>,
    /// Its other fields, encoded.
    pub data: Bytes,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Block number.
    pub block: u64,
    /// Block hash.
    pub block_hash: B256,
    /// False if it was refused; the fee is gone all the same.
    pub success: bool,
    /// Gas used.
    pub gas_used: u64,
    /// Contract made by it.
    pub created: Option<Address>,
}

/// What a node says to a transaction. Only the last two need anybody's attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Taken.
    Accepted,
    /// It has it already.
    Known,
    /// Its nonce is used: this transaction or another one was mined.
    NonceTooLow,
    /// Another one with its nonce waits, and the price is not enough to replace it.
    Underpriced,
    /// Not enough coins for value and gas.
    NoFunds,
    /// Anything else, in the node's words.
    Refused(String),
}

/// Why a chain gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Nobody there, or not in time.
    #[error("{endpoint} gives no answer: {why}")]
    Unreachable {
        /// Which endpoint.
        endpoint: String,
        /// Why.
        why: String,
    },
    /// An answer that cannot be one.
    #[error("{endpoint} answers nonsense: {what}")]
    Nonsense {
        /// Which endpoint.
        endpoint: String,
        /// What.
        what: String,
    },
    /// The chain does not have what was asked for.
    #[error("{endpoint} does not have {what}")]
    Missing {
        /// Which endpoint.
        endpoint: String,
        /// What.
        what: String,
    },
    /// Endpoints contradict each other. Somebody lies or is on a fork: nothing may be believed.
    #[error("endpoints disagree about {what}: {one} says {first}, {other} says {second}")]
    Disagree {
        /// About what.
        what: String,
        /// One endpoint.
        one: String,
        /// What it says.
        first: String,
        /// Another.
        other: String,
        /// What that says.
        second: String,
    },
    /// Fewer endpoints answer than must agree.
    #[error("{answering} of {needed} endpoints that must agree answer; {why}")]
    TooFew {
        /// How many answer.
        answering: usize,
        /// How many must.
        needed: usize,
        /// What the others said.
        why: String,
    },
}

impl ChainError {
    /// Whether somebody lies, rather than being away.
    #[must_use]
    pub fn is_contradiction(&self) -> bool {
        matches!(self, Self::Disagree { .. } | Self::Nonsense { .. })
    }
}

/// A chain, or one endpoint of it.
pub trait Chain: Send + Sync + Debug {
    /// What to call it in a message; no secrets in it.
    fn name(&self) -> String;
    /// The chain's number (EIP-155).
    ///
    /// # Errors
    /// No answer.
    fn chain_id(&self) -> Result<u64, ChainError>;
    /// A block's head.
    ///
    /// # Errors
    /// No answer, or no such block.
    fn block(&self, at: At) -> Result<Block, ChainError>;
    /// Keccak of a contract's code; of nothing if there is none.
    ///
    /// # Errors
    /// No answer.
    fn code_hash(&self, contract: Address) -> Result<B256, ChainError>;
    /// Nonce, coins and answers, all at one block.
    ///
    /// # Errors
    /// No answer, or no state of that block any more.
    fn read(&self, at: At, account: Address, calls: &[Call]) -> Result<Reading, ChainError>;
    /// What a contract told in these blocks, ends included, in the chain's order; only logs whose first
    /// topic is `event`.
    ///
    /// # Errors
    /// No answer.
    fn logs(
        &self,
        contract: Address,
        event: B256,
        from: u64,
        to: u64,
    ) -> Result<Vec<Log>, ChainError>;
    /// What a unit of gas costs now, wei.
    ///
    /// # Errors
    /// No answer.
    fn gas_price(&self) -> Result<u128, ChainError>;
    /// Hands a signed transaction to the network.
    ///
    /// # Errors
    /// No answer: it may or may not have been taken.
    fn send(&self, raw: &[u8]) -> Result<Sent, ChainError>;
    /// What became of a transaction; none if it is not mined.
    ///
    /// # Errors
    /// No answer.
    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError>;
}
