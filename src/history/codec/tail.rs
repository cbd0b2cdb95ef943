//! The newest readings of a series, in order of arrival. No I/O, no clock.
//!
//! A tail is rewritten with every commit and grows by a reading at a time, so it is made of whole
//! bytes, and the next reading needs only what a few registers remember. A reading that comes a
//! step after the one before, with a value near it, is one byte:
//!
//! ```text
//! 7 6 5 4 3 2 1 0
//! m m m m m m s 1   the value moves by m, folded (0, −1, 1, −2 …); s: the step is as before
//! m m m a 0 0 s 0   the same; m has the low bits, an unsigned varint the rest
//! 0 0 0 a 0 1 s 0   a byte: the decimal places from now on; a signed varint: the move
//! z l l a 1 0 s 0   from now on doubles, not decimals: those bytes that differ from before
//! ```
//!
//! Behind the first byte stand, in this order: the signed varint that the step differs by, unless
//! `s`; the version of the attributes as an unsigned varint, if `a`; what belongs to the value.
//! What moves is the value as a whole number of its decimal places ([`super::decimal`]), or the
//! bits of the double. Of a double, `l` leading bytes are as before, and with `z` the last three
//! as well (a single precision number has zeros there); the others follow, lowest first.
//!
//! Gorilla (Pelkonen et al., VLDB 2015) packs the same differences into single bits. Its one bit
//! for a step that holds and one for a value that stays would save most of a byte, but it cannot
//! grow at a byte's edge and knows no decimals, which are most of what sensors send: 21.3 and 21.4
//! differ in nearly all bits of a double.

use std::ops::Range;

use super::Unreadable;
use super::decimal::{EXPONENT_MAX, exponent_of, from_whole, scaled, to_whole};
use super::varint::{Input, fold_sign, unfold_sign, write_signed, write_unsigned};
use crate::history::StoredReading;
use crate::reading::UnixMillis;

const SHORT: u8 = 1;
const SAME_STEP: u8 = 1 << 1;
const KIND: u8 = 0b11 << 2;
const MOVE: u8 = 0;
const DECIMAL: u8 = 1 << 2;
const DOUBLE: u8 = 1 << 3;
const ATTRIBUTES: u8 = 1 << 4;

/// Moves below this are in the first byte.
const SHORT_MOVES: u64 = 1 << 6;
/// How many bits of a longer move are in the first byte, and where they begin there.
const LOW_BITS: u32 = 3;
const LOW_SHIFT: u32 = 8 - LOW_BITS;
/// Where a double begins to speak of its bytes.
const LEAD_SHIFT: u32 = 5;
const LEAD_MAX: u32 = 3;
const SINGLE: u8 = 1 << 7;
const SINGLE_ZEROS: u32 = 3;

/// In place of decimal places: the value is the bits of a double.
const NO_DECIMAL: u8 = u8::MAX;
/// So many steps in a row must be another than the one that is expected, until the last of them
/// is. One reading left out costs one step that is written out, one late reading costs two.
const STRAYS_MAX: u8 = 2;

/// The newest readings of a series, in order of arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tail {
    bytes: Vec<u8>,
    count: usize,
    last: Registers,
}

/// What is remembered of the readings so far; the same in writing and in reading.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Registers {
    measured_at: i64,
    /// What is expected between two readings, in milliseconds.
    step: i64,
    /// A whole number of `exponent` decimal places, or the bits of a double.
    value: i64,
    attributes: u32,
    exponent: u8,
    /// How many steps in a row were not as expected.
    strays: u8,
}

impl Default for Registers {
    fn default() -> Self {
        // The first step may be anything: it is expected from then on.
        Self { measured_at: 0, step: 0, value: 0, attributes: 0, exponent: 0, strays: STRAYS_MAX }
    }
}

impl Tail {
    /// Appends a reading. Its value must be finite.
    #[inline]
    pub fn push(&mut self, reading: StoredReading) {
        debug_assert!(reading.value.is_finite(), "a value of {}", reading.value);
        let last = &self.last;
        let stray = last.stray(reading.measured_at.0);
        let step = if stray == 0 { SAME_STEP } else { 0 };
        if reading.attributes == last.attributes
            && let Some(value) = last.in_places(reading.value)
            && let folded = fold_sign(value.wrapping_sub(last.value))
            && folded < SHORT_MOVES
        {
            self.bytes.push((folded as u8) << 2 | step | SHORT);
            if stray != 0 {
                write_signed(stray, &mut self.bytes);
            }
            self.last.value = value;
        } else {
            self.push_long(reading, step, stray);
        }
        self.last.step_by(stray, self.count);
        self.count += 1;
    }

    /// How many readings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The readings as bytes; they only ever grow at the end.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes what [`Tail::bytes`] gave; the next reading may be appended.
    ///
    /// # Errors
    /// [`Unreadable`]: the bytes were not written by this program.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Unreadable> {
        let mut reader = Readings { input: Input(&bytes), at: 0, last: Registers::default() };
        while !reader.input.0.is_empty() {
            reader.read().ok_or(Unreadable::Damaged("tail"))?;
        }
        let (count, last) = (reader.at, reader.last);
        Ok(Self { bytes, count, last })
    }

    /// The readings, in order of arrival.
    pub fn readings(&self) -> impl Iterator<Item = StoredReading> + '_ {
        Readings { input: Input(&self.bytes), at: 0, last: Registers::default() }
    }

    #[inline(never)]
    fn push_long(&mut self, reading: StoredReading, step: u8, stray: i64) {
        let (last, out) = (self.last, &mut self.bytes);
        let first = out.len();
        out.push(step);
        if stray != 0 {
            write_signed(stray, out);
        }
        if reading.attributes != last.attributes {
            out[first] |= ATTRIBUTES;
            write_unsigned(u64::from(reading.attributes), out);
        }
        self.last.attributes = reading.attributes;
        out[first] |= self.last.write_value(reading.value, out);
    }
}

impl Registers {
    /// How far a time is from the expected one. Wraps around, as [`Registers::step_by`] does.
    #[inline]
    fn stray(&self, measured_at: i64) -> i64 {
        measured_at.wrapping_sub(self.measured_at).wrapping_sub(self.step)
    }

    /// Goes to the time of the reading at this place, which is so far from the expected one.
    #[inline]
    fn step_by(&mut self, stray: i64, at: usize) {
        let step = self.step.wrapping_add(stray);
        self.measured_at = self.measured_at.wrapping_add(step);
        if at == 0 {
            return;
        }
        self.strays = if stray == 0 { 0 } else { self.strays + 1 };
        if self.strays > STRAYS_MAX {
            (self.step, self.strays) = (step, 0);
        }
    }

    /// The value as what moves now, if it can be that.
    #[inline]
    fn in_places(&self, value: f64) -> Option<i64> {
        match self.exponent {
            NO_DECIMAL => Some(value.to_bits().cast_signed()),
            exponent => to_whole(value, exponent),
        }
    }

    /// The value of the last reading.
    #[inline]
    fn value(&self) -> f64 {
        match self.exponent {
            NO_DECIMAL => f64::from_bits(self.value.cast_unsigned()),
            exponent => from_whole(self.value, exponent),
        }
    }

    /// Writes a value that is no short move; returns what the first byte says of it.
    fn write_value(&mut self, value: f64, out: &mut Vec<u8>) -> u8 {
        if self.exponent != NO_DECIMAL
            && let Some(whole) = self.in_places(value)
        {
            let folded = fold_sign(whole.wrapping_sub(self.value));
            // A value with too many places (one of nine was here) makes all moves long.
            let is_long = folded >> (LOW_BITS + 7) != 0;
            if !(is_long && whole % 10 == 0) {
                self.value = whole;
                write_unsigned(folded >> LOW_BITS, out);
                return MOVE | (folded as u8) << LOW_SHIFT;
            }
        }
        match exponent_of(value) {
            Some(exponent) => self.write_decimal(value, exponent, out),
            None => self.write_double(value, out),
        }
    }

    fn write_decimal(&mut self, value: f64, exponent: u8, out: &mut Vec<u8>) -> u8 {
        let (whole, start) = (scaled(value, exponent), scaled(self.value(), exponent));
        (self.value, self.exponent) = (whole, exponent);
        out.push(exponent);
        write_signed(whole.wrapping_sub(start), out);
        DECIMAL
    }

    fn write_double(&mut self, value: f64, out: &mut Vec<u8>) -> u8 {
        let changed = value.to_bits() ^ self.value().to_bits();
        (self.value, self.exponent) = (value.to_bits().cast_signed(), NO_DECIMAL);
        let lead = (changed.leading_zeros() / 8).min(LEAD_MAX) as u8;
        let is_single = changed.trailing_zeros() / 8 >= SINGLE_ZEROS;
        let first = DOUBLE | lead << LEAD_SHIFT | if is_single { SINGLE } else { 0 };
        out.extend_from_slice(&changed.to_le_bytes()[changed_bytes(first)]);
        first
    }

    /// Reads what [`Registers::write_value`] wrote; `None` when it ends early or cannot be.
    fn read_value(&mut self, first: u8, input: &mut Input<'_>) -> Option<()> {
        match first & KIND {
            MOVE => {
                let folded = input.unsigned()? << LOW_BITS | u64::from(first >> LOW_SHIFT);
                self.value = self.value.wrapping_add(unfold_sign(folded));
            }
            DECIMAL => {
                let exponent = input.byte().filter(|&exponent| exponent <= EXPONENT_MAX)?;
                let start = scaled(self.value(), exponent);
                (self.value, self.exponent) = (start.wrapping_add(input.signed()?), exponent);
            }
            DOUBLE => {
                let mut changed = [0; 8];
                let place = &mut changed[changed_bytes(first)];
                place.copy_from_slice(input.slice(place.len())?);
                let bits = self.value().to_bits() ^ u64::from_le_bytes(changed);
                (self.value, self.exponent) = (bits.cast_signed(), NO_DECIMAL);
            }
            _ => return None,
        }
        Some(())
    }
}

/// Which bytes of a double follow, lowest first; all others are as before.
fn changed_bytes(first: u8) -> Range<usize> {
    let lead = usize::from(first >> LEAD_SHIFT) & LEAD_MAX as usize;
    let zeros = if first & SINGLE == 0 { 0 } else { SINGLE_ZEROS as usize };
    zeros..8 - lead
}

struct Readings<'a> {
    input: Input<'a>,
    /// How many have been read.
    at: usize,
    last: Registers,
}

impl Readings<'_> {
    #[inline]
    fn read(&mut self) -> Option<StoredReading> {
        let Self { input, at, last } = self;
        let first = input.byte()?;
        let stray = if first & SAME_STEP == 0 { input.signed()? } else { 0 };
        last.step_by(stray, *at);
        if first & SHORT != 0 {
            last.value = last.value.wrapping_add(unfold_sign(u64::from(first >> 2)));
        } else {
            if first & ATTRIBUTES != 0 {
                last.attributes = u32::try_from(input.unsigned()?).ok()?;
            }
            last.read_value(first, input)?;
        }
        *at += 1;
        let value = last.value();
        let measured_at = UnixMillis(last.measured_at);
        value.is_finite().then_some(StoredReading {
            measured_at,
            value,
            attributes: last.attributes,
        })
    }
}

impl Iterator for Readings<'_> {
    type Item = StoredReading;

    #[inline]
    fn next(&mut self) -> Option<StoredReading> {
        self.read()
    }
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
