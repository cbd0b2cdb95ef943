//! Readings in, numbers out: the statistics of a series, one file each.
//!
//! In: readings one by one, or what was folded elsewhere. Out: [`Statistics`], and their packed
//! bytes. Refused: nothing; what overflows says so by not being finite.
//! Knows nothing of: series, messages, Redis, and the clock.
//!
//! To add one: a file that implements [`Statistic`], and one line in `statistics!` in `list.rs`.

mod ends;
mod extent;
mod list;
mod moments;
mod unpack;

pub use ends::Ends;
pub use extent::Extent;
pub use list::{Statistic, Statistics};
pub use moments::Moments;
pub use unpack::Unpack;
