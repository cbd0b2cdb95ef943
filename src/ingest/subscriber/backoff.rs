//! How long to wait before the next attempt: exponential, with full jitter, so that many clients
//! of a broker that comes back do not come at once.
//!
//! After Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

use std::time::Duration;

/// Before the second attempt, at most. Guess.
const FIRST: Duration = Duration::from_millis(250);
/// Between any two attempts, at most (reliability: back within 30 s).
const LONGEST: Duration = Duration::from_secs(30);
/// 250 ms doubled so often is more than the longest.
const DOUBLINGS_MAX: u32 = 7;

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Another failure: how long to wait.
    pub fn fail(&mut self) -> Duration {
        // Without randomness the wait is merely not spread.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let wait = jittered(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// It went well for a while.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }
}

/// A share of the longest wait after so many failures; `random` is the share, of 2³².
fn jittered(failures: u32, random: u32) -> Duration {
    let longest = (FIRST * (1 << failures.min(DOUBLINGS_MAX))).min(LONGEST);
    longest.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_are_spread() {
        let check = |failures, ms| {
            assert_eq!(jittered(failures, u32::MAX), Duration::from_millis(ms), "{failures}");
            assert_eq!(jittered(failures, 0), Duration::ZERO);
        };
        check(0, 250);
        check(1, 500);
        check(6, 16_000);
        check(7, 30_000);
        check(u32::MAX, 30_000);
    }

    #[test]
    fn success_starts_again_from_the_shortest_wait() {
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            assert!(backoff.fail() <= LONGEST);
        }
        backoff.succeed();
        assert!(backoff.fail() <= FIRST);
    }
}
