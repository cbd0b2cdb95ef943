//! How much a client may send (reliability §5).

use tokio::time::Instant;

/// Of pings and pongs, which cost little but an answer: no client needs more than a few. A guess.
const CONTROLS_PER_SECOND: f64 = 100.0;
/// Half as much again as so many events of 16 KiB and so many control frames have. A guess.
const BYTES_PER_SECOND: f64 = 524_288.0;

/// So many at once, and so many a second.
#[derive(Debug)]
pub(in crate::serve) struct Rate {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Rate {
    /// What a client may say.
    pub(in crate::serve) const EVENTS_PER_SECOND: f64 = 20.0;

    /// Of what a client says: twenty.
    pub(in crate::serve) fn of_events() -> Self {
        Self::of(Self::EVENTS_PER_SECOND)
    }

    /// Of a WebSocket's control frames: a hundred.
    pub(in crate::serve) fn of_controls() -> Self {
        Self::of(CONTROLS_PER_SECOND)
    }

    /// Of all that comes over a WebSocket: 512 KiB.
    pub(in crate::serve) fn of_bytes() -> Self {
        Self::of(BYTES_PER_SECOND)
    }

    fn of(per_second: f64) -> Self {
        Self { per_second, left: per_second, at: Instant::now() }
    }

    /// Whether one more is within the rate.
    pub(in crate::serve) fn takes(&mut self, now: Instant) -> bool {
        self.takes_many(1, now)
    }

    /// Whether so many more are within the rate.
    #[expect(clippy::cast_precision_loss, reason = "nothing comes in pieces of 2^53")]
    pub(in crate::serve) fn takes_many(&mut self, many: usize, now: Instant) -> bool {
        let back = (now - self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + back).min(self.per_second) - many as f64;
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
    fn twenty_events_and_a_hundred_control_frames_a_second_are_taken() {
        for (mut rate, per_second) in [(Rate::of_events(), 20), (Rate::of_controls(), 100)] {
            let start = Instant::now();
            assert_eq!((0..500).filter(|_| rate.takes(start)).count(), per_second);
            let later = start + Duration::from_millis(500);
            assert_eq!((0..500).filter(|_| rate.takes(later)).count(), per_second / 2);
        }
    }
}
