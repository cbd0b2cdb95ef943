//! A log line that anybody outside can provoke is written once in a while, and says how often it
//! was left out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often a line of one kind is written at most. Guess: readable, and 9 MB a year.
const EVERY: Duration = Duration::from_secs(10);

/// The gate of one kind of line.
#[derive(Debug, Default)]
pub(super) struct Occasionally {
    /// Guards when the last line was written, and how many were left out since.
    last: Mutex<(Option<Instant>, u64)>,
}

impl Occasionally {
    /// `Some` when the line may be written, with the number of lines left out since the last.
    pub fn pass(&self) -> Option<u64> {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.is_some_and(|at| now.duration_since(at) < EVERY) {
            last.1 += 1;
            return None;
        }
        let left_out = last.1;
        *last = (Some(now), 0);
        Some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_left_out_is_told_with_the_next_line() {
        let gate = Occasionally::default();
        assert_eq!(gate.pass(), Some(0));
        assert_eq!(gate.pass(), None);
        assert_eq!(gate.pass(), None);
        tokio::time::advance(EVERY).await;
        assert_eq!(gate.pass(), Some(2));
    }
}
