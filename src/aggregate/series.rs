//! The series that an owner holds in memory, and what is to be written of each.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::needs::Footprint;
use super::state::State;
use crate::history::{OpenEnd, SealedBlock, Sealing, Span, Versions};
use crate::reading::SeriesKey;
use crate::stream::Position;

/// The place of a series in [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// What of its history is in no block yet.
    pub open: OpenEnd,
    /// What `applied` was when it was loaded or last committed: a message at or before it was
    /// folded already. Within a batch positions only rise, so `state.applied` need not be asked,
    /// and one message can bring several readings of one series.
    pub floor: Position,
    /// The versions of its attributes, while a batch needs them.
    pub versions: Option<Box<Versions>>,
    /// Whether readings with other attributes than the state's came in this batch.
    pub has_other_attributes: bool,
    /// What is to be written.
    pub dirty: Option<Box<Dirty>>,
}

/// What a batch changed of a series, beside its state.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Whether the series is new, and so the index of its sensor has to name its type.
    pub is_new: bool,
    /// Hash of the attributes to be written; their text is with the batch.
    pub attributes: Option<u64>,
    /// What moves into blocks, until these are loaded.
    pub sealing: Option<Sealing>,
    /// Blocks to be written.
    pub blocks: Vec<SealedBlock>,
    /// What was deleted of it: all its state, blocks and attributes under these numbers.
    pub removed: Vec<Removed>,
    /// The day of the last reading, to count how many days a batch touches.
    pub day: Option<i64>,
}

/// A series that was deleted.
#[derive(Debug)]
pub(super) struct Removed {
    /// The number that it had.
    pub number: u64,
    /// Its blocks, once they are known.
    pub blocks: Vec<(Span, Footprint)>,
}

impl Series {
    /// What is to be written of it; the slot is new to the batch when there was nothing yet.
    pub fn touch(&mut self) -> (&mut Dirty, bool) {
        let is_first = self.dirty.is_none();
        (self.dirty.get_or_insert_default(), is_first)
    }

    /// Whether it began in this batch, so that Redis knows nothing of it under its number.
    pub fn is_new_in_batch(&self) -> bool {
        self.dirty.as_ref().is_some_and(|dirty| dirty.is_new)
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
