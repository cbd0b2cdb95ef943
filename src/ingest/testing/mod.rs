//! What the tests of both doors need: a queue, somebody who settles what is in it, and patience.

pub(super) mod client;
pub(super) mod mosquitto;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::{Intake, IntakeLimits, Lot};
use crate::message::{Flags, Message};
use crate::refusal::Refusal;
use crate::shard::{ShardCount, ShardId};

/// How long anything may take before a test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A message that somebody took out of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub topic: String,
    pub payload: Vec<u8>,
    pub flags: Flags,
    pub refused: Option<Refusal>,
}

impl Taken {
    pub fn plain(topic: &str, payload: &[u8]) -> Self {
        Self { topic: topic.into(), payload: payload.into(), flags: Flags::NONE, refused: None }
    }
}

impl From<Message<'_>> for Taken {
    fn from(message: Message<'_>) -> Self {
        let Message { topic, payload, flags, refused, .. } = message;
        Self { topic: topic.into(), payload: payload.into(), flags, refused }
    }
}

/// Stands where the producer would: takes lots, and settles them when it is let.
pub(super) struct Settler {
    pub intake: Arc<Intake>,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    taken: Mutex<Vec<Taken>>,
    held: Mutex<Vec<(ShardId, Lot)>>,
    taking: AtomicBool,
    settling: AtomicBool,
    changed: Notify,
}

impl Settler {
    /// Takes and settles whatever comes.
    pub fn start(shards: u16, limits: IntakeLimits) -> Self {
        let intake = Arc::new(Intake::new(ShardCount::new(shards).unwrap(), limits));
        let inner = Arc::<Inner>::default();
        inner.taking.store(true, Ordering::SeqCst);
        inner.settling.store(true, Ordering::SeqCst);
        TaskTracker::new().spawn(work(Arc::clone(&intake), Arc::clone(&inner)));
        Self { intake, inner }
    }

    /// Whether lots are taken out of the queue.
    pub fn set_taking(&self, taking: bool) {
        self.inner.taking.store(taking, Ordering::SeqCst);
        self.inner.changed.notify_one();
    }

    /// Whether lots that were taken are settled, in the order of their shard.
    pub fn set_settling(&self, settling: bool) {
        self.inner.settling.store(settling, Ordering::SeqCst);
        self.inner.changed.notify_one();
    }

    /// Settles the oldest lot that is held.
    pub fn settle_one(&self) {
        let (shard, lot) = self.inner.held.lock().unwrap().remove(0);
        self.intake.settle(shard, lot);
    }

    /// What was taken, once it is so many messages.
    pub async fn taken(&self, count: usize) -> Vec<Taken> {
        until(|| self.count() >= count).await;
        self.kept()
    }

    /// What was taken so far.
    pub fn kept(&self) -> Vec<Taken> {
        self.inner.taken.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.inner.taken.lock().unwrap().len()
    }
}

async fn work(intake: Arc<Intake>, inner: Arc<Inner>) {
    loop {
        if inner.taking.load(Ordering::SeqCst) {
            for shard in intake.shard_count().ids() {
                while let Some(lot) = intake.take(shard) {
                    inner.taken.lock().unwrap().extend(lot.messages().map(Taken::from));
                    inner.held.lock().unwrap().push((shard, lot));
                }
            }
        }
        if inner.settling.load(Ordering::SeqCst) {
            for (shard, lot) in std::mem::take(&mut *inner.held.lock().unwrap()) {
                intake.settle(shard, lot);
            }
        }
        tokio::select! {
            () = intake.filled() => {}
            () = inner.changed.notified() => {}
        }
    }
}

/// Polls until something is so, and fails when it takes too long. Yields between polls, so that
/// it works with paused time too.
pub(super) async fn until(mut so: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !so() {
        assert!(started.elapsed() < PATIENCE, "waited in vain");
        tokio::task::yield_now().await;
    }
}
