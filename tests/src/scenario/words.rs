//! Reading words and numbers, and writing them in the same form.

use engine::{
    reason::Reason,
    units::{Decimal, Ppm},
};

/// The words of a line that nobody has understood yet.
pub(super) struct Words<'a> {
    left: Vec<&'a str>,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            left: text.split_whitespace().collect(),
        }
    }

    /// The next word, whatever it is.
    pub(super) fn next(&mut self, what: &str) -> Result<&'a str, String> {
        if self.left.is_empty() {
            return Err(format!("  the line ends where {what} should stand"));
        }
        Ok(self.left.remove(0))
    }

    /// The next word, left where it is.
    pub(super) fn peek(&self) -> Option<&'a str> {
        self.left.first().copied()
    }

    /// Takes a word that was looked at.
    pub(super) fn skip(&mut self) {
        self.left.remove(0);
    }

    /// The next number.
    pub(super) fn next_number(&mut self, what: &str) -> Result<i64, String> {
        number(self.next(what)?)
    }

    /// Everything behind a word, if it stands anywhere; takes all of it.
    pub(super) fn rest_after(&mut self, word: &str) -> Vec<&'a str> {
        let at = self.left.iter().position(|left| *left == word);
        let behind = at.map(|at| self.left.split_off(at)).unwrap_or_default();
        behind.into_iter().skip(1).collect()
    }

    /// Whether a word stands anywhere; takes it.
    pub(super) fn flag(&mut self, word: &str) -> bool {
        let at = self.left.iter().position(|left| *left == word);
        at.map(|at| self.left.remove(at)).is_some()
    }

    /// The word after `name`, if `name` stands anywhere; takes both.
    pub(super) fn value(&mut self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(at) = self.left.iter().position(|left| *left == name) else {
            return Ok(None);
        };
        self.left.remove(at);
        if at == self.left.len() {
            return Err(format!("  {name:?} needs a value"));
        }
        Ok(Some(self.left.remove(at)))
    }

    /// The number after `name`.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<i64>, String> {
        self.value(name)?.map(number).transpose()
    }

    /// The unsigned number after `name`.
    pub(super) fn unsigned(&mut self, name: &str) -> Result<Option<u64>, String> {
        let plain = self.value(name)?.map(|text| text.replace('_', ""));
        plain
            .map(|text| {
                text.parse()
                    .map_err(|_| format!("  {text:?} is not a number of a session"))
            })
            .transpose()
    }

    /// The two shares after `name`.
    pub(super) fn shares(&mut self, name: &str) -> Result<Option<(Ppm, Ppm)>, String> {
        let Some(at) = self.left.iter().position(|left| *left == name) else {
            return Ok(None);
        };
        if at + 3 > self.left.len() {
            return Err(format!("  {name:?} needs two shares"));
        }
        let pair: Vec<_> = self.left.drain(at..at + 3).skip(1).collect();
        Ok(Some((share(pair[0])?, share(pair[1])?)))
    }

    /// The two words after `name`.
    pub(super) fn pair(&mut self, name: &str) -> Result<Option<(&'a str, &'a str)>, String> {
        let Some(at) = self.left.iter().position(|left| *left == name) else {
            return Ok(None);
        };
        if at + 3 > self.left.len() {
            return Err(format!("  {name:?} needs two words"));
        }
        let pair: Vec<_> = self.left.drain(at..at + 3).skip(1).collect();
        Ok(Some((pair[0], pair[1])))
    }

    /// The meaning of whichever of these words stands first in the table; takes it.
    pub(super) fn one_of<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let hit = table.iter().find(|(word, _)| self.left.contains(word))?;
        self.flag(hit.0);
        Some(hit.1)
    }

    /// A `#7`, wherever it stands.
    pub(super) fn tagged(&mut self) -> Result<Option<u64>, String> {
        let Some(at) = self.left.iter().position(|left| left.starts_with('#')) else {
            return Ok(None);
        };
        let id = number(&self.left.remove(at)[1..])?;
        Ok(Some(id.unsigned_abs()))
    }

    /// Nothing may be left over.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.left.first() {
            None => Ok(()),
            Some(word) => Err(format!("  unknown word {word:?}")),
        }
    }
}

/// An integer with `_` between digits and an optional sign.
pub(super) fn number(text: &str) -> Result<i64, String> {
    let plain = text.replace('_', "");
    plain
        .parse()
        .map_err(|_| format!("  {text:?} is not a whole number"))
}

/// A decimal number, exactly.
pub(super) fn decimal(text: &str) -> Result<Decimal, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let mantissa = number(&format!("{whole}{part}"))?;
    let digits = i32::try_from(part.len()).map_err(|_| "  too many digits".to_owned())?;
    Ok(Decimal {
        mantissa,
        exponent: -digits,
    })
}

/// A decimal number times a scale, which must come out whole.
pub(super) fn scaled(text: &str, scale: i64) -> Result<i64, String> {
    let value = decimal(text)?;
    let divisor = 10_i64.pow(value.exponent.unsigned_abs());
    let product = value.mantissa * scale;
    if product % divisor == 0 {
        return Ok(product / divisor);
    }
    Err(format!("  {text:?} is too fine"))
}

/// A share such as `18%` or `-0.01%`.
pub(super) fn share(text: &str) -> Result<Ppm, String> {
    let bare = text.strip_suffix('%');
    let bare = bare.ok_or_else(|| format!("  {text:?} is not a share such as 18%"))?;
    let ppm = scaled(bare, 10_000)?;
    i32::try_from(ppm)
        .map(Ppm)
        .map_err(|_| format!("  {text:?} is too large"))
}

/// A span such as `+10` in seconds.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    scaled(
        text.strip_prefix('+').unwrap_or(text),
        engine::units::SECOND,
    )
}

/// An integer as people write it: `-12_345`.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-" } else { "" }.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// A reason as the wire names it: `POST_ONLY_WOULD_CROSS`.
pub(super) fn reason(reason: Reason) -> String {
    let mut text = String::new();
    for letter in format!("{reason:?}").chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

/// For comparing: single spaces, no `_` inside numbers.
pub(super) fn normal(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let letters: Vec<char> = joined.chars().collect();
    let digit = |index: usize| letters.get(index).is_some_and(char::is_ascii_digit);
    let inside = |index: usize| index > 0 && digit(index - 1) && digit(index + 1);
    let kept = letters
        .iter()
        .enumerate()
        .filter(|(index, c)| **c != '_' || !inside(*index));
    kept.map(|(_, letter)| *letter).collect()
}
