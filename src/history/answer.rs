//! What is asked of history, and what is found. No I/O, no clock.

use super::span::Share;
use super::window::Window;
use crate::reading::UnixMillis;
use crate::shard::ShardId;
use crate::stream::Position;

/// How many readings or windows an answer has at most unless told (design §7).
pub const LIMIT_DEFAULT: usize = 100_000;

/// Where a reading stands in the order of an answer: by time, then shard, then arrival.
///
/// It stays where it is while readings move from the open end into blocks and blocks are written
/// again, and while others arrive; so an answer that begins after a cursor neither repeats nor
/// skips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The reading's time; of a window its start.
    pub measured_at: UnixMillis,
    /// The shard it came through.
    pub shard: ShardId,
    /// Which of the readings of that time in that shard, from 0, in order of arrival.
    pub offset: u64,
}

/// One reading at rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The sensor's clock, or the time of receipt.
    pub measured_at: UnixMillis,
    /// Always finite.
    pub value: f64,
    /// The shard it came through.
    pub shard: ShardId,
    /// Which of the readings of that time in that shard, from 0, in order of arrival.
    pub offset: u64,
    /// The version of its unit, location and metadata, as that shard counts; 0 stands for the
    /// newest.
    pub attributes: u32,
}

impl Point {
    /// Where the reading stands in the order of an answer.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        Cursor { measured_at: self.measured_at, shard: self.shard, offset: self.offset }
    }
}

/// What is wanted: readings with `from` ≤ `measured_at` < `to`, windows with `from` ≤ `start` <
/// `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first millisecond wanted.
    pub from: UnixMillis,
    /// The first millisecond not wanted any more.
    pub to: UnixMillis,
    /// Only what stands behind this, where the previous answer ended. Of windows there is one of
    /// each start, so that shard and offset do not matter.
    pub after: Option<Cursor>,
    /// At most this many, the oldest.
    pub limit: usize,
}

impl Range {
    /// From the beginning of `from`, at most [`LIMIT_DEFAULT`].
    #[must_use]
    pub const fn new(from: UnixMillis, to: UnixMillis) -> Self {
        Self { from, to, after: None, limit: LIMIT_DEFAULT }
    }

    /// The first millisecond that can have something wanted.
    pub(super) fn begin(&self) -> UnixMillis {
        self.after.map_or(self.from, |after| after.measured_at.max(self.from))
    }
}

/// What was found of a series' readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesReadings {
    /// Ascending by (`measured_at`, shard, offset).
    pub readings: Vec<Point>,
    /// Attributes as JSON of the versions that occur in `readings`, ascending. One that is not
    /// here stands for the newest attributes of the series, whichever shard has them.
    pub attributes: Vec<(ShardId, u32, String)>,
    /// Per shard that knows the series: everything up to there is in this answer, the higher of
    /// the last committed entry (whose index then is `u32::MAX`) and the series' `applied`. Of an
    /// answer over many days, of which the later ones are read later, some that was committed
    /// since then may be in it as well. Empty when no shard knows the series.
    pub position: Vec<(ShardId, Position)>,
    /// Per shard that knows the series: its number there. One that was deleted and came back has
    /// another, so that whoever reads several answers as one can tell.
    pub numbers: Vec<(ShardId, u64)>,
    /// There was more than the limit; ask again after the last reading.
    pub more: bool,
    /// What could not be understood, and was left out.
    pub faults: Faults,
}

/// What was found of a series' windows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesWindows {
    /// Ascending by start, each start once: merged over shards, and the stored part with the open
    /// one. The shard is that of the window's last reading, whose version of the attributes the
    /// window has.
    pub windows: Vec<(ShardId, Window)>,
    /// As in [`SeriesReadings`].
    pub attributes: Vec<(ShardId, u32, String)>,
    /// As in [`SeriesReadings`].
    pub position: Vec<(ShardId, Position)>,
    /// As in [`SeriesReadings`].
    pub numbers: Vec<(ShardId, u64)>,
    /// There was more than the limit; ask again after the last window.
    pub more: bool,
    /// What could not be understood, and was left out.
    pub faults: Faults,
}

/// States, blocks and lists of attributes that could not be understood, and were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many.
    pub count: u64,
    /// The last one: key, field of its hash and reason. Nothing secret, and of bounded length.
    pub last: Option<String>,
}

impl Faults {
    pub(super) fn add(&mut self, key: &str, field: &str, reason: impl std::fmt::Display) {
        self.count += 1;
        self.last = Some(format!("{key} {field}: {reason}"));
    }
}

/// How far the history of a series reaches back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// By [`Share::index`]: from when on it is complete. `None`: from its first reading on.
    pub since: [Option<UnixMillis>; 3],
}

impl Reach {
    /// From when on a share is complete; `None`: from the series' first reading on.
    #[must_use]
    pub const fn of(&self, share: Share) -> Option<UnixMillis> {
        self.since[share.index()]
    }
}
