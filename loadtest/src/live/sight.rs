//! What a frame shows: which sensors, published when, and how many readings were replaced.
//!
//! The crowd sees a million readings a second, far too many to parse as JSON. A frame is scanned
//! for the ids and the values behind them instead; [`Scanner::check`] parses it in full and must
//! find the same, which is done with the first frame of each client and with a sample of the rest.

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem::Finder;
use serde::Deserialize;

const UPDATE: &[u8] = br#"{"event":"sensor_update","#;
const UPDATES: &[u8] = br#"{"event":"sensor_updates","#;
const CONFLATED: &[u8] = br#""conflated":"#;

/// What a frame shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Readings in it.
    pub readings: u64,
    /// Readings that they replace.
    pub conflated: u64,
    /// The value of the newest reading: when it was published, in microseconds.
    pub newest: u64,
    /// The value of the oldest reading.
    pub oldest: u64,
}

/// Finds readings of one kind in frames: ids are a prefix and digits, values are whole numbers.
#[derive(Debug)]
pub struct Scanner {
    prefix: String,
    sensor_type: String,
    id: Finder<'static>,
    /// What stands between the end of an id and the value.
    between: Vec<u8>,
    conflated: Finder<'static>,
}

impl Scanner {
    /// A scanner for sensors named `<prefix><digits>`.
    #[must_use]
    pub fn new(prefix: &str, sensor_type: &str) -> Self {
        let id = format!(r#""sensor_id":"{prefix}"#);
        Self {
            prefix: prefix.to_owned(),
            sensor_type: sensor_type.to_owned(),
            id: Finder::new(&id).into_owned(),
            between: format!(r#"","sensor_type":"{sensor_type}","value":"#).into_bytes(),
            conflated: Finder::new(CONFLATED).into_owned(),
        }
    }

    /// Scans an event and gives every reading's (sensor, value) to `each`; nothing when it is
    /// another event than an update.
    ///
    /// # Errors
    /// An update of another shape than the one that is scanned for.
    pub fn scan(&self, event: &[u8], mut each: impl FnMut(u32, u64)) -> Result<Option<Sight>> {
        let is_batch = event.starts_with(UPDATES);
        if !is_batch && !event.starts_with(UPDATE) {
            return Ok(None);
        }
        let mut sight = Sight { oldest: u64::MAX, ..Sight::default() };
        let mut rest = event;
        while let Some(at) = self.id.find(rest) {
            let (sensor, behind) = digits(&rest[at + self.id.needle().len()..]);
            let behind = behind.strip_prefix(&*self.between).with_context(|| {
                format!("another shape than expected: {}", event.escape_ascii())
            })?;
            let (value, behind) = digits(behind);
            ensure!(
                matches!(behind, [b'.', b'0', b',' | b'}', ..] | [b',' | b'}', ..]),
                "a value that is not whole: {}",
                event.escape_ascii()
            );
            each(u32::try_from(sensor)?, value);
            sight.readings += 1;
            sight.newest = sight.newest.max(value);
            sight.oldest = sight.oldest.min(value);
            rest = behind;
        }
        ensure!(sight.readings > 0, "an update without a reading: {}", event.escape_ascii());
        if is_batch && let Some(at) = self.conflated.find(rest) {
            sight.conflated = digits(&rest[at + CONFLATED.len()..]).0;
        }
        Ok(Some(sight))
    }

    /// Parses the event in full; the scan must have found the same.
    ///
    /// # Errors
    /// It is not what the documentation says, or the scan found something else.
    pub fn check(&self, event: &[u8]) -> Result<()> {
        let mut scanned = Vec::new();
        let sight = self.scan(event, |sensor, value| scanned.push((sensor, value)))?;
        let Some(sight) = sight else { return Ok(()) };
        let parsed: Envelope = serde_json::from_slice(event)
            .with_context(|| format!("not the documented shape: {}", event.escape_ascii()))?;
        let (rows, conflated) = match parsed {
            Envelope::SensorUpdate(row) => (vec![row], 0),
            Envelope::SensorUpdates { readings, conflated } => (readings, conflated),
        };
        let found = rows.iter().map(|row| self.pair(row)).collect::<Result<Vec<_>>>()?;
        if found != scanned || conflated != sight.conflated {
            bail!("the scan found {scanned:?} and {sight:?} in {}", event.escape_ascii());
        }
        Ok(())
    }

    fn pair(&self, row: &Row) -> Result<(u32, u64)> {
        let Row { sensor_id, sensor_type, value, timestamp, position } = row;
        ensure!(*sensor_type == self.sensor_type, "a reading of type {sensor_type:?}");
        timestamp.parse::<jiff::Timestamp>().with_context(|| format!("{timestamp:?}"))?;
        ensure!(position.contains(':'), "a position {position:?}");
        let number = sensor_id.strip_prefix(&self.prefix).and_then(|digits| digits.parse().ok());
        Ok((number.with_context(|| format!("a sensor {sensor_id:?}"))?, *value as u64))
    }
}

/// Digits at the beginning as a number, and what stands behind them.
fn digits(bytes: &[u8]) -> (u64, &[u8]) {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
            _ => return (number, &bytes[index..]),
        }
    }
    (number, &[])
}

#[derive(Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
enum Envelope {
    SensorUpdate(Row),
    SensorUpdates { readings: Vec<Row>, conflated: u64 },
}

#[derive(Deserialize)]
struct Row {
    sensor_id: String,
    sensor_type: String,
    value: f64,
    timestamp: String,
    position: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sensor: u32, value: &str) -> String {
        format!(r#"{{"sensor_id":"c{sensor:05}","sensor_type":"latency","value":{value},"#,)
            + r#""unit":"µs","timestamp":"2026-11-23T18:00:00.000Z","location":"Room A","#
            + r#""metadata":{},"position":"3:7-0.5"}"#
    }

    fn batch(rows: &[String], conflated: u64) -> Vec<u8> {
        let rows = rows.join(",");
        format!(
            r#"{{"event":"sensor_updates","data":{{"readings":[{rows}],"conflated":{conflated}}}}}"#
        )
        .into_bytes()
    }

    fn scanner() -> Scanner {
        Scanner::new("c", "latency")
    }

    #[test]
    fn the_scan_finds_what_the_parser_finds() {
        let check = |event: &[u8], pairs: &[(u32, u64)], conflated| {
            let mut found = Vec::new();
            let sight = scanner().scan(event, |sensor, value| found.push((sensor, value)));
            let sight = sight.unwrap().unwrap();
            assert_eq!(found, pairs);
            let values = || pairs.iter().map(|(_, value)| *value);
            let expected = Sight {
                readings: pairs.len() as u64,
                conflated,
                newest: values().max().unwrap(),
                oldest: values().min().unwrap(),
            };
            assert_eq!(sight, expected);
            scanner().check(event).unwrap();
        };
        check(&batch(&[row(7, "42.0")], 0), &[(7, 42)], 0);
        let rows = [row(0, "9.0"), row(99_999, "1234567890123.0"), row(123_456, "5")];
        check(&batch(&rows, 17), &[(0, 9), (99_999, 1_234_567_890_123), (123_456, 5)], 17);
        let single = format!(r#"{{"event":"sensor_update","data":{}}}"#, row(3, "8.0"));
        check(single.as_bytes(), &[(3, 8)], 0);
    }

    #[test]
    fn other_events_show_nothing() {
        for event in [r#"{"event":"status","data":{}}"#, r#"{"event":"sensor_status","data":{}}"#] {
            assert_eq!(scanner().scan(event.as_bytes(), |_, _| ()).unwrap(), None, "{event}");
            scanner().check(event.as_bytes()).unwrap();
        }
    }

    #[test]
    fn an_update_of_another_shape_is_no_silent_nothing() {
        let good = String::from_utf8(batch(&[row(7, "42.0")], 3)).unwrap();
        for (from, to) in [
            ("42.0", "42.5"),
            ("42.0", "4.2e1"),
            ("42.0", "-42.0"),
            ("42.0", "null"),
            (r#""sensor_type":"latency""#, r#""sensor_type":"other""#),
            (r#""sensor_id":"c"#, r#""sensor_id":"d"#),
            (r#""readings":["#, r#""readings":[],"others":["#),
        ] {
            let bad = good.replace(from, to);
            let refused = scanner().check(bad.as_bytes()).is_err();
            assert!(refused, "{bad}");
        }
        // The scan alone does not see these, which is why it is checked.
        for (from, to) in [
            ("}}", ""),
            (r#""conflated":3"#, r#""conflated":"3""#),
            ("2026-11-23T18", "2026-11-23X18"),
        ] {
            assert!(scanner().check(good.replace(from, to).as_bytes()).is_err(), "{from}");
        }
    }
}
