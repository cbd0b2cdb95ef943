//! From entries to readings to be shown: skips what producers sent twice, notices gaps, decodes.
//!
//! A state machine without runtime, clock or I/O.

use std::collections::HashMap;

use super::conflate::Conflate;
use super::hub::Observed;
use crate::message::{Flags, Message};
use crate::payload::{Decoder, Input, NaiveTime};
use crate::reading::{Reading, SeriesKey, TimeSource, UnixMillis};
use crate::serve::view::Attributes;
use crate::shard::ShardId;
use crate::stream::{Entry, Position, ProducerId};

/// Producers remembered; one process is one. Beyond it all are forgotten, and a resent entry is
/// shown again.
const PRODUCERS_MAX: usize = 10_000;

/// Follows the streams of all shards.
#[derive(Debug)]
pub(super) struct Follower {
    decoder: Decoder,
    conflate: Conflate,
    /// The number of each producer's last entry per shard.
    numbers: HashMap<(ShardId, ProducerId), u64>,
    /// Messages that were not parsed because a later one of their topic was.
    left_out: u64,
}

/// One message that is to be looked at.
struct Lookout<'a> {
    position: Position,
    message: Message<'a>,
}

/// What came of a round.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// In order.
    pub(super) observed: Vec<Observed>,
    /// A producer's number jumped: entries are missing.
    pub(super) has_gap: bool,
}

impl Follower {
    pub(super) fn new(naive_time: NaiveTime) -> Self {
        Self {
            decoder: Decoder::new(naive_time),
            conflate: Conflate::default(),
            numbers: HashMap::new(),
            left_out: 0,
        }
    }

    /// Messages that were not parsed, so far.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes entries of one shard that were read together. `last_at` says when a series was last
    /// measured, as far as that is known.
    pub(super) fn take(
        &mut self,
        shard: ShardId,
        entries: &[Entry],
        last_at: &dyn Fn(&SeriesKey) -> Option<UnixMillis>,
    ) -> Round {
        let mut round = Round::default();
        let mut lookouts = Vec::new();
        for entry in entries {
            match self.judge(shard, entry) {
                Judgement::Again => continue,
                Judgement::Gap => round.has_gap = true,
                Judgement::Next => {}
            }
            for (index, message) in (0..).zip(entry.messages()) {
                if message.refused.is_none() && !message.flags.has(Flags::CONTROL) {
                    let position = Position { entry: entry.id, index };
                    lookouts.push(Lookout { position, message });
                }
            }
        }
        let topics: Vec<&str> = lookouts.iter().map(|it| it.message.topic).collect();
        let plan = self.conflate.plan(&topics);
        for (lookout, is_parsed) in lookouts.iter().zip(plan) {
            if is_parsed {
                self.parse(shard, lookout, last_at, &mut round.observed);
            } else {
                self.left_out += 1;
            }
        }
        round
    }

    /// What a producer's number says of an entry. The first one of a producer is taken as it is.
    fn judge(&mut self, shard: ShardId, entry: &Entry) -> Judgement {
        let Some(header) = &entry.header else { return Judgement::Next };
        if self.numbers.len() >= PRODUCERS_MAX {
            self.numbers.clear();
        }
        let last =
            self.numbers.entry((shard, header.producer)).or_insert(header.number.saturating_sub(1));
        if header.number <= *last {
            return Judgement::Again;
        }
        let is_next = header.number == *last + 1;
        *last = header.number;
        if is_next { Judgement::Next } else { Judgement::Gap }
    }

    fn parse(
        &mut self,
        shard: ShardId,
        lookout: &Lookout<'_>,
        last_at: &dyn Fn(&SeriesKey) -> Option<UnixMillis>,
        observed: &mut Vec<Observed>,
    ) {
        let Message { topic, payload, received_at, flags, .. } = lookout.message;
        let first = observed.len();
        // What is refused becomes a dead letter elsewhere; there is nothing to show of it.
        let decoded = self.decoder.decode(&Input { topic, payload, received_at }, &mut |reading| {
            let is_replay = flags.has(Flags::RETAINED);
            if let Some(one) = observe(shard, lookout.position, &reading, is_replay, last_at) {
                observed.push(one);
            }
        });
        if decoded.is_err() {
            return;
        }
        for one in &observed[first..] {
            self.conflate.parsed(topic, &one.series, one.measured_at);
        }
    }
}

enum Judgement {
    Next,
    Again,
    Gap,
}

/// The reading as it is shown; `None` for a broker's replay that says nothing new (design §6).
fn observe(
    shard: ShardId,
    position: Position,
    reading: &Reading<'_>,
    is_replay: bool,
    last_at: &dyn Fn(&SeriesKey) -> Option<UnixMillis>,
) -> Option<Observed> {
    let series = SeriesKey {
        sensor_id: reading.sensor_id.as_ref().into(),
        sensor_type: reading.sensor_type.as_ref().into(),
    };
    if is_replay
        && let Some(last) = last_at(&series)
        && (reading.time_source != TimeSource::Sensor || reading.measured_at <= last)
    {
        return None;
    }
    Some(Observed {
        series,
        value: reading.value,
        measured_at: reading.measured_at,
        attributes: Attributes::of(reading),
        shard,
        position,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::EntryId;

    const SHARD: ShardId = ShardId(0);

    fn entry(ms: u64, number: u64, messages: &[(&[u8], &[u8])]) -> Entry {
        let header = format!("1 00000000000000ab {number} {} 1000 99", messages.len());
        let mut pairs = vec![(b"@".to_vec(), header.into_bytes())];
        pairs.extend(messages.iter().map(|(field, payload)| (field.to_vec(), payload.to_vec())));
        Entry::new(EntryId { ms, seq: 0 }, pairs)
    }

    fn values(round: &Round) -> Vec<f64> {
        round.observed.iter().map(|one| one.value).collect()
    }

    fn follower() -> Follower {
        Follower::new(NaiveTime::default())
    }

    #[test]
    fn resent_entries_are_skipped_and_gaps_are_noticed() {
        let message: &[(&[u8], &[u8])] = &[(b"sensors/a/t", b"{\"value\":1}")];
        let mut follower = follower();
        let mut take = |ms, number| {
            let round = follower.take(SHARD, &[entry(ms, number, message)], &|_| None);
            (round.observed.len(), round.has_gap)
        };
        assert_eq!(take(1, 7), (1, false));
        assert_eq!(take(2, 8), (1, false));
        assert_eq!(take(3, 7), (0, false));
        assert_eq!(take(4, 8), (0, false));
        assert_eq!(take(5, 11), (1, true));
        assert_eq!(take(6, 12), (1, false));
    }

    #[test]
    fn refused_messages_are_passed_over_and_positions_are_theirs() {
        let messages: &[(&[u8], &[u8])] = &[
            (b"sensors/a/t", b"nonsense"),
            (b"\0\x20\0\x01sensors/a/t", b"{\"value\":5}"),
            (b"sensors/a/t", b"{\"value\":2,\"unit\":\"V\",\"metadata\":{\"k\":1}}"),
        ];
        let round = follower().take(SHARD, &[entry(9, 1, messages)], &|_| None);
        assert_eq!(values(&round), [2.0]);
        let one = &round.observed[0];
        assert_eq!(one.position, Position { entry: EntryId { ms: 9, seq: 0 }, index: 2 });
        assert_eq!(one.measured_at, UnixMillis(1000));
        assert_eq!((&*one.attributes.unit, one.attributes.metadata.get()), ("V", "{\"k\":1}"));
    }

    #[test]
    fn a_replay_is_shown_only_when_it_counts() {
        let retained = b"\0\x02\0sensors/a/t";
        let check = |payload: &str, last: Option<i64>, shown: usize| {
            let entry = entry(1, 1, &[(retained, payload.as_bytes())]);
            let round = follower().take(SHARD, &[entry], &|_| last.map(UnixMillis));
            assert_eq!(round.observed.len(), shown, "{payload} after {last:?}");
        };
        check(r#"{"value":1}"#, None, 1);
        check(r#"{"value":1}"#, Some(500), 0);
        check(r#"{"value":1,"timestamp":"1970-01-01T00:00:01Z"}"#, Some(999), 1);
        check(r#"{"value":1,"timestamp":"1970-01-01T00:00:01Z"}"#, Some(1000), 0);
    }
}
