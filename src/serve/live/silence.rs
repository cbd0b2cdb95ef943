//! How long the streams have said nothing, not even that there is nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When Redis last answered the tail, which asks twice a second or more as long as somebody
/// listens. Clients are told of it with each `status`: a connection that stands and is silent does
/// not show by itself whether nothing was measured or nobody hears of it.
#[derive(Debug)]
pub(super) struct Silence {
    since: Instant,
    /// After `since`, in ms. One writer, the tail; a number that is a moment old does no harm.
    answered_ms: AtomicU64,
}

impl Silence {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), answered_ms: AtomicU64::new(0) }
    }

    /// Redis answered just now.
    pub(super) fn end(&self) {
        self.answered_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// For how long it has not.
    pub(super) fn length(&self) -> Duration {
        let answered_ms = self.answered_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(answered_ms))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_the_silence() {
        let silence = Silence::new();
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(silence.length(), Duration::from_secs(7));
        silence.end();
        assert_eq!(silence.length(), Duration::ZERO);
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!(silence.length(), Duration::from_millis(300));
    }
}
