//! Whole numbers that are near each other, packed into as few bits as most of them need. No I/O,
//! no clock.
//!
//! A column is a base, a scale, a width and, for each number, `width` bits: how many scales it
//! lies above the base. A number for which that is not enough is an *exception*: its place and
//! the rest of its bits follow behind, so that one outlier does not make all others wide. This is
//! the patched frame of reference ("NewPFD" in Lemire and Boytsov, "Decoding billions of integers
//! per second through vectorization", Software: Practice and Experience 45, 2015), with three
//! differences. An exception may lie below the base too: a sensor that fails says 0 or −127. The
//! width is the cheapest of all, by the lengths of all numbers. The scale is the greatest common
//! divisor: a sensor with steps of 0.0625 moves by multiples of 625, times in seconds by
//! multiples of 1,000, single precision numbers by multiples of 2²⁹.
//!
//! ```text
//! p s w w w w w w   p: exceptions follow; s: a scale follows; w: the width, 57 stands for 64
//! signed varint     the base
//! unsigned varint   the scale, if s
//! bits              lowest first, whole bytes in all
//! exceptions        if p: how many; then for each an unsigned varint: numbers skipped × 4 + c.
//!                   The rest of its bits, folded, is c + 1, or for c = 3 a varint that follows + 4
//! ```
//!
//! Differences and sums wrap around, so a column holds any numbers; how many there are is for
//! the reader to know.

use super::scale::Scale;
use super::varint::{Input, fold_sign, unfold_sign, write_signed, write_unsigned};

const PATCHED: u8 = 1 << 7;
const SCALED: u8 = 1 << 6;
const WIDTH: u8 = SCALED - 1;
/// A number of this width lies within one unaligned load of 8 bytes, wherever it begins.
const WIDTH_MAX: u32 = 56;
/// All bits as they are, and what stands for that.
const WIDTH_WHOLE: u32 = 64;
const WIDTH_WHOLE_CODE: u8 = 57;

/// The rest of an exception's bits, folded, is in its first varint up to here.
const SHORT_REST_MAX: u64 = 3;
const SHORT_BITS: usize = 2;

/// So many numbers are looked at to find one in the middle. Guess: enough that outliers, if there
/// are few, are not it.
const LOOKED_AT: usize = 31;

/// How a column is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Some number of the column.
    middle: i64,
    scale: Scale,
    /// Where the base lies, in scales above the middle.
    start: i64,
    cost: Cost,
}

impl Plan {
    /// The cheapest that was found.
    #[must_use]
    pub fn of(numbers: &[i64]) -> Self {
        let middle = middle_of(numbers);
        if numbers.iter().all(|&number| number == middle) {
            let cost = Cost { width: 0, exceptions: 0, bits: 0 };
            return Self { middle, scale: Scale::by(1), start: 0, cost };
        }
        let scale = Scale::of(numbers, middle);
        let offsets = || numbers.iter().map(|&number| scale.divide(number.wrapping_sub(middle)));

        // First a window around the middle: that shows what is an outlier, on either side.
        let around = Lengths::folded(offsets()).cheapest();
        let mut cheapest = (lowest_within(around.width), around);
        // Then windows that begin with the lowest number that is no outlier, or hardly one.
        let bounds = [around.width, around.width + 1].map(lowest_within);
        let [inside, near] = offsets().fold([0, 0], |[inside, near], offset| {
            let lower = |bound, lowest| if offset >= bound { offset.min(lowest) } else { lowest };
            [lower(bounds[0], inside), lower(bounds[1], near)]
        });
        for start in [inside, near].into_iter().take(if near < inside { 2 } else { 1 }) {
            let cost = Lengths::from(start, offsets()).cheapest();
            if cost.bits <= cheapest.1.bits {
                cheapest = (start, cost);
            }
        }
        let (start, cost) = cheapest;
        Self { middle, scale, start, cost }
    }

    /// What it takes in bits, very nearly.
    #[must_use]
    pub fn bits(&self) -> u64 {
        let head = length(fold_sign(self.base())) + length(self.scale.divisor);
        head as u64 + self.cost.bits
    }

    /// Appends the numbers that the plan was made for.
    pub fn write(&self, numbers: &[i64], out: &mut Vec<u8>) {
        let Self { middle, scale, start, cost: Cost { width, exceptions, .. } } = *self;
        let code = if width == WIDTH_WHOLE { WIDTH_WHOLE_CODE } else { width as u8 };
        let patched = if exceptions > 0 { PATCHED } else { 0 };
        let scaled = if scale.divisor > 1 { SCALED } else { 0 };
        out.push(patched | scaled | code);
        write_signed(self.base(), out);
        if scale.divisor > 1 {
            write_unsigned(scale.divisor, out);
        }
        let above = |&number: &i64| scale.divide(number.wrapping_sub(middle)).wrapping_sub(start);
        pack(numbers.iter().map(above), width, out);
        if exceptions > 0 {
            write_exceptions(numbers.iter().map(|number| above(number) >> width), exceptions, out);
        }
    }

    fn base(&self) -> i64 {
        let start = self.start.wrapping_mul(self.scale.divisor.cast_signed());
        self.middle.wrapping_add(start)
    }
}

/// What a width costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    width: u32,
    exceptions: u32,
    bits: u64,
}

/// How many numbers have how many bits.
struct Lengths {
    /// Not below the start.
    above: [u32; LENGTHS],
    /// Below the start, which makes them exceptions whatever the width.
    below: [u32; LENGTHS],
    /// The bits that the rest of an exception has beside those of its length: its sign.
    sign: usize,
}

const LENGTHS: usize = 1 + u64::BITS as usize;

impl Lengths {
    /// Counts how far numbers lie from 0, on either side.
    fn folded(numbers: impl Iterator<Item = i64>) -> Self {
        let mut above = [0; LENGTHS];
        numbers.for_each(|number| above[length(fold_sign(number))] += 1);
        Self { above, below: [0; LENGTHS], sign: 0 }
    }

    /// Counts how far numbers lie from a start.
    fn from(start: i64, numbers: impl Iterator<Item = i64>) -> Self {
        let (mut above, mut below) = ([0; LENGTHS], [0; LENGTHS]);
        for number in numbers {
            let distance = number.wrapping_sub(start).cast_unsigned();
            if number >= start {
                above[length(distance)] += 1;
            } else {
                below[length(!distance)] += 1;
            }
        }
        Self { above, below, sign: 1 }
    }

    /// Goes from the widest to the narrowest, and adds up what each step makes dearer.
    fn cheapest(&self) -> Cost {
        let used =
            |counts: &[u32]| counts.iter().rposition(|&count| count > 0).map_or(0, |at| at + 1);
        let (above, below) = (&self.above[..used(&self.above)], &self.below[..used(&self.below)]);
        let longest = above.len().saturating_sub(1);
        let mut exceptions: u32 = below.iter().sum();
        let all = above.iter().sum::<u32>() + exceptions;
        let mut rests = (0..).zip(below).fold(0, |rests, (length, count)| {
            rests + count * rest_bytes(usize::saturating_sub(length, longest) + 1)
        });
        let mut best = Cost { width: WIDTH_WHOLE, exceptions: 0, bits: u64::from(64 * all) };
        for width in (0..=longest).rev() {
            if width < longest {
                exceptions += above[width + 1];
                rests += longer_by_a_byte(above, width, self.sign);
                rests += longer_by_a_byte(below, width, 1);
            }
            let cost = Cost::of(width as u32, all, exceptions, rests);
            if width <= WIDTH_MAX as usize && cost.bits <= best.bits {
                best = cost;
            }
        }
        best
    }
}

impl Cost {
    /// Of so many numbers, some of them exceptions whose rests take so many bytes of their own.
    fn of(width: u32, all: u32, exceptions: u32, rests: u32) -> Self {
        // The count, and for each how many numbers are skipped: less than 32, or it is a byte more.
        let skips = if exceptions * 32 < all { 2 * exceptions } else { exceptions };
        let count = if exceptions > 0 { 1 } else { 0 };
        let bits = u64::from(width * all + 8 * (count + skips + rests));
        Self { width, exceptions, bits }
    }
}

/// The bytes that the rest of an exception takes beside the first.
fn rest_bytes(bits: usize) -> u32 {
    if bits <= SHORT_BITS { 0 } else { bits.div_ceil(7) as u32 }
}

/// How many exceptions take a byte more when a width becomes this one: those whose rest, a sign
/// included, now has 3, 8, 15, 22 … bits.
fn longer_by_a_byte(counts: &[u32], width: usize, sign: usize) -> u32 {
    let first = counts.get(width + SHORT_BITS + 1 - sign).copied().unwrap_or(0);
    first + counts.iter().skip(width + 8 - sign).step_by(7).sum::<u32>()
}

/// Reads a column of as many numbers as there are places; `None` when there is none.
pub fn read(input: &mut Input<'_>, numbers: &mut [i64]) -> Option<()> {
    let head = input.byte()?;
    let width = match head & WIDTH {
        WIDTH_WHOLE_CODE => WIDTH_WHOLE,
        code if u32::from(code) <= WIDTH_MAX => u32::from(code),
        _ => return None,
    };
    let base = input.signed()?;
    let scale = if head & SCALED == 0 { 1 } else { input.unsigned()?.cast_signed() };
    let beyond = input.0;
    input.slice((numbers.len() * width as usize).div_ceil(8))?;
    unpack(beyond, width, numbers);
    if head & PATCHED != 0 {
        read_exceptions(input, width, numbers)?;
    }
    if scale != 1 {
        numbers.iter_mut().for_each(|number| *number = number.wrapping_mul(scale));
    }
    numbers.iter_mut().for_each(|number| *number = number.wrapping_add(base));
    Some(())
}

fn pack(numbers: impl ExactSizeIterator<Item = i64>, width: u32, out: &mut Vec<u8>) {
    if width == WIDTH_WHOLE {
        numbers.for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        return;
    }
    let mask = (1 << width) - 1;
    let mut place = out.len();
    let end = place + (numbers.len() * width as usize).div_ceil(8);
    // Whole words are written, the last of them beyond the end.
    out.resize(end + 8, 0);
    let (mut word, mut filled) = (0_u64, 0);
    for number in numbers {
        let low = number.cast_unsigned() & mask;
        word |= low << filled;
        filled += width;
        if filled >= u64::BITS {
            out[place..place + 8].copy_from_slice(&word.to_le_bytes());
            place += 8;
            filled -= u64::BITS;
            // What did not fit: nothing when the width ends at the edge.
            word = low >> (width - filled);
        }
    }
    out[place..place + 8].copy_from_slice(&word.to_le_bytes());
    out.truncate(end);
}

/// `bytes` begins with the packed bits and may go on.
fn unpack(bytes: &[u8], width: u32, numbers: &mut [i64]) {
    let mask = if width == WIDTH_WHOLE { u64::MAX } else { (1 << width) - 1 };
    if width == 0 {
        numbers.fill(0);
        return;
    }
    let mut bit = 0;
    for number in numbers {
        let at = bit / 8;
        let word = match bytes.get(at..at + 8).and_then(<[u8]>::first_chunk) {
            Some(word) => *word,
            None => {
                let mut word = [0; 8];
                word[..bytes.len() - at].copy_from_slice(&bytes[at..]);
                word
            }
        };
        *number = (u64::from_le_bytes(word) >> (bit % 8) & mask).cast_signed();
        bit += width as usize;
    }
}

fn write_exceptions(rests: impl Iterator<Item = i64>, count: u32, out: &mut Vec<u8>) {
    write_unsigned(u64::from(count), out);
    let mut skipped = 0;
    for rest in rests {
        if rest == 0 {
            skipped += 1;
            continue;
        }
        let folded = fold_sign(rest);
        let short = folded.min(SHORT_REST_MAX + 1) - 1;
        write_unsigned(skipped << SHORT_BITS | short, out);
        if folded > SHORT_REST_MAX {
            write_unsigned(folded - SHORT_REST_MAX - 1, out);
        }
        skipped = 0;
    }
}

fn read_exceptions(input: &mut Input<'_>, width: u32, numbers: &mut [i64]) -> Option<()> {
    let count = input.unsigned()?;
    let mut rest = numbers.iter_mut();
    for _ in 0..count {
        let first = input.unsigned()?;
        let number = rest.nth(usize::try_from(first >> SHORT_BITS).ok()?)?;
        let folded = match (first & SHORT_REST_MAX) + 1 {
            long if long > SHORT_REST_MAX => input.unsigned()?.checked_add(long)?,
            short => short,
        };
        *number |= unfold_sign(folded).checked_shl(width)?;
    }
    Some(())
}

/// One number of which many are below and many above, if there are many.
fn middle_of(numbers: &[i64]) -> i64 {
    let stride = (numbers.len() / LOOKED_AT).max(1);
    let mut some = [0; LOOKED_AT];
    let mut count = 0;
    for (place, &number) in some.iter_mut().zip(numbers.iter().step_by(stride)) {
        *place = number;
        count += 1;
    }
    some[..count].sort_unstable();
    some[count / 2]
}

/// The lowest number of a window of this width around 0.
fn lowest_within(width: u32) -> i64 {
    match width {
        0 => 0,
        WIDTH_WHOLE.. => i64::MIN,
        _ => -(1 << (width - 1)),
    }
}

/// How many bits a number has, up to its highest that is 1.
#[inline]
fn length(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()) as usize
}

#[cfg(test)]
#[path = "column_tests.rs"]
mod tests;
