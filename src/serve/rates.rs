//! How many readings a second, from the totals of the last seconds.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The rate is that of this much time: short enough to follow, long enough not to jump.
const SPAN: Duration = Duration::from_secs(10);

/// Totals as they were counted lately.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// Guards itself; held for a look or a change.
    totals: Mutex<VecDeque<(Instant, u64)>>,
}

impl Rates {
    /// The total is this now.
    pub(super) fn count(&self, total: u64) {
        self.count_at(Instant::now(), total);
    }

    /// The totals are not known any more.
    pub(super) fn forget(&self) {
        self.totals().clear();
    }

    /// Readings per second; `None` until two totals are known.
    #[expect(clippy::cast_precision_loss, reason = "a difference of ten seconds is below 2^53")]
    pub(super) fn per_second(&self) -> Option<f64> {
        let totals = self.totals();
        let ((began, first), (ended, last)) = (*totals.front()?, *totals.back()?);
        let seconds = (ended - began).as_secs_f64();
        (seconds > 0.0).then(|| (last - first) as f64 / seconds)
    }

    fn count_at(&self, now: Instant, total: u64) {
        let mut totals = self.totals();
        if totals.back().is_some_and(|(_, last)| total < *last) {
            // Another data set.
            totals.clear();
        }
        totals.push_back((now, total));
        while totals.len() > 2 && totals.get(1).is_some_and(|(at, _)| now - *at >= SPAN) {
            totals.pop_front();
        }
    }

    fn totals(&self) -> MutexGuard<'_, VecDeque<(Instant, u64)>> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let (rates, began) = (Rates::default(), Instant::now());
        let count = |second, total| rates.count_at(began + Duration::from_secs(second), total);
        count(0, 1000);
        assert_eq!(rates.per_second(), None);
        count(5, 1050);
        assert_eq!(rates.per_second(), Some(10.0));
        for second in 6..40 {
            count(second, 1050);
        }
        assert_eq!(rates.per_second(), Some(0.0));
        count(40, 7);
        assert_eq!(rates.per_second(), None);
    }
}
