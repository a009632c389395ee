//! What the anchoring process writes down before it acts, and the state that these records add up to.
//!
//! The state changes only through [`State::take`], and only by records that are on disk. So a restart at
//! any point finds exactly what was promised: the header that was chosen, every transaction that may be on
//! its way, what became final.

use revm::primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::{contract::Contract, header::Content, transaction::Price};

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on its way to the disk"
)]
pub enum Record {
    /// This log anchors in this contract, after this many anchors.
    Began {
        /// Which.
        contract: Contract,
        /// Keccak of its code.
        code_hash: B256,
        /// Anchors that others made before.
        number: u64,
        /// The newest of them; zero if there is none.
        head: B256,
        /// Seconds since 1970.
        at: u64,
    },
    /// The header for the next number is chosen; no other one will be.
    Sealed {
        /// Anchor number, from 1.
        number: u64,
        /// Header, and what is shown with it.
        content: Content,
        /// The header's hash.
        hash: B256,
        /// Seconds since 1970.
        at: u64,
    },
    /// Enough signers signed it.
    Signed {
        /// Anchor number.
        number: u64,
        /// Who.
        signers: Vec<Address>,
        /// The call that posts it.
        call: Bytes,
        /// Seconds since 1970.
        at: u64,
    },
    /// A transaction that may be sent from now on, and after any crash only these bytes again.
    Intent(Intent),
    /// A transaction of ours is in a block.
    Mined {
        /// Anchor number.
        number: u64,
        /// Block.
        block: u64,
        /// Seconds since 1970.
        at: u64,
    },
    /// The block that it was in is gone.
    Orphaned {
        /// Anchor number.
        number: u64,
        /// Newest block now.
        block: u64,
        /// Seconds since 1970.
        at: u64,
    },
    /// A final block has our nonce used and the contract without our header: refused, or somebody else
    /// spent the nonce.
    Failed {
        /// Anchor number.
        number: u64,
        /// Nonce that is gone.
        nonce: u64,
        /// Why, as far as known.
        why: String,
        /// Seconds since 1970.
        at: u64,
    },
    /// Exit requests came further; for people.
    Exits(Exits),
    /// The contract at a final block has our header as its newest.
    Final {
        /// Anchor number.
        number: u64,
        /// Final block that showed it.
        block: u64,
        /// Seconds since 1970.
        at: u64,
    },
}

/// A signed transaction, written down before it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Anchor number.
    pub number: u64,
    /// Nonce of the gas account.
    pub nonce: u64,
    /// Price of gas.
    pub price: Price,
    /// Transaction hash.
    pub hash: B256,
    /// Its bytes.
    pub raw: Bytes,
    /// Newest block when it was made.
    pub block: u64,
    /// Seconds since 1970.
    pub at: u64,
}

/// How far exit requests are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exits {
    /// Filed on the chain, final.
    pub requested: u64,
    /// Taken into the books.
    pub taken: u64,
    /// Served in the books, from the first on.
    pub served: u64,
    /// Claimed as served by the newest final header.
    pub claimed: u64,
}

/// The newest final anchor of this log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchored {
    /// Anchor number; 0 before the first.
    pub number: u64,
    /// Its header's hash; zero before the first.
    pub head: B256,
    /// The hash before it.
    pub previous: B256,
    /// Its epoch.
    pub epoch: u64,
    /// Its journal position.
    pub seq: u64,
    /// When it became final, or when the log began. Seconds since 1970.
    pub at: u64,
    /// When its header was chosen. Seconds since 1970; 0 before the first.
    pub sealed_at: u64,
}

/// The one header in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Anchor number.
    pub number: u64,
    /// Header, and what is shown with it.
    pub content: Content,
    /// The header's hash.
    pub hash: B256,
    /// When it was chosen.
    pub at: u64,
    /// The call that posts it, once it is signed.
    pub call: Option<Bytes>,
    /// Transactions that may be on their way, oldest first.
    pub intents: Vec<Intent>,
    /// Block that was seen with it.
    pub mined: Option<u64>,
    /// Newest block when it was last seen to be gone from the chain; 0 if that never happened.
    pub orphaned: u64,
    /// Nonces that are gone for nothing.
    pub failed: Vec<u64>,
}

impl Open {
    /// The newest transaction whose nonce is not gone for nothing.
    #[must_use]
    pub fn live(&self) -> Option<&Intent> {
        self.intents
            .iter()
            .rfind(|intent| !self.failed.contains(&intent.nonce))
    }

    /// How far it is, in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self { mined: Some(_), .. } => "mined",
            Self { intents, .. } if !intents.is_empty() => "posted",
            Self { call: Some(_), .. } => "signed",
            _ => "sealed",
        }
    }
}

/// What the records add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The contract, once the log began.
    pub contract: Option<(Contract, B256)>,
    /// Newest final anchor.
    pub last: Anchored,
    /// Its transactions, in case finality breaks and they must be sent again.
    pub settled: Vec<Intent>,
    /// The header in flight.
    pub open: Option<Open>,
    /// Nonce after the last one used in this log.
    pub next_nonce: u64,
    /// Price bumps so far.
    pub bumps: u64,
    /// Exit requests.
    pub exits: Exits,
}

impl State {
    /// The state after all these records.
    ///
    /// # Errors
    /// A record that cannot follow those before it.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Self, String> {
        let mut state = Self::default();
        for record in records {
            state.take(record)?;
        }
        Ok(state)
    }

    /// One more record.
    ///
    /// # Errors
    /// If it cannot follow those before it: the log was written by something else.
    pub fn take(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Began {
                contract,
                code_hash,
                number,
                head,
                at,
            } => {
                if self.contract.is_some() {
                    return Err("the log begins twice".into());
                }
                self.contract = Some((*contract, *code_hash));
                self.last = Anchored {
                    number: *number,
                    head: *head,
                    at: *at,
                    ..Anchored::default()
                };
            }
            Record::Sealed {
                number,
                content,
                hash,
                at,
            } => {
                if self.open.is_some() || *number != self.last.number + 1 {
                    return Err(format!("anchor {number} is sealed out of turn"));
                }
                if content.header.previous != self.last.head || content.hash() != *hash {
                    return Err(format!("anchor {number} is not linked to the one before"));
                }
                self.open = Some(Open {
                    number: *number,
                    content: content.clone(),
                    hash: *hash,
                    at: *at,
                    call: None,
                    intents: Vec::new(),
                    mined: None,
                    orphaned: 0,
                    failed: Vec::new(),
                });
            }
            Record::Signed { number, call, .. } => {
                self.in_flight(*number)?.call = Some(call.clone());
            }
            Record::Intent(intent) => {
                let open = self.in_flight(intent.number)?;
                if open.call.is_none() {
                    return Err(format!(
                        "anchor {} is sent without signatures",
                        intent.number
                    ));
                }
                let bump = open.live().is_some_and(|live| live.nonce == intent.nonce);
                open.intents.push(intent.clone());
                self.next_nonce = self.next_nonce.max(intent.nonce + 1);
                self.bumps += u64::from(bump);
            }
            Record::Mined { number, block, .. } => {
                self.in_flight(*number)?.mined = Some(*block);
            }
            Record::Orphaned { number, block, .. } => {
                let open = self.in_flight(*number)?;
                open.mined = None;
                open.orphaned = *block;
            }
            Record::Failed { number, nonce, .. } => {
                let open = self.in_flight(*number)?;
                open.failed.push(*nonce);
                open.mined = None;
            }
            Record::Exits(exits) => self.exits = *exits,
            Record::Final { number, at, .. } => {
                self.in_flight(*number)?;
                let Some(open) = self.open.take() else {
                    return Err("nothing is in flight".into());
                };
                self.last = Anchored {
                    number: open.number,
                    head: open.hash,
                    previous: open.content.header.previous.into(),
                    epoch: open.content.header.epoch,
                    seq: open.content.header.seq,
                    at: *at,
                    sealed_at: open.at,
                };
                self.settled = open.intents;
            }
        }
        Ok(())
    }

    fn in_flight(&mut self, number: u64) -> Result<&mut Open, String> {
        self.open
            .as_mut()
            .filter(|open| open.number == number)
            .ok_or_else(|| format!("anchor {number} is not in flight"))
    }
}
