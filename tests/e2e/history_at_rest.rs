//! What history takes in Redis, by Redis's own reckoning, and what a memory for it keeps.
//!
//! `HISTORY_SERIES` gives the number of series of the last test; `make test-long` sets it to the
//! ten thousand that ARCHITECTURE.md reckons with.

use loadtest::backfill::Backfill;
use loadtest::exported::{self, RESOLUTIONS};
use loadtest::footprint::{Footprint, SHARES};
use loadtest::history::{reckoned, wait_folded, wait_kept};
use loadtest::past::{HOUR_MS, Past};

use crate::support::ports::alone_with;
use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;
use crate::support::{seconds, within};

const MIB: u64 = 1 << 20;

/// Readings of so many series and hours, a step apart, up to now.
fn past(series: u32, hours: i64, step_ms: i64) -> Past {
    let readings = hours * HOUR_MS / step_ms;
    let now_ms = jiff::Timestamp::now().as_second() * 1_000;
    Past {
        prefix: "s".to_owned(),
        series,
        readings: u64::try_from(readings).unwrap(),
        start_ms: now_ms - readings * step_ms,
        step_ms,
        jitter_ms: 0,
    }
}

/// Publishes it and waits until everything is folded. Every message must be acknowledged.
fn publish(streamgauge: &Streamgauge, past: &Past, readings_per_message: u64) {
    let (to, api) = (streamgauge.mqtt(), streamgauge.api());
    let backfill = Backfill { to, connections: 4, window: 32, readings_per_message };
    backfill.publish(past, |_| wait_folded(&api, 500, seconds(60))).unwrap();
    wait_folded(&api, 0, seconds(60)).unwrap();
    within(seconds(60), "every series is right", || {
        let found = exported::statistics(&api, past).ok()?;
        ((found.right, found.wrong) == (u64::from(past.series), 0)).then_some(())
    });
}

fn footprint(streamgauge: &Streamgauge) -> Footprint {
    let socket = streamgauge.stage.data_dir().join("redis/redis.sock");
    Footprint::measure(&format!("unix://{}", socket.display())).unwrap()
}

/// Issue 3: at most 4 bytes per reading of a thermometer that speaks once a second, with
/// everything: keys, hashes, windows, the open ends within the states, the states themselves.
#[test]
fn a_reading_a_second_takes_four_bytes_at_most() {
    let _machine = alone_with("machine");
    let streamgauge = Stage::new().start();
    let past = past(6, 24, 1_000);
    publish(&streamgauge, &past, 256);
    let footprint = footprint(&streamgauge);
    let [each, readings] = [footprint.all_bytes(), footprint.readings.held.bytes]
        .map(|bytes| bytes as f64 / past.total() as f64);
    assert!(each <= 4.0, "{each} bytes a reading: {footprint:?}");
    assert!(readings <= 2.0, "{readings} bytes a reading in spans: {footprint:?}");
    // Hashes with few fields take less than is reckoned, never more.
    let reckoned: u64 = reckoned(&streamgauge.api()).unwrap().iter().sum();
    let measured = footprint.spans_bytes();
    let close = measured * 95 / 100..=measured * 115 / 100;
    assert!(close.contains(&reckoned), "{reckoned} reckoned, {measured} measured");

    let api = streamgauge.api();
    assert!(exported::readings(&api, &past, 3).unwrap().is_all());
    for resolution in RESOLUTIONS {
        assert!(exported::windows_of(&api, &past, 3, resolution).unwrap().is_all());
    }
}

/// Twenty days of a reading every twenty minutes: windows of a minute by the hour, all else by the
/// day, so that every share has spans to give.
#[test]
fn a_tenth_of_the_memory_keeps_the_newest() {
    let _machine = alone_with("machine");
    let budget = MIB;
    let streamgauge = Stage::new()
        .set("STREAMGAUGE_HISTORY_BYTES", &budget.to_string())
        .set("STREAMGAUGE_ROLLUP_RETENTION", "1m=30d")
        .start();
    let past = past(200, 20 * 24, HOUR_MS / 3);
    publish(&streamgauge, &past, 12);
    let api = streamgauge.api();
    wait_kept(&api, seconds(30)).unwrap();
    let kept: u64 = reckoned(&api).unwrap().iter().sum();
    assert!((budget / 2..=budget).contains(&kept), "{kept} bytes are kept");
    let evicted = evicted(&streamgauge);
    let all = kept + evicted.iter().sum::<u64>();
    assert!(all >= 9 * budget, "{all} bytes in all are no ten times the memory");

    let footprint = footprint(&streamgauge);
    assert!(footprint.spans_bytes() <= budget, "{footprint:?}");
    let stats = streamgauge.json("/api/stats");
    for ((name, share), evicted) in SHARES.into_iter().zip(footprint.shares()).zip(evicted) {
        assert_eq!(share.older_than_evicted, 0, "{name}: {footprint:?}");
        assert_eq!(share.evicted.is_some(), evicted > 0, "{name}: {footprint:?}");
        let (from, to) = share.between.unwrap();
        assert!(to > past.end_ms() - HOUR_MS, "{name}: the newest is gone: {footprint:?}");
        let said = &stats["history"][name]["covered_from"];
        let said: jiff::Timestamp = said.as_str().unwrap().parse().unwrap();
        assert_eq!(said.as_millisecond(), from.max(share.evicted.unwrap_or(from)), "{name}");
    }
    // What is kept of a series is its newest, whole and right; each share has given something.
    for series in [0, 77, 199] {
        let readings = exported::readings(&api, &past, series).unwrap();
        assert!(readings.kept > 0, "{readings:?}");
        for resolution in RESOLUTIONS {
            let windows = exported::windows_of(&api, &past, series, resolution).unwrap();
            assert!((1..windows.published).contains(&windows.kept), "{windows:?}");
        }
    }
}

/// Bytes that were evicted for want of memory, by share.
fn evicted(streamgauge: &Streamgauge) -> [u64; 3] {
    let metrics = streamgauge.try_get("/metrics").unwrap().text;
    SHARES.map(|share| {
        let name = "streamgauge_history_evicted_bytes_total";
        let line = format!("{name}{{share=\"{share}\",cause=\"budget\"}} ");
        let value = metrics.lines().find_map(|it| it.strip_prefix(&line));
        value.map_or(0, |value| value.parse().unwrap())
    })
}
