//! The crowd scenario: many clients, each with its own part of the sensors.
//!
//! One publisher goes on all the time. Phases follow one another: `plain` alone; or `plain` and
//! `stuck` in turn, with clients that never read; or `plain`, then `return`, in which all clients
//! are cut at once and come back at once, then `plain` again. What the clients saw is kept by
//! phase. At the end publishing stops, and each client must have been shown the last reading of
//! each of its sensors; all readings shown and all said to be replaced are as many as were
//! published for it, unless it was cut.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::json;

use super::conversation::{Subscription, request};
use super::crowd::{Crowd, Seen};
use super::findings::{Phase, Story, Told};
use super::sight::Scanner;
use super::signals::Signals;
use super::stage::{PREFIX, Stage, duration};
use super::stamp::{Epoch, Going, SENSOR_TYPE, Stamped, Stamps, publish};
use super::stuck::Stuck;
use crate::options::CrowdOptions;
use crate::process::{Meter, thread_cpu_seconds};
use crate::report::Run;
use crate::server::LOOK_INTERVAL;

/// Between two looks at memory and lag.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(200);

/// After all have returned, so long is measured at least: a storm has an end.
const RETURN_SECONDS: f64 = 1.0;

/// Gathers the crowd, publishes, compares, and stops what it started.
///
/// # Errors
/// A server cannot be started or stopped, or the run cannot be carried out. A run that was carried
/// out and found wrong is no error but has `failures`.
pub fn crowd(options: &CrowdOptions) -> Result<Run> {
    Stage::with(&options.place, |stage| measure(options, stage))
}

fn measure(options: &CrowdOptions, stage: &Stage) -> Result<Run> {
    let stamps = Stamps {
        to: stage.streamgauge.mqtt,
        connections: options.connections,
        prefix: PREFIX.to_owned(),
        sensors: options.sensors_in_all(),
        rate: options.rate(),
        payload_bytes: options.payload_bytes,
    };
    let epoch = Epoch::start();
    stage.warm_up(&stamps, epoch)?;
    let crowd = Crowd {
        to: stage.http(),
        epoch,
        request: request(stage.http(), stage.token()),
        subscriptions: subscriptions(options, &stamps),
        sensors_each: options.sensors,
        scanner: Scanner::new(PREFIX, SENSOR_TYPE),
        clients: options.clients as usize,
        returns: options.reconnect,
        signals: Signals::default(),
    };
    let (going, publisher_cpu_us) = (Going::default(), AtomicU64::new(0));
    let acts = Acts { options, stage, stamps: &stamps, crowd: &crowd, going: &going };
    let (mut story, seen, stamped) = std::thread::scope(|scope| {
        let _ending = EndWith { signals: &crowd.signals, going: &going };
        let step = options.threads as usize;
        let threads: Vec<_> =
            (0..step).map(|first| scope.spawn(move || acts.crowd.run(first, step))).collect();
        let mut story = acts.gather(&threads)?;
        let cpu = &publisher_cpu_us;
        let publishing = scope.spawn(move || -> Result<Stamped> {
            let stamped = publish(acts.stamps, epoch, u64::MAX, acts.going)?;
            cpu.store((thread_cpu_seconds()? * 1e6) as u64, Relaxed);
            Ok(stamped)
        });
        acts.play(scope, &mut story, &publishing)?;
        let stamped = acts.end(&mut story, publishing)?;
        let seen = threads.into_iter().map(joined).collect::<Result<Vec<Seen>>>()?;
        anyhow::Ok((story, seen, stamped))
    })?;
    story.publisher_cpu_seconds = publisher_cpu_us.load(Relaxed) as f64 / 1e6;
    let told = Told { options, stamped: &stamped, seen: &seen, crowd: &crowd };
    let mut run = story.run(&told);
    stage.judge(&mut run, stamped.total())?;
    Ok(run)
}

/// One frame for each subscription.
fn subscriptions(options: &CrowdOptions, stamps: &Stamps) -> Vec<Vec<u8>> {
    let subscription = |number: u32| {
        let first = number * options.sensors;
        let sensors = (first..first + options.sensors).map(|sensor| stamps.sensor_id(sensor));
        let (max_hz, every) = (options.max_hz, options.every);
        Subscription { sensors: sensors.collect(), max_hz, every, batch: !options.single }.frame()
    };
    (0..options.subscriptions).map(subscription).collect()
}

/// A failure must end the threads too, for they are waited for.
struct EndWith<'a> {
    signals: &'a Signals,
    going: &'a Going,
}

impl Drop for EndWith<'_> {
    fn drop(&mut self) {
        self.signals.stop();
        self.going.stop.store(true, Relaxed);
    }
}

type Playing<'scope, T> = ScopedJoinHandle<'scope, Result<T>>;

fn joined<T>(thread: Playing<'_, T>) -> Result<T> {
    match thread.join() {
        Ok(result) => result,
        Err(_panicked) => bail!("a thread has panicked"),
    }
}

/// What a run consists of.
#[derive(Clone, Copy)]
struct Acts<'a> {
    options: &'a CrowdOptions,
    stage: &'a Stage,
    stamps: &'a Stamps,
    crowd: &'a Crowd,
    going: &'a Going,
}

impl Acts<'_> {
    /// Connects all clients, while nothing is published.
    fn gather(&self, threads: &[Playing<'_, Seen>]) -> Result<Story> {
        let mut story = Story { resident_before: self.stage.resident_bytes()?, ..Story::default() };
        let began = Instant::now();
        let all = self.crowd.clients;
        let failed = || threads.iter().any(ScopedJoinHandle::is_finished);
        let gathered = self.wait(|| failed() || self.crowd.signals.subscribed() == all);
        let subscribed = self.crowd.signals.subscribed();
        let ended = self.crowd.signals.ended();
        ensure!(gathered && !failed(), "{subscribed} of {all} clients subscribed; {ended:?}");
        story.connect_seconds = began.elapsed().as_secs_f64();
        story.resident_connected = self.stage.resident_bytes()?;
        Ok(story)
    }

    /// All phases in turn.
    fn play<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        story: &mut Story,
        publishing: &Playing<'scope, Stamped>,
    ) -> Result<()>
    where
        Self: 'scope,
    {
        let settle = duration("--settle", self.options.settle)?;
        self.phase(story, "settle", |acts, rows| acts.sample(rows, settle, || false))?;
        let meter = Meter::start(self.stage.processes()?)?;
        let (sent, began) = (self.going.sent.load(Relaxed), Instant::now());
        let seconds = duration("--seconds", self.options.seconds)?;
        let plain = |acts: &Self, story: &mut Story| {
            acts.phase(story, "plain", |acts, rows| acts.sample(rows, seconds, || false))
        };
        plain(self, story)?;
        if self.options.reconnect {
            self.phase(story, "return", Self::all_return)?;
            plain(self, story)?;
        }
        for turn in 0..self.options.alternations {
            if self.options.stuck > 0 {
                if turn > 0 {
                    plain(self, story)?;
                }
                self.with_stuck(scope, story, seconds)?;
            }
        }
        ensure!(!publishing.is_finished(), "the publisher ended early");
        story.measured_seconds = began.elapsed().as_secs_f64();
        story.measured_readings = self.going.sent.load(Relaxed) - sent;
        story.processes = meter.spent(story.measured_readings)?;
        Ok(())
    }

    /// Publishing ends, and all clients must catch up.
    fn end(&self, story: &mut Story, publishing: Playing<'_, Stamped>) -> Result<Stamped> {
        self.crowd.signals.begin_phase(self.crowd.epoch.micros());
        self.going.stop.store(true, Relaxed);
        let stamped = joined(publishing)?;
        let last = stamped.of_sensor.iter().map(|stamps| stamps.last().copied().unwrap_or(0));
        self.crowd.signals.settle(last.collect());
        let all = self.crowd.clients;
        self.wait(|| self.crowd.signals.settled() == all);
        story.settled = self.crowd.signals.settled();
        self.crowd.signals.stop();
        Ok(stamped)
    }

    fn phase(
        &self,
        story: &mut Story,
        name: &'static str,
        act: impl FnOnce(&Self, &mut Phase) -> Result<()>,
    ) -> Result<()> {
        self.going.take_puback();
        let number = self.crowd.signals.begin_phase(self.crowd.epoch.micros());
        let mut phase = Phase { name, number, ..Phase::default() };
        let began = Instant::now();
        act(self, &mut phase)?;
        phase.seconds = began.elapsed().as_secs_f64();
        phase.puback = self.going.take_puback();
        story.phases.push(phase);
        Ok(())
    }

    /// Looks at memory and lag until the time is over or `done` says so.
    fn sample(&self, phase: &mut Phase, time: Duration, done: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + time;
        let mut next = Instant::now();
        while Instant::now() < deadline && !done() {
            if Instant::now() < next {
                std::thread::park_timeout(LOOK_INTERVAL);
                continue;
            }
            next = Instant::now() + SAMPLE_INTERVAL;
            let resident = self.stage.resident_bytes()?;
            // In a storm the API may be late, or refuse; then there is no lag to be told.
            let lag = self.stage.streamgauge.api.stats().ok().map(|stats| stats.lag);
            let at = self.crowd.epoch.micros() as f64 / 1e6;
            phase.resident.push(resident);
            phase.lag_max = phase.lag_max.max(lag);
            phase.rows.push(json!([at, resident, lag]));
        }
        Ok(())
    }

    /// All are cut at once; ends when all have subscribed again and been shown something.
    fn all_return(&self, phase: &mut Phase) -> Result<()> {
        let began = Instant::now();
        let signals = &self.crowd.signals;
        let all = self.crowd.clients;
        signals.cut();
        // Until the threads have obeyed, the old connections count.
        self.wait(|| signals.subscribed() < all);
        let back = std::cell::Cell::new((None, None));
        self.sample(phase, self.stage.patience, || {
            let (mut subscribed, mut served) = back.get();
            let after = began.elapsed().as_secs_f64();
            if subscribed.is_none() && signals.subscribed() == all {
                subscribed = Some(after);
            }
            if served.is_none() && signals.subscribed() == all && signals.served() == all {
                served = Some(after);
            }
            back.set((subscribed, served));
            served.is_some() && after >= RETURN_SECONDS
        })?;
        (phase.back_subscribed, phase.back_served) = back.get();
        Ok(())
    }

    fn with_stuck<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        story: &mut Story,
        time: Duration,
    ) -> Result<()> {
        let stuck = std::sync::Arc::new(Stuck {
            to: self.stage.http(),
            token: self.stage.token().to_owned(),
            clients: self.options.stuck as usize,
            subscription: Subscription {
                sensors: vec!["*".to_owned()],
                max_hz: self.options.max_hz,
                every: self.options.every,
                batch: !self.options.single,
            },
            subscribed: AtomicU64::default(),
            stop: AtomicBool::default(),
        });
        let shared = stuck.clone();
        let holding = scope.spawn(move || shared.run());
        let all = stuck.clients as u64;
        let connected =
            self.wait(|| holding.is_finished() || stuck.subscribed.load(Relaxed) >= all);
        let result = match connected && !holding.is_finished() {
            true => self.phase(story, "stuck", |acts, phase| acts.sample(phase, time, || false)),
            false => Ok(()),
        };
        stuck.stop.store(true, Relaxed);
        joined(holding)?;
        ensure!(connected, "the clients that never read did not connect");
        story.stuck_subscribed += stuck.subscribed.load(Relaxed);
        result
    }

    fn wait(&self, done: impl FnMut() -> bool) -> bool {
        crate::server::wait_until(self.stage.patience, done)
    }
}

/// Connections that ended, in words.
pub(super) fn ends(ended: &BTreeMap<String, u64>) -> impl Iterator<Item = String> {
    ended.iter().map(|(reason, count)| format!("{count} connections ended: {reason}"))
}
