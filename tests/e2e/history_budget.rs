//! A memory for history that is too small: the oldest goes, the newest stays, ingest goes on.

use std::fmt::Write as _;

use crate::support::device::Device;
use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;
use crate::support::{seconds, within};

const BUDGET_BYTES: u64 = 1 << 20;
const SENSORS: u32 = 80;
/// A reading a minute, oldest first, for so many hours up to now.
const HOURS: i64 = 30;
const READINGS: u64 = 60 * HOURS as u64;
/// Readings in one message; at most 256 are taken.
const BATCH: usize = 200;

/// Publishes a sensor's past.
fn publish_past(streamgauge: &Streamgauge, sensor: u32, now_s: i64) {
    let mut device = Device::connect(streamgauge.mqtt(), &format!("past-{sensor}"));
    let minutes: Vec<i64> = (1..=60 * HOURS).rev().collect();
    for batch in minutes.chunks(BATCH) {
        let mut payload = String::from("[");
        for minute in batch {
            // Values without a pattern, which would take next to nothing.
            let value = (minute * minute * 7919 + i64::from(sensor) * 104_729) % 997;
            let at = now_s - 60 * minute;
            write!(payload, r#"{{"value":{}.{},"timestamp":{at}}},"#, value / 10, value % 10)
                .unwrap();
        }
        payload.pop();
        payload.push(']');
        device.publish(&format!("sensors/s{sensor}/level"), payload);
    }
}

/// Bytes of all shares together.
fn bytes(history: &serde_json::Value) -> u64 {
    ["readings", "minutes", "hours"]
        .map(|share| history[share]["bytes"].as_u64().unwrap())
        .iter()
        .sum()
}

#[test]
fn history_beyond_its_memory_loses_its_oldest_and_nothing_else() {
    let set = |stage: Stage| stage.set("STREAMGAUGE_HISTORY_BYTES", &BUDGET_BYTES.to_string());
    let streamgauge = set(Stage::new()).start();
    let now = jiff::Timestamp::now();
    for sensor in 0..SENSORS {
        publish_past(&streamgauge, sensor, now.as_second());
    }
    for sensor in 0..SENSORS {
        streamgauge.wait_count(&format!("s{sensor}"), "level", READINGS);
    }
    let evicted = || {
        let metrics = streamgauge.try_get("/metrics")?.text;
        let name = "streamgauge_history_evicted_bytes_total{share=\"minutes\",cause=\"budget\"} ";
        let value = metrics.lines().find_map(|line| line.strip_prefix(name))?;
        value.parse::<u64>().ok().filter(|bytes| *bytes > 0)
    };
    within(seconds(30), "windows are evicted", evicted);
    let history = within(seconds(30), "history fits its memory", || {
        let history = streamgauge.json("/api/stats")["history"].clone();
        (bytes(&history) <= BUDGET_BYTES).then_some(history)
    });
    assert_eq!(history["bytes_max"], BUDGET_BYTES);
    assert!(bytes(&history) > BUDGET_BYTES / 3, "too much is gone: {history}");
    let from: jiff::Timestamp =
        history["minutes"]["covered_from"].as_str().unwrap().parse().unwrap();
    let hours = (now.as_second() - from.as_second()) / 3600;
    assert!((1..HOURS - 1).contains(&hours), "{history}");
    assert_eq!(history["faults"]["count"], 0);

    // Statistics have everything, the last hour is whole, and what comes now is taken.
    for (resolution, at_least) in [("raw", 58), ("1m", 57)] {
        let path = format!("/api/sensors/s0/readings?hours=1&resolution={resolution}");
        let rows = streamgauge.json(&path)["readings"].as_array().unwrap().len();
        assert!(rows >= at_least, "{rows} rows of the last hour: {resolution}");
    }
    Device::connect(streamgauge.mqtt(), "later").publish("sensors/s0/level", r#"{"value":1}"#);
    streamgauge.wait_count("s0", "level", READINGS + 1);
}
