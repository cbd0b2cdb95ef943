//! What clients are told when the streams could not be followed for a while.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::live::Browser;
use crate::stage::Stage;

fn value(value: f64) -> String {
    json!({ "value": value }).to_string()
}

/// Ends all connections to Redis; what `meanwhile` asks for is done before anybody comes back.
fn cut_connections(stage: &Stage, meanwhile: &[&str]) {
    let client = redis::Client::open(stage.redis_url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    for command in meanwhile.iter().chain(&["CLIENT|KILL|TYPE|normal|SKIPME|yes"]) {
        let mut words = command.split('|');
        let command = pipeline.cmd(words.next().unwrap());
        words.for_each(|word| _ = command.arg(word));
    }
    pipeline.query::<redis::Value>(&mut connection).unwrap();
}

#[test]
fn what_was_trimmed_before_it_could_be_read_is_told_as_a_gap() {
    let stage = Stage::start();
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    stage.append(1, 1, &[("s/a/t", &value(1.0))]);
    assert_eq!(browser.expect("sensor_update")["value"], 1.0);
    // Nothing is missing: nobody is told anything.
    cut_connections(&stage, &[]);
    stage.append(1, 2, &[("s/b/t", &value(2.0))]);
    assert_eq!(browser.expect("sensor_update")["value"], 2.0);
    // The producer writes one more entry and is gone, and nobody writes any more.
    cut_connections(
        &stage,
        &[
            "XADD|{sg:1}in|9999999999999-7|@|1 00000000000000ab 3 1 1 3|s/a/t|{\"value\":3}",
            "HSET|{sg:1}m|pos|9999999999999-7|p:00000000000000ab|3 3 9999999999999",
            "XTRIM|{sg:1}in|MAXLEN|0",
        ],
    );
    assert_eq!(browser.expect("gap")["shard"], 1);
}

#[test]
fn a_redis_that_was_started_anew_is_told_as_a_reset_and_followed_from_its_beginning() {
    let mut stage = Stage::start();
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    stage.append(1, 1, &[("s/a/t", &value(1.0))]);
    assert_eq!(browser.expect("sensor_update")["value"], 1.0);
    stage.kill_redis();
    stage.start_redis_again();
    // What it lost is sent again, under the numbers of before.
    stage.append(1, 1, &[("s/a/t", &value(1.0))]);
    browser.expect("reset");
    assert_eq!(browser.expect("sensor_update")["value"], 1.0);
}

#[test]
fn what_was_sent_again_after_it_was_committed_is_not_shown() {
    let stage = Stage::start();
    let message = [("s/a/t", &*value(1.0))];
    let committed = "HSET|{sg:1}m|pos|5-0|p:00000000000000ab|7 7 5";
    cut_connections(&stage, &[committed]);
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    stage.append(1, 7, &message);
    stage.append(1, 8, &[("s/b/t", &value(2.0))]);
    assert_eq!(browser.expect("sensor_update")["value"], 2.0);
    // Nor to who subscribes before the rest is committed.
    let mut later = Browser::connect(&stage);
    later.expect("status");
    later.say("subscribe", json!({"sensors": ["*"]}));
    assert_eq!(later.expect("status")["message"], "subscribed");
    assert_eq!(later.expect("sensor_update")["value"], 2.0);
}

#[test]
fn who_changes_its_mind_costs_no_connection_to_redis() {
    let stage = Stage::start();
    let mut browser = Browser::connect(&stage);
    browser.expect("status");
    browser.say("subscribe", json!({"sensors": ["kept"], "every": true}));
    browser.expect("status");
    let connections = || {
        let info: String = stage.ask_redis(redis::cmd("INFO").arg("stats"));
        let made = info.lines().find_map(|it| it.strip_prefix("total_connections_received:"));
        made.unwrap().parse::<u64>().unwrap()
    };
    let before = connections();
    for number in 0..8 {
        let sensor = format!("s{number}");
        browser.say("subscribe", json!({"sensors": [sensor], "every": true}));
        assert_eq!(browser.expect("status")["message"], "subscribed");
        browser.say("unsubscribe", json!({"sensors": [sensor]}));
        assert_eq!(browser.expect("status")["message"], "unsubscribed");
    }
    // The one that asks.
    assert_eq!(connections() - before, 1);
    stage.append(1, 1, &[("s/kept/t", &value(1.0))]);
    assert_eq!(browser.expect("sensor_update")["value"], 1.0);
}

/// The page said “Live” for half a minute while Redis stood still.
#[test]
fn clients_are_told_how_long_redis_has_not_answered() {
    let stage = Stage::start();
    let mut browser = Browser::connect(&stage);
    let mut silent_ms = |of: &str| {
        if of == "unsubscribed" {
            // No more than twenty a second are taken.
            std::thread::park_timeout(Duration::from_millis(100));
            browser.say("unsubscribe", json!({"sensors": []}));
        }
        let status = browser.expect("status");
        assert_eq!(status["message"], of);
        status["silent_ms"].as_u64().expect("a number")
    };
    assert!(silent_ms("connected") < 1500);
    stage.redis(redis::cmd("CLIENT").arg("PAUSE").arg(4000).arg("ALL"));
    let until = Instant::now() + Duration::from_secs(20);
    while silent_ms("unsubscribed") < 2000 {
        assert!(Instant::now() < until, "it is not said that Redis is silent");
    }
    while silent_ms("unsubscribed") > 1000 {
        assert!(Instant::now() < until, "it is not said that Redis is back");
    }
}
