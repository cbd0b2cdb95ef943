//! Planning a commit: what a batch changed, cut into calls of the commit script.
//!
//! Series are never cut. Every call chains to the one before by its token and sets the next
//! series number; only the last sets positions and totals, and acknowledges.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fold::Fold;
use super::series::{Dirty, Slot, sensor_of};
use crate::history::{SealedBlock, Share, Span, field_cost, horizon_field};
use crate::reading::UnixMillis;
use crate::refusal::Refusal;
use crate::stream::commit::{Call, HashWrite};
use crate::stream::{EntryId, ProducerId};

/// Bytes in one call, beyond the first series. A guess: about a millisecond of Redis.
const BYTES_PER_CALL_MAX: usize = 1 << 20;
/// What a block counts for beside its bytes: Redis needs about as long for finding its place. A
/// guess.
const BLOCK_COST_BYTES: usize = 512;
/// Producers last seen longer ago in stream time than this are remembered in one sum only.
const PRODUCER_MEMORY_MS: u64 = 60 * 60 * 1000;

/// A call in the making.
#[derive(Default)]
struct Draft {
    call: Call,
    /// Spans whose place in the inventory changed.
    spans: BTreeSet<Span>,
    /// Sensors whose types changed.
    sensors: BTreeSet<Box<str>>,
    bytes: usize,
}

impl Fold {
    /// The calls that commit the batch; all writes of a series are in one. `now` is the wall
    /// clock, `token` makes unique tokens.
    pub fn plan(
        &mut self,
        trim_before: Option<EntryId>,
        now: UnixMillis,
        mut token: impl FnMut() -> String,
    ) -> Vec<Call> {
        let mut calls = Vec::new();
        let mut draft = Draft { call: self.evict(), ..Draft::default() };
        for (slot, is_bound) in self.in_order() {
            let cost = self.cost_of(slot);
            let is_full = draft.call.series() >= self.series_per_call_max
                || draft.bytes + cost > BYTES_PER_CALL_MAX;
            if is_full && !is_bound && draft.call.series() > 0 {
                let full = std::mem::take(&mut draft);
                calls.push(self.call(full, token()));
            }
            draft.bytes += cost;
            self.write(slot, now, &mut draft);
        }
        let mut last = self.call(draft, token());
        self.end_batch(&mut last);
        last.trim_before = trim_before;
        calls.push(last);
        calls
    }

    /// The changed series in the order of writing, and which are bound to the one before: those
    /// that were deleted come first, and all of a sensor in one call. The call takes them out of
    /// the index, and who folds the deletion again after a crash would not find those that a
    /// later call was to remove.
    fn in_order(&self) -> Vec<(Slot, bool)> {
        let is_removed = |slot: &Slot| {
            self.table[*slot].dirty.as_ref().is_some_and(|dirty| !dirty.removed.is_empty())
        };
        let (mut removed, others): (Vec<Slot>, Vec<Slot>) =
            self.dirty.iter().copied().partition(is_removed);
        let sensor = |slot: Slot| sensor_of(&self.table[slot].field);
        removed.sort_by_key(|slot| sensor(*slot));
        let before = std::iter::once(None).chain(removed.iter().copied().map(Some));
        let is_bound = |slot, before: Option<Slot>| {
            before.is_some_and(|before| sensor(before) == sensor(slot))
        };
        let bound =
            removed.iter().zip(before).map(|(slot, before)| (*slot, is_bound(*slot, before)));
        bound.chain(others.into_iter().map(|slot| (slot, false))).collect()
    }

    /// About how long writing a series takes, in bytes.
    fn cost_of(&self, slot: Slot) -> usize {
        let series = &self.table[slot];
        let Some(dirty) = &series.dirty else { return 0 };
        let attributes = dirty.attributes.and_then(|hash| self.batch.attributes.get(&hash));
        let bytes = |block: &SealedBlock| {
            let full = block.full.iter().map(|(_, bytes)| bytes.len() + BLOCK_COST_BYTES);
            block.newest.len() + BLOCK_COST_BYTES + full.sum::<usize>()
        };
        let removed = dirty.removed.iter().map(|it| it.blocks.len() * BLOCK_COST_BYTES);
        dirty.blocks.iter().map(bytes).sum::<usize>()
            + removed.sum::<usize>()
            + series.open.bytes()
            + attributes.map_or(0, String::len)
    }

    /// Adds all writes of a series to a call.
    fn write(&mut self, slot: Slot, now: UnixMillis, draft: &mut Draft) {
        let mut dirty = self.table[slot].dirty.take().unwrap_or_default();
        self.remove(&dirty, draft);
        let series = &self.table[slot];
        let number = series.state.number;
        for block in dirty.blocks.drain(..) {
            let delta = write_block(number, &block, draft.block_of(block.span));
            self.inventory.add(block.span, delta, now);
        }
        if dirty.is_new || !dirty.removed.is_empty() {
            draft.sensors.insert(sensor_of(&series.field).into());
        }
        if let Some(versions) = series.versions.as_ref().filter(|it| it.has_changed()) {
            draft.call.attributes.set(format!("{number}:v"), versions.to_json());
        }
        if let Some(text) = dirty.attributes.and_then(|hash| self.batch.attributes.get(&hash)) {
            draft.call.attributes.set(number.to_string(), text.as_str());
        }
        match number {
            0 => draft.call.states.drop(&series.field[..]),
            _ => draft.call.states.set(&series.field[..], series.state.pack(&series.open)),
        }
    }

    /// Removes what there was of a series under the numbers that it lost.
    fn remove(&mut self, dirty: &Dirty, draft: &mut Draft) {
        for removed in &dirty.removed {
            for (span, footprint) in &removed.blocks {
                let block = draft.block_of(*span);
                block.drop(removed.number.to_string());
                for full in 0..footprint.full {
                    block.drop(format!("{}.{full}", removed.number));
                }
                self.inventory.lessen(*span, footprint.bytes);
            }
            draft.call.attributes.drop(removed.number.to_string());
            draft.call.attributes.drop(format!("{}:v", removed.number));
        }
    }

    /// What removes the spans that are to go. It stands before everything else: what a batch
    /// writes into such a span begins it anew.
    fn evict(&self) -> Call {
        let mut call = Call::default();
        for span in &self.evicting {
            call.evict.push(span.to_string());
            call.inventory.drop(span.to_string());
        }
        if !self.evicting.is_empty() {
            for share in Share::ALL {
                if let Some(horizon) = self.inventory.evicted(share) {
                    call.inventory.set(horizon_field(share), horizon.to_string());
                }
            }
        }
        call
    }

    /// A call that only evicts and trims.
    pub fn plan_upkeep(&mut self, trim_before: Option<EntryId>, token: String) -> Call {
        let before = std::mem::replace(&mut self.meta.token, token.clone());
        Call { token, before, trim_before, ..self.evict() }
    }

    fn call(&mut self, draft: Draft, token: String) -> Call {
        let Draft { mut call, spans, sensors, .. } = draft;
        for span in spans {
            if let Some(kept) = self.inventory.get(span) {
                call.inventory.set(span.to_string(), kept.to_string());
            }
        }
        for sensor in sensors {
            match self.types.get(&sensor).filter(|types| !types.is_empty()) {
                Some(types) => call.index.set(sensor.as_bytes(), types.as_str()),
                None => call.index.drop(sensor.as_bytes()),
            }
        }
        self.meta.version += 1;
        call.before = std::mem::replace(&mut self.meta.token, token.clone());
        call.token = token;
        call.meta = vec![
            ("next".to_owned(), self.meta.next.to_string()),
            ("version".to_owned(), self.meta.version.to_string()),
        ];
        call.oldest = self.batch.ids.first().copied();
        call
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

    /// When a batch should be committed although more may be waiting.
    pub fn is_full(&self, age: Duration, limits: &BatchLimits) -> bool {
        age >= limits.age_max
            || self.dirty.len() >= limits.series_max
            || self.batch.days >= limits.days_max
            || self.batch.decoded >= limits.messages_max
            || self.batch.ids.len() >= limits.entries_max
            || self.batch.bytes >= limits.bytes_max
    }
}

impl Draft {
    fn block_of(&mut self, span: Span) -> &mut HashWrite {
        self.spans.insert(span);
        self.call.blocks.entry(span.to_string()).or_default()
    }
}

/// Writes the blocks of a series; gives by how much the span grows.
fn write_block(number: u64, block: &SealedBlock, hash: &mut HashWrite) -> i64 {
    let field = number.to_string();
    let cost = |field: &str, bytes: usize| field_cost(field.len(), bytes).cast_signed();
    let mut delta = cost(&field, block.newest.len());
    delta -= block.replaced.map_or(0, |bytes| cost(&field, bytes));
    for (place, bytes) in &block.full {
        let field = format!("{number}.{place}");
        delta += cost(&field, bytes.len());
        hash.set(field, bytes.as_slice());
    }
    hash.set(field, block.newest.as_slice());
    delta
}

/// When a batch is committed although more may be waiting.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Since its first entry was read.
    pub age_max: Duration,
    /// Series changed.
    pub series_max: usize,
    /// Days that its readings lie in, counted again for each series and after each change: more
    /// than series, where sensors send what they had kept for years.
    pub days_max: usize,
    /// Messages decoded.
    pub messages_max: usize,
    /// Entries read.
    pub entries_max: usize,
    /// Bytes of these entries: whoever takes the shard over claims them all at once.
    pub bytes_max: usize,
}
