//! A picture of history with few points: peaks are in it.

use loadtest::backfill::Backfill;
use loadtest::history::wait_folded;
use loadtest::past::{HOUR_MS, Past};
use serde_json::Value;

use crate::support::device::Device;
use crate::support::ports::alone_with;
use crate::support::seconds;
use crate::support::stage::Stage;

const WEEK_MS: i64 = 7 * 24 * HOUR_MS;
const STEP_MS: i64 = 5_000;
/// Whatever else is published stays below 35.
const SPIKE: f64 = 1000.5;

/// Issue 3: a spike of one reading in seven days is visible in `points=800`.
#[test]
fn a_spike_of_one_reading_in_a_week_is_seen_in_800_points() {
    let _machine = alone_with("machine");
    let streamgauge = Stage::new().start();
    let now_ms = jiff::Timestamp::now().as_second() * 1_000;
    let past = Past {
        prefix: "week".to_owned(),
        series: 1,
        readings: u64::try_from(WEEK_MS / STEP_MS).unwrap(),
        start_ms: now_ms - WEEK_MS,
        step_ms: STEP_MS,
        jitter_ms: 0,
    };
    let (to, api) = (streamgauge.mqtt(), streamgauge.api());
    let backfill = Backfill { to, connections: 1, window: 32, readings_per_message: 256 };
    backfill.publish(&past, |_| Ok(())).unwrap();
    wait_folded(&api, 0, seconds(60)).unwrap();
    // Between two readings, days after their time.
    let spike_at = past.start_ms + WEEK_MS / 3 + STEP_MS / 2;
    let (id, payload) =
        (past.sensor_id(0), format!(r#"{{"value":{SPIKE},"timestamp":{spike_at}}}"#));
    Device::connect(to, "late").publish(&format!("sensors/{id}/temperature"), payload);
    streamgauge.wait_count(&id, "temperature", past.readings + 1);

    let asked = |query: &str| {
        let (from, to) = (past.start_ms, past.end_ms());
        let path = format!("/api/sensors/{id}/readings?from={from}&to={to}&points=800{query}");
        let answer = streamgauge.json(&path);
        let rows = answer["readings"].as_array().unwrap().clone();
        assert!((400..=800).contains(&rows.len()), "{} rows to {query:?}", rows.len());
        (answer["resolution"].clone(), rows)
    };
    let (resolution, rows) = asked("");
    assert_eq!(resolution, "raw");
    let at = |row: &Value| {
        let text = row["timestamp"].as_str().unwrap();
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    };
    let spikes: Vec<i64> = rows.iter().filter(|row| row["value"] == SPIKE).map(at).collect();
    assert_eq!(spikes, [spike_at]);
    let ends = [rows.first().unwrap(), rows.last().unwrap()].map(at);
    assert_eq!(ends, [past.start_ms, past.end_ms() - STEP_MS]);

    let (_, rows) = asked("&resolution=1m");
    let minute = spike_at - spike_at.rem_euclid(60_000);
    let spikes: Vec<i64> = rows.iter().filter(|row| row["max"] == SPIKE).map(at).collect();
    assert_eq!(spikes, [minute]);
}
