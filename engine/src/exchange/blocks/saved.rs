//! Reported trades as they are saved: in order of number.

use std::io;

use super::{Block, BlockState, Blocks};
use crate::{
    exchange::Exchange,
    saved::{LoadError, Loader, Saver, Section},
};

const ANY: usize = 1 << 30;

impl Blocks {
    pub(in crate::exchange) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self {
            rows,
            reported,
            // Follows from the rows.
            by_client_id: _,
        } = self;
        saver.section(Section::Reports, 1)?;
        saver.item(reported)?;
        saver.items(Section::OffBook, rows.iter())
    }
}

impl Exchange {
    /// After accounts and contracts.
    pub(in crate::exchange) fn load_blocks(
        &mut self,
        loader: &mut Loader<'_>,
    ) -> Result<(), LoadError> {
        let reported: u64 = loader.one(Section::Reports)?;
        let mut blocks = Blocks {
            reported,
            ..Blocks::default()
        };
        loader.each(Section::OffBook, ANY, |(number, row): (u64, Block)| {
            let last = blocks.rows.last_key_value().map_or(0, |(last, _)| *last);
            let waits = row.state == BlockState::Reported;
            let known = self.account(row.reporter).is_some()
                && self.instrument(row.terms.instrument).is_some()
                && (waits
                    || row.state == BlockState::Expired
                    || self.account(row.affirmer).is_some());
            if number <= last || number > reported || !known {
                return Err(format!("report {number} of {:?}", row.reporter));
            }
            let key = (row.reporter, row.client_id);
            if blocks.by_client_id.insert(key, number).is_some() {
                return Err(format!("key {} stands there twice", row.client_id));
            }
            blocks.rows.insert(number, row);
            Ok(())
        })?;
        self.blocks = blocks;
        Ok(())
    }
}
