//! Protection groups as they are saved: terms and freeze, the fills of the window, the quotes by
//! contract. Sums and counts follow from the fills.

use std::io;

use super::{Group, GroupFill, NONE};
use crate::{
    command::MmpGroup,
    exchange::{Account, Exchange},
    ids::{AccountId, InstrumentId, OrderId},
    limits,
    saved::{LoadError, Loader, Saver, Section},
    units::Nanos,
};

/// A group's account and number.
type Name = (AccountId, u16);
/// Quote orders of a group in one contract.
type Quotes = (Name, InstrumentId, [OrderId; limits::QUOTE_SLOTS * 2]);

fn name(group: &Group) -> Name {
    (group.terms.account, group.terms.mmp_group)
}

impl Group {
    /// Its quotes, contracts in order of number.
    fn quotes(&self) -> impl Iterator<Item = Quotes> + '_ {
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, row)| **row != NONE).map(|(index, row)| {
            (
                name(self),
                InstrumentId::nth(index),
                self.quotes[*row as usize],
            )
        })
    }

    fn put_quotes(&mut self, id: InstrumentId, orders: [OrderId; limits::QUOTE_SLOTS * 2]) {
        let index = id.index().unwrap_or(0);
        self.rows.resize(index + 1, NONE);
        self.rows[index] = u32::try_from(self.quotes.len()).unwrap_or(NONE);
        self.quotes.push(orders);
    }

    fn put_fill(&mut self, fill: GroupFill) {
        self.fills.push_back(fill);
        self.count_in(&fill);
    }
}

/// Groups of all accounts, in order.
fn groups(accounts: &[Account]) -> impl Iterator<Item = &Group> {
    accounts.iter().flat_map(|account| &account.groups)
}

pub(in crate::exchange) fn save(accounts: &[Account], saver: &mut Saver<'_>) -> io::Result<()> {
    let fills = |group: &Group| group.fills.len();
    saver.section(Section::Groups, groups(accounts).count())?;
    for group in groups(accounts) {
        let Group {
            terms,
            frozen,
            until,
            fills: _,
            quantity: _,
            net: _,
            notional: _,
            per_contract: _,
            contracts: _,
            rows: _,
            quotes: _,
        } = group;
        saver.item(&(terms, frozen, until))?;
    }
    saver.section(Section::GroupFills, groups(accounts).map(fills).sum())?;
    for group in groups(accounts) {
        for fill in &group.fills {
            saver.item(&(name(group), fill))?;
        }
    }
    let quotes = |group: &Group| group.quotes.len();
    saver.section(Section::GroupQuotes, groups(accounts).map(quotes).sum())?;
    for row in groups(accounts).flat_map(Group::quotes) {
        saver.item(&row)?;
    }
    Ok(())
}

impl Exchange {
    /// Accounts and contracts are there.
    pub(in crate::exchange) fn load_groups(
        &mut self,
        loader: &mut Loader<'_>,
    ) -> Result<(), LoadError> {
        let contracts = self.instruments.len();
        let known = |id: InstrumentId| id.index().is_some_and(|index| index < contracts);
        let mut last = Name::default();
        loader.each(Section::Groups, usize::MAX, |saved| {
            let (terms, frozen, until): (MmpGroup, bool, Nanos) = saved;
            let now = (terms.account, terms.mmp_group);
            let account = self.account_mut(terms.account).filter(|_| now > last);
            let account = account.ok_or("its account is unknown, or it is out of order")?;
            last = now;
            account.groups.push(Group {
                frozen,
                until,
                ..Group::new(terms)
            });
            Ok(())
        })?;
        let mut last = Name::default();
        loader.each(Section::GroupFills, usize::MAX, |saved| {
            let ((account, number), fill): (Name, GroupFill) = saved;
            let in_order = (account, number) >= last && known(fill.instrument);
            let group = self.group_mut(account, number).filter(|_| in_order);
            group
                .ok_or("its group or contract is unknown, or it is out of order")?
                .put_fill(fill);
            last = (account, number);
            Ok(())
        })?;
        let mut last = (Name::default(), InstrumentId::NONE);
        loader.each(Section::GroupQuotes, usize::MAX, |saved| {
            let ((account, number), id, orders): Quotes = saved;
            let now = ((account, number), id);
            let group = self.group_mut(account, number);
            let group = group.filter(|_| now > last && known(id));
            let group = group.ok_or("its group or contract is unknown, or it is out of order")?;
            group.put_quotes(id, orders);
            last = now;
            Ok(())
        })
    }
}
