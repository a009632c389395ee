//! How far money reaches when a defaulter's positions find new owners: what the defaulter and the fund can
//! give away, what a bidder can carry, and which short positions are hedges of real machines
//! (DEFAULT-04 to DEFAULT-07).

use super::health::Distress;
use crate::{
    command::{AccountKind, AccountStatus, Side},
    exchange::Exchange,
    ids::{AccountId, AssetId, InstrumentId, house},
    instrument::Kind,
    ledger::Balance,
    position::Position,
    units::{Lots, Minor, PPM, Ticks},
};

impl Exchange {
    /// What may be given away so that makers take an account's positions: its own equity first, then what
    /// the fund has and does not owe for the debts of this account and of others that are being closed.
    /// At least 0; the fund never goes into debt for it.
    pub(super) fn concession_left(&self, account: AccountId, asset: AssetId) -> Minor {
        let debts: i128 = self
            .defaults
            .distressed
            .iter()
            .filter(|((who, of), distress)| {
                *who != account && *of == asset && **distress != Distress::Called
            })
            .map(|((who, _), _)| i128::from(self.health(*who, asset).equity.0).min(0))
            .sum();
        let fund: &Balance = &self.ledger.balance(house::INSURANCE, asset);
        let fund = (i128::from(fund.cash.0) + debts).max(0);
        let equity = i128::from(self.health(account, asset).equity.0);
        let left = (equity + fund).clamp(0, i64::MAX.into());
        Minor(i64::try_from(left).unwrap_or(i64::MAX))
    }

    /// The share of the marks of all of an account's positions that the concession is, rounded down: at a
    /// price so far from the mark nothing is left of equity and fund.
    pub(super) fn concession_share(&self, account: AccountId, asset: AssetId) -> i32 {
        let left = self.concession_left(account, asset);
        let notional: i128 = self
            .margined(account, asset)
            .map(|position| {
                let contract = self.contract(position.instrument);
                let size = Lots(position.net.0.abs());
                i128::from(contract.tick_value.lot_up(contract.mark).for_lots(size).0)
            })
            .sum();
        let share = i128::from(left.0) * PPM / notional.max(1);
        i32::try_from(share).unwrap_or(i32::MAX)
    }

    /// How many of so many lots may be sold off at a price: all, if it is no worse than the mark.
    pub(super) fn within_concession(
        &self,
        (account, instrument): (AccountId, InstrumentId),
        (net, lots): (Lots, Lots),
        price: Ticks,
    ) -> Lots {
        let contract = self.contract(instrument);
        let away = match net.0 {
            0.. => contract.mark.0 - price.0,
            _ => price.0 - contract.mark.0,
        };
        if away <= 0 {
            return lots;
        }
        let left = self.concession_left(account, contract.terms.price_asset);
        let one_lot = contract.tick_value.lot_up(Ticks(away));
        Lots(lots.0.min(left.0 / one_lot.0.max(1)))
    }

    /// How many lots of a maker's bid count when the bids are opened: what its status, its switches, its
    /// position limit and its money allow now. The venue's own switch does not matter: it stops trading and
    /// not the end of a default.
    pub(super) fn lots_it_can_take(
        &self,
        bidder: AccountId,
        instrument: InstrumentId,
        (net, lots): (Lots, Lots),
        price: Ticks,
    ) -> Lots {
        let Some(account) = self.account(bidder) else {
            return Lots::ZERO;
        };
        let maker = account.kind == AccountKind::MarketMaker;
        if !maker || self.is_switched_off(bidder) || self.is_liquidated(bidder) {
            return Lots::ZERO;
        }
        let position = self.positions.view(bidder, instrument);
        let side = Side::closing(net).opposite();
        let most = match account.status {
            AccountStatus::Active => lots,
            AccountStatus::ReduceOnly => lots.min(position.closable(side)),
            _ => Lots::ZERO,
        };
        let limit = self.contract(instrument).terms.limits.position_limit;
        let open = position.open(side).0;
        let room = match (limit, side) {
            (0, _) => i64::MAX,
            (_, Side::Buy) => limit - position.net.0 - open,
            (_, Side::Sell) => limit + position.net.0 - open,
        };
        let most = most.min(Lots(room.max(0)));
        self.affordable(bidder, instrument, (net, most), price)
    }

    /// The most of so many lots of a position that an account has the money to take over at a price. More
    /// lots never need less once they need anything, so halving finds it.
    pub(super) fn affordable(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        (net, lots): (Lots, Lots),
        price: Ticks,
    ) -> Lots {
        if lots <= Lots::ZERO || self.can_take(account, instrument, (net, lots), price) {
            return lots.max(Lots::ZERO);
        }
        let (mut fits, mut size) = (0, lots.0);
        while fits + 1 < size {
            let middle = fits + (size - fits) / 2;
            if self.can_take(account, instrument, (net, Lots(middle)), price) {
                fits = middle;
            } else {
                size = middle;
            }
        }
        Lots(fits)
    }

    /// Whether an account, its firm or its own desk stopped its trading.
    pub(super) fn is_switched_off(&self, account: AccountId) -> bool {
        let row = self.account(account);
        row.is_none_or(|row| row.firm_killed | row.killed | row.blocked)
    }

    /// Lots of a short position behind which machines stand: attested capacity less the reserve and what
    /// is sold in blocks, given to the account's short forwards of overlapping windows in order of listing.
    pub(super) fn covered_lots(&self, position: &Position) -> Lots {
        if position.net >= Lots::ZERO {
            return Lots::ZERO;
        }
        let terms = &self.contract(position.instrument).terms;
        let window = terms.window;
        let free = self.free_capacity(position.account, terms.commodity, window);
        let rate = |position: &Position| {
            let lot = self
                .contract(position.instrument)
                .terms
                .lot_hashes_per_second;
            u128::from(position.net.0.min(0).unsigned_abs()) * u128::from(lot.max(0).unsigned_abs())
        };
        let earlier = self.positions.of(position.account).filter(|other| {
            let others = &self.contract(other.instrument).terms;
            other.instrument < position.instrument
                && others.kind == Kind::Forward
                && others.commodity == terms.commodity
                && others.window.start < window.end
                && window.start < others.window.end
        });
        let used: u128 = earlier.map(rate).sum();
        let lot = u128::from(terms.lot_hashes_per_second.max(1).unsigned_abs());
        let lots = free.saturating_sub(used) / lot;
        let short = position.net.0.abs();
        Lots(i64::try_from(lots).map_or(short, |lots| lots.min(short)))
    }
}

/// How far a book may take a mark from where the newest daily fixing left it (MARK-05), in parts per
/// million: as much as whoever held just the initial margin then can lose without falling below the
/// maintenance margin at the new mark, `i(1 - m) / (1 + i m)` for a short, the narrower side.
pub(in crate::exchange) fn leash(initial: i32, maintenance_of_initial: i32) -> i128 {
    let (i, m) = (i128::from(initial), i128::from(maintenance_of_initial));
    i * (PPM - m).max(0) * PPM / (PPM * PPM + i * m)
}
