//! History as the REST API answers it, and windows recomputed from single readings.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::http::Answer;
use super::streamgauge::Streamgauge;

/// A row of an answer: a reading, or a window with its mean as value.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Milliseconds since 1970.
    pub at: i64,
    /// The reading, or a window's mean.
    pub value: f64,
    /// In force at its time.
    pub unit: String,
    /// Least, greatest and number; only of a window.
    pub window: Option<(f64, f64, u64)>,
}

/// The query of a sensor's rows from `from` (milliseconds) on.
pub fn query(sensor: &str, resolution: &str, from: i64) -> String {
    format!("/api/sensors/{sensor}/readings?from={from}&resolution={resolution}")
}

/// All rows page by page; `between` is done behind each page.
pub fn pages(
    streamgauge: &Streamgauge,
    query: &str,
    limit: usize,
    mut between: impl FnMut(),
) -> Vec<Row> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = answer(streamgauge, &format!("{query}&limit={limit}{cursor}"));
        let page: Page = serde_json::from_str(&answer.text).unwrap();
        assert!(page.readings.len() <= limit, "{} with a limit of {limit}", page.readings.len());
        all.extend(page.readings.iter().map(JsonRow::read));
        between();
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// All rows as a file.
pub fn lines(streamgauge: &Streamgauge, query: &str) -> Vec<Row> {
    let answer = answer(streamgauge, &format!("{query}&format=ndjson"));
    let read = |line| serde_json::from_str::<JsonRow>(line).unwrap().read();
    answer.text.lines().map(read).collect()
}

/// The numbers of a sensor's only series.
pub fn statistics(streamgauge: &Streamgauge, sensor: &str) -> HashMap<String, f64> {
    let answer = answer(streamgauge, &format!("/api/sensors/{sensor}"));
    let Series { sensors: [row] } = serde_json::from_str(&answer.text).unwrap();
    row.into_iter().filter_map(|(name, text)| Some((name, text.get().parse().ok()?))).collect()
}

fn answer(streamgauge: &Streamgauge, path: &str) -> Answer {
    let answer = streamgauge.try_get(path).unwrap_or_else(|| panic!("no answer to {path}"));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer
}

#[derive(Deserialize)]
struct Series {
    sensors: [HashMap<String, Box<RawValue>>; 1],
}

#[derive(Deserialize)]
struct Page {
    readings: Vec<JsonRow>,
    next: Option<String>,
}

/// Numbers stay text: `serde_json` rounds some to a neighbour, `str::parse` none.
#[derive(Deserialize)]
struct JsonRow {
    timestamp: String,
    value: Box<RawValue>,
    unit: String,
    min: Option<Box<RawValue>>,
    max: Option<Box<RawValue>>,
    count: Option<u64>,
}

impl JsonRow {
    fn read(&self) -> Row {
        let number = |text: &RawValue| text.get().parse::<f64>().unwrap();
        let window = self.min.as_deref().zip(self.max.as_deref()).zip(self.count);
        Row {
            at: self.timestamp.parse::<jiff::Timestamp>().unwrap().as_millisecond(),
            value: number(&self.value),
            unit: self.unit.clone(),
            window: window.map(|((min, max), count)| (number(min), number(max), count)),
        }
    }
}

/// What the windows of this length must be: `readings` are all there are, in order. Values times
/// `scale` are whole numbers, so that a mean is rounded only once.
pub fn windows_of(readings: &[Row], length_ms: i64, scale: f64) -> Vec<Row> {
    let start = |row: &Row| row.at.div_euclid(length_ms) * length_ms;
    readings
        .chunk_by(|one, next| start(one) == start(next))
        .map(|all| Row {
            at: start(&all[0]),
            value: mean(all, scale),
            unit: all.last().unwrap().unit.clone(),
            window: Some((least(all), greatest(all), all.len() as u64)),
        })
        .collect()
}

/// The smallest value of some.
pub fn least(rows: &[Row]) -> f64 {
    rows.iter().map(|row| row.value).fold(f64::INFINITY, f64::min)
}

/// The greatest value of some.
pub fn greatest(rows: &[Row]) -> f64 {
    rows.iter().map(|row| row.value).fold(f64::NEG_INFINITY, f64::max)
}

/// The mean of at least one, rounded once.
pub fn mean(rows: &[Row], scale: f64) -> f64 {
    let sum: i128 = rows.iter().map(|row| (row.value * scale).round() as i128).sum();
    sum as f64 / (rows.len() as f64 * scale)
}

/// Whether two means differ by rounding only.
pub fn is_near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 * expected.abs()
}
