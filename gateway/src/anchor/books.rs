//! The exchange's side of anchoring: headers of sealed epochs, a look at the books for signers, deposits into
//! the core.
//!
//! The signers that run in this process look at the same replica of the books as the header came from: the
//! keeper's, which executed the journal and not the core's memory. A signer who trusts nobody runs elsewhere,
//! on a journal of its own.

use std::sync::Arc;

use engine::{
    command::{ChainDeposit, Command},
    roots::{chain::ChainHeader, header::Header},
};
use revm::primitives::B256;
use tokio::runtime::Handle;

use super::{
    deposits::{Cursor, DepositSink},
    header::{Content, Heads, Newest},
    root_signer::Witness,
};
use crate::{
    desk::Desk,
    proofs::{Book, Step, deposits},
};

/// A running exchange, for the anchor's thread.
#[derive(Clone, Debug)]
pub struct BookHeads {
    book: Arc<Book>,
    desk: Desk,
    runtime: Handle,
    /// Withdrawals in the newest header that was formed.
    withdrawals: u64,
}

impl BookHeads {
    /// Of this exchange; called where its runtime is.
    #[must_use]
    pub fn new(book: Arc<Book>, desk: Desk) -> Self {
        Self {
            book,
            desk,
            runtime: Handle::current(),
            withdrawals: 0,
        }
    }
}

impl Heads for BookHeads {
    fn newest(&mut self) -> Newest {
        let roots = self.book.roots();
        let Some(epoch) = roots.provable() else {
            return Newest::default();
        };
        let issued = epoch.header.assets.iter().map(|flow| flow.withdrawals);
        Newest {
            epoch: epoch.header.epoch,
            seq: epoch.header.seq,
            urgent: issued.sum::<u64>() > self.withdrawals,
        }
    }

    fn content(
        &mut self,
        number: u64,
        previous: B256,
        served: u64,
    ) -> Result<Option<Content>, String> {
        let form = |header: &Header| {
            ChainHeader::of(header, (number, previous.0), served).map_err(|why| why.to_string())
        };
        // Before it is chosen: what cannot stand on a chain is not kept for it.
        if let Some(epoch) = self.book.roots().provable() {
            form(&epoch.header)?;
        }
        let Some(epoch) = self.book.choose() else {
            return Ok(None);
        };
        let header = form(&epoch.header)
            .inspect_err(|_| self.book.note(epoch.header.epoch, Step::Failed))?;
        self.withdrawals = header.withdraw_count;
        Ok(Some(Content {
            header,
            tops: epoch.tops,
            tip: epoch.tip,
        }))
    }

    fn note(&mut self, epoch: u64, step: Step) {
        self.book.note(epoch, step);
    }

    fn heartbeat(&mut self) {
        // Nobody waits for it: a later turn sees the epoch, or asks again.
        drop(self.desk.send(Command::MarkEpoch, None));
    }
}

impl Witness for BookHeads {
    fn agrees(&self, header: &ChainHeader) -> Result<(), String> {
        let roots = self.book.roots();
        let number = header.epoch;
        let epoch = roots
            .epoch(number)
            .ok_or_else(|| format!("epoch {number} is not remembered"))?;
        let link = (header.anchor, header.previous);
        let own = ChainHeader::of(&epoch.header, link, header.forced_count)
            .map_err(|why| why.to_string())?;
        if own == *header {
            return Ok(());
        }
        Err(format!(
            "epoch {number} has state root {}, journal head {}",
            B256::from(own.state_root),
            B256::from(own.journal_head)
        ))
    }
}

impl DepositSink for BookHeads {
    fn cursor(&self) -> Result<Cursor, String> {
        let credited = deposits::cursor(&self.desk);
        Ok(Cursor {
            count: credited.count,
            acc: credited.chain.into(),
            block: credited.block,
        })
    }

    fn credit(&mut self, deposit: &ChainDeposit) -> Result<(), String> {
        let credited = deposits::credit(&self.desk, deposit.clone());
        self.runtime
            .block_on(credited)
            .map(drop)
            .map_err(|error| format!("{error:#}"))
    }
}
