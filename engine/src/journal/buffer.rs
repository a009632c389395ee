//! The memory of one block, aligned for direct writes without unsafe code.
//!
//! A vector cannot be asked for an alignment, so the block begins at the first aligned byte inside it.

use super::limits::{BATCH_BYTES_MAX, BLOCK_ALIGN, BLOCK_BYTES_MAX, HEADER_BYTES};

/// A block in the making: room for the header, then the payload as it is appended.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// An empty block with room for the largest one and for one entry too many.
    pub(super) fn new() -> Self {
        let bytes = Vec::with_capacity(BLOCK_ALIGN + BLOCK_BYTES_MAX + BATCH_BYTES_MAX);
        let mut buffer = Self { bytes, start: 0 };
        buffer.clear();
        buffer
    }

    /// Forgets the block. The header is zero until it is sealed.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.start = self.aligned_start();
        self.bytes.resize(self.start + HEADER_BYTES, 0);
    }

    /// Payload bytes so far. An entry that removed bytes instead of adding some is a bug.
    pub(super) fn payload_len(&self) -> usize {
        self.bytes.len() - self.start - HEADER_BYTES
    }

    /// Where entries append their record bytes.
    pub(super) fn payload_end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Takes back everything beyond the first `payload_len` bytes of payload.
    pub(super) fn split_off(&mut self, payload_len: usize) -> Vec<u8> {
        self.bytes
            .split_off(self.start + HEADER_BYTES + payload_len)
    }

    /// Adds zeros up to the next boundary, and moves the block if growing has cost its alignment.
    pub(super) fn pad(&mut self) {
        let length = (self.bytes.len() - self.start).next_multiple_of(BLOCK_ALIGN);
        self.bytes.resize(self.start + length, 0);
        if self.start != self.aligned_start() {
            let mut moved = Self::new();
            moved.bytes.truncate(moved.start);
            moved.bytes.extend_from_slice(self.block());
            *self = moved;
        }
    }

    /// The block: header, payload and, once padded, padding.
    pub fn block(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn block_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// The vector and where the block begins in it, for a backend that must own the memory.
    pub(super) fn into_parts(self) -> (Vec<u8>, usize) {
        (self.bytes, self.start)
    }

    pub(super) fn from_parts(bytes: Vec<u8>, start: usize) -> Self {
        Self { bytes, start }
    }

    fn aligned_start(&self) -> usize {
        let start = self.bytes.as_ptr().align_offset(BLOCK_ALIGN);
        assert!(start < BLOCK_ALIGN);
        start
    }
}
