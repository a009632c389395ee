//! Published order books behind the trait that ours is measured through.
//!
//! Each is driven by the fastest way in that it documents, with room laid out in advance where it has
//! a way to ask for that, and its answers become the same reports. Flows hold no message that a book
//! must refuse, so none of them spends time on such checks beyond its own.

use bench::{
    books::{BareBook, Room, hashpit::Hashpit},
    flows::Reference,
};

mod lobster;
mod obcore;
mod rust_ob;

/// A book under its name.
#[derive(Clone, Copy)]
pub(crate) struct Entrant {
    /// For tables and ids of results.
    pub(crate) name: &'static str,
    /// Makes it, empty.
    pub(crate) make: fn(&Room) -> Box<dyn BareBook>,
}

/// Ours first: the others are compared with it.
pub(crate) const ALL: [Entrant; 5] = [
    Entrant {
        name: "hashpit",
        make: |room| Box::new(Hashpit::new(room)),
    },
    Entrant {
        name: "obcore",
        make: |room| Box::new(obcore::Books::new(room)),
    },
    Entrant {
        name: "lobster",
        make: |room| Box::new(lobster::Books::new(room)),
    },
    Entrant {
        name: "rust_ob",
        make: |room| Box::new(rust_ob::Books::new(room)),
    },
    Entrant {
        name: "reference",
        make: |_| Box::new(Reference::default()),
    },
];

/// A price or quantity that the flow knows is not negative.
fn unsigned(price: i64) -> u64 {
    u64::try_from(price).expect("flows have positive prices")
}
