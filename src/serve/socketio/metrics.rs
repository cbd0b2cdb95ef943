//! What sessions of Socket.IO are counted in.

use std::sync::Arc;

use metrics::{Counter, counter, gauge};

use crate::serve::metrics::Level;

/// The folder's metrics.
pub(super) struct Metrics {
    sessions: Arc<Level>,
    /// Sessions that have shown no good credential yet.
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

    pub(super) const fn sessions(&self) -> &Arc<Level> {
        &self.sessions
    }

    pub(super) const fn waiting(&self) -> &Arc<Level> {
        &self.waiting
    }

    /// A session was not begun, because there are so many already.
    pub(super) fn refused(&self) {
        self.refused.increment(1);
    }
}
