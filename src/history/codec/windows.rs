//! Windows as bytes: a block of those of one span, or one alone. No I/O, no clock.
//!
//! A block is [`VERSION`], the number of windows, and the windows ascending by start. Starts
//! count in lengths of a window since 1970, because all begin at a multiple of it: the first of a
//! block as it is, the others as the distance from the one before, which is 1 where none is
//! missing. What stands behind each start is a record (`record.rs`). A window alone is its start
//! and its record.

mod record;
#[cfg(test)]
mod tests;

use super::Unreadable;
use super::varint::{Input, write_signed, write_unsigned};
use crate::history::{Resolution, Window};

/// The layout of a block, of its records and of a window alone.
pub const VERSION: u8 = 1;

/// The version of the attributes that needs no byte in the first record: most series never have
/// another.
const ATTRIBUTES_FIRST: u32 = 1;

/// More than most records take, with their start.
const RECORD_BYTES: usize = 32;

/// The windows of a series in one span, as one block. None make a block, too; more than a span
/// has room for make one that cannot be read.
///
/// # Panics
/// The windows are not ascending by start, or one of them is refused by [`write_window`].
#[must_use]
pub fn encode(windows: &[Window], resolution: Resolution) -> Vec<u8> {
    let mut block = Vec::with_capacity(2 + windows.len() * RECORD_BYTES);
    block.push(VERSION);
    write_unsigned(windows.len() as u64, &mut block);
    let Some((first, others)) = windows.split_first() else { return block };
    write_window(first, resolution, &mut block);
    let mut before = (Slot::of(first, resolution).number, first.attributes);
    for window in others {
        let slot = Slot::of(window, resolution);
        assert!(slot.number > before.0, "windows stand in a block ascending by start");
        write_unsigned((slot.number - before.0).cast_unsigned(), &mut block);
        record::write(window, &slot, before.1, &mut block);
        before = (slot.number, window.attributes);
    }
    block
}

/// Appends the windows of a block to `into`, ascending by start; no more than a span has room for.
///
/// # Errors
/// [`Unreadable`]: another version, or bytes that [`encode`] did not write for this resolution.
/// `into` is then as it was.
pub fn decode(
    bytes: &[u8],
    resolution: Resolution,
    into: &mut Vec<Window>,
) -> Result<(), Unreadable> {
    let mut input = Input(bytes);
    match input.byte() {
        Some(VERSION) => {}
        Some(version) => return Err(Unreadable::Version(version)),
        None => return Err(Unreadable::Damaged("version")),
    }
    let known = into.len();
    let read = read_windows(&mut input, resolution, into).filter(|()| input.0.is_empty());
    if read.is_none() {
        into.truncate(known);
    }
    read.ok_or(Unreadable::Damaged("windows"))
}

fn read_windows(
    input: &mut Input<'_>,
    resolution: Resolution,
    into: &mut Vec<Window>,
) -> Option<()> {
    let count = input.unsigned()?;
    if count == 0 {
        return Some(());
    }
    // A span has room for so many, which bounds what is allocated.
    into.reserve(usize::try_from(count).ok().filter(|&count| count <= per_span(resolution))?);
    let mut slot = Slot::numbered(input.signed()?, resolution)?;
    let mut window = record::read(input, &slot, ATTRIBUTES_FIRST)?;
    for _ in 1..count {
        let steps = input.unsigned().filter(|&steps| steps > 0)?;
        slot = Slot::numbered(slot.number.checked_add_unsigned(steps)?, resolution)?;
        let attributes = window.attributes;
        into.push(window);
        window = record::read(input, &slot, attributes)?;
    }
    into.push(window);
    Some(())
}

/// Appends one window, 7 to about 65 bytes.
///
/// # Panics
/// The window has no reading, does not start where one of this resolution does, or one of its
/// times lies outside of it: the caller's mistake, which no reading can bring about.
pub fn write_window(window: &Window, resolution: Resolution, out: &mut Vec<u8>) {
    let slot = Slot::of(window, resolution);
    out.reserve(RECORD_BYTES);
    write_signed(slot.number, out);
    record::write(window, &slot, ATTRIBUTES_FIRST, out);
}

/// Reads what [`write_window`] wrote; `None` when it is anything else.
#[must_use]
pub fn read_window(input: &mut Input<'_>, resolution: Resolution) -> Option<Window> {
    let slot = Slot::numbered(input.signed()?, resolution)?;
    record::read(input, &slot, ATTRIBUTES_FIRST)
}

/// The most windows of one span.
const fn per_span(resolution: Resolution) -> usize {
    (resolution.shelf().span_ms() / resolution.window_ms()) as usize
}

/// The place of a window in time. The first and the last of all are shorter, because they would
/// begin or end where no `i64` is.
struct Slot {
    /// Lengths of a window since 1970.
    number: i64,
    /// Its first millisecond.
    start: i64,
    /// Its last millisecond.
    end: i64,
}

impl Slot {
    fn of(window: &Window, resolution: Resolution) -> Self {
        let slot = Self::at(window.start.0.div_euclid(resolution.window_ms()), resolution);
        assert!(slot.start == window.start.0, "no window starts at {}", window.start.0);
        slot
    }

    /// `None` for a number beyond the edges of time.
    fn numbered(number: i64, resolution: Resolution) -> Option<Self> {
        let length = resolution.window_ms();
        let known = i64::MIN.div_euclid(length)..=i64::MAX.div_euclid(length);
        known.contains(&number).then(|| Self::at(number, resolution))
    }

    fn at(number: i64, resolution: Resolution) -> Self {
        let length = resolution.window_ms();
        let end = i128::from(number) * i128::from(length) + i128::from(length - 1);
        Self {
            number,
            start: number.saturating_mul(length),
            end: i64::try_from(end).unwrap_or(i64::MAX),
        }
    }
}
