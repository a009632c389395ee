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

/// An argument, or a field of a structure.
#[derive(Clone, Debug)]
pub enum Part {
    /// Of a fixed length: it stands in its place.
    Here(Words),
    /// Of a length of its own: its place holds where it begins.
    Far(Words),
}

/// Arguments, or the fields of a structure with a field of its own length.
#[must_use]
pub fn tuple(parts: &[Part]) -> Words {
    let width = |part: &Part| match part {
        Part::Here(words) => words.0.len(),
        Part::Far(_) => 32,
    };
    let mut place: usize = parts.iter().map(width).sum();
    let (mut head, mut far) = (Words::new(), Vec::new());
    for part in parts {
        match part {
            Part::Here(words) => head.0.extend_from_slice(&words.0),
            Part::Far(words) => {
                head = head.number(place as u64);
                place += words.0.len();
                far.extend_from_slice(&words.0);
            }
        }
    }
    head.raw(&far)
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

impl Reader<'_> {
    /// The text that begins so many bytes from here.
    #[must_use]
    pub fn text_at(&self, place: u64) -> Option<String> {
        let mut reader = Self(self.0.get(usize::try_from(place).ok()?..)?);
        let length = usize::try_from(reader.number()?).ok()?;
        String::from_utf8(reader.0.get(..length)?.to_vec()).ok()
    }
}
