//! What fields mean, whatever format they came in (design §6).

use std::borrow::Cow;

use crate::reading::{ID_BYTES_MAX, TimeSource, UnixMillis};
use crate::refusal::Refusal;

/// How far ahead of ours a sensor's clock may be (design §6).
pub const FUTURE_MS_MAX: i64 = 5 * 60 * 1000;

/// The level of a topic that names the sensor, counted from 1: `sensors/temp_01/temperature`.
pub(super) const SENSOR_LEVEL: usize = 2;
/// The level of a topic that names the type.
pub(super) const TYPE_LEVEL: usize = 3;

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

/// A sensor id or type: what the payload names, else what stands at that level of the topic
/// (counted from 1), else `unknown`. Empty is absent.
pub(super) fn id<'a>(
    named: Option<&'a str>,
    topic: &'a str,
    level: usize,
) -> Result<Cow<'a, str>, Refusal> {
    let is_present = |text: &&str| !text.is_empty();
    let in_topic = || topic_level(topic, level).filter(is_present);
    let id = named.filter(is_present).or_else(in_topic).unwrap_or(UNNAMED);
    if id.len() > ID_BYTES_MAX || has_control_character(id) {
        return Err(Refusal::BadId);
    }
    Ok(Cow::Borrowed(id))
}

/// `topic.split('/').nth(level - 1)`, which takes longer on texts as short as topics.
fn topic_level(topic: &str, level: usize) -> Option<&str> {
    let slash_in = |text: &str| text.bytes().position(|byte| byte == b'/');
    let mut rest = topic;
    for _ in 1..level {
        rest = &rest[slash_in(rest)? + 1..];
    }
    Some(&rest[..slash_in(rest).unwrap_or(rest.len())])
}

/// Most ids are ASCII, which is quicker to look through.
fn has_control_character(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    !is_plain && text.chars().any(char::is_control)
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
