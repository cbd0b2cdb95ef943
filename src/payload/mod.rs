//! Bytes in, readings out, or a reason.
//!
//! In: topic, payload and time of receipt of a message. Out: 1–256 [`Reading`]s, borrowed from
//! the payload where that is possible, and a count of what was left out of them.
//! Refused: whatever no reading comes of, with one [`Refusal`] of the closed set.
//! Knows nothing of: MQTT, Redis, series seen before, and the clock; it never waits.
//!
//! [`Reading`]: crate::reading::Reading
//! [`Refusal`]: crate::refusal::Refusal

mod decoder;
mod guarded;
mod json;
mod meaning;
mod naive_time;
mod timestamp;

#[cfg(test)]
mod tests;

pub use decoder::{Decoded, Decoder, Format, Input, READINGS_PER_MESSAGE_MAX};
pub use guarded::Guarded;
pub use meaning::FUTURE_MS_MAX;
pub use naive_time::{NaiveTime, UnknownZone};
pub use timestamp::read_timestamp;

/// Every payload format, in the order in which they are tried.
///
/// To add one: a file with its `decode`, a line here, and cases in `testdata/<name>/`.
pub const FORMATS: &[Format] = &[Format { name: "json", decode: json::decode }];
