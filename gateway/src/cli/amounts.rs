//! Numbers as people read them, exactly: integers and decimals in, text out, never through a float.

use proto::common::v1::Decimal;

/// Minor units of an asset with that many decimals: `(42640, 8)` is `0.00042640`.
pub fn money(minor: i64, decimals: u32) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = minor.unsigned_abs().to_string();
    let decimals = decimals as usize;
    if decimals == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = padded.split_at(padded.len() - decimals);
    format!("{sign}{whole}.{fraction}")
}

/// Groups of three: `42640` is `42_640`, in the form the price parser takes back.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// A price, or a dash where there is none.
pub fn optional(number: Option<i64>) -> String {
    number.map_or_else(|| "-".to_owned(), grouped)
}

/// A decimal in plain notation without trailing zeros: `{426, -2}` is `4.26`.
pub fn decimal(value: &Decimal) -> String {
    if value.exponent >= 0 {
        let zeros = value.exponent.unsigned_abs() as usize;
        let zeros = if value.mantissa == 0 { 0 } else { zeros };
        return format!("{}{}", value.mantissa, "0".repeat(zeros));
    }
    trimmed(money(value.mantissa, value.exponent.unsigned_abs()))
}

/// A rate in hashes per second in its largest whole prefix: `10^14` is `100 TH/s`.
pub fn rate(hashes_per_second: i64) -> String {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut thousands = 0;
    let mut rest = hashes_per_second.unsigned_abs();
    while rest >= 1000 && thousands + 1 < PREFIXES.len() {
        rest /= 1000;
        thousands += 1;
    }
    let number = trimmed(money(hashes_per_second, 3 * thousands as u32));
    format!("{number} {}H/s", PREFIXES[thousands])
}

/// One number as a decimal share of another, exact where it ends within nine places.
pub fn share(part: i64, whole: i64) -> Option<String> {
    let scaled = i128::from(part).checked_mul(1_000_000_000)?;
    let whole = i128::from(whole);
    if whole == 0 || scaled % whole != 0 {
        return None;
    }
    let nano = i64::try_from(scaled / whole).ok()?;
    Some(trimmed(money(nano, 9)))
}

fn trimmed(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact_to_the_last_unit() {
        assert_eq!(money(42_640, 8), "0.00042640");
        assert_eq!(money(-1, 8), "-0.00000001");
        assert_eq!(money(0, 8), "0.00000000");
        assert_eq!(money(2_100_000_000_000_000, 8), "21000000.00000000");
        assert_eq!(money(i64::MIN, 6), "-9223372036854.775808");
        assert_eq!(money(7, 0), "7");
    }

    #[test]
    fn groups_of_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(42_640), "42_640");
        assert_eq!(grouped(-1_234_567), "-1_234_567");
        assert_eq!(optional(None), "-");
    }

    #[test]
    fn decimals_and_rates() {
        let decimal = |mantissa, exponent| super::decimal(&Decimal { mantissa, exponent });
        assert_eq!(decimal(1, -8), "0.00000001");
        assert_eq!(decimal(42_635_720, -11), "0.0004263572");
        assert_eq!(decimal(5, 2), "500");
        assert_eq!(decimal(0, 2), "0");
        assert_eq!(rate(1_000_000_000_000_000), "1 PH/s");
        assert_eq!(rate(100_000_000_000_000), "100 TH/s");
        assert_eq!(rate(1_500), "1.5 kH/s");
        assert_eq!(rate(0), "0 H/s");
        assert_eq!(share(1, 10).as_deref(), Some("0.1"));
        assert_eq!(share(1, 3), None);
    }
}
