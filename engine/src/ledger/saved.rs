//! Balances as they are saved: a row per account, as wide as it was ever used.

use std::io;

use super::{Balance, Flow, Ledger, Row};
use crate::{
    limits,
    saved::{LoadError, Loader, Saver, Section},
};

fn balances(row: &Row) -> &Vec<Balance> {
    let Row { balances, marks: _ } = row;
    balances
}

impl Ledger {
    pub(crate) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self {
            rows,
            flows,
            entries: _,
            touched,
        } = self;
        debug_assert!(touched.is_empty(), "saved between two commands");
        saver.items(Section::Balances, rows.iter().map(balances))?;
        saver.items(Section::Flows, flows.iter())
    }

    /// `entries` postings were made.
    pub(crate) fn load(
        loader: &mut Loader<'_>,
        (accounts, assets): (usize, usize),
        entries: u64,
    ) -> Result<Self, LoadError> {
        let mut ledger = Self {
            entries,
            ..Self::default()
        };
        loader.each(Section::Balances, accounts, |balances: Vec<Balance>| {
            if balances.len() > assets {
                return Err(format!("{} balances in {assets} assets", balances.len()));
            }
            ledger.rows.push(Row { balances, marks: 0 });
            Ok(())
        })?;
        if ledger.rows.len() != accounts {
            let rows = ledger.rows.len();
            return Err(loader.damaged(format!("{rows} rows for {accounts} accounts")));
        }
        ledger.flows = loader.table(Section::Flows, limits::ASSETS, |_, _: &Flow| true)?;
        if ledger.flows.len() != assets {
            let flows = ledger.flows.len();
            return Err(loader.damaged(format!("{flows} flows for {assets} assets")));
        }
        Ok(ledger)
    }
}
