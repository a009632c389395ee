//! Who signs: the two-method interface that a file key, a remote signer or a hardware box implements, and
//! the key in memory.
//!
//! Signatures are deterministic (RFC 6979) with low `s`, so signing the same digest twice gives the same
//! bytes. A key is never shown: its `Debug` says the address.

use std::fmt;

use k256::ecdsa::{RecoveryId, Signature as Ecdsa, SigningKey, VerifyingKey};
use revm::primitives::{Address, B256, keccak256};
use zeroize::Zeroizing;

/// A recoverable secp256k1 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// First half.
    pub r: [u8; 32],
    /// Second half, the lower of the two possible.
    pub s: [u8; 32],
    /// Whether the point's y is odd.
    pub odd: bool,
}

impl Signature {
    /// As contracts take it: r, s, 27 or 28.
    #[must_use]
    pub fn bytes(&self) -> [u8; 65] {
        let mut bytes = [0; 65];
        bytes[..32].copy_from_slice(&self.r);
        bytes[32..64].copy_from_slice(&self.s);
        bytes[64] = 27 + u8::from(self.odd);
        bytes
    }
}

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// A remote signer is away.
    #[error("the signer {address} gives no answer: {why}")]
    Away {
        /// Whose.
        address: Address,
        /// Why.
        why: String,
    },
    /// It will not sign this, now or ever.
    #[error("the signer {address} refuses: {why}")]
    Refuses {
        /// Whose.
        address: Address,
        /// Why.
        why: String,
    },
}

/// Signs digests with one key.
pub trait Signer: Send + Sync + fmt::Debug {
    /// The key's address.
    fn address(&self) -> Address;
    /// Signs 32 bytes.
    ///
    /// # Errors
    /// If the key is elsewhere and does not answer, or refuses.
    fn sign_digest(&self, digest: &B256) -> Result<Signature, SignerError>;
}

/// A key in this process's memory; wiped when dropped.
pub struct LocalKey {
    key: SigningKey,
    address: Address,
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "LocalKey({})", self.address)
    }
}

impl LocalKey {
    /// From 32 secret bytes; none if they are no key (zero, or above the curve's order).
    #[must_use]
    pub fn from_bytes(secret: &[u8; 32]) -> Option<Self> {
        let key = SigningKey::from_slice(secret).ok()?;
        let address = address_of(key.verifying_key());
        Some(Self { key, address })
    }

    /// A new one, from the system's randomness.
    ///
    /// # Errors
    /// If the system has none.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut secret = Zeroizing::new([0; 32]);
        loop {
            getrandom::fill(secret.as_mut_slice())?;
            // All but about one of 2^128 draws are keys.
            if let Some(key) = Self::from_bytes(&secret) {
                return Ok(key);
            }
        }
    }

    /// The secret, for sealing it into a file.
    pub(super) fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes().into())
    }
}

impl Signer for LocalKey {
    fn address(&self) -> Address {
        self.address
    }

    fn sign_digest(&self, digest: &B256) -> Result<Signature, SignerError> {
        let (signature, id) = self
            .key
            .sign_prehash_recoverable(digest.as_slice())
            .map_err(|error| SignerError::Refuses {
                address: self.address,
                why: error.to_string(),
            })?;
        let (r, s) = signature.split_bytes();
        Ok(Signature {
            r: r.into(),
            s: s.into(),
            odd: id.is_y_odd(),
        })
    }
}

/// Who signed a digest, if the signature is one and its `s` is the lower of the two.
#[must_use]
pub fn recover(digest: &B256, signature: &Signature) -> Option<Address> {
    let ecdsa = Ecdsa::from_scalars(signature.r, signature.s).ok()?;
    if ecdsa.normalize_s().is_some() {
        return None;
    }
    let id = RecoveryId::new(signature.odd, false);
    let key = VerifyingKey::recover_from_prehash(digest.as_slice(), &ecdsa, id).ok()?;
    Some(address_of(&key))
}

fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_encoded_point(false);
    Address::from_slice(&keccak256(&point.as_bytes()[1..])[12..])
}
