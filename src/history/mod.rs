//! Readings and windows at rest: in spans of time, and in the open end of each series' state.
//!
//! In: readings that [`crate::aggregate`] folds, and blocks out of Redis. Out: blocks that its
//! commit writes; the readings and windows of a series between two times, in order, and the
//! position up to which they are complete; what must go to fit the memory.
//! Refused: blocks that cannot be read; left out, counted and named.
//! Knows nothing of: payload formats, browsers.

pub mod answer;
mod attributes;
pub mod budget;
pub mod codec;
mod coverage;
mod error;
pub mod inventory;
mod open;
mod reader;
mod seal;
mod span;
mod window;

pub use answer::{
    Cursor, Faults, LIMIT_DEFAULT, Point, Range, Reach, SeriesReadings, SeriesWindows,
};
pub use attributes::Versions;
pub use budget::{Budget, Cut};
pub use coverage::Coverage;
pub use error::Error;
pub use inventory::{Inventory, field_cost, horizon_field};
pub use open::{Newest, OpenEnd, OpenWindows};
pub use reader::Reader;
pub use seal::{SealedBlock, Sealing};
pub use span::{DAY_MS, HOUR_MS, Resolution, Retentions, Share, Shelf, Span, StoredReading, after};
pub use window::Window;
