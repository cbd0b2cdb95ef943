//! Readings and windows of one sensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::header::{self, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::serve::answer::{self, Answer};
use crate::serve::error::Fault;
use crate::serve::history::{Format, Found, PercentilesByType, ShownRows, Stream, Wanted};
use crate::serve::query::{Kind, Parameter};
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};
use crate::serve::view::ReadingRow;

pub(in crate::serve) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "hours",
        about: "How far back, 1 to 1,000,000; 24 unless given. Not with `from`.",
        kind: Kind::Whole(1, 1_000_000),
    },
    Parameter { name: "type", about: "Only this type.", kind: Kind::Text },
    Parameter {
        name: "from",
        about: "From this time on: RFC 3339, or s, ms, µs or ns since 1970 by magnitude.",
        kind: Kind::Time,
    },
    Parameter { name: "to", about: "Before this time; written as `from`.", kind: Kind::Time },
    Parameter {
        name: "resolution",
        about: "`raw` (readings; default), `1m`, `1h` (windows) or `auto` (default with `points`): \
                the finest that is kept back to `from`, else what reaches back furthest.",
        kind: Kind::OneOf(&["raw", "1m", "1h", "auto"]),
    },
    Parameter {
        name: "points",
        about: "At most so many rows of each type, 2 to 10,000, with the peaks. Not with `limit` \
                or `cursor`.",
        kind: Kind::Whole(2, 10_000),
    },
    Parameter {
        name: "limit",
        about: "Rows at most, 1 to 100,000 (default; CSV and NDJSON: all).",
        kind: Kind::Whole(1, 100_000),
    },
    Parameter {
        name: "cursor",
        about: "The `next` of the page before; everything else as there.",
        kind: Kind::Text,
    },
    Parameter {
        name: "percentiles",
        about: "At most 16 numbers from 0 to 100 with commas between: exact, over the single \
                readings of the range. JSON only, and not with `cursor`.",
        kind: Kind::Text,
    },
    Parameter {
        name: "format",
        about: "`json`, `csv` or `ndjson`; else what `Accept` prefers.",
        kind: Kind::OneOf(&["json", "csv", "ndjson"]),
    },
];

/// What a good answer is beside JSON.
pub(in crate::serve) const TEXTS: &[&str] = &["text/csv", "application/x-ndjson"];

/// The answer.
#[derive(Serialize, ToSchema)]
pub(in crate::serve) struct ReadingList<'a> {
    /// Ascending by time.
    #[schema(value_type = Vec<ReadingRow>)]
    readings: ShownRows<'a>,
    /// The `cursor` of the next page; null on the last.
    #[schema(required = true)]
    next: Option<&'a str>,
    /// By type: up to where these readings reach, `<shard>:<ms>-<seq>.<index>`, one per shard.
    position: &'a BTreeMap<String, String>,
    /// What the rows are: readings (`raw`), or windows (`1m`, `1h`).
    resolution: &'static str,
    /// By type and number, when they are asked for; null where there is no reading.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, Option<f64>>>, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    percentiles: Option<&'a PercentilesByType>,
}

/// `GET /api/sensors/{id}/readings`.
pub(in crate::serve) fn list(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let id = asked.open.clone().unwrap_or_default();
        let accept = asked.parts.headers.get(header::ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let clock = (service.deps.clock.now(), &service.config.naive_time);
        let wanted = Wanted::parse(id, &asked.query, Format::accepted(accept), clock)?;
        let mut answer = match wanted.format {
            Format::Json => json(service, &asked, &wanted).await,
            Format::Csv | Format::Ndjson => download(service, &asked, &wanted).await,
        }?;
        let both = HeaderValue::from_static("Accept, Accept-Encoding");
        answer.headers_mut().insert(header::VARY, both);
        Ok(answer)
    })
}

async fn json(service: &Arc<Service>, asked: &Asked, wanted: &Wanted) -> Result<Answer, Fault> {
    let percentiles = wanted.percentiles(service).await?;
    let found = Found::read(service, wanted).await?;
    answer::large_json(asked.encodings(), &service.table, move |rows| {
        let list = ReadingList {
            readings: found.shown(rows),
            next: found.next.as_deref(),
            position: &found.position,
            resolution: found.resolution(),
            percentiles: percentiles.as_ref(),
        };
        Ok(answer::to_bytes(&list))
    })
    .await
}

async fn download(service: &Arc<Service>, asked: &Asked, wanted: &Wanted) -> Result<Answer, Fault> {
    let stream = Stream::begin(service, wanted, asked.encodings()).await?;
    let mut answer = answer::pages(wanted.format.content_type(), stream.pages);
    let headers = answer.headers_mut();
    if stream.is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let disposition = HeaderValue::from_str(&disposition(&wanted.sensor_id, wanted.format));
    headers.extend(disposition.ok().map(|it| (header::CONTENT_DISPOSITION, it)));
    Ok(answer)
}

/// Under which name it is saved (RFC 6266): plain, and for those who understand it, exact.
fn disposition(sensor_id: &str, format: Format) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain: String = sensor_id.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let exact = |byte: u8| match char::from(byte) {
        c if is_plain(c) => c.to_string(),
        _ => format!("%{byte:02X}"),
    };
    let exact: String = sensor_id.bytes().map(exact).collect();
    let end = format.name();
    format!("attachment; filename=\"{plain}.{end}\"; filename*=UTF-8''{exact}.{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_plain_and_exact() {
        assert_eq!(
            disposition("a/b \"°\"", Format::Csv),
            "attachment; filename=\"a_b____.csv\"; \
             filename*=UTF-8''a%2Fb%20%22%C2%B0%22.csv"
        );
    }
}
