//! What is asked for only while somebody waits for it, and once for all who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::stream::Error;

/// The latest answer, as long as somebody waits.
#[derive(Debug)]
pub(super) struct Awaited<T> {
    answer: watch::Sender<Option<Arc<T>>>,
    waiting: AtomicUsize,
    wanted: Notify,
}

impl<T> Awaited<T> {
    pub(super) fn new() -> Self {
        let (answer, _) = watch::channel(None);
        Self { answer, waiting: AtomicUsize::new(0), wanted: Notify::new() }
    }

    /// Waits for an answer that will do, for ever if need be.
    ///
    /// # Cancel safety
    /// Safe: who is gone does not wait.
    pub(super) async fn until(&self, will_do: impl Fn(&T) -> bool) -> Arc<T> {
        let _waiting = Waiting::new(self);
        let mut answer = self.answer.subscribe();
        let found = answer.wait_for(|it| it.as_deref().is_some_and(&will_do)).await;
        let found = found.ok().and_then(|it| it.clone());
        match found {
            Some(found) => found,
            // The sender is ours, so it is there.
            None => std::future::pending().await,
        }
    }

    /// Asks while somebody waits, and not again before `pause` has passed.
    pub(super) async fn keep<Asked>(
        &self,
        stop: &CancellationToken,
        pause: Duration,
        ask: impl Fn() -> Asked,
    ) where
        Asked: Future<Output = Result<T, Error>>,
    {
        let asking = async {
            loop {
                if self.waiting.load(Ordering::Acquire) == 0 {
                    self.answer.send_replace(None);
                    self.wanted.notified().await;
                    continue;
                }
                match ask().await {
                    Ok(answer) => {
                        self.answer.send_replace(Some(Arc::new(answer)));
                    }
                    // Who waits gives up some time, and says why.
                    Err(error) => tracing::trace!(%error, "no answer for who waits"),
                }
                sleep(pause).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = asking => {}
        }
    }
}

/// One that waits, until it is dropped.
struct Waiting<'a, T>(&'a Awaited<T>);

impl<'a, T> Waiting<'a, T> {
    fn new(awaited: &'a Awaited<T>) -> Self {
        awaited.waiting.fetch_add(1, Ordering::AcqRel);
        awaited.wanted.notify_one();
        Self(awaited)
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_question_is_for_all_who_wait_and_none_is_asked_for_nobody() {
        let (awaited, stop) = (Awaited::new(), CancellationToken::new());
        let asked = AtomicU64::new(0);
        let ask = || async {
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Error::Settings("refused".to_owned())),
                number => Ok(number),
            }
        };
        let tale = async {
            sleep(Duration::from_secs(60)).await;
            assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody waits");
            let waiting = (0..100).map(|_| awaited.until(|number| *number >= 3));
            let answers = futures_util::future::join_all(waiting).await;
            assert!(answers.iter().all(|number| **number == 3));
            sleep(Duration::from_secs(60)).await;
            let asked = asked.load(Ordering::Relaxed);
            assert_eq!(asked, 4, "a failure, two too early, and the good one");
            assert!(awaited.answer.borrow().is_none(), "nothing is kept for nobody");
            stop.cancel();
        };
        tokio::join!(awaited.keep(&stop, Duration::from_secs(1), ask), tale);
    }
}
