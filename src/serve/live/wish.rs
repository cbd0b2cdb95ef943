//! What clients ask for: `{"event":"…","data":{…}}`.

use serde_json::value::RawValue;

use super::fields::{Fields, shortened};
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

/// What a client may say at all.
const FRAME: &str = "{\"event\":\"…\",\"data\":{…}}";
const EVENTS: &str = "request_all_stats, request_sensor_data, subscribe, unsubscribe";
const DATA: &str = "an object such as";
/// The fields of `subscribe`.
const SUBSCRIBE: &[&str] = &["sensors", "max_hz", "every", "batch", "stats"];
const SWITCH: &str = "true, false";
const SENSORS: &str = "a list of texts such as [\"kitchen\",\"hall/*\"]";

/// The data of `subscribe`.
#[derive(Debug, Default)]
pub(in crate::serve) struct Subscribe {
    pub(in crate::serve) sensors: Vec<String>,
    pub(in crate::serve) max_hz: Option<f64>,
    pub(in crate::serve) every: Option<bool>,
    pub(in crate::serve) batch: Option<bool>,
    pub(in crate::serve) stats: Option<bool>,
}

impl Wish {
    /// Reads an event of a client; else the sentence that it is answered with.
    pub(in crate::serve) fn parse(text: &str) -> Result<Self, String> {
        let frame = Fields::read("the frame", text, FRAME)?;
        let event: String = frame.need("event", EVENTS)?;
        let data: Option<&RawValue> = frame.get("data", "an object")?;
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
        let read = match event {
            // Whatever comes with it: it needs nothing.
            "request_all_stats" => return Ok(Self::AllStats),
            "request_sensor_data" => sensor_data(data),
            "subscribe" => subscribe(data),
            "unsubscribe" => unsubscribe(data),
            other => {
                return Err(format!("unknown event {:?}; allowed: {EVENTS}", shortened(other)));
            }
        };
        read.map_err(|said| format!("{event}: {said}"))
    }
}

/// Fields that are not known are left alone: clients of the predecessor may send more.
fn sensor_data(data: &str) -> Result<Wish, String> {
    let fields = Fields::read("`data`", data, &format!("{DATA} {{\"sensor_id\":\"kitchen\"}}"))?;
    let sensor_id = fields.need("sensor_id", "a text")?;
    let allowed = format!("a whole number from 1 to {HOURS_MAX}");
    // A number such as 24.0 is whole too.
    let hours: f64 = fields.get("hours", &allowed)?.unwrap_or(HOURS_DEFAULT as f64);
    if hours.fract() != 0.0 || !(1.0..=HOURS_MAX as f64).contains(&hours) {
        return Err(format!("`hours` is {hours}; allowed: {allowed}"));
    }
    Ok(Wish::SensorData { sensor_id, hours: hours as i64 })
}

fn subscribe(data: &str) -> Result<Wish, String> {
    let fields = Fields::read("`data`", data, &format!("{DATA} {{\"sensors\":[\"*\"]}}"))?;
    fields.check(SUBSCRIBE)?;
    Wish::subscribe(Subscribe {
        sensors: fields.need("sensors", SENSORS)?,
        max_hz: fields.get("max_hz", "a number")?,
        every: fields.get("every", SWITCH)?,
        batch: fields.get("batch", SWITCH)?,
        stats: fields.get("stats", SWITCH)?,
    })
}

fn unsubscribe(data: &str) -> Result<Wish, String> {
    let fields = Fields::read("`data`", data, &format!("{DATA} {{\"sensors\":[\"*\"]}}"))?;
    fields.check(&["sensors"])?;
    Ok(Wish::Unsubscribe(Entries::parse(fields.need("sensors", SENSORS)?)?))
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
    fn clients_of_the_predecessor_may_send_more_than_is_asked_for() {
        let kitchen = |hours| Wish::SensorData { sensor_id: "kitchen".to_owned(), hours };
        let check = |data, expected| {
            assert_eq!(Wish::of("request_sensor_data", data), Ok(expected), "{data}");
        };
        check(r#"{"sensor_id":"kitchen","hours":24.0,"limit":5}"#, kitchen(24));
        check(r#"{"sensor_id":"kitchen","hours":null}"#, kitchen(24));
        assert_eq!(Wish::of("request_all_stats", r#"["x"]"#), Ok(Wish::AllStats));
    }

    #[test]
    fn what_is_not_understood_is_named_with_what_is_allowed() {
        let check = |text: &str, said: &str| {
            assert_eq!(Wish::parse(text).unwrap_err(), said, "{text}");
        };
        let frame = r#"allowed: {"event":"…","data":{…}}"#;
        let no_json = "the frame is no JSON (EOF while parsing a value at line 1 column 0)";
        check("", &format!("{no_json}; {frame}"));
        check("[]", &format!("the frame is []; {frame}"));
        check("5", &format!("the frame is 5; {frame}"));
        let positional = r#"["subscribe",[["nobody"],5,true,false,false]]"#;
        check(positional, &format!("the frame is {positional}; {frame}"));
        let events =
            "allowed: request_all_stats, request_sensor_data, subscribe, unsubscribe".to_owned();
        check("{}", &format!("`event` is missing; {events}"));
        check(r#"{"event":5}"#, &format!("`event` is 5; {events}"));
        check(r#"{"event":"dance"}"#, &format!("unknown event \"dance\"; {events}"));
        let (long, shown) = ("x".repeat(65), "x".repeat(64));
        check(
            &format!(r#"{{"event":"{long}"}}"#),
            &format!("unknown event \"{shown}…\"; {events}"),
        );
    }

    #[test]
    fn data_that_does_not_fit_is_named_with_what_is_allowed() {
        let check = |event: &str, data: &str, said: &str| {
            let text = format!(r#"{{"event":"{event}","data":{data}}}"#);
            assert_eq!(Wish::parse(&text).unwrap_err(), format!("{event}: {said}"), "{data}");
        };
        let wants = |data: &str, said: &str| check("request_sensor_data", data, said);
        let id = r#"an object such as {"sensor_id":"kitchen"}"#;
        wants("{}", "`sensor_id` is missing; allowed: a text");
        wants(r#""kitchen""#, &format!("`data` is \"kitchen\"; allowed: {id}"));
        wants(r#"["kitchen",24]"#, &format!("`data` is [\"kitchen\",24]; allowed: {id}"));
        wants(r#"{"sensor_id":5}"#, "`sensor_id` is 5; allowed: a text");
        for hours in ["0", "1.5", "1000001", r#""24""#, "1e999", "[24]", "true"] {
            wants(
                &format!(r#"{{"sensor_id":"a","hours":{hours}}}"#),
                &format!("`hours` is {hours}; allowed: a whole number from 1 to 1000000"),
            );
        }
        let texts = r#"a list of texts such as ["kitchen","hall/*"]"#;
        for event in ["subscribe", "unsubscribe"] {
            let object = r#"an object such as {"sensors":["*"]}"#;
            check(event, "[]", &format!("`data` is []; allowed: {object}"));
            check(event, "{}", &format!("`sensors` is missing; allowed: {texts}"));
            check(event, "null", &format!("`sensors` is missing; allowed: {texts}"));
            for sensors in [r#""*""#, "[5]", "{}"] {
                let data = format!(r#"{{"sensors":{sensors}}}"#);
                check(event, &data, &format!("`sensors` is {sensors}; allowed: {texts}"));
            }
            let starred = r#"entry "a*b" of `sensors` has a * before its end"#;
            let said = Wish::of(event, r#"{"sensors":["a*b"]}"#).unwrap_err();
            assert!(said.starts_with(&format!("{event}: {starred}")), "{said}");
        }
        let wants = |data: &str, said: &str| check("subscribe", data, said);
        let known = "allowed: sensors, max_hz, every, batch, stats";
        wants(r#"{"sensors":["x"],"maxhz":5}"#, &format!("unknown field `maxhz`; {known}"));
        wants(r#"{"sensors":["x"],"max_hz":"a"}"#, "`max_hz` is \"a\"; allowed: a number");
        wants(r#"{"sensors":["x"],"max_hz":100}"#, "`max_hz` is 100; allowed: 0.1 to 60");
        wants(r#"{"sensors":["x"],"sensors":["y"]}"#, "`sensors` is given twice");
        for switch in ["every", "batch", "stats"] {
            let data = format!(r#"{{"sensors":["x"],"{switch}":1}}"#);
            wants(&data, &format!("`{switch}` is 1; allowed: true, false"));
        }
        let (long, shown) = ("x".repeat(130), "x".repeat(64));
        wants(
            &format!(r#"{{"sensors":["{long}"]}}"#),
            &format!("entry \"{shown}…\" of `sensors` has 130 bytes; allowed: 1 to 129"),
        );
        let more = r#"{"sensors":["x"],"max_hz":5}"#;
        check("unsubscribe", more, "unknown field `max_hz`; allowed: sensors");
    }
}
