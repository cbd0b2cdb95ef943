//! What clients ask for: `{"event":"…","data":{…}}`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::subscription::{Addition, Entries, Pace};
use crate::serve::history::{HOURS_DEFAULT, HOURS_MAX};

/// What a client wants.
#[derive(Debug, PartialEq)]
pub(in crate::serve) enum Wish {
    /// `request_all_stats`.
    AllStats,
    /// `request_sensor_data`.
    SensorData { sensor_id: String, hours: i64 },
    /// `subscribe`.
    Subscribe(Addition),
    /// `unsubscribe`.
    Unsubscribe(Entries),
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

/// The data of `subscribe`.
#[derive(Debug, Default, Deserialize)]
pub(in crate::serve) struct Subscribe {
    pub(in crate::serve) sensors: Vec<String>,
    pub(in crate::serve) max_hz: Option<f64>,
    pub(in crate::serve) every: Option<bool>,
    pub(in crate::serve) batch: Option<bool>,
    pub(in crate::serve) stats: Option<bool>,
}

#[derive(Deserialize)]
struct Unsubscribe {
    sensors: Vec<String>,
}

impl Wish {
    /// Reads an event of a client; else the sentence that it is answered with.
    pub(in crate::serve) fn parse(text: &str) -> Result<Self, String> {
        let Envelope { event, data } = serde_json::from_str(text)
            .map_err(|error| format!("expected {{\"event\":\"…\",\"data\":{{…}}}}: {error}"))?;
        Self::of(&event, data.map_or("{}", RawValue::get))
    }

    /// A `subscribe`, however it was asked for; else the sentence that it is answered with.
    pub(in crate::serve) fn subscribe(asked: Subscribe) -> Result<Self, String> {
        Ok(Self::Subscribe(Addition {
            entries: Entries::parse(asked.sensors)?,
            pace: Pace::of(asked.every == Some(true), asked.max_hz)?,
            batch: asked.batch,
            stats: asked.stats,
        }))
    }

    /// The same as [`Self::parse`] from its parts: the event's name, and its `data` as JSON.
    pub(in crate::serve) fn of(event: &str, data: &str) -> Result<Self, String> {
        match event {
            "request_all_stats" => Ok(Self::AllStats),
            "request_sensor_data" => {
                let SensorData { sensor_id, hours } = fields(event, data)?;
                let hours = hours.unwrap_or(HOURS_DEFAULT);
                if !(1..=HOURS_MAX).contains(&hours) {
                    let allowed = format!("a whole number from 1 to {HOURS_MAX}");
                    return Err(format!("{event}: `hours` is {hours}; allowed: {allowed}"));
                }
                Ok(Self::SensorData { sensor_id, hours })
            }
            "subscribe" => {
                Self::subscribe(fields(event, data)?).map_err(|said| format!("{event}: {said}"))
            }
            "unsubscribe" => {
                let Unsubscribe { sensors } = fields(event, data)?;
                let named = |said| format!("{event}: {said}");
                Ok(Self::Unsubscribe(Entries::parse(sensors).map_err(named)?))
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

fn fields<'a, T: Deserialize<'a>>(event: &str, data: &'a str) -> Result<T, String> {
    serde_json::from_str(data).map_err(|error| format!("{event}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_understood() {
        let check = |text, expected: Wish| assert_eq!(Wish::parse(text), Ok(expected), "{text}");
        let entries = |list: &[&str]| {
            Entries::parse(list.iter().map(|one| (*one).to_owned()).collect()).unwrap()
        };
        check(r#"{"event":"request_all_stats"}"#, Wish::AllStats);
        check(r#"{"event":"request_all_stats","data":{}}"#, Wish::AllStats);
        check(
            r#"{"event":"request_sensor_data","data":{"sensor_id":"a"}}"#,
            Wish::SensorData { sensor_id: "a".to_owned(), hours: 24 },
        );
        let subscribe = |list, hz, batch| {
            let (entries, pace) = (entries(list), Pace::of(false, hz).unwrap());
            Wish::Subscribe(Addition { entries, pace, batch, stats: None })
        };
        check(
            r#"{"event":"subscribe","data":{"sensors":["*","a","b*"]}}"#,
            subscribe(&["*", "a", "b*"], Some(10.0), None),
        );
        check(
            r#"{"event":"subscribe","data":{"sensors":[],"max_hz":5,"every":false,"batch":true}}"#,
            subscribe(&[], Some(5.0), Some(true)),
        );
        check(
            r#"{"event":"subscribe","data":{"sensors":["a"],"every":true,"stats":true}}"#,
            Wish::Subscribe(Addition {
                entries: entries(&["a"]),
                pace: Pace::Every,
                batch: None,
                stats: Some(true),
            }),
        );
        check(
            r#"{"event":"unsubscribe","data":{"sensors":["a"]}}"#,
            Wish::Unsubscribe(entries(&["a"])),
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
        let hz = r#"{"event":"subscribe","data":{"sensors":["a"],"max_hz":100}}"#;
        check(hz, "subscribe: `max_hz` is 100; allowed: 0.1 to 60");
        check(r#"{"event":"subscribe","data":{"sensors":["a"],"every":1}}"#, "subscribe");
        check(r#"{"event":"subscribe","data":{"sensors":"a"}}"#, "subscribe");
        check(r#"{"event":"subscribe","data":{"sensors":["a*b"]}}"#, "a*b");
    }
}
