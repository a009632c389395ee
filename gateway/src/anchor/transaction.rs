//! Raw signed transactions: legacy with a chain id (EIP-155) and type 2 (EIP-1559), both ways.
//!
//! The embedded chain takes the same bytes as any node, so signing, nonces and price bumps run the same
//! code everywhere.

use alloy_rlp::{Decodable, Encodable, Header};
use revm::primitives::{Address, B256, Bytes, U256, keccak256};
use serde::{Deserialize, Serialize};

use super::signer::{self, Signature, Signer, SignerError};

/// What a unit of gas may cost, wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Price {
    /// A price for everything.
    Legacy(u128),
    /// At most `cap` in all, of which at most `tip` for the miner.
    Market {
        /// Upper bound.
        cap: u128,
        /// For the miner.
        tip: u128,
    },
}

impl Price {
    /// The most that a unit of gas can cost.
    #[must_use]
    pub fn most(self) -> u128 {
        match self {
            Self::Legacy(price) => price,
            Self::Market { cap, .. } => cap,
        }
    }
}

/// A transaction before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Chain that it is for.
    pub chain_id: u64,
    /// Sender's nonce.
    pub nonce: u64,
    /// What gas may cost.
    pub price: Price,
    /// Most gas.
    pub gas: u64,
    /// Receiver; none makes a contract.
    pub to: Option<Address>,
    /// Coins, wei.
    pub value: U256,
    /// Call or code.
    pub data: Bytes,
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its bytes.
    pub raw: Bytes,
    /// Its hash.
    pub hash: B256,
}

/// Bytes that are no transaction this code knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a transaction: {0}")]
pub struct NotATransaction(String);

impl Transaction {
    /// Signs.
    ///
    /// # Errors
    /// The signer's.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Signed, SignerError> {
        let signature = signer.sign_digest(&self.digest())?;
        let raw = self.raw(&signature);
        let hash = keccak256(&raw);
        Ok(Signed {
            raw: raw.into(),
            hash,
        })
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> B256 {
        let mut fields = self.fields();
        match self.price {
            Price::Legacy(_) => {
                self.chain_id.encode(&mut fields);
                0_u8.encode(&mut fields);
                0_u8.encode(&mut fields);
                keccak256(list(&fields))
            }
            Price::Market { .. } => keccak256([&[2], list(&fields).as_slice()].concat()),
        }
    }

    fn raw(&self, signature: &Signature) -> Vec<u8> {
        let mut fields = self.fields();
        match self.price {
            Price::Legacy(_) => {
                (self.chain_id * 2 + 35 + u64::from(signature.odd)).encode(&mut fields);
                number(&signature.r, &mut fields);
                number(&signature.s, &mut fields);
                list(&fields)
            }
            Price::Market { .. } => {
                u8::from(signature.odd).encode(&mut fields);
                number(&signature.r, &mut fields);
                number(&signature.s, &mut fields);
                [&[2], list(&fields).as_slice()].concat()
            }
        }
    }

    fn fields(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Price::Market { cap, tip } = self.price {
            self.chain_id.encode(&mut out);
            self.nonce.encode(&mut out);
            tip.encode(&mut out);
            cap.encode(&mut out);
        } else {
            self.nonce.encode(&mut out);
            self.price.most().encode(&mut out);
        }
        self.gas.encode(&mut out);
        let to = self.to.as_ref().map_or(&[][..], |to| to.as_slice());
        to.encode(&mut out);
        number(&self.value.to_be_bytes::<32>(), &mut out);
        self.data.as_ref().encode(&mut out);
        if matches!(self.price, Price::Market { .. }) {
            // No access list.
            Header {
                list: true,
                payload_length: 0,
            }
            .encode(&mut out);
        }
        out
    }

    /// Reads a signed transaction and who signed it.
    ///
    /// # Errors
    /// Anything but a well-formed transaction of the two kinds, with a good signature.
    pub fn decode(raw: &[u8]) -> Result<(Self, Address), NotATransaction> {
        let (market, mut rest) = match raw.first() {
            Some(2) => (true, &raw[1..]),
            Some(0xc0..) => (false, raw),
            _ => return Err(wrong("neither legacy nor type 2")),
        };
        let mut body = Header::decode_bytes(&mut rest, true).map_err(wrong)?;
        if !rest.is_empty() {
            return Err(wrong("bytes behind it"));
        }
        let (transaction, signature) = Self::read(market, &mut body).map_err(wrong)??;
        if !body.is_empty() {
            return Err(wrong("too many fields"));
        }
        let from = signer::recover(&transaction.digest(), &signature)
            .ok_or_else(|| wrong("the signature is none"))?;
        Ok((transaction, from))
    }

    fn read(
        market: bool,
        body: &mut &[u8],
    ) -> alloy_rlp::Result<Result<(Self, Signature), NotATransaction>> {
        let mut chain_id = if market { u64::decode(body)? } else { 0 };
        let nonce = u64::decode(body)?;
        let price = if market {
            let tip = u128::decode(body)?;
            Price::Market {
                tip,
                cap: u128::decode(body)?,
            }
        } else {
            Price::Legacy(u128::decode(body)?)
        };
        let gas = u64::decode(body)?;
        let to = match Header::decode_bytes(body, false)? {
            [] => None,
            bytes => match Address::try_from(bytes) {
                Ok(to) => Some(to),
                Err(_) => return Ok(Err(wrong("the receiver is not 20 bytes"))),
            },
        };
        let value = word(body)?;
        let data = Bytes::copy_from_slice(Header::decode_bytes(body, false)?);
        if market && !Header::decode_bytes(body, true)?.is_empty() {
            return Ok(Err(wrong("it has an access list")));
        }
        let v = u64::decode(body)?;
        let odd = if market {
            v == 1
        } else if v >= 35 {
            chain_id = (v - 35) / 2;
            (v - 35) % 2 == 1
        } else {
            return Ok(Err(wrong("it names no chain (EIP-155)")));
        };
        let signature = Signature {
            r: word(body)?.to_be_bytes(),
            s: word(body)?.to_be_bytes(),
            odd,
        };
        let transaction = Self {
            chain_id,
            nonce,
            price,
            gas,
            to,
            value: U256::from_be_bytes(value.to_be_bytes::<32>()),
            data,
        };
        Ok(Ok((transaction, signature)))
    }
}

fn wrong(what: impl ToString) -> NotATransaction {
    NotATransaction(what.to_string())
}

/// A list of encoded fields.
fn list(fields: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(fields.len() + 9);
    let head = Header {
        list: true,
        payload_length: fields.len(),
    };
    head.encode(&mut out);
    out.extend_from_slice(fields);
    out
}

/// A number without leading zeros.
fn number(bytes: &[u8; 32], out: &mut Vec<u8>) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[zeros..].encode(out);
}

fn word(body: &mut &[u8]) -> alloy_rlp::Result<U256> {
    let bytes = Header::decode_bytes(body, false)?;
    if bytes.len() > 32 {
        return Err(alloy_rlp::Error::Overflow);
    }
    if bytes.first() == Some(&0) {
        return Err(alloy_rlp::Error::LeadingZero);
    }
    Ok(U256::from_be_slice(bytes))
}
