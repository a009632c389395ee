//! Positions as they are saved: the table in order of first use. Who finds what by account and contract
//! follows from it.

use std::io;

use super::{Position, Positions};
use crate::saved::{LoadError, Loader, Saver, Section};

impl Positions {
    pub(crate) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self {
            table,
            by_account: _,
            by_instrument: _,
            touched,
            marks: _,
        } = self;
        debug_assert!(touched.is_empty(), "saved between two commands");
        saver.items(Section::Positions, table.iter())
    }

    pub(crate) fn load(
        loader: &mut Loader<'_>,
        accounts: usize,
        instruments: usize,
    ) -> Result<Self, LoadError> {
        let mut positions = Self {
            by_account: vec![Vec::new(); accounts],
            by_instrument: vec![Vec::new(); instruments],
            ..Self::default()
        };
        loader.each(Section::Positions, usize::MAX, |position: Position| {
            let (account, instrument) = (position.account, position.instrument);
            let known = account.index().is_some_and(|at| at < accounts)
                && instrument.index().is_some_and(|at| at < instruments);
            if !known || positions.get(account, instrument).is_some() {
                return Err(format!(
                    "{account:?} in {instrument:?} is unknown or there twice"
                ));
            }
            let place = positions.place_of(account, instrument);
            positions.table[place as usize] = position;
            Ok(())
        })?;
        Ok(positions)
    }

    /// Whether a place holds the position of an account in a contract.
    pub(crate) fn is_at(&self, place: u32, order: &crate::order::Order) -> bool {
        let position = self.table.get(place as usize);
        position.is_some_and(|position| {
            position.account == order.account && position.instrument == order.terms.instrument
        })
    }
}
