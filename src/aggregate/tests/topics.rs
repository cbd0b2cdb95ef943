//! What owners see of topics, in a real Redis.

use super::super::topics::{Last, LeftOut, Record};
use super::*;
use crate::message::Control;
use crate::refusal::Refusal;
use crate::stream::{control, topics};

impl Stage {
    async fn records(&self) -> HashMap<String, Vec<u8>> {
        let keys = std::slice::from_ref(&self.keys);
        let fields = topics::records(&self.redis.link(), keys).await.unwrap().remove(0);
        let text = |field| String::from_utf8(field).unwrap();
        fields.into_iter().map(|(field, value)| (text(field), value)).collect()
    }

    async fn record(&self, topic: &str) -> Option<Record> {
        self.records().await.get(topic).map(|stored| Record::parse(stored).unwrap())
    }
}

#[tokio::test]
async fn what_was_seen_of_a_topic_survives_its_owner() {
    let stage = Stage::new().await;
    stage.publish("s/a/t", &[r#"{"value":1}"#, r#"{"value":3}"#, "nonsense"], Flags::NONE).await;
    stage.publish("s/b/t", &[r#"[{"value":1,"sensor_id":"x"},{"type":"u"}]"#], Flags::NONE).await;
    stage.fold_all("f1").await;
    let record = stage.record("s/a/t").await.unwrap();
    assert_eq!((record.messages, record.readings, record.errors), (3, 2, 1));
    assert_eq!((record.last, record.refusal.unwrap().0), (Last::Refused, Refusal::BadJson));
    assert_eq!(record.series, [b"a\0t"]);
    let record = stage.record("s/b/t").await.unwrap();
    assert_eq!((record.messages, record.partly, record.last), (1, 1, Last::Counted));
    assert_eq!((record.format, record.last_readings), (Some("json"), 1));
    assert_eq!(record.series, [b"x\0t"]);
    // Somebody else goes on.
    stage.fence("f2").await;
    stage.publish("s/a/t", &[r#"{"value":5}"#], Flags::NONE).await;
    stage.fold_all("f2").await;
    let record = stage.record("s/a/t").await.unwrap();
    assert_eq!((record.messages, record.readings, record.errors), (4, 3, 1));
    assert_eq!(record.last, Last::Counted);
    assert_eq!(stage.record("s/b/t").await.unwrap().messages, 1);
}

#[tokio::test]
async fn what_is_ignored_is_told_from_what_is_counted() {
    let stage = Stage::new().await;
    stage.publish("s/a/t", &[r#"{"value":1}"#], Flags::NONE).await;
    stage.publish("s/a/t", &[r#"{"value":1}"#], Flags::RETAINED).await;
    stage.fold_all("f1").await;
    let record = stage.record("s/a/t").await.unwrap();
    assert_eq!((record.messages, record.readings, record.ignored), (2, 1, 1));
    assert_eq!(record.last, Last::Retained);
    stage.publish("s/b/t", &[r#"{"value":1}"#], Flags::NONE).await;
    let (stop, owner) = stage.owner("f1", 1);
    stop.cancel();
    timeout(Duration::from_secs(10), owner).await.unwrap();
    let record = stage.record("s/b/t").await.unwrap();
    assert_eq!((record.readings, record.ignored, record.last), (0, 1, Last::Overflow));
    let gone = Control::Delete { sensor_id: "a".into() };
    stage.publish("s/a/t", &[r#"{"value":2}"#], Flags::NONE).await;
    let keys = std::slice::from_ref(&stage.keys);
    let now = Clock::system().now();
    control::tell_every_shard(&stage.redis.link(), keys, &gone, now).await.unwrap();
    stage.fold_all("f1").await;
    assert_eq!(stage.record("s/a/t").await.unwrap().last, Last::Deleted);
    assert_eq!(stage.records().await.len(), 2, "a control message has no topic");
}

#[tokio::test]
async fn an_idle_owner_writes_what_it_saw_and_one_that_is_fenced_does_not() {
    let stage = Stage::new().await;
    let (stop, owner) = stage.owner("f1", 100);
    let running = tokio_util::task::TaskTracker::new();
    running.spawn(owner);
    let deadline = Instant::now() + Duration::from_secs(20);
    stage.publish("s/a/t", &[r#"{"value":1}"#], Flags::NONE).await;
    while stage.record("s/a/t").await.is_none() {
        assert!(Instant::now() < deadline, "nothing was written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // It does not know yet that somebody else owns the shard.
    stage.fence("f2").await;
    stage.publish("s/a/t", &["nonsense"], Flags::NONE).await;
    running.close();
    timeout(Duration::from_secs(20), running.wait()).await.unwrap();
    assert_eq!(stage.record("s/a/t").await.unwrap().messages, 1);
    stop.cancel();
    stage.fold_all("f2").await;
    let record = stage.record("s/a/t").await.unwrap();
    assert_eq!((record.messages, record.errors), (2, 1));
}

#[tokio::test]
async fn as_many_topics_are_remembered_as_there_may_be() {
    let stage = Stage::new().await;
    for n in 0..130 {
        stage.publish(&format!("s/a{n}/t"), &[r#"{"value":1,"sensor_id":"g"}"#], Flags::NONE).await;
    }
    stage.publish(&"s/".repeat(400), &[r#"{"value":1}"#], Flags::NONE).await;
    let meta = stage.fold_all("f1").await;
    assert_eq!(meta.totals.decoded, 131);
    let records = stage.records().await;
    assert_eq!(records.len(), 101);
    let LeftOut { full, long, topics } = LeftOut::parse(&records[""]).unwrap();
    assert_eq!((full, long, topics.estimate()), (30, 1, 31));
    let bytes: usize = records.iter().map(|(topic, record)| topic.len() + record.len()).sum();
    assert!(bytes / records.len() < 250, "{bytes}");
}
