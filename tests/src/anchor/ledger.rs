//! A receiver of deposits with a durable list of its own.

use std::{path::Path, sync::Arc};

use engine::{command::ChainDeposit, journal::Disk};
use gateway::anchor::{
    deposits::{Cursor, DepositSink},
    store::{Store, StoreError},
};

/// All deposits that were credited, on disk.
#[derive(Debug)]
pub struct Ledger {
    log: Store,
    deposits: Vec<ChainDeposit>,
}

impl Ledger {
    /// Opens the list, or makes it.
    ///
    /// # Errors
    /// The log.
    ///
    /// # Panics
    /// If a record is something else.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self, StoreError> {
        let (log, bodies) = Store::open(disk, path, "deposits")?;
        let read = |body: &Vec<u8>| {
            let decoded = bincode::decode_from_slice(body, bincode::config::standard());
            decoded.expect("a deposit").0
        };
        let deposits = bodies.iter().map(read).collect();
        Ok(Self { log, deposits })
    }

    /// All of them, in order.
    #[must_use]
    pub fn deposits(&self) -> &[ChainDeposit] {
        &self.deposits
    }
}

impl DepositSink for Ledger {
    fn cursor(&self) -> Result<Cursor, String> {
        let last = self.deposits.last();
        Ok(last.map_or_else(Cursor::default, |last| Cursor {
            count: last.id + 1,
            acc: last.chain.into(),
            block: last.block,
        }))
    }

    fn credit(&mut self, deposit: &ChainDeposit) -> Result<(), String> {
        let cursor = self.cursor()?;
        if deposit.id != cursor.count {
            return Err(format!("number {} behind {}", deposit.id, cursor.count));
        }
        let body = bincode::encode_to_vec(deposit, bincode::config::standard());
        let body = body.map_err(|error| error.to_string())?;
        self.log.append(&body).map_err(|error| error.to_string())?;
        self.deposits.push(deposit.clone());
        Ok(())
    }
}
