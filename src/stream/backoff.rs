//! Waiting before the next try: twice as long each time, with full jitter.
//!
//! Full jitter after Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): a
//! random wait between nothing and the bound, so that many clients do not return together.

use std::time::Duration;

use super::random::random_u64;

/// The first bound.
const FIRST: Duration = Duration::from_millis(50);
/// The last bound. Redis is local or near; nobody wants to wait longer for it.
const LAST: Duration = Duration::from_secs(2);

/// The waits between tries.
#[derive(Debug)]
pub struct Backoff {
    bound: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { bound: FIRST }
    }
}

impl Backoff {
    /// Whether nothing failed since the last success: the moment to say so in the log.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.bound == FIRST
    }

    /// How long to wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        let bound = self.bound;
        self.bound = (bound * 2).min(LAST);
        // At least an eighth, so that a refusing server is not asked in a tight loop.
        let eighths = 1 + random_u64() % 8;
        bound * u32::try_from(eighths).unwrap_or(8) / 8
    }

    /// A try succeeded: begin with short waits again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_never_reach_zero() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..20).map(|_| backoff.next_wait()).collect();
        assert!(waits.iter().all(|wait| *wait >= FIRST / 8 && *wait <= LAST));
        assert_eq!(backoff.bound, LAST);
        assert!(!backoff.is_fresh());
        backoff.reset();
        assert!(backoff.is_fresh());
        assert!(backoff.next_wait() <= FIRST);
    }
}
