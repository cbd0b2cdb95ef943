//! Measures Streamgauge: command line → runs → numbers and an exit code.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use loadtest::ledger::Tally;
use loadtest::machine::Machine;
use loadtest::options::{Keep, Options, Scenario, SinkOptions};
use loadtest::process::{Spent, thread_cpu_seconds, usage};
use loadtest::publisher::{Progress, publish};
use loadtest::report::{Run, Summary};
use loadtest::sink::{Sink, Verdict};
use loadtest::{history, live, record, reference, scenario};

/// Exit code 0: every check passed, 1: one failed, 2: there was nothing to check.
fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let text = format!("loadtest: {error:#}\n");
            if std::io::stderr().write_all(text.as_bytes()).is_err() {
                // Nobody listens; the exit code says it too.
            }
            ExitCode::from(2)
        }
    }
}

/// Whether every run passed every check.
fn measure(options: &Options) -> Result<bool> {
    let (name, keep) = named(&options.scenario);
    // Looked at first: a commit made during the run is not what ran.
    let machine = keep.record.as_ref().map(|_| Machine::here(keep.data_dir.as_deref()));
    let mut runs = Vec::new();
    for number in 1..=keep.runs {
        let run = run(&options.scenario, number)?;
        say(&run.text(number as usize))?;
        runs.push(run);
    }
    let summary = Summary::new(name, runs);
    if summary.runs.len() > 1 {
        say(&summary.text())?;
    }
    if let Some(path) = &keep.json {
        record::json(&summary, path)?;
    }
    if let (Some(results), Some(machine)) = (&keep.record, machine) {
        let directory = record::record(&summary, &machine, results)?;
        say(&format!("recorded in {}\n", directory.display()))?;
    }
    Ok(summary.is_good())
}

fn run(scenario: &Scenario, number: u32) -> Result<Run> {
    match scenario {
        Scenario::Listener(options) => scenario::listener(options, number),
        Scenario::Subscriber(options) => scenario::subscriber(options),
        Scenario::Broker(options) => scenario::broker(options),
        Scenario::Reference(options) => reference::measure(options),
        Scenario::History(options) => history::history(options),
        Scenario::Latency(options) => live::follow::latency(options),
        Scenario::Crowd(options) => live::gather::crowd(options),
        Scenario::Overhead(options) => live::watched::overhead(options, number),
        Scenario::Sink(options) => sink(options),
    }
}

/// What the generator itself can do.
fn sink(options: &SinkOptions) -> Result<Run> {
    let sink = Sink::listen(([127, 0, 0, 1], 0).into())?;
    let plan = options.run.plan(sink.address()?)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| sink.serve(&stop, |_| Verdict::Acknowledge));
        let (started, cpu_before) = (Instant::now(), thread_cpu_seconds()?);
        let published = publish(&plan, &Progress::default());
        stop.store(true, Relaxed);
        let published = published?;
        let messages = published.ledger.total(Tally::acked);
        let cpu_seconds = thread_cpu_seconds()? - cpu_before;
        let generator = Spent {
            name: "generator".to_owned(),
            cpu_seconds,
            cpu_us_per_message: cpu_seconds * 1e6 / messages as f64,
            resident_bytes: usage(std::process::id())?.resident_bytes,
        };
        Ok(Run {
            messages,
            acked: messages,
            publish_seconds: started.elapsed().as_secs_f64(),
            acknowledged_per_second: messages as f64 / published.elapsed.as_secs_f64(),
            puback_ms_p50: published.latency.quantile_ms(0.5),
            puback_ms_p99: published.latency.quantile_ms(0.99),
            processes: vec![generator],
            failures: published.cut_short.into_iter().collect(),
            ..Run::default()
        })
    })
}

/// The name of a scenario, and what becomes of it.
fn named(scenario: &Scenario) -> (&'static str, &Keep) {
    match scenario {
        Scenario::Listener(options) => ("listener", &options.run.place.keep),
        Scenario::Subscriber(options) => ("subscriber", &options.place.keep),
        Scenario::Broker(options) => ("broker", &options.place.keep),
        Scenario::Overhead(options) => ("overhead", &options.run.place.keep),
        Scenario::Sink(options) => ("sink", &options.run.place.keep),
        Scenario::Latency(options) => ("latency", &options.place.keep),
        Scenario::Crowd(options) => ("crowd", &options.place.keep),
        Scenario::History(options) => ("history", &options.place.keep),
        Scenario::Reference(options) => ("reference", &options.keep),
    }
}

fn say(text: &str) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes())
}
