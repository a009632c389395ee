//! Counters of the journal thread, readable from any thread.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Which code writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// io_uring, direct writes where the file system allows them.
    Uring,
    /// `pwrite` and `fdatasync`.
    Plain,
    /// One that the caller brought along, such as a simulated disk.
    Other,
}

impl Backend {
    /// The name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Plain => "plain",
            Self::Other => "other",
        }
    }
}

/// What the journal thread has done since it was opened.
#[derive(Debug, Default)]
pub struct JournalStats {
    blocks: AtomicU64,
    watermarks: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
    segments: AtomicU64,
    backend: AtomicU8,
}

impl JournalStats {
    /// Durable blocks of any kind.
    pub fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::Relaxed)
    }

    /// Durable watermark blocks among them.
    pub fn watermarks(&self) -> u64 {
        self.watermarks.load(Ordering::Relaxed)
    }

    /// Durable bytes, headers and padding included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Flushes that the disk has answered.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Segments gone over to since the journal was opened.
    pub fn segments(&self) -> u64 {
        self.segments.load(Ordering::Relaxed)
    }

    /// Which backend runs; none before the thread has chosen.
    pub fn backend(&self) -> Option<Backend> {
        match self.backend.load(Ordering::Relaxed) {
            1 => Some(Backend::Uring),
            2 => Some(Backend::Plain),
            3 => Some(Backend::Other),
            _ => None,
        }
    }

    pub(super) fn chose(&self, backend: Backend) {
        let number = match backend {
            Backend::Uring => 1,
            Backend::Plain => 2,
            Backend::Other => 3,
        };
        self.backend.store(number, Ordering::Relaxed);
    }

    pub(super) fn block(&self, bytes: u64, watermark: bool) {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.watermarks
            .fetch_add(u64::from(watermark), Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn sync(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn segment(&self) {
        self.segments.fetch_add(1, Ordering::Relaxed);
    }
}
