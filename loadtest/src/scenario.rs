//! A run from its beginning to its verdict: start servers, publish, wait, compare, stop.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::api::{Api, Stats};
use crate::check::{Comparison, Findings};
use crate::ledger::{Ledger, Tally};
use crate::options::{Keep, ListenerOptions, Reference, ReferenceOptions, RunOptions, address};
use crate::plan::Plan;
use crate::process::{Meter, Process, aof_bytes, generator, redis_child};
use crate::publisher::{Progress, Published, publish};
use crate::reference;
use crate::report::Run;
use crate::server::{Mosquitto, Streamgauge, wait_until};

/// Where a run takes place.
struct Stage<'a> {
    api: &'a Api,
    /// Streamgauge, if its id is known: its processor time is counted, and that of its Redis.
    streamgauge: Option<u32>,
    /// Another server whose processor time is counted.
    broker: Option<Process>,
    /// Where append-only files are, if that is known.
    data: Option<&'a Path>,
}

impl Stage<'_> {
    fn processes(&self) -> Result<Vec<Process>> {
        let mut processes = Vec::new();
        if let Some(pid) = self.streamgauge {
            processes.push(Process { name: "streamgauge", pid });
            processes.extend(redis_child(pid)?);
        }
        processes.extend(self.broker.clone());
        processes.push(generator());
        Ok(processes)
    }
}

/// Devices publish into the listener.
///
/// # Errors
/// A server cannot be started or stopped, or the run cannot be carried out. A run that was carried
/// out and found wrong is no error but has `failures`.
pub fn listener(options: &ListenerOptions, number: u32) -> Result<Run> {
    let mut run = match (&options.to, &options.http) {
        (Some(to), Some(http)) => elsewhere(options, to, http, number)?,
        _ => here(&options.run, |_| Ok(|| Ok(())))?.0,
    };
    let (compared, rate) = match options.reference {
        None => return Ok(run),
        Some(Reference::Redis) => {
            let reference = reference::measure(&reference_options(&options.run, &run))?;
            (reference, run.aggregated_per_second)
        }
        Some(Reference::Mosquitto) => (broker(&options.run)?, Some(run.acknowledged_per_second)),
    };
    let reference = compared.acknowledged_per_second;
    run.reference_per_second = Some(reference);
    run.ratio = rate.map(|rate| rate / reference);
    Ok(run)
}

/// Devices publish into the listener of a server that is started for it. `beside` begins once the
/// server is ready, and what it gives ends it when everything is judged.
pub(crate) fn here<T, End: FnOnce() -> Result<T>>(
    options: &RunOptions,
    beside: impl FnOnce(&Streamgauge) -> Result<End>,
) -> Result<(Run, T)> {
    let streamgauge = Streamgauge::start(&options.place, None)?;
    let stage = Stage {
        api: &streamgauge.api,
        streamgauge: Some(streamgauge.pid()),
        broker: None,
        data: Some(streamgauge.data()),
    };
    let plan = options.plan(streamgauge.mqtt)?;
    let end = beside(&streamgauge)?;
    let run = measure(&stage, &plan, options)
        .with_context(|| format!("streamgauge says:\n{}", streamgauge.log_tail()))?;
    let ended = end()?;
    Ok((stopped(streamgauge, run)?, ended))
}

/// A Streamgauge that runs already may know sensors of these names from an earlier run, whose
/// readings the ledger does not know: every run has names of its own.
fn elsewhere(options: &ListenerOptions, to: &str, http: &str, number: u32) -> Result<Run> {
    let api = Api::new(http, options.token.clone());
    let mut plan = options.run.plan(address(to)?)?;
    plan.credentials = options.username.clone().zip(options.password.clone());
    if options.run.place.keep.runs > 1 {
        plan.prefix = format!("{}{number}-", options.run.prefix);
    }
    let mut known = None;
    let empty = Ledger::new(&plan.prefix, plan.sensors);
    api.sensors(|row| {
        if empty.sensor_of(&row.sensor_id).is_some() {
            known = Some(row.sensor_id);
        }
    })?;
    if let Some(id) = known {
        anyhow::bail!("sensor {id} has readings already; choose another --prefix");
    }
    let stage = Stage { api: &api, streamgauge: options.pid, broker: None, data: None };
    measure(&stage, &plan, &options.run)
}

/// Devices publish into mosquitto, Streamgauge subscribes.
///
/// # Errors
/// As [`listener`].
pub fn subscriber(options: &RunOptions) -> Result<Run> {
    let mosquitto = Mosquitto::start(options.place.keep.data_dir.as_deref())?;
    let broker = Some(mosquitto.address);
    let streamgauge = Streamgauge::start(&options.place, broker)?;
    let stage = Stage {
        api: &streamgauge.api,
        streamgauge: Some(streamgauge.pid()),
        broker: Some(mosquitto.process()),
        data: Some(streamgauge.data()),
    };
    let plan = options.plan(mosquitto.address)?;
    let run = measure(&stage, &plan, options)
        .with_context(|| format!("streamgauge says:\n{}", streamgauge.log_tail()))?;
    let mut run = stopped(streamgauge, run)?;
    if let Err(error) = mosquitto.stop() {
        run.failures.push(format!("{error:#}"));
    }
    Ok(run)
}

/// Devices publish into mosquitto and nobody subscribes.
///
/// # Errors
/// mosquitto cannot be started or stopped, or publishing failed.
pub fn broker(options: &RunOptions) -> Result<Run> {
    let mosquitto = Mosquitto::start(options.place.keep.data_dir.as_deref())?;
    let meter = Meter::start(vec![mosquitto.process(), generator()])?;
    let published = publish(&options.plan(mosquitto.address)?, &Progress::default())?;
    let mut run = published_run(&published);
    run.processes = meter.spent(run.messages)?;
    mosquitto.stop()?;
    Ok(run)
}

fn stopped(streamgauge: Streamgauge, mut run: Run) -> Result<Run> {
    if let Err(error) = streamgauge.stop() {
        run.failures.push(format!("{error:#}"));
    }
    Ok(run)
}

fn reference_options(options: &RunOptions, run: &Run) -> ReferenceOptions {
    ReferenceOptions {
        messages: run.messages,
        connections: options.connections,
        payload_bytes: options.payload_bytes,
        fsync: crate::options::Fsync::Always,
        keep: Keep { runs: 1, json: None, record: None, ..options.place.keep.clone() },
    }
}

fn measure(stage: &Stage<'_>, plan: &Plan, options: &RunOptions) -> Result<Run> {
    let patience = options.place.patience()?;
    let before = first_stats(stage.api, patience)?;
    // Only now, for a Redis that has answered is surely running.
    let meter = Meter::start(stage.processes()?)?;

    let started = Instant::now();
    let published = publish(plan, &Progress::default())?;
    let quiet_after = wait_quiet(stage.api, before, &published, patience);
    let caught_up = started.elapsed().saturating_sub(published.elapsed);

    let mut run = published_run(&published);
    run.processes = meter.spent(run.messages)?;
    run.aof_bytes = stage.data.map(aof_bytes);
    match quiet_after {
        Ok(()) => {
            run.caught_up_seconds = Some(caught_up.as_secs_f64());
            let all = published.elapsed + caught_up;
            run.aggregated_per_second = Some(run.acked as f64 / all.as_secs_f64());
        }
        Err(error) => run.failures.push(format!("{error:#}")),
    }
    judge(stage.api, before, &published, patience, &mut run)?;
    Ok(run)
}

fn published_run(published: &Published) -> Run {
    let ledger = &published.ledger;
    let acked = ledger.total(Tally::acked);
    let seconds = published.elapsed.as_secs_f64();
    Run {
        messages: ledger.total(|tally| tally.published),
        acked,
        unknown: ledger.total(|tally| tally.unknown),
        resent: ledger.total(|tally| tally.resent),
        reconnects: published.reconnects,
        publish_seconds: seconds,
        acknowledged_per_second: acked as f64 / seconds,
        puback_ms_p50: published.latency.quantile_ms(0.5),
        puback_ms_p99: published.latency.quantile_ms(0.99),
        failures: published.cut_short.iter().cloned().collect(),
        ..Run::default()
    }
}

/// The totals before the run; a server that has just become ready may not know them yet.
pub(crate) fn first_stats(api: &Api, patience: Duration) -> Result<Stats> {
    let mut stats = api.stats();
    wait_until(patience, || {
        if stats.is_err() {
            stats = api.stats();
        }
        stats.is_ok()
    });
    stats
}

/// Waits until every acknowledged message is folded and nothing waits.
fn wait_quiet(api: &Api, before: Stats, published: &Published, patience: Duration) -> Result<()> {
    let wanted = before.settled() + published.ledger.total(Tally::acked);
    let mut last = api.stats();
    let in_time = wait_until(patience, || {
        last = api.stats();
        last.as_ref().is_ok_and(|stats| stats.settled() >= wanted && stats.is_quiet())
    });
    let stats = last?;
    anyhow::ensure!(
        in_time,
        "not caught up within {patience:?}: {} of {wanted} messages settled, lag {}, pending {}",
        stats.settled(),
        stats.lag,
        stats.pending
    );
    Ok(())
}

/// Compares every series until all are right or patience ends: `/api/sensors` may be a second old.
fn judge(
    api: &Api,
    before: Stats,
    published: &Published,
    patience: Duration,
    run: &mut Run,
) -> Result<()> {
    let started = Instant::now();
    let mut found = compare(api, &published.ledger);
    wait_until(patience, || {
        if !found.as_ref().is_ok_and(Findings::is_clean) {
            std::thread::park_timeout(Duration::from_millis(200));
            found = compare(api, &published.ledger);
        }
        found.as_ref().is_ok_and(Findings::is_clean)
    });
    let findings = found?;
    if findings.is_clean() {
        run.shown_seconds = Some(started.elapsed().as_secs_f64());
    } else {
        run.failures.push(format!("{} series are wrong", findings.wrong));
    }
    run.findings = Some(findings);
    let after = api.stats()?;
    run.stats = Some(api.raw_stats()?);
    run.failures.extend(complaints(before, after, published));
    Ok(())
}

fn compare(api: &Api, ledger: &Ledger) -> Result<Findings> {
    let mut comparison = Comparison::new(ledger);
    api.sensors(|row| comparison.row(&row))?;
    Ok(comparison.finish())
}

/// What the totals must not show after good messages only.
fn complaints(before: Stats, after: Stats, published: &Published) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, before, after) in [
        ("dead letters", before.dead_lettered, after.dead_lettered),
        ("messages beyond the sensor limit", before.overflow, after.overflow),
        ("messages lost on their way", before.lost, after.lost),
        ("messages taken for retained", before.retained, after.retained),
    ] {
        if after != before {
            complaints.push(format!("{} {name}", after.abs_diff(before)));
        }
    }
    if !after.is_quiet() {
        complaints.push(format!("lag {}, pending {}", after.lag, after.pending));
    }
    let ledger = &published.ledger;
    let (least, most) = (ledger.total(Tally::acked), ledger.total(Tally::attempts));
    let settled = after.settled().saturating_sub(before.settled());
    if !(least..=most).contains(&settled) {
        complaints.push(format!("{settled} messages settled, expected {least} to {most}"));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(messages: u32) -> Published {
        let mut ledger = Ledger::new("s", 1);
        (0..messages).for_each(|_| ledger.publish(0, 1));
        Published {
            ledger,
            elapsed: Duration::from_secs(1),
            latency: crate::latency::Latency::default(),
            reconnects: 0,
            cut_short: None,
        }
    }

    #[test]
    fn only_a_clean_end_has_no_complaints() {
        let before = Stats { decoded: 5, dead_lettered: 2, ..Stats::default() };
        let good = Stats { decoded: 15, ..before };
        assert_eq!(complaints(before, good, &published(10)), Vec::<String>::new());
        let bad = [
            Stats { decoded: 14, ..good },
            Stats { decoded: 16, ..good },
            Stats { dead_lettered: 3, ..good },
            Stats { overflow: 1, ..good },
            Stats { retained: 1, ..good },
            Stats { lost: 1, ..good },
            Stats { lag: 1, ..good },
            Stats { pending: 1, ..good },
        ];
        for after in bad {
            assert!(!complaints(before, after, &published(10)).is_empty(), "{after:?}");
        }
    }
}
