//! The task that follows the streams, as the desk has it: begun when somebody listens, and begun
//! anew when it ended by itself.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listen::Heard;
use crate::backoff::Backoff;
use crate::stream::Server;

/// Rounds of the tail that wait for the hub; the tail stops reading when it is full.
const ROUNDS_MAX: usize = 4;
/// One that ran for so long did not end because of how it began. A guess.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// A task that follows the streams, until it is stopped.
pub(super) type Following = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Makes one.
pub(super) type Follow = Box<dyn Fn(mpsc::Sender<Heard>, CancellationToken) -> Following + Send>;

/// Whether the streams are followed.
pub(super) struct Listening {
    follow: Follow,
    tasks: TaskTracker,
    /// The room stops.
    stop: CancellationToken,
    state: State,
    backoff: Backoff,
}

enum State {
    Off,
    On(Running),
    /// It ended by itself, and is begun anew then.
    Lost(Instant),
}

struct Running {
    heard: mpsc::Receiver<Heard>,
    stop: CancellationToken,
    since: Instant,
}

impl Listening {
    pub(super) fn new(follow: Follow, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { follow, tasks, stop, state: State::Off, backoff: Server::backoff() }
    }

    /// Whether somebody listens.
    pub(super) const fn is_on(&self) -> bool {
        !matches!(self.state, State::Off)
    }

    /// Somebody listens.
    pub(super) fn begin(&mut self) {
        if !self.is_on() {
            self.start();
        }
    }

    /// Nobody listens any more.
    pub(super) fn end(&mut self) {
        if let State::On(running) = std::mem::replace(&mut self.state, State::Off) {
            running.stop.cancel();
        }
    }

    /// What the task tells; [`Heard::Lost`] when it ended though nobody stopped it, after which it
    /// is begun anew. Waits as long as nobody listens.
    ///
    /// # Cancel safety
    /// Safe: nothing that was told is lost.
    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            match &mut self.state {
                State::Off => pending().await,
                State::On(running) => match running.heard.recv().await {
                    Some(heard) => return heard,
                    None if self.stop.is_cancelled() => self.state = State::Off,
                    None => {
                        if running.since.elapsed() >= STEADY_AFTER {
                            self.backoff.reset();
                        }
                        self.state = State::Lost(Instant::now() + self.backoff.next_wait());
                        return Heard::Lost;
                    }
                },
                State::Lost(until) => {
                    sleep_until(*until).await;
                    self.start();
                }
            }
        }
    }

    fn start(&mut self) {
        let (sender, heard) = mpsc::channel(ROUNDS_MAX);
        let stop = self.stop.child_token();
        self.tasks.spawn((self.follow)(sender, stop.clone()));
        self.state = State::On(Running { heard, stop, since: Instant::now() });
    }
}
