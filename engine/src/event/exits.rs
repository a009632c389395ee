//! What becomes of exit requests.

use bincode::{Decode, Encode};

use crate::ids::AccountId;

/// An exit request comes further. Of each request the first and the last step are told, and each change
/// between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExitStep {
    /// The registry's number of the request.
    pub request: u64,
    /// Which account.
    pub account: AccountId,
    /// Who asked.
    pub owner: [u8; 20],
    /// How far it is.
    pub stage: ExitStage,
}

/// How far an exit request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ExitStage {
    /// Served at once without an effect: nobody has such an account.
    UnknownAccount,
    /// Served at once without an effect: the account has another owner, or none.
    NotTheOwner,
    /// Served at once: one of the venue's own accounts, which stay; the address does not own it any more.
    VenueAccount,
    /// The account is closed to everything new, and is being wound up.
    WindingUp,
    /// Its orders in a call that lets nobody cancel go when that ends.
    WaitsForCall,
    /// Intervals of its deliveries that have begun are being measured and settled.
    WaitsForDelivery,
    /// A withdrawal of it is being paid by hand.
    WaitsForTransfer,
    /// The insurance fund is beyond its debt cap in an asset, or there is no room for another transfer.
    WaitsForFund,
    /// Everything has left for the owner, and the account is empty.
    Served,
}

impl ExitStage {
    /// Whether nothing more is to be done.
    #[must_use]
    pub fn is_done(self) -> bool {
        match self {
            Self::UnknownAccount | Self::NotTheOwner | Self::VenueAccount | Self::Served => true,
            Self::WindingUp
            | Self::WaitsForCall
            | Self::WaitsForDelivery
            | Self::WaitsForTransfer
            | Self::WaitsForFund => false,
        }
    }
}
