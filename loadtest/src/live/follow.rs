//! The latency scenario: one client on everything, and every reading compared.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Result, bail};

use super::conversation::Subscription;
use super::journal::{Comparison, Received, compare};
use super::sight::Scanner;
use super::stage::{PREFIX, Stage, duration};
use super::stamp::{Epoch, Going, SENSOR_TYPE, Stamped, Stamps, due_us, publish};
use super::viewer::Viewer;
use crate::latency::Latency;
use crate::options::LatencyOptions;
use crate::process::{Meter, thread_cpu_seconds};
use crate::report::Run;
use crate::server::wait_until;

/// Publishes, watches, compares, and stops what it started.
///
/// # Errors
/// A server cannot be started or stopped, or the run cannot be carried out. A run that was carried
/// out and found wrong is no error but has `failures`.
pub fn latency(options: &LatencyOptions) -> Result<Run> {
    Stage::with(&options.place, |stage| measure(options, stage))
}

fn measure(options: &LatencyOptions, stage: &Stage) -> Result<Run> {
    let stamps = Stamps {
        to: stage.streamgauge.mqtt,
        connections: options.connections,
        prefix: PREFIX.to_owned(),
        sensors: options.sensors,
        rate: options.rate,
        payload_bytes: options.payload_bytes,
    };
    let epoch = Epoch::start();
    stage.warm_up(&stamps, epoch)?;
    let subscription = Subscription {
        sensors: vec!["*".to_owned()],
        max_hz: options.max_hz,
        every: !options.conflated,
        batch: options.batch,
    };
    let viewer = Viewer::open(stage.http(), stage.token(), &subscription)?;
    let total = (options.rate * duration("--seconds", options.seconds)?.as_secs_f64()) as u64;
    let meter = Meter::start(stage.processes()?)?;
    let going = Going::default();
    let (stamped, heard) = watched(stage, &stamps, epoch, (total, &going, viewer))?;
    let processes = meter.spent(stamped.total())?;
    let mut run = Run {
        messages: stamped.total(),
        acked: going.acked.load(Relaxed),
        publish_seconds: stamped.elapsed.as_secs_f64(),
        acknowledged_per_second: stamped.total() as f64 / stamped.elapsed.as_secs_f64(),
        processes,
        ..Run::default()
    };
    let puback = going.take_puback();
    run.puback_ms_p50 = puback.quantile_ms(0.5);
    run.puback_ms_p99 = puback.quantile_ms(0.99);
    judge(options, &stamps, (&stamped, &heard), &mut run);
    stage.judge(&mut run, stamped.total())?;
    Ok(run)
}

/// What the client heard.
#[derive(Default)]
struct Journal {
    received: Vec<Received>,
    frames: u64,
    conflated: u64,
    checked: u64,
    faults: Vec<String>,
    cpu_seconds: f64,
}

type Task<'a> = (u64, &'a Going, Viewer);

/// Publishes while the client watches, until it has heard everything or patience ends.
fn watched(
    stage: &Stage,
    stamps: &Stamps,
    epoch: Epoch,
    (total, going, viewer): Task<'_>,
) -> Result<(Stamped, Journal)> {
    let (stop, accounted) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let listening = scope.spawn(|| -> Result<Journal> {
            let scanner = Scanner::new(&stamps.prefix, SENSOR_TYPE);
            let mut journal = Journal::default();
            viewer.watch(&stop, |event| {
                let at = epoch.micros();
                accounted.fetch_add(journal.take(event, at, &scanner), Relaxed);
            })?;
            journal.cpu_seconds = thread_cpu_seconds()?;
            Ok(journal)
        });
        let published = publish(stamps, epoch, total, going);
        if published.is_ok() {
            wait_until(stage.patience, || {
                listening.is_finished() || accounted.load(Relaxed) >= total
            });
        }
        stop.store(true, Relaxed);
        match listening.join() {
            Ok(journal) => Ok((published?, journal?)),
            Err(_panicked) => bail!("the watching thread has panicked"),
        }
    })
}

impl Journal {
    /// Writes an event down; how many readings it accounts for.
    fn take(&mut self, event: &[u8], at: u64, scanner: &Scanner) -> u64 {
        let received = &mut self.received;
        let sight =
            scanner.scan(event, |sensor, stamp| received.push(Received { sensor, stamp, at }));
        match sight {
            Ok(None) => 0,
            Ok(Some(sight)) => {
                if self.frames.is_multiple_of(1_000) {
                    self.checked += 1;
                    if let Err(fault) = scanner.check(event) {
                        self.fault(&fault);
                    }
                }
                self.frames += 1;
                self.conflated += sight.conflated;
                sight.readings + sight.conflated
            }
            Err(fault) => {
                self.fault(&fault);
                0
            }
        }
    }

    fn fault(&mut self, fault: &anyhow::Error) {
        if self.faults.len() < 8 {
            self.faults.push(format!("{fault:#}"));
        }
    }
}

fn judge(
    options: &LatencyOptions,
    stamps: &Stamps,
    (stamped, heard): (&Stamped, &Journal),
    run: &mut Run,
) {
    let (mut latency, mut scheduled) = (Latency::default(), Latency::default());
    let found = compare(&stamped.of_sensor, &heard.received, |reading, number| {
        latency.add(Duration::from_micros(reading.at.saturating_sub(reading.stamp)));
        let due = due_us(stamps, stamped.began_us, reading.sensor, number);
        scheduled.add(Duration::from_micros(reading.at.saturating_sub(due)));
    });
    let Comparison { received, missing, doubled, out_of_order, unknown } = found;
    // What was replaced on purpose is not missing, as far as it is said to be.
    let missing = if options.conflated && options.batch {
        missing.abs_diff(heard.conflated)
    } else {
        missing
    };
    let measured = &mut run.measured;
    let mut add = |name: &str, number: f64| measured.push((name.to_owned(), number));
    for (name, number) in [
        ("readings received", received),
        ("readings conflated", heard.conflated),
        ("missing", missing),
        ("doubled", doubled),
        ("out of order", out_of_order),
        ("unknown", unknown),
        ("frames parsed in full", heard.checked),
    ] {
        add(name, number as f64);
    }
    add("frames/s", heard.frames as f64 / stamped.elapsed.as_secs_f64());
    quantiles(&mut add, "publish → frame", &latency);
    quantiles(&mut add, "due → frame", &scheduled);
    quantiles(&mut add, "due → written", &stamped.late);
    add("client CPU s", heard.cpu_seconds);
    let wrong = [("doubled", doubled), ("out of order", out_of_order), ("unknown", unknown)];
    for (name, number) in wrong.into_iter().filter(|(_, number)| *number > 0) {
        run.failures.push(format!("{number} readings {name}"));
    }
    if missing > 0 && (!options.conflated || options.batch) {
        run.failures.push(format!("{missing} readings missing"));
    }
    run.failures.extend(heard.faults.iter().cloned());
}

/// p50, p90, p99, p99.9 and the longest, if there are any.
pub(super) fn quantiles(add: &mut impl FnMut(&str, f64), name: &str, latency: &Latency) {
    for (label, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        latency.quantile_ms(quantile).inspect(|ms| add(&format!("{name} {label} ms"), *ms));
    }
    latency.max_ms().inspect(|ms| add(&format!("{name} max ms"), *ms));
}
