//! What fields mean, whatever format they came in (design §6).

use std::borrow::Cow;

use crate::reading::{ID_BYTES_MAX, TimeSource, UnixMillis};
use crate::refusal::Refusal;

/// How far ahead of ours a sensor's clock may be (design §6).
pub const FUTURE_MS_MAX: i64 = 5 * 60 * 1000;

/// What a sensor, and a type, is called when nothing names it.
const UNNAMED: &str = "unknown";

/// All zones differ from each other by quarters of an hour.
const ZONE_STEP_MS: i64 = 15 * 60 * 1000;
/// The largest offset in use is UTC+14.
const ZONE_MS_MAX: i64 = 14 * 60 * 60 * 1000;
/// How late a message and how wrong a clock may be for a zone error still to be suspected: a
/// guess.
const ZONE_SLACK_MS: i64 = 60 * 1000;

/// When a reading was measured, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub at: UnixMillis,
    pub source: TimeSource,
    /// The timestamp was ahead by what a zone error makes.
    pub zone_suspected: bool,
}

impl Measured {
    /// The time of receipt stands in for a timestamp that is missing or too far ahead.
    pub(super) fn new(timestamp: Option<UnixMillis>, received_at: UnixMillis) -> Self {
        let Some(at) = timestamp else {
            return Self { at: received_at, source: TimeSource::Receipt, zone_suspected: false };
        };
        let ahead = at.0.saturating_sub(received_at.0);
        if ahead <= FUTURE_MS_MAX {
            return Self { at, source: TimeSource::Sensor, zone_suspected: false };
        }
        Self {
            at: received_at,
            source: TimeSource::ReceiptForFuture,
            zone_suspected: looks_like_a_zone(ahead),
        }
    }
}

fn looks_like_a_zone(ahead: i64) -> bool {
    let beside = (ahead + ZONE_SLACK_MS).rem_euclid(ZONE_STEP_MS);
    ahead <= ZONE_MS_MAX + ZONE_SLACK_MS && beside <= 2 * ZONE_SLACK_MS
}

/// Level 2 or 3 of a topic and the like, counted from 1; `None` when there is none.
pub(super) fn topic_level(topic: &str, level: usize) -> Option<&str> {
    topic.split('/').nth(level - 1)
}

/// A sensor id or type: what the payload names, else what the topic names, else `unknown`.
/// Empty is absent.
pub(super) fn id<'a>(
    named: Option<&'a str>,
    topic_level: Option<&'a str>,
) -> Result<Cow<'a, str>, Refusal> {
    let present = |text: &&str| !text.is_empty();
    let id = named.filter(present).or(topic_level.filter(present)).unwrap_or(UNNAMED);
    if id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(Refusal::BadId);
    }
    Ok(Cow::Borrowed(id))
}

/// A value written as text, with white space around it allowed.
pub(super) fn number(text: &str) -> Result<f64, Refusal> {
    let number = text.trim_ascii().parse().map_err(|_| Refusal::WrongType)?;
    finite(number)
}

/// A value has to be finite.
pub(super) fn finite(number: f64) -> Result<f64, Refusal> {
    if number.is_finite() { Ok(number) } else { Err(Refusal::NotFinite) }
}
