//! Families as they are saved. What each account is credited follows from its positions.

use std::io;

use super::{super::Exchange, Family, Margins, credit};
use crate::{
    limits,
    saved::{LoadError, Loader, Saver, Section},
    units::Minor,
};

impl Margins {
    pub(in crate::exchange) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self { families, rows: _ } = self;
        saver.items(Section::Margins, families.iter())
    }
}

impl Exchange {
    pub(in crate::exchange) fn load_margins(
        &mut self,
        loader: &mut Loader<'_>,
    ) -> Result<(), LoadError> {
        let contracts = self.instruments.len();
        let known = |_: usize, family: &Family| {
            family
                .contracts
                .iter()
                .all(|(_, id)| id.index().is_some_and(|at| at < contracts))
        };
        let families = loader.table(Section::Margins, limits::REFERENCE_ROWS, known)?;
        let count = families.len();
        let fits = |family: u16| usize::from(family) <= count;
        if !self
            .instruments
            .iter()
            .all(|contract| fits(contract.family))
        {
            return Err(loader.damaged("a contract is of an unknown family".into()));
        }
        self.margins.families = families;
        self.fill_rows();
        Ok(())
    }

    /// Counts what is sure of every position, and what that is credited.
    fn fill_rows(&mut self) {
        for account in 0..self.accounts.len() {
            let account = crate::ids::AccountId::nth(account);
            let held: Vec<_> = self
                .positions
                .of(account)
                .filter(|position| position.sure != Minor::ZERO)
                .map(|position| (self.contract(position.instrument).family, position.sure))
                .collect();
            if held.is_empty() {
                continue;
            }
            for (family, sure) in held {
                let row = self.margins.row_mut(account, family);
                row.long += sure.max(Minor::ZERO);
                row.short -= sure.min(Minor::ZERO);
            }
            for family in (1_u16..).take(self.margins.families.len()) {
                let credit = self.matched(account, family, credit::sure_of);
                if credit != Minor::ZERO {
                    self.margins.row_mut(account, family).credit = credit;
                }
            }
        }
    }
}
