//! The worked figures of T-DLV, and whether the test flags as often as it says.

use super::*;

const PETA: u128 = 1_000_000_000_000_000;
const HOUR: u128 = 3_600;
const SHARE: u64 = 1 << 32;
const D: u64 = 65_536;

fn counted(n: u64, difficulty: u64) -> Shares {
    Shares {
        difficulty: n * difficulty,
        mean_difficulty: difficulty,
    }
}

/// One PH/s for an hour.
const EXPECTED: u128 = PETA * HOUR;

#[test]
fn the_shortfall_test_turns_between_12_270_and_12_271_shares() {
    assert!(is_short(EXPECTED, counted(12_270, D), SHARE, 200));
    assert!(!is_short(EXPECTED, counted(12_271, D), SHARE, 200));
}

/// The thresholds of the table, as shares of what is expected, in hundredths of a percent.
#[test]
fn the_thresholds_of_the_table() {
    for (seconds, difficulty, want) in [
        (300, 65_536, 9_086),
        (300, 524_288, 7_781),
        (3_600, 65_536, 9_594),
        (3_600, 524_288, 9_217),
        (86_400, 65_536, 9_758),
        (86_400, 524_288, 9_681),
    ] {
        let expected = PETA * seconds;
        let shares = expected / u128::from(SHARE) / u128::from(difficulty);
        let fine = (1..)
            .find(|n| {
                let d = u128::from(counted(*n, difficulty).mean_difficulty);
                // The table has no difficulty rule: as if each share were easy enough.
                let (e, w) = (expected / u128::from(SHARE), u128::from(*n) * d);
                let l = e * 9_800;
                w * 10_000 >= l || (l - w * 10_000).pow(2) <= Z_SQUARED * 10_000 * d * e
            })
            .unwrap();
        // Within two shares and half of the table's last digit.
        let (is, want) = (u128::from(fine) * 10_000, want * shares);
        assert!(
            is.abs_diff(want) <= 20_000 + shares / 2,
            "{seconds} s at {difficulty}: {fine} of {shares}"
        );
    }
}

#[test]
fn the_error_of_a_count_is_one_over_its_root() {
    assert_eq!(counted(10_000, D).error_ppm(), Some(10_000));
    assert_eq!(counted(12_790, D).error_ppm(), Some(8_842)); // the table's 0.88 %
    assert_eq!(counted(0, D).error_ppm(), None);
    // Shares of two difficulties: Σd = 3d, Σd² = 5d², error √5/3 = 0.745.
    let mixed = Shares {
        difficulty: 3 * D,
        mean_difficulty: 5 * D / 3,
    };
    assert_eq!(mixed.error_ppm(), Some(745_353));
    assert_eq!(counted(2, 7).work(SHARE), 14 << 32);
}

#[test]
fn the_difficulty_that_a_window_can_be_tested_with() {
    assert_eq!(hardest_share(EXPECTED, SHARE), 83_819);
    assert_eq!(hardest_share(EXPECTED * 24, SHARE), 2_011_656);
    assert_eq!(hardest_share(EXPECTED / 10, SHARE), 8_381);
    assert_eq!(hardest_share(EXPECTED, 0), 0);
}

/// A few very hard shares do not widen the test beyond what 10,000 shares would allow.
#[test]
fn hard_shares_excuse_nothing() {
    let hard = 16 * 524_288;
    let most = EXPECTED / u128::from(SHARE) / u128::from(hard);
    let ninety = u64::try_from(most * 9 / 10).unwrap();
    assert!(is_short(EXPECTED, counted(ninety, hard), SHARE, 200));
}

#[test]
fn the_edges_of_the_integers() {
    // Ten exahashes for a month, and nothing delivered: beyond 128 bits when squared.
    let month = 10_000 * PETA * 86_400 * 31;
    assert!(is_short(month, Shares::default(), SHARE, 200));
    assert!(is_short(u128::MAX, Shares::default(), 1, 0));
    assert!(!is_short(0, Shares::default(), SHARE, 200));
    assert!(!is_short(EXPECTED, counted(u64::MAX / D, D), SHARE, 200));
}

#[test]
fn a_deficit_of_four_percent_is_decided_after_8_518_expected_shares() {
    let score = |n: u64, accepted: u64| {
        let expected = u128::from(n) * u128::from(D) * u128::from(SHARE);
        early_score(expected, counted(accepted, D), SHARE)
    };
    assert_eq!(
        score(8_518, 8_518 * 96 / 100),
        8_518 * 40_000_000 - 8_177 * 40_821_995
    );
    // 4 % fewer accepted than expected: decided at about 8,518 shares, 40 minutes at 1 PH/s.
    let decided = (1_000..20_000)
        .step_by(25)
        .find(|n| early(score(*n, n * 96 / 100)) == Early::Short)
        .unwrap();
    assert!((8_450..=8_550).contains(&decided), "{decided}");
    assert_eq!(early(score(1_000, 1_000)), Early::Open);
    let fine = (1_000..20_000)
        .step_by(25)
        .find(|n| early(score(*n, *n)) == Early::Fine);
    assert!(
        fine.is_some_and(|n| (8_350..=8_450).contains(&n)),
        "{fine:?}"
    );
}

/// Counts of shares with a Poisson law, from a seeded generator: the sum of exponential gaps.
struct Counts(u64);

impl Counts {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Normal approximation with the skew of a Poisson count of a large mean (Cornish-Fisher).
    fn poisson(&mut self, mean: f64) -> u64 {
        let (a, b) = (self.uniform(), self.uniform());
        let z = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        (mean + mean.sqrt() * z + (z * z - 1.0) / 6.0)
            .round()
            .max(0.0) as u64
    }
}

/// T-DLV: how often the flag goes up, by what was really delivered.
#[test]
fn the_flag_goes_up_as_often_as_the_rule_says() {
    let expected = EXPECTED as f64 / SHARE as f64 / D as f64;
    let mut counts = Counts(20_261_123);
    for (delivered, wanted, allowed) in [
        (100, 1.9e-6, 3.0e-5),
        (98, 0.0091, 0.0010),
        (96, 0.473, 0.006),
        (95, 0.862, 0.005),
        (94, 0.988, 0.002),
        (93, 0.99970, 0.00025),
    ] {
        let rounds = 100_000;
        let mean = expected * f64::from(delivered) / 100.0;
        let flags = (0..rounds)
            .filter(|_| is_short(EXPECTED, counted(counts.poisson(mean), D), SHARE, 200))
            .count();
        let share = flags as f64 / f64::from(rounds);
        assert!(
            (share - wanted).abs() <= allowed,
            "{delivered} % delivered: flagged {share}, expected {wanted}"
        );
    }
}
