//! API keys: who may speak to the exchange, and how they prove it.
//!
//! A key is an Ed25519 pair. Its name is computed from the public half, so it is known before anyone
//! registers it; the private half never leaves its owner's key file. Every call carries a token that
//! the owner signs: a compact JWT with algorithm EdDSA that lives for at most a minute and names the
//! one method it is good for. A token leaked from a read call therefore cannot trade.
//!
//! ```text
//! header  {"alg":"EdDSA","typ":"JWT","kid":"hk-<20 hex digits>"}
//! claims  {"aud":"hashpit","iat":1767225600,"exp":1767225630,
//!          "method":"/hashpit.trading.v1.TradingService/SubmitOrder"}
//! ```

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{SIGNATURE_LENGTH, Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The only audience a token may name.
pub const AUDIENCE: &str = "hashpit";
/// Longest allowed distance from `iat` to `exp`.
pub const LIFE_SECONDS_MAX: i64 = 60;
/// How far the client's clock may be off, either way.
pub const CLOCK_SKEW_SECONDS: i64 = 5;
/// Longer tokens are refused unread; a good one has about 330 bytes.
pub const TOKEN_BYTES_MAX: usize = 1024;

const ALGORITHM: &str = "EdDSA";
const TOKEN_TYPE: &str = "JWT";
const KEY_ID_PREFIX: &str = "hk-";
const KEY_ID_BYTES: usize = 10;

/// The private half of a key. Shows its name only, never its secret, when printed.
pub struct PrivateKey {
    signing: SigningKey,
    key_id: String,
}

impl PrivateKey {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Randomness)?;
        Ok(Self::from_seed(seed))
    }

    /// The key that belongs to a 32-byte Ed25519 seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(&seed);
        let key_id = key_id_of(signing.verifying_key().as_bytes());
        Self { signing, key_id }
    }

    /// Reads a key file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = fs::read_to_string(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => KeyError::Missing { path: path.into() },
            _ => KeyError::Read {
                path: path.into(),
                source,
            },
        })?;
        let format = |reason: String| KeyError::Format {
            path: path.into(),
            reason,
        };
        // The parser's own message may quote the file, and with it the secret: keep the place only.
        let file: KeyFile = serde_json::from_str(&text).map_err(|e| {
            format(format!(
                "not a JSON key file, line {} column {}",
                e.line(),
                e.column()
            ))
        })?;
        let seed = URL_SAFE_NO_PAD
            .decode(&file.private_key)
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or_else(|| format("private_key is not base64url of 32 bytes".into()))?;
        let key = Self::from_seed(seed);
        if key.key_id != file.key_id {
            return Err(format("key_id does not belong to private_key".into()));
        }
        Ok(key)
    }

    /// Writes a key file that only its owner may read. An existing file is never overwritten. An
    /// empty note is left out.
    pub fn save(&self, path: &Path, note: &str) -> Result<(), KeyError> {
        let file = KeyFile {
            key_id: self.key_id.clone(),
            private_key: URL_SAFE_NO_PAD.encode(self.signing.as_bytes()),
            note: note.into(),
        };
        let mut text = serde_json::to_string_pretty(&file).expect("plain strings are JSON");
        text.push('\n');
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.into() },
                _ => KeyError::Write {
                    path: path.into(),
                    source,
                },
            })?;
        out.write_all(text.as_bytes())
            .and_then(|()| out.sync_all())
            .map_err(|source| {
                // We made this file a moment ago; half a key would only block the next attempt.
                let _ = fs::remove_file(path);
                KeyError::Write {
                    path: path.into(),
                    source,
                }
            })
    }

    /// The key's name.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What the exchange has to know.
    pub fn public_key(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// A token for one method, such as `/hashpit.trading.v1.TradingService/SubmitOrder`.
    /// `life_seconds` outside 1..=60 is moved to the nearer end.
    pub fn mint(&self, method: &str, now_unix_seconds: i64, life_seconds: i64) -> String {
        let header = Header {
            alg: ALGORITHM.into(),
            typ: Some(TOKEN_TYPE.into()),
            kid: self.key_id.clone(),
        };
        let claims = Claims {
            aud: AUDIENCE.into(),
            iat: now_unix_seconds,
            exp: now_unix_seconds.saturating_add(life_seconds.clamp(1, LIFE_SECONDS_MAX)),
            method: method.into(),
        };
        self.sign(&header, &claims)
    }

    /// Ed25519 over these bytes, as a source, a meter or an attestor signs what it observes.
    pub fn signature_over(&self, bytes: &[u8]) -> [u8; SIGNATURE_LENGTH] {
        self.signing.sign(bytes).to_bytes()
    }

    fn sign(&self, header: &impl Serialize, claims: &impl Serialize) -> String {
        let mut token = format!("{}.{}", encode_part(header), encode_part(claims));
        let signature = self.signing.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        token
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// The name of a key: `hk-` and the first ten bytes of the public key in lower-case hex.
pub fn key_id_of(public_key: &[u8; 32]) -> String {
    let mut key_id = String::from(KEY_ID_PREFIX);
    for byte in &public_key[..KEY_ID_BYTES] {
        key_id.push_str(&format!("{byte:02x}"));
    }
    key_id
}

/// Whether a signature is this key's over these bytes; weak keys never are.
pub fn signature_of(
    public_key: &[u8; 32],
    bytes: &[u8],
    signature: &[u8; SIGNATURE_LENGTH],
) -> bool {
    VerifyingKey::from_bytes(public_key)
        .and_then(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)))
        .is_ok()
}

/// Decides whether `token` may call `method` now, and says which key it belongs to.
///
/// `public_key_of` looks a key id up. Reasons are checked in the order of [`TokenError`]'s variants;
/// no claim is believed before the signature is known to be good.
pub fn verify(
    token: &str,
    method: &str,
    now_unix_seconds: i64,
    public_key_of: impl FnOnce(&str) -> Option<[u8; 32]>,
) -> Result<String, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed("longer than 1024 bytes"));
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Malformed("not three parts"));
    };
    let signed = &token[..header.len() + 1 + claims.len()];
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .ok()
        .and_then(|bytes| <[u8; SIGNATURE_LENGTH]>::try_from(bytes).ok())
        .ok_or(TokenError::Malformed(
            "signature is not base64url of 64 bytes",
        ))?;
    let header: Header = decode_part(header).ok_or(TokenError::Malformed("unreadable header"))?;
    let claims: Claims = decode_part(claims).ok_or(TokenError::Malformed("unreadable claims"))?;
    if header.typ.is_some_and(|typ| typ != TOKEN_TYPE) {
        return Err(TokenError::Malformed("typ is not JWT"));
    }
    if header.alg != ALGORITHM {
        return Err(TokenError::WrongAlgorithm);
    }

    let public_key = public_key_of(&header.kid)
        .filter(|public_key| key_id_of(public_key) == header.kid)
        .ok_or(TokenError::UnknownKey)?;
    VerifyingKey::from_bytes(&public_key)
        .and_then(|key| key.verify_strict(signed.as_bytes(), &Signature::from_bytes(&signature)))
        .map_err(|_| TokenError::BadSignature)?;

    claims.check(method, now_unix_seconds)?;
    Ok(header.kid)
}

/// Why a token is refused. The first reason that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not a compact JWT with exactly the fields shown above.
    #[error("malformed token: {0}")]
    Malformed(&'static str),
    /// `alg` is not EdDSA.
    #[error("wrong algorithm: the token must be signed with EdDSA")]
    WrongAlgorithm,
    /// `kid` names no registered key.
    #[error("unknown key")]
    UnknownKey,
    /// The signature is not this key's over this header and these claims.
    #[error("bad signature")]
    BadSignature,
    /// `aud` is not [`AUDIENCE`].
    #[error("wrong audience: the token is not for hashpit")]
    WrongAudience,
    /// The token was made for another method.
    #[error("wrong method: the token was made for another method")]
    WrongMethod,
    /// `exp - iat` is outside 1..=60.
    #[error("life too long: exp must be 1 to 60 seconds after iat")]
    LifeTooLong,
    /// `iat` lies ahead by more than the clock allowance.
    #[error("not yet valid: iat is more than 5 seconds ahead of the exchange's clock")]
    NotYetValid,
    /// `exp` lies behind by the clock allowance or more.
    #[error("expired: exp is 5 seconds or more behind the exchange's clock")]
    Expired,
}

/// An operator's or a client's trouble with a key file.
#[derive(Debug, Error)]
pub enum KeyError {
    /// There is no such file.
    #[error("no key file at {}", path.display())]
    Missing {
        /// The key file.
        path: PathBuf,
    },
    /// A key is already there, and it stays.
    #[error("key file {} exists already and is never overwritten", path.display())]
    Exists {
        /// The key file.
        path: PathBuf,
    },
    /// The operating system would not let us read.
    #[error("cannot read key file {}: {source}", path.display())]
    Read {
        /// The key file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// The operating system would not let us write.
    #[error("cannot write key file {}: {source}", path.display())]
    Write {
        /// The key file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// The file is there and is no key. The reason never quotes the content.
    #[error("bad key file {}: {reason}", path.display())]
    Format {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No new key without randomness.
    #[error("no randomness for a new key: {0}")]
    Randomness(getrandom::Error),
}

/// The key file. No `Debug`: it holds the secret.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    key_id: String,
    private_key: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
}

/// Unknown fields are refused: a `crit` or `nbf` that we passed over would be a promise we break.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    kid: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    aud: String,
    iat: i64,
    exp: i64,
    method: String,
}

impl Claims {
    fn check(&self, method: &str, now: i64) -> Result<(), TokenError> {
        if self.aud != AUDIENCE {
            return Err(TokenError::WrongAudience);
        }
        if self.method != method {
            return Err(TokenError::WrongMethod);
        }
        match self.exp.checked_sub(self.iat) {
            Some(1..=LIFE_SECONDS_MAX) => {}
            Some(_) | None => return Err(TokenError::LifeTooLong),
        }
        if self.iat > now.saturating_add(CLOCK_SKEW_SECONDS) {
            return Err(TokenError::NotYetValid);
        }
        if now >= self.exp.saturating_add(CLOCK_SKEW_SECONDS) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

fn encode_part(part: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("strings and integers are JSON"))
}

fn decode_part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests;
