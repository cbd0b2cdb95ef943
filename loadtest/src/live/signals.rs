//! What the threads of a crowd are told, and what they say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Different reasons of lost connections that are told apart.
const REASONS_MAX: usize = 32;

/// Faults that are kept: the first ones say what is wrong.
const FAULTS_MAX: usize = 8;

/// What the threads are told, and say.
#[derive(Debug, Default)]
pub struct Signals {
    /// Which phase it is; tallies are kept apart.
    pub(super) phase: AtomicUsize,
    pub(super) phase_began: AtomicU64,
    /// How often all connections were cut.
    pub(super) cuts: AtomicU64,
    pub(super) stop: AtomicBool,
    /// The last stamp of each sensor, once all are published.
    pub(super) last: OnceLock<Vec<u64>>,
    /// Clients whose subscription is in force.
    pub(super) subscribed: AtomicU64,
    /// Clients that were shown something since they connected.
    pub(super) served: AtomicU64,
    /// Clients that were shown the last reading of each of their sensors.
    pub(super) settled: AtomicU64,
    /// Connections that ended, by reason.
    pub(super) ended: Mutex<BTreeMap<String, u64>>,
    /// Frames that are not as they must be: the first few.
    pub(super) faults: Mutex<Vec<String>>,
}

impl Signals {
    /// A new phase begins; returns its number, from 1.
    pub fn begin_phase(&self, now: u64) -> usize {
        self.phase_began.store(now, Relaxed);
        self.phase.fetch_add(1, Relaxed) + 1
    }

    /// All connections are cut and made again, at once.
    pub fn cut(&self) {
        self.cuts.fetch_add(1, Relaxed);
    }

    /// No more is published than this.
    pub fn settle(&self, last: Vec<u64>) {
        if self.last.set(last).is_err() {
            // It can only be told once, and was.
        }
    }

    /// The threads end.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Clients whose subscription is in force.
    #[must_use]
    pub fn subscribed(&self) -> usize {
        self.subscribed.load(Relaxed) as usize
    }

    /// Clients that were shown something since they connected.
    #[must_use]
    pub fn served(&self) -> usize {
        self.served.load(Relaxed) as usize
    }

    /// Clients that were shown the last reading of each of their sensors.
    #[must_use]
    pub fn settled(&self) -> usize {
        self.settled.load(Relaxed) as usize
    }

    /// Connections that ended, by reason.
    #[must_use]
    pub fn ended(&self) -> BTreeMap<String, u64> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Frames that are not as they must be: the first few.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection ended.
    pub(super) fn end(&self, reason: &str) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.len() < REASONS_MAX || ended.contains_key(reason) {
            *ended.entry(reason.to_owned()).or_default() += 1;
        } else {
            *ended.entry("for other reasons".to_owned()).or_default() += 1;
        }
    }

    /// A frame is not as it must be.
    pub(super) fn fault(&self, fault: &anyhow::Error) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < FAULTS_MAX {
            faults.push(format!("{fault:#}"));
        }
    }
}
