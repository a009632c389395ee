//! A simulated chain under the real contract: blocks, a pool, reorganisations, and endpoints that lie.
//!
//! The machine in it is the embedded chain's, so the contract's own bytes judge every post; everything around
//! it misbehaves on request: blocks come when the test says so, a transaction is lost, stuck or thrown out of
//! its block, an answer never comes, an endpoint tells another story. One thread, no clock, no chance but
//! the test's seed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gateway::anchor::{
    chain::{At, Block, Call, Chain, ChainError, Log, Reading, Receipt, Sent},
    contract::{Contract, Deployment, Span, Terms, VaultAsset},
    embedded::evm::{Env, Machine},
    signer::{LocalKey, Signer},
    transaction::{Price, Transaction},
};

use revm::primitives::{Address, B256, Bytes, U256, keccak256};

mod books;
mod heads;
mod ledger;

pub use books::{Books, Core, request};
pub use heads::{TestHeads, TestWitness, empty};
pub use ledger::Ledger;

/// The chain's number.
pub const CHAIN_ID: u64 = 11_501;
/// Seconds between blocks.
pub const BLOCK_TIME: u64 = 6;
/// Gas of everybody's transactions but the process's own.
const STRANGER_GAS: u64 = 6_500_000;
/// When the chain begins, seconds since 1970.
pub const START: u64 = 1_700_000_000;
/// What gas costs in good times, wei.
pub const CALM: u128 = 50_000_000;

/// Whose rules decide whether a transaction replaces another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// A tenth more in every part of the price.
    Ordinary,
    /// Strictly higher rank: price above base fee, or tip.
    Frontier,
}

#[derive(Clone, Debug)]
struct Mined {
    block: Block,
    machine: Machine,
    receipts: BTreeMap<B256, Receipt>,
    logs: Vec<Log>,
    raws: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Waiting {
    transaction: Transaction,
    raw: Vec<u8>,
}

/// The network behind all endpoints.
#[derive(Debug)]
pub struct Net {
    blocks: Vec<Mined>,
    pool: BTreeMap<(Address, u64), Waiting>,
    /// Rules of the pool.
    pub rules: Pool,
    /// Base fee of the next block, wei.
    pub base_fee: u128,
    /// Blocks on top of a final one.
    pub depth: u64,
    /// Transactions stay in the pool.
    pub stuck: bool,
    /// Transactions are taken and then forgotten.
    pub forgetful: bool,
    /// Every transaction that was ever handed in, by hash.
    pub seen: BTreeMap<B256, Transaction>,
    forks: u64,
}

impl Net {
    fn tip(&self) -> &Mined {
        self.blocks.last().expect("there is a first block")
    }

    fn at(&self, at: At) -> Option<&Mined> {
        let last = self.blocks.len() as u64 - 1;
        let number = match at {
            At::Latest => last,
            At::Finalized => last.saturating_sub(self.depth),
            At::Number(number) => number,
        };
        self.blocks.get(usize::try_from(number).ok()?)
    }

    fn env(&self, block: &Block) -> Env {
        Env {
            chain_id: CHAIN_ID,
            number: block.number,
            time: block.time,
            base_fee: u64::try_from(self.base_fee).expect("a fee"),
        }
    }

    /// One more block, with what the pool has and the base fee allows.
    pub fn mine(&mut self) {
        let parent = self.tip().block.clone();
        let seed = [parent.hash.as_slice(), &self.forks.to_be_bytes()].concat();
        let mut block = Block {
            number: parent.number + 1,
            hash: B256::ZERO,
            parent: parent.hash,
            time: parent.time + BLOCK_TIME,
        };
        let mut machine = self.tip().machine.clone();
        let mut included = Vec::new();
        while !self.stuck {
            let ready = self.pool.iter().find(|((from, nonce), waiting)| {
                *nonce == machine.nonce(*from) && waiting.transaction.price.most() >= self.base_fee
            });
            let Some(key) = ready.map(|(key, _)| *key) else {
                break;
            };
            let waiting = self.pool.remove(&key).expect("found");
            // What the machine does not take is dropped, as pools do.
            if let Ok((outcome, changes)) =
                machine.execute(self.env(&block), &waiting.transaction, key.0)
            {
                machine.commit(changes);
                included.push((waiting.raw, outcome));
            }
        }
        let raws: Vec<Vec<u8>> = included.iter().map(|(raw, _)| raw.clone()).collect();
        block.hash = keccak256([seed, raws.concat()].concat());
        let mut mined = Mined {
            machine,
            receipts: BTreeMap::new(),
            logs: Vec::new(),
            raws,
            block: block.clone(),
        };
        for (raw, outcome) in included {
            let transaction = keccak256(&raw);
            let receipt = Receipt {
                block: block.number,
                block_hash: block.hash,
                success: outcome.success,
                gas_used: outcome.gas_used,
                created: outcome.created,
            };
            mined.receipts.insert(transaction, receipt);
            for (address, topics, data) in outcome.logs {
                mined.logs.push(Log {
                    block: block.number,
                    index: mined.logs.len() as u64,
                    block_hash: block.hash,
                    transaction,
                    address,
                    topics,
                    data,
                });
            }
        }
        self.blocks.push(mined);
    }

    /// So many of the newest blocks are gone, and one more than that come instead. Their transactions wait
    /// again, or are forgotten.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn reorganise(&mut self, depth: usize, remember: bool) {
        assert!(depth < self.blocks.len(), "the first block stays");
        let gone = self.blocks.split_off(self.blocks.len() - depth);
        self.forks += 1;
        let stuck = std::mem::replace(&mut self.stuck, true);
        for _ in 0..=depth {
            self.mine();
        }
        self.stuck = stuck;
        if remember {
            for raw in gone.into_iter().flat_map(|mined| mined.raws) {
                self.take(&raw);
            }
        }
    }

    /// The pool forgets everything.
    pub fn forget(&mut self) {
        self.pool.clear();
    }

    /// Transactions in the pool.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pool.len()
    }

    fn take(&mut self, raw: &[u8]) -> Sent {
        let (transaction, from) = match Transaction::decode(raw) {
            Ok(decoded) => decoded,
            Err(error) => return Sent::Refused(error.to_string()),
        };
        let hash = keccak256(raw);
        self.seen.insert(hash, transaction.clone());
        let machine = &self.tip().machine;
        if self
            .blocks
            .iter()
            .any(|mined| mined.receipts.contains_key(&hash))
        {
            return Sent::Known;
        }
        if transaction.nonce < machine.nonce(from) {
            return Sent::NonceTooLow;
        }
        let cost =
            U256::from(transaction.price.most()) * U256::from(transaction.gas) + transaction.value;
        if machine.balance(from) < cost {
            return Sent::NoFunds;
        }
        if self.forgetful {
            return Sent::Accepted;
        }
        let key = (from, transaction.nonce);
        if let Some(old) = self.pool.get(&key) {
            if old.raw == raw {
                return Sent::Known;
            }
            if !self.replaces(transaction.price, old.transaction.price) {
                return Sent::Underpriced;
            }
        }
        self.pool.insert(
            key,
            Waiting {
                transaction,
                raw: raw.to_vec(),
            },
        );
        Sent::Accepted
    }

    fn replaces(&self, new: Price, old: Price) -> bool {
        let tip = |price: Price| match price {
            Price::Legacy(price) => price,
            Price::Market { tip, .. } => tip,
        };
        match self.rules {
            Pool::Ordinary => {
                let tenth = |new: u128, old: u128| new * 10 >= old * 11;
                tenth(new.most(), old.most()) && tenth(tip(new), tip(old))
            }
            Pool::Frontier => {
                let rank = |price: Price| match price {
                    Price::Legacy(price) => price.saturating_sub(self.base_fee),
                    Price::Market { cap, tip } => cap.saturating_sub(self.base_fee).min(tip),
                };
                rank(new) > rank(old)
            }
        }
    }
}

/// What is wrong with an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    #[default]
    None,
    /// It does not answer.
    Down,
    /// It takes transactions, and the answer is lost.
    AnswerLost,
    /// It is so many blocks behind.
    Behind(u64),
    /// It tells another hash for every block.
    Fork,
    /// It says the contract has another head.
    Head,
    /// It is another chain's.
    ChainId,
    /// The contract has other code there.
    Code,
    /// It leaves the last log out.
    FewerLogs,
}

/// The process is killed when so many calls have been made.
#[derive(Clone, Debug, Default)]
pub struct Fuse(Arc<Mutex<Option<u64>>>);

impl Fuse {
    /// From now on.
    pub fn set(&self, calls: Option<u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = calls;
    }

    /// Whether it has burnt down.
    #[must_use]
    pub fn burnt(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Some(0)
    }

    /// One call less; false if the process is gone.
    fn burn(&self) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}

/// One endpoint of the network.
#[derive(Clone, Debug)]
pub struct Endpoint {
    name: String,
    net: Arc<Mutex<Net>>,
    lie: Arc<Mutex<Lie>>,
    fuse: Fuse,
}

impl Endpoint {
    /// From now on.
    pub fn tell(&self, lie: Lie) {
        *self.lie.lock().unwrap_or_else(PoisonError::into_inner) = lie;
    }

    fn lie(&self) -> Lie {
        *self.lie.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn net(&self) -> Result<MutexGuard<'_, Net>, ChainError> {
        if !self.fuse.burn() {
            return Err(self.away("the process is gone"));
        }
        if self.lie() == Lie::Down {
            return Err(self.away("connection refused"));
        }
        Ok(self.net.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn away(&self, why: &str) -> ChainError {
        ChainError::Unreachable {
            endpoint: self.name.clone(),
            why: why.into(),
        }
    }

    fn mined<'a>(&self, net: &'a Net, at: At) -> Result<&'a Mined, ChainError> {
        let missing = || ChainError::Missing {
            endpoint: self.name.clone(),
            what: format!("{at:?}"),
        };
        let Lie::Behind(lag) = self.lie() else {
            return net.at(at).ok_or_else(missing);
        };
        let last = (net.blocks.len() as u64 - 1).saturating_sub(lag);
        let number = match at {
            At::Latest => last,
            At::Finalized => last.saturating_sub(net.depth),
            At::Number(number) if number <= last => number,
            At::Number(_) => return Err(missing()),
        };
        net.at(At::Number(number)).ok_or_else(missing)
    }

    fn told(&self, block: &Block) -> Block {
        let mut block = block.clone();
        if self.lie() == Lie::Fork {
            block.hash = keccak256(block.hash);
        }
        block
    }
}

impl Chain for Endpoint {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn chain_id(&self) -> Result<u64, ChainError> {
        drop(self.net()?);
        Ok(if self.lie() == Lie::ChainId {
            1
        } else {
            CHAIN_ID
        })
    }

    fn block(&self, at: At) -> Result<Block, ChainError> {
        let net = self.net()?;
        Ok(self.told(&self.mined(&net, at)?.block))
    }

    fn code_hash(&self, contract: Address) -> Result<B256, ChainError> {
        let net = self.net()?;
        let hash = net.tip().machine.code_hash(contract);
        Ok(if self.lie() == Lie::Code {
            keccak256(hash)
        } else {
            hash
        })
    }

    fn read(&self, at: At, account: Address, calls: &[Call]) -> Result<Reading, ChainError> {
        let net = self.net()?;
        let mined = self.mined(&net, at)?;
        let env = net.env(&mined.block);
        let mut answers: Vec<_> = calls
            .iter()
            .map(|call| mined.machine.call(env, call))
            .collect();
        if self.lie() == Lie::Head
            && let Some(head) = answers.get_mut(1)
        {
            *head = gateway::anchor::chain::Answer::Returned(B256::repeat_byte(7).to_vec().into());
        }
        Ok(Reading {
            block: self.told(&mined.block),
            nonce: mined.machine.nonce(account),
            balance: mined.machine.balance(account),
            answers,
        })
    }

    fn logs(
        &self,
        contract: Address,
        event: B256,
        from: u64,
        to: u64,
    ) -> Result<Vec<Log>, ChainError> {
        let net = self.net()?;
        let mut logs: Vec<Log> = net
            .blocks
            .iter()
            .filter(|mined| (from..=to).contains(&mined.block.number))
            .flat_map(|mined| &mined.logs)
            .filter(|log| log.address == contract && log.topics.first() == Some(&event))
            .cloned()
            .collect();
        if self.lie() == Lie::FewerLogs {
            logs.pop();
        }
        Ok(logs)
    }

    fn gas_price(&self) -> Result<u128, ChainError> {
        Ok(self.net()?.base_fee)
    }

    fn send(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        let sent = self.net()?.take(raw);
        if self.lie() == Lie::AnswerLost {
            return Err(self.away("no answer in time"));
        }
        Ok(sent)
    }

    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let net = self.net()?;
        Ok(net
            .blocks
            .iter()
            .find_map(|mined| mined.receipts.get(&transaction))
            .cloned())
    }
}

/// A network with the contract on it, and who may do what.
#[derive(Clone, Debug)]
pub struct World {
    net: Arc<Mutex<Net>>,
    /// The contract.
    pub contract: Contract,
    /// Keccak of its code.
    pub code_hash: B256,
    /// Where blocks stood when it was there.
    pub first_block: u64,
}

/// A key that is always the same.
///
/// # Panics
/// If 0 is asked for.
#[must_use]
pub fn key(number: u8) -> LocalKey {
    LocalKey::from_bytes(&[number; 32]).expect("a key")
}

/// Its address.
#[must_use]
pub fn address(number: u8) -> Address {
    key(number).address()
}

/// Pays for posts.
pub const GAS: u8 = 1;
/// The three signers.
pub const SIGNERS: [u8; 3] = [2, 3, 4];
/// Stops.
pub const GUARDIAN: u8 = 5;
/// Deploys, deposits, and is anybody.
pub const ANYBODY: u8 = 9;

/// The terms of the test's contracts: one asset, the chain's own coin, a wei a unit.
#[must_use]
pub fn terms() -> Terms {
    let span = |time| Span { time, blocks: 2 };
    Terms {
        assets: vec![VaultAsset {
            id: 1,
            token: Address::ZERO,
            scale: 1,
            day_cap: u128::from(u64::MAX),
            min_deposit: 1,
        }],
        cap_tail: 86_400,
        signers: SIGNERS
            .iter()
            .map(|signer| key(*signer).address())
            .collect(),
        threshold: 2,
        guardian: key(GUARDIAN).address(),
        window: span(3_600),
        silence: span(7 * 86_400),
        exit: span(86_400),
        rotation: Span {
            time: 21 * 86_400,
            blocks: 10,
        },
        pause_length: 3_600,
        pause_every: 14 * 86_400,
        exits_per_block: 10,
        exits_open: 100,
        exit_fee: 0,
        treasury: key(GUARDIAN).address(),
    }
}

impl World {
    /// A chain with funded accounts and the contracts in its second block; three blocks make one final.
    ///
    /// # Panics
    /// If the contract cannot be deployed.
    #[must_use]
    pub fn new() -> Self {
        let mut machine = Machine::default();
        let coin = U256::from(10).pow(U256::from(18));
        for number in [GAS, GUARDIAN, ANYBODY] {
            machine.fund(key(number).address(), coin * U256::from(1_000));
        }
        let first = Mined {
            block: Block {
                number: 0,
                hash: keccak256("first"),
                parent: B256::ZERO,
                time: START,
            },
            machine,
            receipts: BTreeMap::new(),
            logs: Vec::new(),
            raws: Vec::new(),
        };
        let net = Net {
            blocks: vec![first],
            pool: BTreeMap::new(),
            rules: Pool::Ordinary,
            base_fee: CALM,
            depth: 3,
            stuck: false,
            forgetful: false,
            seen: BTreeMap::new(),
            forks: 0,
        };
        let deployment = Deployment::new(CHAIN_ID, key(ANYBODY).address(), 0, &terms());
        let mut world = Self {
            net: Arc::new(Mutex::new(net)),
            contract: deployment.contract,
            code_hash: B256::ZERO,
            first_block: 1,
        };
        let hashes = deployment
            .calls
            .map(|data| world.transact(ANYBODY, None, 0, data));
        world.mine(1);
        for hash in hashes {
            let receipt = world.net().tip().receipts[&hash].clone();
            assert!(receipt.success, "deployed: {receipt:?}");
        }
        let endpoint = world.endpoint("the test", &Fuse::default());
        world.code_hash = world.contract.code_hash(&endpoint).expect("there");
        world.mine(3);
        world
    }

    /// The network.
    pub fn net(&self) -> MutexGuard<'_, Net> {
        self.net.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An endpoint of it.
    #[must_use]
    pub fn endpoint(&self, name: &str, fuse: &Fuse) -> Endpoint {
        Endpoint {
            name: name.into(),
            net: self.net.clone(),
            lie: Arc::default(),
            fuse: fuse.clone(),
        }
    }

    /// More blocks.
    pub fn mine(&self, blocks: u64) {
        for _ in 0..blocks {
            self.net().mine();
        }
    }

    /// Time of the newest block, seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.net().tip().block.time
    }

    /// A transaction of somebody's into the pool, behind those of his that wait; answers its hash.
    ///
    /// # Panics
    /// If it is not taken.
    pub fn transact(&self, who: u8, to: Option<Address>, value: u128, data: Bytes) -> B256 {
        self.hand_in(who, to, value, data, STRANGER_GAS)
    }

    /// Coins from somebody to somebody.
    ///
    /// # Panics
    /// If it is not taken.
    pub fn pay(&self, who: u8, to: Address, value: u128) -> B256 {
        self.hand_in(who, Some(to), value, Bytes::new(), 21_000)
    }

    fn hand_in(&self, who: u8, to: Option<Address>, value: u128, data: Bytes, gas: u64) -> B256 {
        let who = key(who);
        let mut net = self.net();
        let mined = net.tip().machine.nonce(who.address());
        let waiting = net
            .pool
            .keys()
            .filter(|(from, _)| *from == who.address())
            .count() as u64;
        let transaction = Transaction {
            chain_id: CHAIN_ID,
            nonce: mined + waiting,
            price: Price::Legacy(net.base_fee * 2),
            gas,
            to,
            value: U256::from(value),
            data,
        };
        let signed = transaction.sign(&who).expect("signs");
        let forgetful = std::mem::replace(&mut net.forgetful, false);
        assert_eq!(net.take(&signed.raw), Sent::Accepted);
        net.forgetful = forgetful;
        signed.hash
    }

    /// What the contract holds in the newest block: anchors, head, nonce and coins of the gas account.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn found(&self) -> (u64, B256, u64, U256) {
        let endpoint = self.endpoint("the test", &Fuse::default());
        let gas = key(GAS).address();
        let reading = endpoint
            .read(At::Latest, gas, &self.contract.reads())
            .expect("read");
        let standing = self
            .contract
            .standing(&reading.answers, "the test")
            .expect("its answers");
        (
            standing.number,
            standing.head,
            reading.nonce,
            reading.balance,
        )
    }

    /// Transactions of the gas account in the blocks: done and refused.
    #[must_use]
    pub fn posts(&self) -> (usize, usize) {
        let net = self.net();
        let receipts = net.blocks.iter().flat_map(|mined| &mined.receipts);
        let ours = receipts.filter(|(hash, _)| {
            net.seen.get(*hash).is_some_and(|transaction| {
                transaction.to == Some(self.contract.registry) && transaction.gas != STRANGER_GAS
            })
        });
        let (done, refused): (Vec<_>, Vec<_>) = ours.partition(|(_, receipt)| receipt.success);
        (done.len(), refused.len())
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
