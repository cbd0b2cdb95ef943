//! Sealing: the open end of a series moves into blocks. No I/O, no clock.
//!
//! [`Sealing::of`] takes what waits and says which spans it belongs to; whoever has the newest
//! blocks of these spans gives them to [`Sealing::into_blocks`], which merges and says what is to
//! be written. Late readings go the same way to their own place in time. A block is written anew
//! until it holds [`READINGS_PER_BLOCK_MAX`] readings, and never changes after that: a reading is
//! written five times or so in all, and a block costs a field only once.

use std::collections::BTreeMap;

use super::codec::readings::{self, READINGS_PER_BLOCK_MAX};
use super::codec::{Unreadable, windows};
use super::open::{OpenEnd, merge_windows};
use super::span::{Resolution, Shelf, Span, StoredReading};
use super::window::Window;

/// A series that sends more often than this has its readings by the hour, a slower one by the
/// day: 0.1 Hz (design §5).
const SLOW_GAP_MS: i64 = 10_000;

/// What moves into blocks, by span.
#[derive(Debug, Default, PartialEq)]
pub struct Sealing {
    readings: BTreeMap<Span, Vec<StoredReading>>,
    windows: BTreeMap<Span, (Resolution, Vec<Window>)>,
}

/// What is to be written for one series and span.
#[derive(Debug, PartialEq)]
pub struct SealedBlock {
    /// Where.
    pub span: Span,
    /// Full blocks that begin here: number and bytes.
    pub full: Vec<(u32, Vec<u8>)>,
    /// The newest block.
    pub newest: Vec<u8>,
    /// How long the newest block was that this one replaces; `None` when there was none.
    pub replaced: Option<usize>,
    /// Whether that one could not be read, so that what was in it is lost.
    pub is_damaged: bool,
}

impl Sealing {
    /// Takes out of an open end everything but the newest window of each resolution.
    #[must_use]
    pub fn of(open: &mut OpenEnd) -> Self {
        let mut sealing = Self::default();
        let tail = std::mem::take(&mut open.tail);
        let mut readings: Vec<StoredReading> = tail.readings().collect();
        // Stable: readings of one time stay in order of arrival.
        readings.sort_by_key(|reading| reading.measured_at);
        let shelf = shelf_of(&readings);
        for reading in readings {
            let span = Span::of(shelf, reading.measured_at);
            sealing.readings.entry(span).or_default().push(reading);
        }
        for resolution in Resolution::ALL {
            for window in open.windows_mut(resolution).take_closed(resolution) {
                let span = Span::of(resolution.shelf(), window.start);
                let of_span = sealing.windows.entry(span);
                of_span.or_insert_with(|| (resolution, Vec::new())).1.push(window);
            }
        }
        sealing
    }

    /// The spans whose newest blocks are needed, in order.
    pub fn spans(&self) -> impl Iterator<Item = Span> {
        self.readings.keys().chain(self.windows.keys()).copied()
    }

    /// Merges with the newest blocks, given in the order of [`Sealing::spans`]; `None` where a
    /// span has none.
    ///
    /// # Errors
    /// [`Unreadable::Version`]: a newer version of the program wrote a block. One that is damaged
    /// is replaced instead, and says so.
    pub fn into_blocks(
        self,
        loaded: impl IntoIterator<Item = Option<Vec<u8>>>,
    ) -> Result<Vec<SealedBlock>, Unreadable> {
        let mut loaded = loaded.into_iter();
        let mut blocks = Vec::with_capacity(self.readings.len() + self.windows.len());
        for (span, readings) in self.readings {
            blocks.push(readings_block(span, readings, loaded.next().flatten())?);
        }
        for (span, (resolution, windows)) in self.windows {
            blocks.push(windows_block(span, resolution, windows, loaded.next().flatten())?);
        }
        Ok(blocks)
    }
}

/// By how far most readings are apart: the median, which single late ones do not move.
fn shelf_of(ascending: &[StoredReading]) -> Shelf {
    let mut gaps: Vec<i64> = ascending
        .windows(2)
        .map(|pair| pair[1].measured_at.0.saturating_sub(pair[0].measured_at.0))
        .collect();
    if gaps.is_empty() {
        return Shelf::ReadingsByDay;
    }
    let middle = gaps.len() / 2;
    let (_, median, _) = gaps.select_nth_unstable(middle);
    if *median <= SLOW_GAP_MS { Shelf::ReadingsByHour } else { Shelf::ReadingsByDay }
}

fn readings_block(
    span: Span,
    new: Vec<StoredReading>,
    old: Option<Vec<u8>>,
) -> Result<SealedBlock, Unreadable> {
    let replaced = old.as_ref().map(Vec::len);
    let mut all = Vec::new();
    let mut is_damaged = false;
    let mut first = 0;
    if let Some(old) = old {
        match readings::decode(&old, &mut all) {
            Ok(full) => first = full,
            Err(error @ Unreadable::Version(_)) => return Err(error),
            Err(_damaged) => {
                all.clear();
                is_damaged = true;
                // Full blocks before it, if that much can be known, stay.
                first = readings::full_blocks(&old).unwrap_or(0);
            }
        }
    }
    all.extend(new);
    all.sort_by_key(|reading| reading.measured_at);
    let mut full = Vec::new();
    let mut rest = &all[..];
    while rest.len() > READINGS_PER_BLOCK_MAX {
        let (head, others) = rest.split_at(READINGS_PER_BLOCK_MAX);
        full.push((first, readings::encode(first, head)));
        first = first.saturating_add(1);
        rest = others;
    }
    Ok(SealedBlock { span, full, newest: readings::encode(first, rest), replaced, is_damaged })
}

fn windows_block(
    span: Span,
    resolution: Resolution,
    new: Vec<Window>,
    old: Option<Vec<u8>>,
) -> Result<SealedBlock, Unreadable> {
    let replaced = old.as_ref().map(Vec::len);
    let mut all = Vec::new();
    let mut is_damaged = false;
    if let Some(old) = old {
        match windows::decode(&old, resolution, &mut all) {
            Ok(()) => {}
            Err(error @ Unreadable::Version(_)) => return Err(error),
            Err(_damaged) => {
                all.clear();
                is_damaged = true;
            }
        }
    }
    all.extend(new);
    let newest = windows::encode(&merge_windows(all), resolution);
    Ok(SealedBlock { span, full: Vec::new(), newest, replaced, is_damaged })
}
