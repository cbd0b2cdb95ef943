//! A sensor is deleted: who may, what is answered, and what every shard is told.

use serde_json::json;
use streamgauge::message::Control;
use streamgauge::stream::{Entry, EntryId};

use crate::live::Browser;
use crate::stage::{Reply, Stage, TOKEN, keys};

fn delete(stage: &Stage, path: &str, headers: &[(&str, &str)]) -> Reply {
    let bearer = format!("Bearer {TOKEN}");
    let mut all = vec![("Authorization", &bearer[..])];
    all.extend(headers);
    stage.ask("DELETE", path, &all, "")
}

/// The entries of a shard's stream.
fn entries(stage: &Stage, shard: usize) -> Vec<Entry> {
    type Stored = Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)>;
    let stored = stage.redis(redis::cmd("XRANGE").arg(&keys()[shard].stream).arg("-").arg("+"));
    let stored: Stored = redis::from_redis_value(stored).unwrap();
    let entry =
        |(id, pairs): (String, _)| Entry::new(EntryId::parse(id.as_bytes()).expect("an id"), pairs);
    stored.into_iter().map(entry).collect()
}

fn told(stage: &Stage, shard: usize) -> Vec<Control> {
    let entries = entries(stage, shard);
    entries.iter().flat_map(|entry| entry.messages().filter_map(|it| it.control())).collect()
}

#[test]
fn every_shard_is_told_to_forget_the_sensor() {
    let stage = Stage::start();
    stage.put_series(0, 1, ("a/b \"c\"", "t"), &[(1.0, 1000)]);
    stage.get_until("/api/sensors/a%2Fb%20%22c%22", |reply| reply.status == 200);
    let reply = delete(&stage, "/api/sensors/a%2Fb%20%22c%22", &[]);
    assert_eq!(reply.status, 202, "{}", reply.text());
    assert_eq!(reply.json(), json!({"sensor_id": "a/b \"c\"", "deleted": true}));
    let expected = [Control::Delete { sensor_id: "a/b \"c\"".into() }];
    for shard in 0..keys().len() {
        assert_eq!(told(&stage, shard), expected, "shard {shard}");
    }
    let header = |shard: usize| entries(&stage, shard)[0].header.expect("a header");
    assert_eq!(header(0), header(1));
    assert_eq!((header(0).number, header(0).messages, header(0).total), (1, 1, 1));
}

#[test]
fn a_sensor_that_is_not_in_the_table_yet_can_be_deleted_and_a_stranger_cannot() {
    let stage = Stage::start();
    // Only the index has it, as when it came since the table was renewed.
    stage.redis(redis::cmd("HSET").arg(&keys()[1].index).arg("new").arg("t"));
    assert_eq!(delete(&stage, "/api/sensors/new", &[]).status, 202);
    assert_eq!(told(&stage, 0).len(), 1);
    let reply = delete(&stage, "/api/sensors/nobody", &[]);
    assert_eq!(
        (reply.status, reply.json()["error"].as_str()),
        (
            404,
            Some(
                "sensor \"nobody\" is \
        not known"
            )
        )
    );
    assert_eq!(told(&stage, 0).len(), 1, "a stranger is nobody's business");
    assert_eq!(delete(&stage, "/api/sensors/new?type=t", &[]).status, 400);
}

#[test]
fn foreign_pages_delete_nothing() {
    let stage = Stage::start();
    stage.put_series(0, 1, ("a", "t"), &[(1.0, 1000)]);
    stage.get_until("/api/sensors/a", |reply| reply.status == 200);
    let own = format!("http://localhost:{}", stage.address.port());
    let cookie = stage.cookie();
    let ask = |origin: &str| {
        let headers = [("Cookie", &cookie[..]), ("Origin", origin)];
        stage.ask("DELETE", "/api/sensors/a", &headers, "").status
    };
    assert_eq!((ask("http://evil.example"), ask("null")), (403, 403));
    assert!(told(&stage, 0).is_empty());
    assert_eq!(ask(&own), 202);
    assert_eq!(told(&stage, 0).len(), 1);
}

#[test]
fn browsers_that_want_the_sensor_are_told_once_in_its_place_among_the_readings() {
    let stage = Stage::start();
    // Its topics lead into shard 0 of these two; it is known to send through the other one.
    stage.put_series(1, 1, ("kitchen", "t"), &[(1.0, 1000)]);
    stage.get_until("/api/sensors/kitchen", |reply| reply.status == 200);
    let mut all = Browser::connect(&stage);
    let (mut chosen, mut other) = (Browser::connect(&stage), Browser::connect(&stage));
    for browser in [&mut all, &mut chosen, &mut other] {
        browser.expect("status");
    }
    for (browser, pattern) in [(&mut chosen, "kit*"), (&mut other, "cellar")] {
        browser.say("subscribe", json!({"sensors": [pattern]}));
        assert_eq!(browser.expect("status")["message"], "subscribed");
    }
    stage.append(1, 1, &[("s/kitchen/t", r#"{"value":2}"#)]);
    assert_eq!(all.expect("sensor_update")["value"], 2.0);
    assert_eq!(chosen.expect("sensor_update")["value"], 2.0);
    assert_eq!(delete(&stage, "/api/sensors/kitchen", &[]).status, 202);
    stage.append(1, 2, &[("s/kitchen/t", r#"{"value":3}"#), ("s/cellar/t", r#"{"value":4}"#)]);
    for browser in [&mut all, &mut chosen] {
        assert_eq!(browser.expect("sensor_removed"), json!({"sensor_id": "kitchen"}));
        assert_eq!(browser.expect("sensor_update")["value"], 3.0);
    }
    assert_eq!(all.expect("sensor_update")["value"], 4.0);
    assert_eq!(other.expect("sensor_update")["value"], 4.0);
    // Nothing of it is committed here, so who subscribes now gets what is left of it.
    let mut late = Browser::connect(&stage);
    late.expect("status");
    late.say("subscribe", json!({"sensors": ["*"]}));
    assert_eq!(late.expect("status")["message"], "subscribed");
    assert_eq!(late.expect("sensor_removed"), json!({"sensor_id": "kitchen"}));
    let mut values = [(); 2].map(|()| late.expect("sensor_update")["value"].as_f64().unwrap());
    values.sort_by(f64::total_cmp);
    assert_eq!(values, [3.0, 4.0]);
}

#[test]
fn both_methods_of_the_path_are_named_to_others() {
    let stage = Stage::start();
    let reply = stage.ask("PUT", "/api/sensors/a", &[], "");
    assert_eq!((reply.status, &reply.headers["allow"][..]), (405, "GET, HEAD, DELETE"));
    let reply = stage.ask("DELETE", "/api/sensors", &[], "");
    assert_eq!((reply.status, &reply.headers["allow"][..]), (405, "GET, HEAD"));
}

#[test]
fn what_redis_refuses_is_not_called_deleted() {
    let mut stage = Stage::start();
    stage.put_series(0, 1, ("a", "t"), &[(1.0, 1000)]);
    stage.get_until("/api/sensors/a", |reply| reply.status == 200);
    stage.redis(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(1));
    let reply = delete(&stage, "/api/sensors/a", &[]);
    assert_eq!((reply.status, &reply.headers["retry-after"][..]), (503, "1"));
    assert!(reply.text().contains("delete it again"), "{}", reply.text());
    stage.redis(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(0));
    assert!(told(&stage, 0).is_empty());
    assert_eq!(delete(&stage, "/api/sensors/a", &[]).status, 202);
    stage.kill_redis();
    assert_eq!(delete(&stage, "/api/sensors/a", &[]).status, 503);
}
