//! What the stream room counts about itself.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

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
        for (name, about) in [
            ("streamgauge_stream_entries_written_total", "Entries stored in the streams"),
            ("streamgauge_stream_messages_written_total", "Messages stored in the streams"),
            ("streamgauge_stream_writes_refused_total", "Writes that Redis refused; sent again"),
            (
                "streamgauge_stream_entries_resent_total",
                "Entries sent again after a lost connection",
            ),
        ] {
            describe_counter!(name, about);
        }
        describe_gauge!("streamgauge_stream_messages_waiting", "Messages that wait to be stored");
        Self {
            entries: counter!("streamgauge_stream_entries_written_total"),
            messages: counter!("streamgauge_stream_messages_written_total"),
            refused: counter!("streamgauge_stream_writes_refused_total"),
            resent: counter!("streamgauge_stream_entries_resent_total"),
            waiting: gauge!("streamgauge_stream_messages_waiting"),
        }
    }
}
