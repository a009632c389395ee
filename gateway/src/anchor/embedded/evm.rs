//! The machine of the embedded chain: London rules, accounts in memory, one transaction at a time.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use revm::{
    Context, DatabaseCommit, DatabaseRef, ExecuteEvm, MainBuilder, MainContext,
    bytecode::Bytecode,
    context::{BlockEnv, TxEnv, result::ExecutionResult},
    database::{CacheDB, EmptyDB, WrapDatabaseRef},
    primitives::{Address, B256, Bytes, KECCAK_EMPTY, TxKind, U256, hardfork::SpecId},
    state::{AccountInfo, EvmState},
};

use crate::anchor::{
    chain::{Answer, Call},
    transaction::{Price, Transaction},
};

/// Gas of a block, and most of a transaction.
pub const BLOCK_GAS: u64 = 20_000_000;

/// The block that a transaction runs in.
#[derive(Clone, Copy, Debug)]
pub struct Env {
    /// Chain id.
    pub chain_id: u64,
    /// Number.
    pub number: u64,
    /// Seconds since 1970.
    pub time: u64,
    /// Base fee, wei.
    pub base_fee: u64,
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// False if it was refused.
    pub success: bool,
    /// Gas used.
    pub gas_used: u64,
    /// Returned or refusing bytes.
    pub output: Bytes,
    /// What was told: contract, topics, data.
    pub logs: Vec<(Address, Vec<B256>, Bytes)>,
    /// Contract made.
    pub created: Option<Address>,
}

/// Accounts and code. See the module's page.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    db: CacheDB<EmptyDB>,
}

/// Changes of a transaction that are not made yet.
#[derive(Debug)]
pub struct Changes(EvmState);

#[derive(Encode, Decode)]
struct SavedAccount {
    address: [u8; 20],
    nonce: u64,
    balance: [u8; 32],
    code: Vec<u8>,
    storage: Vec<([u8; 32], [u8; 32])>,
}

impl Machine {
    /// Gives coins to an account, wei; at the beginning of a chain only.
    pub fn fund(&mut self, address: Address, wei: U256) {
        let mut info = self.info(address);
        info.balance += wei;
        self.db.insert_account_info(address, info);
    }

    fn info(&self, address: Address) -> AccountInfo {
        let Ok(info) = self.db.basic_ref(address);
        info.unwrap_or_default()
    }

    /// Next nonce.
    #[must_use]
    pub fn nonce(&self, address: Address) -> u64 {
        self.info(address).nonce
    }

    /// Coins, wei.
    #[must_use]
    pub fn balance(&self, address: Address) -> U256 {
        self.info(address).balance
    }

    /// Keccak of an account's code; of nothing if there is none.
    #[must_use]
    pub fn code_hash(&self, address: Address) -> B256 {
        match self.info(address).code_hash {
            B256::ZERO => KECCAK_EMPTY,
            hash => hash,
        }
    }

    /// An account's code; empty if it is no contract.
    #[must_use]
    pub fn code(&self, address: Address) -> Bytes {
        let hash = self.info(address).code_hash;
        let code = self.db.cache.contracts.get(&hash);
        code.map_or_else(Bytes::new, Bytecode::original_bytes)
    }

    /// What a transaction would do, and the changes it would make.
    ///
    /// # Errors
    /// If it cannot be in a block: nonce, funds, price.
    pub fn execute(
        &self,
        env: Env,
        transaction: &Transaction,
        from: Address,
    ) -> Result<(Outcome, Changes), String> {
        let kind = transaction.to.map_or(TxKind::Create, TxKind::Call);
        let builder = TxEnv::builder()
            .caller(from)
            .kind(kind)
            .data(transaction.data.clone())
            .value(transaction.value)
            .gas_limit(transaction.gas)
            .nonce(transaction.nonce)
            .chain_id(Some(transaction.chain_id));
        let builder = match transaction.price {
            Price::Legacy(price) => builder.gas_price(price),
            Price::Market { cap, tip } => builder.gas_price(cap).gas_priority_fee(Some(tip)),
        };
        self.run(env, builder.build().map_err(|error| format!("{error:?}"))?)
    }

    /// What a contract answers; changes nothing.
    #[must_use]
    pub fn call(&self, env: Env, call: &Call) -> Answer {
        let transaction = TxEnv::builder()
            .caller(call.from)
            .kind(TxKind::Call(call.to))
            .data(call.data.clone())
            .gas_limit(BLOCK_GAS)
            .gas_price(0)
            .nonce(self.nonce(call.from))
            .chain_id(Some(env.chain_id))
            .build();
        // A question costs nothing.
        let env = Env { base_fee: 0, ..env };
        let answer = transaction
            .map_err(|error| format!("{error:?}"))
            .and_then(|transaction| self.run(env, transaction));
        match answer {
            Ok((outcome, _)) if outcome.success => Answer::Returned(outcome.output),
            Ok((outcome, _)) => Answer::Reverted(outcome.output, "execution reverted".into()),
            Err(why) => Answer::Reverted(Bytes::new(), why),
        }
    }

    fn run(&self, env: Env, transaction: TxEnv) -> Result<(Outcome, Changes), String> {
        let block = BlockEnv {
            number: U256::from(env.number),
            timestamp: U256::from(env.time),
            gas_limit: BLOCK_GAS,
            basefee: env.base_fee,
            ..Default::default()
        };
        let mut evm = Context::mainnet()
            .with_db(WrapDatabaseRef(&self.db))
            .with_block(block)
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SpecId::LONDON);
                cfg.chain_id = env.chain_id;
            })
            .build_mainnet();
        let done = evm
            .transact(transaction)
            .map_err(|error| error.to_string())?;
        let gas_used = done.result.tx_gas_used();
        let created = done.result.created_address();
        let success = done.result.is_success();
        let logs = done.result.logs().iter();
        let logs = logs
            .map(|log| {
                (
                    log.address,
                    log.data.topics().to_vec(),
                    log.data.data.clone(),
                )
            })
            .collect();
        let output = match &done.result {
            ExecutionResult::Halt { reason, .. } => Bytes::from(format!("{reason:?}").into_bytes()),
            result => result.output().cloned().unwrap_or_default(),
        };
        let outcome = Outcome {
            success,
            gas_used,
            output,
            logs: if success { logs } else { Vec::new() },
            created: created.filter(|_| success),
        };
        Ok((outcome, Changes(done.state)))
    }

    /// Makes the changes.
    pub fn commit(&mut self, changes: Changes) {
        self.db.commit(changes.0);
        // Kept with the blocks.
        self.db.cache.logs.clear();
    }

    /// All accounts as bytes, in order of their addresses.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let accounts: BTreeMap<_, _> = self.db.cache.accounts.iter().collect();
        let saved: Vec<SavedAccount> = accounts
            .into_iter()
            .map(|(address, account)| {
                let storage: BTreeMap<_, _> = account
                    .storage
                    .iter()
                    .map(|(slot, value)| (slot.to_be_bytes::<32>(), value.to_be_bytes::<32>()))
                    .collect();
                let code = self.db.cache.contracts.get(&account.info.code_hash);
                SavedAccount {
                    address: address.into_array(),
                    nonce: account.info.nonce,
                    balance: account.info.balance.to_be_bytes(),
                    code: code.map_or_else(Vec::new, |code| code.original_byte_slice().to_vec()),
                    storage: storage.into_iter().collect(),
                }
            })
            .collect();
        bincode::encode_to_vec(saved, bincode::config::standard()).unwrap_or_default()
    }

    /// The accounts that [`Self::save`] wrote; none if these bytes are something else.
    #[must_use]
    pub fn load(bytes: &[u8]) -> Option<Self> {
        let (saved, length): (Vec<SavedAccount>, usize) =
            bincode::decode_from_slice(bytes, bincode::config::standard()).ok()?;
        if length != bytes.len() {
            return None;
        }
        let mut machine = Self::default();
        for account in saved {
            let address = Address::from(account.address);
            let mut info = AccountInfo {
                nonce: account.nonce,
                balance: U256::from_be_bytes(account.balance),
                ..AccountInfo::default()
            };
            if !account.code.is_empty() {
                let code = Bytecode::new_raw(account.code.into());
                info.code_hash = code.hash_slow();
                info.code = Some(code);
            }
            machine.db.insert_account_info(address, info);
            for (slot, value) in account.storage {
                let (slot, value) = (U256::from_be_bytes(slot), U256::from_be_bytes(value));
                let Ok(()) = machine.db.insert_account_storage(address, slot, value);
            }
        }
        Some(machine)
    }
}
