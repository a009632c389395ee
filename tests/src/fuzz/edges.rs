//! How often each branch of the code was taken, if it was built with counters.
//!
//! The compiler then puts one byte for each branch into a section of its own and hands its bounds to
//! [`__sanitizer_cov_8bit_counters_init`] before `main`. Without counters nobody calls it.
#![allow(
    unsafe_code,
    reason = "the counters are the compiler's; there is no safe way to them"
)]

use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

static START: AtomicPtr<AtomicU8> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Called by the compiler's own start-up code.
///
/// # Safety
/// `start` and `stop` bound the counters, which live as long as the process.
#[unsafe(no_mangle)]
unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut AtomicU8, stop: *mut AtomicU8) {
    // Called once for each part of the program, each time for the whole section.
    LENGTH.store(stop as usize - start as usize, Relaxed);
    START.store(start, Relaxed);
}

fn counters() -> &'static [AtomicU8] {
    let start = START.load(Relaxed);
    if start.is_null() {
        return &[];
    }
    // SAFETY: these are the bounds the compiler gave, of memory that is never given back; bytes that
    // instrumented code writes plainly are only counts here, whatever is read of them.
    unsafe { std::slice::from_raw_parts(start, LENGTH.load(Relaxed)) }
}

/// Whether there are counters.
pub(super) fn available() -> bool {
    !counters().is_empty()
}

/// The counters eight by eight, with the number of each first one; what does not fill eight is left out.
fn eights() -> impl Iterator<Item = (usize, &'static AtomicU64)> {
    // SAFETY: eight bytes side by side and aligned are one number of eight bytes.
    let (before, eights, _) = unsafe { counters().align_to::<AtomicU64>() };
    let first = before.len();
    eights
        .iter()
        .enumerate()
        .map(move |(eight, counters)| (first + eight * 8, counters))
}

/// All to zero.
pub(super) fn reset() {
    for (_, eight) in eights() {
        if eight.load(Relaxed) != 0 {
            eight.store(0, Relaxed);
        }
    }
}

/// One number for each branch taken and the rough number of times.
pub(super) fn read(traits: &mut Vec<u32>) {
    for (first, eight) in eights() {
        let counters = eight.load(Relaxed);
        if counters == 0 {
            continue;
        }
        for (branch, times) in (first..).zip(counters.to_le_bytes()) {
            if times > 0 {
                traits.push(branch as u32 * 8 + times.ilog2());
            }
        }
    }
}
