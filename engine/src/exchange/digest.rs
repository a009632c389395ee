//! One number for the whole state: equal states, equal digest.

use bincode::Encode;

use super::Exchange;
use crate::command::Side;

/// Collects the bytes of the state, piece by piece, in one fixed order.
pub(crate) struct Digester {
    hasher: blake3::Hasher,
    scratch: Vec<u8>,
}

/// The encoding of everything that is hashed or journaled: little-endian, fixed integers.
pub(crate) fn encoding() -> Encoding {
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
}

/// Type of [`encoding`].
pub(crate) type Encoding = bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::NoLimit,
>;

/// Hands the bytes of a value to `use_bytes`.
pub(super) fn encoded<T: Encode, R>(value: &T, use_bytes: impl FnOnce(&Vec<u8>) -> R) -> R {
    let mut bytes = Vec::new();
    crate::record::append(value, &mut bytes);
    use_bytes(&bytes)
}

impl Digester {
    /// Adds a value.
    pub(crate) fn add<T: Encode>(&mut self, value: &T) {
        self.scratch.clear();
        crate::record::append(value, &mut self.scratch);
        self.hasher.update(&self.scratch);
    }
}

impl Exchange {
    /// Digest of the whole state: reference data, accounts, sessions, books in matching order,
    /// balances, positions, remembered ids, timers, counters.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut sink = Digester {
            hasher: blake3::Hasher::new(),
            scratch: Vec::new(),
        };
        sink.add(&(
            self.seq,
            self.at,
            self.reference_version,
            self.priorities,
            self.trades,
            self.killed,
        ));
        sink.add(&(
            &self.assets,
            &self.commodities,
            &self.indexes,
            &self.products,
        ));
        sink.add(&(&self.firms, &self.keys, &self.sessions, &self.transfers));
        for account in &self.accounts {
            sink.add(&(
                account.id,
                account.firm,
                &account.label,
                account.kind,
                account.status,
            ));
            sink.add(&(
                account.maker_fee_offset,
                account.taker_fee_offset,
                account.blocked,
                account.killed,
            ));
            for group in &account.groups {
                group.encode_state(&mut sink);
            }
            sink.add(&(account.cancel_timer, &account.sessions, account.created_at));
            for order in self.orders_of(account.id) {
                sink.add(&order.id);
            }
        }
        for contract in &self.instruments {
            sink.add(&(
                contract.id,
                &contract.terms,
                contract.product,
                contract.tick_value,
            ));
            sink.add(&(
                contract.state,
                contract.state_reason,
                contract.scheduled,
                contract.reopens,
            ));
            for combination in self.links(contract.id).within() {
                sink.add(combination);
            }
            sink.add(&(contract.version, contract.mark, contract.public_seq));
            sink.add(&contract.statistics);
            if let Some(book) = self.book(contract.id) {
                for side in [Side::Buy, Side::Sell] {
                    for slot in book.queue(side, &self.orders) {
                        sink.add(self.orders.at(slot));
                    }
                }
            }
        }
        for (auction, window) in self.auctions.iter().zip(&self.windows) {
            sink.add(&(auction, window));
        }
        for contract in &self.instruments {
            for slot in self.waiting_for_auction(contract.id) {
                sink.add(self.orders.at(slot));
            }
        }
        self.ledger.encode_state(&mut sink);
        self.positions.encode_state(&mut sink);
        self.client_ids.encode_state(&mut sink);
        self.timers.encode_state(&mut sink);
        *sink.hasher.finalize().as_bytes()
    }
}
