//! What people type: ticks, lots, sides, times in force. Whole numbers only, and an error names the value.

use proto::{
    common::v1::Side,
    trading::v1::{PegReference, PostOnly, TimeInForce, TriggerSource},
};

/// A price in ticks: a whole number, `_` between digits allowed. Spread prices may be negative.
pub fn ticks(text: &str) -> Result<i64, String> {
    whole(text).ok_or_else(|| {
        format!(
            "price {text:?} is not a whole number of ticks; expected something like 42640 or 42_640{}",
            hint(text)
        )
    })
}

/// A quantity in lots: a whole number above zero.
pub fn lots(text: &str) -> Result<i64, String> {
    whole(text).filter(|lots| *lots > 0).ok_or_else(|| {
        format!(
            "quantity {text:?} is not a whole number of lots above zero; expected something like 5 \
             or 1_000{}",
            hint(text)
        )
    })
}

/// A quantity in lots that may be 0.
pub fn size(text: &str) -> Result<i64, String> {
    let size = whole(text).filter(|lots| *lots >= 0);
    size.ok_or_else(|| format!("quantity {text:?} is not a whole number of lots, 0 or more"))
}

/// `last`, `mark` or `index`.
pub fn trigger(text: &str) -> Result<TriggerSource, String> {
    match text.to_ascii_lowercase().as_str() {
        "last" => Ok(TriggerSource::LastTrade),
        "mark" => Ok(TriggerSource::Mark),
        "index" => Ok(TriggerSource::Index),
        _ => Err(format!("trigger {text:?} is none of last, mark, index")),
    }
}

/// `best` or `index`.
pub fn peg(text: &str) -> Result<PegReference, String> {
    match text.to_ascii_lowercase().as_str() {
        "best" => Ok(PegReference::Best),
        "index" => Ok(PegReference::Index),
        _ => Err(format!("peg {text:?} is neither best nor index")),
    }
}

/// `buy` or `sell`.
pub fn side(text: &str) -> Result<Side, String> {
    match text.to_ascii_lowercase().as_str() {
        "buy" | "b" | "bid" => Ok(Side::Buy),
        "sell" | "s" | "ask" => Ok(Side::Sell),
        _ => Err(format!("side {text:?} is neither buy nor sell")),
    }
}

/// `gtc`, `ioc`, `fok` or `day`.
pub fn time_in_force(text: &str) -> Result<TimeInForce, String> {
    match text.to_ascii_lowercase().as_str() {
        "gtc" => Ok(TimeInForce::Gtc),
        "ioc" => Ok(TimeInForce::Ioc),
        "fok" => Ok(TimeInForce::Fok),
        "day" => Ok(TimeInForce::Day),
        "auction" => Ok(TimeInForce::AtAuction),
        _ => Err(format!(
            "time in force {text:?} is none of gtc, ioc, fok, day, auction"
        )),
    }
}

/// `reject` or `slide`.
pub fn post_only(text: &str) -> Result<PostOnly, String> {
    match text.to_ascii_lowercase().as_str() {
        "reject" => Ok(PostOnly::Reject),
        "slide" => Ok(PostOnly::Slide),
        _ => Err(format!("post-only {text:?} is neither reject nor slide")),
    }
}

/// Digits with single `_` between them, an optional sign in front, nothing else.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let well_formed = digits
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if !well_formed {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// A decimal number of at most so many places, in units of the last of them; 0 or more.
fn fixed(text: &str, places: usize) -> Option<i64> {
    let (digits, part) = text.split_once('.').unwrap_or((text, ""));
    let only_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if digits.is_empty() || !only_digits(digits) || !only_digits(part) || part.len() > places {
        return None;
    }
    if text.ends_with('.') {
        return None;
    }
    format!("{digits}{part:0<places$}").parse().ok()
}

/// A hashrate, in TH/s: `900TH`, `12.5PH`, `1.2EH`.
pub fn hashrate(text: &str) -> Result<i64, String> {
    let upper = text.to_ascii_uppercase();
    let upper = upper.strip_suffix("/S").unwrap_or(&upper);
    let units = [("TH", 0), ("PH", 3), ("EH", 6)];
    let parsed = units.iter().find_map(|(unit, places)| {
        let number = upper.strip_suffix(unit)?;
        fixed(number.trim_end(), *places)
    });
    // Ten zettahashes: ten times what all of Bitcoin has.
    parsed.filter(|rate| (1..=10_000_000_000).contains(rate)).ok_or_else(|| {
        format!("hashrate {text:?}: expected something like 900TH, 12.5PH or 1.2EH, whole TH, up to 10000EH")
    })
}

/// A percentage from 0 to 100 in millionths of the whole.
pub fn share(text: &str) -> Result<i64, String> {
    let parsed = fixed(text, 4).filter(|ppm| *ppm <= 1_000_000);
    parsed.ok_or_else(|| format!("{text:?} is not a percentage from 0 to 100, such as 97.5"))
}

/// A percentage with a sign, from -100 to 1000, in millionths of the whole.
pub fn percent(text: &str) -> Result<i64, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let parsed = fixed(digits, 4).map(|ppm| sign * ppm);
    parsed
        .filter(|ppm| (-1_000_000..=10_000_000).contains(ppm))
        .ok_or_else(|| format!("{text:?} is not a percentage from -100 to 1000, such as -25"))
}

/// A number of at most six decimals, in millionths.
pub fn millionths(text: &str) -> Result<i64, String> {
    decimals(text, 6)
}

/// A number of at most three decimals, in thousandths.
pub fn thousandths(text: &str) -> Result<i64, String> {
    decimals(text, 3)
}

/// A number of at most two decimals, in hundredths.
pub fn cents(text: &str) -> Result<i64, String> {
    decimals(text, 2)
}

fn decimals(text: &str, places: usize) -> Result<i64, String> {
    let parsed = fixed(text, places).filter(|number| *number <= 1_000_000_000_000);
    parsed.ok_or_else(|| format!("{text:?} is not a number of at most {places} decimals"))
}

fn hint(text: &str) -> &'static str {
    if text.is_empty() {
        " (nothing was given)"
    } else if text.contains('.') || text.contains(',') {
        " (no decimal point and no comma: a tick is the smallest step)"
    } else if text.bytes().any(|b| matches!(b, b'O' | b'o' | b'l' | b'I')) {
        " (is there a letter in place of a digit?)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_whole_numbers_of_ticks() {
        assert_eq!(ticks("42640"), Ok(42_640));
        assert_eq!(ticks("42_640"), Ok(42_640));
        assert_eq!(ticks("-12"), Ok(-12));
        assert_eq!(ticks("0"), Ok(0));
    }

    #[test]
    fn hashrates_and_shares_are_exact() {
        assert_eq!(hashrate("900TH"), Ok(900));
        assert_eq!(hashrate("12.5 PH/s"), Ok(12_500));
        assert_eq!(hashrate("1.2eh"), Ok(1_200_000));
        for bad in ["50", "0PH", "1.0005PH", "-5PH", "PH", "10001EH", "1.PH"] {
            assert!(hashrate(bad).is_err_and(|why| why.contains(bad)), "{bad}");
        }
        assert_eq!((share("97.5"), share("100")), (Ok(975_000), Ok(1_000_000)));
        assert!(share("100.1").is_err() && share("-1").is_err());
        assert_eq!(
            (percent("-25"), percent("+12.5")),
            (Ok(-250_000), Ok(125_000))
        );
        assert!(percent("-101").is_err() && percent("x").is_err());
        assert_eq!(millionths("0.055"), Ok(55_000));
        assert_eq!(
            (thousandths("17.5"), cents("89316")),
            (Ok(17_500), Ok(8_931_600))
        );
        assert!(cents("1.234").is_err());
    }

    #[test]
    fn a_malformed_price_is_named() {
        for bad in [
            "42,64O",
            "1.5",
            "",
            "-",
            "_1",
            "1_",
            "1__0",
            "+5",
            " 5",
            "1e3",
            "٣",
            "9223372036854775808",
        ] {
            let error = ticks(bad).expect_err(bad);
            assert!(error.contains(&format!("{bad:?}")), "{error}");
            assert!(error.contains("whole number of ticks"), "{error}");
        }
        assert!(ticks("42,64O").expect_err("comma").contains("no comma"));
        assert!(ticks("4264O").expect_err("letter").contains("letter"));
        assert!(ticks("").expect_err("empty").contains("nothing was given"));
    }

    #[test]
    fn lots_are_above_zero() {
        assert_eq!(lots("1_000"), Ok(1_000));
        for bad in ["0", "-1", "0.1", ""] {
            assert!(lots(bad).is_err(), "{bad}");
        }
    }
}
