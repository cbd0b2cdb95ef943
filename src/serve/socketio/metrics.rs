//! What sessions of Socket.IO are counted in.

use std::sync::Arc;

use metrics::{Counter, counter, gauge};

use crate::serve::metrics::{Held, Level};

/// The folder's metrics.
pub(super) struct Metrics {
    sessions: Arc<Level>,
    /// Sessions that have not connected to `/` yet.
    waiting: Arc<Level>,
    refused: Counter,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            sessions: Level::new(gauge!("streamgauge_socketio_sessions")),
            waiting: Level::new(gauge!("streamgauge_socketio_sessions_waiting")),
            refused: counter!("streamgauge_socketio_sessions_refused_total"),
        }
    }

    /// A session begins, as one that waits, unless there are so many already.
    pub(super) fn begun(&self, most: u64, waiting_most: u64) -> Option<(Held, Held)> {
        let session = Held::below(&self.sessions, most);
        let held = session.zip(Held::below(&self.waiting, waiting_most));
        if held.is_none() {
            self.refused.increment(1);
        }
        held
    }
}
