//! How often series are heard, as owners note it, against a real Redis.

use super::*;
use crate::stream::EntryId;

/// A message with the flag *retained*, received with its entry: flags, no delay, the topic.
const RETAINED: &[u8] = b"\0\x02\0s/a/t";

impl Stage {
    /// Appends the producer's `number`th entry at this time of Redis's clock.
    async fn append_at(&self, ms: u64, number: u64, messages: &[(&[u8], &[u8])]) {
        let id = format!("{ms}-0");
        let count = messages.len() as u64;
        let header = format!("1 00000000000000aa {number} {count} {ms} {}", number * count);
        let mut words: Vec<&[u8]> = vec![b"XADD", self.keys.stream.as_bytes(), id.as_bytes()];
        words.extend([&b"@"[..], header.as_bytes()]);
        words.extend(messages.iter().flat_map(|(topic, payload)| [topic, payload]));
        self.redis.run(&words).await;
    }

    async fn interval_ms(&self) -> u32 {
        self.state(b"a\0t").await.interval.ms()
    }
}

#[tokio::test]
async fn the_interval_is_that_of_arrivals_and_survives_the_owner() {
    let stage = Stage::new().await;
    let one: (&[u8], &[u8]) = (b"s/a/t", br#"{"value":1}"#);
    let array: (&[u8], &[u8]) = (b"s/a/t", br#"[{"value":1},{"value":2}]"#);
    stage.append_at(1_000_000, 1, &[one]).await;
    stage.fold_all("f1").await;
    assert_eq!(stage.interval_ms().await, 0);
    stage.append_at(1_010_000, 2, &[array, one]).await;
    stage.append_at(1_020_000, 3, &[array]).await;
    stage.fold_all("f1").await;
    assert_eq!((stage.interval_ms().await, stage.meta().await.totals.readings), (10_000, 6));
    stage.append_at(1_040_000, 4, &[one]).await;
    stage.fold_all("f1").await;
    assert_eq!(stage.interval_ms().await, 15_000);
}

#[tokio::test]
async fn what_is_not_counted_is_not_heard() {
    let stage = Stage::new().await;
    let one: (&[u8], &[u8]) = (b"s/a/t", br#"{"value":1}"#);
    stage.append_at(1_000_000, 1, &[one]).await;
    stage.append_at(1_010_000, 2, &[one]).await;
    // A replay that says nothing new, an entry that came again, and something unreadable.
    stage.append_at(1_500_000, 3, &[(RETAINED, br#"{"value":1}"#)]).await;
    stage.append_at(1_600_000, 2, &[one]).await;
    stage.append_at(1_700_000, 4, &[(b"s/a/t", b"nonsense")]).await;
    let totals = stage.fold_all("f1").await.totals;
    assert_eq!((totals.retained, totals.resent, totals.dead_lettered()), (1, 1, 1));
    let state = stage.state(b"a\0t").await;
    assert_eq!((state.interval.ms(), state.applied.entry.ms), (10_000, 1_010_000));
}

#[tokio::test]
async fn a_deleted_series_begins_without_an_interval() {
    let stage = Stage::new().await;
    let one: (&[u8], &[u8]) = (b"s/a/t", br#"{"value":1}"#);
    // A control message: flags, no delay, no topic.
    let delete: (&[u8], &[u8]) = (b"\0\x40\0", br#"{"delete":"a"}"#);
    stage.append_at(1_000_000, 1, &[one]).await;
    stage.append_at(1_010_000, 2, &[one]).await;
    stage.append_at(1_020_000, 3, &[delete]).await;
    stage.append_at(1_030_000, 4, &[one]).await;
    let totals = stage.fold_all("f1").await.totals;
    assert_eq!((totals.control, totals.decoded), (1, 3));
    assert_eq!((stage.interval_ms().await, stage.state(b"a\0t").await.number), (0, 2));
}

/// The state of sensor `a` is the one that a program of version 2 left.
#[tokio::test]
async fn an_owner_goes_on_with_a_state_of_version_2_and_writes_version_3() {
    let stage = Stage::new().await;
    let stored = include_bytes!("../testdata/state_of_version_2.bin");
    let states = stage.keys.states.as_bytes();
    stage.redis.run(&[b"HSET", states, b"a\0t", stored]).await;
    stage.redis.run(&[b"HSET", stage.keys.index.as_bytes(), b"a", b"t"]).await;
    stage.run(&format!("HSET {} next 7 series 1", stage.keys.meta)).await;
    let before = state::State::unpack(stored).unwrap();
    assert_eq!(before.applied.entry, EntryId { ms: 5, seq: 1 });
    let late = br#"{"value":1,"timestamp":"2023-01-01T00:00:00Z"}"#;
    stage.append_at(1_005, 1, &[(b"s/a/t", late)]).await;
    assert_eq!(stage.fold_all("f1").await.totals.decoded, 1);
    let after = stage.state(b"a\0t").await;
    assert_eq!((after.number, after.interval.ms()), (7, 1_000));
    assert_eq!(after.statistics.moments.count, before.statistics.moments.count + 1);
    let packed = stage.redis.run(&[b"HGET", states, b"a\0t"]).await;
    let redis::Value::BulkString(packed) = packed else { panic!("no state") };
    assert_eq!(packed[0], 3);
}
