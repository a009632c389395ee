//! Keys at rest: one file per key, sealed with a passphrase.
//!
//! Argon2id makes a key of the passphrase, XChaCha20-Poly1305 seals the secret with it; role and address
//! are sealed along, so a gas key cannot be slipped in as a signer's. The file is readable by its owner
//! only. A wrong passphrase and a changed file look the same, and both are said without any bytes of either.

use std::{
    fmt, fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use revm::primitives::Address;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::signer::{LocalKey, Signer};

/// What a key is for. One key never has two roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Pays for transactions. Hot, with little on it.
    Gas,
    /// Signs headers.
    Signer,
    /// Stops, never moves.
    Guardian,
    /// Owns an account of the exchange: deposits, claims, leaves.
    Owner,
}

/// A passphrase; wiped when dropped, never shown.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// From what was typed or read.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The first line of a file.
    ///
    /// # Errors
    /// If it cannot be read, or is empty.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(fs::read(path).map_err(|source| KeyError::File {
            path: path.into(),
            source,
        })?);
        let line = bytes
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        if line.is_empty() {
            return Err(KeyError::Content {
                path: path.into(),
                what: "an empty passphrase".into(),
            });
        }
        Ok(Self::new(line.to_vec()))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Passphrase(..)")
    }
}

/// How much work a guess at the passphrase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Work {
    /// For a passphrase that a person chose: 64 MiB, three passes (RFC 9106, second choice).
    pub const PERSON: Self = Self {
        memory_kib: 65_536,
        passes: 3,
    };
    /// For 32 random bytes, which nobody guesses.
    pub const RANDOM: Self = Self {
        memory_kib: 64,
        passes: 1,
    };
    /// A file may ask for at most so much memory, KiB: 1 GiB.
    const MEMORY_MAX: u32 = 1 << 20;
    /// And so many passes.
    const PASSES_MAX: u32 = 64;
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// It is not a key file.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The seal does not open.
    #[error("{}: the passphrase is wrong, or the file was changed", path.display())]
    Sealed {
        /// Which file.
        path: PathBuf,
    },
    /// No randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    what: String,
    role: Role,
    address: Address,
    work: Work,
    salt: String,
    nonce: String,
    sealed: String,
}

const WHAT: &str = "hashpit anchor key 1: argon2id, xchacha20poly1305";

/// Seals a key into a new file.
///
/// # Errors
/// If the file is there already, or cannot be written.
pub fn save(
    key: &LocalKey,
    role: Role,
    path: &Path,
    passphrase: &Passphrase,
    work: Work,
) -> Result<(), KeyError> {
    let (mut salt, mut nonce) = ([0; 16], [0; 24]);
    getrandom::fill(&mut salt).map_err(random)?;
    getrandom::fill(&mut nonce).map_err(random)?;
    let secret = key.secret();
    let bound = bound(role, key.address());
    let payload = Payload {
        msg: secret.as_slice(),
        aad: &bound,
    };
    let sealed = cipher(passphrase, &salt, work)
        .and_then(|cipher| cipher.encrypt(XNonce::from_slice(&nonce), payload).ok())
        .ok_or_else(|| content(path, "it cannot be sealed"))?;
    let text = serde_json::to_string_pretty(&KeyFile {
        what: WHAT.into(),
        role,
        address: key.address(),
        work,
        salt: STANDARD.encode(salt),
        nonce: STANDARD.encode(nonce),
        sealed: STANDARD.encode(sealed),
    })
    .map_err(|error| content(path, &error.to_string()))?;
    write_private(path, (text + "\n").as_bytes())
}

/// A new file that only its owner may read.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|source| KeyError::File {
            path: path.into(),
            source,
        })
}

/// Opens a key file for a role.
///
/// # Errors
/// If it cannot be read, is another role's, or the seal does not open.
pub fn load(path: &Path, role: Role, passphrase: &Passphrase) -> Result<LocalKey, KeyError> {
    let text = fs::read_to_string(path).map_err(|source| KeyError::File {
        path: path.into(),
        source,
    })?;
    let file: KeyFile =
        serde_json::from_str(&text).map_err(|error| content(path, &error.to_string()))?;
    if file.what != WHAT {
        return Err(content(path, "not a key file of this kind"));
    }
    if file.role != role {
        return Err(content(
            path,
            &format!("a key of the role {:?}, not {role:?}", file.role),
        ));
    }
    let bytes = |text: &str| {
        STANDARD
            .decode(text)
            .map_err(|error| content(path, &error.to_string()))
    };
    let (salt, nonce, sealed) = (
        bytes(&file.salt)?,
        bytes(&file.nonce)?,
        bytes(&file.sealed)?,
    );
    let asks_too_much =
        file.work.memory_kib > Work::MEMORY_MAX || file.work.passes > Work::PASSES_MAX;
    if nonce.len() != 24 || salt.len() < 8 || asks_too_much {
        return Err(content(path, "salt, nonce or work out of range"));
    }
    let bound = bound(role, file.address);
    let payload = Payload {
        msg: &sealed,
        aad: &bound,
    };
    let secret = cipher(passphrase, &salt, file.work)
        .and_then(|cipher| cipher.decrypt(XNonce::from_slice(&nonce), payload).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| KeyError::Sealed { path: path.into() })?;
    <&[u8; 32]>::try_from(secret.as_slice())
        .ok()
        .and_then(LocalKey::from_bytes)
        .filter(|key| key.address() == file.address)
        .ok_or_else(|| content(path, "the sealed bytes are not the key of its address"))
}

fn content(path: &Path, what: &str) -> KeyError {
    KeyError::Content {
        path: path.into(),
        what: what.into(),
    }
}

fn bound(role: Role, address: Address) -> Vec<u8> {
    format!("{WHAT} {role:?} {address}").into_bytes()
}

fn cipher(passphrase: &Passphrase, salt: &[u8], work: Work) -> Option<XChaCha20Poly1305> {
    let params = Params::new(work.memory_kib, work.passes, 1, Some(32)).ok()?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut key = Zeroizing::new([0; 32]);
    argon
        .hash_password_into(&passphrase.0, salt, key.as_mut_slice())
        .ok()?;
    XChaCha20Poly1305::new_from_slice(key.as_slice()).ok()
}

fn random(error: getrandom::Error) -> KeyError {
    KeyError::Random(error.to_string())
}
