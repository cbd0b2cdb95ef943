//! What every part of the process says of itself, for `/readyz` and `/health`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts without which nothing works: not ready means unhealthy. The others only degrade.
const ESSENTIAL: [&str; 2] = ["redis", "aggregate"];

/// How a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// It does what it is for.
    Ready,
    /// It does not.
    NotReady {
        /// Why, in a few words for operators; no secrets.
        why: String,
    },
}

/// The sum of all parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Every part is ready.
    Healthy,
    /// A part is not, but readings that were stored can be seen.
    Degraded,
    /// `redis` or `aggregate` is not ready.
    Unhealthy,
}

impl Health {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A cheap handle; all clones mean the same process.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    draining: AtomicBool,
    /// Guards the levels; held for a look or a change, never across an await.
    parts: Mutex<BTreeMap<&'static str, Level>>,
}

/// One part's place in the [`Readiness`].
#[derive(Clone, Debug)]
pub struct Part {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Adds a part, not ready yet; one that exists keeps its level.
    #[must_use]
    pub fn part(&self, name: &'static str) -> Part {
        let why = "has not started yet".to_owned();
        self.parts().entry(name).or_insert(Level::NotReady { why });
        Part { name, readiness: self.clone() }
    }

    /// From now on the process takes nothing new: `/readyz` answers 503.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }

    /// Whether the process is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }

    /// Every part is ready and the process is not stopping.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.is_draining() && self.parts().values().all(|level| *level == Level::Ready)
    }

    /// Every part and how it is, by name.
    #[must_use]
    pub fn levels(&self) -> Vec<(&'static str, Level)> {
        self.parts().iter().map(|(name, level)| (*name, level.clone())).collect()
    }

    /// The sum of all parts. A process that drains is degraded.
    #[must_use]
    pub fn health(&self) -> Health {
        let parts = self.parts();
        let mut tired = parts.iter().filter(|(_, level)| **level != Level::Ready).peekable();
        if tired.peek().is_none() && !self.is_draining() {
            return Health::Healthy;
        }
        if tired.any(|(name, _)| ESSENTIAL.contains(name)) {
            Health::Unhealthy
        } else {
            Health::Degraded
        }
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Level>> {
        self.shared.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// Says how the part is from now on.
    pub fn set(&self, level: Level) {
        self.readiness.parts().insert(self.name, level);
    }

    /// The part is ready.
    pub fn ready(&self) {
        self.set(Level::Ready);
    }

    /// The part is not ready, and why.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(Level::NotReady { why: why.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_that_of_the_worst_part() {
        let readiness = Readiness::default();
        assert_eq!(readiness.health(), Health::Healthy);
        let (redis, subscriber) = (readiness.part("redis"), readiness.part("subscriber"));
        assert_eq!(readiness.health(), Health::Unhealthy);
        redis.ready();
        assert_eq!(readiness.health(), Health::Degraded);
        subscriber.ready();
        assert!(readiness.is_ready());
        redis.not_ready("gone");
        subscriber.not_ready("gone");
        assert_eq!(readiness.health(), Health::Unhealthy);
    }

    #[test]
    fn a_draining_process_is_not_ready() {
        let readiness = Readiness::default();
        readiness.part("redis").ready();
        assert!(readiness.is_ready());
        readiness.drain();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.health(), Health::Degraded);
    }
}
