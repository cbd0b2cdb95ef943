//! What Streamgauge gives back of the past, against a second walk through it.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::api::Api;
use crate::check::Findings;
use crate::past::{HOUR_MS, Past, Reading, Window, windows};

/// Sums of tenths divided by a count: rounding of the folded mean, relative.
const MEAN_TOLERANCE: f64 = 1e-12;

/// How long the windows of a resolution are, and its name.
pub const RESOLUTIONS: [(&str, i64); 2] = [("1m", 60_000), ("1h", HOUR_MS)];

/// How many windows of so many milliseconds all series have; the first reading of a series is
/// never late enough to leave its own.
#[must_use]
pub fn windows_in(past: &Past, window_ms: i64) -> u64 {
    windows(past.walk(0), window_ms).len() as u64 * u64::from(past.series)
}

/// Compares count, minimum, maximum and last value of every series.
///
/// # Errors
/// No answer.
pub fn statistics(api: &Api, past: &Past) -> Result<Findings> {
    let mut findings = Findings::default();
    api.sensors(|row| {
        let number =
            row.sensor_id.strip_prefix(&past.prefix).and_then(|digits| digits.parse().ok());
        let Some(series) = number.filter(|series| *series < past.series) else { return };
        let mut expected = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        for value in past.walk(series).map(Reading::value) {
            expected = [expected[0].min(value), expected[1].max(value), value];
        }
        findings.counted += row.count;
        let found = [row.min_value, row.max_value, row.last_value];
        if row.count == past.readings && found == expected.map(Some) {
            findings.right += 1;
        } else {
            findings.differs(format!("{row:?}: {} and {expected:?} expected", past.readings));
        }
    })?;
    Ok(findings)
}

#[derive(Deserialize)]
struct Row {
    value: f64,
    timestamp: String,
    #[serde(default)]
    min: f64,
    #[serde(default)]
    max: f64,
    #[serde(default)]
    count: u64,
}

impl Row {
    /// Milliseconds since 1970.
    fn measured_at(&self) -> Option<i64> {
        self.timestamp.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
    }
}

/// What of a series came back, all of it right: so many of its newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// That came back.
    pub kept: usize,
    /// That were published.
    pub published: usize,
}

impl Newest {
    /// Nothing is missing.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.kept == self.published
    }
}

/// Exports the readings of a series: each is as published, and none is missing from the first one
/// that comes back on.
///
/// # Errors
/// No export, or a reading that is wrong, twice or missing in between.
pub fn readings(api: &Api, past: &Past, series: u32) -> Result<Newest> {
    let rows = rows(api, past, series, "raw")?;
    let published: Vec<Reading> = past.walk(series).collect();
    let newest = suffix(&published, rows.len())?;
    for (row, reading) in rows.iter().zip(newest) {
        let is_right = row.measured_at() == Some(reading.measured_at)
            && row.value.to_bits() == reading.value().to_bits();
        ensure!(
            is_right,
            "{}: {} at {} in place of {reading:?}",
            past.sensor_id(series),
            row.value,
            row.timestamp
        );
    }
    Ok(Newest { kept: rows.len(), published: published.len() })
}

/// The same of windows; the first one that comes back may begin where something was evicted.
///
/// # Errors
/// No export, or a window that is wrong or missing in between.
pub fn windows_of(
    api: &Api,
    past: &Past,
    series: u32,
    (resolution, window_ms): (&str, i64),
) -> Result<Newest> {
    let rows = rows(api, past, series, resolution)?;
    let published = windows(past.walk(series), window_ms);
    let newest = suffix(&published, rows.len())?;
    for (row, window) in rows.iter().zip(newest) {
        ensure!(
            is_window(row, window),
            "{} {resolution}: mean {}, min {}, max {}, count {} at {} in place of {window:?}",
            past.sensor_id(series),
            row.value,
            row.min,
            row.max,
            row.count,
            row.timestamp
        );
    }
    Ok(Newest { kept: rows.len(), published: published.len() })
}

fn is_window(row: &Row, window: &Window) -> bool {
    let mean = window.sum_tenths as f64 / 10.0 / window.count as f64;
    let tenths = |tenths: i16| f64::from(tenths) / 10.0;
    row.measured_at() == Some(window.start)
        && row.count == window.count
        && row.min.to_bits() == tenths(window.min_tenths).to_bits()
        && row.max.to_bits() == tenths(window.max_tenths).to_bits()
        && (row.value - mean).abs() <= MEAN_TOLERANCE * mean.abs()
}

fn suffix<T>(published: &[T], kept: usize) -> Result<&[T]> {
    let from = published.len().checked_sub(kept);
    let from = from.with_context(|| format!("{kept} came back of {}", published.len()))?;
    Ok(&published[from..])
}

fn rows(api: &Api, past: &Past, series: u32, resolution: &str) -> Result<Vec<Row>> {
    let path = path(past, series, &format!("resolution={resolution}&format=ndjson"));
    let text = api.text(&path)?;
    let row = |line: &str| serde_json::from_str(line).with_context(|| format!("{path}: {line}"));
    text.lines().map(row).collect()
}

/// Asks for everything of a series. Windows may begin before their first reading.
#[must_use]
pub fn path(past: &Past, series: u32, query: &str) -> String {
    let from = past.start_ms - HOUR_MS;
    let (id, to) = (past.sensor_id(series), past.end_ms());
    format!("/api/sensors/{id}/readings?from={from}&to={to}&{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_right_or_wrong() {
        let window =
            Window { start: 60_000, count: 3, sum_tenths: 640, min_tenths: 210, max_tenths: 216 };
        let line = r#"{"value":21.333333333333332,"timestamp":"1970-01-01T00:01:00Z",
                       "min":21.0,"max":21.6,"count":3}"#;
        let row: Row = serde_json::from_str(line).unwrap();
        assert!(is_window(&row, &window));
        for wrong in [
            Window { start: 0, ..window },
            Window { count: 2, ..window },
            Window { sum_tenths: 641, ..window },
            Window { min_tenths: 209, ..window },
            Window { max_tenths: 217, ..window },
        ] {
            assert!(!is_window(&row, &wrong), "{wrong:?}");
        }
    }

    #[test]
    fn more_than_was_published_is_an_error() {
        assert_eq!(suffix(&[1, 2, 3], 2).unwrap(), [2, 3]);
        assert!(suffix(&[1], 2).is_err());
    }
}
