//! Folding: batches into states. No I/O, no clock.
//!
//! The order is: [`Fold::take`] entries, ask [`Fold::needs`] until nothing is needed and answer
//! with [`Fold::load`], then [`Fold::fold`], and in the end [`Fold::plan`] what is to be written.

use std::collections::{HashMap, HashSet};

use super::batch::{Batch, Decomposer, Numbers};
use super::series::{Dirty, Series, Slot, Table, sensor_of};
use super::state::State;
use crate::history::{self, POINT_BYTES, Spans};
use crate::payload::NaiveTime;
use crate::reading::UnixMillis;
use crate::statistic::Statistic;
use crate::stream::{Entry, EntryId, Meta, Position, ProducerMark};

/// Expiry times are whole minutes: a guess at what nobody misses of a day.
const EXPIRY_STEP_MS: i64 = 60_000;

/// What folding has to know.
#[derive(Clone, Debug)]
pub struct FoldConfig {
    /// Series that the shard may have; readings of others are counted under an overflow.
    pub series_max: u64,
    /// How long readings are kept.
    pub readings_retention: std::time::Duration,
    /// What a timestamp without zone means.
    pub naive_time: NaiveTime,
}

/// What must be loaded before a batch can be folded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Fields of states.
    pub states: Vec<Box<[u8]>>,
    /// Numbers of series whose index of spans is needed.
    pub spans: Vec<u64>,
    /// Blocks, by series number and span, whose real length is needed.
    pub lengths: Vec<(u64, i64)>,
    /// Sensors whose types are needed.
    pub types: Vec<Box<str>>,
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
    pub states: Vec<Option<State>>,
    /// What the indexes hold.
    pub spans: Vec<Spans>,
    /// Lengths in bytes; 0 for a block that is not there.
    pub lengths: Vec<u32>,
    /// Types joined by NUL; empty for a sensor that is not known.
    pub types: Vec<String>,
}

/// A shard's series and the batch in hand.
pub(super) struct Fold {
    pub(super) config: FoldConfig,
    pub(super) meta: Meta,
    pub(super) table: Table,
    pub(super) batch: Batch,
    /// Slots that the batch changed, in the order of their first change.
    pub(super) dirty: Vec<Slot>,
    /// Types of the sensors of new series, joined by NUL.
    pub(super) types: HashMap<Box<str>, String>,
    /// Producers that the batch heard of.
    pub(super) heard: HashSet<crate::stream::ProducerId>,
    /// What the answer to the last [`Needs`] is for.
    asked: Asked,
    /// Set after a block turned out shorter than recorded: the real lengths are then asked.
    distrusts_lengths: bool,
    measured: HashMap<(u64, i64), u32>,
    decomposer: Decomposer,
}

#[derive(Debug, Default)]
struct Asked {
    states: Vec<Slot>,
    spans: Vec<Slot>,
    lengths: Vec<(u64, i64)>,
    types: Vec<Box<str>>,
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
            distrusts_lengths: false,
            measured: HashMap::new(),
        }
    }

    /// Forgets everything in memory and begins from what is committed.
    pub fn begin(&mut self, meta: Meta) {
        self.meta = meta;
        self.table.clear();
        self.clear_batch();
    }

    /// From now on until the next commit the real lengths of blocks are asked.
    pub fn distrust_lengths(&mut self) {
        self.distrusts_lengths = true;
    }

    /// The batch is committed: what it changed is what Redis holds now.
    pub fn committed(&mut self) {
        for slot in std::mem::take(&mut self.dirty) {
            let series = &mut self.table[slot];
            series.dirty = None;
            series.spans = None;
            series.has_other_attributes = false;
            series.floor = series.state.applied;
        }
        self.clear_batch();
        self.distrusts_lengths = false;
    }

    fn clear_batch(&mut self) {
        self.batch = Batch::default();
        self.dirty.clear();
        self.types.clear();
        self.heard.clear();
        self.measured.clear();
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

    /// What must be loaded before [`Fold::fold`]. Ask again after [`Fold::load`]: whether spans
    /// are needed is only known once the states are there.
    pub fn needs(&mut self) -> Needs {
        let mut needs = Needs::default();
        let mut asked = Asked::default();
        let mut seen = HashSet::new();
        for reading in &self.batch.readings {
            let series = &self.table[reading.slot];
            if !series.is_loaded && seen.insert(&series.field) {
                needs.states.push(series.field.clone());
                asked.states.push(reading.slot);
            }
        }
        if asked.states.is_empty() {
            self.need_spans_and_types(&mut needs, &mut asked);
        }
        self.asked = asked;
        needs
    }

    fn need_spans_and_types(&self, needs: &mut Needs, asked: &mut Asked) {
        let mut spans = HashSet::new();
        let mut types = HashSet::new();
        let mut lengths = HashSet::new();
        for reading in &self.batch.readings {
            let series = &self.table[reading.slot];
            let span = history::span_of(reading.measured_at);
            let number = series.state.number;
            if number == 0 {
                let sensor = sensor_of(&series.field);
                if !self.types.contains_key(sensor) && types.insert(sensor) {
                    asked.types.push(sensor.into());
                }
                continue;
            }
            if span != series.state.open.span && series.spans.is_none() && spans.insert(number) {
                needs.spans.push(number);
                asked.spans.push(reading.slot);
            }
            if self.distrusts_lengths
                && !self.measured.contains_key(&(number, span))
                && lengths.insert((number, span))
            {
                asked.lengths.push((number, span));
            }
        }
        needs.types.clone_from(&asked.types);
        needs.lengths.clone_from(&asked.lengths);
    }

    /// Takes in the answer to the last [`Fold::needs`].
    pub fn load(&mut self, loaded: Loaded) {
        let asked = std::mem::take(&mut self.asked);
        for (slot, state) in asked.states.into_iter().zip(loaded.states) {
            let series = &mut self.table[slot];
            series.state = state.unwrap_or_default();
            series.floor = series.state.applied;
            series.is_loaded = true;
        }
        for (slot, spans) in asked.spans.into_iter().zip(loaded.spans) {
            self.table[slot].spans = Some(spans);
        }
        self.measured.extend(asked.lengths.into_iter().zip(loaded.lengths));
        self.types.extend(asked.types.into_iter().zip(loaded.types));
    }

    /// Folds everything taken. Nothing may be needed any more. `now` is the wall clock: what
    /// expires counts from it.
    pub fn fold(&mut self, now: UnixMillis) {
        let messages = std::mem::take(&mut self.batch.messages);
        let readings = std::mem::take(&mut self.batch.readings);
        let mut rest = &readings[..];
        for message in &messages {
            let (own, others) = rest.split_at(message.readings as usize);
            rest = others;
            if let Some(refusal) = message.refused {
                self.meta.totals.dead[refusal.index()] += 1;
                continue;
            }
            let (mut counted, mut retained) = (0, false);
            for reading in own {
                match self.fold_reading(reading, message.position, message.is_retained, now) {
                    Outcome::Counted => counted += 1,
                    Outcome::Retained => retained = true,
                    Outcome::Overflow => {}
                }
            }
            let totals = &mut self.meta.totals;
            totals.readings += counted;
            match (counted, retained) {
                (0, false) => totals.overflow += 1,
                (0, true) => totals.retained += 1,
                _ => totals.decoded += 1,
            }
        }
        for reading in &readings {
            let series = &self.table[reading.slot];
            if series.is_loaded && series.state.number == 0 {
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
            series.spans = Some(Spans::default());
        }
        if series.dirty.is_none() {
            series.dirty = Some(Box::new(Dirty { is_new, ..Dirty::default() }));
            self.dirty.push(reading.slot);
        }
        let is_latest = reading.measured_at >= series.state.statistics.ends.last_at;
        if is_latest && reading.attributes != series.state.attributes {
            series.state.attributes = reading.attributes;
            if let Some(dirty) = &mut series.dirty {
                dirty.attributes = Some(reading.attributes);
            }
        }
        series.state.statistics.fold(reading.value, reading.measured_at);
        series.state.applied = position;
        let clipped = |number, span, recorded: u32| {
            let real = self.measured.get(&(number, span)).copied().unwrap_or(u32::MAX);
            recorded.min(real - real % POINT_BYTES as u32)
        };
        let expires = |span| {
            let at = history::expires_at(span, now, self.config.readings_retention).0;
            // To the next full minute, so that it is not written again with every commit.
            UnixMillis(at.saturating_add(EXPIRY_STEP_MS - 1) / EXPIRY_STEP_MS * EXPIRY_STEP_MS)
        };
        let blocks = |series: &Series| series.dirty.as_ref().map_or(0, |dirty| dirty.blocks.len());
        let before = blocks(series);
        if !series.keep(reading, clipped, expires, now) {
            self.meta.totals.history_full += 1;
        }
        self.batch.blocks += blocks(series) - before;
        Outcome::Counted
    }

    /// The entries of the batch.
    pub fn uncommitted(&self) -> &[EntryId] {
        &self.batch.ids
    }
}
