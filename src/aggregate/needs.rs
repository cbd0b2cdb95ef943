//! What folding has to know of Redis before it can go on, and the answers. No I/O, no clock.

use std::collections::HashSet;

use super::fold::Fold;
use super::series::{Slot, sensor_of};
use super::state::State;
use crate::history::{OpenEnd, Span, Versions};
use crate::message::Control;
use crate::reading::write_field;

/// What must be loaded before a batch can be folded or sealed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Fields of states.
    pub states: Vec<Box<[u8]>>,
    /// Sensors whose types are needed.
    pub types: Vec<Box<str>>,
    /// Numbers of series whose attributes are needed.
    pub attributes: Vec<u64>,
    /// Newest blocks, by span and series number.
    pub blocks: Vec<(Span, u64)>,
    /// What all blocks of a span and series take, to be removed.
    pub footprints: Vec<(Span, u64)>,
}

impl Needs {
    /// Whether nothing is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The answer to [`Needs`], in the same order.
#[derive(Debug, Default)]
pub struct Loaded {
    /// `None`: the series has no state.
    pub states: Vec<Option<(State, OpenEnd)>>,
    /// Types joined by NUL; empty for a sensor that is not known.
    pub types: Vec<String>,
    /// Attributes.
    pub attributes: Vec<StoredAttributes>,
    /// `None`: there is no block.
    pub blocks: Vec<Option<Vec<u8>>>,
    /// What blocks take.
    pub footprints: Vec<Footprint>,
}

/// The attributes of a series as they are stored.
#[derive(Debug, Default)]
pub struct StoredAttributes {
    /// JSON of the newest.
    pub newest: Option<Vec<u8>>,
    /// The list of versions, when there is more than one.
    pub versions: Option<Vec<u8>>,
}

/// What the blocks of one series in one span take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Whether there is a newest block.
    pub is_there: bool,
    /// How many full blocks stand before it.
    pub full: u32,
    /// What all of them take in memory.
    pub bytes: u64,
}

/// What was asked for last, by place.
#[derive(Debug, Default)]
pub(super) struct Asked {
    states: Vec<Slot>,
    types: Vec<Box<str>>,
    attributes: Vec<Slot>,
}

impl Fold {
    /// What must be loaded before [`Fold::fold`]. Ask again after [`Fold::load`]: what else is
    /// needed is only known once states and types are there.
    pub fn needs(&mut self) -> Needs {
        let mut needs = Needs::default();
        let mut asked = Asked::default();
        let mut seen = HashSet::new();
        for reading in &self.batch.readings {
            if !self.table[reading.slot].is_loaded && seen.insert(reading.slot) {
                asked.states.push(reading.slot);
            }
        }
        self.need_for_controls(&mut asked, &mut seen);
        if asked.states.is_empty() && asked.types.is_empty() {
            self.need_types_and_attributes(&mut needs, &mut asked);
        }
        needs.states = asked.states.iter().map(|slot| self.table[*slot].field.clone()).collect();
        needs.types.clone_from(&asked.types);
        self.asked = asked;
        needs
    }

    /// A sensor that is to be deleted must be known with all its types.
    fn need_for_controls(&mut self, asked: &mut Asked, seen: &mut HashSet<Slot>) {
        let mut field = Vec::new();
        for message in &self.batch.messages {
            let Some(Control::Delete { sensor_id }) = &message.control else { continue };
            let Some(types) = self.types.get(sensor_id) else {
                if !asked.types.contains(sensor_id) {
                    asked.types.push(sensor_id.clone());
                }
                continue;
            };
            for sensor_type in types.split('\0').filter(|it| !it.is_empty()) {
                field.clear();
                write_field(sensor_id, sensor_type, &mut field);
                let slot = self.table.intern(&field);
                if !self.table[slot].is_loaded && seen.insert(slot) {
                    asked.states.push(slot);
                }
            }
        }
    }

    fn need_types_and_attributes(&self, needs: &mut Needs, asked: &mut Asked) {
        let mut types = HashSet::new();
        let mut numbers = HashSet::new();
        for reading in &self.batch.readings {
            let series = &self.table[reading.slot];
            let number = series.state.number;
            if number == 0 {
                let sensor = sensor_of(&series.field);
                if !self.types.contains_key(sensor) && types.insert(sensor) {
                    asked.types.push(sensor.into());
                }
            } else if reading.attributes != series.state.attributes
                && series.versions.is_none()
                && !series.is_new_in_batch()
                && numbers.insert(number)
            {
                needs.attributes.push(number);
                asked.attributes.push(reading.slot);
            }
        }
    }

    /// Takes in the answer to the last [`Fold::needs`].
    pub fn load(&mut self, loaded: Loaded) {
        let asked = std::mem::take(&mut self.asked);
        for (slot, state) in asked.states.into_iter().zip(loaded.states) {
            let series = &mut self.table[slot];
            (series.state, series.open) = state.unwrap_or_default();
            series.floor = series.state.applied;
            series.is_loaded = true;
        }
        for (slot, stored) in asked.attributes.into_iter().zip(loaded.attributes) {
            let series = &mut self.table[slot];
            let state = &series.state;
            let listed = stored.versions.as_deref().and_then(Versions::parse);
            series.versions = Some(Box::new(listed.unwrap_or_else(|| {
                let newest = stored.newest.as_deref().unwrap_or(b"null");
                let newest = String::from_utf8_lossy(newest);
                Versions::begin(state.version, state.attributes, &newest)
            })));
        }
        self.types.extend(asked.types.into_iter().zip(loaded.types));
    }
}
