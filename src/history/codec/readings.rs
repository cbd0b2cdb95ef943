//! Blocks of readings: written once, read often. No I/O, no clock.
//!
//! A block is what a tail becomes: up to 1,024 readings of one series, ascending in time, as
//! columns of times, values and versions of attributes. A constant step costs nothing for each
//! reading, and neither does an unchanging value.
//!
//! ```text
//! u8                the version, 1
//! unsigned varint   how many full blocks of the series stand before this one in its span
//! unsigned varint   how many readings; with 0 nothing follows
//! signed varint     the first time
//! column            the steps to each next time
//! - p d e e e e     the values: p: patches follow, d: differences, e: the decimal places,
//!                   15: bits of doubles
//! signed varint     the first value, if d
//! column            the values or, with d, each next one less the one before
//! patches           if p: how many; then for each an unsigned varint: values skipped, and the
//!                   eight bytes of the double
//! unsigned varint   the first version of the attributes; then how many changes, then for each
//!                   how many readings have the version before, and the next one
//! ```
//!
//! A value is a whole number of decimal places ([`super::decimal`]), as many as most of the block
//! need; what does not fit is patched. Where that does not pay, values are the bits of the
//! doubles, turned so that they are in the order of the values: neighbours share their upper
//! bits, and a difference has no more bits than what changed. Both as in ALP (Afroozeh, Kuffo and
//! Boncz, "ALP: Adaptive Lossless floating-Point Compression", SIGMOD 2023), which cuts the upper
//! bits of "real doubles" off with a dictionary. The XOR of Gorilla (Pelkonen et al., "Gorilla: A
//! Fast, Scalable, In-Memory Time Series Database", VLDB 2015) and what followed it were not
//! taken: bits of variable length one after another cannot be read faster than one at a time, and
//! of decimals they see only noise.

use super::Unreadable;
use super::column::{self, Plan};
use super::decimal::{EXPONENT_MAX, exponent_of, from_whole, to_whole};
use super::varint::{Input, write_signed, write_unsigned};
use crate::history::StoredReading;
use crate::reading::UnixMillis;

/// The most readings of a block. The larger, the less its head weighs; the smaller, the less is
/// written again when it grows and read in vain when few of it are wanted.
pub const READINGS_PER_BLOCK_MAX: usize = 1024;

const VERSION: u8 = 1;

const PATCHED: u8 = 1 << 5;
const DIFFERENCES: u8 = 1 << 4;
const PLACES: u8 = DIFFERENCES - 1;
/// In place of decimal places: the values are bits of doubles.
const DOUBLES: u8 = 15;

/// So many values are looked at before it is decided how to write them all.
const LOOKED_AT: usize = 32;
/// What is expected to be paid, in tenths of a bit: for a decimal place, log₂ 10; for a value
/// that is patched; for a double among others (guess: sign, exponent and the first bits are
/// common).
const PLACE_COST: usize = 33;
const PATCH_COST: usize = 720;
const DOUBLE_COST: usize = 500;

/// One number for each reading.
type Numbers = [i64; READINGS_PER_BLOCK_MAX];

/// Packs the newest block of a series' span, before which `full` full ones stand. The readings
/// must be ascending by `measured_at`, at most [`READINGS_PER_BLOCK_MAX`], their values finite.
///
/// # Panics
/// When there are more.
#[must_use]
pub fn encode(full: u32, readings: &[StoredReading]) -> Vec<u8> {
    debug_assert!(readings.is_sorted_by_key(|reading| reading.measured_at), "not ascending");
    debug_assert!(readings.iter().all(|reading| reading.value.is_finite()), "not finite");
    let mut out = Vec::with_capacity(64 + readings.len());
    out.push(VERSION);
    write_unsigned(u64::from(full), &mut out);
    write_unsigned(readings.len() as u64, &mut out);
    if readings.is_empty() {
        return out;
    }
    let mut numbers: Numbers = [0; READINGS_PER_BLOCK_MAX];
    write_times(readings, &mut numbers, &mut out);
    write_values(readings, &mut numbers, &mut out);
    write_versions(readings, &mut out);
    out
}

/// Appends the readings of a block; returns how many full blocks stand before it.
///
/// # Errors
/// [`Unreadable`]: the bytes were written by a newer version, or are no block. Then nothing is
/// appended.
pub fn decode(bytes: &[u8], into: &mut Vec<StoredReading>) -> Result<u32, Unreadable> {
    let mut input = Input(bytes);
    match input.byte() {
        Some(VERSION) => {}
        Some(version) => return Err(Unreadable::Version(version)),
        None => return Err(Unreadable::Damaged("version")),
    }
    let full = input.unsigned().and_then(|full| u32::try_from(full).ok());
    let full = full.ok_or(Unreadable::Damaged("number of full blocks"))?;
    let count = input.unsigned().and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|&count| count <= READINGS_PER_BLOCK_MAX);
    let count = count.ok_or(Unreadable::Damaged("number of readings"))?;
    let start = into.len();
    read_columns(&mut input, count, into).map_err(|damaged| {
        into.truncate(start);
        Unreadable::Damaged(damaged)
    })?;
    Ok(full)
}

/// How many full blocks stand before a block, when that much of it can be read.
#[must_use]
pub fn full_blocks(bytes: &[u8]) -> Option<u32> {
    let mut input = Input(bytes);
    let version = input.byte()?;
    let full = u32::try_from(input.unsigned()?).ok()?;
    (version == VERSION).then_some(full)
}

fn read_columns(
    input: &mut Input<'_>,
    count: usize,
    into: &mut Vec<StoredReading>,
) -> Result<(), &'static str> {
    if count > 0 {
        let mut numbers: Numbers = [0; READINGS_PER_BLOCK_MAX];
        let start = into.len();
        read_times(input, &mut numbers[..count], into).ok_or("times")?;
        let readings = &mut into[start..];
        read_values(input, &mut numbers[..count], readings).ok_or("values")?;
        read_versions(input, readings).ok_or("versions of attributes")?;
    }
    if input.0.is_empty() { Ok(()) } else { Err("end") }
}

fn write_times(readings: &[StoredReading], numbers: &mut Numbers, out: &mut Vec<u8>) {
    write_signed(readings[0].measured_at.0, out);
    let steps =
        readings.windows(2).map(|pair| pair[1].measured_at.0.wrapping_sub(pair[0].measured_at.0));
    let steps = fill(numbers, steps);
    Plan::of(steps).write(steps, out);
}

fn read_times(
    input: &mut Input<'_>,
    numbers: &mut [i64],
    into: &mut Vec<StoredReading>,
) -> Option<()> {
    numbers[0] = input.signed()?;
    column::read(input, &mut numbers[1..])?;
    add_up(numbers);
    into.extend(numbers.iter().map(|&at| StoredReading {
        measured_at: UnixMillis(at),
        value: 0.0,
        attributes: 0,
    }));
    numbers.is_sorted().then_some(())
}

fn write_values(readings: &[StoredReading], numbers: &mut Numbers, out: &mut Vec<u8>) {
    let start = out.len();
    if let Some(places) = places_of(readings) {
        let patches = to_wholes(readings, places, numbers);
        write_numbers(places, &numbers[..readings.len()], &patches, out);
        if patches.is_empty() {
            return;
        }
    }
    let doubles = fill(numbers, readings.iter().map(|reading| in_order(reading.value)));
    let mut as_doubles = Vec::new();
    write_numbers(DOUBLES, doubles, &[], &mut as_doubles);
    if out.len() == start || as_doubles.len() < out.len() - start {
        out.truncate(start);
        out.extend_from_slice(&as_doubles);
    }
}

/// The decimal places that cost least, by some of the values; `None`: doubles cost less.
fn places_of(readings: &[StoredReading]) -> Option<u8> {
    let stride = (readings.len() / LOOKED_AT).max(1);
    let needed = readings.iter().step_by(stride).map(|reading| exponent_of(reading.value));
    let mut counts = [0; 1 + EXPONENT_MAX as usize];
    let mut all = 0;
    for places in needed {
        all += 1;
        if let Some(places) = places {
            counts[usize::from(places)] += 1;
        }
    }
    let mut fit = 0;
    let costs = (0..=EXPONENT_MAX).zip(counts).map(|(places, count)| {
        fit += count;
        (all * usize::from(places) * PLACE_COST + (all - fit) * PATCH_COST, places)
    });
    let (cost, places) = costs.min()?;
    (cost < all * DOUBLE_COST).then_some(places)
}

/// The values as whole numbers; returns those that are none, with the number of values between.
fn to_wholes(readings: &[StoredReading], places: u8, wholes: &mut Numbers) -> Vec<(u64, f64)> {
    let mut patches = Vec::new();
    let (mut before, mut skipped) = (0, 0);
    for (reading, place) in readings.iter().zip(wholes) {
        match to_whole(reading.value, places) {
            Some(whole) => {
                before = whole;
                skipped += 1;
            }
            None => {
                patches.push((skipped, reading.value));
                skipped = 0;
            }
        }
        // What is patched looks like the value before it, which costs least.
        *place = before;
    }
    patches
}

fn write_numbers(places: u8, numbers: &[i64], patches: &[(u64, f64)], out: &mut Vec<u8>) {
    let mut buffer: Numbers = [0; READINGS_PER_BLOCK_MAX];
    let pairs = numbers.windows(2);
    let differences = fill(&mut buffer, pairs.map(|pair| pair[1].wrapping_sub(pair[0])));
    let (plain, by_difference) = (Plan::of(numbers), Plan::of(differences));
    let patched = if patches.is_empty() { 0 } else { PATCHED };
    if plain.bits() <= by_difference.bits() {
        out.push(patched | places);
        plain.write(numbers, out);
    } else {
        out.push(patched | DIFFERENCES | places);
        write_signed(numbers[0], out);
        by_difference.write(differences, out);
    }
    if !patches.is_empty() {
        write_unsigned(patches.len() as u64, out);
    }
    for &(skipped, value) in patches {
        write_unsigned(skipped, out);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn read_values(
    input: &mut Input<'_>,
    numbers: &mut [i64],
    readings: &mut [StoredReading],
) -> Option<()> {
    let head = input.byte()?;
    if head & DIFFERENCES == 0 {
        column::read(input, numbers)?;
    } else {
        numbers[0] = input.signed()?;
        column::read(input, &mut numbers[1..])?;
        add_up(numbers);
    }
    let pairs = readings.iter_mut().zip(numbers);
    match head & PLACES {
        places if places <= EXPONENT_MAX => {
            pairs.for_each(|(reading, whole)| reading.value = from_whole(*whole, places));
        }
        DOUBLES => {
            pairs.for_each(|(reading, number)| reading.value = out_of_order(*number));
        }
        _ => return None,
    }
    if head & PATCHED != 0 {
        let mut rest = readings.iter_mut();
        for _ in 0..input.unsigned()? {
            let reading = rest.nth(usize::try_from(input.unsigned()?).ok()?)?;
            reading.value = f64::from_le_bytes(input.array()?);
        }
    }
    readings.iter().all(|reading| reading.value.is_finite()).then_some(())
}

fn write_versions(readings: &[StoredReading], out: &mut Vec<u8>) {
    write_unsigned(u64::from(readings[0].attributes), out);
    let runs = || readings.chunk_by(|left, right| left.attributes == right.attributes);
    write_unsigned(runs().count() as u64 - 1, out);
    for (run, next) in runs().zip(runs().skip(1)) {
        write_unsigned(run.len() as u64, out);
        write_unsigned(u64::from(next[0].attributes), out);
    }
}

fn read_versions(input: &mut Input<'_>, readings: &mut [StoredReading]) -> Option<()> {
    let version = |input: &mut Input<'_>| u32::try_from(input.unsigned()?).ok();
    let mut current = version(input)?;
    let mut rest = readings;
    for _ in 0..input.unsigned()? {
        let run = usize::try_from(input.unsigned()?).ok().filter(|&run| run > 0)?;
        let (these, after) = rest.split_at_mut_checked(run)?;
        these.iter_mut().for_each(|reading| reading.attributes = current);
        current = version(input)?;
        rest = after;
    }
    rest.iter_mut().for_each(|reading| reading.attributes = current);
    Some(())
}

/// The bits of a value as a number: of two values the larger has the larger one.
fn in_order(value: f64) -> i64 {
    out_of_order_bits(value.to_bits().cast_signed())
}

/// The value of [`in_order`].
fn out_of_order(number: i64) -> f64 {
    f64::from_bits(out_of_order_bits(number).cast_unsigned())
}

/// Of negative values a double has the sign and the magnitude; turned round, and back.
fn out_of_order_bits(bits: i64) -> i64 {
    bits ^ (bits >> 63) & i64::MAX
}

/// From differences to what they are between.
fn add_up(numbers: &mut [i64]) {
    let mut sum = 0_i64;
    for number in numbers {
        sum = sum.wrapping_add(*number);
        *number = sum;
    }
}

/// Puts numbers in their places; gives those places.
fn fill(places: &mut Numbers, numbers: impl ExactSizeIterator<Item = i64>) -> &[i64] {
    let places = &mut places[..numbers.len()];
    places.iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
    places
}

#[cfg(test)]
#[path = "readings_tests.rs"]
mod tests;
