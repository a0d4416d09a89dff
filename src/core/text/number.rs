//! A decimal number taken apart into its digits, so that it can be judged without rounding.

use std::fmt::{self, Write as _};

use arrow::datatypes::{ArrowNativeType, ArrowNativeTypeOp};

/// `[-]whole[.fraction][e[±]exponent]`, as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<'a> {
    pub(super) negative: bool,
    pub(super) whole: &'a [u8],
    /// The digits after the point; `None` without a point.
    pub(super) fraction: Option<&'a [u8]>,
    pub(super) exponent: Option<i32>,
}

/// The number that a text names, times ten to the ninth, to compare numbers that stand in text. `None` if it is
/// no number, or one with more than 29 digits before or 9 behind the point.
pub(crate) fn number(text: &str) -> Option<i128> {
    Number::scan(text)?.scaled(38, 9)
}

impl<'a> Number<'a> {
    /// Takes a text apart; `None` if it is not a number. There is at least one digit before or after
    /// the point.
    pub(super) fn scan(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (negative, bytes) = match bytes.first()? {
            b'-' => (true, &bytes[1..]),
            _ => (false, bytes),
        };
        let (whole, rest) = take_digits(bytes);
        let (fraction, rest) = match rest.split_first() {
            Some((b'.', rest)) => {
                let (digits, rest) = take_digits(rest);
                (Some(digits), rest)
            }
            _ => (None, rest),
        };
        let exponent = match rest.split_first() {
            None => None,
            Some((b'e' | b'E', rest)) => Some(exponent(rest)?),
            Some(_) => return None,
        };
        let digits = whole.len() + fraction.map_or(0, <[u8]>::len);
        (digits > 0).then_some(Self { negative, whole, fraction, exponent })
    }

    /// Whether it is written the plain way: no leading zeros, digits on both sides of a point.
    pub(super) fn is_plain(&self) -> bool {
        let whole = match self.whole {
            [] => false,
            [b'0'] => true,
            [first, ..] => *first != b'0',
        };
        whole && self.fraction.is_none_or(|digits| !digits.is_empty())
    }

    /// Its significant digits, first to last, and the power of ten that the last one stands for.
    /// Zero has no digits.
    pub(super) fn significant(&self) -> (impl ExactSizeIterator<Item = u8> + use<'a>, i64) {
        let (whole, fraction) = (self.whole, self.fraction.unwrap_or_default());
        let length = whole.len() + fraction.len();
        let digit = move |i: usize| if i < whole.len() { whole[i] } else { fraction[i - whole.len()] };
        let first = (0..length).find(|i| digit(*i) != b'0').unwrap_or(length);
        let end = (first..length).rfind(|i| digit(*i) != b'0').map_or(first, |last| last + 1);
        let power = i64::from(self.exponent.unwrap_or(0)) - signed(fraction.len()) + signed(length - end);
        ((first..end).map(digit), power)
    }

    /// Its value times ten to the `scale`, if that is whole and has at most `precision` digits.
    pub(super) fn scaled<T: ArrowNativeTypeOp + ArrowNativeType>(
        &self,
        precision: u8,
        scale: i8,
    ) -> Option<T> {
        let (digits, power) = self.significant();
        if digits.len() == 0 {
            return Some(T::ZERO);
        }
        let zeros = usize::try_from(power + i64::from(scale)).ok()?;
        if digits.len().checked_add(zeros)? > usize::from(precision) {
            return None;
        }
        let digits = digits.chain(std::iter::repeat_n(b'0', zeros));
        let ten = T::usize_as(10);
        // Cannot wrap: the type holds every number of `precision` digits.
        let value = digits.fold(T::ZERO, |value, digit| {
            value.mul_wrapping(ten).add_wrapping(T::usize_as(usize::from(digit - b'0')))
        });
        Some(if self.negative { value.neg_wrapping() } else { value })
    }

    /// Whether the nearest `f64` of `text`, which this was taken from, prints as the same value.
    pub(super) fn survives_as_f64(&self, text: &str) -> bool {
        let (digits, power) = self.significant();
        // Numbers of at most 15 digits are told apart by an f64, away from the ends of its range.
        if digits.len() == 0 || (digits.len() <= 15 && (-250..250).contains(&power)) {
            return true;
        }
        let Ok(value) = text.parse::<f64>() else { return false };
        let mut shortest = Shortest::default();
        if !value.is_finite() || write!(shortest, "{value:e}").is_err() {
            return false;
        }
        let Some(kept) = shortest.number() else { return false };
        let (kept_digits, kept_power) = kept.significant();
        power == kept_power && digits.eq(kept_digits)
    }
}

/// Whether an `f64` keeps every digit of this number; what is not one (`NaN`, a word) has none to lose.
pub(crate) fn float_keeps(text: &str) -> bool {
    Number::scan(text).is_none_or(|number| number.survives_as_f64(text))
}

fn take_digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn exponent(bytes: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.parse().ok()
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// The shortest text of a float, without an allocation: a sign, 17 digits, a point, `e`, a sign and
/// three digits fit.
#[derive(Default)]
struct Shortest {
    bytes: [u8; 32],
    length: usize,
}

impl Shortest {
    fn number(&self) -> Option<Number<'_>> {
        Number::scan(std::str::from_utf8(&self.bytes[..self.length]).ok()?)
    }
}

impl fmt::Write for Shortest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(text: &str, precision: u8, scale: i8) -> Option<i128> {
        Number::scan(text).expect("a number").scaled(precision, scale)
    }

    #[test]
    fn a_number_is_scaled_exactly_or_not_at_all() {
        assert_eq!(scaled("1.50", 4, 1), Some(15));
        assert_eq!(scaled("-0.05", 4, 2), Some(-5));
        assert_eq!(scaled("1e2", 4, 1), Some(1000));
        assert_eq!(scaled("1200", 4, -2), Some(12));
        assert_eq!(scaled("0.000", 1, 0), Some(0));
        assert_eq!(scaled("007", 1, 0), Some(7));
        assert_eq!(scaled("1.55", 4, 1), None);
        assert_eq!(scaled("1000", 4, 1), None);
        assert_eq!(scaled("1210", 4, -2), None);
        assert_eq!(scaled("1e999999999", 38, 0), None);
        assert_eq!(scaled(&"9".repeat(38), 38, 0), Some(10_i128.pow(38) - 1));
    }

    #[test]
    fn a_word_has_no_digits_to_lose() {
        assert!(float_keeps("NaN") && float_keeps("01.50") && !float_keeps("9007199254740993"));
    }

    #[test]
    fn only_numbers_are_numbers() {
        for text in ["", "-", ".", "e5", "1e", "1e+", "+1", "1.2.3", "0x1", "1 ", "١", "1e99999999999"] {
            assert!(Number::scan(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_float_keeps_a_number_whose_shortest_form_has_the_same_digits() {
        let survives = |text| Number::scan(text).expect("a number").survives_as_f64(text);
        for text in ["0.1", "1.50", "1e3", "123456789012345.6", "1.7976931348623157e308", "5e-324", "0e999"] {
            assert!(survives(text), "{text}");
        }
        for text in ["0.12345678901234567890", "1e400", "1e-400", "9007199254740993.0", "4.9e-324"] {
            assert!(!survives(text), "{text}");
        }
    }
}
