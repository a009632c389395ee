//! Memory for tables that are read at random: in pages of 2 MiB where the system has them.
//!
//! A million orders lie in a few hundred mebibytes. Read at random through pages of 4 KiB, nearly every
//! order also costs a walk through the page tables; through large ones it does not. The system gives
//! large pages only to who asks (`madvise`), and the library allocator never does. So large blocks come
//! straight from the system here, aligned and asked for; everything else goes the usual way. Binaries
//! choose it:
//!
//! ```ignore
//! #[global_allocator]
//! static MEMORY: engine::memory::LargePages = engine::memory::LargePages;
//! ```
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by its very trait; these are the only lines of it"
)]

use std::alloc::{GlobalAlloc, Layout, System};

/// One large page.
const PAGE: usize = 2 << 20;
/// Blocks of at least so many bytes come in large pages.
const LARGE: usize = 2 * PAGE;

/// The allocator: see the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct LargePages;

/// Bytes to map for a layout, or `None` if it goes the usual way.
fn pages(layout: Layout) -> Option<usize> {
    let large = layout.size() >= LARGE && layout.align() <= PAGE;
    large
        .then(|| layout.size().checked_next_multiple_of(PAGE))
        .flatten()
}

/// Maps so many bytes, aligned to a large page; zeroed, null if there are none.
fn map(bytes: usize) -> *mut u8 {
    let Some(room) = bytes.checked_add(PAGE) else {
        return std::ptr::null_mut();
    };
    // SAFETY: a fresh private mapping at an address of the system's choice touches nobody's memory; the
    // two parts given back lie inside it, outside the block that is returned.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let start = libc::mmap(std::ptr::null_mut(), room, access, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        let start = start.cast::<u8>();
        let before = start.align_offset(PAGE);
        let block = start.add(before);
        if before > 0 {
            libc::munmap(start.cast(), before);
        }
        if PAGE > before {
            libc::munmap(block.add(bytes).cast(), PAGE - before);
        }
        // A wish: where it is not granted, small pages do.
        #[cfg(target_os = "linux")]
        libc::madvise(block.cast(), bytes, libc::MADV_HUGEPAGE);
        block
    }
}

// SAFETY: every block of `pages(layout) = Some(bytes)` was mapped with exactly those bytes and is given
// back with them, since the same layout gives the same answer; all others are the system allocator's.
unsafe impl GlobalAlloc for LargePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match pages(layout) {
            Some(bytes) => map(bytes),
            // SAFETY: the caller's promise is passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match pages(layout) {
            Some(bytes) => map(bytes),
            // SAFETY: the caller's promise is passed on.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match pages(layout) {
            // SAFETY: `map` made it with so many bytes.
            Some(bytes) => unsafe {
                libc::munmap(block.cast(), bytes);
            },
            // SAFETY: the caller's promise is passed on.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size fits the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if pages(layout).is_none() && pages(wanted).is_none() {
            // SAFETY: the caller's promise is passed on.
            return unsafe { System.realloc(block, layout, size) };
        }
        if pages(layout) == pages(wanted) {
            return block;
        }
        // SAFETY: both blocks are at least as long as what is copied, and different.
        unsafe {
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_blocks_are_aligned_zeroed_kept_while_they_grow_and_given_back() {
        let layout = Layout::from_size_align(LARGE + 5, 8).expect("a layout");
        let memory = LargePages;
        // SAFETY: the block is used within its size and given back with its layout.
        unsafe {
            let block = memory.alloc_zeroed(layout);
            assert_eq!(block.align_offset(PAGE), 0);
            assert_eq!(*block.add(LARGE + 4), 0);
            *block.add(LARGE + 4) = 7;
            let grown = memory.realloc(block, layout, 3 * LARGE);
            assert_eq!(*grown.add(LARGE + 4), 7);
            let layout = Layout::from_size_align(3 * LARGE, 8).expect("a layout");
            let small = memory.realloc(grown, layout, 64);
            assert_eq!(*small, 0);
            memory.dealloc(small, Layout::from_size_align(64, 8).expect("a layout"));
        }
    }

    #[test]
    fn small_blocks_go_the_usual_way() {
        let small = Layout::from_size_align(64, 8).expect("a layout");
        assert_eq!(pages(small), None);
        let odd = Layout::from_size_align(LARGE + 1, 16).expect("a layout");
        assert_eq!(pages(odd), Some(3 * PAGE));
    }
}
