//! Identities. The exchange hands them out, densely and in order, so that a number is also an index.

use bincode::{Decode, Encode};

/// Declares a dense identity that starts at 1; 0 means "none".
macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub u32);

        impl $name {
            /// Not set.
            pub const NONE: Self = Self(0);

            /// The `n`-th identity, counted from zero.
            #[must_use]
            pub fn nth(n: usize) -> Self {
                Self(u32::try_from(n + 1).unwrap_or(u32::MAX))
            }

            /// Position in the table of its kind; `None` for 0.
            #[must_use]
            pub fn index(self) -> Option<usize> {
                self.0.checked_sub(1).map(|index| index as usize)
            }

            /// Whether it names something.
            #[must_use]
            pub fn is_set(self) -> bool {
                self.0 != 0
            }
        }
    };
}

identity!(
    /// Money the exchange keeps accounts in.
    AssetId
);
identity!(
    /// A kind of hashrate or compute.
    CommodityId
);
identity!(
    /// A published series that contracts settle on.
    IndexId
);
identity!(
    /// Something outside that sources report: a chain, a price.
    FeedId
);
identity!(
    /// All maturities of one contract.
    ProductId
);
identity!(
    /// One tradable contract.
    InstrumentId
);
identity!(
    /// A legal entity.
    FirmId
);
identity!(
    /// A set of balances and positions.
    AccountId
);
identity!(
    /// A named order session of an account.
    SessionId
);
identity!(
    /// A duty to deliver hashes to a buyer.
    ObligationId
);
identity!(
    /// A registered meter or attestor.
    MeterId
);
identity!(
    /// A place where a buyer wants hashes.
    DestinationId
);
identity!(
    /// An objection to a reading.
    DisputeId
);

/// Position of a command in the journal; the first is 1.
pub type Seq = u64;

/// Name of an order, which also locates it: generation in the upper half, slot + 1 in the lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct OrderId(pub u64);

impl OrderId {
    /// Not set.
    pub const NONE: Self = Self(0);

    /// The order in `slot`, in that slot's `generation`-th use.
    #[must_use]
    pub fn new(slot: u32, generation: u32) -> Self {
        Self((u64::from(generation) << 32) | (u64::from(slot) + 1))
    }

    /// Where it is, if it names anything.
    #[must_use]
    pub fn slot(self) -> Option<u32> {
        ((self.0 & 0xffff_ffff) as u32).checked_sub(1)
    }

    /// Which use of the slot it means.
    #[must_use]
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Name of a trade; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TradeId(pub u64);

/// The venue's own accounts, which exist from the first command on.
pub mod house {
    use super::AccountId;

    /// Trading fees collected, less rebates paid.
    pub const FEES: AccountId = AccountId(1);
    /// Residues of rounding.
    pub const ROUNDING: AccountId = AccountId(2);
    /// First loss, for the default waterfall.
    pub const INSURANCE: AccountId = AccountId(3);
}
