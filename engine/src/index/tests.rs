//! Every worked number of the hashrate reference, and 2022 recomputed.

use super::{
    calendar, etchash,
    fixing::{Basis, Day},
    kheavyhash,
    median::{Voice, median, settle},
    price::{ITSELF, Leg, value},
    scrypt, sha256, work,
};
use crate::{
    units::{Decimal, div_half_even},
    wide::Wide,
};

const GIGA: u64 = 1_000_000_000;
const TERA: u64 = 1_000 * GIGA;
const PETA: u64 = 1_000 * TERA;
const EXA: u64 = 1_000 * PETA;
/// A BTC is 10^11 millisat.
const MILLISAT: i32 = -11;
/// Fees of 144 blocks of T-BTC.
const FEES: u64 = 230_400_000;
/// T-BTC 1: D = 148.2 T exactly.
const WORK: u128 = 148_200_000_000_000 << 32;
/// Subsidy of T-BTC.
const SUBSIDY: u64 = 312_500_000;

fn bitcoin(subsidy: u64, work: u128, fees: u64) -> Leg {
    sha256::leg_of(subsidy, work, fees, ITSELF).unwrap()
}

fn mantissa(legs: &[Leg], unit: u64, exponent: i32) -> i64 {
    value(legs, unit, 0, exponent).unwrap().mantissa
}

fn millisat(leg: Leg) -> i64 {
    mantissa(&[leg], PETA, MILLISAT)
}

#[test]
fn t_btc_1_a_day_of_a_petahash() {
    assert_eq!(WORK, 636_514_153_267_200_000_000_000);
    let leg = bitcoin(SUBSIDY, WORK, FEES);
    assert_eq!(millisat(leg), 42_635_721);
    assert_eq!(mantissa(&[leg], EXA, MILLISAT), 42_635_721_234);
    let price = Decimal {
        mantissa: 8_931_600,
        exponent: -2,
    };
    assert_eq!(mantissa(&[Leg { price, ..leg }], PETA, -2), 3_808);
    assert_eq!(millisat(bitcoin(SUBSIDY, WORK, 0)), 42_418_538);
}

#[test]
fn t_btc_2_to_4_compact_targets_in_both_conventions() {
    assert_eq!(work::of_bits(0x1d00_ffff), Some(4_294_967_296));
    assert_eq!(work::exact_of_bits(0x1d00_ffff), Some(4_295_032_833));
    assert_eq!(work::of_bits(0x1b04_04cb), Some(70_039_839_613_066));
    assert_eq!(work::exact_of_bits(0x1b04_04cb), Some(70_040_908_352_512));
    // 16,307.420938523983 to the digits that a floor of twelve decimals keeps.
    let fine = (70_039_839_613_066_u128 * 1_000_000) >> 32;
    assert_eq!(fine, 16_307_420_938);
    let market = work::of_bits(0x1701_e636).unwrap();
    let exact = work::exact_of_bits(0x1701_e636).unwrap();
    assert_eq!(work::difficulty(market), 148_200_069_082_773);
    assert_eq!(millisat(bitcoin(SUBSIDY, market, FEES)), 42_635_701);
    assert_eq!(millisat(bitcoin(SUBSIDY, exact, FEES)), 42_635_051);
    // The conventions differ by 15.26 ppm, and converting meets the market's within a floor.
    assert!(market.abs_diff(work::of_nodes(exact).unwrap()) <= market >> 60);
    for none in [0, 0x1d80_ffff, 0x2300_0001 | 0xff00_0000, 0x0100_0000] {
        assert_eq!(work::target(none), None, "{none:#x}");
    }
    assert_eq!(work::target(0x0200_8000), Some(Wide::from(0x80_u64)));
}

#[test]
fn t_btc_5_harder_and_halved() {
    let harder = WORK / 10 * 11;
    assert_eq!(millisat(bitcoin(SUBSIDY, harder, FEES)), 38_759_747);
    assert_eq!(millisat(bitcoin(SUBSIDY / 2, WORK, FEES)), 21_426_452);
}

#[test]
fn subsidies_follow_the_height() {
    assert_eq!(sha256::subsidy(0), 5_000_000_000);
    assert_eq!(sha256::subsidy(839_999), 625_000_000);
    assert_eq!(sha256::subsidy(840_000), 312_500_000);
    assert_eq!(sha256::subsidy(1_050_000), 156_250_000);
    assert_eq!(sha256::subsidy(u64::MAX), 0);
    assert_eq!(scrypt::ltc_subsidy(2_520_000), 625_000_000);
    assert_eq!(scrypt::ltc_subsidy(3_360_000), 312_500_000);
    assert_eq!(scrypt::doge_subsidy(600_000), Some(1_000_000_000_000));
    assert_eq!(scrypt::doge_subsidy(599_999), None);
    assert_eq!(calendar::next_step("BTC", 1_049_999), Some(1_050_000));
    assert_eq!(calendar::next_step("ETC", 25_000_000), Some(25_000_001));
    assert_eq!(calendar::next_retarget(1_048_319), 1_048_320);
}

/// The epoch in which a halving falls: 1,680 blocks before it, 336 after.
#[test]
fn the_mean_subsidy_of_the_epoch_of_the_halving() {
    let leg = sha256::epoch_leg(520, 0x1701_e636).unwrap();
    assert_eq!(leg.reward, 1_680 * 312_500_000 + 336 * 156_250_000);
    assert_eq!(leg.reward * 3 / 2_016, 859_375_000, "286,458,333⅓ sat");
    let before = sha256::epoch_leg(519, 0x1701_e636).unwrap();
    assert_eq!(before.reward, 2_016 * 312_500_000);
}

/// BCH: 144 blocks of which the last two pay half.
#[test]
fn a_window_with_a_halving_in_it() {
    let exact = 144 * 1_000_000_007_000_000_u128;
    let leg = sha256::window(1_050_001, 144, 1_000, exact, ITSELF).unwrap();
    assert_eq!(leg.reward, 142 * 312_500_000 + 2 * 156_250_000 + 1_000);
    assert_eq!(leg.work, exact * 65_535 / 65_536);
    assert_eq!(sha256::window(10, 144, 0, exact, ITSELF), None);
}

#[test]
fn bitooda_and_synfutures() {
    // D = 19.157154724710 T, subsidy only, 6.25 BTC: 6.5630 mBTC.
    let leg = bitcoin(625_000_000, 19_157_154_724_710 << 32, 0);
    assert_eq!(mantissa(&[leg], PETA, -7), 65_630);
    // D = 21.3876 T, 2,016 × 600 s = 14 days of 1 PH/s: 8,230,001 sat.
    let leg = bitcoin(625_000_000, 21_387_600_000_000 << 32, 0);
    assert_eq!(mantissa(&[leg], 14 * PETA, -8), 8_230_001);
}

#[test]
fn t_scrypt_two_legs_rounded_once() {
    let price = |mantissa| Decimal {
        mantissa,
        exponent: -8,
    };
    let leg = |reward, difficulty: u128, mantissa| Leg {
        reward,
        work: difficulty << 32,
        decimals: scrypt::DECIMALS,
        price: price(mantissa),
    };
    let litecoin = leg(
        u128::from(scrypt::ltc_subsidy(2_900_000)),
        90_000_000,
        90_000,
    );
    let dogecoin = leg(u128::from(scrypt::DOGE_SUBSIDY), 40_000_000, 150);
    assert_eq!(mantissa(&[litecoin], GIGA, MILLISAT), 125_729);
    assert_eq!(mantissa(&[dogecoin], GIGA, MILLISAT), 754_371);
    let both = [litecoin, dogecoin];
    assert_eq!(mantissa(&both, GIGA, MILLISAT - 3), 880_099_833);
    assert_eq!(mantissa(&both, GIGA, MILLISAT), 880_100);
    let stale = value(&both, GIGA, 10_000, MILLISAT).unwrap();
    assert_eq!(stale.mantissa, 871_299);
    // From what nodes tell: the same Litecoin leg within what a compact target rounds.
    let of_nodes = scrypt::ltc_leg(2_900_000, 0x192f_bb3d, 1, 0, price(90_000)).unwrap();
    assert!(work::difficulty(of_nodes.work) > 0);
    let window = (40_000_000_u128 << 32) * 1_440;
    let exact = window + window / 65_535;
    let doge = scrypt::doge_leg(5_500_000, 1_440, 0, exact, price(150)).unwrap();
    assert_eq!(mantissa(&[doge], GIGA, MILLISAT), 754_371);
}

#[test]
fn t_kas_months_and_entries() {
    assert_eq!(kheavyhash::month(kheavyhash::DEFLATION_DAA - 1), None);
    assert_eq!(kheavyhash::month(kheavyhash::DEFLATION_DAA), Some(0));
    assert_eq!(kheavyhash::month(110_165_000), Some(35));
    for (month, daa) in [(36, 110_439_000), (54, 583_803_000)] {
        assert_eq!(kheavyhash::first_daa(month), Some(daa));
        assert_eq!(kheavyhash::month(daa), Some(month));
        assert_eq!(kheavyhash::month(daa - 1), Some(month - 1));
    }
    assert_eq!(kheavyhash::per_second(0), 44_000_000_000);
    assert_eq!(kheavyhash::per_second(12), 22_000_000_000);
    assert_eq!(kheavyhash::per_second(54), 1_944_543_648);
    assert_eq!(kheavyhash::per_block(54), 194_454_365);
    let leg = kheavyhash::leg(583_803_000, 1_000_000_000_000_000_000, ITSELF).unwrap();
    assert_eq!(mantissa(&[leg], TERA, -8), 168_008_571);
}

/// The table of rusty-kaspa, all 426 months, told by its sum and by a sum that knows each place.
#[test]
fn the_table_of_kas_is_the_nodes() {
    let table: Vec<u64> = (0..kheavyhash::MONTHS)
        .map(kheavyhash::per_second)
        .collect();
    assert_eq!(table.iter().sum::<u64>(), 783_954_764_543);
    let placed = table.iter().fold(0_u64, |sum, entry| {
        sum.wrapping_mul(1_000_003).wrapping_add(*entry)
    });
    assert_eq!(placed, 4_227_955_928_799_373_753);
    assert_eq!(table[424..], [1, 0]);
    assert_eq!(kheavyhash::per_second(u64::MAX), 0);
    let months = [1, 7, 35, 100, 200, 300, 400];
    let entries = [
        41_530_469_757,
        29_366_476_791,
        5_827_047_018,
        136_417_277,
        422_947,
        1_311,
        4,
    ];
    assert_eq!(months.map(|month| table[month]), entries);
}

#[test]
fn t_etc_eras() {
    for (height, subsidy) in [
        (1, 5_000_000_000_000_000_000),
        (5_000_000, 5_000_000_000_000_000_000),
        (5_000_001, 4_000_000_000_000_000_000),
        (20_000_001, 2_048_000_000_000_000_000),
        (25_000_000, 2_048_000_000_000_000_000),
        (25_000_001, 1_638_400_000_000_000_000),
        (30_000_001, 1_310_720_000_000_000_000),
    ] {
        assert_eq!(etchash::subsidy(height), subsidy, "{height}");
    }
    assert!(etchash::subsidy(u64::MAX) < 1_000);
    let leg = etchash::leg(22_000_000, 6_000, 0, 6_000 * 3_000_000_000_000_000, ITSELF).unwrap();
    assert_eq!(mantissa(&[leg], GIGA, -18), 58_982_400_000_000_000);
    // Four blocks of one era, two of the next.
    let leg = etchash::leg(25_000_002, 6, 0, 6, ITSELF).unwrap();
    let want = 4 * 2_048_000_000_000_000_000 + 2 * 1_638_400_000_000_000_000;
    assert_eq!(leg.reward, want);
}

#[test]
fn retargets_as_the_arrivals_of_2023_foretold_them() {
    // First block of an epoch to the first of the next, in milliseconds: heights 794,304 and 792,288.
    let slow = calendar::retarget_ppm(2_016, 1_687_992_527_000 - 1_686_742_074_000).unwrap();
    let fast = calendar::retarget_ppm(2_016, 1_686_742_074_000 - 1_685_557_202_000).unwrap();
    assert_eq!(
        (slow, fast),
        (-32_671, 20_870),
        "-3.3 %, +2.1 %; it became +2.18 %"
    );
    assert_eq!(calendar::retarget_ppm(10, 1), Some(3_000_000));
    assert_eq!(calendar::retarget_ppm(0, 1), None);
}

#[test]
fn t_idx_a_retarget_and_a_halving_at_noon() {
    let before = millisat(bitcoin(SUBSIDY, WORK, FEES));
    let mean = |after: i64| {
        let mut day = Day::default();
        (0..5_760).for_each(|place| day.take(place, if place < 2_880 { before } else { after }));
        day.close().unwrap()
    };
    let harder = millisat(bitcoin(SUBSIDY, WORK / 10 * 11, FEES));
    assert_eq!(mean(harder), (40_697_734, Basis::Samples));
    assert_eq!(40_697_734 * 1_000_000 / before, 954_545);
    let halved = millisat(bitcoin(SUBSIDY / 2, WORK, FEES));
    let (eleventh, _) = mean(halved);
    assert_eq!(eleventh, 32_031_086, "half to even");
    let month = i128::from(10 * before + eleventh + 19 * halved);
    assert_eq!(div_half_even(month, 30), 28_849_696);
}

#[test]
fn a_day_needs_its_samples() {
    let day = |gone: std::ops::Range<u32>| {
        let mut day = Day::default();
        let there = (0..5_760).filter(|place| !gone.contains(place));
        there.for_each(|place| day.take(place, 7));
        day.close()
    };
    assert_eq!(day(0..576), Some((7, Basis::Samples)), "90 %");
    assert_eq!(day(0..577), Some((7, Basis::Quarters)));
    assert_eq!(day(0..720), Some((7, Basis::Quarters)));
    assert_eq!(day(0..721), None, "no night is averaged from an hour");
    assert_eq!(day(0..5_760), None);
}

#[test]
fn t_idx_the_third_source_drifts_and_returns() {
    let mut voices = [90_000, 90_020, 97_200].map(|value| Voice {
        value,
        weight: 1,
        excluded: false,
    });
    let out = |voices: &[Voice]| voices.iter().map(|v| v.excluded).collect::<Vec<_>>();
    assert_eq!(settle(&mut voices), Some(90_010), "7.99 % away");
    assert_eq!(out(&voices), [false, false, true]);
    voices[2].value = 91_400;
    assert_eq!(settle(&mut voices), Some(90_010), "1.54 %: still out");
    assert_eq!(out(&voices), [false, false, true]);
    voices[2].value = 91_350;
    assert_eq!(settle(&mut voices), Some(90_020), "1.49 %: back in");
    assert_eq!(out(&voices), [false; 3]);
}

#[test]
fn two_that_disagree_make_no_price_and_a_checker_never_makes_one() {
    let voice = |value, weight| Voice {
        value,
        weight,
        excluded: false,
    };
    assert_eq!(settle(&mut [voice(100, 1), voice(110, 1)]), None);
    assert_eq!(settle(&mut [voice(100, 1), voice(110, 2)]), None);
    let split = &mut [voice(100, 1), voice(100, 1), voice(110, 1), voice(110, 1)];
    assert_eq!(settle(split), None);
    let checked = &mut [voice(100, 1), voice(102, 1), voice(90, 0)];
    assert_eq!(settle(checked), Some(101));
    assert!(checked[2].excluded, "it disagrees");
    assert_eq!(settle(&mut [voice(100, 0)]), None);
    assert_eq!(median([(1, 1), (5, 3), (9, 1)].into_iter()), Some(5));
    assert_eq!(
        median([(5, 1), (8, 1)].into_iter()),
        Some(6),
        "6.5, half to even"
    );
}

/// Digits of a decimal number at so many places behind the point; more places are an error.
fn scaled(text: &str, places: u32) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let padded = format!("{part:0<width$}", width = places as usize);
    assert_eq!(padded.len(), places as usize, "{text}");
    format!("{whole}{padded}").parse().unwrap()
}

/// 2022 from difficulty, price, fees and blocks, against the series of `data/`.
#[test]
fn the_daily_series_of_2022() {
    let (mut worst, mut sum_of_errors, mut usd_sum, mut days) = (0_i64, 0_i64, 0_i64, 0_i64);
    let mut extremes = (i64::MAX, 0);
    for line in include_str!("tests/btc_2022.csv").lines() {
        if line.starts_with('#') {
            continue;
        }
        let columns: Vec<&str> = line.split(',').collect();
        let &[date, difficulty, usd, fees, blocks, btc_day, usd_day] = &columns[..] else {
            panic!("{line}");
        };
        let (usd, fees) = (scaled(usd, 4), scaled(fees, 2));
        // USD of fees / (USD per BTC · blocks), in satoshi for 144 blocks.
        let top = i128::from(fees) * 144 * 100_000_000 * 1_000;
        let fees = div_half_even(top, i128::from(usd) * i128::from(scaled(blocks, 1)));
        // Some days are means of two difficulties and have a fraction.
        let work = u128::try_from(scaled(difficulty, 2)).unwrap() * (1 << 32) / 100;
        let leg = bitcoin(625_000_000, work, u64::try_from(fees).unwrap());
        let published = scaled(btc_day, 11);
        let error = (millisat(leg) - published) * 100_000_000 / published;
        worst = worst.max(error.abs());
        sum_of_errors += error.abs();
        let price = Decimal {
            mantissa: usd,
            exponent: -4,
        };
        let in_usd = mantissa(&[Leg { price, ..leg }], PETA, -4);
        let error = (in_usd - scaled(usd_day, 4)) * 100_000_000 / in_usd;
        worst = worst.max(error.abs());
        usd_sum += in_usd;
        extremes = (extremes.0.min(in_usd), extremes.1.max(in_usd));
        assert!(error.abs() < 20_000, "{date}: {error} e-8");
        days += 1;
    }
    let mean = usd_sum / days;
    println!(
        "2022: {days} days, error of BTC and USD columns at most {worst} e-8, of BTC on average"
    );
    println!(
        "{} e-8; mean {mean} e-4 USD, {extremes:?}",
        sum_of_errors / days
    );
    assert_eq!(days, 365);
    assert_eq!(mean / 100, 12_483, "published 123.88: +0.77 %");
    assert_eq!(extremes.1 / 100, 24_902, "published 246.86");
    assert_eq!((extremes.0 + 50) / 100, 5_618, "published 55.94");
}
