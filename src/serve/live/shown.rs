//! A reading on its way to the browsers, and its JSON, which is made once.

use std::sync::OnceLock;

use serde_json::value::RawValue;

use super::event;
use super::frame::Frame;
use crate::reading::{SeriesKey, UnixMillis};
use crate::serve::view::Attributes;
use crate::shard::ShardId;
use crate::stream::Position;

/// A reading as the streams tell it.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) series: SeriesKey,
    pub(super) value: f64,
    pub(super) measured_at: UnixMillis,
    pub(super) attributes: Attributes,
    pub(super) shard: ShardId,
    pub(super) position: Position,
    /// Earlier messages of its topic that were not parsed, because this one came behind them.
    pub(super) replaced: u32,
}

/// What the streams say.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A reading came.
    Reading(Observed),
    /// A sensor was deleted.
    Removed { sensor_id: Box<str> },
}

/// A reading that is shown, with what is sent of it: made when first needed, then shared.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) observed: Observed,
    json: OnceLock<Box<RawValue>>,
    frame: OnceLock<Frame>,
}

impl Shown {
    pub(super) const fn new(observed: Observed) -> Self {
        Self { observed, json: OnceLock::new(), frame: OnceLock::new() }
    }

    /// As it stands in an event.
    pub(super) fn json(&self) -> &RawValue {
        self.json.get_or_init(|| event::reading(&self.observed))
    }

    /// As `sensor_update`.
    pub(super) fn frame(&self) -> &Frame {
        self.frame.get_or_init(|| event::sensor_update(self))
    }
}
