//! Exit requests: from final blocks of the registry into the exchange, each exactly once and in order.
//!
//! As with deposits, the watcher remembers nothing: where it stands is the receiver's own durable state. What
//! a log tells is believed only if the registry itself, asked at a final block, holds the hash of it; so a
//! request that was left out, put in or changed on the way is none. If the registry does not hold what was
//! taken last, finality was broken, and a person is called.

use std::{fmt::Debug, sync::Arc};

use engine::{command::ServeExit, ids::AccountId};
use revm::primitives::{Address, B256, keccak256};

use super::{
    abi::{Reader, Words},
    chain::{Answer, At, Call, Chain, ChainError, Log},
    contract::Contract,
    deposits::SPAN,
};

/// Exit requests handed over in one turn, so that a turn ends.
const TURN_MAX: usize = 64;
/// Longest time for calls and begun deliveries, seconds; a quarter of the registry's deadline if that is shorter.
const PATIENCE_MAX: u64 = 86_400;

/// A request as the registry has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filed {
    /// Number of the account.
    pub account: u32,
    /// Who asked.
    pub owner: Address,
    /// When, seconds since 1970.
    pub time: u64,
    /// Block.
    pub block: u64,
}

/// Who serves: the core, by a numbered and journaled command.
pub trait ExitSink: Send + Debug {
    /// How many it has taken, from its own durable state; the next one has this number.
    fn taken(&self) -> u64;
    /// One that it has taken.
    fn filed(&self, id: u64) -> Option<Filed>;
    /// Takes the next request; durable on return. It checks the number itself and refuses any other.
    ///
    /// # Errors
    /// Why it does not take it; it will be offered again.
    fn serve(&mut self, exit: &ServeExit) -> Result<(), String>;
}

/// Why no exit requests come in.
#[derive(Debug, thiserror::Error)]
pub enum ExitError {
    /// The chain gives no answer, or more than one.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Requests that were taken are not on the chain any more.
    #[error(
        "finality was broken: {taken} exit requests were taken, a final block does not have the last of them"
    )]
    FinalityBroken {
        /// How many.
        taken: u64,
    },
    /// Logs that are not what the registry holds.
    #[error("the logs do not give exit request {id} as the registry holds it")]
    Broken {
        /// The number that comes next.
        id: u64,
    },
    /// The exchange does not take it.
    #[error("exit request {id} is not taken: {why}")]
    Refused {
        /// Its number.
        id: u64,
        /// Why.
        why: String,
    },
}

impl ExitError {
    /// Whether a person must look.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        match self {
            Self::Chain(error) => error.is_contradiction(),
            // A venue that does not serve is frozen.
            Self::FinalityBroken { .. } | Self::Broken { .. } | Self::Refused { .. } => true,
        }
    }
}

impl Filed {
    /// What the registry keeps of it.
    #[must_use]
    pub fn hash(&self) -> B256 {
        let words = Words::new()
            .number(self.account.into())
            .word(self.owner.into_word())
            .number(self.time)
            .number(self.block);
        keccak256(words.bytes())
    }

    /// Reads the log of a request, with its number; `None` if it is not one.
    #[must_use]
    pub fn read(log: &Log) -> Option<(u64, Self)> {
        let [event, id, account, owner] = log.topics.as_slice() else {
            return None;
        };
        if *event != exit_event() {
            return None;
        }
        let mut data = Reader::new(&log.data);
        let filed = Self {
            account: u32::try_from(Reader::new(account.as_slice()).number()?).ok()?,
            owner: Address::from_word(*owner),
            time: data.number()?,
            block: data.number()?,
        };
        Some((Reader::new(id.as_slice()).number()?, filed))
    }
}

/// First topic of an exit request's log.
#[must_use]
pub fn exit_event() -> B256 {
    keccak256("ExitRequested(uint64,uint32,address,uint64,uint64)")
}

/// The watcher. See the module's page.
#[derive(Debug)]
pub struct ExitWatcher {
    chain: Arc<dyn Chain>,
    contract: Contract,
    first_block: u64,
}

/// What a final block shows.
#[derive(Debug, Default)]
pub struct Due {
    /// Requests that are not taken, in order.
    requests: Vec<ServeExit>,
    /// Time in which a request must be served, seconds.
    pub deadline: u64,
}

impl ExitWatcher {
    /// Watches a registry that was deployed in `first_block` or later.
    #[must_use]
    pub fn new(chain: Arc<dyn Chain>, contract: Contract, first_block: u64) -> Self {
        Self {
            chain,
            contract,
            first_block,
        }
    }

    /// Finds what became final since the last turn. Deposits up to the same block are credited between this and
    /// [`Self::serve`], so that whoever deposits and leaves finds his deposit in what leaves.
    ///
    /// # Errors
    /// Why it does not go on.
    pub fn look(&self, sink: &dyn ExitSink) -> Result<Due, ExitError> {
        let taken = sink.taken();
        let last = taken.checked_sub(1).and_then(|id| sink.filed(id));
        let registry = |data| self.contract.call(Address::ZERO, data);
        let held = |id: u64| registry(Words::new().number(id).call("exits(uint64)"));
        let mut calls = vec![
            registry(Words::new().call("exitsRequested()")),
            registry(Words::new().call("exitTime()")),
        ];
        calls.extend(taken.checked_sub(1).map(held));
        let (answers, until) = self.ask(&calls)?;
        let number = |word: &B256| Reader::new(word.as_slice()).number().unwrap_or(0);
        let requested = answers.first().map_or(0, number);
        let deadline = answers.get(1).map_or(0, number);
        if requested < taken || answers.get(2).copied() != last.map(|filed| filed.hash()) {
            return Err(ExitError::FinalityBroken { taken });
        }
        if requested == taken {
            return Ok(Due {
                requests: Vec::new(),
                deadline,
            });
        }
        let from = last.map_or(0, |filed| filed.block);
        let found = self.collect(taken, from, until)?;
        let calls: Vec<Call> = (taken..).take(found.len()).map(held).collect();
        let (answers, _) = self.ask(&calls)?;
        for (place, filed) in found.iter().enumerate() {
            if answers.get(place) != Some(&filed.hash()) {
                let id = taken + place as u64;
                return Err(ExitError::Broken { id });
            }
        }
        if found.len() < TURN_MAX && taken + (found.len() as u64) < requested {
            let id = taken + found.len() as u64;
            return Err(ExitError::Broken { id });
        }
        let patience = u32::try_from((deadline / 4).min(PATIENCE_MAX)).unwrap_or(0);
        let command = |(id, filed): (u64, Filed)| ServeExit {
            id,
            account: AccountId(filed.account),
            owner: filed.owner.into_array(),
            time: filed.time,
            block: filed.block,
            patience,
        };
        Ok(Due {
            requests: (taken..).zip(found).map(command).collect(),
            deadline,
        })
    }

    /// Hands over what was found, and says how many that was.
    ///
    /// # Errors
    /// Why it does not go on; what was handed over before stays.
    pub fn serve(&self, due: &Due, sink: &mut dyn ExitSink) -> Result<u64, ExitError> {
        for exit in &due.requests {
            let refused = |why: String| ExitError::Refused { id: exit.id, why };
            sink.serve(exit).map_err(refused)?;
        }
        Ok(due.requests.len() as u64)
    }

    /// Both at once.
    ///
    /// # Errors
    /// As they do.
    pub fn turn(&self, sink: &mut dyn ExitSink) -> Result<u64, ExitError> {
        let due = self.look(sink)?;
        self.serve(&due, sink)
    }

    /// One word for each call, at the newest final block, and its number.
    fn ask(&self, calls: &[Call]) -> Result<(Vec<B256>, u64), ChainError> {
        let reading = self.chain.read(At::Finalized, Address::ZERO, calls)?;
        let words = reading.answers.iter().map(|answer| match answer {
            Answer::Returned(bytes) if bytes.len() == 32 => Ok(B256::from_slice(bytes)),
            _ => Err(ChainError::Nonsense {
                endpoint: self.chain.name(),
                what: format!("no answer of the registry {}", self.contract.registry),
            }),
        });
        Ok((words.collect::<Result<_, _>>()?, reading.block.number))
    }

    /// The requests from a number on, in order.
    fn collect(&self, first: u64, from: u64, until: u64) -> Result<Vec<Filed>, ExitError> {
        let mut found: Vec<Filed> = Vec::new();
        let mut from = from.max(self.first_block);
        while from <= until && found.len() < TURN_MAX {
            let to = until.min(from + SPAN - 1);
            let logs = self
                .chain
                .logs(self.contract.registry, exit_event(), from, to)?;
            for log in logs {
                let next = first + found.len() as u64;
                let read = Filed::read(&log).ok_or(ExitError::Broken { id: next })?;
                match read {
                    (id, _) if id < first => {}
                    (id, filed) if id == next => found.push(filed),
                    _ => return Err(ExitError::Broken { id: next }),
                }
                if found.len() == TURN_MAX {
                    break;
                }
            }
            from = to + 1;
        }
        Ok(found)
    }
}
