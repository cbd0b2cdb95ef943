//! Measures Streamgauge: command line → runs → numbers and an exit code.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use loadtest::ledger::Tally;
use loadtest::machine::Machine;
use loadtest::options::{Options, Place, Scenario, SinkOptions};
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
    let outputs = outputs(&options.scenario);
    // Looked at first: a commit made during the run is not what ran.
    let machine = outputs.record.map(|_| Machine::here(outputs.data_dir));
    let mut runs = Vec::new();
    for number in 1..=outputs.runs {
        let run = run(&options.scenario, number)?;
        say(&run.text(number as usize))?;
        runs.push(run);
    }
    let summary = Summary::new(outputs.name, runs);
    if summary.runs.len() > 1 {
        say(&summary.text())?;
    }
    if let Some(path) = outputs.json {
        record::json(&summary, path)?;
    }
    if let (Some(results), Some(machine)) = (outputs.record, machine) {
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

/// What every scenario is asked besides its measuring.
struct Outputs<'a> {
    name: &'static str,
    runs: u32,
    data_dir: Option<&'a Path>,
    json: Option<&'a Path>,
    record: Option<&'a Path>,
}

fn outputs(scenario: &Scenario) -> Outputs<'_> {
    let (name, run) = match scenario {
        Scenario::Listener(options) => ("listener", &options.run),
        Scenario::Subscriber(options) => ("subscriber", options),
        Scenario::Broker(options) => ("broker", options),
        Scenario::Overhead(options) => ("overhead", &options.run),
        Scenario::Sink(options) => ("sink", &options.run),
        Scenario::Latency(options) => return placed("latency", &options.place),
        Scenario::Crowd(options) => return placed("crowd", &options.place),
        Scenario::History(options) => {
            return Outputs {
                name: "history",
                runs: options.runs,
                data_dir: options.data_dir.as_deref(),
                json: options.json.as_deref(),
                record: options.record.as_deref(),
            };
        }
        Scenario::Reference(options) => {
            return Outputs {
                name: "reference",
                runs: options.runs,
                data_dir: options.data_dir.as_deref(),
                json: options.json.as_deref(),
                record: options.record.as_deref(),
            };
        }
    };
    Outputs {
        name,
        runs: run.runs,
        data_dir: run.data_dir.as_deref(),
        json: run.json.as_deref(),
        record: run.record.as_deref(),
    }
}

fn placed<'a>(name: &'static str, place: &'a Place) -> Outputs<'a> {
    Outputs {
        name,
        runs: place.runs,
        data_dir: place.data_dir.as_deref(),
        json: place.json.as_deref(),
        record: place.record.as_deref(),
    }
}

fn say(text: &str) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes())
}
