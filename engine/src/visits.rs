//! Counting how many words, levels, places and rows a command looks at.
//!
//! Only the engine's own unit tests count (`visits/tests.rs`): everywhere else [`visit`] is nothing at
//! all. It stands at the few doors through which books, orders, positions, balances and remembered ids
//! are reached, so that whoever walks a table instead of looking something up is seen.

use std::cmp::Ordering;

#[cfg(test)]
mod tests;

#[cfg(test)]
std::thread_local! {
    static VISITED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// One more word, level, place or row is looked at.
#[inline(always)]
pub(crate) fn visit() {
    #[cfg(test)]
    VISITED.set(VISITED.get() + 1);
}

/// A key of a sorted map, where each comparison is a look at an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sorted<K>(pub(crate) K);

impl<K: Ord> Ord for Sorted<K> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        visit();
        self.0.cmp(&other.0)
    }
}

impl<K: Ord> PartialOrd for Sorted<K> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
