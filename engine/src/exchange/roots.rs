//! What the state remembers for commitments: epochs, owners, withdrawals in the order of their issue. The
//! roots themselves are computed elsewhere ([`crate::roots`]): the core only says when.

use std::io;

use bincode::{Decode, Encode};

use super::{Exchange, Transfer};
use crate::{
    command::{
        AccountKind, AccountStatus, ChainDeposit, CreditDeposit, NewAccount, Rail, SetAccountOwner,
    },
    event::{Done, EpochMarked, Event, OwnerChanged},
    ids::{AccountId, FirmId, Seq},
    limits,
    reason::{Field, Problem, Reason},
    roots::chain::Tip,
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

/// Deposits on the chain, as far as they are credited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ChainDeposits {
    /// How many; the next one has this number.
    pub count: u64,
    /// The vault's chain value over them; zeros while there is none.
    pub chain: [u8; 32],
    /// The newest.
    pub tip: Tip,
    /// Block of the chain that carries it.
    pub block: u64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Commitments {
    epochs: Epochs,
    /// By account, as far as one was named.
    owners: Vec<Owner>,
    /// In order.
    issued: Vec<Issued>,
    chain: ChainDeposits,
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
        // He asked the chain for its exit when it was not his: a header has claimed, or will claim, that
        // nothing of him is left in it.
        if self.foreign_exit(set.account, &set.owner) {
            return Err(Problem::about(Reason::IllegalTransition, Field::Owner));
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

    /// Credits the next deposit on the chain to the account of its owner. An address that owns none gets an
    /// account of its own in the venue's firm, so that nobody's coins wait outside the books (ROOT-04).
    pub(super) fn credit_chain_deposit(
        &mut self,
        deposit: &ChainDeposit,
        out: &mut Vec<Event>,
    ) -> Result<Done, Problem> {
        let wide = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let next = self.commitments.chain.count;
        if deposit.id != next {
            return Err(Problem::limit(
                Reason::StaleObservation,
                Field::Sequence,
                wide(next),
                wide(deposit.id),
            ));
        }
        let place = deposit.asset.index().filter(|at| *at < self.assets.len());
        let place = place.ok_or(Problem::about(Reason::NotFound, Field::Asset))?;
        super::transfers::check_amount(deposit.amount)?;
        let tip = Tip {
            previous: self.commitments.chain.chain,
            owner: deposit.owner,
            // Assets are at most 64.
            asset: u16::try_from(deposit.asset.0).unwrap_or(u16::MAX),
            amount: u128::try_from(deposit.amount).unwrap_or(0),
            totals: deposit.totals.clone(),
        };
        if deposit.owner == [0; 20] || tip.chained(deposit.id) != deposit.chain {
            return Err(Problem::about(Reason::SignatureInvalid, Field::Sequence));
        }
        // The vault lists the exchange's assets by number, so its totals are ours.
        let before = |asset: usize| self.commitments.chain.tip.totals.get(asset).copied();
        let fits = (0..deposit.totals.len()).all(|asset| {
            let more = if asset == place { tip.amount } else { 0 };
            deposit.totals[asset] == before(asset).unwrap_or(0).saturating_add(more)
        });
        if !fits || place >= deposit.totals.len() {
            return Err(Problem::about(Reason::ObservationConflict, Field::Amount));
        }
        let account = match self.owned_by(&deposit.owner) {
            Some(account) => account,
            None => self.open_for(&deposit.owner, out)?,
        };
        let credit = CreditDeposit {
            account,
            asset: deposit.asset,
            amount: deposit.amount,
            rail: Rail::Chain,
        };
        let done = self.credit(&credit, out)?;
        self.commitments.chain = ChainDeposits {
            count: next + 1,
            chain: deposit.chain,
            tip,
            block: deposit.block,
        };
        Ok(done)
    }

    /// The first account of an address that is not closed.
    fn owned_by(&self, owner: &[u8; 20]) -> Option<AccountId> {
        let owners = self.commitments.owners.iter().zip(&self.accounts);
        let mut mine = owners.filter(|(row, account)| {
            row.address == *owner && account.status != AccountStatus::Closed
        });
        mine.next().map(|(_, account)| account.id)
    }

    /// An account for an address that has none.
    fn open_for(&mut self, owner: &[u8; 20], out: &mut Vec<Event>) -> Result<AccountId, Problem> {
        self.skip_foreign_numbers(owner, out)?;
        let hex: String = owner.iter().map(|byte| format!("{byte:02x}")).collect();
        let account = self.open_account(&NewAccount {
            firm: FirmId(1),
            label: format!("0x{hex}"),
            kind: AccountKind::Client,
            maker_fee_offset: 0,
            taker_fee_offset: 0,
        });
        out.push(Event::Access(account));
        let set = SetAccountOwner {
            account,
            owner: *owner,
        };
        self.set_account_owner(&set, out)?;
        Ok(account)
    }

    /// Deposits on the chain, as far as they are credited.
    #[must_use]
    pub fn chain_deposits(&self) -> &ChainDeposits {
        &self.commitments.chain
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
    /// The newest epoch's number.
    pub(super) fn newest_epoch(&self) -> u64 {
        self.epochs.newest
    }

    /// An account has no owner any more. Answers how often its owner changed.
    pub(super) fn forget_owner(&mut self, account: AccountId) -> Option<u64> {
        let owner = self.owners.get_mut(account.index()?)?;
        owner.address = [0; 20];
        owner.nonce += 1;
        Some(owner.nonce)
    }

    pub(super) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self {
            epochs,
            owners,
            issued,
            chain,
        } = self;
        saver.items(Section::Epochs, [epochs].into_iter())?;
        saver.items(Section::Owners, owners.iter())?;
        saver.items(Section::Issued, issued.iter())?;
        saver.items(Section::ChainDeposits, [chain].into_iter())
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
        let chain = loader.one(Section::ChainDeposits)?;
        Ok(Self {
            epochs,
            owners,
            issued,
            chain,
        })
    }
}
