//! Request ids as they are saved: oldest first. Withdrawals follow from the transfers.

use std::io;

use super::{RequestIds, Withdrawals};
use crate::{
    event::Done,
    exchange::{Transfer, TransferState},
    limits,
    saved::{LoadError, Loader, Saver, Section},
};

/// A key, an id, what it asked for, and the first answer.
type Saved = (String, u64, u64, Done);

impl RequestIds {
    pub(in crate::exchange) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self { results, ages } = self;
        saver.section(Section::Requests, ages.len())?;
        for name in ages {
            let (key, id) = name;
            if let Some((print, answer)) = results.get(name) {
                saver.item(&(key, id, print, answer))?;
            }
        }
        Ok(())
    }

    pub(in crate::exchange) fn load(loader: &mut Loader<'_>) -> Result<Self, LoadError> {
        let mut requests = Self::default();
        loader.each(Section::Requests, limits::REQUEST_IDS, |saved: Saved| {
            let (key, id, print, answer) = saved;
            if requests.get(&key, id).is_some() {
                return Err(format!("request {id} of key {key} is there twice"));
            }
            requests.remember(&key, id, print, answer);
            Ok(())
        })?;
        Ok(requests)
    }
}

impl Withdrawals {
    /// Those among all transfers.
    pub(in crate::exchange) fn among(transfers: &[Transfer]) -> Self {
        let mut withdrawals = Self::default();
        for transfer in transfers {
            let (account, state) = (transfer.account, transfer.state);
            if state != TransferState::Credited {
                withdrawals.ask(account, transfer.client_id, transfer.id);
            }
            match state {
                TransferState::Credited | TransferState::Pending => {}
                TransferState::Approved | TransferState::Paid | TransferState::Refused => {
                    withdrawals.decide(account);
                }
            }
        }
        withdrawals
    }
}
