//! One number for the whole state: equal states, equal digest.

use bincode::Encode;

use super::Exchange;

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

impl Exchange {
    /// Digest of the whole state: BLAKE3 of exactly the bytes that [`Exchange::save`] writes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let saved = self.save(&mut hasher);
        assert!(saved.is_ok(), "saving into a hash: {saved:?}");
        *hasher.finalize().as_bytes()
    }
}
