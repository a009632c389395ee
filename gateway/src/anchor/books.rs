//! The exchange's side of anchoring: headers of sealed epochs, a look at the books for signers, deposits into
//! the core.
//!
//! The signers that run in this process look at the same replica of the books as the header came from: the
//! keeper's, which executed the journal and not the core's memory. A signer who trusts nobody runs elsewhere,
//! on a journal of its own.

use std::sync::Arc;

use engine::{
    command::{ChainDeposit, Command, ServeExit},
    roots::{chain::ChainHeader, header::Header},
};
use revm::primitives::B256;
use tokio::runtime::Handle;

use super::{
    deposits::{Cursor, DepositSink},
    exits::{ExitSink, Filed},
    header::{Behind, Content, ExitCount, Heads, Newest},
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
    /// Exit requests that it claims as served.
    exits: u64,
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
            exits: 0,
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
            urgent: issued.sum::<u64>() > self.withdrawals || roots.exits_shown() > self.exits,
        }
    }

    fn content(&mut self, number: u64, behind: &Behind) -> Result<Option<Content>, String> {
        let form = |header: &Header| -> Result<ChainHeader, String> {
            let served = self.book.roots().claim_exits(behind.epoch, behind.served);
            let served = served.map_err(|why| why.to_string())?;
            let link = (number, behind.head.0);
            ChainHeader::of(header, link, served).map_err(|why| why.to_string())
        };
        // Before it is chosen: what cannot stand on a chain is not kept for it.
        let newest = self
            .book
            .roots()
            .provable()
            .map(|epoch| epoch.header.clone());
        if let Some(header) = newest {
            form(&header)?;
        }
        let Some(epoch) = self.book.choose() else {
            return Ok(None);
        };
        let header = form(&epoch.header)
            .inspect_err(|_| self.book.note(epoch.header.epoch, Step::Failed))?;
        self.withdrawals = header.withdraw_count;
        self.exits = header.forced_count;
        Ok(Some(Content {
            header,
            tops: epoch.tops,
            tip: epoch.tip,
        }))
    }

    fn exits(&mut self) -> ExitCount {
        self.desk.state(|state| ExitCount {
            taken: state.exit_requests().len() as u64,
            served: state.exits_served(),
        })
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
        let claims = roots.check_claim(number, header.forced_count);
        claims.map_err(|why| why.to_string())?;
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

impl ExitSink for BookHeads {
    fn taken(&self) -> u64 {
        self.desk.state(|state| state.exit_requests().len() as u64)
    }

    fn filed(&self, id: u64) -> Option<Filed> {
        let place = usize::try_from(id).ok()?;
        let row = self
            .desk
            .state(|state| state.exit_requests().get(place).copied())?;
        Some(Filed {
            account: row.account.0,
            owner: row.owner.into(),
            time: row.time,
            block: row.block,
        })
    }

    fn serve(&mut self, exit: &ServeExit) -> Result<(), String> {
        let served = deposits::serve_exit(&self.desk, *exit);
        self.runtime
            .block_on(served)
            .map_err(|error| format!("{error:#}"))
    }
}
