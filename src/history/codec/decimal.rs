//! Values as decimal fractions: 21.3 is 213 tenths. No I/O, no clock.
//!
//! What sensors send was almost always a short decimal before it became an `f64`, and as such it
//! is a small whole number and an exponent (the idea of ALP: Afroozeh, Kuffo and Boncz, "ALP:
//! Adaptive Lossless floating-Point Compression", SIGMOD 2023). The way back is one division: the
//! whole number and the power of ten are both exact as `f64`, so IEEE 754 gives the `f64` nearest
//! to the quotient, and that is what parsing the decimal text gave. (ALP multiplies by 10⁻ᵉ, which
//! is not exact, and finds fewer decimals.) What is not found bit for bit is no decimal: negative
//! zero, say.

/// The most decimal places: billionths. Places beyond the precision of the sensor are the noise
/// of a computation, and with twelve one in 300 doubles near 20 would be a decimal by chance.
pub const EXPONENT_MAX: u8 = 9;

/// The largest whole number, of either sign: up to here every one is an `f64`.
pub const WHOLE_MAX: i64 = 1 << 53;

const POWERS_OF_TEN: [f64; 1 + EXPONENT_MAX as usize] =
    [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Up to here the product with a power of ten is off by less than a half (two roundings, each at
/// most 2⁻⁵³ of it), so it rounds to the whole number if there is one.
const SURE_MAX: f64 = (1_u64 << 51) as f64;

/// The whole number that is `value` × 10^`exponent`, if [`from_whole`] makes the very same bits
/// of it; within ±[`WHOLE_MAX`]. Whole numbers beyond 2⁵¹ may be missed.
///
/// # Panics
/// When `exponent` is above [`EXPONENT_MAX`].
#[inline]
#[must_use]
pub fn to_whole(value: f64, exponent: u8) -> Option<i64> {
    let product = value * POWERS_OF_TEN[usize::from(exponent)];
    if product.abs() > WHOLE_MAX as f64 {
        return None;
    }
    // What is not a number becomes 0 here, and is not found again below.
    let whole = nearest(product);
    (from_whole(whole, exponent).to_bits() == value.to_bits()).then_some(whole)
}

/// `whole` ÷ 10^`exponent`, correctly rounded for numbers within ±[`WHOLE_MAX`].
///
/// # Panics
/// When `exponent` is above [`EXPONENT_MAX`].
#[inline]
#[must_use]
pub fn from_whole(whole: i64, exponent: u8) -> f64 {
    whole as f64 / POWERS_OF_TEN[usize::from(exponent)]
}

/// The fewest decimal places that hold the value; `None` when [`EXPONENT_MAX`] do not.
#[must_use]
pub fn exponent_of(value: f64) -> Option<u8> {
    // A decimal of few places is one of many. So one look tells that a value is none.
    if (value * POWERS_OF_TEN[usize::from(EXPONENT_MAX)]).abs() <= SURE_MAX {
        to_whole(value, EXPONENT_MAX)?;
    }
    (0..=EXPONENT_MAX).find(|&exponent| to_whole(value, exponent).is_some())
}

/// The whole number nearest to `value` × 10^`exponent`, as far as an `i64` goes.
///
/// # Panics
/// When `exponent` is above [`EXPONENT_MAX`].
#[inline]
#[must_use]
pub fn scaled(value: f64, exponent: u8) -> i64 {
    nearest(value * POWERS_OF_TEN[usize::from(exponent)])
}

/// The nearest whole number, for numbers within ±[`WHOLE_MAX`]. Without SSE 4.1, which the
/// baseline of x86-64 lacks, `f64::round` is a call; this is an addition.
#[inline]
fn nearest(product: f64) -> i64 {
    (product + f64::copysign(0.5, product)) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_decimal_is_a_whole_number_of_its_places() {
        let check = |value: f64, exponent, whole| {
            assert_eq!(exponent_of(value), Some(exponent), "{value}");
            assert_eq!(to_whole(value, exponent), Some(whole), "{value}");
            assert_eq!(from_whole(whole, exponent).to_bits(), value.to_bits(), "{value}");
        };
        check(0.0, 0, 0);
        check(21.3, 1, 213);
        check(-0.1, 1, -1);
        check(1013.25, 2, 101_325);
        check(52.520_008, 6, 52_520_008);
        check(1e-9, 9, 1);
        check(-1_500_000.000_000_001, 9, -1_500_000_000_000_001);
        check(WHOLE_MAX as f64, 0, WHOLE_MAX);
        check(-WHOLE_MAX as f64, 0, -WHOLE_MAX);
        assert_eq!(to_whole(21.3, 3), Some(21_300));
    }

    #[test]
    fn what_is_no_decimal_stays_a_double() {
        for value in [
            -0.0,
            1.0 / 3.0,
            0.1 + 0.2,
            f64::MIN_POSITIVE,
            f64::MAX,
            WHOLE_MAX as f64 * 2.0,
            1e-10,
            f64::from(21.3_f32),
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            assert_eq!(exponent_of(value), None, "{value}");
        }
        assert_eq!(to_whole(21.3, 0), None);
    }

    proptest! {
        #[test]
        fn a_decimal_text_is_found_again(
            whole in -(1_i64 << 51)..=1 << 51,
            shift in 0..52_u32,
            exponent in 0..=EXPONENT_MAX,
        ) {
            let whole = whole >> shift;
            let value: f64 = format!("{whole}e-{exponent}").parse().unwrap();
            // There is a negative zero only as text.
            let value = value + 0.0;
            prop_assert_eq!(from_whole(whole, exponent).to_bits(), value.to_bits());
            prop_assert_eq!(to_whole(value, exponent), Some(whole));
            prop_assert!(exponent_of(value).is_some_and(|fewest| fewest <= exponent));
        }

        #[test]
        fn a_value_survives_or_is_refused(bits: u64, exponent in 0..=EXPONENT_MAX) {
            let value = f64::from_bits(bits);
            if let Some(whole) = to_whole(value, exponent) {
                prop_assert!(whole.abs() <= WHOLE_MAX);
                prop_assert_eq!(from_whole(whole, exponent).to_bits(), bits);
            }
            let fewest = (0..=EXPONENT_MAX).find(|&fewest| to_whole(value, fewest).is_some());
            prop_assert_eq!(exponent_of(value), fewest);
        }
    }
}
