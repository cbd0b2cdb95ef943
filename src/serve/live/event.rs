//! What is told to clients: `{"event":"…","data":{…}}`.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::frame::Frame;
use super::shown::{Observed, Shown};
use crate::reading::SeriesKey;
use crate::serve::quiet::Turned;
use crate::serve::view::{Moment, ReadingRow};
use crate::shard::ShardId;

/// A reading with its position, as it stands in `sensor_update` and `sensor_updates`.
#[expect(clippy::expect_used, reason = "our own shapes have string keys and no failing parts")]
pub(super) fn reading(observed: &Observed) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Update<'a> {
        #[serde(flatten)]
        reading: ReadingRow<'a>,
        position: String,
    }
    let attributes = &observed.attributes;
    let reading = ReadingRow {
        sensor_id: &observed.series.sensor_id,
        sensor_type: &observed.series.sensor_type,
        value: observed.value,
        unit: &attributes.unit,
        timestamp: Moment(observed.measured_at),
        location: attributes.location.as_deref(),
        metadata: &attributes.metadata,
        min: None,
        max: None,
        count: None,
    };
    let position = format!("{}:{}", observed.shard.0, observed.position);
    to_raw_value(&Update { reading, position }).expect("a reading can be written")
}

/// `sensor_update`.
pub(super) fn sensor_update(shown: &Shown) -> Frame {
    Frame::new("sensor_update", shown.json())
}

/// `sensor_updates`: some readings, and how many others they replaced.
pub(super) fn sensor_updates<'a>(
    readings: impl Iterator<Item = &'a Shown>,
    conflated: u64,
) -> Frame {
    #[derive(Serialize)]
    struct Updates<'a> {
        readings: Vec<&'a RawValue>,
        conflated: u64,
    }
    let readings = readings.map(Shown::json).collect();
    Frame::new("sensor_updates", &Updates { readings, conflated })
}

/// `status` of a client that fell behind without `batch`: how many readings were replaced.
pub(super) fn behind(conflated: u64) -> Frame {
    #[derive(Serialize)]
    struct Behind {
        message: &'static str,
        conflated: u64,
    }
    Frame::new("status", &Behind { message: "behind", conflated })
}

/// `status` of a client that is told all it wants from `position` on, of the data set of this
/// name: where it is another one than before, the client has missed a [`reset`]. `silent` is how
/// long Redis has not answered the tail, here and in [`unsubscribed`].
pub(super) fn begun(message: &str, position: &str, generation: &str, silent: Duration) -> Frame {
    #[derive(Serialize)]
    struct Begun<'a> {
        message: &'a str,
        position: &'a str,
        generation: &'a str,
        silent_ms: u64,
        version: &'static str,
    }
    let (silent_ms, version) = (whole_ms(silent), env!("CARGO_PKG_VERSION"));
    Frame::new("status", &Begun { message, position, generation, silent_ms, version })
}

/// `status` of a client that wants less from here on.
pub(super) fn unsubscribed(silent: Duration) -> Frame {
    #[derive(Serialize)]
    struct Unsubscribed {
        message: &'static str,
        position: &'static str,
        silent_ms: u64,
        version: &'static str,
    }
    let (message, version) = ("unsubscribed", env!("CARGO_PKG_VERSION"));
    let silent_ms = whole_ms(silent);
    Frame::new("status", &Unsubscribed { message, position: "", silent_ms, version })
}

fn whole_ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// `sensor_status`.
pub(super) fn sensor_status(turned: &Turned) -> Frame {
    #[derive(Serialize)]
    struct Status<'a> {
        sensor_id: &'a str,
        sensor_type: &'a str,
        status: &'static str,
        last_reading: Moment,
    }
    let SeriesKey { sensor_id, sensor_type } = &turned.series;
    let (status, last_reading) = (turned.status.name(), Moment(turned.last_at));
    Frame::new("sensor_status", &Status { sensor_id, sensor_type, status, last_reading })
}

/// `sensor_removed`.
pub(super) fn sensor_removed(sensor_id: &str) -> Frame {
    #[derive(Serialize)]
    struct Removed<'a> {
        sensor_id: &'a str,
    }
    Frame::new("sensor_removed", &Removed { sensor_id })
}

/// `error`.
pub(super) fn error(message: &str) -> Frame {
    #[derive(Serialize)]
    struct Error<'a> {
        message: &'a str,
    }
    Frame::new("error", &Error { message })
}

/// `gap`.
pub(super) fn gap(shard: ShardId) -> Frame {
    #[derive(Serialize)]
    struct Gap {
        shard: u16,
    }
    Frame::new("gap", &Gap { shard: shard.0 })
}

/// `reset`: the data set is another one, or Redis was started anew.
pub(super) fn reset() -> Frame {
    #[derive(Serialize)]
    struct Reset {}
    Frame::new("reset", &Reset {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{SeriesKey, UnixMillis};
    use crate::serve::view::Attributes;
    use crate::stream::{EntryId, Position};

    #[test]
    fn an_update_has_the_keys_of_history_and_a_position() {
        let observed = Observed {
            series: SeriesKey { sensor_id: "a".into(), sensor_type: "t".into() },
            value: 1.5,
            measured_at: UnixMillis(0),
            attributes: Attributes::default(),
            shard: ShardId(3),
            position: Position { entry: EntryId { ms: 7, seq: 0 }, index: 5 },
            replaced: 0,
        };
        let shown = Shown::new(observed);
        assert_eq!(
            shown.frame().text(),
            r#"{"event":"sensor_update","data":{"sensor_id":"a","sensor_type":"t","value":1.5,"#
                .to_owned()
                + r#""unit":"","timestamp":"1970-01-01T00:00:00.000Z","location":null,"#
                + r#""metadata":{},"position":"3:7-0.5"}}"#
        );
        assert_eq!(gap(ShardId(2)).text(), r#"{"event":"gap","data":{"shard":2}}"#);
        assert_eq!(
            sensor_removed("a\"b").text(),
            r#"{"event":"sensor_removed","data":{"sensor_id":"a\"b"}}"#
        );
        assert_eq!(reset().text(), r#"{"event":"reset","data":{}}"#);
        assert_eq!(error("x").text(), r#"{"event":"error","data":{"message":"x"}}"#);
    }
}
