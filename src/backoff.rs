//! Waiting before the next try: twice as long each time, with full jitter.
//!
//! Full jitter after Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): a
//! random wait between nothing and the bound, so that many clients do not return together.

use std::time::Duration;

/// The waits between tries.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    bound: Duration,
}

impl Backoff {
    /// The first wait is at most `first`, none is longer than `longest`.
    #[must_use]
    pub const fn between(first: Duration, longest: Duration) -> Self {
        Self { first, longest, bound: first }
    }

    /// Whether nothing failed since the last success: the moment to say so in the log.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.bound == self.first
    }

    /// How long to wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        let bound = self.bound;
        self.bound = (bound * 2).min(self.longest);
        // Without randomness the wait is merely not spread.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        // At least an eighth, so that a refusing peer is not asked in a tight loop.
        bound * (1 + random % 8) / 8
    }

    /// A try succeeded: begin with short waits again.
    pub fn reset(&mut self) {
        self.bound = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_never_reach_zero() {
        let (first, longest) = (Duration::from_millis(50), Duration::from_secs(2));
        let mut backoff = Backoff::between(first, longest);
        assert!(backoff.is_fresh());
        let waits: Vec<_> = (0..20).map(|_| backoff.next_wait()).collect();
        assert!(waits.iter().all(|wait| *wait >= first / 8 && *wait <= longest));
        assert!(!backoff.is_fresh());
        assert_eq!(backoff.bound, longest);
        backoff.reset();
        assert!(backoff.is_fresh());
        assert!(backoff.next_wait() <= first);
    }
}
