//! Exit requests that owners filed on the chain (EXIT): whoever asks there is paid out and closed, without
//! the operator's word and without a login.
//!
//! A request counts as served in state only when its account is closed and empty, or could not be the
//! asker's; what a header may claim of that follows from the epoch that showed it first
//! ([`Exchange::exits_shown_by`]). Whatever takes several steps goes on in timers; each step does a bounded
//! amount of work.

mod blocks;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use bincode::{Decode, Encode};

use super::{
    Exchange, Transfer, TransferState,
    admin::{Outcome, check_room, made},
    timers::Timer,
};
use crate::{
    command::{AccountKind, AccountStatus, NewAccount, Origin, Rail, ServeExit},
    event::{Event, ExitStage, ExitStep, OwnerChanged, PostingKind},
    ids::{AccountId, AssetId, FirmId, house},
    ledger::About,
    limits,
    reason::{Field, Problem, Reason},
    saved::{LoadError, Loader, Saver, Section},
    units::{Minor, Nanos, SECOND},
};

/// An exit request, as the registry numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExitRequest {
    /// Which account.
    pub account: AccountId,
    /// Who asked.
    pub owner: [u8; 20],
    /// When it was filed by the chain's clock, seconds since 1970.
    pub time: u64,
    /// Block of the chain that carries it.
    pub block: u64,
    /// Until when calls and deliveries that have begun may take, core time.
    pub settle_by: Nanos,
    /// How far it is.
    pub stage: ExitStage,
    /// Epoch whose root is the first to show that it and all before it are served; 0 = not yet.
    pub shown_in: u64,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Exits {
    /// By number.
    requests: Vec<ExitRequest>,
    /// So many, from the first on, are served.
    served: usize,
    /// Requests that wait, by account.
    running: BTreeMap<AccountId, Vec<usize>>,
    /// Who asked for what was not his: it must never become his (EXIT-03).
    foreign: BTreeSet<(AccountId, [u8; 20])>,
}

/// How a step of winding up ended.
enum Next {
    /// There is more to do at once.
    More,
    /// Something must happen first; look again then.
    Waits(ExitStage, Nanos),
    /// The account is empty.
    Empty,
}

impl Exchange {
    /// Exit requests taken so far, by number.
    #[must_use]
    pub fn exit_requests(&self) -> &[ExitRequest] {
        &self.exits.requests
    }

    /// So many, from the first on, are served in the present state.
    #[must_use]
    pub fn exits_served(&self) -> u64 {
        self.exits.served as u64
    }

    /// So many, from the first on, are shown as served by the root of an epoch. A header may claim what the
    /// header before it showed, and no more: then nobody can show the account with coins just before the
    /// claim, and nobody has to answer for it (EXIT-09).
    #[must_use]
    pub fn exits_shown_by(&self, epoch: u64) -> u64 {
        let served = &self.exits.requests[..self.exits.served];
        served.partition_point(|row| row.shown_in <= epoch) as u64
    }

    /// Takes the next request of the registry (EXIT-01, EXIT-02).
    pub(super) fn serve_exit(&mut self, asked: &ServeExit, out: &mut Vec<Event>) -> Outcome {
        let wide = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let next = self.exits.requests.len();
        if asked.id != next as u64 {
            return Err(Problem::limit(
                Reason::StaleObservation,
                Field::Sequence,
                wide(next as u64),
                wide(asked.id),
            ));
        }
        check_room(next, limits::EXITS)?;
        let (account, owner) = (asked.account, asked.owner);
        let stage = if self.account(account).is_none() {
            ExitStage::UnknownAccount
        } else if owner == [0; 20] || self.owner(account).address != owner {
            ExitStage::NotTheOwner
        } else if account <= house::INSURANCE {
            ExitStage::VenueAccount
        } else {
            ExitStage::WindingUp
        };
        let patience = i64::from(asked.patience.min(limits::EXIT_PATIENCE));
        self.exits.requests.push(ExitRequest {
            account,
            owner,
            time: asked.time,
            block: asked.block,
            settle_by: self.at.after(patience * SECOND),
            stage,
            shown_in: 0,
        });
        self.tell_exit(next, out);
        match stage {
            ExitStage::WindingUp => {
                let joined = self.exits.running.entry(account).or_default();
                joined.push(next);
                if joined.len() == 1 {
                    self.begin_exit(account, out);
                }
            }
            _ => {
                self.exits.foreign.insert((account, owner));
                if stage == ExitStage::VenueAccount {
                    self.disown(account, out);
                }
                self.count_served();
            }
        }
        Ok(made(account.0))
    }

    fn tell_exit(&self, place: usize, out: &mut Vec<Event>) {
        if let Some(row) = self.exits.requests.get(place) {
            out.push(Event::Exit(ExitStep {
                request: place as u64,
                account: row.account,
                owner: row.owner,
                stage: row.stage,
            }));
        }
    }

    /// The served ones from the first on; the next mark is the first to show them.
    fn count_served(&mut self) {
        let epoch = self.epochs().newest + 1;
        while let Some(row) = self.exits.requests.get_mut(self.exits.served)
            && row.stage.is_done()
        {
            row.shown_in = epoch;
            self.exits.served += 1;
        }
    }

    /// Whether this address asked for this account's exit when it was not its owner. If it became the owner now, a header that claims that request would be a lie (EXIT-03).
    pub(super) fn foreign_exit(&self, account: AccountId, owner: &[u8; 20]) -> bool {
        self.exits.foreign.contains(&(account, *owner))
    }

    /// Numbers of accounts for whose exit an address asked before anybody had them are closed unused, so that
    /// none becomes its own (EXIT-03). Each was paid for on the chain.
    pub(super) fn skip_foreign_numbers(
        &mut self,
        owner: &[u8; 20],
        out: &mut Vec<Event>,
    ) -> Result<(), Problem> {
        loop {
            check_room(self.accounts.len(), limits::ACCOUNTS)?;
            if !self.foreign_exit(AccountId::nth(self.accounts.len()), owner) {
                return Ok(());
            }
            let unused = self.open_account(&NewAccount {
                firm: FirmId(1),
                label: "unused".into(),
                kind: AccountKind::Client,
                maker_fee_offset: 0,
                taker_fee_offset: 0,
            });
            if let Some(row) = self.account_mut(unused) {
                row.status = AccountStatus::Closed;
            }
            out.push(Event::Access(unused));
        }
    }

    /// The venue's own accounts do not leave: the address does not own it any more, so that nothing of it
    /// is his to claim (EXIT-04).
    fn disown(&mut self, account: AccountId, out: &mut Vec<Event>) {
        if let Some(nonce) = self.commitments.forget_owner(account) {
            out.push(Event::Owner(OwnerChanged {
                account,
                owner: [0; 20],
                nonce,
            }));
        }
    }

    /// Nothing new begins in the account from now on (EXIT-05).
    fn begin_exit(&mut self, account: AccountId, out: &mut Vec<Event>) {
        if let Some(row) = self.account_mut(account) {
            row.status = AccountStatus::Closed;
        }
        self.withdraw_bids(account);
        self.leave_off_book(account, out);
        out.push(Event::Access(account));
        self.wind_up(account, out);
    }

    /// Its timer: goes on with an account that is being wound up.
    pub(super) fn go_on_with_exit(&mut self, account: AccountId, out: &mut Vec<Event>) {
        if self.exits.running.contains_key(&account) {
            self.wind_up(account, out);
        }
    }

    fn wind_up(&mut self, account: AccountId, out: &mut Vec<Event>) {
        let (stage, again) = match self.step_of_exit(account, out) {
            Next::More => (ExitStage::WindingUp, self.at.after(1)),
            Next::Waits(stage, until) => (stage, until.max(self.at.after(1))),
            Next::Empty => (ExitStage::Served, Nanos::ZERO),
        };
        let places = match stage {
            ExitStage::Served => self.exits.running.remove(&account),
            _ => {
                self.timers.set(again, Timer::Exit(account));
                self.exits.running.get(&account).cloned()
            }
        };
        for place in places.unwrap_or_default() {
            let row = &mut self.exits.requests[place];
            if std::mem::replace(&mut row.stage, stage) != stage {
                self.tell_exit(place, out);
            }
        }
        self.count_served();
    }

    /// Orders, then positions and deliveries, then money (EXIT-05 to EXIT-08).
    fn step_of_exit(&mut self, account: AccountId, out: &mut Vec<Event>) -> Next {
        let nobody = Origin::default();
        let late = self.at >= self.exit_settles_by(account);
        let mut cancelled = 0;
        for slot in self.slots_where(account, |_| true) {
            if cancelled == limits::EXIT_ORDERS {
                return Next::More;
            }
            // Nobody's call lasts longer than the chain's patience.
            if late || !self.defers(slot, Reason::ClientRequest) {
                self.end(slot, Reason::ClientRequest, &nobody, out);
                cancelled += 1;
            }
        }
        let begun = self.leave_deliveries(account, late, out);
        if self.orders_of(account).next().is_some() {
            return Next::Waits(ExitStage::WaitsForCall, self.at.after(SECOND));
        }
        self.withdraw_offers(account);
        if !self.close_forwards_of(account, out) || !self.close_blocks_of(account, out) {
            return Next::More;
        }
        if let Some(again) = begun {
            let again = again.min(self.exit_settles_by(account));
            return Next::Waits(ExitStage::WaitsForDelivery, again);
        }
        self.pay_exit(account, out)
    }

    /// Until when an account's calls and begun deliveries may take: the most impatient request decides.
    fn exit_settles_by(&self, account: AccountId) -> Nanos {
        let places = self.exits.running.get(&account).into_iter().flatten();
        let rows = places.filter_map(|place| self.exits.requests.get(*place));
        rows.map(|row| row.settle_by).min().unwrap_or(self.at)
    }

    /// Everything that is left leaves for the owner (EXIT-08).
    fn pay_exit(&mut self, account: AccountId, out: &mut Vec<Event>) -> Next {
        self.refuse_waiting_withdrawals(account);
        let assets: Vec<AssetId> = (0..self.assets.len()).map(AssetId::nth).collect();
        let mut waits = None;
        for asset in assets {
            self.end_default(account, asset, out);
            let balance = self.ledger.balance(account, asset);
            if balance.available() != balance.cash {
                let again = self.at.after(limits::EXIT_LOOKS_AGAIN);
                waits = Some(Next::Waits(ExitStage::WaitsForTransfer, again));
            } else if balance.cash > Minor::ZERO && self.pay_leaver(account, asset, out).is_err() {
                let again = self.at.after(limits::EXIT_LOOKS_AGAIN);
                waits = Some(Next::Waits(ExitStage::WaitsForFund, again));
            }
        }
        waits.unwrap_or(Next::Empty)
    }

    /// Withdrawals nobody decided on are off: their money leaves with the rest.
    fn refuse_waiting_withdrawals(&mut self, account: AccountId) {
        if self.withdrawals.pending(account) == 0 {
            return;
        }
        let (at, seq) = (self.at, self.seq);
        for row in &mut self.transfers {
            if row.account == account && row.state == TransferState::Pending {
                (row.state, row.updated_at, row.seq) = (TransferState::Refused, at, seq);
                self.withdrawals.decide(account);
                self.ledger.change(account, row.asset).held -= Minor(row.amount);
            }
        }
    }

    /// All its money in an asset becomes a withdrawal to its owner, whatever its size.
    fn pay_leaver(
        &mut self,
        account: AccountId,
        asset: AssetId,
        out: &mut Vec<Event>,
    ) -> Result<(), Problem> {
        if self.is_in_debt(asset) {
            return Err(Problem::about(Reason::KillSwitchExchange, Field::Asset));
        }
        let cash = self.ledger.balance(account, asset).cash;
        let transfer = Transfer {
            id: 0,
            account,
            asset,
            amount: cash.0,
            rail: Rail::Chain,
            state: TransferState::Paid,
            client_id: 0,
            created_at: self.at,
            updated_at: self.at,
            seq: self.seq,
        };
        let id = self.record_transfer(transfer)?;
        let about = About {
            transfer: id,
            ..About::default()
        };
        let (row, kind) = ((account, asset), PostingKind::Withdrawal);
        self.ledger.post(out, row, -cash, kind, about);
        self.ledger.count_flow(asset, -cash);
        self.note_issued(&Transfer { id, ..transfer });
        Ok(())
    }
}

impl Exits {
    pub(super) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self {
            requests,
            // Follow from the requests.
            served: _,
            running: _,
            foreign: _,
        } = self;
        saver.items(Section::Exits, requests.iter())
    }

    pub(super) fn load(
        loader: &mut Loader<'_>,
        accounts: usize,
        epoch: u64,
    ) -> Result<Self, LoadError> {
        let mut exits = Self::default();
        loader.each(Section::Exits, limits::EXITS, |row: ExitRequest| {
            let place = exits.requests.len();
            let counted = exits.served == place && row.stage.is_done();
            let last = exits.requests.last().map_or(0, |last| last.shown_in);
            let shown = (last.max(1)..=epoch + 1).contains(&row.shown_in);
            if counted != (row.shown_in != 0) || (counted && !shown) {
                return Err(format!("exit request {place} is shown in {}", row.shown_in));
            }
            let known = row.account.index().is_some_and(|at| at < accounts);
            if !row.stage.is_done() && !known {
                return Err(format!("exit request {place} of unknown {:?}", row.account));
            }
            exits.served += usize::from(counted);
            match row.stage {
                ExitStage::Served => {}
                stage if stage.is_done() => {
                    exits.foreign.insert((row.account, row.owner));
                }
                _ => exits.running.entry(row.account).or_default().push(place),
            }
            exits.requests.push(row);
            Ok(())
        })?;
        Ok(exits)
    }
}
