//! What the aggregate room counts about itself.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics::{describe_counter, describe_gauge, describe_histogram};

use super::topics::LeftOut;
use crate::history::{Budget, Coverage, Share};
use crate::stream::commit::{Call, Verdict};

const HISTORY_BYTES: &str = "streamgauge_history_bytes";
const BUDGET_BYTES: &str = "streamgauge_history_budget_bytes";
const OLDEST: &str = "streamgauge_history_oldest_timestamp_seconds";
const EVICTED_SPANS: &str = "streamgauge_history_evicted_spans_total";
const TOPICS_LEFT_OUT: &str = "streamgauge_aggregate_topics_left_out_total";
const MESSAGES_UNREMEMBERED: &str = "streamgauge_aggregate_topic_messages_left_out_total";
const EVICTED_BYTES: &str = "streamgauge_history_evicted_bytes_total";

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
        describe_owners();
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
            Verdict::Written | Verdict::Done => self.series.increment(call.series() as u64),
            Verdict::Fenced | Verdict::Conflict | Verdict::Pending => self.refused.increment(1),
        }
    }
}

/// What Prometheus shows beside the names that owners count in.
fn describe_owners() {
    for (name, about) in [
        ("streamgauge_aggregate_entries_read_total", "Entries read from the streams"),
        (
            "streamgauge_aggregate_entries_claimed_total",
            "Entries taken over from others, or read again after a failure",
        ),
        ("streamgauge_aggregate_commit_calls_total", "Commit calls that Redis answered"),
        (
            "streamgauge_aggregate_commit_calls_refused_total",
            "Commit calls that wrote nothing: another owner was faster, or the order was another",
        ),
        ("streamgauge_aggregate_series_written_total", "States of series written by commits"),
    ] {
        describe_counter!(name, about);
    }
    describe_histogram!("streamgauge_aggregate_commit_seconds", "How long a commit call took");
    describe_gauge!("streamgauge_shards_owned", "Shards that this process aggregates");
}

/// What the owner of a shard did not remember of topics, since the process began; all shards add
/// to the same counters.
#[derive(Clone)]
pub(super) struct TopicMetrics {
    topics: Counter,
    full: Counter,
    long: Counter,
    /// What is in the counters already, or was there before: topics, and messages by reason.
    told: [u64; 3],
}

impl TopicMetrics {
    pub fn new() -> Self {
        describe_counter!(
            TOPICS_LEFT_OUT,
            "Topics, about, for which there was no place among those that are remembered"
        );
        describe_counter!(
            MESSAGES_UNREMEMBERED,
            "Messages of topics that are not remembered, by reason; they are counted all the same"
        );
        Self {
            topics: counter!(TOPICS_LEFT_OUT),
            full: counter!(MESSAGES_UNREMEMBERED, "reason" => "full"),
            long: counter!(MESSAGES_UNREMEMBERED, "reason" => "long"),
            told: [0; 3],
        }
    }

    /// So much was left out before this owner began.
    pub fn begin(&mut self, left_out: &LeftOut) {
        self.told = Self::numbers(left_out);
    }

    /// So much was left out by now.
    pub fn left_out(&mut self, left_out: &LeftOut) {
        let now = Self::numbers(left_out);
        let counters = [&self.topics, &self.full, &self.long];
        for ((counter, now), told) in counters.into_iter().zip(now).zip(self.told) {
            counter.increment(now.saturating_sub(told));
        }
        self.told = now;
    }

    fn numbers(left_out: &LeftOut) -> [u64; 3] {
        [left_out.topics.estimate(), left_out.full, left_out.long]
    }
}

/// What the keeper sees of all shards. Every process that aggregates shows the same.
#[derive(Debug)]
pub(super) struct KeeperMetrics {
    /// By [`Share::index`], as [`KeeperMetrics::oldest`].
    bytes: [Gauge; 3],
    oldest: [Gauge; 3],
    budget: Gauge,
}

impl KeeperMetrics {
    pub fn new() -> Self {
        describe_gauge!(HISTORY_BYTES, "What history takes in Redis, by share, over all shards");
        describe_gauge!(BUDGET_BYTES, "What history may take in Redis (STREAMGAUGE_HISTORY_BYTES)");
        describe_gauge!(
            OLDEST,
            "Since when history is complete, by share; seconds since 1970, 0 when nothing is kept"
        );
        Self {
            bytes: Share::ALL.map(|share| gauge!(HISTORY_BYTES, "share" => share.name())),
            oldest: Share::ALL.map(|share| gauge!(OLDEST, "share" => share.name())),
            budget: gauge!(BUDGET_BYTES),
        }
    }

    /// What is kept of a share.
    pub fn kept(&self, share: Share, coverage: &Coverage) {
        self.bytes[share.index()].set(coverage.bytes as f64);
        let from = coverage.between.map_or(0, |(from, _)| from.0);
        self.oldest[share.index()].set(from as f64 / 1000.0);
    }

    /// What all shares together may take.
    pub fn budget(&self, budget: Budget) {
        self.budget.set(budget.bytes as f64);
    }
}

/// Why a span of history is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was kept as long as it should be.
    Retention,
    /// The memory for history was used up.
    Budget,
}

impl Cause {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Retention, Self::Budget];

    const fn name(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Budget => "budget",
        }
    }
}

/// What owners evicted; all shards share it.
#[derive(Clone)]
pub struct EvictionMetrics {
    /// By [`Share::index`] and cause: spans and bytes.
    evicted: [[(Counter, Counter); 2]; 3],
}

impl EvictionMetrics {
    /// Resolves the handles with the recorder that is installed now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it registers metrics, which is no default")]
    pub fn new() -> Self {
        describe_counter!(EVICTED_SPANS, "Spans of history evicted, by share and cause");
        describe_counter!(EVICTED_BYTES, "What evicted spans took in Redis, by share and cause");
        let handles = |share: Share, cause: Cause| {
            let (share, cause) = (share.name(), cause.name());
            let spans = counter!(EVICTED_SPANS, "share" => share, "cause" => cause);
            (spans, counter!(EVICTED_BYTES, "share" => share, "cause" => cause))
        };
        let of_share = |share| Cause::ALL.map(|cause| handles(share, cause));
        Self { evicted: Share::ALL.map(of_share) }
    }

    /// So many spans of a share are gone, which together took `bytes`.
    pub fn evicted(&self, share: Share, cause: Cause, spans: u64, bytes: u64) {
        let (of_spans, of_bytes) = &self.evicted[share.index()][cause as usize];
        of_spans.increment(spans);
        of_bytes.increment(bytes);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn topics_left_out_are_counted_from_when_the_owner_began() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let mut metrics = metrics::with_local_recorder(&recorder, TopicMetrics::new);
        let mut left_out = LeftOut { full: 5, long: 1, ..LeftOut::default() };
        left_out.topics.note(0);
        metrics.begin(&left_out);
        left_out.full += 4;
        left_out.long += 2;
        for topic in 1..4 {
            left_out.topics.note(topic << 60);
        }
        metrics.left_out(&left_out);
        metrics.left_out(&left_out);
        let shown = recorder.handle().render();
        for line in [
            "streamgauge_aggregate_topics_left_out_total 3",
            "streamgauge_aggregate_topic_messages_left_out_total{reason=\"full\"} 4",
            "streamgauge_aggregate_topic_messages_left_out_total{reason=\"long\"} 2",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
        }
    }

    #[test]
    fn evictions_are_counted_by_share_and_cause() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = metrics::with_local_recorder(&recorder, EvictionMetrics::new);
        metrics.evicted(Share::Minutes, Cause::Budget, 2, 300);
        metrics.evicted(Share::Hours, Cause::Retention, 1, 70);
        let shown = recorder.handle().render();
        for line in [
            "streamgauge_history_evicted_spans_total{share=\"minutes\",cause=\"budget\"} 2",
            "streamgauge_history_evicted_bytes_total{share=\"minutes\",cause=\"budget\"} 300",
            "streamgauge_history_evicted_bytes_total{share=\"hours\",cause=\"retention\"} 70",
            "streamgauge_history_evicted_spans_total{share=\"readings\",cause=\"budget\"} 0",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
        }
    }
}
