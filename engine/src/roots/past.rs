//! What was there before, for the epochs that are kept: only what has changed since.
//!
//! A kept epoch costs nothing when it is kept. From then on whatever is overwritten for the first time is
//! remembered under the newest kept epoch; a look at an older one goes through the ones behind it up to the
//! present. So an epoch costs what changed since, and never more than a copy of all of it.

use std::collections::{HashMap, VecDeque};

/// Overwritten values by key, under the epochs that need them, oldest first.
#[derive(Clone, Debug)]
pub struct Past<T> {
    // Keys are only asked for; where they are walked, order does not matter.
    kept: VecDeque<(u64, HashMap<u64, T, foldhash::fast::RandomState>)>,
}

impl<T> Default for Past<T> {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
        }
    }
}

impl<T> Past<T> {
    /// Keeps the present as this epoch. Epochs come in their order; one that is kept already stays as it is.
    pub fn keep(&mut self, epoch: u64) {
        if self.kept.back().is_none_or(|newest| newest.0 < epoch) {
            self.kept.push_back((epoch, HashMap::default()));
        }
    }

    /// Lets an epoch go. What an older one needs of it goes over to that.
    pub fn drop(&mut self, epoch: u64) {
        let Some(place) = self.kept.iter().position(|kept| kept.0 == epoch) else {
            return;
        };
        let gone = self.kept.remove(place);
        if let (Some(before), Some((_, gone))) = (place.checked_sub(1), gone) {
            for (key, old) in gone {
                self.kept[before].1.entry(key).or_insert(old);
            }
        }
    }

    /// Whether this epoch is kept.
    #[must_use]
    pub fn has(&self, epoch: u64) -> bool {
        self.kept.iter().any(|kept| kept.0 == epoch)
    }

    /// Whether any epoch is.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.kept.is_empty()
    }

    /// A value is about to be overwritten.
    pub fn note(&mut self, key: u64, old: T) {
        if let Some((_, newest)) = self.kept.back_mut() {
            newest.entry(key).or_insert(old);
        }
    }

    /// What was there at the end of a kept epoch, if it has changed since.
    #[must_use]
    pub fn changed(&self, epoch: u64, key: u64) -> Option<&T> {
        let since = self.kept.iter().filter(|kept| kept.0 >= epoch);
        since.map(|kept| &kept.1).find_map(|old| old.get(&key))
    }

    /// Values remembered, over all kept epochs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.iter().map(|kept| kept.1.len()).sum()
    }

    /// Whether nothing had to be remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
