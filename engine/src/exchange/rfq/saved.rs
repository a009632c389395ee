//! Requests for quote as they are saved: in order of number.

use std::io;

use super::{Rfq, Rfqs};
use crate::{
    exchange::Exchange,
    saved::{LoadError, Loader, Saver, Section},
};

const ANY: usize = 1 << 30;

impl Rfqs {
    pub(in crate::exchange) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self {
            rows,
            created,
            quoted,
            // Follows from the rows.
            by_client_id: _,
        } = self;
        saver.section(Section::RfqCounts, 1)?;
        saver.item(&(*created, *quoted))?;
        saver.items(Section::Rfqs, rows.iter())
    }
}

impl Exchange {
    /// After accounts and contracts.
    pub(in crate::exchange) fn load_rfqs(
        &mut self,
        loader: &mut Loader<'_>,
    ) -> Result<(), LoadError> {
        let (created, quoted): (u64, u64) = loader.one(Section::RfqCounts)?;
        let mut rfqs = Rfqs {
            created,
            quoted,
            ..Rfqs::default()
        };
        loader.each(Section::Rfqs, ANY, |(number, row): (u64, Rfq)| {
            let last = rfqs.rows.last_key_value().map_or(0, |(last, _)| *last);
            let mut legs = row.terms.legs.iter();
            let known = self.account(row.taker).is_some()
                && legs.all(|leg| self.instrument(leg.instrument).is_some())
                && row.terms.legs.iter().any(|leg| leg.ratio == 1)
                && row.quotes.iter().all(|(number, quote)| {
                    *number <= quoted && self.account(quote.maker).is_some()
                });
            if number <= last || number > created || !known {
                return Err(format!("request {number} of {:?}", row.taker));
            }
            let key = (row.taker, row.client_id);
            if rfqs.by_client_id.insert(key, number).is_some() {
                return Err(format!("key {} stands there twice", row.client_id));
            }
            rfqs.rows.insert(number, row);
            Ok(())
        })?;
        self.rfqs = rfqs;
        Ok(())
    }
}
