//! Money. Every movement is a posting with a name; sums are checked against what came in and went out.

use bincode::{Decode, Encode};

use crate::{
    event::{Event, Posting, PostingKind},
    ids::{AccountId, AssetId, InstrumentId, TradeId, house},
    prefetch::prefetch,
    units::{Minor, Ppm},
    visits::visit,
};

mod saved;

/// Money of one account in one asset (MONEY-02).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Balance {
    /// All postings.
    pub cash: Minor,
    /// Spot escrow, bonds and order holds; pending withdrawals.
    pub held: Minor,
    /// Initial margin of forwards, open orders included.
    pub margin: Minor,
    /// Losses of forwards since the last daily mark, contract by contract; never positive.
    pub result: Minor,
}

impl Balance {
    /// What may still be held or withdrawn: a loss narrows it, a gain does not widen it.
    #[must_use]
    pub fn available(&self) -> Minor {
        self.cash - self.held - self.margin + self.result
    }
}

/// What a posting is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct About {
    /// Trade, if one.
    pub trade: TradeId,
    /// Contract, if one.
    pub instrument: InstrumentId,
    /// Transfer, if one.
    pub transfer: u32,
}

/// Inflow and outflow of one asset since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Flow {
    /// Deposits credited.
    pub deposited: i128,
    /// Withdrawals completed.
    pub withdrawn: i128,
    /// Sum of `cash` over all accounts, kept along.
    pub cash: i128,
}

/// All balances.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// By account.
    rows: Vec<Row>,
    flows: Vec<Flow>,
    entries: u64,
    /// Rows that changed since they were last told, each once, in order of first change.
    touched: Vec<(AccountId, AssetId)>,
}

/// Balances of an account.
#[derive(Clone, Debug, Default)]
struct Row {
    /// By asset.
    balances: Vec<Balance>,
    /// A bit for each asset that stands in `touched`.
    marks: u64,
}

impl Ledger {
    /// Makes room for so many changes of one command.
    pub(crate) fn reserve(&mut self, changes: usize) {
        self.touched.reserve(changes);
    }

    /// Opens the row of the next account.
    pub(crate) fn open(&mut self) {
        self.rows.push(Row::default());
    }

    /// Opens the column of the next asset.
    pub(crate) fn add_asset(&mut self) {
        self.flows.push(Flow::default());
    }

    /// Balance of an account in an asset; zero if there never was any.
    #[must_use]
    pub fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        visit();
        account
            .index()
            .and_then(|row| self.rows.get(row))
            .zip(asset.index())
            .and_then(|(row, column)| row.balances.get(column))
            .copied()
            .unwrap_or_default()
    }

    /// Asks for the list of an account's balances.
    pub(crate) fn ask_row(&self, account: AccountId) {
        if let Some(row) = account.index().and_then(|row| self.rows.get(row)) {
            prefetch(row);
        }
    }

    /// Asks for a balance.
    pub(crate) fn ask(&self, account: AccountId, asset: AssetId) {
        let row = account.index().and_then(|row| self.rows.get(row));
        if let Some((row, column)) = row.zip(asset.index())
            && let Some(balance) = row.balances.get(column)
        {
            prefetch(balance);
        }
    }

    /// Balances of an account, by asset.
    pub fn balances(&self, account: AccountId) -> impl Iterator<Item = (AssetId, Balance)> + '_ {
        let row = account.index().and_then(|row| self.rows.get(row));
        row.into_iter()
            .flat_map(|row| &row.balances)
            .enumerate()
            .map(|(column, balance)| (AssetId::nth(column), *balance))
    }

    /// In- and outflow of an asset.
    #[must_use]
    pub fn flow(&self, asset: AssetId) -> Flow {
        asset
            .index()
            .and_then(|column| self.flows.get(column))
            .copied()
            .unwrap_or_default()
    }

    /// Postings so far.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// A balance to change, noted as changed.
    pub(crate) fn change(&mut self, account: AccountId, asset: AssetId) -> &mut Balance {
        visit();
        let (line, column) = (account.index().unwrap_or(0), asset.index().unwrap_or(0));
        let bit = 1_u64 << (column % crate::limits::ASSETS);
        let row = &mut self.rows[line];
        if row.marks & bit == 0 {
            row.marks |= bit;
            self.touched.push((account, asset));
        }
        if row.balances.len() <= column {
            row.balances.resize(column + 1, Balance::default());
        }
        &mut row.balances[column]
    }

    /// Tells each row changed since the last call, in order of first change.
    pub(crate) fn take_touched(&mut self, mut tell: impl FnMut(AccountId, AssetId, Balance)) {
        for place in 0..self.touched.len() {
            let (account, asset) = self.touched[place];
            self.rows[account.index().unwrap_or(0)].marks = 0;
            tell(account, asset, self.balance(account, asset));
        }
        self.touched.clear();
    }

    /// Moves cash on one account. Whoever calls it posts the other side too, or counts a flow.
    pub(crate) fn post(
        &mut self,
        out: &mut Vec<Event>,
        (account, asset): (AccountId, AssetId),
        delta: Minor,
        kind: PostingKind,
        about: About,
    ) {
        if delta == Minor::ZERO {
            return;
        }
        self.entries += 1;
        let balance = self.change(account, asset);
        balance.cash += delta;
        let cash = balance.cash;
        self.flows[asset.index().unwrap_or(0)].cash += i128::from(delta.0);
        out.push(Event::Posting(Posting {
            entry: self.entries,
            account,
            asset,
            delta,
            balance: cash,
            kind,
            trade: about.trade,
            instrument: about.instrument,
            transfer: about.transfer,
        }));
    }

    /// Charges a share of a fill's value, or pays it as a rebate (MONEY-04).
    pub(crate) fn charge_fee(
        &mut self,
        out: &mut Vec<Event>,
        (account, asset): (AccountId, AssetId),
        rate: Ppm,
        value: Minor,
        about: About,
    ) -> Minor {
        let fee = rate.of(value);
        let kind = if fee < Minor::ZERO {
            PostingKind::Rebate
        } else {
            PostingKind::TradeFee
        };
        self.post(out, (account, asset), -fee, kind, about);
        self.post(out, (house::FEES, asset), fee, kind, about);
        fee
    }

    /// Counts money that came from or went to the outside.
    pub(crate) fn count_flow(&mut self, asset: AssetId, delta: Minor) {
        let flow = &mut self.flows[asset.index().unwrap_or(0)];
        if delta >= Minor::ZERO {
            flow.deposited += i128::from(delta.0);
        } else {
            flow.withdrawn -= i128::from(delta.0);
        }
    }

    /// Whether the kept sums agree: cash is what came in less what went out (MONEY-03).
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        self.flows
            .iter()
            .all(|flow| flow.cash == flow.deposited - flow.withdrawn)
    }

    /// Recounts everything, row by row.
    ///
    /// # Errors
    /// The asset whose books do not add up, with the sums.
    pub fn recount(&self) -> Result<(), String> {
        for (column, flow) in self.flows.iter().enumerate() {
            let cash: i128 = self
                .rows
                .iter()
                .filter_map(|row| row.balances.get(column))
                .map(|balance| i128::from(balance.cash.0))
                .sum();
            if cash != flow.deposited - flow.withdrawn || cash != flow.cash {
                return Err(format!(
                    "asset {}: accounts hold {cash}, kept sum {}, deposits {} less withdrawals {}",
                    column + 1,
                    flow.cash,
                    flow.deposited,
                    flow.withdrawn
                ));
            }
        }
        Ok(())
    }
}
