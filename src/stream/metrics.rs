//! What the stream room counts about itself.

use metrics::{Counter, Gauge, counter, gauge};

/// The producer's numbers.
#[derive(Clone)]
pub(super) struct ProducerMetrics {
    /// Entries stored.
    pub entries: Counter,
    /// Messages stored.
    pub messages: Counter,
    /// XADDs that Redis refused; each is sent again.
    pub refused: Counter,
    /// Entries sent again after a lost connection.
    pub resent: Counter,
    /// Messages that wait in the intake.
    pub waiting: Gauge,
}

impl ProducerMetrics {
    pub fn new() -> Self {
        Self {
            entries: counter!("streamgauge_stream_entries_written_total"),
            messages: counter!("streamgauge_stream_messages_written_total"),
            refused: counter!("streamgauge_stream_writes_refused_total"),
            resent: counter!("streamgauge_stream_entries_resent_total"),
            waiting: gauge!("streamgauge_stream_messages_waiting"),
        }
    }
}
