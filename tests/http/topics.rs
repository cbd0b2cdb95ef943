//! What is told of topics, and why a sensor is missing.

use serde_json::{Value, json};
use streamgauge::aggregate::topics::{Last, LeftOut, Record};
use streamgauge::reading::UnixMillis;
use streamgauge::refusal::Refusal;
use streamgauge::shard::ShardCount;

use crate::stage::{Reply, Stage, keys};

/// 2024-01-01T12:00:00Z.
pub const AT: i64 = 1_704_110_400_000;
/// Every letter that means something to HTML, JSON, MQTT, Redis or an address.
const HOSTILE: [&str; 7] = [
    "sensors/<img src=x onerror=alert(1)>/t",
    "sensors/\"quoted\" 'twice'/t",
    "sensors/🌡️ 温度/t",
    "sensors/a&b=c%00?x#",
    "sensors/back\\slash\u{7f}\u{202e}/t",
    "__proto__",
    " / ",
];

pub fn shard_of(topic: &str) -> usize {
    ShardCount::new(2).unwrap().shard_of(topic).index()
}

/// As an owner writes it.
pub fn put(stage: &Stage, topic: &str, record: &Record) {
    let key = &keys()[shard_of(topic)].topics;
    stage.redis(redis::cmd("HSET").arg(key).arg(topic).arg(record.write()));
}

pub fn counted(series: &str) -> Record {
    Record {
        last_message: UnixMillis(AT),
        messages: 5,
        readings: 5,
        format: Some("json"),
        last_readings: 1,
        series: vec![series.as_bytes().to_vec()],
        ..Record::default()
    }
}

/// Every byte escaped.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

pub fn explain(stage: &Stage, topic: &str) -> Value {
    let reply = stage.get(&format!("/api/topics/explain?topic={}", escaped(topic)));
    assert_eq!(reply.status, 200, "{topic}: {}", reply.text());
    let answer = reply.json();
    assert_eq!(answer["topic"], topic);
    answer
}

fn topics(answer: &Value) -> Vec<&str> {
    let rows = answer["topics"].as_array().unwrap();
    rows.iter().map(|row| row["topic"].as_str().unwrap()).collect()
}

#[test]
fn topics_have_the_promised_shape() {
    let stage = Stage::start();
    let empty = stage.get("/api/topics").json();
    assert_eq!((&empty["topics"], &empty["left_out"]), (&json!([]), &json!(0)));
    let mut record = counted("kitchen\0temperature");
    (record.errors, record.ignored) = (2, 1);
    record.refusal = Some((Refusal::BadJson, UnixMillis(AT - 1000)));
    put(&stage, "sensors/kitchen/temperature", &record);
    for (shard, full) in [(0, 3), (1, 4)] {
        let mut left_out = LeftOut { full, long: 1, ..LeftOut::default() };
        (0..full).for_each(|topic| left_out.topics.note(topic << 60));
        let value = left_out.write();
        stage.redis(redis::cmd("HSET").arg(&keys()[shard].topics).arg("").arg(value));
    }
    // What somebody else wrote there is passed over.
    stage.redis(redis::cmd("HSET").arg(&keys()[0].topics).arg("broken").arg("{"));
    stage.redis(redis::cmd("HSET").arg(&keys()[0].topics).arg(b"\xff").arg("{}"));
    let has_one = |reply: &Reply| topics(&reply.json()).len() == 1;
    let answer = stage.get_until("/api/topics", has_one).json();
    let expected = json!({
        "topic": "sensors/kitchen/temperature", "last_message": "2024-01-01T12:00:00.000Z",
        "messages": 5, "rate": null, "format": "json", "readings": 5,
        "sensors": [{"sensor_id": "kitchen", "sensor_type": "temperature"}],
        "errors": 2, "ignored": 1,
        "last_error": {"reason": "bad_json", "at": "2024-01-01T11:59:59.000Z"},
    });
    assert_eq!(answer["topics"][0], expected);
    assert_eq!((&answer["left_out"], &answer["next"]), (&json!(9), &json!(null)));
    assert_eq!(answer["topics_left_out"], 7);
    assert!(answer["as_of"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn topics_come_newest_first_or_by_name_and_in_pages() {
    let stage = Stage::start();
    for (topic, at) in [("s/a/t", 3), ("s/b/t", 9), ("s/C/t", 5), ("other", 5)] {
        put(&stage, topic, &Record { last_message: UnixMillis(at), ..Record::default() });
    }
    let ask = |query: &str| stage.get(&format!("/api/topics{query}")).json();
    assert_eq!(topics(&ask("")), ["s/b/t", "other", "s/C/t", "s/a/t"]);
    assert_eq!(topics(&ask("?sort=topic")), ["other", "s/C/t", "s/a/t", "s/b/t"]);
    assert_eq!(topics(&ask("?q=S%2Fc")), ["s/C/t"]);
    for (sort, all) in [
        ("last_message", ["s/b/t", "other", "s/C/t", "s/a/t"]),
        ("topic", ["other", "s/C/t", "s/a/t", "s/b/t"]),
    ] {
        let mut cursor = String::new();
        for (place, topic) in all.iter().enumerate() {
            let page = ask(&format!("?limit=1&sort={sort}{cursor}"));
            assert_eq!(topics(&page), [*topic], "{sort}");
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => assert_eq!(place, all.len() - 1),
            }
        }
    }
    // Under another order it would be the end, or leave topics out.
    for (sort, other) in [("&sort=topic", ""), ("", "&sort=topic")] {
        let first = ask(&format!("?limit=1{sort}"));
        let next = first["next"].as_str().unwrap();
        let reply = stage.get(&format!("/api/topics?cursor={next}{other}"));
        assert_eq!(reply.status, 400, "{sort}");
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("parameter `cursor` is of a list with `sort="), "{error}");
    }
    for (path, said) in [
        ("/api/topics?limit=0", "`limit` is \"0\""),
        ("/api/topics?limit=10001", "`limit` is \"10001\""),
        ("/api/topics?sort=rate", "`sort` is \"rate\"; allowed: last_message, topic"),
        ("/api/topics?cursor=xyz", "`cursor` is \"xyz\""),
        ("/api/topics?cursor=5b5d", "`cursor` is \"5b5d\""),
        ("/api/topics?topic=a", "unknown parameter `topic`"),
        ("/api/topics/explain", "`topic` is missing"),
        ("/api/topics/explain?topic=", "`topic` is empty"),
        ("/api/topics?limit=", "`limit` is empty"),
        ("/api/topics/explain?topic=%FF", "UTF-8"),
        ("/api/topics/explain?topic=a&topic=b", "given twice"),
    ] {
        let reply = stage.get(path);
        assert_eq!(reply.status, 400, "{path}");
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(said), "{path}: {error}");
    }
    for path in ["/api/topics", "/api/topics/explain?topic=a"] {
        assert_eq!(stage.ask("GET", path, &[], "").status, 401, "{path}");
        assert_eq!(stage.ask("POST", path, &[], "").status, 405, "{path}");
    }
}

#[test]
fn a_topic_that_is_counted_names_its_series() {
    let stage = Stage::start();
    stage.put_series(0, 1, ("k1", "temperature"), &[(21.5, AT)]);
    stage.get_until("/api/sensors/k1", |reply| reply.status == 200);
    let mut record = counted("k1\0temperature");
    record.refusal = Some((Refusal::MissingValue, UnixMillis(AT)));
    record.errors = 1;
    put(&stage, "sensors/kitchen/temperature", &record);
    let answer = explain(&stage, "sensors/kitchen/temperature");
    let verdict = answer["verdict"].as_str().unwrap();
    assert_eq!((&answer["outcome"], &answer["filter"]), (&json!("counted"), &json!("sensors/+/+")));
    assert_eq!(answer["filters"], json!(["sensors/+/+", "plant/#"]));
    assert_eq!(answer["shard"], shard_of("sensors/kitchen/temperature"));
    assert_eq!((&answer["format"], &answer["messages"]), (&json!("json"), &json!(5)));
    let status = answer["readings"][0]["status"].clone();
    let expected = json!([{
        "sensor_id": "k1", "sensor_type": "temperature", "named_by": "payload", "count": 1,
        "last_value": 21.5, "last_reading": "2024-01-01T12:00:00.000Z", "status": status,
    }]);
    assert_eq!(answer["readings"], expected);
    assert!(verdict.contains("sensor \"k1\" type \"temperature\""), "{verdict}");
    assert!(verdict.contains("The payload names the sensor"), "{verdict}");
    assert!(verdict.contains("Refused: 1 of 5 messages"), "{verdict}");
    assert_eq!(answer["refused"]["reason"], "missing_value");
    assert!(answer["refused"]["explanation"].as_str().unwrap().contains("`value`"));
    assert_eq!((&answer["last_dead_letter"], &answer["similar"]), (&json!(null), &json!([])));
}

#[test]
fn each_outcome_has_its_verdict() {
    let stage = Stage::start();
    let with = |last: Last, refusal: Option<Refusal>| Record {
        last,
        refusal: refusal.map(|refusal| (refusal, UnixMillis(AT))),
        ..counted("a\0t")
    };
    put(&stage, "sensors/a/bad", &with(Last::Refused, Some(Refusal::BadTimestamp)));
    put(&stage, "sensors/a/kept", &with(Last::Retained, None));
    put(&stage, "sensors/a/full", &with(Last::Overflow, None));
    put(&stage, "sensors/a/gone", &with(Last::Deleted, None));
    put(&stage, "elsewhere/a", &with(Last::Refused, Some(Refusal::TopicNotAccepted)));
    put(&stage, "plant/now", &with(Last::Refused, Some(Refusal::TopicNotAccepted)));
    put(&stage, "before/a/t", &with(Last::Counted, None));
    for (topic, outcome, said) in [
        ("sensors/a/bad", "refused", "refused as bad_timestamp. The timestamp cannot be read."),
        ("sensors/a/kept", "ignored", "(retained)"),
        ("sensors/a/full", "ignored", "STREAMGAUGE_MAX_SENSORS"),
        ("sensors/a/gone", "deleted", "The next message makes it anew"),
        ("elsewhere/a", "not_accepted", "'sensors/+/+,plant/#,elsewhere/+'"),
        ("plant/now", "not_accepted", "the filters take it now"),
        ("before/a/t", "counted", "No filter of this process takes the topic"),
        ("sensors/nobody", "not_accepted", "sensors/+/+ takes 3 levels, and this has 2"),
        ("sensors/nobody/t", "never_seen", "no message came with it"),
        ("plant/#", "invalid", "# is a wildcard"),
        ("sensors/a\0b/t", "invalid", "NUL"),
    ] {
        let answer = explain(&stage, topic);
        let verdict = answer["verdict"].as_str().unwrap();
        assert_eq!(answer["outcome"], outcome, "{topic}: {verdict}");
        assert!(verdict.contains(said), "{topic}: {verdict}");
        assert_eq!(answer["shard"].is_null(), outcome == "invalid", "{topic}");
    }
    let matched = explain(&stage, "sensors/a/+");
    let similar = matched["similar"].as_array().unwrap();
    assert_eq!((similar.len(), &matched["filter"]), (4, &json!(null)));
    assert_eq!(similar[0]["why"], "this filter takes it");
}

#[test]
fn while_messages_wait_to_be_counted_the_answer_says_so() {
    let stage = Stage::start();
    let topic = "sensors/a/t";
    let shard = u16::try_from(shard_of(topic)).unwrap();
    let answer = explain(&stage, topic);
    assert_eq!((&answer["waiting"], &answer["lag_ms"]), (&json!(0), &json!(0)));
    stage.append(shard, 1, &[(topic, r#"{"value":1}"#), (topic, r#"{"value":2}"#)]);
    stage.append(shard, 2, &[(topic, r#"{"value":3}"#), (topic, r#"{"value":4}"#)]);
    let path = format!("/api/topics/explain?topic={}", escaped(topic));
    let lags = |reply: &Reply| reply.json()["lag_ms"].as_u64() >= Some(1000);
    let answer = stage.get_until(&path, lags).json();
    assert_eq!((&answer["outcome"], &answer["waiting"]), (&json!("never_seen"), &json!(4)));
    let verdict = answer["verdict"].as_str().unwrap();
    let said = format!("In shard {shard} 4 messages are stored and not counted yet");
    assert!(verdict.starts_with(&said), "{verdict}");
    assert!(verdict.contains("No process aggregates this shard"), "{verdict}");
    // Of a shard that somebody owns he is behind.
    stage.redis(redis::cmd("HSET").arg(&keys()[shard_of(topic)].meta).arg("owner").arg("n1"));
    let answer = explain(&stage, topic);
    assert!(answer["verdict"].as_str().unwrap().contains("Its owner is behind"), "{answer}");
    // Nothing waits in the other shard.
    let elsewhere = (0..).map(|n| format!("sensors/{n}/t"));
    let other = elsewhere.into_iter().find(|other| shard_of(other) != shard_of(topic)).unwrap();
    assert_eq!(explain(&stage, &other)["waiting"], 0);
    let _aggregator = stage.aggregate();
    let counted = |reply: &Reply| reply.json()["outcome"] == "counted";
    let answer = stage.get_until(&path, counted).json();
    assert_eq!((&answer["waiting"], &answer["lag_ms"]), (&json!(0), &json!(0)));
    assert!(answer["verdict"].as_str().unwrap().starts_with("Messages of this topic"), "{answer}");
}

#[test]
fn what_was_mistyped_is_found_and_the_last_dead_letter_is_shown() {
    let stage = Stage::start();
    for topic in ["sensors/Kitchen/temperature", "sensors/kitchen2/temperature", "plant/oven"] {
        put(&stage, topic, &counted("x\0t"));
    }
    let topic = "sensors/kitchen/temperature";
    let key = &keys()[shard_of(topic)].dead_letters;
    for (topic, payload) in [(topic, "first"), (topic, "{\"value\":\"<b>\"}"), ("other", "last")] {
        let mut command = redis::cmd("XADD");
        command.arg(key).arg("*").arg("reason").arg("wrong_type").arg("topic").arg(topic);
        command.arg("payload").arg(payload).arg("received_at").arg(AT).arg("position").arg("1-1.0");
        stage.redis(&command);
    }
    let answer = explain(&stage, topic);
    assert_eq!(answer["outcome"], "never_seen");
    let similar = answer["similar"].as_array().unwrap();
    let similar: Vec<_> = similar.iter().map(|it| (&it["topic"], &it["why"])).collect();
    let expected = [
        (&json!("sensors/Kitchen/temperature"), &json!("the same letters in another case")),
        (&json!("sensors/kitchen2/temperature"), &json!("one letter differs")),
    ];
    assert_eq!(similar, expected);
    let letter = json!({
        "reason": "wrong_type", "payload": "{\"value\":\"<b>\"}", "at": "2024-01-01T12:00:00.000Z",
    });
    assert_eq!(answer["last_dead_letter"], letter);
}

#[test]
fn any_topic_is_told_as_it_is() {
    let stage = Stage::start();
    let long = format!("sensors/{}/t", "x".repeat(502));
    let all: Vec<&str> = HOSTILE.into_iter().filter(|topic| !topic.contains('#')).collect();
    for topic in all.iter().copied().chain([long.as_str()]) {
        put(&stage, topic, &counted("a\0t"));
    }
    let listed = stage.get("/api/topics?sort=topic").json();
    let mut expected: Vec<&str> = all.iter().copied().chain([long.as_str()]).collect();
    expected.sort_unstable();
    assert_eq!(topics(&listed), expected);
    for topic in expected {
        assert_eq!(explain(&stage, topic)["outcome"], "counted", "{topic}");
    }
    for topic in HOSTILE {
        let stranger = format!("{topic}/never");
        let answer = explain(&stage, &stranger);
        assert!(
            ["never_seen", "not_accepted", "invalid"]
                .contains(&answer["outcome"].as_str().unwrap())
        );
    }
    let longer = "y".repeat(1200);
    assert_eq!(explain(&stage, &longer)["outcome"], "not_accepted");
}

#[test]
fn without_redis_nothing_is_explained() {
    let mut stage = Stage::start();
    stage.kill_redis();
    for path in ["/api/topics", "/api/topics/explain?topic=a"] {
        let reply = stage.get(path);
        assert_eq!(
            (reply.status, reply.json()["error"].as_str()),
            (503, Some("Redis does not answer"))
        );
    }
}
