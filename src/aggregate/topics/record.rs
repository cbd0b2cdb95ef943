//! What is known of one topic, and how it is stored. No I/O, no clock.
//!
//! It is stored as a JSON object with short names. What a newer version adds is passed over, and
//! what is missing is as if nothing had been seen: these are observations, nothing is derived
//! from them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::distinct::Distinct;
use super::rate::Rate;
use crate::payload::FORMATS;
use crate::reading::{SeriesKey, UnixMillis};
use crate::refusal::Refusal;

/// Series that are remembered of a topic. A gateway may name any number of them.
pub const SERIES_MAX: usize = 4;

/// What became of the last message of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Last {
    /// Its readings were counted.
    #[default]
    Counted,
    /// It was a broker's replay of a stored message, and said nothing new.
    Retained,
    /// Its series were beyond `STREAMGAUGE_MAX_SENSORS`.
    Overflow,
    /// It was refused.
    Refused,
    /// It was counted, and its sensor was deleted since then.
    Deleted,
}

impl Last {
    const ALL: [Self; 5] =
        [Self::Counted, Self::Retained, Self::Overflow, Self::Refused, Self::Deleted];

    const fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Retained => "retained",
            Self::Overflow => "overflow",
            Self::Refused => "refused",
            Self::Deleted => "deleted",
        }
    }
}

/// What was done with readings of a message that were counted all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amended {
    /// Units, locations and metadata that were left out.
    pub attributes: u16,
    /// Timestamps too far ahead: the time of receipt stands.
    pub future: u16,
    /// Whether one of those was ahead by what a zone error makes.
    pub is_zone_suspected: bool,
    /// Readings so old that no window is kept for them.
    pub beyond_windows: u16,
}

/// What was seen of a topic by the owners of its shard, since it was seen first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// When its last message was received.
    pub last_message: UnixMillis,
    /// Messages, whatever became of them.
    pub messages: u64,
    /// Readings that were counted.
    pub readings: u64,
    /// Messages that were refused.
    pub errors: u64,
    /// Elements of arrays that were refused beside others that were counted.
    pub partly: u64,
    /// Messages that were ignored: a broker's replays that said nothing new, and those whose
    /// series were beyond `STREAMGAUGE_MAX_SENSORS`.
    pub ignored: u64,
    /// What became of the last message.
    pub last: Last,
    /// The last refusal of a message, or of an element of one, and when that was received.
    pub refusal: Option<(Refusal, UnixMillis)>,
    /// The name of the payload format of the last message that was not refused.
    pub format: Option<&'static str>,
    /// How many readings that message had.
    pub last_readings: u32,
    /// What was done with those.
    pub amended: Amended,
    /// Hash fields of the series that the topic named, the newest first; at most [`SERIES_MAX`].
    pub series: Vec<Vec<u8>>,
    /// How often messages come.
    pub rate: Rate,
}

/// A record as it is stored.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored<'a> {
    at: i64,
    n: u64,
    r: u64,
    e: u64,
    p: u64,
    i: u64,
    last: Cow<'a, str>,
    refused: Option<(Cow<'a, str>, i64)>,
    format: Option<Cow<'a, str>>,
    k: u32,
    /// As [`Amended`] has them.
    x: (u16, u16, bool, u16),
    s: Vec<Cow<'a, str>>,
    /// Milliseconds of the last message, then decayed messages and seconds.
    rate: (u64, f64, f64),
}

impl Record {
    /// The series that the topic named, the newest first.
    pub fn series(&self) -> impl Iterator<Item = SeriesKey> {
        self.series.iter().filter_map(|field| SeriesKey::from_field(field))
    }

    /// Puts a series in front.
    pub(super) fn name_series(&mut self, field: &[u8]) {
        let place = match self.series.iter().position(|known| known == field) {
            Some(place) => place,
            None if self.series.len() < SERIES_MAX => {
                self.series.push(field.to_vec());
                self.series.len() - 1
            }
            None => {
                // The memory of the oldest serves the new one.
                let oldest = &mut self.series[SERIES_MAX - 1];
                oldest.clear();
                oldest.extend_from_slice(field);
                SERIES_MAX - 1
            }
        };
        self.series[..=place].rotate_right(1);
    }

    /// As it is stored.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let stored = Stored {
            at: self.last_message.0,
            n: self.messages,
            r: self.readings,
            e: self.errors,
            p: self.partly,
            i: self.ignored,
            last: self.last.name().into(),
            refused: self.refusal.map(|(refusal, at)| (refusal.name().into(), at.0)),
            format: self.format.map(Into::into),
            k: self.last_readings,
            x: {
                let Amended { attributes, future, is_zone_suspected, beyond_windows } =
                    self.amended;
                (attributes, future, is_zone_suspected, beyond_windows)
            },
            s: self.series.iter().map(|field| String::from_utf8_lossy(field)).collect(),
            rate: (self.rate.heard_ms, self.rate.messages, self.rate.seconds),
        };
        // Text and finite numbers: there is nothing in it that could fail.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// Reads what [`Record::write`] wrote; `None` when it is not that.
    #[must_use]
    pub fn parse(stored: &[u8]) -> Option<Self> {
        let stored: Stored<'_> = serde_json::from_slice(stored).ok()?;
        let refusal = |(name, at): (Cow<'_, str>, i64)| {
            let known = Refusal::ALL.into_iter().find(|it| it.name() == name)?;
            Some((known, UnixMillis(at)))
        };
        let format = |name: Cow<'_, str>| {
            FORMATS.iter().map(|format| format.name).find(|known| *known == name)
        };
        let (heard_ms, messages, seconds) = stored.rate;
        let (attributes, future, is_zone_suspected, beyond_windows) = stored.x;
        Some(Self {
            last_message: UnixMillis(stored.at),
            messages: stored.n,
            readings: stored.r,
            errors: stored.e,
            partly: stored.p,
            ignored: stored.i,
            last: Last::ALL.into_iter().find(|it| it.name() == stored.last).unwrap_or_default(),
            refusal: stored.refused.and_then(refusal),
            format: stored.format.and_then(format),
            last_readings: stored.k,
            amended: Amended { attributes, future, is_zone_suspected, beyond_windows },
            series: stored.s.iter().take(SERIES_MAX).map(|it| it.as_bytes().to_vec()).collect(),
            rate: Rate { heard_ms, messages, seconds },
        })
    }
}

/// How many messages are in no record. Stored in the hash of records under an empty name, which no
/// topic has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// Because there were as many topics already as are remembered.
    pub full: u64,
    /// Because the topic is too long to be remembered.
    pub long: u64,
    /// Of which topics they were; one that got a place later is still counted.
    pub topics: Distinct,
}

impl LeftOut {
    /// The field of the hash.
    pub const FIELD: &[u8] = b"";

    /// As it is stored.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        // Numbers and a text.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`LeftOut::write`] wrote; `None` when it is not that.
    #[must_use]
    pub fn parse(stored: &[u8]) -> Option<Self> {
        serde_json::from_slice(stored).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let mut record = Record {
            last_message: UnixMillis(-5),
            messages: 9,
            readings: 8,
            errors: 1,
            partly: 2,
            ignored: 3,
            last: Last::Overflow,
            refusal: Some((Refusal::TooDeep, UnixMillis(7))),
            format: Some("json"),
            last_readings: 4,
            amended: Amended {
                attributes: 1,
                future: 2,
                is_zone_suspected: true,
                beyond_windows: 3,
            },
            series: Vec::new(),
            rate: Rate { heard_ms: 5, messages: 0.1, seconds: 2.5 },
        };
        record.name_series("a\"b\0°C".as_bytes());
        record
    }

    #[test]
    fn a_record_survives_storing() {
        assert_eq!(Record::parse(&record().write()), Some(record()));
        let empty = Record::default();
        assert_eq!(Record::parse(&empty.write()), Some(empty));
        let mut left_out = LeftOut { full: 3, long: 1, ..LeftOut::default() };
        left_out.topics.note(7);
        assert_eq!(LeftOut::parse(&left_out.write()), Some(left_out));
        for last in Last::ALL {
            let record = Record { last, ..Record::default() };
            assert_eq!(Record::parse(&record.write()).unwrap().last, last);
        }
    }

    #[test]
    fn what_a_newer_version_adds_is_passed_over_and_what_is_no_record_is_none() {
        let newer = br#"{"n":2,"of_the_future":[1],"format":"cbor","refused":["tired",5]}"#;
        let read = Record::parse(newer).unwrap();
        assert_eq!((read.messages, read.format, read.refusal), (2, None, None));
        for other in [&b""[..], b"7", b"{", b"{\"n\":-1}", b"\xff", b"{\"rate\":[1]}"] {
            assert_eq!(Record::parse(other), None, "{other:?}");
        }
        assert_eq!(LeftOut::parse(b"[]7"), None);
        let older = LeftOut { full: 3, long: 1, ..LeftOut::default() };
        assert_eq!(LeftOut::parse(br#"{"full":3,"long":1}"#), Some(older));
    }

    #[test]
    fn the_newest_series_stand_in_front() {
        let mut record = Record::default();
        for name in ["a", "b", "c", "b", "d", "e", "e"] {
            record.name_series(format!("{name}\0t").as_bytes());
        }
        let names: Vec<_> = record.series().map(|key| key.sensor_id).collect();
        assert_eq!(names, ["e".into(), "d".into(), "b".into(), "c".into()] as [Box<str>; 4]);
    }
}
