//! What history takes in Redis, by Redis's own reckoning, and what a memory for it keeps.
//!
//! With `TEST_SERIES` two of these tests are about so many series and a day of a reading a
//! minute; `make test-long` sets it to the ten thousand that ARCHITECTURE.md reckons with.

use loadtest::backfill::Backfill;
use loadtest::exported::{self, RESOLUTIONS};
use loadtest::footprint::{Footprint, SHARES};
use loadtest::history::{wait_folded, wait_kept};
use loadtest::past::{HOUR_MS, Past};
use streamgauge::history::field_cost;
use streamgauge::history::inventory::SPAN_BYTES;

use crate::support::ports::alone_with;
use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;
use crate::support::{seconds, within};

const MIB: u64 = 1 << 20;
const MINUTE_MS: i64 = 60_000;

/// What a window with a single reading takes in a block, and a block beside its windows
/// (ARCHITECTURE.md, "Windows").
const WINDOW_BYTES: usize = 7;
const WINDOWS_HEAD: usize = 6;

/// What a day of a series takes that sends a reading a minute, about (ARCHITECTURE.md).
const DAY_BYTES: u64 = 13_300;

/// How many series to try with: many, when `TEST_SERIES` says how many.
fn many_series() -> Option<u32> {
    #[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
    let given = std::env::var("TEST_SERIES").ok()?;
    Some(given.parse().unwrap())
}

/// Readings of so many series and hours, a step apart, up to half past the last minute: how far a
/// window's first reading is from its start decides what it takes.
fn past(series: u32, hours: i64, step_ms: i64) -> Past {
    let readings = hours * HOUR_MS / step_ms;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let end_ms = now_ms - now_ms.rem_euclid(MINUTE_MS) - MINUTE_MS / 2;
    Past {
        prefix: "s".to_owned(),
        series,
        readings: u64::try_from(readings).unwrap(),
        start_ms: end_ms - readings * step_ms,
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

/// What is kept, once it fits its memory, and what of it Streamgauge reckons.
fn kept(streamgauge: &Streamgauge) -> (Footprint, u64) {
    let socket = streamgauge.stage.data_dir().join("redis/redis.sock");
    let url = format!("unix://{}", socket.display());
    let (footprint, reckoned) = wait_kept(&streamgauge.api(), &url, seconds(60)).unwrap();
    (footprint, reckoned.iter().sum())
}

/// Issue 3: at most 4 bytes per reading of a thermometer that speaks once a second, with
/// everything: keys, hashes, windows, the open ends within the states, the states themselves.
#[test]
fn a_reading_a_second_takes_four_bytes_at_most() {
    let _machine = alone_with("machine");
    let streamgauge = Stage::new().start();
    let past = past(6, 24, 1_000);
    publish(&streamgauge, &past, 256);
    let (footprint, reckoned) = kept(&streamgauge);
    let [each, readings] = [footprint.all_bytes(), footprint.readings.held.bytes]
        .map(|bytes| bytes as f64 / past.total() as f64);
    assert!(each <= 4.0, "{each} bytes a reading: {footprint:?}");
    assert!(readings <= 2.0, "{readings} bytes a reading in spans: {footprint:?}");
    // Hashes with few fields take less than is reckoned, never more.
    let measured = footprint.spans_bytes();
    let close = measured * 95 / 100..=measured * 115 / 100;
    assert!(close.contains(&reckoned), "{reckoned} reckoned, {measured} measured");

    let api = streamgauge.api();
    assert!(exported::readings(&api, &past, 3).unwrap().is_all());
    for resolution in RESOLUTIONS {
        assert!(exported::windows_of(&api, &past, 3, resolution).unwrap().is_all());
    }
}

/// Issue 3: the memory for windows of a minute is what ARCHITECTURE.md reckons, give or take a
/// tenth.
#[test]
fn windows_of_a_minute_take_what_is_reckoned() {
    let _machine = alone_with("machine");
    let streamgauge = Stage::new().set("STREAMGAUGE_REDIS_MEMORY", "2GiB").start();
    let past = past(many_series().unwrap_or(200), 24, MINUTE_MS);
    publish(&streamgauge, &past, 60);
    let minutes = kept(&streamgauge).0.minutes.held;
    let spans = minutes.keys * SPAN_BYTES;
    // The first and the last hour of a series are not whole; together they are one.
    let fields = past.total() * field_cost(4, WINDOWS_HEAD + 60 * WINDOW_BYTES) / 60;
    let reckoned = spans + fields;
    let close = reckoned * 9 / 10..=reckoned * 11 / 10;
    assert!(close.contains(&minutes.bytes), "{reckoned} reckoned: {minutes:?}");
}

/// What a memory is tried with.
struct Squeeze {
    past: Past,
    readings_per_message: u64,
    budget: u64,
    /// Those that have spans to give and to keep in so much memory.
    shares: &'static [&'static str],
}

impl Squeeze {
    /// Twenty days of a reading every twenty minutes: windows of a minute by the hour, all else by
    /// the day, so that every share has spans to give, in the least memory there may be.
    fn of_days() -> Self {
        let past = past(200, 20 * 24, 20 * MINUTE_MS);
        Self { past, readings_per_message: 12, budget: MIB, shares: &SHARES }
    }

    /// A day of a reading a minute. Readings of a minute apart and windows of an hour are kept by
    /// the day, and a day does not fit.
    fn of_a_day(series: u32) -> Self {
        let budget = u64::from(series) * DAY_BYTES / 10;
        let past = past(series, 24, MINUTE_MS);
        Self { past, readings_per_message: 60, budget, shares: &["minutes"] }
    }
}

#[test]
fn a_tenth_of_the_memory_keeps_the_newest() {
    let _machine = alone_with("machine");
    let squeeze = many_series().map_or_else(Squeeze::of_days, Squeeze::of_a_day);
    let Squeeze { past, budget, .. } = squeeze;
    let streamgauge = Stage::new()
        .set("STREAMGAUGE_HISTORY_BYTES", &budget.to_string())
        .set("STREAMGAUGE_ROLLUP_RETENTION", "1m=30d")
        .start();
    publish(&streamgauge, &past, squeeze.readings_per_message);
    let api = streamgauge.api();
    let (footprint, kept) = kept(&streamgauge);
    assert!((budget / 4..=budget).contains(&kept), "{kept} bytes are kept");
    let evicted = evicted(&streamgauge);
    let all = kept + evicted.iter().sum::<u64>();
    assert!(all >= 9 * budget, "{all} bytes in all are no ten times the memory");

    assert!(footprint.spans_bytes() <= budget, "{footprint:?}");
    let stats = streamgauge.json("/api/stats");
    for ((name, share), evicted) in SHARES.into_iter().zip(footprint.shares()).zip(evicted) {
        assert_eq!(share.evicted.is_some(), evicted > 0, "{name}: {footprint:?}");
        if !squeeze.shares.contains(&name) {
            continue;
        }
        let (from, to) = share.between.unwrap();
        assert!(to > past.end_ms() - HOUR_MS, "{name}: the newest is gone: {footprint:?}");
        let said = &stats["history"][name]["covered_from"];
        let said: jiff::Timestamp = said.as_str().unwrap().parse().unwrap();
        assert_eq!(said.as_millisecond(), from.max(share.evicted.unwrap_or(from)), "{name}");
    }
    // What is kept of a series is its newest, whole and right.
    for series in [0, past.series / 3, past.series - 1] {
        let [minutes, hours] = RESOLUTIONS
            .map(|resolution| exported::windows_of(&api, &past, series, resolution).unwrap());
        assert!((1..minutes.published / 5).contains(&minutes.kept), "{minutes:?}");
        let readings = exported::readings(&api, &past, series).unwrap();
        // Of the open end there is always something.
        assert!(readings.kept > 0 && hours.kept > 0, "{readings:?} {hours:?}");
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
