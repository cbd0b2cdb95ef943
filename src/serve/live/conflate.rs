//! Which messages need not be parsed at all: of many messages of one topic that are read together,
//! only the last is shown, so only it is parsed, as long as that is safe (design §2.6).
//!
//! It is safe when the first hundred messages of the topic, and all parsed since, named one and
//! the same series, and nobody wants every reading of it. A topic that ever named a second series
//! is parsed message by message. When a message that was taken for others is older than what is
//! shown, or says nothing that can be shown, one of those left out may have been the one to show:
//! the round is looked at again with this topic whole. After an old one the topic's next round is
//! parsed whole, too; after one that says nothing its first hundred are counted anew. A state
//! machine without runtime, clock or I/O.
//!
//! A round is walked backwards, and each message costs one look-up: what is decided of a topic
//! stands with the topic, under the number of the round. At 250,000 messages a second that is
//! where the time goes. Topics are hashed by XXH3 under a seed of the process's own, so that
//! nobody can choose topics that fall together.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::every::Every;
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
    every: Every,
    /// How often another `every` was wanted: a topic learns of it when it is heard next.
    every_changes: u64,
    seed: u64,
    /// The number of the look, from 1; a round may be looked at twice.
    look: u64,
    /// The first look at this round.
    round: u64,
    /// A message that was taken for others was not the one to show.
    misled: bool,
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
    /// Somebody wants every reading of it, as of this change.
    is_every: bool,
    every_as_of: u64,
    /// The last look in which its last message was taken for all of them.
    taken_in: u64,
    /// How many messages were left out in that look.
    replaced: u32,
    /// The last look in which it was parsed whole, or is to be.
    whole_in: u64,
}

impl Topic {
    /// Its message was not the one to show; whether others were left out for it in this look.
    const fn mislead(&mut self, look: u64) -> bool {
        let has_misled = self.taken_in == look && self.replaced > 0;
        if has_misled {
            self.whole_in = look;
        }
        has_misled
    }

    #[cold]
    fn learn_every(&mut self, every: &Every, as_of: u64) {
        self.is_every = self.series.as_ref().is_some_and(|it| every.fits(&it.sensor_id));
        self.every_as_of = as_of;
    }

    const fn is_safe(&self) -> bool {
        self.series.is_some() && self.parsed >= PARSED_FIRST && !self.whole && !self.is_every
    }
}

impl Conflate {
    /// Knows no topic. `seed` is random.
    pub(super) fn new(seed: u64) -> Self {
        let (places, topics, every) = (HashTable::new(), Vec::new(), Every::default());
        let misled = false;
        Self { places, topics, every, every_changes: 0, seed, look: 0, round: 0, misled }
    }

    /// From now on every reading of these entries is wanted. Costs nothing here, however many
    /// topics there are: each is judged when its next message comes.
    pub(super) fn want_every(&mut self, every: Every) {
        if !every.is(&self.every) {
            self.every = every;
            self.every_changes += 1;
        }
    }

    /// A round begins: messages of one shard that were read together.
    pub(super) const fn begin(&mut self) {
        self.look += 1;
        self.round = self.look;
        self.misled = false;
    }

    /// Whether the round is to be looked at again, from the start: once, if at all. What was told
    /// of it is void.
    pub(super) const fn looks_again(&mut self) -> bool {
        let is_again = self.misled && self.look == self.round;
        if is_again {
            self.look += 1;
        }
        is_again
    }

    /// Whether a message of the round is parsed. The last one is asked for first.
    pub(super) fn plan(&mut self, topic: &str) -> Plan {
        let Some(place) = self.find(topic) else { return Plan::Parse(None) };
        let known = &mut self.topics[place.0 as usize];
        if known.every_as_of != self.every_changes {
            known.learn_every(&self.every, self.every_changes);
        }
        if known.is_safe() && known.whole_in < self.round {
            if known.taken_in == self.look {
                known.replaced += 1;
                return Plan::LeaveOut;
            }
            (known.taken_in, known.replaced) = (self.look, 0);
        } else {
            // Parsed whole this time; the next round is judged anew.
            known.whole = false;
            known.whole_in = self.look;
        }
        Plan::Parse(Some(place))
    }

    /// How many messages were left out because this one came behind them; known when all of the
    /// round have been asked for.
    pub(super) fn replaced(&self, place: Option<Place>) -> u32 {
        let topic = place.and_then(|place| self.topics.get(place.0 as usize));
        topic.filter(|known| known.taken_in == self.look).map_or(0, |known| known.replaced)
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
        if measured_at < known.latest {
            known.whole = true;
            self.misled |= known.mislead(self.look);
        }
        known.latest = known.latest.max(measured_at);
        if known.series.as_ref().is_some_and(|only| only != series) {
            known.series = None;
        }
    }

    /// A message was parsed and said nothing that can be shown.
    pub(super) fn barren(&mut self, place: Option<Place>) {
        let topic = place.and_then(|place| self.topics.get_mut(place.0 as usize));
        if let Some(known) = topic {
            known.parsed = 0;
            self.misled |= known.mislead(self.look);
        }
    }

    fn learn(&mut self, topic: &str, series: &SeriesKey, measured_at: UnixMillis) {
        let Self { places, topics, every, every_changes, seed, .. } = self;
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
            is_every: every.fits(&series.sensor_id),
            every_as_of: *every_changes,
            taken_in: 0,
            replaced: 0,
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
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

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
        assert!(!conflate.looks_again(), "nothing was left out");
        assert_eq!(plan(&mut conflate, &["x", "x", "x"]), [true; 3]);
        assert_eq!(plan(&mut conflate, &["x", "x", "x"]), [false, false, true]);
    }

    #[test]
    fn a_round_in_which_the_last_was_not_the_one_to_show_is_looked_at_again() {
        let old = |conflate: &mut Conflate| {
            conflate.parsed("x", conflate.find("x"), &series("a"), UnixMillis(NOW.0 - 1));
        };
        let barren = |conflate: &mut Conflate| conflate.barren(conflate.find("x"));
        let tales: [&dyn Fn(&mut Conflate); 2] = [&old, &barren];
        for tell in tales {
            let mut conflate = known("x", 200);
            assert_eq!(plan(&mut conflate, &["x", "x"]), [false, true]);
            tell(&mut conflate);
            assert!(conflate.looks_again());
            assert_eq!([(); 2].map(|()| conflate.plan("x")), [Plan::Parse(conflate.find("x")); 2]);
            tell(&mut conflate);
            assert!(!conflate.looks_again(), "all were looked at");
            assert_eq!(plan(&mut conflate, &["x", "x"]), [true; 2], "and the next round is whole");
        }
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

    #[test]
    fn the_one_that_is_parsed_says_how_many_it_stands_for() {
        let mut conflate = known("x", 100);
        for (messages, replaced) in [(3, 2), (1, 0)] {
            plan(&mut conflate, &vec!["x"; messages]);
            assert_eq!(conflate.replaced(conflate.find("x")), replaced);
        }
        assert_eq!(conflate.replaced(None), 0);
        conflate.begin();
        assert_eq!(conflate.replaced(conflate.find("x")), 0);
    }

    #[test]
    fn a_series_of_which_all_is_wanted_is_parsed_message_by_message() {
        let every = |entry: &str| Every::new(BTreeSet::from([entry.into()]));
        let mut conflate = known("x", 200);
        for (entry, is_whole) in [("a", true), ("b", false), ("a*", true), ("*", true)] {
            conflate.want_every(every(entry));
            assert_eq!(plan(&mut conflate, &["x", "x"]), [is_whole, true], "{entry}");
        }
        // A topic heard for the first time, too.
        let mut conflate = Conflate::new(7);
        conflate.want_every(every("a"));
        for _ in 0..200 {
            conflate.parsed("x", None, &series("a"), NOW);
        }
        assert_eq!(plan(&mut conflate, &["x", "x"]), [true, true]);
    }

    /// A hundred clients that asked for `every` and took it back, eighteen times a second, kept the
    /// tail busy with nothing but walking all topics and entries.
    #[test]
    fn a_change_of_what_is_wanted_costs_nothing_for_topics_that_are_not_heard() {
        let (started, limit) = (Instant::now(), Duration::from_secs(20));
        let mut conflate = Conflate::new(7);
        for topic in 0..100_000 {
            conflate.parsed(&format!("t{topic}"), None, &series(&format!("s{topic}")), NOW);
        }
        let entries: BTreeSet<Box<str>> = (0..1000).map(|id| format!("s{id}*").into()).collect();
        for change in 0..1000 {
            conflate.want_every(Every::new(entries.clone()));
            assert_eq!(plan(&mut conflate, &["t1", "t1", "t99999"]), [true; 3]);
            assert!(started.elapsed() < limit, "after {change} changes");
        }
    }
}
