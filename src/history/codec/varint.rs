//! Whole numbers in as many bytes as they need. No I/O, no clock.
//!
//! Seven bits a byte, lowest first, the eighth says that more follow (LEB128; DWARF 5, §7.6).
//! Signed numbers are folded first so that small ones of either sign stay small: 0, −1, 1, −2 …
//! become 0, 1, 2, 3 … ("zigzag", as in Protocol Buffers).

/// The most bytes that a number takes: ⌈64 ÷ 7⌉.
pub const BYTES_MAX: usize = 10;

/// Appends a number; 1 byte below 128, at most [`BYTES_MAX`].
#[inline]
pub fn write_unsigned(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a number of either sign; 1 byte from −64 to 63, at most [`BYTES_MAX`].
#[inline]
pub fn write_signed(number: i64, out: &mut Vec<u8>) {
    write_unsigned(fold_sign(number), out);
}

/// 0, −1, 1, −2 … as 0, 1, 2, 3 …: a small number of either sign as a small one without.
#[inline]
#[must_use]
pub const fn fold_sign(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

/// What [`fold_sign`] was given.
#[inline]
#[must_use]
pub const fn unfold_sign(folded: u64) -> i64 {
    (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed()
}

/// What is left to be read of some bytes. Each reading takes from the front; `None` when there is
/// not enough, after which the rest means nothing.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// So many bytes as they are.
    #[inline]
    pub fn slice(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(slice)
    }

    /// `N` bytes as they are, such as a little-endian number.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    /// What [`write_unsigned`] wrote; `None` also for what is larger than a `u64`.
    #[inline]
    pub fn unsigned(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                return None;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// What [`write_signed`] wrote.
    #[inline]
    pub fn signed(&mut self) -> Option<i64> {
        self.unsigned().map(unfold_sign)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unsigned(number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write_unsigned(number, &mut out);
        out
    }

    #[test]
    fn a_number_takes_the_bytes_it_needs() {
        let check = |number, bytes: &[u8]| {
            assert_eq!(unsigned(number), bytes, "{number}");
            assert_eq!(Input(bytes).unsigned(), Some(number), "{number}");
        };
        check(0, &[0]);
        check(127, &[0x7f]);
        check(128, &[0x80, 1]);
        check(16_383, &[0xff, 0x7f]);
        check(16_384, &[0x80, 0x80, 1]);
        check(u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }

    #[test]
    fn small_numbers_of_either_sign_stay_small() {
        let check = |number, folded| {
            assert_eq!(fold_sign(number), folded, "{number}");
            assert_eq!(unfold_sign(folded), number, "{number}");
        };
        check(0, 0);
        check(-1, 1);
        check(1, 2);
        check(-64, 127);
        check(63, 126);
        check(i64::MAX, u64::MAX - 1);
        check(i64::MIN, u64::MAX);
    }

    #[test]
    fn what_ends_early_or_exceeds_the_range_is_nothing() {
        let check = |bytes: &[u8]| assert_eq!(Input(bytes).unsigned(), None, "{bytes:?}");
        check(&[]);
        check(&[0x80]);
        check(&[0xff; 9]);
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]);
        check(&[0x80; 11]);
        assert_eq!(Input(&[1, 2]).array::<3>(), None);
        assert_eq!(Input(&[1, 2]).slice(3), None);
        assert_eq!(Input(&[]).byte(), None);
    }

    proptest! {
        #[test]
        fn numbers_are_read_one_after_another(
            // Numbers of every length alike: a random one, shifted.
            numbers in prop::collection::vec((any::<u64>(), any::<i64>(), 0..64u32), 0..20),
        ) {
            let mut out = Vec::new();
            for &(number, signed, shift) in &numbers {
                write_unsigned(number >> shift, &mut out);
                write_signed(signed >> shift, &mut out);
                out.extend_from_slice(&number.to_le_bytes());
            }
            let mut input = Input(&out);
            for &(number, signed, shift) in &numbers {
                prop_assert_eq!(input.unsigned(), Some(number >> shift));
                prop_assert_eq!(input.signed(), Some(signed >> shift));
                prop_assert_eq!(input.array(), Some(number.to_le_bytes()));
            }
            prop_assert_eq!(input.0.len(), 0);
        }

        #[test]
        fn any_bytes_are_numbers_or_none(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let mut input = Input(&bytes);
            while let Some(number) = input.unsigned() {
                prop_assert!(unsigned(number).len() <= BYTES_MAX);
            }
        }
    }
}
