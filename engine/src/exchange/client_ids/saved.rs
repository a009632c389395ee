//! Client order ids as they are saved: account by account, oldest first. Where an entry lies and where
//! its hash (seeded anew) leads is made again.

use std::io;

use bincode::{Decode, Encode};

use super::{ClientIds, Entry, FIRST_INDEX, FirstResult, Index, NONE, Row};
use crate::{
    ids::{AccountId, OrderId, Seq},
    reason::Problem,
    saved::{LoadError, Loader, Saver, Section},
    units::Nanos,
};

/// One remembered use of an id.
#[derive(Encode, Decode)]
struct Saved {
    account: AccountId,
    id: u64,
    since: Nanos,
    replaced: bool,
    content: u64,
    seq: Seq,
    order: OrderId,
    refused: Option<Problem>,
    at: Nanos,
}

impl ClientIds {
    pub(crate) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self {
            seed: _,
            index: _,
            old: _,
            moved: _,
            chunks: _,
            stored: _,
            free: _,
            rows,
            count,
        } = self;
        saver.section(Section::ClientIds, *count)?;
        for Row { oldest, .. } in rows {
            let mut next = *oldest;
            while next != NONE {
                let Entry {
                    id,
                    account,
                    younger,
                    since,
                    replaced,
                    first,
                } = *self.entry(next);
                let FirstResult {
                    content,
                    seq,
                    order,
                    refused,
                    at,
                } = first;
                saver.item(&Saved {
                    account,
                    id,
                    since,
                    replaced,
                    content,
                    seq,
                    order,
                    refused,
                    at,
                })?;
                next = younger;
            }
        }
        Ok(())
    }

    /// Ids of so many accounts.
    pub(crate) fn load(loader: &mut Loader<'_>, accounts: usize) -> Result<Self, LoadError> {
        let mut ids = Self::default();
        let most = NONE as usize - 1;
        loader.each(Section::ClientIds, most, |saved: Saved| {
            let row = saved.account.index().filter(|row| *row < accounts);
            let row = row.ok_or("there is no such account")?;
            // Rows end with the newest account so far.
            if row + 1 < ids.rows.len() {
                return Err("accounts are not in order".into());
            }
            ids.rows.resize(row + 1, Row::EMPTY);
            let place = ids.place();
            *ids.entry_mut(place) = Entry {
                id: saved.id,
                account: saved.account,
                younger: NONE,
                since: saved.since,
                replaced: saved.replaced,
                first: FirstResult {
                    content: saved.content,
                    seq: saved.seq,
                    order: saved.order,
                    refused: saved.refused,
                    at: saved.at,
                },
            };
            ids.append(row, place);
            ids.count += 1;
            Ok(())
        })?;
        ids.index_all();
        Ok(ids)
    }

    /// Makes the index for the entries that are there, at most half full.
    fn index_all(&mut self) {
        let places = ((self.count + 1) * 2).next_power_of_two();
        self.index = Index::with_places(places.max(FIRST_INDEX));
        for place in 0..self.stored {
            let entry = u32::try_from(place).unwrap_or(NONE);
            let Entry {
                account,
                id,
                replaced,
                ..
            } = *self.entry(entry);
            if !replaced {
                self.index.insert(self.hash(account, id), entry);
            }
        }
    }
}
