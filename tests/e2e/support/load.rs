//! Many readings at once, and the proof that they were counted as published.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use loadtest::api::Api;
use loadtest::check::{Comparison, Findings};
use loadtest::ledger::{Ledger, Tally};
use loadtest::plan::{Length, Plan};
use loadtest::publisher::{Progress, Published, publish};

use super::{seconds, within};

/// A publisher at work in a thread of its own.
#[derive(Debug)]
pub struct Load {
    progress: Arc<Progress>,
    thread: JoinHandle<Published>,
}

/// So many readings from 50 connections with 50 unacknowledged each, of 1,000 sensors.
pub fn readings(to: SocketAddr, messages: u64) -> Plan {
    Plan { length: Length::Messages(messages), ..Plan::new(to) }
}

/// Readings without end, until [`Load::finish`]; lost connections are made again and what they
/// had unacknowledged is sent again.
pub fn endless(to: SocketAddr) -> Plan {
    Plan {
        length: Length::Lasting(seconds(120)),
        reconnect: true,
        // Each reading says when it was measured, so that the last value is defined.
        timestamps: true,
        payload_bytes: 160,
        ..Plan::new(to)
    }
}

impl Load {
    /// Begins to publish.
    pub fn start(plan: Plan) -> Self {
        let progress = Arc::new(Progress::default());
        let seen = Arc::clone(&progress);
        let thread = std::thread::spawn(move || publish(&plan, &seen).unwrap());
        Self { progress, thread }
    }

    /// Waits until so many more are acknowledged.
    pub fn wait_acked(&self, more: u64) {
        self.wait_total(self.acked() + more);
    }

    /// Waits until so many are acknowledged in all.
    pub fn wait_total(&self, wanted: u64) {
        within(seconds(60), &format!("{wanted} are acknowledged"), || {
            assert!(!self.thread.is_finished(), "the publisher has ended");
            (self.acked() >= wanted).then_some(())
        });
    }

    /// Acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.progress.acked.load(Relaxed)
    }

    /// Waits until everything is published and acknowledged.
    pub fn wait(self) -> Published {
        self.thread.join().unwrap()
    }

    /// Publishes nothing new, waits for what is on its way.
    pub fn finish(self) -> Published {
        self.progress.stop.store(true, Relaxed);
        self.wait()
    }
}

/// Waits until everything acknowledged is in the statistics, nothing waits, and every series is as
/// the ledger says; else says what is wrong.
pub fn assert_counted(api: &Api, published: &Published, limit: Duration) {
    assert_eq!(published.cut_short, None);
    let ledger = &published.ledger;
    let deadline = Instant::now() + limit;
    let mut found = Err("nothing was asked yet".to_owned());
    while Instant::now() < deadline {
        found = compare(api, ledger);
        if found.is_ok() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("not as published within {limit:?}: {}", found.unwrap_err());
}

fn compare(api: &Api, ledger: &Ledger) -> Result<(), String> {
    let stats = api.stats().map_err(|error| format!("{error:#}"))?;
    let findings = findings(api, ledger).map_err(|error| format!("{error:#}"))?;
    let (least, most) = (ledger.total(Tally::acked), ledger.total(Tally::attempts));
    let is_right = stats.is_quiet()
        && findings.is_clean()
        && stats.dead_lettered == 0
        && (least..=most).contains(&findings.counted)
        && (least..=most).contains(&stats.settled());
    match is_right {
        true => Ok(()),
        false => Err(format!("{least} to {most} expected; {stats:?}; {findings:?}")),
    }
}

fn findings(api: &Api, ledger: &Ledger) -> anyhow::Result<Findings> {
    let mut comparison = Comparison::new(ledger);
    api.sensors(|row| comparison.row(&row))?;
    Ok(comparison.finish())
}
