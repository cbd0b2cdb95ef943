//! What is written of a window beside its start. No I/O, no clock.
//!
//! A record is a byte of flags, and then, as far as there is something to say:
//!
//! 1. the version of the attributes, when it is not that of the record before;
//! 2. the number of readings, unless there is one;
//! 3. when the first was measured, in milliseconds after the start, and, unless there is one,
//!    when the last was, in milliseconds before the end: little, where readings come often;
//! 4. the values. Sensors send decimals (`decimal.rs`): with all four at one exponent it is the
//!    smallest as a whole number, and of the largest, the first and the last what they are more.
//!    Otherwise four doubles. Where all readings are equal, one value;
//! 5. the sum, unless all are equal. The sum of decimals is a whole number of their last place,
//!    and at least `count` times the smallest: what it is more. Otherwise a double;
//! 6. M2, unless all are equal. With *v* the values as whole numbers, `count` × M2 is
//!    `count` × Σ*v*² − (Σ*v*)², which is whole, too. Otherwise a double.
//!
//! The whole numbers of 5 and 6 are taken where they agree with what was summed up to 2⁻⁵⁰ and
//! 1e-12 of it. They are nearer to the truth then: the difference is what rounding lost. So is
//! the M2 of equal readings, which is zero whatever rounding made of it.

use super::super::decimal::{EXPONENT_MAX, exponent_of, from_whole, scaled, to_whole};
use super::super::varint::{Input, write_signed, write_unsigned};
use super::Slot;
use crate::history::Window;
use crate::reading::UnixMillis;
use crate::statistic::{Ends, Extent, Moments, Statistics};

/// Decimal places of the values, or [`DOUBLES`].
const EXPONENT: u8 = 0b1111;
const DOUBLES: u8 = 0b1111;
const KIND: u8 = 0b11 << 4;
const ONE: u8 = 0;
const EQUAL: u8 = 1 << 4;
const WHOLE_SUM: u8 = 2 << 4;
const DOUBLE_SUM: u8 = 3 << 4;
const DOUBLE_M2: u8 = 1 << 6;
const ATTRIBUTES: u8 = 1 << 7;

/// How far, in parts of itself, a sum may be from its decimal: a few roundings.
const SUM_SLACK: f64 = 1.0 / (1_u64 << 50) as f64;
/// The same of M2, which is made of more steps.
const M2_SLACK: f64 = 1e-12;
/// Up to here two roundings do not lead from one whole number to another.
const WHOLE_SUM_MAX: u64 = 1 << 50;
/// Seven bytes: from here on a double is as short.
const WHOLE_M2_MAX: u64 = (1 << 49) - 1;
/// Up to here every count is a double.
const COUNT_MAX: u64 = 1 << 53;

/// 10^(2 × exponent): what M2 of whole numbers is larger by.
const SQUARES: [f64; 1 + EXPONENT_MAX as usize] =
    [1.0, 1e2, 1e4, 1e6, 1e8, 1e10, 1e12, 1e14, 1e16, 1e18];

/// The smallest, the largest, the first and the last value.
struct Values<T> {
    min: T,
    max: T,
    first: T,
    last: T,
}

/// Appends the record of a window with at least one reading. `attributes` is the version in the
/// record before.
pub(super) fn write(window: &Window, slot: &Slot, attributes: u32, out: &mut Vec<u8>) {
    // Whoever adds a statistic has to keep it: neither this line nor its like in `read` compiles.
    let Statistics { moments, extent, ends } = &window.statistics;
    let (first_at, last_at) = (ends.first_at.0, ends.last_at.0);
    let is_inside = slot.start <= first_at && first_at <= last_at && last_at <= slot.end;
    assert!(is_inside, "readings from {first_at} to {last_at} in the window at {}", slot.start);
    let mut flags = 0;
    let flags_at = out.len();
    out.push(flags);
    if window.attributes != attributes {
        flags |= ATTRIBUTES;
        write_unsigned(u64::from(window.attributes), out);
    }
    let is_one = moments.count == 1;
    if !is_one {
        write_unsigned(moments.count, out);
    }
    write_unsigned(first_at.abs_diff(slot.start), out);
    if !is_one {
        write_unsigned(last_at.abs_diff(slot.end), out);
    }
    let values =
        Values { min: extent.min, max: extent.max, first: ends.first_value, last: ends.last_value };
    flags |= if is_one {
        ONE | write_value(values.last, out)
    } else if are_equal(&values, moments) {
        EQUAL | write_value(values.last, out)
    } else {
        write_values(&values, moments, out)
    };
    out[flags_at] = flags;
}

/// Whether one value says it all.
fn are_equal(values: &Values<f64>, moments: &Moments) -> bool {
    let is_min = |value: f64| value.to_bits() == values.min.to_bits();
    let sum = moments.sum();
    is_min(values.max)
        && is_min(values.first)
        && is_min(values.last)
        && (moments.count as f64 * values.min - sum).abs() <= sum.abs() * SUM_SLACK
}

fn write_value(value: f64, out: &mut Vec<u8>) -> u8 {
    let decimal =
        exponent_of(value).and_then(|exponent| Some((exponent, to_whole(value, exponent)?)));
    if let Some((exponent, whole)) = decimal {
        write_signed(whole, out);
        return exponent;
    }
    out.extend_from_slice(&value.to_le_bytes());
    DOUBLES
}

fn write_values(values: &Values<f64>, moments: &Moments, out: &mut Vec<u8>) -> u8 {
    let (sum, m2) = (moments.sum(), moments.m2());
    let Some((exponent, whole)) = decimals(values) else {
        for double in [values.min, values.max, values.first, values.last, sum, m2] {
            out.extend_from_slice(&double.to_le_bytes());
        }
        return DOUBLES | DOUBLE_SUM | DOUBLE_M2;
    };
    write_signed(whole.min, out);
    for above in [whole.max, whole.first, whole.last] {
        write_unsigned((above - whole.min).cast_unsigned(), out);
    }
    let mut flags = exponent;
    if let Some(excess) = whole_sum(moments, whole.min, exponent) {
        flags |= WHOLE_SUM;
        write_unsigned(excess, out);
    } else {
        flags |= DOUBLE_SUM;
        out.extend_from_slice(&sum.to_le_bytes());
    }
    if let Some(whole) = whole_m2(moments, exponent) {
        write_unsigned(whole, out);
    } else {
        flags |= DOUBLE_M2;
        out.extend_from_slice(&m2.to_le_bytes());
    }
    flags
}

/// The values as whole numbers of the fewest decimal places that hold all of them.
fn decimals(values: &Values<f64>) -> Option<(u8, Values<i64>)> {
    (exponent_of(values.max)?..=EXPONENT_MAX).find_map(|exponent| {
        let whole = |value| to_whole(value, exponent);
        let (max, min) = (whole(values.max)?, whole(values.min)?);
        let (first, last) = (whole(values.first)?, whole(values.last)?);
        Some((exponent, Values { min, max, first, last }))
    })
}

/// By how much the sum is more than `count` times the smallest value.
fn whole_sum(moments: &Moments, min: i64, exponent: u8) -> Option<u64> {
    let sum = moments.sum();
    let whole = scaled(sum, exponent);
    let is_near = (from_whole(whole, exponent) - sum).abs() <= sum.abs() * SUM_SLACK;
    if whole.unsigned_abs() > WHOLE_SUM_MAX || !is_near {
        return None;
    }
    let least = i64::try_from(moments.count).ok()?.checked_mul(min)?;
    whole.checked_sub(least)?.try_into().ok()
}

/// M2 × `count`, of the values as whole numbers.
fn whole_m2(moments: &Moments, exponent: u8) -> Option<u64> {
    let m2 = moments.m2();
    let unit = moments.count as f64 * SQUARES[usize::from(exponent)];
    let whole = (m2 * unit + 0.5) as u64;
    let is_near = (whole as f64 / unit - m2).abs() <= m2 * M2_SLACK;
    (whole <= WHOLE_M2_MAX && is_near).then_some(whole)
}

/// Reads what [`write`] wrote; `None` for anything that cannot be of a window.
pub(super) fn read(input: &mut Input<'_>, slot: &Slot, attributes: u32) -> Option<Window> {
    let flags = input.byte()?;
    let kind = flags & KIND;
    let attributes =
        if flags & ATTRIBUTES == 0 { attributes } else { u32::try_from(input.unsigned()?).ok()? };
    let count = match kind {
        ONE => 1,
        _ => input.unsigned().filter(|count| (2..=COUNT_MAX).contains(count))?,
    };
    let first_at = slot.start.checked_add_unsigned(input.unsigned()?)?;
    let last_at = match kind {
        ONE => first_at,
        _ => slot.end.checked_sub_unsigned(input.unsigned()?)?,
    };
    let (values, moments) = match kind {
        ONE | EQUAL => read_equal(input, flags, count)?,
        _ => read_values(input, flags, count)?,
    };
    let in_order = first_at <= last_at && last_at <= slot.end;
    let Values { min, max, first, last } = values;
    let is_extent = |value: f64| min <= value && value <= max;
    let is_possible = in_order && is_extent(first) && is_extent(last);
    let is_finite = min.is_finite() && max.is_finite();
    let ends = Ends {
        first_at: UnixMillis(first_at),
        first_value: first,
        last_at: UnixMillis(last_at),
        last_value: last,
    };
    let statistics = Statistics { moments, extent: Extent { min, max }, ends };
    let window = Window { start: UnixMillis(slot.start), statistics, attributes };
    (is_possible && is_finite).then_some(window)
}

fn read_equal(input: &mut Input<'_>, flags: u8, count: u64) -> Option<(Values<f64>, Moments)> {
    let value = match flags & EXPONENT {
        DOUBLES => double(input)?,
        exponent if exponent <= EXPONENT_MAX => from_whole(input.signed()?, exponent),
        _ => return None,
    };
    let sum = count as f64 * value;
    let values = Values { min: value, max: value, first: value, last: value };
    let is_known = flags & DOUBLE_M2 == 0 && sum.is_finite();
    is_known.then(|| (values, Moments::restored(count, sum, 0.0)))
}

fn read_values(input: &mut Input<'_>, flags: u8, count: u64) -> Option<(Values<f64>, Moments)> {
    let exponent = flags & EXPONENT;
    if exponent == DOUBLES {
        let values = Values {
            min: double(input)?,
            max: double(input)?,
            first: double(input)?,
            last: double(input)?,
        };
        let (sum, m2) = (double(input)?, double(input)?);
        let is_known = flags & KIND == DOUBLE_SUM && flags & DOUBLE_M2 != 0;
        return (is_known && is_m2(m2)).then(|| (values, Moments::restored(count, sum, m2)));
    }
    if exponent > EXPONENT_MAX {
        return None;
    }
    let min = input.signed()?;
    let mut above = || Some(from_whole(min.checked_add_unsigned(input.unsigned()?)?, exponent));
    let (max, first, last) = (above()?, above()?, above()?);
    let values = Values { min: from_whole(min, exponent), max, first, last };
    let sum = if flags & KIND == WHOLE_SUM {
        let least = i64::try_from(count).ok()?.checked_mul(min)?;
        from_whole(least.checked_add_unsigned(input.unsigned()?)?, exponent)
    } else {
        double(input)?
    };
    let m2 = if flags & DOUBLE_M2 == 0 {
        input.unsigned()? as f64 / (count as f64 * SQUARES[usize::from(exponent)])
    } else {
        double(input)?
    };
    is_m2(m2).then(|| (values, Moments::restored(count, sum, m2)))
}

/// Squares have no negative sum. What overflowed may be not a number, or infinite of either sign.
fn is_m2(m2: f64) -> bool {
    m2 >= 0.0 || !m2.is_finite()
}

fn double(input: &mut Input<'_>) -> Option<f64> {
    input.array().map(f64::from_le_bytes)
}
