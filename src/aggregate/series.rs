//! The series that an owner holds in memory, and what is to be written of each.

use std::collections::HashMap;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::batch::Numbers;
use super::state::State;
use crate::history::{self, BLOCK_BYTES_MAX, Kept, OpenBlock, POINT_BYTES, Spans};
use crate::reading::{SeriesKey, UnixMillis};
use crate::stream::Position;
use crate::stream::commit::{BlockWrite, SpansWrite};

/// The place of a series in [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

/// One series in memory.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Its field in the states.
    pub field: Box<[u8]>,
    /// Whether `state` is what Redis holds, or known not to be there.
    pub is_loaded: bool,
    /// Its number is 0 until the first reading is folded.
    pub state: State,
    /// What `applied` was when it was loaded or last committed: a message at or before it was
    /// folded already. Within a batch positions only rise, so `state.applied` need not be asked,
    /// and one message can bring several readings of one series.
    pub floor: Position,
    /// Its blocks, while a batch needs them.
    pub spans: Option<Spans>,
    /// Whether readings with other attributes than the state's came in this batch.
    pub has_other_attributes: bool,
    /// The newest block whose expiry was written, and that expiry.
    pub expiry: Option<(i64, UnixMillis)>,
    /// What is to be written.
    pub dirty: Option<Box<Dirty>>,
}

/// What a batch changed of a series, beside its state.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    pub blocks: Blocks,
    pub spans: SpansWrite,
    /// Whether the spans that have expired were looked for: once per batch is enough.
    pub is_pruned: bool,
    /// Hash of the attributes to be written; their text is with the batch.
    pub attributes: Option<u64>,
    /// Whether the series is new, and so the index of its sensor has to name its type.
    pub is_new: bool,
}

/// The history blocks that a batch writes of a series, in the order of their first change.
///
/// Nearly always one. But a sensor may send what it had kept for years, a reading for each hour,
/// so that from the second block on they are found by a map.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    writes: Vec<BlockWrite>,
    places: HashMap<i64, usize>,
}

impl Blocks {
    /// How many.
    pub const fn len(&self) -> usize {
        self.writes.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &BlockWrite> {
        self.writes.iter()
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut BlockWrite> {
        self.writes.iter_mut()
    }

    /// The block of a span, made by `new` when it is not there yet.
    fn of(&mut self, span: i64, new: impl FnOnce() -> BlockWrite) -> &mut BlockWrite {
        let found = match &self.writes[..] {
            [] => None,
            [only] => (only.span == span).then_some(0),
            [_, _, ..] => self.places.get(&span).copied(),
        };
        let place = found.unwrap_or_else(|| {
            if let [only] = &self.writes[..] {
                self.places.insert(only.span, 0);
            }
            let place = self.writes.len();
            if place > 0 {
                self.places.insert(span, place);
            }
            self.writes.push(new());
            place
        });
        &mut self.writes[place]
    }
}

impl From<Blocks> for Vec<BlockWrite> {
    fn from(blocks: Blocks) -> Self {
        blocks.writes
    }
}

/// All series in memory, found by field.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: HashTable<u32>,
    series: Vec<Series>,
    free: Vec<u32>,
}

impl Table {
    /// The slot of a series; one that is not there is added, not loaded.
    pub fn intern(&mut self, field: &[u8]) -> Slot {
        let hash = xxh3_64(field);
        let series = &mut self.series;
        if let Some(&place) =
            self.places.find(hash, |&place| *series[place as usize].field == *field)
        {
            return Slot(place);
        }
        let fresh = Series { field: field.into(), ..Series::default() };
        let place = match self.free.pop() {
            Some(place) => {
                series[place as usize] = fresh;
                place
            }
            None => {
                series.push(fresh);
                u32::try_from(series.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let rehash = |&place: &u32| xxh3_64(&series[place as usize].field);
        self.places.insert_unique(hash, place, rehash);
        Slot(place)
    }

    /// Forgets a series that turned out to have no state.
    pub fn forget(&mut self, slot: Slot) {
        let hash = xxh3_64(&self[slot].field);
        if let Ok(found) = self.places.find_entry(hash, |&place| place == slot.0) {
            found.remove();
            self.series[slot.0 as usize] = Series::default();
            self.free.push(slot.0);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl std::ops::Index<Slot> for Table {
    type Output = Series;

    fn index(&self, slot: Slot) -> &Series {
        &self.series[slot.0 as usize]
    }
}

impl std::ops::IndexMut<Slot> for Table {
    fn index_mut(&mut self, slot: Slot) -> &mut Series {
        &mut self.series[slot.0 as usize]
    }
}

impl Series {
    /// Puts a reading into the block of its span; `false` when that is full.
    pub fn keep(
        &mut self,
        reading: &Numbers,
        clipped: impl Fn(u64, i64, u32) -> u32,
        expires: impl Fn(i64) -> UnixMillis,
        now: UnixMillis,
    ) -> bool {
        let Some(dirty) = &mut self.dirty else { return false };
        let number = self.state.number;
        let span = history::span_of(reading.measured_at);
        let open = &mut self.state.open;
        let spans = self.spans.get_or_insert_default();
        if span > open.span || open.bytes == 0 {
            // The new span closes the open block: its final length goes into the index.
            if open.bytes > 0 {
                let kept = Kept { bytes: open.bytes, expires_at: expires(open.span) };
                spans.set(open.span, kept);
                dirty.spans.note(open.span, kept.to_string(), kept.expires_at);
            }
            *open = OpenBlock { span, bytes: spans.end_of(span, now) };
            let kept = Kept { bytes: open.bytes, expires_at: expires(span) };
            spans.set(span, kept);
            dirty.spans.note(span, kept.to_string(), kept.expires_at);
            if !std::mem::replace(&mut dirty.is_pruned, true) {
                dirty.spans.drop.extend(spans.prune(now, span));
            }
        }
        let is_open = span == open.span;
        let block = dirty.blocks.of(span, || {
            let recorded = if is_open { open.bytes } else { spans.end_of(span, now) };
            let offset = clipped(number, span, recorded);
            BlockWrite { span, offset, bytes: Vec::new(), expires_at: Some(expires(span)) }
        });
        let end = block.offset as usize + block.bytes.len() + POINT_BYTES;
        let Some(end) = u32::try_from(end).ok().filter(|end| *end <= BLOCK_BYTES_MAX) else {
            return false;
        };
        history::write_point(reading.measured_at, reading.value, &mut block.bytes);
        let expires_at = expires(span);
        block.expires_at = Some(expires_at);
        if is_open {
            open.bytes = end;
        } else {
            let kept = Kept { bytes: end, expires_at };
            spans.set(span, kept);
            dirty.spans.note(span, kept.to_string(), kept.expires_at);
        }
        true
    }
}

/// The sensor id in a series' field.
pub(super) fn sensor_of(field: &[u8]) -> &str {
    let id = field.split(|byte| *byte == 0).next().unwrap_or_default();
    // Fields are made of text, so this never falls back.
    std::str::from_utf8(id).unwrap_or_default()
}

/// The type in a series' field.
pub(super) fn type_of(field: &[u8]) -> Box<str> {
    SeriesKey::from_field(field).map(|key| key.sensor_type).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_its_slot_until_it_is_forgotten() {
        let mut table = Table::default();
        let slots: Vec<Slot> =
            (0..1000).map(|n| table.intern(format!("s{n}\0t").as_bytes())).collect();
        for (n, slot) in slots.iter().enumerate() {
            assert_eq!(table.intern(format!("s{n}\0t").as_bytes()), *slot);
        }
        table.forget(slots[7]);
        let other = table.intern(b"other\0t");
        assert_eq!(other, slots[7]);
        assert_eq!(*table[other].field, *b"other\0t");
        assert_ne!(table.intern(b"s7\0t"), slots[7]);
    }
}
