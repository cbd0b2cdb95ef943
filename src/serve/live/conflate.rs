//! Which messages need not be parsed at all: of many messages of one topic that are read together,
//! only the last is shown, so only it is parsed, as long as that is safe (design §2.6).
//!
//! It is safe when the first hundred messages of the topic, and all parsed since, named one and
//! the same series. A topic that ever named a second series is parsed message by message. When a
//! parsed message was older than what is shown, the topic's next round is parsed whole, because
//! one of those left out may have been later. A state machine without runtime, clock or I/O.
//!
//! A round is walked backwards, and each message costs one look-up: what is decided of a topic
//! stands with the topic, under the number of the round. At 250,000 messages a second that is
//! where the time goes. Topics are hashed by XXH3 under a seed of the process's own, so that
//! nobody can choose topics that fall together.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::reading::{SeriesKey, UnixMillis};

/// So many messages of a topic are parsed before any is left out (design §2.6).
const PARSED_FIRST: u32 = 100;
/// Topics remembered; others are always parsed.
const TOPICS_MAX: usize = 262_144;

/// What is known of the topics.
#[derive(Debug)]
pub(super) struct Conflate {
    places: HashTable<u32>,
    topics: Vec<Topic>,
    seed: u64,
    /// The number of the round, from 1.
    round: u64,
}

/// Where a topic that is remembered stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// A later one of its topic is parsed instead.
    LeaveOut,
    /// It is parsed; its topic may be known.
    Parse(Option<Place>),
}

#[derive(Debug)]
struct Topic {
    name: Box<str>,
    /// Its only series; `None` once there were several.
    series: Option<SeriesKey>,
    parsed: u32,
    /// The latest time of a parsed message: what is shown, or later than it.
    latest: UnixMillis,
    /// The next round is parsed whole.
    whole: bool,
    /// The last round in which its last message was taken for all of them.
    taken_in: u64,
    /// The last round that was parsed whole.
    whole_in: u64,
}

impl Topic {
    const fn is_safe(&self) -> bool {
        self.series.is_some() && self.parsed >= PARSED_FIRST && !self.whole
    }
}

impl Conflate {
    /// Knows no topic. `seed` is random.
    pub(super) const fn new(seed: u64) -> Self {
        Self { places: HashTable::new(), topics: Vec::new(), seed, round: 0 }
    }

    /// A round begins: messages of one shard that were read together.
    pub(super) const fn begin(&mut self) {
        self.round += 1;
    }

    /// Whether a message of the round is parsed. The last one is asked for first.
    pub(super) fn plan(&mut self, topic: &str) -> Plan {
        let Some(place) = self.find(topic) else { return Plan::Parse(None) };
        let known = &mut self.topics[place.0 as usize];
        if known.is_safe() && known.whole_in != self.round {
            if known.taken_in == self.round {
                return Plan::LeaveOut;
            }
            known.taken_in = self.round;
        } else {
            // Parsed whole this time; the next round is judged anew.
            known.whole = false;
            known.whole_in = self.round;
        }
        Plan::Parse(Some(place))
    }

    /// A message was parsed; it named a series and a time. Those of a round are told in order.
    pub(super) fn parsed(
        &mut self,
        topic: &str,
        place: Option<Place>,
        series: &SeriesKey,
        measured_at: UnixMillis,
    ) {
        // An earlier message of the round may have made it known.
        let Some(place) = place.or_else(|| self.find(topic)) else {
            return self.learn(topic, series, measured_at);
        };
        let known = &mut self.topics[place.0 as usize];
        known.parsed = known.parsed.saturating_add(1);
        known.whole |= measured_at < known.latest;
        known.latest = known.latest.max(measured_at);
        if known.series.as_ref().is_some_and(|only| only != series) {
            known.series = None;
        }
    }

    fn learn(&mut self, topic: &str, series: &SeriesKey, measured_at: UnixMillis) {
        let Self { places, topics, seed, .. } = self;
        let Some(place) = u32::try_from(topics.len()).ok().filter(|_| topics.len() < TOPICS_MAX)
        else {
            return;
        };
        topics.push(Topic {
            name: topic.into(),
            series: Some(series.clone()),
            parsed: 1,
            latest: measured_at,
            whole: false,
            taken_in: 0,
            whole_in: 0,
        });
        let hash = |name: &str| xxh3_64_with_seed(name.as_bytes(), *seed);
        places.insert_unique(hash(topic), place, |&place| hash(&topics[place as usize].name));
    }

    fn find(&self, topic: &str) -> Option<Place> {
        let hash = xxh3_64_with_seed(topic.as_bytes(), self.seed);
        let is_it = |&place: &u32| *self.topics[place as usize].name == *topic;
        self.places.find(hash, is_it).copied().map(Place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1000);

    fn series(id: &str) -> SeriesKey {
        SeriesKey { sensor_id: id.into(), sensor_type: "t".into() }
    }

    fn known(topic: &str, messages: u32) -> Conflate {
        let mut conflate = Conflate::new(7);
        for _ in 0..messages {
            conflate.parsed(topic, None, &series("a"), NOW);
        }
        conflate
    }

    /// Which messages of a round are parsed, in their order.
    fn plan(conflate: &mut Conflate, topics: &[&str]) -> Vec<bool> {
        conflate.begin();
        let plans = topics.iter().rev().map(|topic| conflate.plan(topic) != Plan::LeaveOut);
        let mut plans: Vec<bool> = plans.collect();
        plans.reverse();
        plans
    }

    #[test]
    fn only_the_last_of_a_known_topic_is_parsed() {
        let round = ["x", "new", "x", "x", "new"];
        assert_eq!(plan(&mut known("x", 99), &round), [true; 5]);
        let mut conflate = known("x", 100);
        for _ in 0..2 {
            assert_eq!(plan(&mut conflate, &round), [false, true, false, true, true]);
        }
    }

    #[test]
    fn a_topic_with_two_series_is_parsed_for_good() {
        let mut conflate = known("x", 200);
        conflate.parsed("x", None, &series("b"), NOW);
        for _ in 0..200 {
            conflate.parsed("x", None, &series("a"), NOW);
        }
        assert_eq!(plan(&mut conflate, &["x", "x"]), [true, true]);
    }

    #[test]
    fn after_an_old_message_one_round_is_parsed_whole() {
        let mut conflate = known("x", 200);
        conflate.parsed("x", None, &series("a"), UnixMillis(NOW.0 - 1));
        assert_eq!(plan(&mut conflate, &["x", "x", "x"]), [true; 3]);
        assert_eq!(plan(&mut conflate, &["x", "x", "x"]), [false, false, true]);
    }

    #[test]
    fn topics_beyond_the_limit_are_always_parsed() {
        let mut conflate = known("x", 200);
        for number in 0..TOPICS_MAX {
            conflate.parsed(&format!("t{number}"), None, &series("a"), NOW);
        }
        let last = format!("t{}", TOPICS_MAX - 1);
        for _ in 0..200 {
            conflate.parsed(&last, None, &series("a"), NOW);
        }
        assert_eq!(plan(&mut conflate, &[&last, "x", &last, "x"]), [true, false, true, true]);
        assert_eq!(conflate.topics.len(), TOPICS_MAX);
    }
}
