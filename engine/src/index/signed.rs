//! The bytes that a source signs.
//!
//! ```text
//!   "hashpit-oracle-1" 00 kind      then the fields in the order below
//! ```
//!
//! Integers are little-endian and of fixed width, a text is its length (u16) and its UTF-8 bytes, a hash its
//! bytes as they are. Feeds, indexes and coins go by name, so that a source needs no number of this venue.
//! Kinds: 1 report of a price, 2 report of a chain, 3 header, 4 value of an index. The signature is Ed25519
//! over exactly these bytes.

use crate::{
    command::{Header, Observation, ValueKind},
    units::{Decimal, Nanos},
};

const DOMAIN: &[u8] = b"hashpit-oracle-1\0";

struct Bytes(Vec<u8>);

impl Bytes {
    fn begin(kind: u8, name: &str) -> Self {
        let mut bytes = Self(DOMAIN.to_vec());
        bytes.0.push(kind);
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        bytes.add(&length.to_le_bytes());
        bytes.add(name.as_bytes());
        bytes
    }

    fn add(&mut self, part: &[u8]) {
        self.0.extend_from_slice(part);
    }

    fn decimal(&mut self, value: Decimal) {
        self.add(&value.mantissa.to_le_bytes());
        self.add(&value.exponent.to_le_bytes());
    }
}

/// A report: name of the feed, sequence (u64), observed (i64 nanoseconds), then a price (mantissa i64,
/// exponent i32) or a chain (height u64, hash, bits u32, blocks u32, fees u128, work u128, DAA score u64).
#[must_use]
pub fn report(feed: &str, sequence: u64, observed: Nanos, seen: &Observation) -> Vec<u8> {
    let kind = match seen {
        Observation::Price(_) => 1,
        Observation::Tip(_) => 2,
    };
    let mut bytes = Bytes::begin(kind, feed);
    bytes.add(&sequence.to_le_bytes());
    bytes.add(&observed.0.to_le_bytes());
    match seen {
        Observation::Price(price) => bytes.decimal(*price),
        Observation::Tip(tip) => {
            bytes.add(&tip.height.to_le_bytes());
            bytes.add(&tip.hash);
            bytes.add(&tip.bits.to_le_bytes());
            bytes.add(&tip.blocks.to_le_bytes());
            bytes.add(&tip.fees.to_le_bytes());
            bytes.add(&tip.work.to_le_bytes());
            bytes.add(&tip.daa.to_le_bytes());
        }
    }
    bytes.0
}

/// A header: name of the coin, height (u64), hash, bits (u32), its time (i64 nanoseconds), depth (u32).
#[must_use]
pub fn header(coin: &str, header: &Header, depth: u32) -> Vec<u8> {
    let mut bytes = Bytes::begin(3, coin);
    bytes.add(&header.height.to_le_bytes());
    bytes.add(&header.hash);
    bytes.add(&header.bits.to_le_bytes());
    bytes.add(&header.time.0.to_le_bytes());
    bytes.add(&depth.to_le_bytes());
    bytes.0
}

/// A value: name of the index, kind (u8: 1 indicative, 2 daily, 3 restatement), round (u64), mantissa (i64),
/// exponent (i32).
#[must_use]
pub fn value(index: &str, kind: ValueKind, round: u64, value: Decimal) -> Vec<u8> {
    let mut bytes = Bytes::begin(4, index);
    bytes.add(&[match kind {
        ValueKind::Indicative => 1,
        ValueKind::Daily => 2,
        ValueKind::Restatement => 3,
    }]);
    bytes.add(&round.to_le_bytes());
    bytes.decimal(value);
    bytes.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_price_are_these() {
        let price = Observation::Price(Decimal {
            mantissa: 8_931_600,
            exponent: -2,
        });
        let hex: String = report("BTC/USD", 7, Nanos(1_000), &price)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let want = "686173687069742d6f7261636c652d3100\
                    01\
                    0700\
                    4254432f555344\
                    0700000000000000\
                    e803000000000000\
                    1049880000000000\
                    feffffff";
        assert_eq!(hex, want);
    }
}
