//! Browser events on the wire: `{"event":"…","data":{…}}`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::hub::Observed;
use super::patterns::Patterns;
use crate::serve::history::{HOURS_DEFAULT, HOURS_MAX};
use crate::serve::view::{Moment, ReadingRow};
use crate::shard::ShardId;

/// An encoded event; clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame(pub(super) Utf8Bytes);

impl Frame {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What a client wants.
#[derive(Debug, PartialEq)]
pub(super) enum Wish {
    /// `request_all_stats`.
    AllStats,
    /// `request_sensor_data`.
    SensorData { sensor_id: String, hours: i64 },
    /// `subscribe`.
    Subscribe(Patterns),
    /// `unsubscribe`.
    Unsubscribe(Patterns),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    event: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SensorData {
    sensor_id: String,
    hours: Option<i64>,
}

#[derive(Deserialize)]
struct Subscribe {
    sensors: Vec<String>,
    max_hz: Option<f64>,
    every: Option<bool>,
    batch: Option<bool>,
    stats: Option<bool>,
}

#[derive(Deserialize)]
struct Unsubscribe {
    sensors: Vec<String>,
}

impl Wish {
    /// Reads an event of a client; else the sentence that it is answered with.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Envelope { event, data } = serde_json::from_str(text)
            .map_err(|error| format!("expected {{\"event\":\"…\",\"data\":{{…}}}}: {error}"))?;
        let data = data.map_or("{}", RawValue::get);
        match event.as_str() {
            "request_all_stats" => Ok(Self::AllStats),
            "request_sensor_data" => {
                let SensorData { sensor_id, hours } = fields(&event, data)?;
                let hours = hours.unwrap_or(HOURS_DEFAULT);
                if !(1..=HOURS_MAX).contains(&hours) {
                    let allowed = format!("a whole number from 1 to {HOURS_MAX}");
                    return Err(format!("{event}: `hours` is {hours}; allowed: {allowed}"));
                }
                Ok(Self::SensorData { sensor_id, hours })
            }
            "subscribe" => {
                let asked: Subscribe = fields(&event, data)?;
                asked.refuse_what_is_not_built()?;
                Ok(Self::Subscribe(Patterns::parse(&asked.sensors)?))
            }
            "unsubscribe" => {
                let Unsubscribe { sensors } = fields(&event, data)?;
                Ok(Self::Unsubscribe(Patterns::parse(&sensors)?))
            }
            other => {
                let shown: String = other.chars().take(64).collect();
                Err(format!(
                    "unknown event {shown:?}; allowed: request_all_stats, request_sensor_data, \
                     subscribe, unsubscribe"
                ))
            }
        }
    }
}

impl Subscribe {
    fn refuse_what_is_not_built(&self) -> Result<(), String> {
        if self.max_hz.is_some_and(|max_hz| max_hz.to_bits() != 10f64.to_bits()) {
            return Err("subscribe: `max_hz` other than 10 is not built yet".to_owned());
        }
        for (name, option) in [("every", self.every), ("batch", self.batch), ("stats", self.stats)]
        {
            if option == Some(true) {
                return Err(format!("subscribe: `{name}` is not built yet"));
            }
        }
        Ok(())
    }
}

fn fields<'a, T: Deserialize<'a>>(event: &str, data: &'a str) -> Result<T, String> {
    serde_json::from_str(data).map_err(|error| format!("{event}: {error}"))
}

/// Encodes an event.
#[expect(clippy::expect_used, reason = "our own shapes have string keys and no failing parts")]
pub(super) fn frame<T: Serialize>(event: &str, data: &T) -> Frame {
    #[derive(Serialize)]
    struct Out<'a, T> {
        event: &'a str,
        data: &'a T,
    }
    let text = serde_json::to_string(&Out { event, data }).expect("an event can be written");
    Frame(Utf8Bytes::from(text))
}

/// `sensor_update`.
pub(super) fn sensor_update(observed: &Observed) -> Frame {
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
    frame("sensor_update", &Update { reading, position })
}

/// `status`.
pub(super) fn status(message: &str, position: &str) -> Frame {
    #[derive(Serialize)]
    struct Status<'a> {
        message: &'a str,
        position: &'a str,
        version: &'static str,
    }
    frame("status", &Status { message, position, version: env!("CARGO_PKG_VERSION") })
}

/// `sensor_removed`.
pub(super) fn sensor_removed(sensor_id: &str) -> Frame {
    #[derive(Serialize)]
    struct Removed<'a> {
        sensor_id: &'a str,
    }
    frame("sensor_removed", &Removed { sensor_id })
}

/// `error`.
pub(super) fn error(message: &str) -> Frame {
    #[derive(Serialize)]
    struct Error<'a> {
        message: &'a str,
    }
    frame("error", &Error { message })
}

/// `gap`.
pub(super) fn gap(shard: ShardId) -> Frame {
    #[derive(Serialize)]
    struct Gap {
        shard: u16,
    }
    frame("gap", &Gap { shard: shard.0 })
}

/// `reset`.
pub(super) fn reset() -> Frame {
    #[derive(Serialize)]
    struct Reset {}
    frame("reset", &Reset {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{SeriesKey, UnixMillis};
    use crate::serve::view::Attributes;
    use crate::stream::{EntryId, Position};

    #[test]
    fn wishes_are_understood() {
        let check = |text, expected: Wish| assert_eq!(Wish::parse(text), Ok(expected), "{text}");
        let patterns = |list: &[&str]| {
            Patterns::parse(&list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()).unwrap()
        };
        check(r#"{"event":"request_all_stats"}"#, Wish::AllStats);
        check(r#"{"event":"request_all_stats","data":{}}"#, Wish::AllStats);
        check(
            r#"{"event":"request_sensor_data","data":{"sensor_id":"a"}}"#,
            Wish::SensorData { sensor_id: "a".to_owned(), hours: 24 },
        );
        check(
            r#"{"event":"subscribe","data":{"sensors":["*","a","b*"],"max_hz":10,"every":false}}"#,
            Wish::Subscribe(patterns(&["*", "a", "b*"])),
        );
        check(
            r#"{"event":"unsubscribe","data":{"sensors":["a"]}}"#,
            Wish::Unsubscribe(patterns(&["a"])),
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let check = |text, said: &str| {
            let answer = Wish::parse(text).unwrap_err();
            assert!(answer.contains(said), "{text}: {answer}");
        };
        check("", "expected {\"event\"");
        check("[1]", "expected");
        check(r#"{"event":"dance"}"#, "unknown event \"dance\"; allowed: request_all_stats");
        check(r#"{"event":"request_sensor_data","data":{}}"#, "sensor_id");
        let hours = r#"{"event":"request_sensor_data","data":{"sensor_id":"a","hours":0}}"#;
        check(hours, "`hours` is 0");
        check(r#"{"event":"subscribe","data":{"sensors":["a"],"every":true}}"#, "`every` is not");
        check(r#"{"event":"subscribe","data":{"sensors":["a"],"max_hz":1}}"#, "`max_hz` other");
        check(r#"{"event":"subscribe","data":{"sensors":"a"}}"#, "subscribe");
        check(r#"{"event":"subscribe","data":{"sensors":["a*b"]}}"#, "a*b");
    }

    #[test]
    fn an_update_has_the_keys_of_history_and_a_position() {
        let observed = Observed {
            series: SeriesKey { sensor_id: "a".into(), sensor_type: "t".into() },
            value: 1.5,
            measured_at: UnixMillis(0),
            attributes: Attributes::default(),
            shard: ShardId(3),
            position: Position { entry: EntryId { ms: 7, seq: 0 }, index: 5 },
        };
        assert_eq!(
            sensor_update(&observed).0.as_str(),
            r#"{"event":"sensor_update","data":{"sensor_id":"a","sensor_type":"t","value":1.5,"#
                .to_owned()
                + r#""unit":"","timestamp":"1970-01-01T00:00:00.000Z","location":null,"#
                + r#""metadata":{},"position":"3:7-0.5"}}"#
        );
        assert_eq!(gap(ShardId(2)).0.as_str(), r#"{"event":"gap","data":{"shard":2}}"#);
        assert_eq!(
            sensor_removed("a\"b").0.as_str(),
            r#"{"event":"sensor_removed","data":{"sensor_id":"a\"b"}}"#
        );
        assert_eq!(reset().0.as_str(), r#"{"event":"reset","data":{}}"#);
        assert_eq!(error("x").0.as_str(), r#"{"event":"error","data":{"message":"x"}}"#);
    }
}
