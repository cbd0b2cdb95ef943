//! What the aggregate room counts about itself.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use crate::stream::commit::{Call, Verdict};

/// An owner's numbers; all shards share them.
#[derive(Clone)]
pub(super) struct OwnerMetrics {
    /// Entries read from the streams.
    pub entries: Counter,
    /// Entries taken over from others, or read again after a failure.
    pub claimed: Counter,
    calls: Counter,
    refused: Counter,
    series: Counter,
    seconds: Histogram,
}

impl OwnerMetrics {
    pub fn new() -> Self {
        Self {
            entries: counter!("streamgauge_aggregate_entries_read_total"),
            claimed: counter!("streamgauge_aggregate_entries_claimed_total"),
            calls: counter!("streamgauge_aggregate_commit_calls_total"),
            refused: counter!("streamgauge_aggregate_commit_calls_refused_total"),
            series: counter!("streamgauge_aggregate_series_written_total"),
            seconds: histogram!("streamgauge_aggregate_commit_seconds"),
        }
    }

    /// A commit call was answered.
    pub fn answered(&self, verdict: Verdict, call: &Call, took: Duration) {
        self.calls.increment(1);
        self.seconds.record(took.as_secs_f64());
        match verdict {
            Verdict::Written | Verdict::Done => self.series.increment(call.series.len() as u64),
            Verdict::Fenced | Verdict::Conflict | Verdict::Pending | Verdict::Reload => {
                self.refused.increment(1);
            }
        }
    }
}
