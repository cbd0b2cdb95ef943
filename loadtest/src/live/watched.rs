//! The overhead scenario: the listener at full speed with one client on everything, and with none.
//!
//! Both are measured in each run, each with a server of its own, and which comes first changes
//! from run to run: what the machine does meanwhile falls on both alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use anyhow::{Result, bail};
use memchr::memmem::{Finder, rfind};

use super::conversation::Subscription;
use super::viewer::Viewer;
use crate::options::OverheadOptions;
use crate::report::Run;
use crate::scenario::here;
use crate::server::{Streamgauge, TOKEN};

/// Measures both; the run with the client carries the numbers of the one without.
///
/// # Errors
/// As [`crate::scenario::listener`], and when the client loses its connection.
pub fn overhead(options: &OverheadOptions, number: u32) -> Result<Run> {
    let plain = || here(&options.run, |_| Ok(|| Ok(()))).map(|(run, ())| run);
    let watched = || {
        here(&options.run, |streamgauge| {
            let watch = Watch::start(streamgauge, options)?;
            Ok(|| watch.end())
        })
    };
    let (without, (mut with, seen)) = if number.is_multiple_of(2) {
        let with = watched()?;
        (plain()?, with)
    } else {
        (plain()?, watched()?)
    };
    let seconds = with.publish_seconds;
    let (cpu_with, cpu_without) = (server_cpu_us(&with), server_cpu_us(&without));
    for (name, number) in [
        ("CPU µs/message without a client", cpu_without),
        ("CPU µs/message with a client", cpu_with),
        ("CPU with ÷ without", cpu_with / cpu_without),
        ("aggregated/s without a client", without.aggregated_per_second.unwrap_or(f64::NAN)),
        ("frames/s", seen.frames as f64 / seconds),
        ("readings/s shown", seen.readings as f64 / seconds),
        ("readings/s said to be replaced", seen.conflated as f64 / seconds),
    ] {
        with.measured.push((name.to_owned(), number));
    }
    if seen.readings == 0 {
        with.failures.push("the client was shown nothing".to_owned());
    }
    with.failures.extend(without.failures);
    Ok(with)
}

/// Streamgauge and Redis; the client itself is part of the generator.
fn server_cpu_us(run: &Run) -> f64 {
    let servers = run.processes.iter().filter(|spent| spent.name != "generator");
    servers.map(|spent| spent.cpu_us_per_message).sum()
}

/// What the client was shown.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    frames: u64,
    readings: u64,
    conflated: u64,
}

impl Shown {
    fn take(&mut self, event: &[u8], id: &Finder<'_>) {
        if !event.starts_with(br#"{"event":"sensor_update"#) {
            return;
        }
        self.frames += 1;
        self.readings += id.find_iter(event).count() as u64;
        let key = br#""conflated":"#;
        if let Some(at) = rfind(event, key) {
            let digits = event[at + key.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            self.conflated += digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        }
    }
}

/// A client on everything, conflated.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Shown>>,
}

impl Watch {
    fn start(streamgauge: &Streamgauge, options: &OverheadOptions) -> Result<Self> {
        let subscription = Subscription {
            sensors: vec!["*".to_owned()],
            max_hz: options.max_hz,
            every: false,
            batch: !options.single,
        };
        let viewer = Viewer::open(streamgauge.http, TOKEN, &subscription)?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut shown, id) = (Shown::default(), Finder::new(r#""sensor_id":"#));
            viewer.watch(&told, |event| shown.take(event, &id))?;
            Ok(shown)
        });
        Ok(Self { stop, thread })
    }

    fn end(self) -> Result<Shown> {
        self.stop.store(true, Relaxed);
        match self.thread.join() {
            Ok(shown) => shown,
            Err(_panicked) => bail!("the watching thread has panicked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_and_what_they_replace_are_counted() {
        let mut shown = Shown::default();
        let id = Finder::new(r#""sensor_id":"#);
        for event in [
            r#"{"event":"status","data":{}}"#,
            r#"{"event":"sensor_update","data":{"sensor_id":"a"}}"#,
            r#"{"event":"sensor_updates","data":{"readings":[
               {"sensor_id":"a"},{"sensor_id":"b"}],"conflated":17}}"#,
        ] {
            shown.take(event.as_bytes(), &id);
        }
        assert_eq!(shown, Shown { frames: 2, readings: 3, conflated: 17 });
    }
}
