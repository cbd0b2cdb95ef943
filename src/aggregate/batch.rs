//! Entries taken apart: the readings of a batch as numbers, before anything is folded.
//!
//! Decoding comes first and folding second, because folding may need states that are not in
//! memory: they are loaded in between, all at once, and nothing is decoded twice.

use std::collections::{HashMap, HashSet, VecDeque};

use xxhash_rust::xxh3::xxh3_64;

use super::series::{Slot, Table};
use super::topics::{Place, Topics};
use crate::message::{Control, Flags, Message, REFUSED_PAYLOAD_BYTES_MAX};
use crate::payload::{Decoded, Guarded, Input, NaiveTime};
use crate::reading::{Reading, TimeSource, UnixMillis, write_field};
use crate::refusal::Refusal;
use crate::stream::commit::{DEAD_LETTERS_PER_BATCH_MAX, DeadLetter};
use crate::stream::{Entry, EntryId, Position, Totals};

/// Topics of a shard that get a hint about their zone; a guess at how many anybody reads.
const HINTED_TOPICS_MAX: usize = 32;

/// A message, as far as folding needs it.
#[derive(Debug)]
pub(super) struct Decomposed {
    pub position: Position,
    /// How many of the batch's readings are its own.
    pub readings: u32,
    pub is_retained: bool,
    pub refused: Option<Refusal>,
    /// Its topic, when that is remembered.
    pub topic: Option<Place>,
    /// What it tells us to do, when it is not a sensor's.
    pub control: Option<Control>,
}

/// A reading, as far as folding needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub slot: Slot,
    pub value: f64,
    pub measured_at: UnixMillis,
    /// Whether the sensor said when.
    pub is_timed: bool,
    /// Hash of unit, location and metadata.
    pub attributes: u64,
}

/// What was read and not yet committed.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// All entries, also those that were skipped.
    pub ids: Vec<EntryId>,
    /// Bytes of fields and payloads of these entries.
    pub bytes: usize,
    /// Messages that are not folded yet, and their readings in the same order.
    pub messages: Vec<Decomposed>,
    pub readings: Vec<Numbers>,
    /// Messages decoded since the last commit.
    pub decoded: usize,
    /// Days that readings of a series lie in, one after the other, since the last commit.
    pub days: usize,
    /// Whether a sensor is deleted, so that what comes after may be new whatever is known now.
    pub deletes: bool,
    /// Attributes that may have to be written, as JSON, by hash.
    pub attributes: HashMap<u64, String>,
    /// The newest dead letters.
    pub dead: VecDeque<DeadLetter>,
}

/// Takes entries apart.
pub(super) struct Decomposer {
    decoder: Guarded,
    scratch: Vec<u8>,
    /// Topics whose timestamps look like those of another zone, and were pointed at.
    hinted: HashSet<Box<str>>,
    /// What is known of the topics.
    pub(super) topics: Topics,
}

impl Decomposer {
    pub fn new(naive_time: NaiveTime) -> Self {
        Self {
            decoder: Guarded::new(naive_time),
            scratch: Vec::new(),
            hinted: HashSet::new(),
            topics: Topics::default(),
        }
    }

    /// Adds the messages of an entry to the batch, and what is known of them to the totals.
    pub fn take(
        &mut self,
        entry: &Entry,
        batch: &mut Batch,
        table: &mut Table,
        totals: &mut Totals,
    ) {
        for (index, message) in (0..).zip(entry.messages()) {
            let position = Position { entry: entry.id, index };
            let before = batch.readings.len();
            let control = message.control();
            if control.is_some() {
                batch.deletes = true;
            }
            let decoded = self.decode(&message, batch, table);
            let outcome = decoded.as_ref().map_err(|refusal| *refusal);
            let topic = self.topics.hear(&message, entry.id.ms, outcome);
            let refused = match decoded {
                Err(_) if control.is_some() => None,
                Ok(decoded) => {
                    if decoded.zone_suspected {
                        self.hint_at_zone(message.topic);
                    }
                    totals.future += u64::from(decoded.future_replaced);
                    totals.left_out += u64::from(decoded.attributes_left_out);
                    totals.partly +=
                        decoded.refused_elements.iter().map(|n| u64::from(*n)).sum::<u64>();
                    None
                }
                Err(refusal) => {
                    batch.readings.truncate(before);
                    batch.set_aside(&message, refusal, position);
                    Some(refusal)
                }
            };
            batch.messages.push(Decomposed {
                position,
                readings: u32::try_from(batch.readings.len() - before).unwrap_or(u32::MAX),
                is_retained: message.flags.has(Flags::RETAINED),
                refused,
                topic,
                control,
            });
        }
        batch.decoded += entry.len();
    }

    fn hint_at_zone(&mut self, topic: &str) {
        if self.hinted.len() < HINTED_TOPICS_MAX && self.hinted.insert(topic.into()) {
            tracing::warn!(
                topic,
                "timestamps are hours ahead, as local time sent as UTC is; see \
                 STREAMGAUGE_NAIVE_TIME"
            );
        }
    }

    fn decode(
        &mut self,
        message: &Message<'_>,
        batch: &mut Batch,
        table: &mut Table,
    ) -> Result<Decoded, Refusal> {
        if let Some(refusal) = message.refused {
            return Err(refusal);
        }
        // No decoder sees a control message. One of which nobody knows what it tells is refused.
        if message.flags.has(Flags::CONTROL) {
            return Err(Refusal::UnknownFlag);
        }
        let input = Input {
            topic: message.topic,
            payload: message.payload,
            received_at: message.received_at,
        };
        let Self { decoder, scratch, .. } = self;
        decoder.decode(&input, &mut |reading| batch.note(&reading, table, scratch))
    }
}

impl Batch {
    fn note(&mut self, reading: &Reading<'_>, table: &mut Table, scratch: &mut Vec<u8>) {
        scratch.clear();
        write_field(&reading.sensor_id, &reading.sensor_type, scratch);
        let slot = table.intern(scratch);
        let attributes = hash_of_attributes(reading, scratch);
        let series = &mut table[slot];
        if attributes != series.state.attributes {
            series.has_other_attributes = true;
        }
        // Once a series has shown others in this batch, those of its state may have to be written
        // again, too.
        if series.has_other_attributes || self.deletes {
            self.attributes.entry(attributes).or_insert_with(|| attributes_json(reading));
        }
        self.readings.push(Numbers {
            slot,
            value: reading.value,
            measured_at: reading.measured_at,
            is_timed: reading.time_source == TimeSource::Sensor,
            attributes,
        });
    }

    fn set_aside(&mut self, message: &Message<'_>, refusal: Refusal, position: Position) {
        if self.dead.len() == DEAD_LETTERS_PER_BATCH_MAX {
            self.dead.pop_front();
        }
        let kept = message.payload.len().min(REFUSED_PAYLOAD_BYTES_MAX);
        self.dead.push_back(DeadLetter {
            reason: refusal.name(),
            topic: message.topic.to_owned(),
            payload: message.payload[..kept].to_vec(),
            received_at: message.received_at,
            position,
        });
    }
}

/// XXH3-64 of the attributes, never 0, which stands for none written.
fn hash_of_attributes(reading: &Reading<'_>, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    scratch.extend_from_slice(reading.unit.as_bytes());
    if let Some(location) = &reading.location {
        // 0xff is in no UTF-8 text, so no two different sets of attributes look alike.
        scratch.push(0xff);
        scratch.extend_from_slice(location.as_bytes());
    }
    scratch.extend_from_slice(&[0xff, 0xff]);
    scratch.extend_from_slice(reading.metadata.as_bytes());
    xxh3_64(scratch).max(1)
}

fn attributes_json(reading: &Reading<'_>) -> String {
    #[derive(serde::Serialize)]
    struct Attributes<'a> {
        unit: &'a str,
        location: Option<&'a str>,
        metadata: &'a serde_json::value::RawValue,
    }
    let metadata = serde_json::from_str(&reading.metadata);
    let attributes = Attributes {
        unit: &reading.unit,
        location: reading.location.as_deref(),
        metadata: metadata.unwrap_or(serde_json::value::RawValue::NULL),
    };
    // Strings and checked JSON text: there is nothing in it that could fail.
    serde_json::to_string(&attributes).unwrap_or_default()
}
