//! The content of a file as pages that copies share, so that a whole disk is copied in a moment.

use std::sync::Arc;

/// A page, bytes.
pub const PAGE: usize = 4_096;
/// What a disk writes whole or not at all, bytes.
pub const SECTOR: usize = 512;

const ZEROS: [u8; PAGE] = [0; PAGE];

/// Bytes; a page that is missing is all zeros.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    length: u64,
    pages: Vec<Option<Arc<[u8; PAGE]>>>,
}

impl Bytes {
    /// How many.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Fills `into` from `offset` on; `false` if there are not as many.
    pub fn read(&self, into: &mut [u8], offset: u64) -> bool {
        if offset + into.len() as u64 > self.length {
            return false;
        }
        let (mut at, mut done) = (offset as usize, 0);
        while done < into.len() {
            let (page, inside) = (at / PAGE, at % PAGE);
            let now = (PAGE - inside).min(into.len() - done);
            let target = &mut into[done..done + now];
            match self.pages.get(page) {
                Some(Some(bytes)) => target.copy_from_slice(&bytes[inside..inside + now]),
                _ => target.fill(0),
            }
            (at, done) = (at + now, done + now);
        }
        true
    }

    /// Writes, growing the file if needed.
    pub fn write(&mut self, from: &[u8], offset: u64) {
        let (mut at, mut done) = (offset as usize, 0);
        let end = at + from.len();
        self.length = self.length.max(end as u64);
        if self.pages.len() < end.div_ceil(PAGE) {
            self.pages.resize(end.div_ceil(PAGE), None);
        }
        while done < from.len() {
            let (page, inside) = (at / PAGE, at % PAGE);
            let now = (PAGE - inside).min(from.len() - done);
            let source = &from[done..done + now];
            let place = &mut self.pages[page];
            if source == &ZEROS[..now] && (now == PAGE || place.is_none()) {
                *place = None;
            } else {
                let bytes = Arc::make_mut(place.get_or_insert_with(|| Arc::new(ZEROS)));
                bytes[inside..inside + now].copy_from_slice(source);
            }
            (at, done) = (at + now, done + now);
        }
    }

    /// Whether both hold the same.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let same_page =
            |one: Option<&Arc<[u8; PAGE]>>, two: Option<&Arc<[u8; PAGE]>>| match (one, two) {
                (None, None) => true,
                (Some(one), Some(two)) => Arc::ptr_eq(one, two) || one == two,
                (Some(one), None) | (None, Some(one)) => **one == ZEROS,
            };
        self.length == other.length
            && (0..self.pages.len().max(other.pages.len())).all(|at| {
                let page = |bytes: &'_ Self| bytes.pages.get(at).cloned().flatten();
                same_page(page(self).as_ref(), page(other).as_ref())
            })
    }

    /// Whether a page holds nothing.
    #[must_use]
    pub fn is_blank(&self, page: usize) -> bool {
        !matches!(self.pages.get(page), Some(Some(bytes)) if **bytes != ZEROS)
    }

    /// Pages, blank ones included.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.length.div_ceil(PAGE as u64) as usize
    }
}
