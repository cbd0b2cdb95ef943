//! How much processor time a future costs. Waiting costs nothing, however long it is.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A future that adds up the processor time of its own polls.
#[derive(Debug)]
struct Measured<F> {
    inner: Pin<Box<F>>,
    spent: Duration,
}

impl<F: Future> Future for Measured<F> {
    type Output = (F::Output, Duration);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // One poll runs on one thread from its beginning to its end.
        let began = thread_time();
        let polled = self.inner.as_mut().poll(context);
        self.spent += thread_time().saturating_sub(began);
        polled.map(|output| (output, self.spent))
    }
}

/// Runs a future, and tells beside its output how much processor time it took.
///
/// # Cancel safety
/// As that of the future.
pub(super) fn measured<F: Future>(inner: F) -> impl Future<Output = (F::Output, Duration)> {
    Measured { inner: Box::pin(inner), spent: Duration::ZERO }
}

/// The processor time of this thread (clock_gettime(3), `CLOCK_THREAD_CPUTIME_ID`).
pub(super) fn thread_time() -> Duration {
    // Never negative: the time counts from the thread's start.
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_costs_nothing_and_working_does() {
        let (_, spent) = measured(sleep(Duration::from_secs(30))).await;
        assert!(spent < Duration::from_secs(1), "{spent:?}");
        let work = async {
            for _ in 0..3 {
                let began = thread_time();
                while thread_time() - began < Duration::from_millis(10) {}
                tokio::task::yield_now().await;
            }
        };
        let ((), spent) = measured(work).await;
        assert!(spent >= Duration::from_millis(30), "{spent:?}");
    }
}
