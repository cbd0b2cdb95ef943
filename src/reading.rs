//! The domain: a reading, the series it belongs to, and the time it was measured.

use std::borrow::Cow;
use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z; negative before. Range: what an `i64` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long a sensor id or a type may be, in bytes (design §6).
pub const ID_BYTES_MAX: usize = 128;
/// How long a unit may be, in bytes; a longer one is left out and counted.
pub const UNIT_BYTES_MAX: usize = 32;
/// How long a location may be, in bytes; a longer one is left out and counted.
pub const LOCATION_BYTES_MAX: usize = 256;
/// How long metadata may be as JSON text, in bytes; longer ones are left out and counted.
pub const METADATA_BYTES_MAX: usize = 4096;

/// All readings of one type from one sensor are one series.
///
/// Both parts are 1–128 bytes without control characters, so that NUL can stand between them in
/// a Redis hash field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// What measures.
    pub sensor_id: Box<str>,
    /// The quantity it measures.
    pub sensor_type: Box<str>,
}

impl SeriesKey {
    /// The hash field under which a series is stored: id, NUL, type.
    #[must_use]
    pub fn field(&self) -> Vec<u8> {
        let mut field = Vec::with_capacity(self.sensor_id.len() + self.sensor_type.len() + 1);
        write_field(&self.sensor_id, &self.sensor_type, &mut field);
        field
    }

    /// The series that a hash field names; `None` when it is not one of ours.
    #[must_use]
    pub fn from_field(field: &[u8]) -> Option<Self> {
        let (id, kind) = std::str::from_utf8(field).ok()?.split_once('\0')?;
        Some(Self { sensor_id: id.into(), sensor_type: kind.into() })
    }
}

/// Appends the hash field of a series to `field` (see [`SeriesKey::field`]).
pub fn write_field(sensor_id: &str, sensor_type: &str, field: &mut Vec<u8>) {
    field.extend_from_slice(sensor_id.as_bytes());
    field.push(0);
    field.extend_from_slice(sensor_type.as_bytes());
}

/// What says a reading's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// The message carried a usable timestamp: the reading is identified by it.
    Sensor,
    /// The message carried none: the time of receipt stands in.
    Receipt,
    /// The message's timestamp was more than five minutes ahead: the time of receipt stands in.
    ReceiptForFuture,
}

/// One value of one quantity from one sensor at one time, as a payload says it.
///
/// Borrows from the payload where it can.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading<'a> {
    /// Sensor id, 1–128 bytes, no control characters.
    pub sensor_id: Cow<'a, str>,
    /// Type, 1–128 bytes, no control characters; `unknown` when nothing names one.
    pub sensor_type: Cow<'a, str>,
    /// Always finite.
    pub value: f64,
    /// The sensor's clock, or the time of receipt (see `time_source`).
    pub measured_at: UnixMillis,
    /// What says `measured_at`.
    pub time_source: TimeSource,
    /// Unit as sent, ≤ 32 bytes; empty when absent.
    pub unit: Cow<'a, str>,
    /// Location as sent, ≤ 256 bytes.
    pub location: Option<Cow<'a, str>>,
    /// A JSON object as text, ≤ 4,096 bytes; `{}` when absent.
    pub metadata: Cow<'a, str>,
    /// How many of unit, location and metadata were left out because they were too long or of a
    /// wrong type.
    pub attributes_left_out: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_survives_its_hash_field() {
        let key = SeriesKey { sensor_id: "a:b{c}".into(), sensor_type: "temperature".into() };
        assert_eq!(SeriesKey::from_field(&key.field()), Some(key));
        assert_eq!(SeriesKey::from_field(b"no separator"), None);
    }
}
