//! History after kills at random moments: what was acknowledged is there once, in its place, and
//! windows and statistics are those of exactly the readings that are there.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rustix::process::Signal;
use streamgauge::history::Share;
use streamgauge::shard::ShardId;

use crate::support::at_rest::{complete_from, connection, recount, settled_meta, shard_of, shards};
use crate::support::history::{
    Row, greatest, is_near, least, lines, mean, pages, query, statistics, windows_of,
};
use crate::support::numbered::{Fleet, Published, Source, Values};
use crate::support::ports::alone_with;
use crate::support::random::{Random, setting};
use crate::support::stage::Stage;
use crate::support::streamgauge::Streamgauge;
use crate::support::{seconds, signal, within};

/// Kills when nobody says otherwise; `make test-long` does.
const KILLS: u64 = 10;
/// Readings of each device between two kills: enough in all that blocks are full.
const READINGS_BETWEEN: usize = 700;
/// The least that may be set, and less than a run of slow devices takes.
const BUDGET_BYTES: u64 = 1 << 20;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// What a series of readings may be like.
fn sources() -> Vec<Source> {
    let plain = Source::new;
    vec![
        plain("steady", "steady"),
        Source { step_ms: 100, values: Values::Scattered, ..plain("fast", "fast") },
        Source { jitter_ms: 300, values: Values::Binary, ..plain("digits", "digits") },
        Source { step_ms: MINUTE, values: Values::Scattered, ..plain("slow", "slow") },
        Source { unit_changes: 20, step_ms: 2000, ..plain("units", "units") },
        // One sensor under two topics, which are in two shards.
        Source { unit_changes: 10, ..plain("both", "both-a") },
        Source { jitter_ms: 50, lane: 1, ..plain("both", "both-b") },
        Source { resends: false, step_ms: 5000, ..plain("careless", "careless") },
    ]
}

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Streamgauge,
    /// Once more before it is ready again.
    StreamgaugeTwice,
    Redis,
    Both,
}

fn kill(victim: Victim, streamgauge: &mut Streamgauge, random: &mut Random) {
    match victim {
        Victim::Redis => return streamgauge.kill_redis(),
        Victim::Streamgauge => streamgauge.kill(),
        Victim::StreamgaugeTwice => {
            streamgauge.kill();
            streamgauge.respawn();
            std::thread::park_timeout(Duration::from_millis(random.below(400)));
            streamgauge.kill();
        }
        Victim::Both => {
            let redis = streamgauge.redis_pid();
            streamgauge.kill();
            signal(redis, Signal::KILL);
        }
    }
    streamgauge.respawn();
    streamgauge.wait_ready(seconds(60));
}

/// Devices publish while Streamgauge and its Redis are killed; everything is folded in the end.
fn play(stage: Stage, sources: Vec<Source>, random: &mut Random) -> (Streamgauge, Vec<Published>) {
    let kills = setting("TEST_KILLS").unwrap_or(KILLS);
    let mut streamgauge = stage.start();
    let now = jiff::Timestamp::now().as_millisecond();
    let count = READINGS_BETWEEN * usize::try_from(kills + 1).unwrap();
    let between = (READINGS_BETWEEN * sources.len()) as u64;
    let fleet = Fleet::start(streamgauge.mqtt(), sources, count, now, random);
    for place in 0..kills {
        fleet.release(READINGS_BETWEEN);
        fleet.wait_settled(place * between + random.below(between));
        let victims = [Victim::Streamgauge, Victim::Redis, Victim::Both, Victim::StreamgaugeTwice];
        // Each comes at least once; the others as chance has it.
        let choice = if place < 4 { place } else { random.below(4) };
        kill(victims[usize::try_from(choice).unwrap()], &mut streamgauge, random);
    }
    let published = fleet.finish();
    wait_quiet(&streamgauge, &published);
    (streamgauge, published)
}

#[test]
fn history_after_kills_is_what_the_ledger_says() {
    let _machine = alone_with("machine");
    assert_ne!(shard_of("sensors/both-a/level"), shard_of("sensors/both-b/level"));
    let mut random = Random::seeded();
    // Everything is kept that is as old as the first reading of the slowest device.
    let stage = Stage::new()
        .set("STREAMGAUGE_READINGS_RETENTION", "400d")
        .set("STREAMGAUGE_ROLLUP_RETENTION", "1m=400d,1h=400d");
    let (streamgauge, published) = play(stage, sources(), &mut random);
    let mut sensors = BTreeMap::<&str, Vec<&Published>>::new();
    for of_device in &published {
        sensors.entry(of_device.source.sensor).or_default().push(of_device);
    }
    let mut in_shards = BTreeMap::new();
    for published in sensors.values() {
        for (shard, count) in check_sensor(&streamgauge, published, &mut random) {
            *in_shards.entry(shard).or_default() += count;
        }
    }
    check_at_rest(&streamgauge, &in_shards);
}

/// Spans go whole, whoever dies meanwhile, and what is not evicted is whole.
#[test]
fn history_too_large_for_its_memory_is_right_after_kills() {
    let _machine = alone_with("machine");
    let mut random = Random::seeded();
    let stage = Stage::new()
        .set("STREAMGAUGE_READINGS_RETENTION", "400d")
        .set("STREAMGAUGE_ROLLUP_RETENTION", "1m=400d,1h=400d")
        .set("STREAMGAUGE_HISTORY_BYTES", &BUDGET_BYTES.to_string());
    let names = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    let source = |name| Source {
        step_ms: MINUTE,
        jitter_ms: 900,
        values: Values::Binary,
        ..Source::new(name, name)
    };
    let (streamgauge, published) = play(stage, names.map(source).to_vec(), &mut random);
    let history = within(seconds(30), "history fits its memory", || {
        let history = streamgauge.json("/api/stats")["history"].clone();
        let bytes = |share: &str| history[share]["bytes"].as_u64().unwrap();
        (bytes("readings") + bytes("minutes") + bytes("hours") <= BUDGET_BYTES).then_some(history)
    });
    let mut redis = connection(&streamgauge.stage);
    recount(&mut redis);
    let complete = Share::ALL.map(|share| complete_from(&mut redis, share));
    assert!(complete[1] > i64::MIN, "no windows were evicted: {history}");
    for of_device in &published {
        let sensor = of_device.source.sensor;
        let mut readings = lines(&streamgauge, &query(sensor, "raw", 0));
        check_readings(&readings, &[of_device], complete[0]);
        let from = complete[0].max(complete[1]);
        readings.retain(|row| row.at >= from);
        let minutes = lines(&streamgauge, &query(sensor, "1m", from));
        check_windows(&minutes, &windows_of(&readings, MINUTE, of_device.source.scale()), sensor);
    }
}

/// Waits until all that was acknowledged is folded.
fn wait_quiet(streamgauge: &Streamgauge, published: &[Published]) {
    let fates = || published.iter().flat_map(|of_device| &of_device.fates);
    let least = fates().filter(|fate| fate.is_acked).count() as u64;
    let most: u64 = fates().map(|fate| fate.sent).sum();
    within(seconds(60), "everything is folded", || {
        let stats = streamgauge.api().stats().ok()?;
        assert_eq!((stats.dead_lettered, stats.lost), (0, 0), "{stats:?}");
        (stats.is_quiet() && (least..=most).contains(&stats.settled())).then_some(())
    });
}

/// Everything that REST says of a sensor; gives how many readings each shard has.
fn check_sensor(
    streamgauge: &Streamgauge,
    published: &[&Published],
    random: &mut Random,
) -> BTreeMap<ShardId, u64> {
    let source = &published[0].source;
    let sensor = source.sensor;
    let readings = lines(streamgauge, &query(sensor, "raw", 0));
    let limit = usize::try_from(100 + random.below(1000)).unwrap();
    let paged = pages(streamgauge, &query(sensor, "raw", 0), limit, || {});
    let same = readings.iter().zip(&paged).take_while(|(one, other)| one == other).count();
    let around = same.saturating_sub(2)..same + 3;
    assert!(
        paged == readings,
        "{sensor}: {} rows in pages of {limit}, {} in the file; from {same} on {:?} and {:?}",
        paged.len(),
        readings.len(),
        paged.get(around.clone()),
        readings.get(around),
    );
    let in_shards = check_readings(&readings, published, i64::MIN);
    for (resolution, length_ms) in [("1m", MINUTE), ("1h", HOUR)] {
        let found = pages(streamgauge, &query(sensor, resolution, 0), limit, || {});
        let expected = windows_of(&readings, length_ms, source.scale());
        check_windows(&found, &expected, sensor);
    }
    check_statistics(streamgauge, sensor, &readings, source.scale());
    in_shards
}

fn check_windows(found: &[Row], expected: &[Row], sensor: &str) {
    for (found, expected) in found.iter().zip(expected) {
        let exact = |row: &Row| (row.at, row.unit.clone(), row.window);
        assert_eq!(exact(found), exact(expected), "{sensor}");
        assert!(is_near(found.value, expected.value), "{sensor}: {found:?}, {expected:?}");
    }
    assert_eq!(found.len(), expected.len(), "{sensor}");
}

/// Each reading as it was sent: as often as it may be, in the order of time, shard and arrival.
/// Those before `complete_from` may be gone. Gives how many each shard has.
fn check_readings(
    readings: &[Row],
    published: &[&Published],
    complete_from: i64,
) -> BTreeMap<ShardId, u64> {
    let mut by_value = HashMap::new();
    for (device, of_device) in published.iter().enumerate() {
        for (number, reading) in of_device.readings.iter().enumerate() {
            by_value.insert(reading.value.to_bits(), (device, number));
        }
    }
    let shards: Vec<ShardId> =
        published.iter().map(|of_device| shard_of(&of_device.source.topic())).collect();
    let mut counts: Vec<Vec<u64>> =
        published.iter().map(|of_device| vec![0; of_device.readings.len()]).collect();
    let mut in_shards = BTreeMap::new();
    let mut last = (i64::MIN, ShardId(0), 0);
    for row in readings {
        let sensor = published[0].source.sensor;
        let (device, number) = *by_value
            .get(&row.value.to_bits())
            .unwrap_or_else(|| panic!("{sensor}: nobody published {row:?}"));
        let sent = &published[device].readings[number];
        assert_eq!((row.at, row.unit.as_str()), (sent.at, sent.unit), "{sensor}: {row:?}");
        let count = &mut counts[device][number];
        *count += 1;
        *in_shards.entry(shards[device]).or_default() += 1;
        // What is sent again comes behind what came meanwhile.
        let place = (row.at, shards[device], if *count == 1 { number } else { last.2 });
        assert!(last <= place, "{sensor}: {row:?}, number {number}, is behind {last:?}");
        last = place;
    }
    for (of_device, counts) in published.iter().zip(counts) {
        for ((fate, count), reading) in of_device.fates.iter().zip(counts).zip(&of_device.readings)
        {
            let must_be_there = fate.is_acked && reading.at >= complete_from;
            let allowed = u64::from(must_be_there)..=fate.sent;
            let device = of_device.source.device;
            assert!(allowed.contains(&count), "{device}: {count} of {reading:?}, {fate:?}");
        }
    }
    in_shards
}

fn check_statistics(streamgauge: &Streamgauge, sensor: &str, readings: &[Row], scale: f64) {
    streamgauge.wait_count(sensor, "level", readings.len() as u64);
    let row = statistics(streamgauge, sensor);
    let number = |name: &str| row[name];
    assert_eq!(number("count"), readings.len() as f64, "{sensor}");
    assert_eq!(number("min_value"), least(readings), "{sensor}");
    assert_eq!(number("max_value"), greatest(readings), "{sensor}");
    assert_eq!(number("last_value"), readings.last().unwrap().value, "{sensor}");
    let mean = mean(readings, scale);
    assert!(is_near(number("avg_value"), mean), "{sensor}: {row:?}, expected {mean}");
    let m2: f64 = readings.iter().map(|row| (row.value - mean).powi(2)).sum();
    let deviation = (m2 / (readings.len() - 1) as f64).sqrt();
    let off = (number("stddev") / deviation - 1.0).abs();
    assert!(off < 1e-9, "{sensor}: {row:?}, expected {deviation}");
}

/// What Redis holds: each message folded once, each byte of history accounted for.
fn check_at_rest(streamgauge: &Streamgauge, in_shards: &BTreeMap<ShardId, u64>) {
    let mut redis = connection(&streamgauge.stage);
    for keys in shards() {
        let totals = settled_meta(&mut redis, &keys).totals;
        let expected = in_shards.get(&keys.shard).copied().unwrap_or_default();
        assert_eq!((totals.decoded, totals.readings), (expected, expected), "{keys:?}");
        assert_eq!((totals.lost, totals.damaged, totals.foreign), (0, 0, 0), "{keys:?}");
    }
    let kept = recount(&mut redis);
    // It is no use when what is to be shown did not occur.
    assert!(["h:h", "h:d", "w:m", "w:h"].iter().all(|it| kept.spans.contains_key(*it)), "{kept:?}");
    assert!(kept.full_blocks > 5 && kept.versioned >= 2, "{kept:?}");
}
