//! What the room measures of itself. Handles are taken once; labels come from closed sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use super::clients::Clients;
use super::live::Counts;
use super::quiet::Status;

/// The room's metrics.
pub(super) struct Metrics {
    /// Answers by the first digit of their status, from 1.
    answers: [Counter; 5],
    accepts_failed: Counter,
    entries_followed: Counter,
    messages_left_out: Counter,
    tails_lost: Counter,
    conflated: Counter,
    without_slot: Counter,
    behind: Counter,
    crowded: Counter,
    subscriptions_refused: Counter,
    /// Series × different subscriptions.
    listeners: Gauge,
    queued_bytes: Gauge,
    connections: Arc<Level>,
    pub(super) clients: Clients,
    /// Files that are being sent.
    files: Arc<Level>,
    files_refused: Counter,
    /// By [`Status::ALL`].
    series: [Gauge; Status::ALL.len()],
}

/// Something that goes up and down, shown as a gauge and readable here.
pub(super) struct Level {
    now: AtomicU64,
    gauge: Gauge,
}

/// One of them; gone when dropped.
pub(super) struct Held(Arc<Level>);

impl Metrics {
    pub(super) fn new() -> Self {
        describe();
        let level = Level::new;
        Self {
            answers: ["1xx", "2xx", "3xx", "4xx", "5xx"]
                .map(|class| counter!("streamgauge_http_answers_total", "status" => class)),
            accepts_failed: counter!("streamgauge_http_accepts_failed_total"),
            entries_followed: counter!("streamgauge_live_entries_total"),
            messages_left_out: counter!("streamgauge_live_messages_left_out_total"),
            tails_lost: counter!("streamgauge_live_tails_lost_total"),
            conflated: counter!("streamgauge_live_readings_conflated_total"),
            without_slot: counter!("streamgauge_live_readings_without_slot_total"),
            behind: counter!("streamgauge_live_clients_behind_total"),
            crowded: counter!("streamgauge_live_clients_crowded_total"),
            subscriptions_refused: counter!("streamgauge_live_subscriptions_refused_total"),
            listeners: gauge!("streamgauge_live_listeners"),
            queued_bytes: gauge!("streamgauge_live_queued_bytes"),
            connections: level(gauge!("streamgauge_http_connections")),
            clients: Clients::new(),
            files: level(gauge!("streamgauge_http_files")),
            files_refused: counter!("streamgauge_http_files_refused_total"),
            series: Status::ALL
                .map(|status| gauge!("streamgauge_series", "status" => status.name())),
        }
    }

    pub(super) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = self.answers.get(class.saturating_sub(1)) {
            counter.increment(1);
        }
    }

    /// Entries were read along, and some of their messages not parsed.
    pub(super) fn followed(&self, entries: usize, left_out: u64) {
        self.entries_followed.increment(entries as u64);
        self.messages_left_out.increment(left_out);
    }

    /// The streams were followed no more, though nobody stopped that.
    pub(super) fn tail_lost(&self) {
        self.tails_lost.increment(1);
    }

    /// What the hub counted since it was asked before.
    pub(super) fn hub(&self, before: &Counts, now: &Counts) {
        self.conflated.increment(now.conflated - before.conflated);
        self.without_slot.increment(now.without_slot - before.without_slot);
        self.behind.increment(now.behind - before.behind);
        self.crowded.increment(now.crowded - before.crowded);
        self.subscriptions_refused.increment(now.refused - before.refused);
    }

    /// What the hub holds for all clients together.
    #[expect(clippy::cast_precision_loss, reason = "both stay below 2^53")]
    pub(super) fn hub_holds(&self, listeners: usize, queued_bytes: usize) {
        self.listeners.set(listeners as f64);
        self.queued_bytes.set(queued_bytes as f64);
    }

    pub(super) fn accept_failed(&self) {
        self.accepts_failed.increment(1);
    }

    pub(super) fn connection_opened(&self) -> Held {
        Held::new(&self.connections)
    }

    /// A file begins, unless so many are being sent already.
    pub(super) fn file_begun(&self, most: u64) -> Option<Held> {
        let held = Held::below(&self.files, most);
        if held.is_none() {
            self.files_refused.increment(1);
        }
        held
    }

    /// How many series have each status; nothing until that is known.
    #[expect(clippy::cast_precision_loss, reason = "series stay below 2^53")]
    pub(super) fn statuses(&self, statuses: Option<[usize; Status::ALL.len()]>) {
        for (gauge, series) in self.series.iter().zip(statuses.into_iter().flatten()) {
            gauge.set(series as f64);
        }
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.number()
    }
}

/// What Prometheus shows beside each name, also of those that `clients` and `socketio` count in.
fn describe() {
    for (name, about) in [
        ("streamgauge_http_answers_total", "HTTP answers, by the first digit of their status"),
        ("streamgauge_http_accepts_failed_total", "HTTP connections that could not be accepted"),
        ("streamgauge_http_files_refused_total", "Files of history refused: too many at a time"),
        ("streamgauge_live_entries_total", "Stream entries read along for live clients"),
        (
            "streamgauge_live_messages_left_out_total",
            "Messages not parsed for live clients, because later ones of their topic replace them",
        ),
        (
            "streamgauge_live_readings_conflated_total",
            "Readings replaced by later ones before a live client was told",
        ),
        (
            "streamgauge_live_readings_without_slot_total",
            "Readings not told, because the hub remembers no more series",
        ),
        ("streamgauge_live_clients_behind_total", "Times that a live client fell behind"),
        (
            "streamgauge_live_clients_crowded_total",
            "Of those, only because all queues together held too much",
        ),
        ("streamgauge_live_subscriptions_refused_total", "Subscriptions that found no room"),
        ("streamgauge_live_tails_lost_total", "Times that the reader of the streams failed: a bug"),
        (
            "streamgauge_live_clients_refused_total",
            "WebSockets and event streams refused: as many are connected as may be",
        ),
        ("streamgauge_live_ended_total", "Live clients that ended, by transport and reason"),
    ] {
        describe_counter!(name, about);
    }
    for (name, about) in [
        ("streamgauge_http_connections", "HTTP connections that are open"),
        ("streamgauge_http_files", "Files of history that are being sent"),
        ("streamgauge_live_listeners", "Series of all different subscriptions together"),
        ("streamgauge_live_queued_bytes", "Bytes in the queues of all live clients"),
        ("streamgauge_live_clients", "Live clients that are connected, by transport"),
        ("streamgauge_series", "Series, by status; not there until the sensors are loaded"),
    ] {
        describe_gauge!(name, about);
    }
    #[cfg(feature = "socketio")]
    {
        describe_gauge!("streamgauge_socketio_sessions", "Sessions of Socket.IO");
        describe_gauge!(
            "streamgauge_socketio_sessions_waiting",
            "Sessions of Socket.IO that have not shown a credential yet"
        );
        describe_counter!(
            "streamgauge_socketio_sessions_refused_total",
            "Sessions of Socket.IO refused: as many are open, or waiting, as may be"
        );
    }
}

impl Level {
    pub(super) fn new(gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { now: AtomicU64::new(0), gauge })
    }

    pub(super) fn number(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
}

impl Held {
    pub(super) fn new(level: &Arc<Level>) -> Self {
        level.now.fetch_add(1, Ordering::Relaxed);
        level.gauge.increment(1.0);
        Self(level.clone())
    }

    /// One more, unless there are `most` already.
    pub(super) fn below(level: &Arc<Level>, most: u64) -> Option<Self> {
        let more = |now: u64| (now < most).then_some(now + 1);
        level.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        level.gauge.increment(1.0);
        Some(Self(level.clone()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn series_are_shown_by_their_status_once_it_is_known() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let metrics = Metrics::new();
            metrics.statuses(None);
            metrics.statuses(Some([7, 0, 2]));
        });
        let text = handle.render();
        for line in ["online\"} 7", "late\"} 0", "offline\"} 2"] {
            assert!(text.contains(&format!("streamgauge_series{{status=\"{line}")), "{text}");
        }
    }
}
