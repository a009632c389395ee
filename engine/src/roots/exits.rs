//! What a header may claim of exit requests: nothing that the contract's Judge could be shown to be a lie.
//!
//! A header claims only what the header before it showed already: there, and in every later one, the account
//! is closed and without a unit in any asset, or it is not the asker's. So a claim needs no withdrawal beside
//! it, and nobody can doubt that it paid. The first header of all claims nothing. The words of the state are
//! not enough for it: the leaves themselves are looked at.

use super::{Roots, chain::Unpostable};
use crate::{exchange::Exchange, ids::AccountId};

/// A request that the state says is served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    account: AccountId,
    owner: [u8; 20],
    /// Epoch whose root is the first to show it, and all before it.
    shown_in: u64,
}

impl Roots {
    /// Takes up what is served now.
    pub(super) fn seal_exits(&mut self, exchange: &Exchange) {
        let served = usize::try_from(exchange.exits_served()).unwrap_or(usize::MAX);
        let rows = exchange.exit_requests().iter().take(served);
        let fresh = rows.skip(self.exits.len()).map(|row| Claim {
            account: row.account,
            owner: row.owner,
            shown_in: row.shown_in,
        });
        self.exits.extend(fresh);
    }

    /// Requests that the newest sealed epoch shows as served.
    #[must_use]
    pub fn exits_shown(&self) -> u64 {
        self.exits.len() as u64
    }

    /// Requests that a header of the newest sealed epoch claims as served, behind the header of epoch
    /// `previous` (0 = it is the first), which claimed `claimed` of them.
    ///
    /// # Errors
    /// If one of them is not what the state says: no such header may be formed.
    pub fn claim_exits(&self, previous: u64, claimed: u64) -> Result<u64, Unpostable> {
        let count = self.exits.partition_point(|row| row.shown_in <= previous) as u64;
        self.check_claims(claimed, count)?;
        Ok(count.max(claimed))
    }

    /// Whether a header of an epoch may claim so many, whatever header came before it.
    ///
    /// # Errors
    /// If no earlier root showed all of them, or one is not what the state says.
    pub fn check_claim(&self, epoch: u64, claimed: u64) -> Result<(), Unpostable> {
        let shown = self.exits.partition_point(|row| row.shown_in < epoch) as u64;
        if claimed > shown {
            return Err(Unpostable::ClaimedEarly { claimed, shown });
        }
        self.check_claims(0, claimed)
    }

    /// Looks at the leaves of so many requests. An account that is closed and empty stays so, so the newest
    /// ones speak for older epochs too.
    fn check_claims(&self, from: u64, to: u64) -> Result<(), Unpostable> {
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let rows = self.exits.iter().enumerate().take(place(to));
        for (request, row) in rows.skip(place(from)) {
            let left = self
                .balances
                .iter()
                .filter_map(|asset| asset.leaf(row.account));
            let lie = left
                .filter(|leaf| leaf.owner == row.owner)
                .any(|leaf| !leaf.closed || leaf.sum() != 0);
            if lie {
                let (request, account) = (request as u64, row.account.0);
                return Err(Unpostable::FalselyServed { request, account });
            }
        }
        Ok(())
    }
}
