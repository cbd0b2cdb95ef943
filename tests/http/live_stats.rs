//! Statistics that are pushed, against a real Redis.

use serde_json::{Value, json};

use crate::live::Browser;
use crate::stage::Stage;

fn counts(stats: &Value) -> Vec<(String, u64)> {
    let rows = stats["sensors"].as_array().unwrap().iter();
    rows.map(|row| (row["sensor_id"].as_str().unwrap().into(), row["count"].as_u64().unwrap()))
        .collect()
}

fn subscribe(stage: &Stage, sensors: &[&str], stats: bool) -> Browser {
    let mut browser = Browser::connect(stage);
    browser.expect("status");
    browser.say("subscribe", json!({"sensors": sensors, "stats": stats}));
    assert_eq!(browser.expect("status")["message"], "subscribed");
    browser
}

#[test]
fn who_subscribes_with_stats_is_told_all_of_them_and_then_what_changes() {
    let stage = Stage::start();
    for (number, id) in [(1, "a"), (2, "b/1"), (3, "b/2"), (4, "c")] {
        stage.put_series(0, number, (id, "t"), &[(1.0, 1000)]);
    }
    stage.get_until("/api/sensors/c", |reply| reply.status == 200);
    let mut without = subscribe(&stage, &["b/*"], false);
    let mut browser = subscribe(&stage, &["b/*", "a"], true);
    let first = browser.expect("sensor_stats");
    let row = |id: &str, count| (id.to_owned(), count);
    assert_eq!(counts(&first), [row("a", 1), row("b/1", 1), row("b/2", 1)]);
    assert!(first["next"].is_null() && first["as_of"].is_string(), "{first}");
    stage.put_series(0, 4, ("c", "t"), &[(1.0, 1000), (2.0, 2000)]);
    stage.get_until("/api/sensors/c", |reply| reply.json()["sensors"][0]["count"] == 2);
    stage.put_series(0, 3, ("b/2", "t"), &[(1.0, 1000), (5.0, 2000)]);
    let changed = browser.expect("sensor_stats");
    assert_eq!(counts(&changed), [row("b/2", 2)]);
    assert_eq!(changed["sensors"][0]["avg_value"], 3.0);
    // No more with an answer to come first, and none at all without `stats`.
    browser.say("unsubscribe", json!({"sensors": ["b/*", "a"]}));
    assert_eq!(browser.expect("status")["message"], "unsubscribed");
    stage.put_series(0, 2, ("b/1", "t"), &[(1.0, 1000), (2.0, 2000)]);
    let is_two = |reply: &crate::stage::Reply| reply.json()["sensors"][0]["count"] == 2;
    stage.get_until("/api/sensors/b%2F1", is_two);
    for client in [&mut browser, &mut without] {
        client.say("dance", json!({}));
        client.expect("error");
    }
}

#[test]
fn all_who_ask_at_once_get_the_same_statistics() {
    let stage = Stage::start();
    stage.put_series(0, 1, ("a", "t"), &[(1.0, 1000)]);
    stage.get_until("/api/sensors/a", |reply| reply.status == 200);
    let mut browsers: Vec<Browser> = (0..8).map(|_| subscribe(&stage, &["x"], false)).collect();
    for browser in &mut browsers {
        browser.say("request_all_stats", json!({}));
    }
    let rows = |browser: &mut Browser| browser.expect("sensor_stats")["sensors"].clone();
    let answers: Vec<Value> = browsers.iter_mut().map(rows).collect();
    assert_eq!(counts(&json!({"sensors": answers[0]})), [("a".to_owned(), 1)]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}
