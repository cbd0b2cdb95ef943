//! The only caller of the wall clock, so that tests can set the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::reading::UnixMillis;

/// The wall clock, or one that a test sets.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    set: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self { set: None }
    }

    /// A clock that stands still until [`Clock::set`].
    #[must_use]
    pub fn standing_at(now: UnixMillis) -> Self {
        Self { set: Some(Arc::new(AtomicI64::new(now.0))) }
    }

    /// Moves a standing clock, and all its clones. The machine's clock stays as it is.
    pub fn set(&self, now: UnixMillis) {
        if let Some(set) = &self.set {
            set.store(now.0, Ordering::SeqCst);
        }
    }

    /// The time, to the millisecond. Before 1970 it is negative.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    pub fn now(&self) -> UnixMillis {
        if let Some(set) = &self.set {
            return UnixMillis(set.load(Ordering::SeqCst));
        }
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()),
            Err(before) => i64::try_from(before.duration().as_millis()).map(|ms| -ms),
        };
        UnixMillis(millis.unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_when_set() {
        let clock = Clock::standing_at(UnixMillis(5));
        let other = clock.clone();
        assert_eq!(other.now(), UnixMillis(5));
        clock.set(UnixMillis(9));
        assert_eq!(other.now(), UnixMillis(9));
        assert!(Clock::system().now() > UnixMillis(1_700_000_000_000));
    }
}
