//! The shapes of what is sent, where compatibility is promised (design §7).
//!
//! A number that is not finite is written as `null` by serde_json, so NaN never leaves.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub(super) use super::moment::Moment;
use super::quiet::Status;
use super::table::Merged;
use crate::reading::{Reading, UnixMillis};
use crate::statistic::Statistics;

/// What is known of a series beside its numbers: as sent with its latest reading.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    /// Empty when none was sent.
    pub(super) unit: Box<str>,
    pub(super) location: Option<Box<str>>,
    /// A JSON object.
    pub(super) metadata: Box<RawValue>,
}

impl Attributes {
    /// As a reading says them.
    pub(super) fn of(reading: &Reading<'_>) -> Self {
        let metadata = RawValue::from_string(reading.metadata.clone().into_owned());
        Self {
            unit: reading.unit.as_ref().into(),
            location: reading.location.as_deref().map(Into::into),
            metadata: metadata.unwrap_or_else(|_not_json| no_metadata()),
        }
    }

    /// Reads what the aggregation stored; `None` when it is not that.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Stored {
            #[serde(default)]
            unit: Box<str>,
            #[serde(default)]
            location: Option<Box<str>>,
            metadata: Option<Box<RawValue>>,
        }
        let Stored { unit, location, metadata } = serde_json::from_slice(json).ok()?;
        Some(Self { unit, location, metadata: metadata.unwrap_or_else(no_metadata) })
    }
}

/// Of a series whose attributes were never sent, or are not read yet.
pub(super) static NO_ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(Attributes::default);

impl Default for Attributes {
    fn default() -> Self {
        Self { unit: "".into(), location: None, metadata: no_metadata() }
    }
}

#[expect(clippy::expect_used, reason = "an empty object is JSON")]
fn no_metadata() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("an empty object is JSON")
}

/// One series with its statistics since its first reading.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SensorRow<'a> {
    pub(super) sensor_id: &'a str,
    pub(super) sensor_type: &'a str,
    /// As sent; empty when none was sent.
    pub(super) unit: &'a str,
    pub(super) location: Option<&'a str>,
    #[schema(value_type = Object)]
    pub(super) metadata: &'a RawValue,
    pub(super) min_value: Option<f64>,
    pub(super) max_value: Option<f64>,
    /// Not rounded; null when the sum overflowed.
    pub(super) avg_value: Option<f64>,
    /// The sample deviation; null below two readings.
    pub(super) stddev: Option<f64>,
    pub(super) count: u64,
    /// The value measured last.
    pub(super) last_value: Option<f64>,
    /// When that was, by the sensor's clock.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) last_reading: Option<Moment>,
    /// `online`, `late` or `offline`, by the time of the last message and how often they use to
    /// come; null until the sensors are loaded.
    pub(super) status: Option<&'static str>,
}

impl<'a> SensorRow<'a> {
    pub(super) fn new(merged: &'a Merged<'a>) -> Self {
        let Merged { series, statistics, attributes, status } = merged;
        let attributes = attributes.unwrap_or_else(|| &NO_ATTRIBUTES);
        let Statistics { moments, extent, ends } = statistics;
        let known = moments.count > 0;
        Self {
            sensor_id: &series.sensor_id,
            sensor_type: &series.sensor_type,
            unit: &attributes.unit,
            location: attributes.location.as_deref(),
            metadata: &attributes.metadata,
            min_value: known.then_some(extent.min),
            max_value: known.then_some(extent.max),
            avg_value: moments.average(),
            stddev: moments.deviation(),
            count: moments.count,
            last_value: known.then_some(ends.last_value),
            last_reading: known.then_some(Moment(ends.last_at)),
            status: status.map(Status::name),
        }
    }
}

/// Series, and where the next page begins.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SensorList<'a> {
    pub(super) sensors: Vec<SensorRow<'a>>,
    /// The `cursor` of the next page; null on the last.
    #[schema(required = true)]
    pub(super) next: Option<String>,
    /// When the table behind the answer was last compared with Redis.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) as_of: Option<Moment>,
}

impl<'a> SensorList<'a> {
    pub(super) fn new(
        page: &'a [Merged<'a>],
        next: Option<String>,
        as_of: Option<UnixMillis>,
    ) -> Self {
        let sensors = page.iter().map(SensorRow::new).collect();
        Self { sensors, next, as_of: as_of.map(Moment) }
    }
}

/// A sensor whose deletion is stored and will be applied.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Deleted<'a> {
    pub(super) sensor_id: &'a str,
    /// Always true; what was not stored is answered with an error.
    pub(super) deleted: bool,
}

/// One reading, or one window.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadingRow<'a> {
    pub(super) sensor_id: &'a str,
    pub(super) sensor_type: &'a str,
    /// A window's mean; null when its sum overflowed.
    #[schema(value_type = Option<f64>, required = true)]
    pub(super) value: f64,
    pub(super) unit: &'a str,
    /// When a window began.
    #[schema(value_type = String, format = DateTime)]
    pub(super) timestamp: Moment,
    pub(super) location: Option<&'a str>,
    #[schema(value_type = Object)]
    pub(super) metadata: &'a RawValue,
    /// Only of a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min: Option<f64>,
    /// Only of a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max: Option<f64>,
    /// How many readings a window has; only of a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
}

/// What an error says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What is wrong, with what, and what is allowed.
    pub(super) error: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::SeriesKey;
    use crate::statistic::Statistic;

    fn merged<'a>(
        series: &'a SeriesKey,
        statistics: &Statistics,
        attributes: Option<&'a Attributes>,
    ) -> Merged<'a> {
        Merged { series, statistics: statistics.clone(), attributes, status: None }
    }

    fn series() -> SeriesKey {
        SeriesKey { sensor_id: "kitchen".into(), sensor_type: "temperature".into() }
    }

    #[test]
    fn a_row_has_the_promised_shape() {
        let mut statistics = Statistics::default();
        statistics.fold(21.5, UnixMillis(1_704_110_400_000));
        statistics.fold(22.5, UnixMillis(1_704_110_401_250));
        let stored = r#"{"unit":"°C","location":"Room A","metadata":{"calibrated":true}}"#;
        let attributes = Attributes::parse(stored.as_bytes()).unwrap();
        let series = series();
        let merged = merged(&series, &statistics, Some(&attributes));
        assert_eq!(
            serde_json::to_string(&SensorRow::new(&merged)).unwrap(),
            r#"{"sensor_id":"kitchen","sensor_type":"temperature","unit":"°C","location":"Room A","#
                .to_owned()
                + r#""metadata":{"calibrated":true},"min_value":21.5,"max_value":22.5,"#
                + r#""avg_value":22.0,"stddev":0.7071067811865476,"count":2,"last_value":22.5,"#
                + r#""last_reading":"2024-01-01T12:00:01.250Z","status":null}"#
        );
    }

    #[test]
    fn what_is_not_known_is_null() {
        let mut statistics = Statistics::default();
        statistics.fold(f64::MAX, UnixMillis(i64::MAX));
        statistics.fold(f64::MAX, UnixMillis(i64::MAX));
        let series = series();
        let merged = merged(&series, &statistics, None);
        let json = serde_json::to_value(SensorRow::new(&merged)).unwrap();
        for key in ["avg_value", "location", "last_reading", "status"] {
            assert!(json[key].is_null(), "{key}: {json}");
        }
        assert_eq!((json["unit"].as_str(), &json["metadata"]), (Some(""), &serde_json::json!({})));
    }
}
