//! What became of everything: totals, rates, lag, every shard, and what history takes.

mod history;

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use self::history::History;
use crate::refusal::Refusal;
use crate::serve::answer;
use crate::serve::error::Fault;
use crate::serve::quiet::Status;
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};
use crate::serve::view::Moment;
use crate::stream::lag::{self, ShardFigures};

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Stats {
    version: &'static str,
    uptime_seconds: u64,
    /// Series; `null` until the table is loaded.
    series: Option<usize>,
    sensors: Option<usize>,
    /// Series that are `online`, `late` and `offline`; `null` until the table is loaded.
    statuses: Option<BTreeMap<&'static str, usize>>,
    #[schema(value_type = Option<String>, format = DateTime)]
    as_of: Option<Moment>,
    /// Over the last ten seconds; `null` until two totals are known.
    readings_per_second: Option<f64>,
    totals: Figures,
    /// Messages by the reason for which they were set aside.
    dead_letters: BTreeMap<&'static str, u64>,
    shards: Vec<Shard>,
    history: History,
    /// Where devices reach this process.
    listener: Option<Listener>,
    /// HTTP connections of this process.
    connections: u64,
    /// WebSockets of this process.
    clients: u64,
}

/// Where every message went. `received` = `decoded` + `dead_lettered` + `overflow` + `retained` +
/// `control` + `lag`, in messages.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
struct Figures {
    /// Messages written to the streams, counted by those who wrote them.
    received: u64,
    /// Messages that became at least one reading.
    decoded: u64,
    /// Messages set aside.
    dead_lettered: u64,
    /// Messages whose series were beyond `STREAMGAUGE_MAX_SENSORS`.
    overflow: u64,
    /// Replays of a broker that said nothing new.
    retained: u64,
    /// Messages not folded yet.
    lag: u64,
    /// Readings counted.
    readings: u64,
    /// Messages that came again and were skipped.
    resent: u64,
    /// Messages lost between a producer and the stream.
    lost: u64,
    /// Messages in entries that nobody of ours wrote.
    foreign: u64,
    /// Readings whose time was too far ahead.
    future: u64,
    /// Attributes left out.
    left_out: u64,
    /// Readings refused beside others of their message.
    partly: u64,
    /// Control messages, such as the deletion of a sensor, one for each shard.
    control: u64,
    /// Readings counted and kept, but too late for any window.
    late_beyond_windows: u64,
    /// Blocks of history that were replaced because they could not be read.
    damaged: u64,
}

/// One shard.
#[derive(Debug, Serialize, ToSchema)]
struct Shard {
    shard: u16,
    /// The node that folds it; `null` when nobody does.
    owner: Option<String>,
    /// The last committed entry.
    position: String,
    /// Grows with every commit.
    version: u64,
    /// Entries delivered and not committed.
    pending_entries: u64,
    /// Entries not delivered yet; `null` when Redis cannot say.
    undelivered_entries: Option<u64>,
    totals: Figures,
}

/// Where devices reach this process.
#[derive(Debug, Serialize, ToSchema)]
struct Listener {
    port: u16,
    /// What devices must give; `null` when nothing.
    username: Option<String>,
}

/// `GET /api/stats`.
pub(in crate::serve) fn all(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let keys = service.shards()?;
        let figures =
            lag::figures(&service.deps.link, &keys).await.map_err(|error| Fault::redis(&error))?;
        let history = History::read(service, &keys).await?;
        let body = stats(service, &figures, history);
        Ok(answer::json(StatusCode::OK, asked.encodings(), &body).await)
    })
}

fn stats(service: &Service, figures: &[ShardFigures], history: History) -> Stats {
    let mut totals = Figures::default();
    let mut letters: BTreeMap<&'static str, u64> = BTreeMap::new();
    for of_shard in figures {
        totals.add(&Figures::of(of_shard));
        for refusal in Refusal::ALL {
            *letters.entry(refusal.name()).or_default() +=
                of_shard.meta.totals.dead[refusal.index()];
        }
    }
    let (as_of, series, sensors, statuses) = {
        let rows = service.table.read();
        (rows.as_of, rows.len(), rows.sensors(), rows.statuses())
    };
    let names = Status::ALL.map(Status::name);
    let listener = service.deps.listener.borrow().clone();
    Stats {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: service.started.elapsed().as_secs(),
        series: as_of.map(|_| series),
        sensors: as_of.map(|_| sensors),
        statuses: statuses.map(|counts| names.into_iter().zip(counts).collect()),
        as_of: as_of.map(Moment),
        readings_per_second: service.rates.per_second(),
        totals,
        dead_letters: letters,
        shards: figures.iter().map(Shard::new).collect(),
        history,
        listener: listener.map(|it| Listener { port: it.port, username: it.username }),
        connections: service.metrics.connections(),
        clients: service.metrics.clients.number(),
    }
}

impl Figures {
    fn of(figures: &ShardFigures) -> Self {
        let totals = &figures.meta.totals;
        Self {
            received: (figures.appended + totals.foreign).saturating_sub(totals.lost),
            decoded: totals.decoded,
            dead_lettered: totals.dead_lettered(),
            overflow: totals.overflow,
            retained: totals.retained,
            lag: figures.behind(),
            readings: totals.readings,
            resent: totals.resent,
            lost: totals.lost,
            foreign: totals.foreign,
            future: totals.future,
            left_out: totals.left_out,
            partly: totals.partly,
            control: totals.control,
            late_beyond_windows: totals.late_beyond_windows,
            damaged: totals.damaged,
        }
    }

    fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.decoded += other.decoded;
        self.dead_lettered += other.dead_lettered;
        self.overflow += other.overflow;
        self.retained += other.retained;
        self.lag += other.lag;
        self.readings += other.readings;
        self.resent += other.resent;
        self.lost += other.lost;
        self.foreign += other.foreign;
        self.future += other.future;
        self.left_out += other.left_out;
        self.partly += other.partly;
        self.control += other.control;
        self.late_beyond_windows += other.late_beyond_windows;
        self.damaged += other.damaged;
    }
}

impl Shard {
    fn new(figures: &ShardFigures) -> Self {
        let meta = &figures.meta;
        Self {
            shard: figures.shard.0,
            owner: (!meta.owner.is_empty()).then(|| meta.owner.clone()),
            position: meta.pos.to_string(),
            version: meta.version,
            pending_entries: figures.pending,
            undelivered_entries: figures.undelivered,
            totals: Figures::of(figures),
        }
    }
}
