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

#[test]
fn a_message_that_makes_the_decoder_panic_does_not_take_its_neighbours_with_it() {
    let (topic, retained): (&[u8], &[u8]) = (b"sensors/a/t", b"\0\x02\0sensors/boom/t");
    let messages: &[(&[u8], &[u8])] =
        &[(topic, b"{\"value\":1}"), (retained, b"{\"value\":2}"), (topic, b"{\"value\":3}")];
    let known = Known { last_at: &|_| panic!("asked to panic"), home: &|_| SHARD };
    let mut follower = follower();
    for number in 1..=2 {
        let round = follower.take(SHARD, &[entry(number, number, messages)], &known);
        assert_eq!(said(&round), ["1", "3"]);
    }
}

/// What a round says, in short.
fn said(round: &Round) -> Vec<String> {
    let word = |change: &Change| match change {
        Change::Reading(observed) => observed.value.to_string(),
        Change::Removed { sensor_id } => format!("{sensor_id} removed"),
    };
    round.changes.iter().map(word).collect()
}

/// A follower that knows a topic well enough to leave out what is replaced.
fn knowing(topic: &[u8]) -> Follower {
    let mut follower = follower();
    for number in 1..=100 {
        let entry = entry(number, number, &[(topic, b"{\"value\":0}")]);
        take(&mut follower, ShardId(5), &[entry]);
    }
    follower
}

#[test]
fn what_stands_before_a_message_that_shows_nothing_is_shown() {
    let topic: &[u8] = b"sensors/a/t";
    let retained: &[u8] = b"\0\x02\0sensors/a/t";
    let (one, two): (&[u8], &[u8]) = (b"{\"value\":1}", b"{\"value\":2}");
    let old: &[u8] = br#"{"value":3,"timestamp":"1970-01-01T00:00:00.500Z"}"#;
    let check = |last: (&[u8], &[u8]), expected: &[&str], left_out| {
        let mut follower = knowing(topic);
        let round = [entry(1, 1, &[(topic, one), (topic, two), last])];
        let known = Known { last_at: &|_| Some(UnixMillis(1000)), home: &|_| SHARD };
        assert_eq!(said(&follower.take(SHARD, &round, &known)), expected);
        assert_eq!(follower.left_out(), left_out);
    };
    check((topic, b"{\"value\":3}"), &["3"], 2);
    check((topic, b"nonsense"), &["1", "2"], 0);
    check((retained, b"{\"value\":3}"), &["1", "2"], 0);
    check((topic, old), &["1", "2", "3"], 0);
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
    let mut follower = knowing(topic);
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
