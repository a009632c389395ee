//! A root signer: agrees with its own copy of the books, promises once, then signs.
//!
//! (Anchor number → header hash) is on this signer's own disk before the signature leaves. A second header
//! for that number is refused for ever, after any crash and whoever asks; the same header may be signed
//! again, and gives the same bytes.

use std::{collections::BTreeMap, fmt::Debug, path::Path, sync::Arc};

use engine::{journal::Disk, roots::chain::ChainHeader};
use revm::primitives::{Address, B256};

use super::{
    signer::{Signature, Signer, SignerError},
    store::{Store, StoreError},
};

/// A signer's own copy of the exchange: it says whether a header is what the journal gives.
pub trait Witness: Send + Debug {
    /// Agrees, or says what its own copy has instead.
    ///
    /// # Errors
    /// What differs.
    fn agrees(&self, header: &ChainHeader) -> Result<(), String>;
}

/// Why a signer does not sign.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It promised another header for this number.
    #[error("signer {signer} signed {first} as anchor {number} and will sign no other")]
    SignedAnother {
        /// Who.
        signer: Address,
        /// Which number.
        number: u64,
        /// What it signed.
        first: B256,
    },
    /// Its own copy has something else.
    #[error("signer {signer} does not find anchor {number} in its own copy: {what}")]
    Disagrees {
        /// Who.
        signer: Address,
        /// Which number.
        number: u64,
        /// What differs.
        what: String,
    },
    /// Its log.
    #[error("signer {signer}: {source}")]
    Log {
        /// Who.
        signer: Address,
        /// Which trouble.
        source: StoreError,
    },
    /// Its key.
    #[error(transparent)]
    Key(#[from] SignerError),
}

impl Refusal {
    /// Whether a person must look: the books differ, or somebody asks for two headers of one number.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        matches!(self, Self::SignedAnother { .. } | Self::Disagrees { .. })
    }
}

/// The signer. See the module's page.
#[derive(Debug)]
pub struct RootSigner {
    key: Box<dyn Signer>,
    witness: Box<dyn Witness>,
    log: Store,
    promised: BTreeMap<u64, B256>,
}

impl RootSigner {
    /// With its key, its copy of the books, and its own log in a file of its own.
    ///
    /// # Errors
    /// The log.
    pub fn open(
        key: Box<dyn Signer>,
        witness: Box<dyn Witness>,
        disk: &Arc<dyn Disk>,
        log: &Path,
    ) -> Result<Self, StoreError> {
        let (store, records) = Store::open(disk, log, "sign-once")?;
        let mut promised = BTreeMap::new();
        for (place, record) in records.iter().enumerate() {
            let Some((number, hash)) = promise(record) else {
                return Err(StoreError::Damaged {
                    path: log.into(),
                    at: place as u64,
                    what: "a record that is no promise".into(),
                });
            };
            promised.insert(number, hash);
        }
        Ok(Self {
            key,
            witness,
            log: store,
            promised,
        })
    }

    /// Whose signatures these are.
    #[must_use]
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Signs a header as the anchor of a number. `digest` is what the contract checks for `hash`.
    ///
    /// # Errors
    /// A refusal; see [`Refusal`].
    pub fn sign(
        &mut self,
        number: u64,
        header: &ChainHeader,
        hash: B256,
        digest: &B256,
    ) -> Result<Signature, Refusal> {
        let signer = self.address();
        match self.promised.get(&number) {
            Some(first) if *first != hash => {
                return Err(Refusal::SignedAnother {
                    signer,
                    number,
                    first: *first,
                });
            }
            Some(_) => {}
            None => {
                self.witness
                    .agrees(header)
                    .map_err(|what| Refusal::Disagrees {
                        signer,
                        number,
                        what,
                    })?;
                let record = [number.to_le_bytes().as_slice(), hash.as_slice()].concat();
                self.log
                    .append(&record)
                    .map_err(|source| Refusal::Log { signer, source })?;
                self.promised.insert(number, hash);
            }
        }
        Ok(self.key.sign_digest(digest)?)
    }
}

fn promise(record: &[u8]) -> Option<(u64, B256)> {
    let (number, hash) = record.split_at_checked(8)?;
    Some((
        u64::from_le_bytes(number.try_into().ok()?),
        B256::try_from(hash).ok()?,
    ))
}
