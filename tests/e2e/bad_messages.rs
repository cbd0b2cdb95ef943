//! What is wrong with a message is said once, in the dead letters; the sender gets its PUBACK and
//! the next message counts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::device::Device;
use crate::support::servers::Redis;
use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;
use crate::support::{seconds, within};

const GOOD: &str = "sensors/good/temperature";

/// A wrong message: topic, payload, and the reason that is given for refusing it.
struct Bad(&'static str, Vec<u8>, &'static str);

fn bad_messages() -> Vec<Bad> {
    let topic = "sensors/bad/temperature";
    let plain = |payload: &str, reason| Bad(topic, payload.as_bytes().to_vec(), reason);
    let long = "x".repeat(129);
    vec![
        plain("not json at all", "bad_json"),
        plain(r#"{"value":21.5"#, "bad_json"),
        Bad(topic, b"{\"value\":1,\"unit\":\"\xC3\x28\"}".to_vec(), "bad_json"),
        plain("{}", "missing_value"),
        plain(r#"{"unit":"°C"}"#, "missing_value"),
        plain(r#"{"value":[1]}"#, "wrong_type"),
        plain(r#"{"value":"warm"}"#, "wrong_type"),
        plain(r#"{"value":1e400}"#, "not_finite"),
        plain(r#"{"value":"NaN"}"#, "not_finite"),
        plain(r#"{"value":"-Infinity"}"#, "not_finite"),
        plain(r#"{"value":1,"timestamp":"yesterday"}"#, "bad_timestamp"),
        plain(r#"{"value":1,"timestamp":"2024-13-01T00:00:00Z"}"#, "bad_timestamp"),
        plain(&format!(r#"{{"value":1,"sensor_id":"{long}"}}"#), "bad_id"),
        plain(r#"{"value":1,"sensor_id":"a\u0007b"}"#, "bad_id"),
        plain(&format!("{}1{}", "[".repeat(100), "]".repeat(100)), "too_deep"),
        plain(&format!("[{}1]", "1,".repeat(256)), "too_many_readings"),
        plain(&format!(r#"{{"value":1,"note":"{}"}}"#, "x".repeat(70_000)), "too_large"),
        Bad("elsewhere/bad/temperature", br#"{"value":1}"#.to_vec(), "topic_not_accepted"),
    ]
}

#[test]
fn every_bad_message_is_acknowledged_set_aside_with_its_reason_and_followed_by_a_good_one() {
    let streamgauge = Stage::new().start();
    let mut device = Device::connect(streamgauge.mqtt(), "device");
    let bad = bad_messages();
    let mut reasons = BTreeMap::new();
    for (counted, Bad(topic, payload, reason)) in (1..).zip(&bad) {
        device.publish(topic, payload);
        device.publish(GOOD, format!(r#"{{"value":{counted}}}"#));
        streamgauge.wait_count("good", "temperature", counted);
        let newest = within(seconds(5), "one more dead letter", || {
            let letters = dead_letters(&streamgauge);
            (letters.len() == counted as usize).then(|| letters[0].clone())
        });
        let shown = String::from_utf8_lossy(payload);
        assert_eq!(
            (&newest["reason"], &newest["topic"]),
            (&json!(reason), &json!(topic)),
            "{shown}"
        );
        *reasons.entry(*reason).or_insert(0_u64) += 1;
    }
    let stats = streamgauge.json("/api/stats");
    assert_eq!(stats["totals"]["dead_lettered"], bad.len());
    assert_eq!(stats["totals"]["decoded"], bad.len());
    for (reason, count) in reasons {
        assert_eq!(stats["dead_letters"][reason], count, "{reason}: {stats}");
    }
    assert!(streamgauge.row("bad", "temperature").is_none(), "nothing may come of them");
}

#[test]
fn a_dead_letter_keeps_the_beginning_of_its_payload() {
    let streamgauge = Stage::new().start();
    let mut device = Device::connect(streamgauge.mqtt(), "device");
    let payload = "no json, but much of it; ".repeat(100);
    device.publish("sensors/bad/temperature", &payload);
    let letter = within(seconds(5), "a dead letter", || dead_letters(&streamgauge).pop());
    assert_eq!(letter["payload"], payload[..512], "{letter}");
}

/// A message whose readings are partly wrong is no dead letter as a whole.
#[test]
fn values_that_are_unusual_but_right_are_counted() {
    let streamgauge = Stage::new().start();
    let mut device = Device::connect(streamgauge.mqtt(), "device");
    let payloads = [
        r#"{"value":"21.5"}"#,
        r#"{"value":true}"#,
        r#"{"value":0.0,"sensor_id":null}"#,
        r#"{"value":-1e300,"unit":"a unit that is far longer than thirty-two bytes"}"#,
        r#"{"value":1,"timestamp":1704110400}"#,
        r#"{"value":1,"timestamp":"2024-01-01 12:00:00"}"#,
    ];
    for payload in payloads {
        device.publish(GOOD, payload);
    }
    streamgauge.wait_count("good", "temperature", payloads.len() as u64);
    assert_eq!(dead_letters(&streamgauge), Vec::<Value>::new());
}

/// Each message is under exactly one heading, whatever was sent.
#[test]
fn what_was_received_is_the_sum_of_what_became_of_it() {
    let redis = Redis::start();
    let streamgauge = Stage::new()
        .set("REDIS_URL", &redis.url())
        .set("STREAMGAUGE_SHARDS", "1")
        .set("STREAMGAUGE_MAX_SENSORS", "10")
        .start();
    let mut device = Device::connect(streamgauge.mqtt(), "device");
    let mut sent = 0;
    for Bad(topic, payload, _) in bad_messages() {
        device.publish(topic, &payload);
        sent += 1;
    }
    // 10 sensors are 11 + 8 series at most in the one shard; what comes after is overflow.
    for number in 0..40 {
        device.publish(&format!("sensors/s{number}/temperature"), r#"{"value":1}"#);
        sent += 1;
    }
    let stats = within(seconds(10), "everything is settled", || {
        let stats = streamgauge.api().stats().ok()?;
        (stats.is_quiet() && stats.settled() >= sent).then_some(stats)
    });
    assert_eq!(stats.settled(), sent);
    assert_eq!(stats.dead_lettered, bad_messages().len() as u64);
    assert_eq!((stats.decoded, stats.overflow), (19, 21));
    within(seconds(5), "19 rows", || {
        let rows = streamgauge.json("/api/sensors")["sensors"].as_array().unwrap().len();
        (rows == 19).then_some(())
    });
}

/// A later version may write flags that this one does not know: such a message is not guessed at.
#[test]
fn a_message_with_an_unknown_flag_is_set_aside_and_its_neighbour_counts() {
    let redis = Redis::start();
    let streamgauge =
        Stage::new().set("REDIS_URL", &redis.url()).set("STREAMGAUGE_SHARDS", "1").start();
    let _id: String = redis::cmd("XADD")
        .arg(&["{sg:0}in", "*", "@", "1 00000000000000aa 1 2 1704110400000 2"])
        .arg(b"\x00\x80\x00sensors/later/temperature".as_slice())
        .arg(r#"{"value":1}"#)
        .arg(GOOD)
        .arg(r#"{"value":2}"#)
        .query(&mut redis.connection())
        .unwrap();
    streamgauge.wait_count("good", "temperature", 1);
    let letters = dead_letters(&streamgauge);
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["reason"], "unknown_flag");
}

fn dead_letters(streamgauge: &Streamgauge) -> Vec<Value> {
    streamgauge.json("/api/dead-letters")["dead_letters"].as_array().unwrap().clone()
}
