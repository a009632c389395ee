//! Everything that clearing remembers about those who have not enough.

use std::{collections::BTreeMap, io};

use bincode::{Decode, Encode};

use super::{health::Distress, offers::Offer};
use crate::{
    command::DefaultTerms,
    ids::{AccountId, AssetId},
    saved::{LoadError, Loader, Saver, Section},
};

/// Terms, who is in trouble, and what is offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(in crate::exchange) struct Defaults {
    /// None: the exchange refuses, and does no more.
    pub(super) terms: Option<DefaultTerms>,
    pub(super) distressed: BTreeMap<(AccountId, AssetId), Distress>,
    pub(super) offers: BTreeMap<u64, Offer>,
    /// Number of the newest offer.
    pub(super) offered: u64,
}

impl Defaults {
    /// Nobody is closed out at the moment: the common case, and all that an order asks.
    pub(in crate::exchange) fn is_quiet(&self) -> bool {
        self.distressed.is_empty()
    }

    pub(in crate::exchange) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        saver.section(Section::Defaults, 1)?;
        saver.item(self)
    }

    pub(in crate::exchange) fn load(loader: &mut Loader<'_>) -> Result<Self, LoadError> {
        loader.one(Section::Defaults)
    }
}
