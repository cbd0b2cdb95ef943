//! Folding: batches into states. No I/O, no clock.
//!
//! The order is: [`Fold::take`] entries, ask [`Fold::needs`] until nothing is needed and answer
//! with [`Fold::load`], then [`Fold::fold`], and in the end [`Fold::plan`] what is to be written.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::batch::{Batch, Decomposer, Numbers};
use super::needs::Asked;
use super::series::{Slot, Table, sensor_of, type_of};
use super::topics::{Last, Topics};
use crate::history::{
    DAY_MS, Inventory, Resolution, Retentions, Span, StoredReading, Versions, after,
};
use crate::message::Control;
use crate::payload::NaiveTime;
use crate::reading::UnixMillis;
use crate::statistic::Statistic;
use crate::stream::commit::SERIES_PER_CALL_MAX;
use crate::stream::{Entry, EntryId, Meta, Position, ProducerMark};

/// What folding has to know.
#[derive(Clone, Debug)]
pub struct FoldConfig {
    /// Series that the shard may have; readings of others are counted under an overflow.
    pub series_max: u64,
    /// How long history is kept.
    pub retentions: Retentions,
    /// What a timestamp without zone means.
    pub naive_time: NaiveTime,
}

/// A shard's series and the batch in hand.
pub(super) struct Fold {
    pub(super) config: FoldConfig,
    pub(super) meta: Meta,
    pub(super) table: Table,
    pub(super) batch: Batch,
    /// Slots that the batch changed, in the order of their first change.
    pub(super) dirty: Vec<Slot>,
    /// Types of the sensors of new series and of those to be deleted, joined by NUL.
    pub(super) types: HashMap<Box<str>, String>,
    /// Producers that the batch heard of.
    pub(super) heard: HashSet<crate::stream::ProducerId>,
    /// What the answer to the last [`super::needs::Needs`] is for.
    pub(super) asked: Asked,
    /// What the shard keeps of history.
    pub(super) inventory: Inventory,
    /// Spans that go with the batch.
    pub(super) evicting: BTreeSet<Span>,
    /// Series that one call writes at most.
    pub(super) series_per_call_max: usize,
    decomposer: Decomposer,
}

/// What became of one reading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Counted,
    Retained,
    Overflow,
}

impl Fold {
    pub fn new(config: FoldConfig) -> Self {
        Self {
            decomposer: Decomposer::new(config.naive_time.clone()),
            config,
            meta: Meta::default(),
            table: Table::default(),
            batch: Batch::default(),
            dirty: Vec::new(),
            types: HashMap::new(),
            heard: HashSet::new(),
            asked: Asked::default(),
            inventory: Inventory::default(),
            evicting: BTreeSet::new(),
            series_per_call_max: SERIES_PER_CALL_MAX,
        }
    }

    /// Forgets everything in memory and begins from what is committed.
    pub fn begin(&mut self, meta: Meta, inventory: Inventory) {
        self.meta = meta;
        self.inventory = inventory;
        self.table.clear();
        self.clear_batch();
        self.decomposer.topics.begin();
    }

    /// What is known of the topics.
    pub(super) const fn topics(&mut self) -> &mut Topics {
        &mut self.decomposer.topics
    }

    /// The batch is committed: what it changed is what Redis holds now.
    pub fn committed(&mut self) {
        for slot in std::mem::take(&mut self.dirty) {
            let series = &mut self.table[slot];
            if series.state.number == 0 {
                self.table.forget(slot);
                continue;
            }
            series.dirty = None;
            series.versions = None;
            series.has_other_attributes = false;
            series.floor = series.state.applied;
        }
        self.clear_batch();
    }

    fn clear_batch(&mut self) {
        self.batch = Batch::default();
        self.dirty.clear();
        self.types.clear();
        self.heard.clear();
        self.evicting.clear();
        self.asked = Asked::default();
    }

    /// Takes entries in, in the order of their ids.
    pub fn take(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.batch.ids.push(entry.id);
            self.batch.bytes += entry.bytes();
            if self.is_news(entry) {
                let Self { decomposer, batch, table, meta, .. } = self;
                decomposer.take(entry, batch, table, &mut meta.totals);
            }
        }
    }

    /// Whether an entry has not been folded before; keeps the producers' numbers.
    fn is_news(&mut self, entry: &Entry) -> bool {
        let Some(header) = entry.header else {
            self.meta.totals.foreign += entry.len() as u64;
            return true;
        };
        let mark = self.meta.producers.get(&header.producer);
        if mark.is_some_and(|mark| header.number <= mark.number) {
            self.meta.totals.resent += header.messages;
            return false;
        }
        // The first number of a producer that is not known is taken as it is, but what it wrote
        // before is not here: the data set was emptied, or entries were removed.
        let before = header.total.saturating_sub(header.messages);
        self.meta.totals.lost += before.saturating_sub(mark.map_or(0, |mark| mark.total));
        let mark =
            ProducerMark { number: header.number, total: header.total, seen_ms: entry.id.ms };
        self.meta.producers.insert(header.producer, mark);
        self.heard.insert(header.producer);
        true
    }

    /// Folds everything taken. Nothing may be needed any more. `now` is the wall clock: what
    /// is kept counts from it.
    pub fn fold(&mut self, now: UnixMillis) {
        let messages = std::mem::take(&mut self.batch.messages);
        let readings = std::mem::take(&mut self.batch.readings);
        let mut rest = &readings[..];
        for message in &messages {
            let from = readings.len() - rest.len();
            let (own, others) = rest.split_at(message.readings as usize);
            rest = others;
            if let Some(refusal) = message.refused {
                self.meta.totals.dead[refusal.index()] += 1;
                if let Some(topic) = message.topic {
                    self.topics().refused(topic);
                }
                continue;
            }
            if let Some(Control::Delete { sensor_id }) = &message.control {
                self.delete(sensor_id, message.position);
                self.topics().deleted(sensor_id);
                self.meta.totals.control += 1;
                continue;
            }
            let (mut counted, mut retained) = (0, false);
            let beyond_before = self.meta.totals.late_beyond_windows;
            for reading in own {
                match self.fold_reading(reading, message.position, message.is_retained, now) {
                    Outcome::Counted => counted += 1,
                    Outcome::Retained => retained = true,
                    Outcome::Overflow => {}
                }
            }
            let totals = &mut self.meta.totals;
            totals.readings += counted;
            let (total, last) = match (counted, retained) {
                (0, false) => (&mut totals.overflow, Last::Overflow),
                (0, true) => (&mut totals.retained, Last::Retained),
                _ => (&mut totals.decoded, Last::Counted),
            };
            *total += 1;
            if let Some(topic) = message.topic {
                let beyond = self.meta.totals.late_beyond_windows - beyond_before;
                self.topics().folded(topic, counted, (from, from + own.len()), last);
                self.topics().beyond_windows(topic, beyond);
            }
        }
        self.decomposer.topics.settle(&self.table, &readings);
        for reading in &readings {
            let series = &self.table[reading.slot];
            if series.is_loaded && series.state.number == 0 && series.dirty.is_none() {
                self.table.forget(reading.slot);
            }
        }
        // Their memory serves the next batch.
        self.batch.messages = messages;
        self.batch.readings = readings;
        self.batch.messages.clear();
        self.batch.readings.clear();
    }

    fn fold_reading(
        &mut self,
        reading: &Numbers,
        position: Position,
        is_retained: bool,
        now: UnixMillis,
    ) -> Outcome {
        let series = &mut self.table[reading.slot];
        if series.state.number > 0 && position <= series.floor {
            return Outcome::Counted;
        }
        let ends = &series.state.statistics.ends;
        let is_new = series.state.number == 0;
        if is_retained && !is_new && !(reading.is_timed && reading.measured_at > ends.last_at) {
            return Outcome::Retained;
        }
        if is_new {
            if self.meta.series >= self.config.series_max {
                return Outcome::Overflow;
            }
            self.meta.series += 1;
            self.meta.next += 1;
            series.state.number = self.meta.next;
        }
        let (dirty, is_first) = series.touch();
        dirty.is_new |= is_new;
        let day = reading.measured_at.0.div_euclid(DAY_MS);
        if dirty.day.replace(day) != Some(day) {
            self.batch.days += 1;
        }
        if is_first {
            self.dirty.push(reading.slot);
            let written_at = i64::try_from(series.floor.entry.ms).unwrap_or(i64::MAX);
            series.open.forget(UnixMillis(written_at), now, &self.config.retentions);
        }
        if is_new {
            self.name_type(reading.slot);
        }
        let attributes = self.version_of(reading, now);
        let stored =
            StoredReading { measured_at: reading.measured_at, value: reading.value, attributes };
        let series = &mut self.table[reading.slot];
        series.state.statistics.fold(reading.value, reading.measured_at);
        if !is_new {
            let gap_ms = position.entry.ms.saturating_sub(series.state.applied.entry.ms);
            series.state.interval = series.state.interval.after(gap_ms);
        }
        series.state.applied = position;
        series.open.keep(stored, now);
        let mut is_in_window = false;
        for resolution in Resolution::ALL {
            let start = resolution.start_of(reading.measured_at);
            let end = UnixMillis(start.0.saturating_add(resolution.window_ms()));
            let retention = self.config.retentions.of(resolution.shelf().share());
            if after(end, retention) > now {
                series.open.windows_mut(resolution).fold(resolution, &stored);
                is_in_window = true;
            }
        }
        self.meta.totals.late_beyond_windows += u64::from(!is_in_window);
        Outcome::Counted
    }

    /// Adds a new series' type to those of its sensor.
    fn name_type(&mut self, slot: Slot) {
        let series = &self.table[slot];
        let (sensor, new) = (sensor_of(&series.field), type_of(&series.field));
        let types = self.types.entry(sensor.into()).or_default();
        if types.split('\0').all(|known| *known != *new) {
            if !types.is_empty() {
                types.push('\0');
            }
            types.push_str(&new);
        }
    }

    /// The version of a reading's attributes; a reading that is the latest puts them in force.
    fn version_of(&mut self, reading: &Numbers, now: UnixMillis) -> u32 {
        let series = &mut self.table[reading.slot];
        let state = &mut series.state;
        let Some(dirty) = &mut series.dirty else { return state.version };
        if reading.attributes == state.attributes {
            return state.version;
        }
        if state.attributes == 0 {
            (state.attributes, state.version) = (reading.attributes, 1);
            dirty.attributes = Some(reading.attributes);
            return 1;
        }
        let text = |hash: u64| self.batch.attributes.get(&hash).map_or("null", String::as_str);
        let versions = series.versions.get_or_insert_with(|| {
            // A series that is new in this batch; for all others they were loaded.
            Box::new(Versions::begin(state.version, state.attributes, text(state.attributes)))
        });
        let keep = self.config.retentions.longest();
        let new = (reading.attributes, text(reading.attributes));
        if reading.measured_at < state.statistics.ends.last_at {
            return versions.late(state.version, new, now, keep);
        }
        state.version = versions.change(state.version, new, now, keep);
        state.attributes = reading.attributes;
        dirty.attributes = Some(reading.attributes);
        state.version
    }

    /// The entries of the batch.
    pub fn uncommitted(&self) -> &[EntryId] {
        &self.batch.ids
    }
}
