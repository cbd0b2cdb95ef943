//! Readings at rest: blocks of one series' readings, an hour of `measured_at` each.
//!
//! In: bytes that the commit of [`crate::aggregate`] writes. Out: the readings of a series between
//! two times, in order, and the position up to which they are complete.
//! Refused: points that cannot be of their block; skipped and counted as faults.
//! Knows nothing of: payload formats, browsers.

pub mod answer;
mod attributes;
mod block;
pub mod budget;
pub mod codec;
mod coverage;
mod error;
mod gather;
pub mod inventory;
mod open;
mod query;
mod reader;
mod seal;
mod span;
mod spans;
mod window;

pub use attributes::Versions;
pub use block::{
    BLOCK_BYTES_MAX, Newest as OldNewest, OpenBlock, POINT_BYTES, SPAN_MS, expires_at, points,
    span_end, span_of, span_start, write_point,
};
pub use budget::{Budget, Cut};
pub use coverage::Coverage;
pub use error::Error;
pub use inventory::{Inventory, field_cost, horizon_field};
pub use open::{Newest, OpenEnd, OpenWindows};
pub use query::{Cursor, LIMIT_DEFAULT, Point, Range, SeriesReadings, read};
pub use reader::Reader;
pub use seal::{SealedBlock, Sealing};
pub use span::{DAY_MS, HOUR_MS, Resolution, Retentions, Share, Shelf, Span, StoredReading, after};
pub use spans::{Kept, Spans, span_field};
pub use window::Window;
