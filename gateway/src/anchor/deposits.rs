//! Deposits: from final blocks of the contract into the exchange, each exactly once and in order.
//!
//! The watcher remembers nothing. Where it stands is the receiver's cursor, which is part of the receiver's
//! own durable state; so a restart anywhere repeats nothing and leaves nothing out. A deposit is handed over
//! only if enough endpoints tell the same logs in the same final blocks, its number is the next one, and its
//! link in the contract's chain of deposits holds, recomputed here. If the chain at a final block is not the
//! one that was credited, finality was broken: nothing more is credited, and a person is called.

use std::{fmt::Debug, sync::Arc};

use engine::command::ChainDeposit;
use revm::primitives::{Address, B256};

use super::{
    chain::{At, Chain, ChainError},
    contract::Contract,
};

/// How many deposits were credited, and the contract's chain after the last of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Deposits credited; the next one has this number.
    pub count: u64,
    /// The contract's deposit chain there.
    pub acc: B256,
    /// Block of the last one; 0 if there is none.
    pub block: u64,
}

/// Who credits: the core, by a numbered and journaled command.
pub trait DepositSink: Send + Debug {
    /// Where it stands, from its own durable state.
    ///
    /// # Errors
    /// Why it cannot say.
    fn cursor(&self) -> Result<Cursor, String>;
    /// Takes the next deposit; durable on return. It checks number and chain itself and refuses any other.
    ///
    /// # Errors
    /// Why it does not take it; it will be offered again.
    fn credit(&mut self, deposit: &ChainDeposit) -> Result<(), String>;
}

/// Why no deposits come in.
#[derive(Debug, thiserror::Error)]
pub enum DepositError {
    /// The chain gives no answer, or more than one.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Credited deposits are not on the chain any more.
    #[error(
        "finality was broken: {count} deposits with the chain {credited} were credited, a final block has \
         {found_count} with {found}"
    )]
    FinalityBroken {
        /// How many were credited.
        count: u64,
        /// The chain that was credited.
        credited: B256,
        /// How many there are.
        found_count: u64,
        /// The chain there.
        found: B256,
    },
    /// Logs that do not continue the chain.
    #[error("the logs do not continue the chain of deposits at number {id}: {what}")]
    Broken {
        /// The number that comes next.
        id: u64,
        /// What is wrong.
        what: String,
    },
    /// The exchange does not take it.
    #[error("deposit {id} is not taken: {why}")]
    Refused {
        /// Its number.
        id: u64,
        /// Why.
        why: String,
    },
}

impl DepositError {
    /// Whether a person must look.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        match self {
            Self::Chain(error) => error.is_contradiction(),
            Self::FinalityBroken { .. } | Self::Broken { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}

/// The watcher. See the module's page.
#[derive(Debug)]
pub struct Watcher {
    chain: Arc<dyn Chain>,
    contract: Contract,
    first_block: u64,
    /// Blocks asked for at once.
    span: u64,
}

/// Blocks asked for at once; public nodes refuse much more.
pub const SPAN: u64 = 2_000;
/// Deposits handed over in one turn, so that a turn ends.
const TURN_MAX: usize = 1_000;

impl Watcher {
    /// Watches a contract that was deployed in `first_block` or later.
    #[must_use]
    pub fn new(chain: Arc<dyn Chain>, contract: Contract, first_block: u64) -> Self {
        Self {
            chain,
            contract,
            first_block,
            span: SPAN,
        }
    }

    /// Hands over what became final since the last turn, and says how many that was.
    ///
    /// # Errors
    /// Why it does not go on; what was handed over before stays.
    pub fn turn(&self, sink: &mut dyn DepositSink) -> Result<u64, DepositError> {
        let refused = |id: u64| move |why: String| DepositError::Refused { id, why };
        let cursor = sink.cursor().map_err(refused(0))?;
        let reading = self
            .chain
            .read(At::Finalized, Address::ZERO, &self.contract.reads())?;
        let standing = self
            .contract
            .standing(&reading.answers, &self.chain.name())?;
        let there = (standing.deposits, standing.deposit_acc);
        if there == (cursor.count, cursor.acc) {
            return Ok(0);
        }
        let broken = DepositError::FinalityBroken {
            count: cursor.count,
            credited: cursor.acc,
            found_count: there.0,
            found: there.1,
        };
        if there.0 <= cursor.count {
            return Err(broken);
        }
        let found = self.collect(&cursor, reading.block.number)?;
        // All of them at once must reach the contract's own chain, before the first is credited.
        if let Some(last) = found.last()
            && last.id + 1 == there.0
            && there.1 != last.chain
        {
            return Err(broken);
        }
        if found.len() < TURN_MAX && cursor.count + found.len() as u64 != there.0 {
            return Err(DepositError::Broken {
                id: cursor.count + found.len() as u64,
                what: format!(
                    "the contract counts {} deposits, the logs end before",
                    there.0
                ),
            });
        }
        for deposit in &found {
            sink.credit(deposit).map_err(refused(deposit.id))?;
        }
        Ok(found.len() as u64)
    }

    /// The deposits behind the cursor, in order, each linked to the one before.
    fn collect(&self, cursor: &Cursor, until: u64) -> Result<Vec<ChainDeposit>, DepositError> {
        let mut found: Vec<ChainDeposit> = Vec::new();
        let mut acc = cursor.acc;
        let mut next = cursor.count;
        let mut from = cursor.block.max(self.first_block);
        while from <= until && found.len() < TURN_MAX {
            let to = until.min(from + self.span - 1);
            for log in self
                .chain
                .logs(self.contract.vault, Contract::deposit_event(), from, to)?
            {
                let broken = |what: &str| DepositError::Broken {
                    id: next,
                    what: what.into(),
                };
                let (deposit, tip) = Contract::deposit(&log, acc)
                    .ok_or_else(|| broken("a log that does not read"))?;
                if deposit.id < cursor.count {
                    continue;
                }
                if deposit.id != next {
                    return Err(broken(&format!("number {} comes instead", deposit.id)));
                }
                if tip.chained(deposit.id) != deposit.chain {
                    return Err(broken("its link does not hold"));
                }
                if found.len() == TURN_MAX {
                    return Ok(found);
                }
                (acc, next) = (deposit.chain.into(), next + 1);
                found.push(deposit);
            }
            from = to + 1;
        }
        Ok(found)
    }
}
