//! What happened, in words, when somebody wants to read it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Prints lines with their number, or nothing at all.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Arc<AtomicU64>>);

impl Trace {
    /// One that prints.
    #[must_use]
    pub fn printing() -> Self {
        Self(Some(Arc::default()))
    }

    /// A line; built only if it is printed.
    pub fn say(&self, line: impl FnOnce() -> String) {
        if let Some(count) = &self.0 {
            println!("{:6}  {}", count.fetch_add(1, Ordering::Relaxed), line());
        }
    }
}
