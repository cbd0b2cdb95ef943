//! Sensors that fall silent: what the API says of them, and what browsers are told.

use serde_json::{Value, json};
use streamgauge::aggregate::interval::Interval;
use streamgauge::aggregate::state::State;
use streamgauge::history::OpenEnd;
use streamgauge::reading::{SeriesKey, UnixMillis};
use streamgauge::statistic::Statistic;
use streamgauge::stream::{EntryId, Position};

use crate::live::Browser;
use crate::stage::{Stage, keys};

/// What Redis's clock says, in milliseconds.
fn now_ms(stage: &Stage) -> u64 {
    let (seconds, micros): (u64, u64) = stage.ask_redis(&redis::cmd("TIME"));
    seconds * 1000 + micros / 1000
}

/// Writes a series that was heard every `interval_ms` until so long ago, as a commit would.
pub fn heard(stage: &Stage, id: &str, interval_ms: u32, silence_ms: u64) {
    let at_ms = now_ms(stage) - silence_ms;
    let mut state = State {
        number: 1,
        applied: Position { entry: EntryId { ms: at_ms, seq: 0 }, index: 0 },
        interval: Interval::of_ms(interval_ms),
        ..State::default()
    };
    state.statistics.fold(1.0, UnixMillis(1_704_110_400_000));
    let field = SeriesKey { sensor_id: id.into(), sensor_type: "t".into() }.field();
    let packed = state.pack(&OpenEnd::default());
    stage.redis(redis::cmd("HSET").arg(&keys()[0].states).arg(field).arg(packed));
    stage.redis(redis::cmd("HINCRBY").arg(&keys()[0].meta).arg("version").arg(1));
}

/// Sensor → status.
fn statuses(json: &Value) -> Value {
    let rows = json["sensors"].as_array().unwrap().iter();
    rows.map(|row| (row["sensor_id"].as_str().unwrap().to_owned(), row["status"].clone())).collect()
}

fn wait_for(stage: &Stage, path: &str, expected: &Value) {
    stage.get_until(path, |reply| reply.status == 200 && statuses(&reply.json()) == *expected);
}

#[test]
fn each_sensor_is_judged_by_its_own_interval_and_a_restart_changes_nothing() {
    let mut stage = Stage::start();
    heard(&stage, "hourly", 3_600_000, 7_200_000);
    heard(&stage, "slow", 10_000, 45_000);
    heard(&stage, "fast", 1_000, 300_000);
    heard(&stage, "once", 0, 600_000);
    let expected = json!({
        "fast": "offline", "hourly": "online", "once": "online", "slow": "late",
    });
    wait_for(&stage, "/api/sensors", &expected);
    stage.restart();
    wait_for(&stage, "/api/sensors", &expected);
    let only = |query: &str| statuses(&stage.get(&format!("/api/sensors?{query}")).json());
    assert_eq!(only("status=offline"), json!({"fast": "offline"}));
    assert_eq!(only("status=late&q=SLOW"), json!({"slow": "late"}));
    assert_eq!(only("status=online&q=slow"), json!({}));
    let sorted = stage.get("/api/sensors?sort=-status&limit=2").json();
    let ids: Vec<_> = sorted["sensors"].as_array().unwrap().iter().collect();
    assert_eq!((&ids[0]["sensor_id"], &ids[1]["sensor_id"]), (&json!("fast"), &json!("slow")));
    let counts = stage.get("/api/stats").json()["statuses"].clone();
    assert_eq!(counts, json!({"online": 2, "late": 1, "offline": 1}));
    let reply = stage.get("/api/sensors?status=dead");
    assert_eq!(reply.status, 400);
    let said = "parameter `status` is \"dead\"; allowed: online, late, offline";
    assert_eq!(reply.json()["error"], said);
}

#[test]
fn a_sensor_that_is_heard_again_is_online() {
    let stage = Stage::start();
    heard(&stage, "a", 1_000, 300_000);
    wait_for(&stage, "/api/sensors/a", &json!({"a": "offline"}));
    heard(&stage, "a", 1_000, 0);
    wait_for(&stage, "/api/sensors/a", &json!({"a": "online"}));
}

/// A sensor that was never seen is taken for online, so that it is news when it is not.
#[test]
fn browsers_that_want_the_sensor_are_told_once_when_it_turns() {
    let stage = Stage::start();
    wait_for(&stage, "/api/sensors", &json!({}));
    let (mut all, mut other) = (Browser::connect(&stage), Browser::connect(&stage));
    for browser in [&mut all, &mut other] {
        browser.expect("status");
    }
    other.say("subscribe", json!({"sensors": ["oth*"]}));
    assert_eq!(other.expect("status")["message"], "subscribed");
    let told = |id: &str, status: &str| {
        json!({
            "sensor_id": id, "sensor_type": "t", "status": status,
            "last_reading": "2024-01-01T12:00:00.000Z",
        })
    };
    for (silence_ms, status) in [(45_000, "late"), (150_000, "offline"), (0, "online")] {
        heard(&stage, "a", 10_000, silence_ms);
        assert_eq!(all.expect("sensor_status"), told("a", status));
        wait_for(&stage, "/api/sensors/a", &json!({"a": status}));
    }
    heard(&stage, "other", 10_000, 150_000);
    assert_eq!(all.expect("sensor_status"), told("other", "offline"));
    assert_eq!(other.expect("sensor_status"), told("other", "offline"), "and nothing of `a`");
}

/// The whole way: entries of the past, folded by the real aggregation.
#[test]
fn the_interval_is_that_of_the_entries() {
    let stage = Stage::start();
    let now = now_ms(&stage);
    // Two sensors every ten seconds and every hour, both silent for 45 seconds.
    let arrivals =
        [(7_245_000, "b"), (3_645_000, "b"), (65_000, "a"), (55_000, "a"), (45_000, "a")];
    let arrivals = arrivals.into_iter().chain([(44_000, "b")]);
    for (number, (ago, id)) in (1..).zip(arrivals) {
        let at = now - ago;
        let header = format!("1 00000000000000ab {number} 1 {at} {number}");
        let mut command = redis::cmd("XADD");
        command.arg(&keys()[0].stream).arg(format!("{at}-0")).arg("@").arg(header);
        stage.redis(command.arg(format!("sensors/{id}/t")).arg(r#"{"value":1}"#));
    }
    let _aggregator = stage.aggregate();
    wait_for(&stage, "/api/sensors", &json!({"a": "late", "b": "online"}));
    stage.append(0, 7, &[("sensors/a/t", r#"{"value":2}"#)]);
    wait_for(&stage, "/api/sensors", &json!({"a": "online", "b": "online"}));
}

#[test]
fn nobody_is_late_because_nobody_folds() {
    let stage = Stage::start();
    // Something waits that is not folded: it may be of any sensor, so the clock stands still.
    stage.append(0, 1, &[("sensors/a/t", r#"{"value":2}"#)]);
    heard(&stage, "a", 1_000, 9_500);
    wait_for(&stage, "/api/sensors/a", &json!({"a": "online"}));
    let as_of = |json: &Value| json["as_of"].as_str().unwrap().to_owned();
    // Two looks at least, a second from one to the next: by a clock that runs it were late.
    for _ in 0..2 {
        let before = as_of(&stage.get("/api/sensors").json());
        stage.get_until("/api/sensors", |reply| as_of(&reply.json()) > before);
    }
    assert_eq!(statuses(&stage.get("/api/sensors").json()), json!({"a": "online"}));
}
