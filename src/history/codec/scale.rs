//! What numbers have in common: the greatest divisor of how far they lie apart. No I/O, no clock.

/// What all numbers of a column are multiples of, seen from one of them.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// At least 1.
    pub divisor: u64,
    /// The divisor is an odd number times 2 to the power of `shift`.
    shift: u32,
    /// The odd number times this is 1, modulo 2⁶⁴: an exact division is a multiplication, and a
    /// number is no multiple when the quotient is too large (Granlund and Montgomery, "Division
    /// by Invariant Integers using Multiplication", PLDI 1994, §9).
    inverse: u64,
    quotient_max: u64,
}

impl Scale {
    /// The greatest divisor of how far `numbers` lie from `middle`; 1 when all are the same.
    pub fn of(numbers: &[i64], middle: i64) -> Self {
        let mut scale = Self::by(0);
        for &number in numbers {
            let distance = number.wrapping_sub(middle).unsigned_abs();
            if !scale.divides(distance) {
                scale = Self::by(greatest_common_divisor(scale.divisor, distance));
                if scale.divisor == 1 {
                    break;
                }
            }
        }
        if scale.divisor == 0 { Self::by(1) } else { scale }
    }

    /// A divisor; 0 divides nothing but 0.
    pub fn by(divisor: u64) -> Self {
        let shift = divisor.trailing_zeros();
        let odd = divisor.checked_shr(shift).unwrap_or(0);
        // Five bits are right, and each step of Newton's method doubles them.
        let start = odd.wrapping_mul(3) ^ 2;
        let inverse = (0..4).fold(start, |inverse: u64, _| {
            inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)))
        });
        let quotient_max = u64::MAX.checked_div(odd).unwrap_or(0);
        Self { divisor, shift, inverse, quotient_max }
    }

    #[inline]
    fn divides(&self, number: u64) -> bool {
        number.trailing_zeros() >= self.shift
            && (number >> (self.shift % u64::BITS)).wrapping_mul(self.inverse) <= self.quotient_max
    }

    /// The quotient of a multiple.
    #[inline]
    pub fn divide(&self, number: i64) -> i64 {
        (number >> self.shift).wrapping_mul(self.inverse.cast_signed())
    }
}

fn greatest_common_divisor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_divisor_is_the_greatest() {
        let check = |numbers: &[i64], divisor| {
            assert_eq!(Scale::of(numbers, numbers[0]).divisor, divisor, "{numbers:?}");
        };
        check(&[7], 1);
        check(&[7, 7], 1);
        check(&[7, 12, -3], 5);
        check(&[1_000, 4_000, 1_500], 500);
        check(&[0, 1 << 40, 1 << 50], 1 << 40);
        check(&[0, i64::MIN], 1 << 63);
        check(&[3, 5, 6], 1);
    }

    proptest! {
        #[test]
        fn a_multiple_is_divided_and_nothing_else(divisor in 1..=u64::MAX, number: u64) {
            let scale = Scale::by(divisor);
            prop_assert_eq!(scale.divides(number), number % divisor == 0);
            let below = number % (u64::MAX / divisor + 1);
            prop_assert!(scale.divides(below * divisor));
            if let Ok(multiple) = i64::try_from(below * divisor) {
                prop_assert_eq!(scale.divide(multiple).cast_unsigned(), below);
                prop_assert_eq!(scale.divide(-multiple), -scale.divide(multiple));
            }
        }
    }
}
