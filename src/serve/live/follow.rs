//! From entries to readings to be shown: skips what producers sent twice, notices gaps, decodes.
//!
//! That a sensor is deleted stands in every shard, and is told once: where it stands in the shard
//! that the sensor sends through, so that it comes behind the last reading that goes with it.
//!
//! A state machine without runtime, clock or I/O.

use std::collections::VecDeque;

use super::conflate::{Conflate, Place, Plan};
use super::every::Every;
use super::numbers::{Judgement, Numbers};
use super::shown::{Change, Observed};
use crate::message::{Control, Flags, Message};
use crate::payload::{Guarded, Input, NaiveTime};
use crate::reading::{Reading, SeriesKey, TimeSource, UnixMillis};
use crate::serve::view::Attributes;
use crate::shard::ShardId;
use crate::stream::{Entry, EntryId, Meta, Position, ProducerId};

/// Control messages whose shard is remembered: they reach all shards within moments. A guess at
/// how many are told in these.
const CONTROLS_MAX: usize = 256;

/// Follows the streams of all shards.
#[derive(Debug)]
pub(super) struct Follower {
    decoder: Guarded,
    conflate: Conflate,
    numbers: Numbers,
    /// The producers of the newest control messages, and in which shard each is heeded.
    heeded: VecDeque<(ProducerId, ShardId)>,
    /// Messages that were not parsed because a later one of their topic was.
    left_out: u64,
}

/// What is known of sensors beside the streams.
pub(super) struct Known<'a> {
    /// When a series was last measured; `None` when that is not known.
    pub(super) last_at: &'a dyn Fn(&SeriesKey) -> Option<UnixMillis>,
    /// The shard that a sensor sends through; the last one where there are several.
    pub(super) home: &'a dyn Fn(&str) -> ShardId,
}

/// One message that is to be looked at.
struct Lookout<'a> {
    position: Position,
    message: Message<'a>,
    /// Who wrote it; only of control messages.
    teller: Option<ProducerId>,
    /// Where its topic stands.
    known: Option<Place>,
}

/// What came of a round.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// In order.
    pub(super) changes: Vec<Change>,
    /// A producer's number jumped, or stopped short: entries are missing.
    pub(super) has_gap: bool,
}

impl Follower {
    /// `seed` is random.
    pub(super) fn new(naive_time: NaiveTime, seed: u64) -> Self {
        Self {
            decoder: Guarded::new(naive_time),
            conflate: Conflate::new(seed),
            numbers: Numbers::default(),
            heeded: VecDeque::new(),
            left_out: 0,
        }
    }

    /// Messages that were not parsed, so far.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// From now on every reading of these entries is wanted.
    pub(super) fn want_every(&mut self, every: Every) {
        self.conflate.want_every(every);
    }

    /// A shard is read from behind what is committed.
    pub(super) fn begin(&mut self, shard: ShardId, meta: &Meta) {
        self.numbers.begin(shard, meta);
    }

    /// A shard could not be read for a while, and is read on from behind `reached`.
    pub(super) fn resume(&mut self, shard: ShardId, reached: EntryId, meta: &Meta) {
        self.numbers.resume(shard, reached, meta);
    }

    /// Whether entries must come, because they are committed.
    pub(super) fn expects(&self) -> bool {
        self.numbers.expects()
    }

    /// All shards were read, and there was nothing in this one: whether something had to be.
    pub(super) fn misses(&mut self, shard: ShardId) -> bool {
        self.numbers.settle(shard, None)
    }

    /// Takes entries of one shard that were read together.
    pub(super) fn take(&mut self, shard: ShardId, entries: &[Entry], known: &Known<'_>) -> Round {
        let mut round = Round::default();
        let mut news = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry.header.as_ref().map(|header| self.numbers.judge(shard, header)) {
                Some(Judgement::Again) => continue,
                Some(Judgement::Gap) => round.has_gap = true,
                Some(Judgement::Next) | None => {}
            }
            news.push(entry);
        }
        round.has_gap |= self.numbers.settle(shard, entries.last().map(|it| it.id));
        self.conflate.begin();
        let left_out = self.left_out;
        self.look(shard, &news, known, &mut round.changes);
        if self.conflate.looks_again() {
            (self.left_out, round.changes) = (left_out, Vec::new());
            self.look(shard, &news, known, &mut round.changes);
        }
        round
    }

    /// Looks at a round, once.
    fn look(
        &mut self,
        shard: ShardId,
        entries: &[&Entry],
        known: &Known<'_>,
        changes: &mut Vec<Change>,
    ) {
        for lookout in self.look_out(entries).iter().rev() {
            if let Some(teller) = lookout.teller {
                let told = lookout.message.control();
                changes.extend(told.and_then(|told| self.heed(shard, teller, told, known)));
            } else {
                self.parse(shard, lookout, known, changes);
            }
        }
    }

    /// What is to be looked at, the last first: which messages of a topic are left out is decided
    /// from the end.
    fn look_out<'a>(&mut self, entries: &[&'a Entry]) -> Vec<Lookout<'a>> {
        let mut lookouts = Vec::new();
        for entry in entries.iter().rev() {
            for (message, index) in entry.messages().rev().zip((0..index_of(entry.len())).rev()) {
                if message.refused.is_some() {
                    continue;
                }
                let is_control = message.flags.has(Flags::CONTROL);
                let teller = entry.header.filter(|_| is_control).map(|it| it.producer);
                let known = match self.conflate.plan(message.topic) {
                    Plan::LeaveOut if !is_control => {
                        self.left_out += 1;
                        continue;
                    }
                    Plan::LeaveOut => None,
                    Plan::Parse(known) => known,
                };
                let position = Position { entry: entry.id, index };
                lookouts.push(Lookout { position, message, teller, known });
            }
        }
        lookouts
    }

    /// What a control message tells, in one of the shards that carry it.
    fn heed(
        &mut self,
        shard: ShardId,
        teller: ProducerId,
        told: Control,
        known: &Known<'_>,
    ) -> Option<Change> {
        let Control::Delete { sensor_id } = told;
        let before = self.heeded.iter().find(|(producer, _)| *producer == teller);
        let home = before.map(|(_, home)| *home).unwrap_or_else(|| {
            let home = (known.home)(&sensor_id);
            if self.heeded.len() == CONTROLS_MAX {
                self.heeded.pop_front();
            }
            self.heeded.push_back((teller, home));
            home
        });
        (home == shard).then_some(Change::Removed { sensor_id })
    }

    fn parse(
        &mut self,
        shard: ShardId,
        lookout: &Lookout<'_>,
        known: &Known<'_>,
        changes: &mut Vec<Change>,
    ) {
        let Message { topic, payload, received_at, flags, .. } = lookout.message;
        let (first, replaced) = (changes.len(), self.conflate.replaced(lookout.known));
        let decoded = self.decoder.decode(&Input { topic, payload, received_at }, &mut |reading| {
            let is_replay = flags.has(Flags::RETAINED);
            if is_replay && !says_news(&reading, known) {
                return;
            }
            let observed = observe(shard, lookout.position, &reading);
            changes.push(Change::Reading(Observed { replaced, ..observed }));
        });
        // What is refused becomes a dead letter elsewhere; there is nothing to show of it.
        if decoded.is_err() {
            changes.truncate(first);
        }
        if changes.len() == first {
            self.conflate.barren(lookout.known);
        }
        for change in &changes[first..] {
            if let Change::Reading(one) = change {
                self.conflate.parsed(topic, lookout.known, &one.series, one.measured_at);
            }
        }
    }
}

/// A number of messages as their places are counted. No entry holds as many as to fill it.
fn index_of(messages: usize) -> u32 {
    u32::try_from(messages).unwrap_or(u32::MAX)
}

/// Whether a broker's replay counts (design §6).
fn says_news(reading: &Reading<'_>, known: &Known<'_>) -> bool {
    let last = (known.last_at)(&series_of(reading));
    last.is_none_or(|last| reading.time_source == TimeSource::Sensor && reading.measured_at > last)
}

/// The reading as it is shown.
fn observe(shard: ShardId, position: Position, reading: &Reading<'_>) -> Observed {
    Observed {
        series: series_of(reading),
        value: reading.value,
        measured_at: reading.measured_at,
        attributes: Attributes::of(reading),
        shard,
        position,
        replaced: 0,
    }
}

fn series_of(reading: &Reading<'_>) -> SeriesKey {
    SeriesKey {
        sensor_id: reading.sensor_id.as_ref().into(),
        sensor_type: reading.sensor_type.as_ref().into(),
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
