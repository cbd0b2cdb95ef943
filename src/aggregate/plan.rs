//! Planning a commit: what a batch changed, cut into calls of the commit script.
//!
//! Series are never cut. Every call chains to the one before by its token and sets the next
//! series number; only the last sets positions and totals, and acknowledges.

use std::collections::HashMap;
use std::time::Duration;

use super::fold::Fold;
use super::series::{Slot, sensor_of, type_of};
use crate::reading::UnixMillis;
use crate::refusal::Refusal;
use crate::stream::commit::{Call, SERIES_PER_CALL_MAX, SeriesWrite};
use crate::stream::{EntryId, ProducerId};

/// Bytes in one call, beyond the first series. A guess: about a millisecond of Redis.
const BYTES_PER_CALL_MAX: usize = 1 << 20;
/// What a block counts for beside its bytes: Redis needs about as long for its three commands. A
/// guess.
const BLOCK_COST_BYTES: usize = 512;
/// Producers last seen longer ago in stream time than this are remembered in one sum only.
const PRODUCER_MEMORY_MS: u64 = 60 * 60 * 1000;

/// The sensors of a call's new series, and the place of the last of each.
type Newcomers = HashMap<Box<str>, usize>;

impl Fold {
    /// The calls that commit the batch; the series of each are written together. `token` makes
    /// unique tokens.
    pub fn plan(
        &mut self,
        trim_before: Option<EntryId>,
        mut token: impl FnMut() -> String,
    ) -> Vec<Call> {
        let mut calls = Vec::new();
        let mut series = Vec::new();
        let mut newcomers = Newcomers::new();
        let mut bytes = 0;
        for slot in self.dirty.clone() {
            let cost = self.cost_of(slot);
            let is_full = series.len() == SERIES_PER_CALL_MAX || bytes + cost > BYTES_PER_CALL_MAX;
            if is_full && !series.is_empty() {
                self.index(&mut series, &mut newcomers);
                calls.push(self.call(std::mem::take(&mut series), token()));
                bytes = 0;
            }
            bytes += cost;
            if let Some(sensor) = self.name_type(slot) {
                newcomers.insert(sensor, series.len());
            }
            series.push(self.write_of(slot));
        }
        self.index(&mut series, &mut newcomers);
        let mut last = self.call(series, token());
        self.end_batch(&mut last);
        last.trim_before = trim_before;
        calls.push(last);
        calls
    }

    /// About how long writing a series takes, in bytes.
    fn cost_of(&self, slot: Slot) -> usize {
        let Some(dirty) = &self.table[slot].dirty else { return 0 };
        let attributes = dirty.attributes.and_then(|hash| self.batch.attributes.get(&hash));
        let blocks = dirty.blocks.iter().map(|block| block.bytes.len() + BLOCK_COST_BYTES);
        blocks.sum::<usize>() + attributes.map_or(0, String::len)
    }

    /// Adds a new series' type to those of its sensor, which is returned.
    fn name_type(&mut self, slot: Slot) -> Option<Box<str>> {
        let series = &self.table[slot];
        if !series.dirty.as_ref().is_some_and(|dirty| dirty.is_new) {
            return None;
        }
        let sensor: Box<str> = sensor_of(&series.field).into();
        let types = self.types.entry(sensor.clone()).or_default();
        if !types.is_empty() {
            types.push('\0');
        }
        types.push_str(&type_of(&series.field));
        Some(sensor)
    }

    /// Has a call write the types of its new series: once for each sensor, however many types of
    /// it are new.
    fn index(&self, series: &mut [SeriesWrite], newcomers: &mut Newcomers) {
        for (sensor, place) in std::mem::take(newcomers) {
            let types = self.types.get(&sensor).cloned().unwrap_or_default();
            series[place].index = Some((sensor, types));
        }
    }

    /// A call that only trims.
    pub fn plan_trim(&mut self, trim_before: EntryId, token: String) -> Call {
        let before = std::mem::replace(&mut self.meta.token, token.clone());
        Call { token, before, trim_before: Some(trim_before), ..Call::default() }
    }

    fn call(&mut self, series: Vec<SeriesWrite>, token: String) -> Call {
        self.meta.version += 1;
        let before = std::mem::replace(&mut self.meta.token, token.clone());
        let meta = vec![
            ("next".to_owned(), self.meta.next.to_string()),
            ("version".to_owned(), self.meta.version.to_string()),
        ];
        let oldest = self.batch.ids.first().copied();
        Call { token, before, oldest, series, meta, ..Call::default() }
    }

    fn end_batch(&mut self, call: &mut Call) {
        if let Some(last) = self.batch.ids.last() {
            self.meta.pos = *last;
            call.meta.push(("pos".to_owned(), last.to_string()));
        }
        self.retire_producers(call);
        for id in &self.heard {
            if let Some(mark) = self.meta.producers.get(id) {
                call.meta.push((format!("p:{id}"), mark.to_string()));
            }
        }
        let totals = &self.meta.totals;
        for (name, value) in totals.named() {
            call.meta.push((name.to_owned(), value.to_string()));
        }
        for refusal in Refusal::ALL {
            let count = totals.dead[refusal.index()];
            if count > 0 {
                call.meta.push((format!("t:dead:{}", refusal.name()), count.to_string()));
            }
        }
        call.dead = self.batch.dead.drain(..).collect();
        call.acknowledge.clone_from(&self.batch.ids);
    }

    fn retire_producers(&mut self, call: &mut Call) {
        let now_ms = self.meta.pos.ms;
        let mut retired = 0;
        let mut dropped: Vec<ProducerId> = Vec::new();
        self.meta.producers.retain(|id, mark| {
            let stays = mark.seen_ms + PRODUCER_MEMORY_MS >= now_ms;
            if !stays {
                retired += mark.total;
                dropped.push(*id);
            }
            stays
        });
        if !dropped.is_empty() {
            self.meta.retired += retired;
            call.meta.push(("retired".to_owned(), self.meta.retired.to_string()));
            call.meta_drop = dropped.iter().map(|id| format!("p:{id}")).collect();
        }
    }

    fn write_of(&mut self, slot: Slot) -> SeriesWrite {
        let series = &mut self.table[slot];
        let mut dirty = series.dirty.take().unwrap_or_default();
        for block in dirty.blocks.iter_mut() {
            let expiry = block.expires_at.map(|at| (block.span, at));
            if block.offset > 0 && expiry == series.expiry {
                block.expires_at = None;
            } else if block.span == series.state.open.span {
                series.expiry = expiry;
            }
        }
        let mut write = SeriesWrite {
            number: series.state.number,
            field: series.field.to_vec(),
            state: series.state.pack(),
            blocks: dirty.blocks.into(),
            ..SeriesWrite::default()
        };
        if !dirty.spans.set.is_empty() {
            let mut spans = dirty.spans;
            // The index outlives its blocks: the open one's expiry moves on without being noted.
            let slack = i64::try_from(self.config.readings_retention.as_millis());
            let slack = slack.unwrap_or(i64::MAX);
            spans.expires_at = UnixMillis(spans.expires_at.0.saturating_add(slack));
            write.spans = Some(spans);
        }
        if let Some(hash) = dirty.attributes {
            write.attributes = self.batch.attributes.get(&hash).cloned();
        }
        write
    }

    /// When a batch should be committed although more may be waiting.
    pub fn is_full(&self, age: Duration, limits: &BatchLimits) -> bool {
        age >= limits.age_max
            || self.dirty.len() >= limits.series_max
            || self.batch.blocks >= limits.blocks_max
            || self.batch.decoded >= limits.messages_max
            || self.batch.ids.len() >= limits.entries_max
            || self.batch.bytes >= limits.bytes_max
    }
}

/// When a batch is committed although more may be waiting.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Since its first entry was read.
    pub age_max: Duration,
    /// Series changed.
    pub series_max: usize,
    /// History blocks changed: more than series, where sensors send what they had kept for years.
    pub blocks_max: usize,
    /// Messages decoded.
    pub messages_max: usize,
    /// Entries read.
    pub entries_max: usize,
    /// Bytes of these entries: whoever takes the shard over claims them all at once.
    pub bytes_max: usize,
}
