//! Readings of one sensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::serve::answer;
use crate::serve::history::{Found, Wanted};
use crate::serve::query::{Kind, Parameter};
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};
use crate::serve::table::Rows;
use crate::serve::view::{Attributes, Moment, ReadingRow};

pub(in crate::serve) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "hours",
        about: "How far back, 1 to 1,000,000; 24 unless given.",
        kind: Kind::Whole,
    },
    Parameter { name: "type", about: "Only this type.", kind: Kind::Text },
    Parameter {
        name: "from",
        about: "From this time on; RFC 3339, or ms since 1970.",
        kind: Kind::Time,
    },
    Parameter {
        name: "to",
        about: "Before this time; RFC 3339, or ms since 1970.",
        kind: Kind::Time,
    },
    Parameter {
        name: "limit",
        about: "Readings at most, 1 to 100,000 (default).",
        kind: Kind::Whole,
    },
    Parameter { name: "cursor", about: "The `next` of the page before.", kind: Kind::Text },
    Parameter { name: "resolution", about: "Only `raw` is built yet.", kind: Kind::Text },
    Parameter { name: "points", about: "Not built yet.", kind: Kind::Whole },
    Parameter { name: "format", about: "Not built yet.", kind: Kind::Text },
    Parameter { name: "percentiles", about: "Not built yet.", kind: Kind::Text },
];

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct ReadingList<'a> {
    /// Ascending by time.
    readings: Vec<ReadingRow<'a>>,
    /// The `cursor` of the next page; null on the last.
    next: Option<&'a str>,
    /// By type: up to where these readings reach, `<shard>:<ms>-<seq>.<index>`, one per shard.
    position: &'a BTreeMap<String, String>,
    /// What the rows are: single readings.
    resolution: &'static str,
}

/// `GET /api/sensors/{id}/readings`.
pub(in crate::serve) fn list(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let id = asked.open.clone().unwrap_or_default();
        let wanted = Wanted::parse(id, &asked.query, service.deps.clock.now())?;
        let found = wanted.read(service).await?;
        answer::large_json(asked.encodings(), &service.table, move |rows| {
            Ok(answer::to_bytes(&ReadingList {
                readings: reading_rows(&found, rows),
                next: found.next.as_deref(),
                position: &found.position,
                resolution: "raw",
            }))
        })
        .await
    })
}

/// The readings with the attributes that their series have now.
pub(in crate::serve) fn reading_rows<'a>(found: &'a Found, rows: &'a Rows) -> Vec<ReadingRow<'a>> {
    let attributes: Vec<&Attributes> =
        found.types.iter().map(|series| rows.attributes(series)).collect();
    let row = |&(place, point): &(usize, crate::history::Point)| {
        let (series, attributes) = (&found.types[place], attributes[place]);
        ReadingRow {
            sensor_id: &series.sensor_id,
            sensor_type: &series.sensor_type,
            value: point.value,
            unit: &attributes.unit,
            timestamp: Moment(point.measured_at),
            location: attributes.location.as_deref(),
            metadata: &attributes.metadata,
        }
    };
    found.readings.iter().map(row).collect()
}
