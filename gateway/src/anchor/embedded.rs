//! The embedded chain: an EVM of London level in this process, on this disk, with nothing to set up.
//!
//! It takes the same raw signed transactions as any node, runs the same contract bytes, and answers through
//! the same [`Chain`]; so signing, nonces, prices and the whole anchoring process are what they are on a
//! public chain. What it cannot give is a second party: it proves nothing to anybody but its owner.
//!
//! Each transaction gets a block of its own, at once, and is final. Between them stand empty blocks that are
//! counted by the clock and never written. A block's transaction with its outcome is on disk before anybody
//! is told; every [`STATE_EVERY`] transactions the accounts are written too, so that a start replays only
//! what came after. What is replayed must give the recorded outcome.

pub mod evm;
pub mod face;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bincode::{Decode, Encode};
use engine::journal::Disk;
use revm::primitives::{Address, B256, U256, keccak256};

use self::evm::{BLOCK_GAS, Changes, Env, Machine, Outcome};
use super::{
    chain::{At, Block, Call, Chain, ChainError, Log, Reading, Receipt, Sent},
    store::{Store, StoreError},
    transaction::{Price, Transaction},
};

/// Transactions between two writings of the accounts.
pub const STATE_EVERY: u64 = 256;
/// Seconds between two empty blocks, as on BEVM.
pub const INTERVAL: u64 = 6;
/// What gas costs, wei: 0.05 gwei, as on BEVM's canary network.
pub const BASE_FEE: u64 = 50_000_000;

/// Seconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How a new chain begins.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Chain id.
    pub chain_id: u64,
    /// Coins at the beginning, wei.
    pub coins: Vec<(Address, U256)>,
}

#[derive(Encode, Decode)]
enum Record {
    Genesis {
        chain_id: u64,
        time: u64,
        coins: Vec<([u8; 20], [u8; 32])>,
    },
    Block(Mined),
}

/// A block with its transaction and what it did.
#[derive(Clone, Debug, Encode, Decode)]
struct Mined {
    number: u64,
    time: u64,
    raw: Vec<u8>,
    success: bool,
    gas_used: u64,
    created: Option<[u8; 20]>,
    logs: Vec<MinedLog>,
}

#[derive(Clone, Debug, Encode, Decode)]
struct MinedLog {
    address: [u8; 20],
    topics: Vec<[u8; 32]>,
    data: Vec<u8>,
}

/// The chain. See the module's page.
pub struct Embedded {
    inner: Mutex<Inner>,
    clock: Clock,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Embedded({:?})", self.lock().folder)
    }
}

struct Inner {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    log: Store,
    chain_id: u64,
    machine: Machine,
    /// Blocks with a transaction, and the first one.
    blocks: Vec<Block>,
    receipts: HashMap<B256, Receipt>,
    logs: Vec<Log>,
    replayed: u64,
    written: u64,
}

const NAME: &str = "embedded chain";
const MAGIC: &[u8; 16] = b"hashpit state 1\n";

impl Embedded {
    /// Goes on with the chain in a folder, or begins one.
    ///
    /// # Errors
    /// The disk, damage, or a transaction that does what it did not do then.
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        genesis: &Genesis,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let path = folder.join("blocks.log");
        let (mut log, bodies) = Store::open(&disk, &path, NAME)?;
        let damaged = |at: usize, what: String| StoreError::Damaged {
            path: path.clone(),
            at: at as u64,
            what,
        };
        let mut records = Vec::with_capacity(bodies.len());
        for (at, body) in bodies.iter().enumerate() {
            let decoded = bincode::decode_from_slice(body, bincode::config::standard());
            let (record, _): (Record, usize) =
                decoded.map_err(|error| damaged(at, error.to_string()))?;
            records.push(record);
        }
        if records.is_empty() {
            let first = Record::Genesis {
                chain_id: genesis.chain_id,
                time: clock(),
                coins: genesis
                    .coins
                    .iter()
                    .map(|(address, wei)| (address.into_array(), wei.to_be_bytes()))
                    .collect(),
            };
            log.append(&encode(&first))?;
            records.push(first);
        }
        let mut records = records.into_iter();
        let Some(Record::Genesis {
            chain_id,
            time,
            coins,
        }) = records.next()
        else {
            return Err(damaged(
                0,
                "the first record is not the beginning of a chain".into(),
            ));
        };
        let mut machine = Machine::default();
        for (address, wei) in &coins {
            machine.fund(Address::from(*address), U256::from_be_bytes(*wei));
        }
        let root = keccak256(encode(&Record::Genesis {
            chain_id,
            time,
            coins,
        }));
        let first = Block {
            number: 0,
            hash: root,
            parent: B256::ZERO,
            time,
        };
        let mut inner = Inner {
            disk,
            folder: folder.into(),
            log,
            chain_id,
            machine,
            blocks: vec![first],
            receipts: HashMap::new(),
            logs: Vec::new(),
            replayed: 0,
            written: 0,
        };
        let mut mined = Vec::new();
        for (at, record) in records.enumerate() {
            let Record::Block(block) = record else {
                return Err(damaged(at + 1, "the chain begins twice".into()));
            };
            mined.push(block);
        }
        inner
            .restore(&mined)
            .map_err(|(at, what)| damaged(at + 1, what))?;
        Ok(Self {
            inner: Mutex::new(inner),
            clock,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Transactions that were executed again at the start.
    #[must_use]
    pub fn replayed(&self) -> u64 {
        self.lock().replayed
    }

    /// Transactions since the beginning.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.lock().blocks.len() as u64 - 1
    }

    /// Coins of an account, wei.
    #[must_use]
    pub fn balance(&self, address: Address) -> U256 {
        self.lock().machine.balance(address)
    }
}

impl Inner {
    /// Goes through all blocks: those that the saved accounts have seen are believed, the others executed.
    fn restore(&mut self, mined: &[Mined]) -> Result<(), (usize, String)> {
        let saved = self.saved_state();
        let mut skip = 0;
        if let Some((count, hash, machine)) = saved
            && count as usize <= mined.len()
            && chain_hash(&self.blocks[0], &mined[..count as usize]) == hash
        {
            (self.machine, skip, self.written) = (machine, count as usize, count);
        }
        for (at, block) in mined.iter().enumerate() {
            if at >= skip {
                let fail = |what: String| (at, what);
                let (transaction, from) =
                    Transaction::decode(&block.raw).map_err(|error| fail(error.to_string()))?;
                let env = self.env(block.number, block.time);
                let (outcome, changes) = self
                    .machine
                    .execute(env, &transaction, from)
                    .map_err(fail)?;
                if mined_of(block.number, block.time, &block.raw, &outcome).encoded()
                    != block.encoded()
                {
                    return Err(fail(format!(
                        "block {} does something else when replayed",
                        block.number
                    )));
                }
                self.machine.commit(changes);
                self.replayed += 1;
            }
            self.file(block);
        }
        Ok(())
    }

    fn env(&self, number: u64, time: u64) -> Env {
        Env {
            chain_id: self.chain_id,
            number,
            time,
            base_fee: BASE_FEE,
        }
    }

    fn last(&self) -> &Block {
        self.blocks
            .last()
            .unwrap_or_else(|| unreachable!("the first block is always there"))
    }

    /// Keeps what readers ask for.
    fn file(&mut self, mined: &Mined) {
        let block = mined.block(self.last());
        let transaction = keccak256(&mined.raw);
        let receipt = Receipt {
            block: block.number,
            block_hash: block.hash,
            success: mined.success,
            gas_used: mined.gas_used,
            created: mined.created.map(Address::from),
        };
        for (index, log) in mined.logs.iter().enumerate() {
            self.logs.push(Log {
                block: block.number,
                index: index as u64,
                block_hash: block.hash,
                transaction,
                address: log.address.into(),
                topics: log.topics.iter().map(|topic| B256::from(*topic)).collect(),
                data: log.data.clone().into(),
            });
        }
        self.receipts.insert(transaction, receipt);
        self.blocks.push(block);
    }

    /// The newest block now, empty or not.
    fn head(&self, now: u64) -> Block {
        let last = self.last();
        let empty = now.saturating_sub(last.time) / INTERVAL;
        empty_block(last, empty)
    }

    fn at(&self, at: At, now: u64) -> Result<Block, ChainError> {
        let head = self.head(now);
        let At::Number(number) = at else {
            return Ok(head);
        };
        if number > head.number {
            return Err(missing(format!("block {number}")));
        }
        let place = self.blocks.partition_point(|block| block.number <= number) - 1;
        let before = &self.blocks[place];
        Ok(empty_block(before, number - before.number))
    }

    fn mine(
        &mut self,
        raw: &[u8],
        transaction: &Transaction,
        from: Address,
        now: u64,
    ) -> Result<Sent, ChainError> {
        let last = self.last();
        let time = now.max(last.time);
        let number = last.number + ((time - last.time) / INTERVAL).max(1);
        let executed = self
            .machine
            .execute(self.env(number, time), transaction, from);
        let (outcome, changes): (Outcome, Changes) = match executed {
            Ok(done) => done,
            Err(why) => return Ok(Sent::Refused(why)),
        };
        let mined = mined_of(number, time, raw, &outcome);
        let body = encode(&Record::Block(mined.clone()));
        self.log
            .append(&body)
            .map_err(|error| ChainError::Unreachable {
                endpoint: NAME.into(),
                why: error.to_string(),
            })?;
        self.machine.commit(changes);
        self.file(&mined);
        let count = self.blocks.len() as u64 - 1;
        if count >= self.written + STATE_EVERY {
            // The log has everything; a start without the accounts only takes longer.
            match self.save_state(count) {
                Ok(()) => self.written = count,
                Err(error) => {
                    tracing::warn!(%error, "the embedded chain's accounts are not written")
                }
            }
        }
        Ok(Sent::Accepted)
    }

    fn save_state(&self, count: u64) -> std::io::Result<()> {
        let machine = self.machine.save();
        let hash = self.last().hash;
        let body = [&count.to_le_bytes(), hash.as_slice(), &machine].concat();
        let bytes = [
            MAGIC.as_slice(),
            &crc32c::crc32c(&body).to_le_bytes(),
            &body,
        ]
        .concat();
        let (new, path) = (
            self.folder.join("accounts.new"),
            self.folder.join("accounts"),
        );
        let file = self.disk.create(&new)?;
        file.write_all_at(&bytes, 0)?;
        file.sync()?;
        self.disk.rename(&new, &path)?;
        self.disk.sync_dir(&self.folder)
    }

    /// The saved accounts, if they are whole: transactions seen, hash of the last block, accounts.
    fn saved_state(&self) -> Option<(u64, B256, Machine)> {
        let file = self.disk.open(&self.folder.join("accounts")).ok()?;
        let mut bytes = vec![0; usize::try_from(file.length().ok()?).ok()?];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let body = bytes.strip_prefix(MAGIC)?;
        let (sum, body) = body.split_at_checked(4)?;
        (sum == crc32c::crc32c(body).to_le_bytes()).then_some(())?;
        let (count, body) = body.split_at_checked(8)?;
        let (hash, machine) = body.split_at_checked(32)?;
        let count = u64::from_le_bytes(count.try_into().ok()?);
        Some((count, B256::try_from(hash).ok()?, Machine::load(machine)?))
    }
}

impl Mined {
    fn encoded(&self) -> Vec<u8> {
        bincode::encode_to_vec(self, bincode::config::standard()).unwrap_or_default()
    }

    /// Its head, behind another block with a transaction.
    fn block(&self, before: &Block) -> Block {
        let parent = empty_block(before, self.number - before.number - 1).hash;
        let hash = keccak256([parent.as_slice(), &self.encoded()].concat());
        Block {
            number: self.number,
            hash,
            parent,
            time: self.time,
        }
    }
}

/// The hash of the last of these blocks.
fn chain_hash(first: &Block, mined: &[Mined]) -> B256 {
    mined
        .iter()
        .fold(first.clone(), |before, mined| mined.block(&before))
        .hash
}

/// The block so many empty ones behind a block.
fn empty_block(before: &Block, steps: u64) -> Block {
    if steps == 0 {
        return before.clone();
    }
    let number = before.number + steps;
    let hash = |number: u64| keccak256([before.hash.as_slice(), &number.to_be_bytes()].concat());
    let parent = if steps == 1 {
        before.hash
    } else {
        hash(number - 1)
    };
    Block {
        number,
        hash: hash(number),
        parent,
        time: before.time + steps * INTERVAL,
    }
}

fn mined_of(number: u64, time: u64, raw: &[u8], outcome: &Outcome) -> Mined {
    Mined {
        number,
        time,
        raw: raw.to_vec(),
        success: outcome.success,
        gas_used: outcome.gas_used,
        created: outcome.created.map(Address::into_array),
        logs: outcome
            .logs
            .iter()
            .map(|(address, topics, data)| MinedLog {
                address: address.into_array(),
                topics: topics.iter().map(|topic| topic.0).collect(),
                data: data.to_vec(),
            })
            .collect(),
    }
}

fn encode(record: &Record) -> Vec<u8> {
    bincode::encode_to_vec(record, bincode::config::standard()).unwrap_or_default()
}

fn missing(what: String) -> ChainError {
    ChainError::Missing {
        endpoint: NAME.into(),
        what,
    }
}

impl Chain for Embedded {
    fn name(&self) -> String {
        NAME.into()
    }

    fn chain_id(&self) -> Result<u64, ChainError> {
        Ok(self.lock().chain_id)
    }

    fn block(&self, at: At) -> Result<Block, ChainError> {
        self.lock().at(at, (self.clock)())
    }

    fn code_hash(&self, contract: Address) -> Result<B256, ChainError> {
        Ok(self.lock().machine.code_hash(contract))
    }

    fn read(&self, at: At, account: Address, calls: &[Call]) -> Result<Reading, ChainError> {
        let inner = self.lock();
        let now = (self.clock)();
        let block = inner.at(at, now)?;
        if block.number < inner.last().number {
            return Err(missing(format!("the state of block {}", block.number)));
        }
        let env = inner.env(block.number, now.max(block.time));
        Ok(Reading {
            nonce: inner.machine.nonce(account),
            balance: inner.machine.balance(account),
            answers: calls
                .iter()
                .map(|call| inner.machine.call(env, call))
                .collect(),
            block,
        })
    }

    fn logs(
        &self,
        contract: Address,
        event: B256,
        from: u64,
        to: u64,
    ) -> Result<Vec<Log>, ChainError> {
        let inner = self.lock();
        let wanted = |log: &&Log| {
            log.address == contract
                && (from..=to).contains(&log.block)
                && log.topics.first() == Some(&event)
        };
        Ok(inner.logs.iter().filter(wanted).cloned().collect())
    }

    fn gas_price(&self) -> Result<u128, ChainError> {
        Ok(BASE_FEE.into())
    }

    fn send(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        let (transaction, from) = match Transaction::decode(raw) {
            Ok(decoded) => decoded,
            Err(error) => return Ok(Sent::Refused(error.to_string())),
        };
        let mut inner = self.lock();
        if inner.receipts.contains_key(&keccak256(raw)) {
            return Ok(Sent::Known);
        }
        if transaction.chain_id != inner.chain_id {
            return Ok(Sent::Refused(format!("for chain {}", transaction.chain_id)));
        }
        let nonce = inner.machine.nonce(from);
        if transaction.nonce < nonce {
            return Ok(Sent::NonceTooLow);
        }
        if transaction.nonce > nonce {
            // There is no pool in which it could wait.
            return Ok(Sent::Refused(format!(
                "nonce {}, the next is {nonce}",
                transaction.nonce
            )));
        }
        let dearest = match transaction.price {
            Price::Legacy(price) => price,
            Price::Market { cap, .. } => cap,
        };
        if dearest < BASE_FEE.into() || transaction.gas > BLOCK_GAS {
            return Ok(Sent::Refused(
                "price below the base fee, or more gas than a block has".into(),
            ));
        }
        let cost = U256::from(dearest) * U256::from(transaction.gas) + transaction.value;
        if inner.machine.balance(from) < cost {
            return Ok(Sent::NoFunds);
        }
        inner.mine(raw, &transaction, from, (self.clock)())
    }

    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        Ok(self.lock().receipts.get(&transaction).cloned())
    }
}
