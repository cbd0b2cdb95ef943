//! What history takes, and since when it is complete.

use serde::Serialize;
use utoipa::ToSchema;

use crate::history::{Coverage, Inventory, Share};
use crate::reading::UnixMillis;
use crate::serve::error::Fault;
use crate::serve::service::Service;
use crate::serve::view::Moment;
use crate::stream::ShardKeys;
use crate::stream::inventory::{inventories, stream_bytes};

/// Readings and windows at rest.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    /// What readings and windows together may take: `STREAMGAUGE_HISTORY_BYTES`.
    bytes_max: Option<u64>,
    /// Single readings.
    readings: HistoryShare,
    /// 1-minute windows.
    minutes: HistoryShare,
    /// 1-hour windows.
    hours: HistoryShare,
    /// What the streams take, which is no history; `null` when Redis does not say.
    streams_bytes: Option<u64>,
    /// What could not be decoded since this process began.
    faults: HistoryFaults,
}

/// One part of history.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryShare {
    /// What it takes in Redis.
    bytes: u64,
    /// How many hours or days have anything.
    spans: usize,
    /// Complete from here on; `null` when nothing whole is kept. What a series sent last is not in
    /// a span yet, and is kept beside it.
    #[schema(value_type = Option<String>, format = DateTime)]
    covered_from: Option<Moment>,
    /// Before here; never later than now.
    #[schema(value_type = Option<String>, format = DateTime)]
    covered_to: Option<Moment>,
}

/// Blocks that could not be decoded; the rest of what was asked for was answered.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryFaults {
    /// A block that is read twice counts twice.
    count: u64,
    /// The last one.
    last: Option<String>,
}

impl History {
    /// As Redis has it now.
    pub(super) async fn read(service: &Service, keys: &[ShardKeys]) -> Result<Self, Fault> {
        let link = &service.deps.link;
        let stored = inventories(link, keys).await.map_err(|error| Fault::redis(&error))?;
        let streams_bytes = stream_bytes(link, keys).await.map_err(|error| Fault::redis(&error))?;
        let all: Vec<Inventory> = stored.into_iter().map(Inventory::parse).collect();
        let now = service.deps.clock.now();
        let share = |share| HistoryShare::new(Coverage::of(share, &all), now);
        let (count, last) = service.block_faults.seen();
        Ok(Self {
            bytes_max: service.deps.budget.borrow().map(|budget| budget.bytes),
            readings: share(Share::Readings),
            minutes: share(Share::Minutes),
            hours: share(Share::Hours),
            streams_bytes,
            faults: HistoryFaults { count, last },
        })
    }
}

impl HistoryShare {
    fn new(coverage: Coverage, now: UnixMillis) -> Self {
        let Coverage { bytes, spans, between } = coverage;
        let until_now =
            between.map(|(from, to)| (from, to.min(now))).filter(|(from, to)| from < to);
        let (covered_from, covered_to) =
            until_now.map(|(from, to)| (Moment(from), Moment(to))).unzip();
        Self { bytes, spans, covered_from, covered_to }
    }
}
