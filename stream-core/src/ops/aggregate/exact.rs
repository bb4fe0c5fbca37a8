//! Exact sums of floating-point numbers.
//!
//! Every finite `f64` is a whole multiple of 2⁻¹⁰⁷⁴. So a sum is a whole number of such units, and it is
//! kept as one: in digits of 32 bits, each in 64, so that carries wait. Whole numbers can be added in any
//! order, and nothing overflows on the way. Only the digits in use are kept: three or four for numbers of
//! like size.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A sum of floating-point numbers that is rounded once, when it is told.
///
/// It does not depend on the order of addition: 1e16 + 1 − 1e16 is 1. With infinities and NaN it is what
/// adding them gives.
///
/// ```
/// use stream_core::ops::aggregate::ExactSum;
///
/// let mut sum = ExactSum::default();
/// for number in [1e16, 1.0, 1e308, 1e308, -1e16, -1e308, -1e308] {
///     sum.add(number);
/// }
/// assert_eq!(sum.total(), 1.0);
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ExactSum {
    /// From the lowest on.
    digits: SmallVec<[i64; 4]>,
    /// The place of the lowest digit: it counts 2^(32·place) units.
    lowest: u8,
    /// How many numbers were added since carries were last brought up.
    added: u32,
    /// The sum of the infinities and the NaNs.
    beyond: f64,
}

/// How many numbers may be added before carries are brought up: each adds less than 2³² to a digit.
const ADDED_MAX: u32 = 1 << 29;

const DIGIT_BITS: u32 = 32;
const DIGIT: i64 = (1 << DIGIT_BITS) - 1;

/// The bits of an `f64` behind its point.
const FRACTION_BITS: u32 = 52;
/// The exponent field of what is not finite.
const NOT_FINITE: u32 = 0x7ff;
/// The exponent of the least unit of all.
const UNIT: i32 = -1074;

/// How many digits a number may touch: 53 bits, from anywhere in a digit on.
const TOUCHED: usize = 3;

impl ExactSum {
    /// Adds a number.
    #[inline]
    pub fn add(&mut self, number: f64) {
        let bits = number.to_bits();
        let fraction = bits & ((1 << FRACTION_BITS) - 1);
        let (units, exponent) = match (bits >> FRACTION_BITS) as u32 & NOT_FINITE {
            NOT_FINITE => {
                self.beyond += number;
                return;
            }
            0 => (fraction, 0),
            exponent => (fraction | 1 << FRACTION_BITS, exponent - 1),
        };
        if units == 0 {
            return;
        }
        if self.added >= ADDED_MAX {
            self.carry();
        }
        self.added += 1;
        let first = self.reach((exponent / DIGIT_BITS) as u8, TOUCHED);
        let mut left = u128::from(units) << (exponent % DIGIT_BITS);
        for digit in &mut self.digits[first..first + TOUCHED] {
            let part = left as i64 & DIGIT;
            *digit += if number < 0.0 { -part } else { part };
            left >>= DIGIT_BITS;
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &ExactSum) {
        self.beyond += other.beyond;
        if other.digits.is_empty() {
            return;
        }
        // The digits of both may be as large as one more number would make them.
        if self.added + other.added >= ADDED_MAX {
            self.carry();
        }
        self.added += other.added + 1;
        let first = self.reach(other.lowest, other.digits.len());
        for (digit, more) in self.digits[first..].iter_mut().zip(&other.digits) {
            *digit += more;
        }
    }

    /// The sum, rounded to the nearest `f64`, to the even one of two. Zero is positive.
    pub fn total(&self) -> f64 {
        self.told(1)
    }

    /// The sum divided by a count, rounded once.
    pub fn mean(&self, count: u64) -> f64 {
        self.told(count)
    }

    fn told(&self, count: u64) -> f64 {
        if self.beyond.is_nan() || count == 0 {
            return f64::NAN;
        }
        if self.beyond != 0.0 {
            return self.beyond;
        }
        let (is_negative, digits) = self.magnitude();
        let exponent = UNIT + (DIGIT_BITS * u32::from(self.lowest)) as i32;
        quotient(is_negative, digits, exponent, count)
    }

    /// Makes room for digits from a place on, and tells where the first of them stands.
    #[inline]
    fn reach(&mut self, place: u8, digits: usize) -> usize {
        if self.digits.is_empty() {
            self.lowest = place;
        }
        if place < self.lowest {
            let missing = usize::from(self.lowest - place);
            self.digits.insert_many(0, std::iter::repeat_n(0, missing));
            self.lowest = place;
        }
        let first = usize::from(place - self.lowest);
        if self.digits.len() < first + digits {
            self.digits.resize(first + digits, 0);
        }
        first
    }

    /// Brings carries up, so that each digit has 32 bits. The highest has the sign.
    #[cold]
    fn carry(&mut self) {
        self.added = 0;
        let Some((last, digits)) = self.digits.split_last_mut() else {
            return;
        };
        let mut carry = 0;
        for digit in digits {
            let sum = *digit + carry;
            *digit = sum & DIGIT;
            carry = sum >> DIGIT_BITS;
        }
        *last += carry;
        if last.unsigned_abs() > DIGIT as u64 {
            let higher = *last >> DIGIT_BITS;
            *last &= DIGIT;
            self.digits.push(higher);
        }
    }

    /// The sign, and the digits of the absolute value.
    fn magnitude(&self) -> (bool, Digits) {
        let up = |carry: i64, digit: &i64| (digit + carry) >> DIGIT_BITS;
        let is_negative = self.digits.iter().fold(0, up) < 0;
        let mut digits = Digits::new();
        let mut carry = 0;
        for digit in &self.digits {
            let sum = carry + if is_negative { -digit } else { *digit };
            digits.push(sum as u32);
            carry = sum >> DIGIT_BITS;
        }
        digits.push(carry as u32);
        (is_negative, digits)
    }
}

/// Digits of 32 bits, the lowest first.
type Digits = SmallVec<[u32; 16]>;

/// The mean of whole numbers, rounded once.
#[inline]
pub(super) fn mean_of_whole(sum: i128, count: u64) -> f64 {
    match i64::try_from(sum) {
        // Both are exact, so this rounds once.
        Ok(sum) if count > 0 && sum.unsigned_abs().max(count) <= WHOLE_MAX => {
            sum as f64 / count as f64
        }
        _ => mean_of_large(sum, count),
    }
}

#[cold]
fn mean_of_large(sum: i128, count: u64) -> f64 {
    if count == 0 {
        return f64::NAN;
    }
    let sum_abs = sum.unsigned_abs();
    let digits = (0..4).map(|place| (sum_abs >> (DIGIT_BITS * place)) as u32);
    quotient(sum < 0, digits.collect(), 0, count)
}

/// Up to here every whole number is an `f64`.
const WHOLE_MAX: u64 = 1 << (FRACTION_BITS + 1);

/// Digits that are put below those of a dividend, so that a quotient has more bits than an `f64`
/// however large the divisor is.
const BELOW: usize = 4;

/// Divides, and rounds once. The lowest bit of the digits counts 2^`exponent`.
fn quotient(is_negative: bool, mut digits: Digits, mut exponent: i32, divisor: u64) -> f64 {
    let mut remainder = 0;
    if divisor > 1 {
        digits.insert_many(0, [0; BELOW]);
        exponent -= DIGIT_BITS as i32 * BELOW as i32;
        for digit in digits.iter_mut().rev() {
            let left = remainder << DIGIT_BITS | u128::from(*digit);
            *digit = (left / u128::from(divisor)) as u32;
            remainder = left % u128::from(divisor);
        }
    }
    nearest(is_negative, &digits, exponent, remainder > 0)
}

/// The nearest `f64` to a number with these digits and perhaps a little more.
fn nearest(is_negative: bool, digits: &[u32], exponent: i32, is_more: bool) -> f64 {
    let Some(top) = digits.iter().rposition(|digit| *digit > 0) else {
        return 0.0;
    };
    let bits = (top as u32 + 1) * DIGIT_BITS - digits[top].leading_zeros();
    // The exponent of the lowest bit that is kept, and how many bits are not.
    let unit = (exponent + bits as i32 - FRACTION_BITS as i32 - 1).max(UNIT);
    let cut = unit - exponent;
    let mut kept = match cut {
        ..=0 => bits_from(digits, 0) << -cut,
        _ => bits_from(digits, cut as u32),
    };
    if cut > 0 {
        let half = cut as u32 - 1;
        let is_half = bits_from(digits, half) & 1 == 1;
        let is_above = || {
            let whole = (half / DIGIT_BITS) as usize;
            let part = (1 << (half % DIGIT_BITS)) - 1;
            let lower = digits.iter().take(whole).any(|digit| *digit > 0);
            is_more || lower || digits.get(whole).is_some_and(|digit| digit & part > 0)
        };
        if is_half && (kept & 1 == 1 || is_above()) {
            kept += 1;
        }
    }
    // The leading bit adds one to the exponent field, a carry out of it another one.
    let field = ((unit - UNIT) as u64) << FRACTION_BITS;
    let number = f64::from_bits((field + kept).min(f64::INFINITY.to_bits()));
    if is_negative { -number } else { number }
}

/// 64 bits from one on.
fn bits_from(digits: &[u32], first: u32) -> u64 {
    let place = (first / DIGIT_BITS) as usize;
    let digit = |n| u128::from(digits.get(place + n).copied().unwrap_or(0));
    let wide = digit(0) | digit(1) << DIGIT_BITS | digit(2) << (2 * DIGIT_BITS);
    (wide >> (first % DIGIT_BITS)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_are_brought_up_with_the_sign() {
        for sign in [1.0, -1.0] {
            let mut sum = ExactSum::default();
            for n in 0..2_000 {
                sum.add(sign * f64::MAX);
                sum.add(sign * 1.5);
                if n % 7 == 0 {
                    sum.carry();
                }
            }
            assert_eq!(sum.total(), sign * f64::INFINITY);
            assert_eq!(sum.mean(4_000), sign * (f64::MAX / 2.0));
            for _ in 0..2_000 {
                sum.add(-sign * f64::MAX);
                sum.carry();
            }
            assert_eq!(sum.total(), sign * 3_000.0);
            assert!(sum.digits.len() <= 70);
        }
    }

    #[test]
    fn sums_that_are_full_merge() {
        let mut sum = ExactSum::default();
        sum.add(-3.0);
        for _ in 0..70 {
            let other = sum.clone();
            sum.merge(&other);
        }
        assert_eq!(sum.total(), -3.0 * 2_f64.powi(70));
    }
}
