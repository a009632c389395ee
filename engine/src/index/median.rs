//! One price from several sources, without the one that is wrong.
//!
//! A source that deviates more than 3 % from the median of the others is left out, and comes back only once
//! it is below 1.5 %. The worst goes first, then the rest are looked at again: a wild source must not make
//! its neighbours look wrong. What remains must be more than half of the weight that speaks, otherwise there
//! is no price. Source: hashrate reference, section 8.3 (hysteresis as at CF Benchmarks).

/// Out above this deviation, in hundredths of a percent.
pub const OUT_BASIS_POINTS: u128 = 300;
/// Back in below this one.
pub const IN_BASIS_POINTS: u128 = 150;

/// What one source says, while it is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Its value; positive.
    pub value: i64,
    /// How much it counts; 0 = it only checks.
    pub weight: u8,
    /// It was left out before.
    pub excluded: bool,
}

/// A deviation as an exact fraction of the median it is measured from.
#[derive(Clone, Copy)]
struct Deviation {
    distance: u128,
    from: u128,
}

impl Deviation {
    fn of(value: i64, median: i64) -> Self {
        Self {
            distance: u128::from(value.abs_diff(median)),
            from: u128::from(median.unsigned_abs()),
        }
    }

    fn exceeds(self, basis_points: u128) -> bool {
        self.distance * 10_000 > self.from * basis_points
    }

    fn below(self, basis_points: u128) -> bool {
        self.distance * 10_000 < self.from * basis_points
    }

    fn worse(self, other: Self) -> bool {
        self.distance * other.from > other.distance * self.from
    }
}

/// Weighted median of what is left in; between two values their mean, half to even.
#[must_use]
pub fn median(voices: impl Iterator<Item = (i64, u8)>) -> Option<i64> {
    let mut values: Vec<(i64, u32)> = voices
        .filter(|(_, weight)| *weight > 0)
        .map(|(value, weight)| (value, u32::from(weight)))
        .collect();
    values.sort_unstable();
    let total: u32 = values.iter().map(|(_, weight)| weight).sum();
    let mut passed = 0;
    for (place, (value, weight)) in values.iter().enumerate() {
        passed += weight;
        if 2 * passed == total {
            let next = values.get(place + 1)?.0;
            let sum = i128::from(*value) + i128::from(next);
            return i64::try_from(crate::units::div_half_even(sum, 2)).ok();
        }
        if 2 * passed > total {
            return Some(*value);
        }
    }
    None
}

/// The price, and in each voice whether it was left out of it.
///
/// `None` if nobody speaks, or if what is left in is not more than half of the weight of all who speak. A
/// checker (weight 0) never moves the price; its `excluded` says whether it disagrees.
pub fn settle(voices: &mut [Voice]) -> Option<i64> {
    loop {
        let mut worst: Option<(usize, Deviation)> = None;
        for at in 0..voices.len() {
            let voice = voices[at];
            if voice.excluded || voice.weight == 0 {
                continue;
            }
            let Some(others) = among(voices, at) else {
                continue;
            };
            let deviation = Deviation::of(voice.value, others);
            let out = deviation.exceeds(OUT_BASIS_POINTS);
            if out && worst.is_none_or(|(_, known)| deviation.worse(known)) {
                worst = Some((at, deviation));
            }
        }
        let Some((at, _)) = worst else { break };
        voices[at].excluded = true;
    }
    for at in 0..voices.len() {
        let voice = voices[at];
        if (voice.excluded || voice.weight == 0)
            && let Some(others) = among(voices, at)
        {
            let deviation = Deviation::of(voice.value, others);
            voices[at].excluded = if voice.excluded {
                !deviation.below(IN_BASIS_POINTS)
            } else {
                deviation.exceeds(OUT_BASIS_POINTS)
            };
        }
    }
    let weight = |voice: &Voice| u32::from(voice.weight);
    let all: u32 = voices.iter().map(weight).sum();
    let inside: u32 = voices.iter().filter(|v| !v.excluded).map(weight).sum();
    if 2 * inside <= all {
        return None;
    }
    let left = voices.iter().filter(|voice| !voice.excluded);
    median(left.map(|voice| (voice.value, voice.weight)))
}

/// Median of everybody but one, of those who are in.
fn among(voices: &[Voice], at: usize) -> Option<i64> {
    let others = voices.iter().enumerate();
    let others = others.filter(|(place, voice)| *place != at && !voice.excluded);
    median(others.map(|(_, voice)| (voice.value, voice.weight)))
}
