//! What clients of Socket.IO are counted in.

use std::sync::Arc;

use metrics::{Counter, counter, gauge};

use crate::serve::live::Ending;
use crate::serve::metrics::{Held, Level};

/// The folder's metrics.
pub(super) struct Metrics {
    sessions: Arc<Level>,
    /// Sessions that have not connected to `/` yet.
    waiting: Arc<Level>,
    refused: Counter,
    /// By [`Ending::ALL`].
    endings: Vec<Counter>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        const ENDED: &str = "streamgauge_socketio_ended_total";
        let ended = |ending: Ending| counter!(ENDED, "reason" => ending.name());
        Self {
            sessions: Level::new(gauge!("streamgauge_socketio_sessions")),
            waiting: Level::new(gauge!("streamgauge_socketio_sessions_waiting")),
            refused: counter!("streamgauge_socketio_sessions_refused_total"),
            endings: Ending::ALL.map(ended).to_vec(),
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

    /// A client ended.
    pub(super) fn ended(&self, ending: Ending) {
        if let Some(counter) = self.endings.get(ending as usize) {
            counter.increment(1);
        }
    }
}
