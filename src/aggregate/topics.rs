//! What is known of the topics of a shard: the answer to "why is my sensor missing". No I/O, no
//! clock.
//!
//! The owner of a shard sees every message of its topics, also those that a door refused, so it
//! keeps a record of each. These are **observations**: a message that is folded again after a crash
//! or a conflict is counted again, and what was seen in the last seconds before a crash is lost.
//! Totals and statistics are exact; they are kept elsewhere, and nothing is derived from records.
//!
//! **Bounds.** About 10,000 topics over all shards, of at most 512 bytes; with 4 series each, and
//! ids of at most 128 bytes, a record takes 1,800 bytes at most and 250 mostly: 18 MB at most,
//! 2.5 MB mostly, in the owners' memory and in Redis. A topic for which there is no place, because
//! none of the others has been silent for ten minutes, is left out, and its messages are counted.
//!
//! **Cost.** A message costs one look into a hash table; everything else is done once for each
//! topic and fold (`benches/fold.rs`).

mod distinct;
mod rate;
mod record;
mod writing;

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

pub use self::distinct::Distinct;
pub use self::record::{Amended, Last, LeftOut, Record};
use super::batch::Numbers;
use super::series::{Table, sensor_of};
use crate::message::{Flags, Message};
use crate::payload::Decoded;
use crate::refusal::Refusal;
use crate::shard::ShardCount;

/// Topics remembered over all shards: a page of thousands is as much as anybody reads. A guess.
const TOPICS_MAX: usize = 10_000;
/// A longer topic is not remembered; its messages are counted. A guess: MQTT allows 65,535 bytes,
/// and nobody can read that.
pub const TOPIC_BYTES_MAX: usize = 512;
/// A topic that has been silent for longer than this may give way to another one. A guess.
const SILENT_MS: u64 = 10 * 60 * 1000;
/// How many topics a shard remembers. Sensors do not spread evenly, so each has a tenth more than
/// its share, and some.
#[must_use]
pub const fn topics_max(shards: ShardCount) -> usize {
    (TOPICS_MAX * 11).div_ceil(10 * shards.get() as usize) + 8
}

/// The place of a topic in [`Topics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

/// A topic that is remembered.
#[derive(Debug, Default)]
struct Seen {
    topic: Box<str>,
    record: Record,
    /// Messages of the batch that are not settled yet. Until then it keeps its place.
    waiting: u32,
    /// When the last of them came, in the milliseconds of entry ids.
    waiting_ms: u64,
    /// Where the readings of the last message that was not refused lie in the batch.
    own: (u32, u32),
    /// Whether it is to be written.
    is_changed: bool,
    /// Whether Redis has a record of it.
    is_stored: bool,
}

/// The topics of a shard.
#[derive(Debug)]
pub(super) struct Topics {
    topics_max: usize,
    places: HashTable<u32>,
    seen: Vec<Seen>,
    /// No topic has been silent since before this, in the milliseconds of entry ids.
    oldest_ms: u64,
    left_out: LeftOut,
    is_left_out_changed: bool,
    /// Places of what the batch changed and what is not settled.
    touched: Vec<u32>,
    /// Places of what is to be written; each once.
    changed: VecDeque<u32>,
    /// Topics that gave way and of which Redis has a record.
    gone: Vec<Box<str>>,
    /// What is being written.
    writing: Vec<u32>,
    is_loaded: bool,
    next_write: Duration,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            topics_max: topics_max(ShardCount::DEFAULT),
            places: HashTable::new(),
            seen: Vec::new(),
            oldest_ms: 0,
            left_out: LeftOut::default(),
            is_left_out_changed: false,
            touched: Vec::new(),
            changed: VecDeque::new(),
            gone: Vec::new(),
            writing: Vec::new(),
            is_loaded: false,
            next_write: Duration::ZERO,
        }
    }
}

impl Topics {
    /// How many topics there may be; before anything is loaded.
    pub fn limit(&mut self, topics_max: usize) {
        self.topics_max = topics_max;
    }

    /// Whether [`Topics::load`] was called.
    pub const fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// Takes in what owners before wrote. What is no record is removed, and so are the topics that
    /// have been silent the longest where there are too many.
    pub fn load(&mut self, stored: Vec<(Vec<u8>, Vec<u8>)>) {
        self.is_loaded = true;
        let mut found: Vec<(Box<str>, Record)> = Vec::with_capacity(stored.len());
        for (field, value) in stored {
            let Ok(topic) = String::from_utf8(field) else { continue };
            if topic.as_bytes() == LeftOut::FIELD {
                self.left_out = LeftOut::parse(&value).unwrap_or_default();
                continue;
            }
            match Record::parse(&value) {
                Some(record) if topic.len() <= TOPIC_BYTES_MAX => {
                    found.push((topic.into(), record))
                }
                Some(_) | None => self.gone.push(topic.into()),
            }
        }
        found.sort_by_key(|(_, record)| std::cmp::Reverse(record.rate.heard_ms));
        for (topic, record) in found {
            if self.seen.len() == self.topics_max {
                self.gone.push(topic);
            } else if self.find(&topic).is_none() {
                self.add(Seen { topic, record, is_stored: true, ..Seen::default() });
            }
        }
    }

    /// What is in no record.
    pub const fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// What the batch said was not folded, and comes again.
    pub fn begin(&mut self) {
        for place in self.touched.drain(..) {
            self.seen[place as usize].waiting = 0;
        }
    }

    /// A message was decoded, or refused; `at_ms` is of its entry's id. `None`: the topic is not
    /// remembered.
    pub fn hear(
        &mut self,
        message: &Message<'_>,
        at_ms: u64,
        decoded: Result<&Decoded, Refusal>,
    ) -> Option<Place> {
        // Ours, or nobody knows whose.
        if message.flags.has(Flags::CONTROL) || message.topic.is_empty() {
            return None;
        }
        let place = self.place_of(message.topic, at_ms)?;
        let seen = &mut self.seen[place as usize];
        if seen.waiting == 0 {
            self.touched.push(place);
        }
        seen.waiting += 1;
        seen.waiting_ms = at_ms;
        let record = &mut seen.record;
        record.messages += 1;
        record.last_message = message.received_at;
        let refused = match decoded {
            Ok(decoded) => {
                record.format = Some(decoded.format);
                record.last_readings = u32::from(decoded.readings);
                record.amended = Amended {
                    attributes: decoded.attributes_left_out,
                    future: decoded.future_replaced,
                    is_zone_suspected: decoded.zone_suspected,
                    beyond_windows: 0,
                };
                let partly: u64 = decoded.refused_elements.iter().map(|n| u64::from(*n)).sum();
                record.partly += partly;
                let is_refused = |refusal: &Refusal| decoded.refused_elements[refusal.index()] > 0;
                // Hardly ever: this is for every message.
                if partly > 0 { Refusal::ALL.into_iter().find(is_refused) } else { None }
            }
            Err(refusal) => {
                record.errors += 1;
                Some(refusal)
            }
        };
        if let Some(refusal) = refused {
            record.refusal = Some((refusal, message.received_at));
        }
        Some(Place(place))
    }

    /// A message was refused, in its turn.
    pub fn refused(&mut self, place: Place) {
        self.seen[place.0 as usize].record.last = Last::Refused;
    }

    /// A message that was not refused was folded: so many of its readings were counted, and they
    /// lie there in the batch. `last` is what became of it.
    pub fn folded(&mut self, place: Place, counted: u64, own: (usize, usize), last: Last) {
        let seen = &mut self.seen[place.0 as usize];
        let at = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        seen.own = (at(own.0), at(own.1));
        seen.record.readings += counted;
        seen.record.ignored += u64::from(last != Last::Counted);
        seen.record.last = last;
    }

    /// So many readings of the message that was folded last stand in no window.
    pub fn beyond_windows(&mut self, place: Place, readings: u64) {
        let record = &mut self.seen[place.0 as usize].record;
        record.amended.beyond_windows = u16::try_from(readings).unwrap_or(u16::MAX);
    }

    /// A sensor was deleted.
    pub fn deleted(&mut self, sensor_id: &str) {
        for place in 0..self.seen.len() {
            let Record { last, series, .. } = &mut self.seen[place].record;
            let named = series.iter().any(|field| sensor_of(field) == sensor_id);
            if *last == Last::Counted && named {
                *last = Last::Deleted;
                self.change(place);
            }
        }
    }

    /// Everything that was heard has been folded: `readings` are the batch's.
    pub fn settle(&mut self, table: &Table, readings: &[Numbers]) {
        for place in std::mem::take(&mut self.touched) {
            let seen = &mut self.seen[place as usize];
            seen.record.rate.hear(seen.waiting, seen.waiting_ms);
            seen.waiting = 0;
            let (from, to) = std::mem::take(&mut seen.own);
            let own = readings.get(from as usize..to as usize).unwrap_or_default();
            // As many as are remembered, from the last to the first, which is in front then.
            for reading in own.iter().take(record::SERIES_MAX).rev() {
                seen.record.name_series(&table[reading.slot].field);
            }
            self.change(place as usize);
        }
    }

    fn place_of(&mut self, topic: &str, at_ms: u64) -> Option<u32> {
        if let Some(place) = self.find(topic) {
            return Some(place);
        }
        if topic.len() > TOPIC_BYTES_MAX {
            self.left_out.long += 1;
            return self.leave_out(topic);
        }
        if self.seen.len() < self.topics_max {
            let seen = self.begin_topic(topic);
            return Some(self.add(seen));
        }
        let Some(place) = self.most_silent(at_ms) else {
            self.left_out.full += 1;
            return self.leave_out(topic);
        };
        let seen = self.begin_topic(topic);
        self.replace(place, seen);
        Some(place)
    }

    fn leave_out(&mut self, topic: &str) -> Option<u32> {
        self.left_out.topics.note(xxh3_64(topic.as_bytes()));
        self.is_left_out_changed = true;
        None
    }

    /// One that gave way a moment ago may be back: then it stays in Redis.
    fn begin_topic(&mut self, topic: &str) -> Seen {
        let gone = self.gone.iter().position(|gone| **gone == *topic);
        let is_stored = gone.map(|place| self.gone.swap_remove(place)).is_some();
        Seen { topic: topic.into(), is_stored, ..Seen::default() }
    }

    fn find(&self, topic: &str) -> Option<u32> {
        let is_it = |&place: &u32| *self.seen[place as usize].topic == *topic;
        self.places.find(xxh3_64(topic.as_bytes()), is_it).copied()
    }

    fn add(&mut self, seen: Seen) -> u32 {
        let place = u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
        self.seen.push(seen);
        self.enter(place);
        place
    }

    fn enter(&mut self, place: u32) {
        let hash = |&place: &u32| xxh3_64(self.seen[place as usize].topic.as_bytes());
        self.places.insert_unique(hash(&place), place, hash);
    }

    /// The topic that gives way. All are looked at only when one may have been silent for long
    /// enough since the last look.
    fn most_silent(&mut self, now_ms: u64) -> Option<u32> {
        let is_long = |since_ms: u64| now_ms >= since_ms.saturating_add(SILENT_MS);
        if !is_long(self.oldest_ms) {
            return None;
        }
        let settled = (0..).zip(&self.seen).filter(|(_, seen)| seen.waiting == 0);
        let oldest = settled.min_by_key(|(_, seen)| seen.record.rate.heard_ms);
        // Where none is settled, all were heard a moment ago.
        self.oldest_ms = oldest.map_or(now_ms, |(_, seen)| seen.record.rate.heard_ms);
        oldest.map(|(place, _)| place).filter(|_| is_long(self.oldest_ms))
    }

    fn replace(&mut self, place: u32, seen: Seen) {
        let hash = xxh3_64(self.seen[place as usize].topic.as_bytes());
        if let Ok(found) = self.places.find_entry(hash, |known| *known == place) {
            found.remove();
        }
        // What is to be written is written under the new name.
        let is_changed = self.seen[place as usize].is_changed;
        let old = std::mem::replace(&mut self.seen[place as usize], Seen { is_changed, ..seen });
        if old.is_stored {
            self.gone.push(old.topic);
        }
        self.enter(place);
    }

    fn change(&mut self, place: usize) {
        if !std::mem::replace(&mut self.seen[place].is_changed, true) {
            self.changed.push_back(u32::try_from(place).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
