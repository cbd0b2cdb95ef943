//! What is said of a topic whose messages are counted, and not as its owner may believe.

use serde_json::json;
use streamgauge::aggregate::topics::{Amended, Last, Record};
use streamgauge::reading::UnixMillis;
use streamgauge::refusal::Refusal;

use crate::quiet::heard;
use crate::stage::{Stage, keys};
use crate::topics::{AT, counted, explain, put, shard_of};

#[test]
fn a_silent_sensor_is_called_silent() {
    let stage = Stage::start();
    heard(&stage, "kitchen", 1_000, 22 * 60_000);
    let is_offline = |reply: &crate::stage::Reply| {
        reply.status == 200 && reply.json()["sensors"][0]["status"] == "offline"
    };
    stage.get_until("/api/sensors/kitchen", is_offline);
    put(&stage, "sensors/kitchen/t", &counted("kitchen\0t"));
    let answer = explain(&stage, "sensors/kitchen/t");
    let verdict = answer["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("Silent since 2024-01-01T12:00:00.000Z, for "), "{verdict}");
    assert!(verdict.contains("it usually comes every 1 s or so: offline."), "{verdict}");
    assert!(verdict.contains("Messages of this topic were counted"), "{verdict}");
}

#[test]
fn a_level_that_is_empty_names_nothing() {
    let stage = Stage::start();
    put(&stage, "sensors//t", &counted("unknown\0t"));
    let answer = explain(&stage, "sensors//t");
    let verdict = answer["verdict"].as_str().unwrap();
    assert!(verdict.contains("second level of the topic, which names the sensor"), "{verdict}");
    assert!(!verdict.contains("The payload names"), "{verdict}");
    assert_eq!(answer["readings"][0]["named_by"], "topic");
}

#[test]
fn a_bare_number_is_told_to_be_an_object() {
    let stage = Stage::start();
    let topic = "sensors/a/t";
    let refusal = Some((Refusal::WrongType, UnixMillis(AT)));
    let record = Record { last: Last::Refused, refusal, readings: 1, ..counted("a\0t") };
    put(&stage, topic, &record);
    let mut command = redis::cmd("XADD");
    command.arg(&keys()[shard_of(topic)].dead_letters).arg("*").arg("reason").arg("wrong_type");
    command.arg("topic").arg(topic).arg("payload").arg("21.5").arg("received_at").arg(AT);
    stage.redis(command.arg("position").arg("1-1.0"));
    let answer = explain(&stage, topic);
    let said =
        "The payload is the bare number 21.5. A reading is an object: send {\"value\":21.5}.";
    let verdict = answer["verdict"].as_str().unwrap();
    assert!(verdict.contains(said), "{verdict}");
    assert!(
        verdict.ends_with("Counted of other messages of this topic: one reading."),
        "{verdict}"
    );
    assert_eq!(answer["refused"]["explanation"], json!(said));
}

#[test]
fn what_was_done_with_a_counted_reading_is_said() {
    let stage = Stage::start();
    let amended = Amended { attributes: 1, future: 1, beyond_windows: 1, is_zone_suspected: false };
    put(&stage, "sensors/a/t", &Record { amended, ..counted("a\0t") });
    let answer = explain(&stage, "sensors/a/t");
    let verdict = answer["verdict"].as_str().unwrap();
    for said in ["an object of at most 4096", "a timestamp was more than", "shown in no history"] {
        assert!(verdict.contains(said), "{said}: {verdict}");
    }
}
