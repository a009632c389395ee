//! Keccak-256 as Ethereum uses it (padding `01 .. 80`, not SHA-3's), one message at a time or many short
//! ones side by side.
//!
//! A tree hashes hundreds of thousands of messages that fit one block of 136 bytes each. A register of the
//! processor holds the same word of several of them, so that no instruction crosses lanes: eight with
//! AVX-512F, four with AVX2, chosen when the program runs; otherwise one after the other. The features are
//! enabled for these functions alone: for a whole build they make the scalar rounds about twice as slow.
//! Source of the permutation: FIPS 202, section 3.2.

#[cfg(target_arch = "x86_64")]
mod lanes;

/// Bytes that one permutation absorbs.
pub const RATE: usize = 136;

/// One padded block as little-endian words.
pub type Block = [u64; RATE / 8];

/// A digest as four little-endian words, the form in which trees keep it.
pub type Digest = [u64; 4];

/// Round constants, FIPS 202 section 3.2.5.
const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// One round over 25 words or lanes: theta, rho and pi (the moves into `b*`), chi, iota. `$x5` and `$x2` xor
/// five and two, `$rol` rotates left, `$chi(a, b, c)` is `a ^ (!b & c)`.
#[rustfmt::skip]
macro_rules! round { ($a:ident, $rc:expr, $x5:ident, $x2:ident, $rol:ident, $chi:ident) => {{
    let c0 = $x5($a[0], $a[5], $a[10], $a[15], $a[20]); let c1 = $x5($a[1], $a[6], $a[11], $a[16], $a[21]);
    let c2 = $x5($a[2], $a[7], $a[12], $a[17], $a[22]); let c3 = $x5($a[3], $a[8], $a[13], $a[18], $a[23]);
    let c4 = $x5($a[4], $a[9], $a[14], $a[19], $a[24]);
    let d0 = $x2(c4, $rol::<1>(c1)); let d1 = $x2(c0, $rol::<1>(c2)); let d2 = $x2(c1, $rol::<1>(c3));
    let d3 = $x2(c2, $rol::<1>(c4)); let d4 = $x2(c3, $rol::<1>(c0));
    let b0 = $x2($a[0], d0);                 let b10 = $rol::<1>($x2($a[1], d1));    let b20 = $rol::<62>($x2($a[2], d2));
    let b5 = $rol::<28>($x2($a[3], d3));     let b15 = $rol::<27>($x2($a[4], d4));   let b16 = $rol::<36>($x2($a[5], d0));
    let b1 = $rol::<44>($x2($a[6], d1));     let b11 = $rol::<6>($x2($a[7], d2));    let b21 = $rol::<55>($x2($a[8], d3));
    let b6 = $rol::<20>($x2($a[9], d4));     let b7 = $rol::<3>($x2($a[10], d0));    let b17 = $rol::<10>($x2($a[11], d1));
    let b2 = $rol::<43>($x2($a[12], d2));    let b12 = $rol::<25>($x2($a[13], d3));  let b22 = $rol::<39>($x2($a[14], d4));
    let b23 = $rol::<41>($x2($a[15], d0));   let b8 = $rol::<45>($x2($a[16], d1));   let b18 = $rol::<15>($x2($a[17], d2));
    let b3 = $rol::<21>($x2($a[18], d3));    let b13 = $rol::<8>($x2($a[19], d4));   let b14 = $rol::<18>($x2($a[20], d0));
    let b24 = $rol::<2>($x2($a[21], d1));    let b9 = $rol::<61>($x2($a[22], d2));   let b19 = $rol::<56>($x2($a[23], d3));
    let b4 = $rol::<14>($x2($a[24], d4));
    $a[0] = $x2($chi(b0, b1, b2), $rc);  $a[1] = $chi(b1, b2, b3);     $a[2] = $chi(b2, b3, b4);     $a[3] = $chi(b3, b4, b0);     $a[4] = $chi(b4, b0, b1);
    $a[5] = $chi(b5, b6, b7);            $a[6] = $chi(b6, b7, b8);     $a[7] = $chi(b7, b8, b9);     $a[8] = $chi(b8, b9, b5);     $a[9] = $chi(b9, b5, b6);
    $a[10] = $chi(b10, b11, b12);        $a[11] = $chi(b11, b12, b13); $a[12] = $chi(b12, b13, b14); $a[13] = $chi(b13, b14, b10); $a[14] = $chi(b14, b10, b11);
    $a[15] = $chi(b15, b16, b17);        $a[16] = $chi(b16, b17, b18); $a[17] = $chi(b17, b18, b19); $a[18] = $chi(b18, b19, b15); $a[19] = $chi(b19, b15, b16);
    $a[20] = $chi(b20, b21, b22);        $a[21] = $chi(b21, b22, b23); $a[22] = $chi(b22, b23, b24); $a[23] = $chi(b23, b24, b20); $a[24] = $chi(b24, b20, b21);
}}}
use round;

fn xor5(a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 {
    a ^ b ^ c ^ d ^ e
}

fn xor2(a: u64, b: u64) -> u64 {
    a ^ b
}

fn rotate<const N: u32>(a: u64) -> u64 {
    a.rotate_left(N)
}

fn chi(a: u64, b: u64, c: u64) -> u64 {
    a ^ (!b & c)
}

fn permute(a: &mut [u64; 25]) {
    for rc in ROUNDS {
        round!(a, rc, xor5, xor2, rotate, chi);
    }
}

/// Keccak-256 of a message of any length.
#[must_use]
pub fn keccak256(message: &[u8]) -> [u8; 32] {
    let mut state = [0; 25];
    let mut absorb = |block: &Block| {
        for (word, more) in state.iter_mut().zip(block) {
            *word ^= more;
        }
        permute(&mut state);
    };
    let mut blocks = message.chunks_exact(RATE);
    for block in &mut blocks {
        absorb(&words(block));
    }
    absorb(&pad(blocks.remainder()));
    bytes_of(&[state[0], state[1], state[2], state[3]])
}

/// At most a block of bytes as words, the rest zero.
fn words(bytes: &[u8]) -> Block {
    let mut block = [0; RATE / 8];
    for (word, part) in block.iter_mut().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight[..part.len()].copy_from_slice(part);
        *word = u64::from_le_bytes(eight);
    }
    block
}

/// A message shorter than a block, padded.
///
/// # Panics
/// If it is as long as a block or longer.
#[must_use]
pub fn pad(message: &[u8]) -> Block {
    assert!(message.len() < RATE, "one block only");
    let mut block = words(message);
    block[message.len() / 8] ^= 1 << (message.len() % 8 * 8);
    block[RATE / 8 - 1] ^= 1 << 63;
    block
}

/// The bytes of a digest, in their order.
#[must_use]
pub fn bytes_of(digest: &Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (part, word) in bytes.chunks_exact_mut(8).zip(digest) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// A digest of these bytes.
#[must_use]
pub fn digest_of(bytes: &[u8; 32]) -> Digest {
    let block = words(bytes);
    [block[0], block[1], block[2], block[3]]
}

/// How many messages are hashed side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lanes {
    /// One after the other, on any processor.
    One,
    /// With AVX2.
    Four,
    /// With AVX-512F.
    Eight,
}

impl Lanes {
    /// The most that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Eight;
            }
            if is_x86_feature_detected!("avx2") {
                return Self::Four;
            }
        }
        Self::One
    }

    /// Each number of lanes that this processor has, fewest first.
    pub fn all() -> impl Iterator<Item = Self> {
        let most = Self::detect();
        let each = [Self::One, Self::Four, Self::Eight];
        each.into_iter().filter(move |lanes| *lanes <= most)
    }
}

/// Digest of one padded block.
#[must_use]
pub fn hash_block(block: &Block) -> Digest {
    let mut state = [0; 25];
    state[..block.len()].copy_from_slice(block);
    permute(&mut state);
    [state[0], state[1], state[2], state[3]]
}

/// Hashes `count` padded blocks, as many at a time as `lanes` says: `block(n)` makes the n-th, `done(n, digest)`
/// takes its digest. Blocks are asked for some at a time, in order, before their digests are handed over.
///
/// # Panics
/// If this processor has fewer lanes than asked for.
pub fn hash_blocks(
    lanes: Lanes,
    count: usize,
    block: impl Fn(usize) -> Block,
    mut done: impl FnMut(usize, Digest),
) {
    assert!(lanes <= Lanes::detect(), "this processor has fewer lanes");
    let mut next = 0;
    #[cfg(target_arch = "x86_64")]
    match lanes {
        Lanes::Eight => {
            while next + 8 <= count {
                let blocks = std::array::from_fn(|lane| block(next + lane));
                #[allow(
                    unsafe_code,
                    reason = "calling a function that needs a feature; the intrinsics in it are safe"
                )]
                // SAFETY: the processor has AVX-512F: `lanes` is at most what was detected.
                let digests = unsafe { lanes::hash_eight(&blocks) };
                for (lane, digest) in digests.into_iter().enumerate() {
                    done(next + lane, digest);
                }
                next += 8;
            }
        }
        Lanes::Four => {
            while next + 4 <= count {
                let blocks = std::array::from_fn(|lane| block(next + lane));
                #[allow(
                    unsafe_code,
                    reason = "calling a function that needs a feature; the intrinsics in it are safe"
                )]
                // SAFETY: the processor has AVX2: `lanes` is at most what was detected.
                let digests = unsafe { lanes::hash_four(&blocks) };
                for (lane, digest) in digests.into_iter().enumerate() {
                    done(next + lane, digest);
                }
                next += 4;
            }
        }
        Lanes::One => {}
    }
    while next < count {
        done(next, hash_block(&block(next)));
        next += 1;
    }
}

#[cfg(test)]
mod tests;
