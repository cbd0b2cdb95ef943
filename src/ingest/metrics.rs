//! What the doors count. Handles are resolved once and added to once per batch.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

const REFUSED: &str = "streamgauge_ingest_refused_total";
const SHED: &str = "streamgauge_ingest_shed_total";

/// Which door a message came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Listener,
    Subscriber,
}

impl Door {
    const fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Subscriber => "subscriber",
        }
    }
}

/// The counters of one door.
#[derive(Clone)]
pub(super) struct Metrics {
    messages: Counter,
    too_large: Counter,
    topic_not_accepted: Counter,
    retain_cleared: Counter,
    shed_queue_full: Counter,
    shed_bad_topic: Counter,
    acknowledged: Counter,
    /// Connections that are open (listener) or subscribed (subscriber).
    pub connections: Gauge,
}

/// What happened to the messages of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Received, whatever became of them.
    pub messages: u64,
    pub too_large: u64,
    pub topic_not_accepted: u64,
    /// RETAIN with an empty payload: asks a broker to forget, means nothing here.
    pub retain_cleared: u64,
    /// QoS 0 from a broker while the queue was full.
    pub shed_queue_full: u64,
    /// A topic that no broker may send (empty, or with NUL).
    pub shed_bad_topic: u64,
}

impl Metrics {
    /// Resolves the handles with the recorder that is installed now.
    pub fn new(door: Door) -> Self {
        describe();
        let door = door.name();
        Self {
            messages: counter!("streamgauge_ingest_messages_total", "door" => door),
            too_large: by_reason(REFUSED, door, "too_large"),
            topic_not_accepted: by_reason(REFUSED, door, "topic_not_accepted"),
            retain_cleared: counter!("streamgauge_ingest_retain_cleared_total", "door" => door),
            shed_queue_full: by_reason(SHED, door, "queue_full"),
            shed_bad_topic: by_reason(SHED, door, "bad_topic"),
            acknowledged: counter!("streamgauge_ingest_acknowledged_total", "door" => door),
            connections: gauge!("streamgauge_ingest_connections", "door" => door),
        }
    }

    /// Adds a batch.
    pub fn count(&self, tally: Tally) {
        let Tally { messages, too_large, topic_not_accepted, retain_cleared, .. } = tally;
        let Tally { shed_queue_full, shed_bad_topic, .. } = tally;
        for (counter, count) in [
            (&self.messages, messages),
            (&self.too_large, too_large),
            (&self.topic_not_accepted, topic_not_accepted),
            (&self.retain_cleared, retain_cleared),
            (&self.shed_queue_full, shed_queue_full),
            (&self.shed_bad_topic, shed_bad_topic),
        ] {
            if count > 0 {
                counter.increment(count);
            }
        }
    }

    /// Adds PUBACKs that were sent.
    pub fn count_acknowledged(&self, pubacks: u64) {
        if pubacks > 0 {
            self.acknowledged.increment(pubacks);
        }
    }
}

fn by_reason(name: &'static str, door: &'static str, reason: &'static str) -> Counter {
    counter!(name, "door" => door, "reason" => reason)
}

fn describe() {
    describe_counter!(
        "streamgauge_ingest_messages_total",
        "MQTT messages received, whatever became of them"
    );
    describe_counter!(REFUSED, "Messages that travel on as refused, by reason");
    describe_counter!(SHED, "Messages dropped at the door, by reason");
    describe_counter!(
        "streamgauge_ingest_retain_cleared_total",
        "Empty messages with RETAIN: acknowledged, and nothing more"
    );
    describe_counter!("streamgauge_ingest_acknowledged_total", "PUBACKs sent");
    describe_gauge!(
        "streamgauge_ingest_connections",
        "Devices connected (listener), broker connections subscribed (subscriber)"
    );
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_batch_is_counted_by_door_and_reason() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = metrics::with_local_recorder(&recorder, || Metrics::new(Door::Subscriber));
        metrics.count(Tally {
            messages: 7,
            too_large: 1,
            topic_not_accepted: 2,
            retain_cleared: 3,
            shed_queue_full: 4,
            shed_bad_topic: 5,
        });
        metrics.count_acknowledged(6);
        let shown = recorder.handle().render();
        for line in [
            "streamgauge_ingest_messages_total{door=\"subscriber\"} 7",
            "streamgauge_ingest_refused_total{door=\"subscriber\",reason=\"too_large\"} 1",
            "streamgauge_ingest_refused_total{door=\"subscriber\",\
             reason=\"topic_not_accepted\"} 2",
            "streamgauge_ingest_retain_cleared_total{door=\"subscriber\"} 3",
            "streamgauge_ingest_shed_total{door=\"subscriber\",reason=\"queue_full\"} 4",
            "streamgauge_ingest_shed_total{door=\"subscriber\",reason=\"bad_topic\"} 5",
            "streamgauge_ingest_acknowledged_total{door=\"subscriber\"} 6",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
        }
    }
}
