//! Readings and windows of one sensor: what was asked for, read page by page, and made small.
//!
//! A request becomes [`Wanted`]; `reach` answers which [`Grain`] it gets; the series of a sensor
//! are read one after another into a picture (`picture`), or merged by time (`merge`) into one
//! page or into a stream of pages. Only `store` asks Redis.

mod csv;
mod cursor;
mod found;
mod grain;
mod lines;
mod merge;
mod percentiles;
mod picture;
mod points;
mod reach;
mod rows;
mod store;
mod stream;
mod wanted;

pub(super) use found::Found;
pub(super) use picture::PercentilesByType;
pub(super) use rows::ShownRows;
pub(super) use store::token;
pub(super) use stream::Stream;
pub(super) use wanted::{Format, HOURS_DEFAULT, HOURS_MAX, Points, Wanted};
