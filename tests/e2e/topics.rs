//! "Why is my sensor missing?", asked after real messages over MQTT.

use serde_json::{Value, json};

use crate::support::device::Device;
use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;
use crate::support::{http, seconds, within};

fn explain(streamgauge: &Streamgauge, topic: &str) -> Value {
    let topic: String = topic.bytes().map(|byte| format!("%{byte:02x}")).collect();
    streamgauge.json(&format!("/api/topics/explain?topic={topic}"))
}

/// Owners write what they saw every few seconds.
fn explained(streamgauge: &Streamgauge, topic: &str, outcome: &str) -> Value {
    within(seconds(20), outcome, || {
        Some(explain(streamgauge, topic)).filter(|answer| answer["outcome"] == outcome)
    })
}

fn verdict(answer: &Value) -> &str {
    answer["verdict"].as_str().unwrap()
}

#[test]
fn whoever_asks_is_told_what_became_of_real_messages() {
    let streamgauge = Stage::new().start();
    let mut device = Device::connect(streamgauge.mqtt(), "device");
    let hostile = "sensors/<img src=x>\"'🌡/t";
    for (topic, payload) in [
        ("sensors/kitchen/temperature", r#"{"value":21.5}"#),
        ("sensors/gateway/data", r#"[{"sensor_id":"cellar","type":"h","value":1},{"value":"x"}]"#),
        ("sensors/broken/temperature", "{value:21.5}"),
        ("Sensors/hall/temperature", r#"{"value":1}"#),
        (hostile, r#"{"value":1}"#),
    ] {
        device.publish(topic, payload);
    }
    let answer = explained(&streamgauge, "sensors/kitchen/temperature", "counted");
    let is_listed = || {
        let answer = explain(&streamgauge, "sensors/kitchen/temperature");
        (answer["readings"][0]["last_value"] == 21.5).then_some(())
    };
    within(seconds(10), "the series is listed", is_listed);
    assert_eq!((&answer["filter"], &answer["format"]), (&json!("sensors/+/+"), &json!("json")));
    assert_eq!(answer["readings"][0]["named_by"], "topic");

    let answer = explained(&streamgauge, "sensors/gateway/data", "counted");
    assert_eq!(answer["readings"][0]["sensor_id"], "cellar");
    assert!(verdict(&answer).contains("look for it under that name"), "{answer}");
    assert!(verdict(&answer).contains("Left out of arrays: one element."), "{answer}");
    assert_eq!(answer["refused"]["reason"], "wrong_type");

    let answer = explained(&streamgauge, "sensors/broken/temperature", "refused");
    assert!(verdict(&answer).contains("The payload is not JSON"), "{answer}");
    assert_eq!(answer["last_dead_letter"]["payload"], "{value:21.5}");

    let answer = explained(&streamgauge, "Sensors/hall/temperature", "not_accepted");
    assert!(verdict(&answer).starts_with("Messages come"), "{answer}");
    assert!(verdict(&answer).contains("level 1, and this has \"Sensors\""), "{answer}");

    let answer = explained(&streamgauge, "sensors/hall/temperature", "never_seen");
    assert_eq!(answer["similar"][0]["topic"], "Sensors/hall/temperature");
    assert_eq!(explained(&streamgauge, hostile, "counted")["topic"], hostile);

    let list = streamgauge.json("/api/topics");
    assert_eq!(list["topics"].as_array().unwrap().len(), 5);
    assert_eq!((&list["left_out"], &list["topics_left_out"]), (&json!(0), &json!(0)));
    // A topic that is too long is counted, by the message and by the topic.
    let long = format!("sensors/{}/t", "x".repeat(600));
    for value in [1, 2] {
        device.publish(&long, format!(r#"{{"sensor_id":"attic","type":"t","value":{value}}}"#));
    }
    let list = within(seconds(20), "what is left out", || {
        Some(streamgauge.json("/api/topics")).filter(|list| list["left_out"] == 2)
    });
    assert_eq!(list["topics_left_out"], 1);
    let metrics = streamgauge.try_get("/metrics").unwrap().text;
    for line in [
        "streamgauge_aggregate_topics_left_out_total 1",
        "streamgauge_aggregate_topic_messages_left_out_total{reason=\"long\"} 2",
        "streamgauge_aggregate_topic_messages_left_out_total{reason=\"full\"} 0",
    ] {
        assert!(metrics.lines().any(|shown| shown == line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn what_was_seen_survives_a_restart_and_a_deleted_sensor_is_called_so() {
    let mut streamgauge = Stage::new().start();
    let mut device = Device::connect(streamgauge.mqtt(), "device");
    let topic = "sensors/kitchen/temperature";
    for value in 0..3 {
        device.publish(topic, format!(r#"{{"value":{value}}}"#));
    }
    streamgauge.wait_count("kitchen", "temperature", 3);
    assert!(streamgauge.stop().success());
    streamgauge.respawn();
    streamgauge.wait_ready(seconds(30));
    assert_eq!(explained(&streamgauge, topic, "counted")["messages"], 3);
    Device::connect(streamgauge.mqtt(), "device").publish(topic, r#"{"value":9}"#);
    within(seconds(20), "the fourth", || {
        (explain(&streamgauge, topic)["messages"] == 4).then_some(())
    });
    let reply = http::delete(&streamgauge.url("/api/sensors/kitchen")).unwrap();
    assert_eq!(reply.status, 202);
    let answer = explained(&streamgauge, topic, "deleted");
    assert!(verdict(&answer).contains("makes it anew"), "{answer}");
    Device::connect(streamgauge.mqtt(), "device").publish(topic, r#"{"value":1}"#);
    explained(&streamgauge, topic, "counted");
}
