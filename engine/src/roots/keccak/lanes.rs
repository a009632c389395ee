//! The permutation over eight and four messages at once.
//!
//! Every function needs the processor feature it names, and nothing else: words go in and out through
//! intrinsics that take and give values, so no address is ever computed here.

use core::arch::x86_64::*;

use super::{Block, Digest, ROUNDS, round};

// Eight lanes. Ternary logic does `a ^ b ^ c` (0x96) and `a ^ (!b & c)` (0xd2) in one instruction each.

#[inline]
#[target_feature(enable = "avx512f")]
fn wide_xor5(a: __m512i, b: __m512i, c: __m512i, d: __m512i, e: __m512i) -> __m512i {
    let three = _mm512_ternarylogic_epi64::<0x96>(a, b, c);
    _mm512_ternarylogic_epi64::<0x96>(three, d, e)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn wide_xor2(a: __m512i, b: __m512i) -> __m512i {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn wide_rotate<const N: i32>(a: __m512i) -> __m512i {
    _mm512_rol_epi64::<N>(a)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn wide_chi(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0xd2>(a, b, c)
}

/// Digests of eight padded blocks.
#[target_feature(enable = "avx512f")]
pub(super) fn hash_eight(blocks: &[Block; 8]) -> [Digest; 8] {
    let mut a = [_mm512_setzero_si512(); 25];
    for (word, lanes) in a[..17].iter_mut().enumerate() {
        let at = |lane: usize| blocks[lane][word].cast_signed();
        *lanes = _mm512_set_epi64(at(7), at(6), at(5), at(4), at(3), at(2), at(1), at(0));
    }
    for rc in ROUNDS {
        let rc = _mm512_set1_epi64(rc.cast_signed());
        round!(a, rc, wide_xor5, wide_xor2, wide_rotate, wide_chi);
    }
    let mut digests = [[0; 4]; 8];
    for (word, lanes) in a[..4].iter().enumerate() {
        let low = four_words(_mm512_castsi512_si256(*lanes));
        let high = four_words(_mm512_extracti64x4_epi64::<1>(*lanes));
        for lane in 0..4 {
            digests[lane][word] = low[lane];
            digests[lane + 4][word] = high[lane];
        }
    }
    digests
}

#[inline]
#[target_feature(enable = "avx2")]
fn four_words(lanes: __m256i) -> [u64; 4] {
    [
        _mm256_extract_epi64::<0>(lanes).cast_unsigned(),
        _mm256_extract_epi64::<1>(lanes).cast_unsigned(),
        _mm256_extract_epi64::<2>(lanes).cast_unsigned(),
        _mm256_extract_epi64::<3>(lanes).cast_unsigned(),
    ]
}

// Four lanes.

#[inline]
#[target_feature(enable = "avx2")]
fn xor5(a: __m256i, b: __m256i, c: __m256i, d: __m256i, e: __m256i) -> __m256i {
    let (ab, cd) = (_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
    _mm256_xor_si256(_mm256_xor_si256(ab, cd), e)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor2(a: __m256i, b: __m256i) -> __m256i {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const N: i64>(a: __m256i) -> __m256i {
    let (left, right) = (_mm_cvtsi64_si128(N), _mm_cvtsi64_si128(64 - N));
    _mm256_or_si256(_mm256_sll_epi64(a, left), _mm256_srl_epi64(a, right))
}

#[inline]
#[target_feature(enable = "avx2")]
fn chi(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    _mm256_xor_si256(a, _mm256_andnot_si256(b, c))
}

/// Digests of four padded blocks.
#[target_feature(enable = "avx2")]
pub(super) fn hash_four(blocks: &[Block; 4]) -> [Digest; 4] {
    let mut a = [_mm256_setzero_si256(); 25];
    for (word, lanes) in a[..17].iter_mut().enumerate() {
        let at = |lane: usize| blocks[lane][word].cast_signed();
        *lanes = _mm256_set_epi64x(at(3), at(2), at(1), at(0));
    }
    for rc in ROUNDS {
        let rc = _mm256_set1_epi64x(rc.cast_signed());
        round!(a, rc, xor5, xor2, rotate, chi);
    }
    let mut digests = [[0; 4]; 4];
    for (word, lanes) in a[..4].iter().enumerate() {
        let words = four_words(*lanes);
        for lane in 0..4 {
            digests[lane][word] = words[lane];
        }
    }
    digests
}
