//! From entries to readings to be shown: skips what producers sent twice, notices gaps, decodes.
//!
//! That a sensor is deleted stands in every shard, and is told once: where it stands in the shard
//! that the sensor sends through, so that it comes behind the last reading that goes with it.
//!
//! A state machine without runtime, clock or I/O.

use std::collections::{HashMap, VecDeque};

use super::conflate::{Conflate, Every, Place, Plan};
use super::shown::{Change, Observed};
use crate::message::{Control, Flags, Message};
use crate::payload::{Decoder, Input, NaiveTime};
use crate::reading::{Reading, SeriesKey, TimeSource, UnixMillis};
use crate::serve::view::Attributes;
use crate::shard::ShardId;
use crate::stream::{Entry, Position, ProducerId};

/// Producers remembered; one process is one. Beyond it all are forgotten, and a resent entry is
/// shown again.
const PRODUCERS_MAX: usize = 10_000;
/// Control messages whose shard is remembered: they reach all shards within moments. A guess at
/// how many are told in these.
const CONTROLS_MAX: usize = 256;

/// Follows the streams of all shards.
#[derive(Debug)]
pub(super) struct Follower {
    decoder: Decoder,
    conflate: Conflate,
    /// The number of each producer's last entry per shard.
    numbers: HashMap<(ShardId, ProducerId), u64>,
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
    /// A producer's number jumped: entries are missing.
    pub(super) has_gap: bool,
}

impl Follower {
    /// `seed` is random.
    pub(super) fn new(naive_time: NaiveTime, seed: u64) -> Self {
        Self {
            decoder: Decoder::new(naive_time),
            conflate: Conflate::new(seed),
            numbers: HashMap::new(),
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

    /// Takes entries of one shard that were read together.
    pub(super) fn take(&mut self, shard: ShardId, entries: &[Entry], known: &Known<'_>) -> Round {
        let mut round = Round::default();
        let mut news = Vec::with_capacity(entries.len());
        for entry in entries {
            match self.judge(shard, entry) {
                Judgement::Again => continue,
                Judgement::Gap => round.has_gap = true,
                Judgement::Next => {}
            }
            news.push(entry);
        }
        for lookout in self.look_out(&news).iter().rev() {
            if let Some(teller) = lookout.teller {
                let told = lookout.message.control();
                round.changes.extend(told.and_then(|told| self.heed(shard, teller, told, known)));
            } else {
                self.parse(shard, lookout, known, &mut round.changes);
            }
        }
        round
    }

    /// What is to be looked at, the last first: which messages of a topic are left out is decided
    /// from the end.
    fn look_out<'a>(&mut self, entries: &[&'a Entry]) -> Vec<Lookout<'a>> {
        self.conflate.begin();
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
        known: &Known<'_>,
        changes: &mut Vec<Change>,
    ) {
        let Message { topic, payload, received_at, flags, .. } = lookout.message;
        let (first, replaced) = (changes.len(), self.conflate.replaced(lookout.known));
        // What is refused becomes a dead letter elsewhere; there is nothing to show of it.
        let decoded = self.decoder.decode(&Input { topic, payload, received_at }, &mut |reading| {
            let is_replay = flags.has(Flags::RETAINED);
            if is_replay && !says_news(&reading, known) {
                return;
            }
            let observed = observe(shard, lookout.position, &reading);
            changes.push(Change::Reading(Observed { replaced, ..observed }));
        });
        if decoded.is_err() {
            return;
        }
        for change in &changes[first..] {
            if let Change::Reading(one) = change {
                self.conflate.parsed(topic, lookout.known, &one.series, one.measured_at);
            }
        }
    }
}

enum Judgement {
    Next,
    Again,
    Gap,
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

    fn take(follower: &mut Follower, shard: ShardId, entries: &[Entry]) -> Round {
        follower.take(shard, entries, &Known { last_at: &|_| None, home: &|_| SHARD })
    }

    fn readings(round: &Round) -> Vec<&Observed> {
        let readings = round.changes.iter().filter_map(|change| match change {
            Change::Reading(observed) => Some(observed),
            Change::Removed { .. } => None,
        });
        readings.collect()
    }

    fn follower() -> Follower {
        Follower::new(NaiveTime::default(), 7)
    }

    #[test]
    fn resent_entries_are_skipped_and_gaps_are_noticed() {
        let message: &[(&[u8], &[u8])] = &[(b"sensors/a/t", b"{\"value\":1}")];
        let mut follower = follower();
        let mut take = |ms, number| {
            let round = take(&mut follower, SHARD, &[entry(ms, number, message)]);
            (round.changes.len(), round.has_gap)
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
        let round = take(&mut follower(), SHARD, &[entry(9, 1, messages)]);
        let [one] = readings(&round)[..] else { panic!("{round:?}") };
        assert_eq!(one.value.to_bits(), f64::to_bits(2.0));
        assert_eq!(one.position, Position { entry: EntryId { ms: 9, seq: 0 }, index: 2 });
        assert_eq!(one.measured_at, UnixMillis(1000));
        assert_eq!((&*one.attributes.unit, one.attributes.metadata.get()), ("V", "{\"k\":1}"));
    }

    #[test]
    fn a_replay_is_shown_only_when_it_counts() {
        let retained = b"\0\x02\0sensors/a/t";
        let check = |payload: &str, last: Option<i64>, shown: usize| {
            let entry = entry(1, 1, &[(retained, payload.as_bytes())]);
            let known = Known { last_at: &|_| last.map(UnixMillis), home: &|_| SHARD };
            let round = follower().take(SHARD, &[entry], &known);
            assert_eq!(round.changes.len(), shown, "{payload} after {last:?}");
        };
        check(r#"{"value":1}"#, None, 1);
        check(r#"{"value":1}"#, Some(500), 0);
        check(r#"{"value":1,"timestamp":"1970-01-01T00:00:01Z"}"#, Some(999), 1);
        check(r#"{"value":1,"timestamp":"1970-01-01T00:00:01Z"}"#, Some(1000), 0);
    }

    /// What a round says, in short.
    fn said(round: &Round) -> Vec<String> {
        let word = |change: &Change| match change {
            Change::Reading(observed) => observed.value.to_string(),
            Change::Removed { sensor_id } => format!("{sensor_id} removed"),
        };
        round.changes.iter().map(word).collect()
    }

    const DELETE: (&[u8], &[u8]) = (b"\0\x40\0", b"{\"delete\":\"a\"}");

    #[test]
    fn a_removal_keeps_its_place_among_the_readings() {
        let (before, after): (&[u8], &[u8]) = (b"{\"value\":1}", b"{\"value\":2}");
        let topic: &[u8] = b"sensors/a/t";
        let mut entries = vec![entry(1, 1, &[(topic, before)]), entry(3, 2, &[(topic, after)])];
        let control = Entry::new(
            EntryId { ms: 2, seq: 0 },
            vec![
                (b"@".to_vec(), b"1 00000000000000cd 1 1 1000 1".to_vec()),
                (DELETE.0.to_vec(), DELETE.1.to_vec()),
            ],
        );
        entries.insert(1, control);
        let round = take(&mut follower(), SHARD, &entries);
        assert_eq!(said(&round), ["1", "a removed", "2"]);
        // Of many messages of one topic the last is enough, and a removal is never left out.
        let mut follower = follower();
        for number in 1..=100 {
            take(&mut follower, ShardId(5), &[entry(number, number, &[(topic, before)])]);
        }
        assert_eq!(said(&take(&mut follower, SHARD, &entries)), ["a removed", "2"]);
    }

    #[test]
    fn a_removal_is_told_once_and_in_the_shard_of_the_sensor() {
        let mut follower = follower();
        let control = |number| [entry(number, number, &[DELETE])];
        let known = |home: &dyn Fn(&str) -> ShardId, follower: &mut Follower, shard, number| {
            let known = Known { last_at: &|_| None, home };
            said(&follower.take(ShardId(shard), &control(number), &known)).len()
        };
        let second: &dyn Fn(&str) -> ShardId = &|_| ShardId(1);
        assert_eq!(known(second, &mut follower, 0, 1), 0);
        // The table may have lost the sensor meanwhile: what was decided first stays.
        let other: &dyn Fn(&str) -> ShardId = &|_| ShardId(2);
        assert_eq!(known(other, &mut follower, 1, 1), 1);
        assert_eq!(known(other, &mut follower, 2, 1), 0);
        assert_eq!(known(second, &mut follower, 1, 1), 0, "resent");
    }
}
