//! Which messages need not be parsed at all: of many messages of one topic that are read together,
//! only the last is shown, so only it is parsed, as long as that is safe (design §2.6).
//!
//! It is safe when the first hundred messages of the topic, and all parsed since, named one and
//! the same series. A topic that ever named a second series is parsed message by message. When a
//! parsed message was older than what is shown, the topic's next round is parsed whole, because
//! one of those left out may have been later. A state machine without runtime, clock or I/O.

use std::collections::{HashMap, HashSet};

use crate::reading::{SeriesKey, UnixMillis};

/// So many messages of a topic are parsed before any is left out (design §2.6).
const PARSED_FIRST: u32 = 100;
/// Topics remembered; others are always parsed.
const TOPICS_MAX: usize = 262_144;

/// What is known of the topics.
#[derive(Debug, Default)]
pub(super) struct Conflate {
    topics: HashMap<Box<str>, Topic>,
}

#[derive(Debug)]
struct Topic {
    /// Its only series; `None` once there were several.
    series: Option<SeriesKey>,
    parsed: u32,
    /// The latest time of a parsed message: what is shown, or later than it.
    latest: UnixMillis,
    /// The next round is parsed whole.
    whole: bool,
}

impl Topic {
    const fn is_safe(&self) -> bool {
        self.series.is_some() && self.parsed >= PARSED_FIRST && !self.whole
    }
}

impl Conflate {
    /// Which of a round's messages are parsed, in their order, by their topics.
    pub(super) fn plan<'a>(&mut self, topics: &[&'a str]) -> Vec<bool> {
        let mut taken: HashSet<&'a str> = HashSet::new();
        let mut whole: HashSet<&'a str> = HashSet::new();
        let mut plan = vec![true; topics.len()];
        for (place, topic) in topics.iter().enumerate().rev() {
            match self.topics.get_mut(*topic) {
                Some(known) if known.is_safe() && !whole.contains(topic) => {
                    plan[place] = taken.insert(topic);
                }
                Some(known) => {
                    // Parsed whole this time; the next round is judged anew.
                    known.whole = false;
                    whole.insert(topic);
                }
                None => {}
            }
        }
        plan
    }

    /// A message was parsed; it named a series and a time.
    pub(super) fn parsed(&mut self, topic: &str, series: &SeriesKey, measured_at: UnixMillis) {
        if let Some(known) = self.topics.get_mut(topic) {
            known.parsed = known.parsed.saturating_add(1);
            known.whole |= measured_at < known.latest;
            known.latest = known.latest.max(measured_at);
            if known.series.as_ref().is_some_and(|only| only != series) {
                known.series = None;
            }
        } else if self.topics.len() < TOPICS_MAX {
            let (series, latest) = (Some(series.clone()), measured_at);
            self.topics.insert(topic.into(), Topic { series, parsed: 1, latest, whole: false });
        }
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
        let mut conflate = Conflate::default();
        for _ in 0..messages {
            conflate.parsed(topic, &series("a"), NOW);
        }
        conflate
    }

    #[test]
    fn only_the_last_of_a_known_topic_is_parsed() {
        let round = ["x", "new", "x", "x", "new"];
        assert_eq!(known("x", 99).plan(&round), [true; 5]);
        assert_eq!(known("x", 100).plan(&round), [false, true, false, true, true]);
    }

    #[test]
    fn a_topic_with_two_series_is_parsed_for_good() {
        let mut conflate = known("x", 200);
        conflate.parsed("x", &series("b"), NOW);
        for _ in 0..200 {
            conflate.parsed("x", &series("a"), NOW);
        }
        assert_eq!(conflate.plan(&["x", "x"]), [true, true]);
    }

    #[test]
    fn after_an_old_message_one_round_is_parsed_whole() {
        let mut conflate = known("x", 200);
        conflate.parsed("x", &series("a"), UnixMillis(NOW.0 - 1));
        assert_eq!(conflate.plan(&["x", "x", "x"]), [true; 3]);
        assert_eq!(conflate.plan(&["x", "x", "x"]), [false, false, true]);
    }
}
