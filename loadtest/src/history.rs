//! The history scenario: publish a past, measure what it takes, prove that it is all there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::api::{Api, Stats};
use crate::backfill::Backfill;
use crate::check::Findings;
use crate::exported::{self, Newest, RESOLUTIONS};
use crate::footprint::{Footprint, SHARES};
use crate::options::HistoryOptions;
use crate::past::{HOUR_MS, Past};
use crate::process::{Meter, Process, aof_bytes, generator, redis_child};
use crate::report::{Run, median};
use crate::scenario::first_stats;
use crate::server::{Streamgauge, wait_until};

/// Messages that may wait in the streams before the next round: what is published must not fill
/// the memory that history is to have.
const LAG_MAX: u64 = 2_000;

/// Publishes, measures, verifies, and stops what it started.
///
/// # Errors
/// A server cannot be started or stopped, or the run cannot be carried out. A run that was carried
/// out and found wrong is no error but has `failures`.
pub fn history(options: &HistoryOptions) -> Result<Run> {
    let streamgauge = Streamgauge::start(&options.place, None)?;
    let mut run = measure(options, &streamgauge)
        .with_context(|| format!("streamgauge says:\n{}", streamgauge.log_tail()))?;
    if let Err(error) = streamgauge.stop() {
        run.failures.push(format!("{error:#}"));
    }
    Ok(run)
}

fn measure(options: &HistoryOptions, streamgauge: &Streamgauge) -> Result<Run> {
    let api = &streamgauge.api;
    let patience = options.place.patience()?;
    first_stats(api, patience)?;
    let past = options.past(jiff::Timestamp::now().as_millisecond())?;
    let meter = Meter::start(processes(streamgauge.pid())?)?;
    let backfill = Backfill {
        to: streamgauge.mqtt,
        connections: options.connections,
        window: options.window,
        readings_per_message: options.per_message,
    };
    let began = Instant::now();
    let mut peak = 0;
    let publishing = backfill.publish(&past, |_| {
        wait_folded(api, LAG_MAX, patience)?;
        peak = peak.max(reckoned(api)?.iter().sum());
        Ok(())
    })?;
    wait_folded(api, 0, patience)?;
    let folding = began.elapsed();

    let total = past.total();
    let mut run = Run {
        messages: total,
        acked: total,
        publish_seconds: publishing.as_secs_f64(),
        acknowledged_per_second: total as f64 / publishing.as_secs_f64(),
        caught_up_seconds: Some((folding - publishing).as_secs_f64()),
        aggregated_per_second: Some(total as f64 / folding.as_secs_f64()),
        processes: meter.spent(total)?,
        aof_bytes: Some(aof_bytes(streamgauge.data())),
        ..Run::default()
    };
    let (footprint, reckoned) = wait_kept(api, &streamgauge.redis_url(), patience)?;
    run.measured = memory(&footprint, &past, reckoned);
    run.measured.push(("peak of history, reckoned MiB".to_owned(), peak as f64 / MIB));
    run.stats = Some(api.raw_stats()?);
    verify(options, api, &past, &footprint, &mut run)?;
    run.measured.extend(ask(options, api, &past)?);
    Ok(run)
}

fn processes(pid: u32) -> Result<Vec<Process>> {
    let mut processes = vec![Process { name: "streamgauge", pid }];
    processes.extend(redis_child(pid)?);
    processes.push(generator());
    Ok(processes)
}

/// Waits until no more than so many messages are published but not folded.
///
/// # Errors
/// Not in time.
pub fn wait_folded(api: &Api, lag_max: u64, patience: Duration) -> Result<()> {
    let mut last: Result<Stats> = api.stats();
    let in_time = wait_until(patience, || {
        let is_folded = |stats: &Stats| stats.lag <= lag_max && (lag_max > 0 || stats.is_quiet());
        let done = last.as_ref().is_ok_and(is_folded);
        if !done {
            last = api.stats();
        }
        done
    });
    let stats = last?;
    ensure!(in_time, "not folded within {patience:?}: {stats:?}");
    Ok(())
}

/// Waits until what is kept fits its memory and all shards have evicted the same, and measures it.
/// Whoever looks for what must go does so every two seconds.
///
/// # Errors
/// Not in time, or Redis does not say.
pub fn wait_kept(api: &Api, redis_url: &str, patience: Duration) -> Result<(Footprint, [u64; 3])> {
    let look = || -> Result<Result<(Footprint, [u64; 3]), String>> {
        let before = reckoned(api)?;
        let footprint = Footprint::measure(redis_url)?;
        let after = reckoned(api)?;
        let over = fits(api)?;
        let late: u64 = footprint.shares().iter().map(|share| share.older_than_evicted).sum();
        if over.is_none() && late == 0 && before == after {
            return Ok(Ok((footprint, after)));
        }
        Ok(Err(format!("bytes and limit {over:?}, {late} spans older than what was evicted")))
    };
    let mut last = look();
    wait_until(patience, || {
        if !matches!(last, Ok(Ok(_))) {
            last = look();
        }
        matches!(last, Ok(Ok(_)))
    });
    last?.map_err(|found| anyhow!("history does not settle within {patience:?}: {found}"))
}

/// `None`: it does; else what it takes and what it may take.
fn fits(api: &Api) -> Result<Option<(u64, u64)>> {
    let stats = api.raw_stats()?;
    let most = stats["history"]["bytes_max"].as_u64().context("/api/stats: history.bytes_max")?;
    let taken = reckoned_of(&stats)?.iter().sum();
    Ok((taken > most).then_some((taken, most)))
}

/// What Streamgauge itself reckons that each share takes.
///
/// # Errors
/// No answer, or one without these numbers.
fn reckoned(api: &Api) -> Result<[u64; 3]> {
    reckoned_of(&api.raw_stats()?)
}

fn reckoned_of(stats: &Value) -> Result<[u64; 3]> {
    let mut reckoned = [0; 3];
    for (bytes, share) in reckoned.iter_mut().zip(SHARES) {
        let found = stats["history"][share]["bytes"].as_u64();
        *bytes = found.with_context(|| format!("/api/stats: history.{share}.bytes"))?;
    }
    Ok(reckoned)
}

const MIB: f64 = 1_048_576.0;

/// The numbers of a footprint.
fn memory(footprint: &Footprint, past: &Past, reckoned: [u64; 3]) -> Vec<(String, f64)> {
    let mut numbers = Vec::new();
    let mut add = |name: String, number: f64| numbers.push((name, number));
    for ((name, share), reckoned) in SHARES.into_iter().zip(footprint.shares()).zip(reckoned) {
        let bytes = share.held.bytes as f64;
        add(format!("{name} MiB"), bytes / MIB);
        add(format!("{name} reckoned MiB"), reckoned as f64 / MIB);
        add(format!("{name} reckoned ÷ measured"), reckoned as f64 / bytes);
        add(format!("{name} spans × shards"), share.held.keys as f64);
        add(format!("{name} fields"), share.held.fields as f64);
        let hours = share.between.map_or(0.0, |(from, to)| {
            (to.min(past.end_ms()) - from.max(past.start_ms)) as f64 / HOUR_MS as f64
        });
        add(format!("{name} kept h"), hours);
    }
    let others = [
        ("inventory", footprint.inventory),
        ("states", footprint.states),
        ("attributes", footprint.attributes),
    ];
    for (name, held) in others {
        add(format!("{name} MiB"), held.bytes as f64 / MIB);
    }
    let total = past.total() as f64;
    let readings = footprint.readings.held.bytes as f64;
    add("readings B/reading".to_owned(), readings / total);
    add("everything B/reading".to_owned(), footprint.all_bytes() as f64 / total);
    for ((resolution, window_ms), share) in
        RESOLUTIONS.into_iter().zip([footprint.minutes, footprint.hours])
    {
        let windows = exported::windows_in(past, window_ms) as f64;
        add(format!("{resolution} B/window"), share.held.bytes as f64 / windows);
    }
    numbers
}

/// Every series has all of its readings counted; those of some come out as they went in.
fn verify(
    options: &HistoryOptions,
    api: &Api,
    past: &Past,
    footprint: &Footprint,
    run: &mut Run,
) -> Result<()> {
    let mut findings = Findings::default();
    let patience = options.place.patience()?;
    wait_until(patience, || {
        findings = exported::statistics(api, past).unwrap_or_default();
        findings.right == u64::from(past.series)
    });
    if findings.right != u64::from(past.series) {
        run.failures.push(format!("{} of {} series are right", findings.right, past.series));
    }
    run.findings = Some(findings);
    let evicted = footprint.shares().map(|share| share.evicted.is_some());
    let step = past.series.div_ceil(options.verify.clamp(1, past.series)) as usize;
    let mut kept = [Vec::new(), Vec::new(), Vec::new()];
    for series in (0..past.series).step_by(step).take(options.verify as usize) {
        let [minutes, hours] =
            RESOLUTIONS.map(|resolution| exported::windows_of(api, past, series, resolution));
        let found = [exported::readings(api, past, series), minutes, hours];
        for (share, found) in found.into_iter().enumerate() {
            match found {
                Ok(newest) => kept[share].push(newest),
                Err(error) => run.failures.push(format!("{error:#}")),
            }
        }
    }
    for (share, newest) in kept.iter().enumerate() {
        let missing = newest.iter().filter(|newest| !newest.is_all()).count();
        if missing > 0 && !evicted[share] {
            let name = SHARES[share];
            run.failures.push(format!("{name} of {missing} series are missing: {newest:?}"));
        }
        let part = |newest: &Newest| newest.kept as f64 / newest.published as f64;
        let parts = newest.iter().map(part).collect();
        run.measured.push((format!("{} of a series, kept part", SHARES[share]), median(parts)));
    }
    Ok(())
}

/// What some questions take, over HTTP on loopback.
fn ask(options: &HistoryOptions, api: &Api, past: &Past) -> Result<Vec<(String, f64)>> {
    let mut numbers = Vec::new();
    for (name, query) in [
        ("points=1000", "points=1000"),
        ("raw JSON", "resolution=raw"),
        ("raw NDJSON", "resolution=raw&format=ndjson"),
        ("1m JSON", "resolution=1m"),
    ] {
        let mut times = Vec::new();
        for number in 0..options.queries {
            let path = exported::path(past, number % past.series, query);
            let began = Instant::now();
            api.text(&path)?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        if !times.is_empty() {
            numbers.push((format!("GET {name} ms"), median(times)));
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_reckoned_is_read_share_by_share() {
        let mut stats = json!({"history": {
            "readings": {"bytes": 3}, "minutes": {"bytes": 2}, "hours": {"bytes": 1}
        }});
        assert_eq!(reckoned_of(&stats).unwrap(), [3, 2, 1]);
        stats["history"]["minutes"] = json!({});
        let error = reckoned_of(&stats).unwrap_err().to_string();
        assert!(error.contains("minutes"), "{error}");
    }
}
