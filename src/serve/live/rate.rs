//! How many events a client may send (reliability §5).

use tokio::time::Instant;

const EVENTS_PER_SECOND: f64 = 20.0;

/// Twenty at once, and twenty a second.
pub(in crate::serve) struct Rate {
    left: f64,
    at: Instant,
}

impl Rate {
    pub(in crate::serve) fn new() -> Self {
        Self { left: EVENTS_PER_SECOND, at: Instant::now() }
    }

    /// Whether one more is within the rate.
    pub(in crate::serve) fn takes(&mut self, now: Instant) -> bool {
        let back = (now - self.at).as_secs_f64() * EVENTS_PER_SECOND;
        self.left = (self.left + back).min(EVENTS_PER_SECOND) - 1.0;
        self.at = now;
        if self.left < 0.0 {
            self.left = 0.0;
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn twenty_events_a_second_are_taken() {
        let (mut rate, start) = (Rate::new(), Instant::now());
        assert_eq!((0..100).filter(|_| rate.takes(start)).count(), 20);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| rate.takes(later)).count(), 10);
    }
}
