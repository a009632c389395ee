//! A helper thread that has the next segments zero-written before the journal needs them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, bounded};

use super::error::JournalError;
use super::limits::SEGMENTS_READY;
use super::segment;

/// Segments that are ready, in order. Dropping it ends the helper and waits for it, so that nothing
/// writes to the folder any more.
pub(super) struct Ahead {
    ready: Option<Receiver<Result<PathBuf, JournalError>>>,
    stop: Arc<AtomicBool>,
    helper: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Begins with segment `first`. After an error the helper makes no more.
    pub(super) fn start(dir: PathBuf, first: u64, bytes: u64) -> Self {
        let (made, ready) = bounded(SEGMENTS_READY);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let helper = std::thread::spawn(move || {
            for id in first.. {
                let segment = segment::prepare(&dir, id, bytes, &stopped);
                let failed = segment.is_err();
                if let Err(error) = &segment {
                    tracing::error!(%error, "cannot prepare the next segment");
                }
                if made.send(segment).is_err() || failed {
                    return;
                }
            }
        });
        Self {
            ready: Some(ready),
            stop,
            helper: Some(helper),
        }
    }

    /// The next segment; waits for it if the helper is behind.
    pub(super) fn take(&self) -> Result<PathBuf, JournalError> {
        let ready = self.ready.as_ref().ok_or(JournalError::HelperGone)?;
        ready.recv().unwrap_or(Err(JournalError::HelperGone))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.ready = None;
        if let Some(helper) = self.helper.take() {
            // It has no result, and if it panicked that is on stderr already.
            let _ = helper.join();
        }
    }
}
