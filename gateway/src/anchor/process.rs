//! The anchoring process: looks, lets [`decide`](super::decide::decide) say the next step, writes it down,
//! does it.
//!
//! Whatever must survive a crash is on disk before it has an effect outside. An error of the log is final:
//! the process stops, and a restart finds out what the disk holds. Errors of the chain are ordinary: the
//! next turn looks again. Trading never waits for any of it.

use std::{path::Path, sync::Arc};

use engine::journal::Disk;
use revm::primitives::{Address, B256, Bytes, U256};

mod told;

use super::{
    chain::{Answer, At, Chain, ChainError, Sent},
    contract::Contract,
    decide::{Memory, Policy, Rest, Step, View, decide},
    header::{Behind, Content, ExitCount, Heads, Newest},
    record::{Exits, Intent, Record, State},
    refusals,
    root_signer::{Refusal, RootSigner},
    signer::{Signature, Signer},
    store::{Store, StoreError},
    transaction::{Price, Transaction},
};

/// Why the process cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Its log.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// Records that do not add up.
    #[error("the anchor log does not add up: {0}")]
    Record(String),
    /// The log belongs to another contract.
    #[error("the log anchors in {logged:?}, the settings say {configured:?}")]
    OtherContract {
        /// In the log.
        logged: Box<Contract>,
        /// In the settings.
        configured: Box<Contract>,
    },
}

/// What the process works with.
#[derive(Debug)]
pub struct Parts {
    /// The chain; for several endpoints, their agreement.
    pub chain: Arc<dyn Chain>,
    /// The contract.
    pub contract: Contract,
    /// Keccak of the code hashes of registry, vault and judge.
    pub code_hash: B256,
    /// Pays.
    pub gas: Box<dyn Signer>,
    /// Sign headers.
    pub signers: Vec<RootSigner>,
    /// Signatures that a header needs.
    pub threshold: usize,
    /// The exchange's side.
    pub heads: Box<dyn Heads>,
    /// How it behaves.
    pub policy: Policy,
}

/// Counters since the process started, for its log lines.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Transactions handed to the network, repetitions included.
    pub sent: u64,
    /// Times that endpoints contradicted each other.
    pub contradictions: u64,
    /// Refusals of signers that a person must look at.
    pub grave_refusals: u64,
    /// Last word of the network to a transaction, if it was not taken.
    pub last_refusal: Option<String>,
    /// Coins of the gas account when last seen, wei.
    pub balance: Option<U256>,
    /// Price of gas when last seen, wei.
    pub gas_price: Option<u128>,
    /// Gas of the posts that became final.
    pub gas_used: u64,
    /// Silence after which anybody may freeze the contract, seconds, when last seen.
    pub silence: Option<u64>,
    /// Exit requests on the chain that no header claims as served.
    pub exits_open: u64,
    /// Those that one claims: the next one is the oldest open one.
    pub exits_served: u64,
    /// Where the exchange stood.
    pub newest: Newest,
}

/// The process. See the module's page.
#[derive(Debug)]
pub struct Process {
    parts: Parts,
    log: Store,
    state: State,
    memory: Memory,
    counters: Counters,
    known_code: bool,
}

/// Who signed, and what, in ascending order of addresses.
type Signed = Vec<(Address, Signature)>;

/// Name of the log in its head.
pub const LOG: &str = "anchors";
/// A turn does at most so many steps; a whole anchor on the embedded chain needs nine.
const STEPS_MAX: usize = 32;

impl Process {
    /// Goes on where the log ends.
    ///
    /// # Errors
    /// The log.
    pub fn open(parts: Parts, disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, ProcessError> {
        let (log, bodies) = Store::open(disk, path, LOG)?;
        let records = records(&bodies)?;
        let state = State::of(&records).map_err(ProcessError::Record)?;
        if let Some((logged, _)) = state.contract
            && logged != parts.contract
        {
            let (logged, configured) = (Box::new(logged), Box::new(parts.contract));
            return Err(ProcessError::OtherContract { logged, configured });
        }
        let mut process = Self {
            parts,
            log,
            state,
            memory: Memory::default(),
            counters: Counters::default(),
            known_code: false,
        };
        process.tell_again();
        Ok(process)
    }

    /// What is written down so far.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How it behaves.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.parts.policy
    }

    /// Looks, and does all that can be done now. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// The log; the process must not go on.
    pub fn turn(&mut self, now: u64) -> Result<Rest, ProcessError> {
        let newest = self.parts.heads.newest();
        self.counters.newest = newest;
        self.memory.epoch = newest.epoch;
        self.memory.urgent = newest.urgent;
        let mut view = match self.look() {
            Ok(view) => view,
            Err(error) => return Ok(self.unknown(&error)),
        };
        self.note_exits(&view)?;
        for _ in 0..STEPS_MAX {
            let step = decide(&self.parts.policy, &self.state, &view, &self.memory, now);
            let looked = match self.perform(step, &mut view, now)? {
                Done::Rest(rest) => {
                    self.keep_the_heart_beating(&rest, now);
                    return Ok(rest);
                }
                Done::Noted => Ok(()),
                Done::Sent => self.look().map(|new| view = new),
            };
            if let Err(error) = looked {
                return Ok(self.unknown(&error));
            }
        }
        Ok(Rest::InFlight)
    }

    fn unknown(&mut self, error: &ChainError) -> Rest {
        if error.is_contradiction() {
            self.counters.contradictions += 1;
            Rest::Contradiction(error.to_string())
        } else {
            Rest::Away(error.to_string())
        }
    }

    fn look(&mut self) -> Result<View, ChainError> {
        let chain = &self.parts.chain;
        let contract = &self.parts.contract;
        let wrong = |what: &str, first: String, second: String| ChainError::Disagree {
            what: what.into(),
            one: "the settings".into(),
            first,
            other: chain.name(),
            second,
        };
        if !self.known_code {
            let id = chain.chain_id()?;
            if id != contract.chain_id {
                return Err(wrong(
                    "the chain id",
                    contract.chain_id.to_string(),
                    id.to_string(),
                ));
            }
            let code = contract.code_hash(&**chain)?;
            if code != self.parts.code_hash {
                return Err(wrong(
                    "the contract's code",
                    self.parts.code_hash.to_string(),
                    code.to_string(),
                ));
            }
        }
        let (gas, calls) = (self.parts.gas.address(), contract.reads());
        // The final block first: the newest is then never behind it on an honest chain.
        let finalized = chain.read(At::Finalized, gas, &calls)?;
        let latest = chain.read(At::Latest, gas, &calls)?;
        if latest.block.number < finalized.block.number {
            return Err(ChainError::Missing {
                endpoint: chain.name(),
                what: format!(
                    "block {}, which was final a moment ago",
                    finalized.block.number
                ),
            });
        }
        let view = View {
            at_latest: contract.standing(&latest.answers, &chain.name())?,
            at_final: contract.standing(&finalized.answers, &chain.name())?,
            latest: latest.block,
            nonce: latest.nonce,
            balance: latest.balance,
            finalized: finalized.block,
            nonce_final: finalized.nonce,
            gas_price: chain.gas_price()?,
            rehearsal: None,
        };
        self.known_code = true;
        self.counters.balance = Some(view.balance);
        self.counters.gas_price = Some(view.gas_price);
        self.counters.silence = Some(view.at_final.silence);
        let at = &view.at_final;
        self.counters.exits_open = at.exits_requested.saturating_sub(at.exits_served);
        self.counters.exits_served = at.exits_served;
        Ok(view)
    }

    fn perform(&mut self, step: Step, view: &mut View, now: u64) -> Result<Done, ProcessError> {
        let number = self.state.open.as_ref().map_or(0, |open| open.number);
        let record = match step {
            Step::Rest(rest) => return Ok(Done::Rest(rest)),
            Step::Send(intent) => return Ok(self.send(&intent, view.latest.number)),
            Step::Rehearse => {
                view.rehearsal = match self.rehearse() {
                    Ok(said) => Some(said),
                    Err(error) => return Ok(Done::Rest(self.unknown(&error))),
                };
                return Ok(Done::Noted);
            }
            Step::Seal(number) => match self.choose(number, view.at_final.exits_served) {
                Ok(content) => Record::Sealed {
                    number,
                    hash: content.hash(),
                    content,
                    at: now,
                },
                Err(rest) => return Ok(Done::Rest(rest)),
            },
            Step::Sign => match self.sign(view.at_latest.signer_set)? {
                Ok((signed, call)) => {
                    let signers = signed.iter().map(|(address, _)| *address).collect();
                    self.tell_signed(&signed);
                    Record::Signed {
                        number,
                        signers,
                        call,
                        at: now,
                    }
                }
                Err(rest) => return Ok(Done::Rest(rest)),
            },
            Step::Intend(nonce, price) => {
                match self.intent(nonce, price, view.latest.number, now) {
                    Ok(intent) => Record::Intent(intent),
                    Err(rest) => return Ok(Done::Rest(rest)),
                }
            }
            Step::Begin => Record::Began {
                contract: self.parts.contract,
                code_hash: self.parts.code_hash,
                number: view.at_final.number,
                head: view.at_final.head,
                at: now,
            },
            Step::NoteMined(block) => Record::Mined {
                number,
                block,
                at: now,
            },
            Step::NoteOrphaned => {
                self.memory.sent = None;
                Record::Orphaned {
                    number,
                    block: view.latest.number,
                    at: now,
                }
            }
            Step::NoteFailed(nonce) => Record::Failed {
                number,
                nonce,
                why: self.why_failed(nonce),
                at: now,
            },
            Step::NoteFinal => Record::Final {
                number,
                block: view.finalized.number,
                at: now,
            },
        };
        let epoch = self.epoch_in_flight();
        self.note(&record)?;
        self.tell(&record, epoch);
        if let Record::Final { .. } = record {
            self.counters.gas_used += self.gas_of_settled();
        }
        Ok(Done::Noted)
    }

    fn epoch_in_flight(&self) -> u64 {
        let open = self.state.open.as_ref();
        open.map_or(0, |open| open.content.header.epoch)
    }

    /// What an operator asks about exits must be there beside a running exchange, too.
    fn note_exits(&mut self, view: &View) -> Result<(), ProcessError> {
        let ExitCount { taken, served } = self.parts.heads.exits();
        let exits = Exits {
            requested: view.at_final.exits_requested,
            taken,
            served,
            claimed: view.at_final.exits_served,
        };
        if exits == self.state.exits {
            return Ok(());
        }
        self.note(&Record::Exits(exits))
    }

    /// An idle exchange seals no epochs; the contract must hear of it all the same.
    fn keep_the_heart_beating(&mut self, rest: &Rest, now: u64) {
        let heard = self.state.last.at.max(self.memory.beat);
        let policy = &self.parts.policy;
        // A served exit is claimed by the header behind the one that shows it, which needs an epoch of its own.
        let every = match self.memory.urgent {
            true => policy.every_urgent.min(policy.heartbeat),
            false => policy.heartbeat,
        };
        if *rest == Rest::NothingNew && now >= heard + every {
            self.memory.beat = now;
            self.parts.heads.heartbeat();
        }
    }

    /// Writes a record down, then believes it.
    fn note(&mut self, record: &Record) -> Result<(), ProcessError> {
        let mut after = self.state.clone();
        after.take(record).map_err(ProcessError::Record)?;
        let body =
            serde_json::to_vec(record).map_err(|error| ProcessError::Record(error.to_string()))?;
        self.log.append(&body)?;
        self.state = after;
        Ok(())
    }

    /// The header of the newest epoch, if the contract would take it but for the signatures: once it is written
    /// down and signed, no other one can ever stand for its number.
    fn choose(&mut self, number: u64, served: u64) -> Result<Content, Rest> {
        let behind = Behind {
            head: self.state.last.head,
            epoch: self.state.last.epoch,
            served,
        };
        let content = match self.parts.heads.content(number, &behind) {
            Ok(Some(content)) => content,
            Ok(None) => return Err(Rest::NothingNew),
            Err(why) => return Err(Rest::Unpostable(why)),
        };
        let gas = self.parts.gas.address();
        let call = self.parts.contract.post(&content, &[]);
        let call = self.parts.contract.call(gas, call);
        let asked = self.parts.chain.read(At::Latest, gas, &[call]);
        let refused = match asked.map(|reading| reading.answers.into_iter().next()) {
            Ok(Some(Answer::Returned(_))) => return Ok(content),
            // The signatures are looked at last.
            Ok(Some(Answer::Reverted(data, _))) if refusals::is_unsigned(&data) => {
                return Ok(content);
            }
            Ok(Some(Answer::Reverted(data, words))) if data.is_empty() => Rest::Unpostable(words),
            Ok(Some(Answer::Reverted(data, _))) => Rest::Unpostable(refusals::words(&data)),
            Ok(None) => Rest::Away("no answer".into()),
            Err(error) => self.unknown(&error),
        };
        self.parts
            .heads
            .note(content.header.epoch, crate::proofs::Step::Failed);
        Err(refused)
    }

    /// Collects as many signatures as the contract asks for, in ascending order of addresses.
    fn sign(&mut self, signer_set: u64) -> Result<Result<(Signed, Bytes), Rest>, ProcessError> {
        let Some(open) = &self.state.open else {
            return Err(ProcessError::Record("nothing to sign".into()));
        };
        let digest = self.parts.contract.digest(open.hash, signer_set);
        let mut signed: Signed = Vec::new();
        let mut refused = Vec::new();
        for signer in &mut self.parts.signers {
            match signer.sign(open.number, &open.content.header, open.hash, &digest) {
                Ok(signature) => signed.push((signer.address(), signature)),
                Err(Refusal::Log { source, .. }) => return Err(source.into()),
                Err(refusal) => {
                    if refusal.is_grave() {
                        self.counters.grave_refusals += 1;
                        tracing::error!(%refusal, "a signer does not sign");
                    }
                    refused.push(refusal.to_string());
                }
            }
            if signed.len() == self.parts.threshold {
                break;
            }
        }
        if signed.len() < self.parts.threshold {
            return Ok(Err(Rest::Unsigned(refused.join("; "))));
        }
        signed.sort_by_key(|(address, _)| *address);
        let signatures: Vec<_> = signed.iter().map(|(_, signature)| *signature).collect();
        let call = self.parts.contract.post(&open.content, &signatures);
        Ok(Ok((signed, call)))
    }

    /// What the contract would say now.
    fn rehearse(&self) -> Result<Result<(), String>, ChainError> {
        let Some(call) = self.state.open.as_ref().and_then(|open| open.call.clone()) else {
            return Ok(Err("nothing is signed".into()));
        };
        let gas = self.parts.gas.address();
        let call = self.parts.contract.call(gas, call);
        let reading = self.parts.chain.read(At::Latest, gas, &[call])?;
        Ok(match reading.answers.into_iter().next() {
            Some(Answer::Returned(_)) => Ok(()),
            Some(Answer::Reverted(data, words)) if data.is_empty() => Err(words),
            Some(Answer::Reverted(data, _)) => Err(refusals::words(&data)),
            None => Err("no answer".into()),
        })
    }

    fn intent(&self, nonce: u64, price: Price, block: u64, now: u64) -> Result<Intent, Rest> {
        let Some((number, data)) = self
            .state
            .open
            .as_ref()
            .and_then(|open| Some((open.number, open.call.clone()?)))
        else {
            return Err(Rest::Unsigned("nothing is signed".into()));
        };
        let transaction = Transaction {
            chain_id: self.parts.contract.chain_id,
            nonce,
            price,
            gas: self.parts.policy.gas,
            to: Some(self.parts.contract.registry),
            value: U256::ZERO,
            data,
        };
        let signed = transaction
            .sign(&*self.parts.gas)
            .map_err(|error| Rest::Unsigned(error.to_string()))?;
        Ok(Intent {
            number,
            nonce,
            price,
            hash: signed.hash,
            raw: signed.raw,
            block,
            at: now,
        })
    }

    fn send(&mut self, intent: &Intent, block: u64) -> Done {
        self.counters.sent += 1;
        // Even without an answer it may be on its way; the same bytes again do no harm.
        self.memory.sent = Some((intent.hash, block));
        match self.parts.chain.send(&intent.raw) {
            Ok(Sent::Accepted | Sent::Known) => self.counters.last_refusal = None,
            Ok(other) => {
                let said = format!("{other:?}");
                tracing::warn!(
                    anchor = intent.number,
                    nonce = intent.nonce,
                    said,
                    "the post is not taken"
                );
                self.counters.last_refusal = Some(said);
            }
            Err(error) => return Done::Rest(self.unknown(&error)),
        }
        Done::Sent
    }

    /// Gas of the anchor that became final just now; 0 if nobody says. For people only.
    fn gas_of_settled(&self) -> u64 {
        let receipts = self.state.settled.iter().rev();
        receipts
            .filter_map(|intent| self.parts.chain.receipt(intent.hash).ok().flatten())
            .map(|receipt| receipt.gas_used)
            .next()
            .unwrap_or_default()
    }

    /// What is known of a nonce that is gone: a refusal of ours, or a transaction that is not ours.
    fn why_failed(&self, nonce: u64) -> String {
        let Some(open) = &self.state.open else {
            return String::new();
        };
        let refused = open
            .intents
            .iter()
            .filter(|intent| intent.nonce == nonce)
            .find_map(|intent| self.parts.chain.receipt(intent.hash).ok().flatten());
        match refused {
            Some(receipt) => format!(
                "refused in block {}, gas used {}",
                receipt.block, receipt.gas_used
            ),
            None => "the nonce was used by a transaction that is not in this log".into(),
        }
    }
}

/// The records of a log.
///
/// # Errors
/// A record that does not read.
pub fn records(bodies: &[Vec<u8>]) -> Result<Vec<Record>, ProcessError> {
    bodies
        .iter()
        .map(|body| {
            serde_json::from_slice(body).map_err(|error| ProcessError::Record(error.to_string()))
        })
        .collect()
}

enum Done {
    Rest(Rest),
    Noted,
    Sent,
}
