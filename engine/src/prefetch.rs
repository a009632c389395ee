//! Asking for memory before it is needed.
//!
//! A miss costs 160 to 260 ns when the next step waits for it, and a tenth of that when several are
//! under way at once. Whoever holds a batch of commands knows what the later ones will touch.

/// Asks for the cache line of a value. Changes nothing but time; on processors without the instruction
/// it does nothing.
#[inline]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    #[allow(
        unsafe_code,
        reason = "the only way to name the instruction; it reads nothing and cannot fault"
    )]
    // SAFETY: a prefetch of any address is allowed, and this one is that of a live reference.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
