//! The contract's calling convention, as far as anchoring needs it: 32-byte words, big-endian.

use revm::primitives::{B256, Bytes, keccak256};

/// Encoded words, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Words(Vec<u8>);

impl Words {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A number.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.wide(number.into())
    }

    /// A wide number.
    #[must_use]
    pub fn wide(mut self, number: u128) -> Self {
        self.0.extend_from_slice(&[0; 16]);
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// A word as it is.
    #[must_use]
    pub fn word(mut self, word: B256) -> Self {
        self.0.extend_from_slice(word.as_slice());
        self
    }

    /// Words encoded elsewhere.
    #[must_use]
    pub fn raw(mut self, words: &[u8]) -> Self {
        self.0.extend_from_slice(words);
        self
    }

    /// The tail of a text or of bytes: length, content, padding.
    #[must_use]
    pub fn tail(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        let padded = self.0.len().next_multiple_of(32);
        self.0.resize(padded, 0);
        self
    }

    /// The tail of a text.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.tail(text.as_bytes())
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Behind the selector of a function such as `post(uint64)`.
    #[must_use]
    pub fn call(&self, function: &str) -> Bytes {
        let selector = keccak256(function.as_bytes());
        [&selector[..4], &self.0].concat().into()
    }
}

/// Reads words in order.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// From the beginning.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next word; none at the end.
    pub fn word(&mut self) -> Option<B256> {
        let (word, rest) = self.0.split_at_checked(32)?;
        self.0 = rest;
        B256::try_from(word).ok()
    }

    /// The next word as a number below 2^128.
    pub fn wide(&mut self) -> Option<u128> {
        let word = self.word()?;
        let (high, low) = word.split_at(16);
        high.iter().all(|byte| *byte == 0).then_some(())?;
        Some(u128::from_be_bytes(low.try_into().ok()?))
    }

    /// The next word as a number below 2^64.
    pub fn number(&mut self) -> Option<u64> {
        u64::try_from(self.wide()?).ok()
    }
}

/// The words of a refusal: `Error(string)`, an error with one text, or the selector in hex.
#[must_use]
pub fn refusal(data: &[u8]) -> String {
    let Some((selector, rest)) = data.split_at_checked(4) else {
        return "no reason given".into();
    };
    let text = || {
        let mut reader = Reader::new(rest);
        (reader.number()? == 32).then_some(())?;
        let length = usize::try_from(reader.number()?).ok()?;
        String::from_utf8(reader.0.get(..length)?.to_vec()).ok()
    };
    text().unwrap_or_else(|| format!("error {}", revm::primitives::hex::encode_prefixed(selector)))
}
