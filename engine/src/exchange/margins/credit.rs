//! Credit for opposite maturities: a long in one month and a short in another lose and win together
//! (MARGIN-05).
//!
//! Only what no fill can take away counts, so that whatever open orders do, what is held is enough. The most
//! that can be matched grows with every sure lot and never falls (it is a maximum of a linear program), so a
//! fill that adds lots cannot cost credit either.

use super::{super::Exchange, Family};
use crate::{
    ids::{AccountId, AssetId, InstrumentId},
    instrument::Instrument,
    limits::COMBINATION_LEGS,
    margin::Matching,
    position::Position,
    prefetch::prefetch,
    units::{Lots, Minor, PPM, Ppm},
};

/// An account in a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::exchange) struct Row {
    /// Margin of sure lots, long.
    pub(super) long: Minor,
    /// The same, short.
    pub(super) short: Minor,
    /// Taken off the margin.
    pub(super) credit: Minor,
}

impl Row {
    fn has_both(&self) -> bool {
        self.long != Minor::ZERO && self.short != Minor::ZERO
    }
}

/// What an order would leave sure in the contracts it touches.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::exchange) struct Sure {
    family: u16,
    count: usize,
    changes: [(InstrumentId, Minor); COMBINATION_LEGS],
}

impl Sure {
    /// Notes a contract's position before and after.
    pub(in crate::exchange) fn note(
        &mut self,
        contract: &Instrument,
        before: &Position,
        after: &Position,
    ) {
        let left = after.sure_in(contract, crate::command::Side::Buy, Lots::ZERO);
        if left != before.sure && self.count < COMBINATION_LEGS {
            self.family = contract.family;
            self.changes[self.count] = (contract.id, left);
            self.count += 1;
        }
    }

    fn changes(&self) -> &[(InstrumentId, Minor)] {
        &self.changes[..self.count]
    }
}

impl Family {
    /// Credit for the same or the next month, and for all others.
    #[must_use]
    pub fn credits(&self) -> (Ppm, Ppm) {
        (self.method.adjacent_credit, self.method.other_credit)
    }
}

impl Exchange {
    /// What more an account must hold once a position is as it would be afterwards.
    pub(in crate::exchange) fn more_margin(
        &self,
        contract: &Instrument,
        before: &Position,
        after: &Position,
    ) -> Minor {
        let more = after.requirement_in(contract) - before.requirement;
        if contract.family == 0 {
            return more;
        }
        let mut sure = Sure::default();
        sure.note(contract, before, after);
        Minor(
            more.0
                .saturating_add(self.credit_lost(before.account, &sure).0),
        )
    }

    /// What an order of so many lots would take off its account's credit: the common case first.
    pub(in crate::exchange) fn credit_lost_to(
        &self,
        contract: &Instrument,
        position: &Position,
        side: crate::command::Side,
        lots: Lots,
    ) -> Minor {
        let left = position.sure_in(contract, side, lots);
        if left == position.sure {
            return Minor::ZERO;
        }
        let mut sure = Sure {
            family: contract.family,
            ..Sure::default()
        };
        sure.changes[0] = (contract.id, left);
        sure.count = 1;
        self.credit_lost(position.account, &sure)
    }

    /// What changes of sure lots would take off an account's credit.
    pub(in crate::exchange) fn credit_lost(&self, account: AccountId, sure: &Sure) -> Minor {
        let Some(row) = self.credit_row(account, sure.family) else {
            return Minor::ZERO;
        };
        if row.credit == Minor::ZERO || sure.count == 0 {
            return Minor::ZERO;
        }
        let left = self.matched(account, sure.family, |id, position| {
            let mut changes = sure.changes().iter();
            let change = changes.find(|(of, _)| *of == id);
            change.map_or(sure_of(id, position), |(_, left)| *left)
        });
        (row.credit - left).max(Minor::ZERO)
    }

    /// What an account's credit grows by (falls, if negative) once positions are as they would be after a
    /// trade off the book: contract, before, after.
    pub(in crate::exchange) fn credit_gained(
        &self,
        account: AccountId,
        seen: &[(InstrumentId, Position, Position)],
    ) -> Minor {
        let mut gained = Minor::ZERO;
        for (_, number) in self.margins.families.iter().zip(1_u16..) {
            let touched = |row: &(InstrumentId, _, _)| self.contract(row.0).family == number;
            if !seen.iter().any(touched) {
                continue;
            }
            let credit = self.matched(account, number, |id, position| {
                let row = seen.iter().find(|row| row.0 == id);
                row.map_or(sure_of(id, position), |(_, _, after)| {
                    after.sure_in(self.contract(id), crate::command::Side::Buy, Lots::ZERO)
                })
            });
            let now = self.credit_row(account, number);
            gained += credit - now.map_or(Minor::ZERO, |row| row.credit);
        }
        gained
    }

    /// What an account is credited in a family; none if it never was.
    pub(in crate::exchange) fn credit_row(&self, account: AccountId, family: u16) -> Option<&Row> {
        let place = usize::from(family).checked_sub(1)?;
        self.margins.rows.get(place)?.get(account.index()?)
    }

    /// What an account is credited in all families of an asset.
    #[must_use]
    pub fn credited(&self, account: AccountId, asset: AssetId) -> Minor {
        let families = self.margins.families.iter().zip(1_u16..);
        let credits = families
            .filter(|(family, _)| family.method.asset == asset)
            .filter_map(|(_, number)| self.credit_row(account, number));
        credits.fold(Minor::ZERO, |sum, row| sum + row.credit)
    }

    /// Credit of an account in a family, its margin in each contract as given.
    pub(super) fn matched(
        &self,
        account: AccountId,
        family: u16,
        margin: impl Fn(InstrumentId, Option<&Position>) -> Minor,
    ) -> Minor {
        let place = usize::from(family).wrapping_sub(1);
        let Some(family) = self.margins.families.get(place) else {
            return Minor::ZERO;
        };
        let mut matching = Matching::default();
        for (month, id) in &family.contracts {
            let margin = margin(*id, self.positions.get(account, *id));
            if margin != Minor::ZERO {
                matching.add(*month, margin);
            }
        }
        matching.credit(family.credits())
    }

    /// Brings an account's credit in line with what is sure of its position in a place.
    pub(in crate::exchange) fn keep_credit(&mut self, place: u32) {
        let position = self.positions.change_at(place);
        let contract = &self.instruments[position.instrument.index().unwrap_or(usize::MAX)];
        let sure = position.sure_in(contract, crate::command::Side::Buy, Lots::ZERO);
        let before = std::mem::replace(&mut position.sure, sure);
        if sure == before {
            return;
        }
        let (account, family) = (position.account, contract.family);
        let asset = contract.terms.price_asset;
        let row = self.margins.row_mut(account, family);
        row.long += sure.max(Minor::ZERO) - before.max(Minor::ZERO);
        row.short += before.min(Minor::ZERO) - sure.min(Minor::ZERO);
        if row.has_both() || row.credit != Minor::ZERO {
            self.recredit(account, asset, family);
        }
    }

    fn recredit(&mut self, account: AccountId, asset: AssetId, family: u16) {
        let credit = self.matched(account, family, sure_of);
        let row = self.margins.row_mut(account, family);
        let more = credit - row.credit;
        row.credit = credit;
        if more != Minor::ZERO {
            self.ledger.change(account, asset).margin -= more;
        }
    }

    /// The rates of credit changed.
    pub(super) fn credit_anew(&mut self, place: usize) {
        let family = u16::try_from(place + 1).unwrap_or(0);
        let asset = self.margins.families[place].method.asset;
        let rows = self
            .margins
            .rows
            .get(place)
            .into_iter()
            .flatten()
            .enumerate();
        let both: Vec<_> = rows
            .filter(|(_, row)| row.has_both())
            .map(|(account, _)| AccountId::nth(account))
            .collect();
        for account in both {
            self.recredit(account, asset, family);
        }
    }

    /// What credit takes off the maintenance margin: by what is held, orders not counted, and the smallest
    /// share that any of the contracts keeps.
    pub(in crate::exchange) fn maintenance_credit(
        &self,
        account: AccountId,
        asset: AssetId,
    ) -> Minor {
        let mut credit = Minor::ZERO;
        for (family, number) in self.margins.families.iter().zip(1_u16..) {
            let row = self.credit_row(account, number);
            if family.method.asset != asset || row.is_none() {
                continue;
            }
            let kept = |id| self.contract(id).terms.margin.maintenance_of_initial;
            let held = family.contracts.iter().map(|(_, id)| *id);
            let held = held.filter(|id| {
                let position = self.positions.get(account, *id);
                position.is_some_and(|position| position.net != Lots::ZERO)
            });
            let least = held.map(kept).min().unwrap_or(Ppm(0));
            let matched = self.matched(account, number, |id, position| {
                let net = position.map_or(Lots::ZERO, |position| position.net);
                self.contract(id).at_mark.initial(net).for_lots(net)
            });
            let exact = i128::from(matched.0) * i128::from(least.0) / PPM;
            credit += Minor(i64::try_from(exact).unwrap_or(0));
        }
        credit
    }

    /// Recounts rows and credits.
    pub(in crate::exchange) fn recount_credit(&self) -> Result<(), String> {
        for account in &self.accounts {
            for (family, number) in self.margins.families.iter().zip(1_u16..) {
                let mut wanted = Row::default();
                for position in self.positions.of(account.id) {
                    let contract = self.contract(position.instrument);
                    let sure = position.sure_in(contract, crate::command::Side::Buy, Lots::ZERO);
                    if sure != position.sure {
                        return Err(format!("sure of {position:?} is {sure:?}"));
                    }
                    if contract.family == number {
                        wanted.long += sure.max(Minor::ZERO);
                        wanted.short -= sure.min(Minor::ZERO);
                    }
                }
                wanted.credit = self.matched(account.id, number, sure_of);
                let row = self.credit_row(account.id, number).copied();
                if row.unwrap_or_default() != wanted {
                    let asset = family.method.asset;
                    return Err(format!("{:?} {asset:?}: {row:?} is {wanted:?}", account.id));
                }
            }
        }
        Ok(())
    }
}

impl super::Margins {
    pub(super) fn row_mut(&mut self, account: AccountId, family: u16) -> &mut Row {
        let rows = grown(&mut self.rows, usize::from(family).saturating_sub(1));
        grown(rows, account.index().unwrap_or(0))
    }

    /// Asks for an account's row.
    pub(in crate::exchange) fn ask(&self, account: AccountId, family: u16) {
        let rows = self.rows.get(usize::from(family).wrapping_sub(1));
        if let Some((rows, at)) = rows.zip(account.index())
            && let Some(row) = rows.get(at)
        {
            prefetch(row);
        }
    }
}

/// What is sure of a position that may not be there.
pub(super) fn sure_of(_: InstrumentId, position: Option<&Position>) -> Minor {
    position.map_or(Minor::ZERO, |position| position.sure)
}

/// The row in a place, made if needed.
fn grown<T: Clone + Default>(rows: &mut Vec<T>, place: usize) -> &mut T {
    if rows.len() <= place {
        rows.resize(place + 1, T::default());
    }
    &mut rows[place]
}
