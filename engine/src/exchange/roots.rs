//! What the state remembers for commitments: epochs, owners, withdrawals in the order of their issue. The
//! roots themselves are computed elsewhere ([`crate::roots`]): the core only says when.

use std::io;

use bincode::{Decode, Encode};

use super::{Exchange, Transfer};
use crate::{
    command::{AccountStatus, SetAccountOwner},
    event::{Done, EpochMarked, Event, OwnerChanged},
    ids::{AccountId, Seq},
    limits,
    reason::{Field, Problem, Reason},
    saved::{LoadError, Loader, Saver, Section},
    units::Nanos,
};

/// Who may leave with an account's balances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Owner {
    /// Address on an EVM chain; zeros = none was named.
    pub address: [u8; 20],
    /// How often it changed.
    pub nonce: u64,
}

/// A withdrawal that left the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Issued {
    /// Number of the transfer.
    pub transfer: u32,
    /// The account's owner at that time.
    pub to: [u8; 20],
}

/// Epochs so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Epochs {
    /// The newest; 0 before the first.
    pub newest: u64,
    /// Journal position of its mark.
    pub seq: Seq,
    /// Core time of its mark.
    pub at: Nanos,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Commitments {
    epochs: Epochs,
    /// By account, as far as one was named.
    owners: Vec<Owner>,
    /// In order.
    issued: Vec<Issued>,
}

impl Exchange {
    /// Ends an epoch with this command.
    pub(super) fn mark_epoch(&mut self, out: &mut Vec<Event>) {
        let epoch = self.commitments.epochs.newest + 1;
        self.commitments.epochs = Epochs {
            newest: epoch,
            seq: self.seq,
            at: self.at,
        };
        out.push(Event::Epoch(EpochMarked { epoch }));
    }

    /// Names the owner of an account. The same one again changes nothing.
    pub(super) fn set_account_owner(
        &mut self,
        set: &SetAccountOwner,
        out: &mut Vec<Event>,
    ) -> Result<Done, Problem> {
        let unknown = Problem::about(Reason::NotFound, Field::Account);
        let account = self.account(set.account).ok_or(unknown)?;
        if account.status == AccountStatus::Closed {
            return Err(Problem::about(Reason::AccountNotActive, Field::Account));
        }
        if set.owner == [0; 20] {
            return Err(Problem::about(Reason::InvalidField, Field::Owner));
        }
        let row = set.account.index().unwrap_or(0);
        let owners = &mut self.commitments.owners;
        if owners.len() <= row {
            owners.resize(row + 1, Owner::default());
        }
        let owner = &mut owners[row];
        if owner.address != set.owner {
            owner.address = set.owner;
            owner.nonce += 1;
            out.push(Event::Owner(OwnerChanged {
                account: set.account,
                owner: set.owner,
                nonce: owner.nonce,
            }));
        }
        Ok(super::admin::made(set.account.0))
    }

    /// A withdrawal has left the books.
    pub(super) fn note_issued(&mut self, transfer: &Transfer) {
        self.commitments.issued.push(Issued {
            transfer: transfer.id,
            to: self.owner(transfer.account).address,
        });
    }

    /// Who may leave with an account's balances.
    #[must_use]
    pub fn owner(&self, account: AccountId) -> Owner {
        let owners = &self.commitments.owners;
        let owner = account.index().and_then(|row| owners.get(row));
        owner.copied().unwrap_or_default()
    }

    /// Withdrawals that left the books, in order.
    #[must_use]
    pub fn issued(&self) -> &[Issued] {
        &self.commitments.issued
    }

    /// Epochs so far.
    #[must_use]
    pub fn epochs(&self) -> Epochs {
        self.commitments.epochs
    }
}

impl Commitments {
    pub(super) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self {
            epochs,
            owners,
            issued,
        } = self;
        saver.items(Section::Epochs, [epochs].into_iter())?;
        saver.items(Section::Owners, owners.iter())?;
        saver.items(Section::Issued, issued.iter())
    }

    pub(super) fn load(
        loader: &mut Loader<'_>,
        accounts: usize,
        transfers: &[Transfer],
    ) -> Result<Self, LoadError> {
        let epochs = loader.one(Section::Epochs)?;
        let owners = loader.table(Section::Owners, accounts, |_, _: &Owner| true)?;
        let known = |_: usize, issued: &Issued| {
            let place = (issued.transfer as usize).checked_sub(1);
            place.is_some_and(|place| {
                transfers
                    .get(place)
                    .is_some_and(|row| row.state == super::TransferState::Paid)
            })
        };
        let issued = loader.table(Section::Issued, limits::TRANSFERS, known)?;
        Ok(Self {
            epochs,
            owners,
            issued,
        })
    }
}
