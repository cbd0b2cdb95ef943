//! Live readings: from the streams to every client that wants them.
//!
//! In: entries, read along with the aggregation; what clients wish. Out: frames, encoded once and
//! shared, to every client that wants the series.
//! Refused: events that are not known, too large or too many; clients that do not keep up.
//! Knows nothing of: what a client is connected with; credentials; how readings are counted.
//!
//! [`hub`], [`conflate`], [`numbers`] and [`follow`] are state machines without runtime,
//! clock or I/O; [`desk`], [`listen`] and [`seat`] connect them to the world.

mod answers;
mod awaited;
mod behind;
mod committed;
mod conflate;
mod desk;
mod door;
mod ending;
mod event;
mod every;
mod fields;
mod follow;
mod frame;
mod group;
mod groups;
mod hub;
mod lane;
mod listen;
mod listening;
mod load;
mod member;
mod missed;
mod numbers;
mod places;
mod rate;
mod recent;
mod seat;
mod shown;
mod silence;
mod slots;
mod stats;
mod subscription;
mod told;
mod wish;

pub(super) use desk::run;
pub(super) use door::Door;
pub(super) use ending::Ending;
pub(super) use frame::Frame;
pub(super) use hub::Counts;
pub(super) use rate::Rate;
pub(super) use seat::Seat;
pub(super) use stats::Stats;
pub(super) use wish::{Subscribe, Wish};
