//! Topics without Redis and without an owner.

use super::writing::RECORDS_PER_WRITE_MAX;
use super::*;
use crate::reading::UnixMillis;

/// A shard's topics, and entries that come one a second.
struct Play {
    topics: Topics,
    now_ms: u64,
}

impl Play {
    fn new(topics_max: usize) -> Self {
        let mut topics = Topics::default();
        topics.limit(topics_max);
        topics.load(Vec::new());
        Self { topics, now_ms: 1_000_000 }
    }

    /// A message that is counted, a second after the one before.
    fn hear(&mut self, topic: &str) -> bool {
        self.now_ms += 1000;
        self.hear_as(topic, Ok(&Decoded { format: "json", readings: 1, ..Decoded::default() }))
    }

    fn hear_as(&mut self, topic: &str, decoded: Result<&Decoded, Refusal>) -> bool {
        let message = Message {
            topic,
            payload: b"",
            flags: Flags::NONE,
            received_at: UnixMillis(i64::try_from(self.now_ms).unwrap()),
            refused: None,
        };
        let place = self.topics.hear(&message, self.now_ms, decoded);
        match (place, decoded) {
            (Some(place), Ok(_)) => self.topics.folded(place, 1, (0, 0), Last::Counted),
            (Some(place), Err(_)) => self.topics.refused(place),
            (None, _) => {}
        }
        self.topics.settle(&Table::default(), &[]);
        place.is_some()
    }

    fn record(&self, topic: &str) -> Option<&Record> {
        self.topics.find(topic).map(|place| &self.topics.seen[place as usize].record)
    }

    /// Writes everything to a Redis that takes it.
    fn write_to(&mut self, redis: &mut std::collections::BTreeMap<Vec<u8>, Vec<u8>>) {
        while let Some(write) = self.topics.write() {
            for field in &write.drop {
                redis.remove(field);
            }
            redis.extend(write.set.iter().cloned());
            self.topics.written(&write);
        }
    }
}

/// Messages because there was no place, and because of long topics; and of how many topics.
fn left_out(play: &Play) -> (u64, u64, u64) {
    let LeftOut { full, long, topics } = play.topics.left_out();
    (*full, *long, topics.estimate())
}

#[test]
fn all_shards_together_remember_ten_thousand_topics_or_so() {
    for shards in [1, 8, 64, 1024] {
        let all = topics_max(ShardCount::new(shards).unwrap()) * usize::from(shards);
        assert!((10_000..20_500).contains(&all), "{shards}: {all}");
    }
}

#[test]
fn a_topic_is_told_by_what_became_of_its_messages() {
    let mut play = Play::new(10);
    for _ in 0..5 {
        play.hear("s/a/t");
    }
    play.now_ms += 1000;
    play.hear_as("s/a/t", Err(Refusal::BadJson));
    let record = play.record("s/a/t").unwrap();
    assert_eq!((record.messages, record.readings, record.errors), (6, 5, 1));
    assert_eq!((record.last, record.format), (Last::Refused, Some("json")));
    assert_eq!(record.refusal, Some((Refusal::BadJson, UnixMillis(1_006_000))));
    assert_eq!(record.last_message, UnixMillis(1_006_000));
    assert_eq!(record.rate.per_second(UnixMillis(1_006_000)), Some(1.0));
    play.hear("s/a/t");
    assert_eq!(play.record("s/a/t").unwrap().last, Last::Counted);
    // An array of which some could be read.
    let mut decoded = Decoded { format: "json", readings: 2, ..Decoded::default() };
    decoded.refused_elements[Refusal::WrongType.index()] = 3;
    play.hear_as("s/a/t", Ok(&decoded));
    let record = play.record("s/a/t").unwrap();
    assert_eq!((record.errors, record.partly, record.last), (1, 3, Last::Counted));
    assert_eq!(record.refusal.unwrap().0, Refusal::WrongType);
}

#[test]
fn what_is_ours_and_what_nobody_knows_is_no_topic() {
    let mut play = Play::new(10);
    assert!(!play.hear_as("", Err(Refusal::UnknownFlag)));
    let control = Message {
        topic: "",
        payload: b"",
        flags: Flags::CONTROL,
        received_at: UnixMillis(0),
        refused: None,
    };
    assert_eq!(play.topics.hear(&control, 1, Err(Refusal::UnknownFlag)), None);
    assert_eq!((play.topics.seen.len(), left_out(&play)), (0, (0, 0, 0)));
}

#[test]
fn a_topic_without_a_place_is_counted_until_another_was_silent_for_long() {
    let mut play = Play::new(2);
    assert!(play.hear("a") && play.hear("b"));
    assert!(!play.hear("c") && !play.hear("c"));
    assert_eq!(left_out(&play), (2, 0, 1));
    play.now_ms += SILENT_MS;
    assert!(play.hear("a"), "one that is there stays");
    assert!(play.hear("c"));
    assert!(play.record("b").is_none() && play.record("a").is_some());
    assert_eq!(play.record("c").unwrap().messages, 1);
    assert!(!play.hear("b"), "nobody is silent now");
    play.now_ms += SILENT_MS;
    assert!(play.hear("b"), "a was silent the longest");
    assert!(play.record("a").is_none() && play.record("c").is_some());
}

#[test]
fn a_topic_that_is_too_long_is_counted() {
    let mut play = Play::new(2);
    assert!(play.hear(&"x".repeat(TOPIC_BYTES_MAX)));
    assert!(!play.hear(&"x".repeat(TOPIC_BYTES_MAX + 1)));
    assert_eq!(left_out(&play), (0, 1, 1));
}

/// Hours that were missed come in one batch: each message is a long time after the one before,
/// and none of them is folded yet.
#[test]
fn a_topic_keeps_its_place_until_the_batch_is_folded() {
    let mut play = Play::new(2);
    let decoded = Decoded { format: "json", readings: 1, ..Decoded::default() };
    let mut places = Vec::new();
    for topic in ["a", "b", "c", "a"] {
        play.now_ms += 2 * SILENT_MS;
        let message = Message {
            topic,
            payload: b"",
            flags: Flags::NONE,
            received_at: UnixMillis(0),
            refused: None,
        };
        places.push(play.topics.hear(&message, play.now_ms, Ok(&decoded)));
    }
    assert_eq!((places[0], places[2]), (places[3], None));
    play.topics.settle(&Table::default(), &[]);
    assert!(play.hear("c"), "now it may");
}

#[test]
fn what_gave_way_goes_from_redis_unless_it_is_back() {
    let mut redis = std::collections::BTreeMap::new();
    let mut play = Play::new(2);
    for topic in ["a", "b", "c"] {
        play.hear(topic);
    }
    play.write_to(&mut redis);
    let fields = |redis: &std::collections::BTreeMap<Vec<u8>, Vec<u8>>| -> Vec<String> {
        redis.keys().map(|field| String::from_utf8(field.clone()).unwrap()).collect()
    };
    assert_eq!(fields(&redis), ["", "a", "b"]);
    play.now_ms += SILENT_MS;
    // Both give way, and one of them comes back before anything is written.
    for topic in ["c", "d"] {
        play.hear(topic);
    }
    play.now_ms += SILENT_MS;
    play.hear("a");
    play.write_to(&mut redis);
    assert_eq!(fields(&redis), ["", "a", "d"]);
    assert_eq!(LeftOut::parse(&redis[LeftOut::FIELD]).as_ref(), Some(play.topics.left_out()));
    assert_eq!(play.topics.write(), None);
}

#[test]
fn a_successor_goes_on_and_removes_what_is_too_much() {
    let mut redis = std::collections::BTreeMap::new();
    let mut play = Play::new(5);
    for topic in ["a", "b", "c", "d", "e", "f"] {
        play.hear(topic);
    }
    play.write_to(&mut redis);
    redis.insert(b"broken".to_vec(), b"{".to_vec());
    let mut heir = Play::new(3);
    heir.topics = Topics::default();
    heir.topics.limit(3);
    assert_eq!(heir.topics.write(), None, "nothing before it has loaded");
    heir.topics.load(redis.clone().into_iter().collect());
    assert_eq!(heir.record("e"), play.record("e"));
    assert_eq!(left_out(&heir), (1, 0, 1));
    heir.write_to(&mut redis);
    assert_eq!(redis.len(), 4, "{redis:?}");
    heir.now_ms = play.now_ms;
    heir.hear("e");
    assert_eq!(heir.record("e").unwrap().messages, 2);
    assert_eq!(heir.record("e").unwrap().rate.per_second(UnixMillis(0)), Some(0.5));
}

#[test]
fn a_write_is_bounded_and_one_that_failed_is_made_again() {
    let mut play = Play::new(2000);
    for n in 0..1200 {
        play.hear(&format!("s/{n}"));
    }
    let first = play.topics.write_due(Duration::ZERO).unwrap();
    assert_eq!(first.set.len(), RECORDS_PER_WRITE_MAX);
    play.topics.failed();
    assert_eq!(play.topics.write_due(Duration::from_secs(4)), None, "100 records a second");
    let mut redis = std::collections::BTreeMap::new();
    play.write_to(&mut redis);
    assert_eq!(redis.len(), 1200);
    play.hear("s/7");
    assert_eq!(play.topics.write_due(Duration::from_secs(5)).unwrap().set.len(), 1);
    assert_eq!(play.topics.write_due(Duration::from_secs(7)), None, "nothing changed");
}

#[test]
fn a_deletion_is_seen_at_the_topics_that_named_the_sensor() {
    let mut table = Table::default();
    let slot = table.intern(b"a\0t");
    let numbers =
        Numbers { slot, value: 1.0, measured_at: UnixMillis(0), is_timed: false, attributes: 1 };
    let mut play = Play::new(5);
    for topic in ["s/a/t", "s/b/t"] {
        play.hear(topic);
    }
    let place = Place(play.topics.find("s/a/t").unwrap());
    play.topics.touched.push(place.0);
    play.topics.folded(place, 1, (0, 1), Last::Counted);
    play.topics.settle(&table, &[numbers]);
    play.topics.deleted("a");
    let last = |play: &Play, topic| play.record(topic).unwrap().last;
    assert_eq!((last(&play, "s/a/t"), last(&play, "s/b/t")), (Last::Deleted, Last::Counted));
    play.hear("s/a/t");
    assert_eq!(last(&play, "s/a/t"), Last::Counted);
}
