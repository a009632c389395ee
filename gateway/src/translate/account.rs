//! Private state of an account as the wire describes it, read whole or kept up event by event.

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    command::{AccountStatus, Rail, Side},
    event::{BalanceRow, ClearingEvent, Event, PositionRow, Posting, PostingKind},
    exchange::{Exchange, Transfer, TransferState},
    ids::{AccountId, AssetId, InstrumentId},
    instrument::Kind,
    ledger::Balance,
    units::{Lots, Minor, Ppm, Ticks},
};
use proto::{account::v1 as wire, common::v1 as common};

use super::{
    reference::id,
    valuation::{Maintenance, Valuation, credits},
};
use crate::{archive::Dated, desk::wide};

/// An account at one journal position.
#[derive(Clone, Debug)]
pub struct Image {
    account: AccountId,
    /// What it may do.
    pub status: AccountStatus,
    /// Assets in which the exchange closes its positions at the moment.
    liquidated: BTreeSet<AssetId>,
    /// Position of the image.
    pub seq: u64,
    balances: BTreeMap<AssetId, Balance>,
    positions: BTreeMap<InstrumentId, PositionRow>,
    contracts: BTreeMap<InstrumentId, Valuation>,
    /// Rates of credit of all families.
    credits: Vec<(Ppm, Ppm)>,
}

/// What one command changed of an account.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Balances, as they are now.
    pub balances: Vec<wire::Balance>,
    /// Positions, as they are now.
    pub positions: Vec<wire::Position>,
    /// The status may have changed.
    pub status: bool,
}

impl Changes {
    /// Nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.balances.is_empty() && self.positions.is_empty() && !self.status
    }
}

impl Image {
    /// The account as it is.
    #[must_use]
    pub fn read(exchange: &Exchange, account: AccountId) -> Self {
        let positions = exchange.positions().of(account);
        let contracts = exchange.instruments().iter();
        Self {
            account,
            status: exchange
                .account(account)
                .map_or(AccountStatus::Closed, |row| row.status),
            liquidated: exchange
                .ledger()
                .balances(account)
                .map(|(asset, _)| asset)
                .filter(|asset| exchange.distress_of(account, *asset) == Some(true))
                .collect(),
            seq: exchange.seq(),
            balances: exchange.ledger().balances(account).collect(),
            positions: positions
                .map(|row| (row.instrument, exchange.position_row(row)))
                .collect(),
            contracts: contracts
                .map(|contract| (contract.id, Valuation::of(contract)))
                .collect(),
            credits: credits(exchange),
        }
    }

    /// The account as a past day left it: its money and positions, and the marks that they had then.
    #[must_use]
    pub fn of_a_day(
        exchange: &Exchange,
        account: AccountId,
        (balances, positions): (
            BTreeMap<AssetId, Balance>,
            BTreeMap<InstrumentId, PositionRow>,
        ),
        marks: &BTreeMap<InstrumentId, Ticks>,
    ) -> Self {
        let known = |id: &InstrumentId| Some((*id, Valuation::of(exchange.instrument(*id)?)));
        let mut contracts: BTreeMap<_, _> = positions.keys().filter_map(known).collect();
        for (id, mark) in marks {
            if let Some(contract) = contracts.get_mut(id) {
                contract.mark = *mark;
            }
        }
        Self {
            // A statement tells of money, not of what the account may do.
            status: AccountStatus::Active,
            liquidated: BTreeSet::new(),
            account,
            seq: 0,
            balances,
            positions,
            contracts,
            credits: credits(exchange),
        }
    }

    /// Whether an event changes the account, or what its positions are valued with.
    #[must_use]
    pub fn concerns(&self, event: &Event) -> bool {
        match event {
            Event::Balance(row) => row.account == self.account,
            Event::Position(row) => row.account == self.account,
            Event::Access(account) => *account == self.account,
            Event::Clearing(
                ClearingEvent::LiquidationBegan(row) | ClearingEvent::LiquidationEnded(row),
            ) => row.account == self.account,
            Event::Statistics(_) => true,
            _ => false,
        }
    }

    /// Takes over what one command did.
    pub fn apply(&mut self, events: &[Event], seq: u64) -> Changes {
        let mut changes = Changes::default();
        for event in events {
            match event {
                Event::Statistics(change) => {
                    if let Some(contract) = self.contracts.get_mut(&change.instrument) {
                        contract.mark = change.mark;
                    }
                }
                Event::Balance(row) if row.account == self.account => {
                    let now = balance_of(row);
                    self.balances.insert(row.asset, now);
                    changes.balances.push(balance(row.asset, &now));
                }
                Event::Position(row) if row.account == self.account => {
                    self.positions.insert(row.instrument, *row);
                    changes.positions.push(self.position(row));
                }
                Event::Access(account) if *account == self.account => changes.status = true,
                Event::Clearing(ClearingEvent::LiquidationBegan(row))
                    if row.account == self.account =>
                {
                    self.liquidated.insert(row.asset);
                    changes.status = true;
                }
                Event::Clearing(ClearingEvent::LiquidationEnded(row))
                    if row.account == self.account =>
                {
                    self.liquidated.remove(&row.asset);
                    changes.status = true;
                }
                _ => {}
            }
        }
        self.seq = seq;
        changes
    }

    /// Learns the terms of contracts listed after the image was read, and what is left of those in
    /// delivery.
    pub fn learn(&mut self, exchange: &Exchange) {
        for contract in exchange.instruments() {
            let known = self.contracts.entry(contract.id);
            known.or_insert(Valuation::of(contract)).learn(contract);
        }
        self.credits = credits(exchange);
    }

    /// What the account may do, as the wire says it.
    #[must_use]
    pub fn wire_status(&self) -> i32 {
        if self.liquidated.is_empty() {
            return status(self.status);
        }
        wire::AccountStatus::InLiquidation.into()
    }

    /// All balances.
    #[must_use]
    pub fn balances(&self) -> Vec<wire::Balance> {
        let all = self.balances.iter();
        all.map(|(asset, row)| balance(*asset, row)).collect()
    }

    /// All positions ever opened.
    #[must_use]
    pub fn positions(&self) -> Vec<wire::Position> {
        let all = self.positions.values();
        all.map(|row| self.position(row)).collect()
    }

    fn position(&self, row: &PositionRow) -> wire::Position {
        let mark = self.contracts.get(&row.instrument).map(|row| row.mark.0);
        wire::Position {
            instrument_id: id(row.instrument.0),
            net_lots: row.net.0,
            open_buy_lots: row.open_buy.0,
            open_sell_lots: row.open_sell.0,
            cost_ticks_lots: clamp(row.cost.0),
            mark_ticks: mark.unwrap_or(0),
            unrealised_minor: row.unrealised.0,
            realised_minor: row.realised.0,
            deleverage_rank_ppm: 0,
        }
    }

    /// Margin in the asset that bears most of it; the first one if none bears any.
    #[must_use]
    pub fn margin(&self) -> wire::Margin {
        let bearing = self.balances.iter().rev();
        let bearing = bearing.max_by_key(|(_, row)| row.margin);
        let (asset, row) = bearing.map_or((AssetId(1), Balance::default()), |(a, row)| (*a, *row));
        let (mut maintenance, mut bond) = (Maintenance::default(), Minor::ZERO);
        let mut result = Minor::ZERO;
        for position in self.positions.values() {
            let Some(contract) = self.contracts.get(&position.instrument) else {
                continue;
            };
            if contract.asset != asset {
                continue;
            }
            match contract.kind {
                Kind::Forward => {
                    result += position.result;
                    // Of what is open; orders are cancelled first (DEFAULT-01).
                    maintenance.add(contract, position.net);
                }
                // No position of their own.
                Kind::CalendarSpread | Kind::Strip => {}
                Kind::SpotBlock => {
                    let share = contract.margin.delivery_bond;
                    let short = Lots((position.open_sell - position.net).0.max(0));
                    let lot = contract.value.lot_share_up(contract.mark, share);
                    bond += lot.for_lots(short);
                }
            }
        }
        wire::Margin {
            margin_asset_id: id(asset.0),
            equity_minor: (row.cash + result).0,
            initial_minor: row.margin.0,
            maintenance_minor: maintenance.total(&self.credits).0,
            available_minor: row.available().0,
            delivery_bond_minor: bond.0,
        }
    }
}

fn clamp(wide: i128) -> i64 {
    let end = if wide < 0 { i64::MIN } else { i64::MAX };
    i64::try_from(wide).unwrap_or(end)
}

fn balance_of(row: &BalanceRow) -> Balance {
    Balance {
        cash: row.cash,
        held: row.held,
        margin: row.margin,
        result: row.result,
    }
}

fn balance(asset: AssetId, row: &Balance) -> wire::Balance {
    wire::Balance {
        asset_id: id(asset.0),
        total_minor: row.cash.0,
        held_minor: (row.held + row.margin).0,
        available_minor: row.available().0,
    }
}

/// What an account may do.
#[must_use]
pub fn status(status: AccountStatus) -> i32 {
    let wire = match status {
        AccountStatus::Active => wire::AccountStatus::Active,
        AccountStatus::ReduceOnly => wire::AccountStatus::ReduceOnly,
        AccountStatus::Suspended => wire::AccountStatus::Suspended,
        AccountStatus::Closed => wire::AccountStatus::Closed,
    };
    wire.into()
}

/// A side that must be set.
#[must_use]
pub fn side(side: common::Side) -> Option<Side> {
    match side {
        common::Side::Buy => Some(Side::Buy),
        common::Side::Sell => Some(Side::Sell),
        common::Side::Unspecified => None,
    }
}

/// A posting.
#[must_use]
pub fn entry(row: &Dated<Posting>) -> wire::LedgerEntry {
    let posting = &row.what;
    let moves_in_or_out = matches!(posting.kind, PostingKind::Deposit | PostingKind::Withdrawal);
    wire::LedgerEntry {
        entry_id: wide(posting.entry),
        journal_seq: wide(row.seq),
        unix_nanos: row.at.0,
        asset_id: id(posting.asset.0),
        delta_minor: posting.delta.0,
        balance_minor: posting.balance.0,
        kind: posting.kind as i32,
        trade_id: wide(posting.trade.0),
        instrument_id: id(posting.instrument.0),
        transfer_id: if moves_in_or_out {
            posting.transfer.into()
        } else {
            0
        },
        obligation_id: if moves_in_or_out {
            0
        } else {
            posting.transfer.into()
        },
    }
}

/// A deposit or withdrawal.
#[must_use]
pub fn transfer(row: &Transfer) -> wire::Transfer {
    use wire::{TransferDirection as D, TransferState as S};
    let (direction, state) = match row.state {
        TransferState::Credited => (D::Deposit, S::Completed),
        TransferState::Pending => (D::Withdrawal, S::Pending),
        TransferState::Approved => (D::Withdrawal, S::Approved),
        TransferState::Paid => (D::Withdrawal, S::Completed),
        TransferState::Refused => (D::Withdrawal, S::Rejected),
    };
    let rail = match row.rail {
        Rail::Sandbox => wire::TransferRail::Sandbox,
        Rail::Manual => wire::TransferRail::Manual,
        Rail::Chain => wire::TransferRail::L2,
    };
    let amount = |minor_units| common::Amount {
        asset_id: id(row.asset.0),
        minor_units,
    };
    wire::Transfer {
        transfer_id: row.id.into(),
        account_id: row.account.0.into(),
        direction: direction.into(),
        rail: rail.into(),
        state: state.into(),
        amount: Some(amount(row.amount)),
        fee: Some(amount(0)),
        l2_address: Vec::new(),
        l2_tx_hash: Vec::new(),
        l2_index: 0,
        created_unix_nanos: row.created_at.0,
        updated_unix_nanos: row.updated_at.0,
        journal_seq: wide(row.seq),
        problem: None,
    }
}
