//! Series with their statistics, out of the table; and the way to forget a sensor.

use std::sync::Arc;

use hyper::StatusCode;

use crate::message::Control;
use crate::serve::answer;
use crate::serve::error::Fault;
use crate::serve::listing::{Filter, Sort, select};
use crate::serve::query::{Kind, Parameter};
use crate::serve::quiet::Status;
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};
use crate::serve::table::Rows;
use crate::serve::view::{Deleted, SensorList};
use crate::stream::{catalogue, control};

/// Rows in one answer (design §7).
pub(in crate::serve) const ROWS_MAX: usize = 10_000;

pub(in crate::serve) const PARAMETERS: &[Parameter] = &[
    Parameter { name: "q", about: "Part of the sensor id, in any case.", kind: Kind::Text },
    Parameter { name: "type", about: "Only this type.", kind: Kind::Text },
    Parameter { name: "location", about: "Only this location.", kind: Kind::Text },
    Parameter {
        name: "status",
        about: "Only series that are heard as usual, late, or offline.",
        kind: Kind::OneOf(&["online", "late", "offline"]),
    },
    Parameter {
        name: "sort",
        about: "sensor_id (default), last_reading, count or status; with - in front descending.",
        kind: Kind::Text,
    },
    Parameter {
        name: "limit",
        about: "Rows at most, 1 to 10,000 (default).",
        kind: Kind::Whole(1, 10_000),
    },
    Parameter { name: "cursor", about: "The `next` of the page before.", kind: Kind::Text },
];

/// `GET /api/sensors`.
pub(in crate::serve) fn list(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let query = &asked.query;
        let filter = Filter {
            part_of_id: query.text("q").map(str::to_lowercase),
            sensor_type: query.text("type").map(str::to_owned),
            location: query.text("location").map(str::to_owned),
            status: query.one_of("status", &Status::ALL, Status::name)?,
        };
        let sort = Sort::parse(query.text("sort"))?;
        let limit = query.whole("limit", 1, ROWS_MAX)?.unwrap_or(ROWS_MAX);
        let cursor = sort.cursor(query.text("cursor"))?;
        answer::large_json(asked.encodings(), &service.table, move |rows| {
            check_loaded(rows)?;
            let (page, next) = select(rows, &filter, sort, cursor.as_ref(), limit);
            Ok(answer::to_bytes(&SensorList::new(&page, next, rows.as_of)))
        })
        .await
    })
}

/// `GET /api/sensors/{id}`.
pub(in crate::serve) fn one(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let id = asked.open.clone().unwrap_or_default();
        let body = {
            let rows = service.table.read();
            let of_sensor: Vec<_> = rows.sensor(&id).collect();
            if of_sensor.is_empty() {
                check_loaded(&rows)?;
                return Err(Fault::UnknownSensor(id.clone()));
            }
            answer::to_bytes(&SensorList::new(&of_sensor, None, rows.as_of))
        };
        Ok(answer::json_bytes(StatusCode::OK, asked.encodings(), body).await)
    })
}

/// `DELETE /api/sensors/{id}`: answers when every shard has the control message. The owners apply
/// it in its place among the readings.
pub(in crate::serve) fn delete(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let id = asked.open.clone().unwrap_or_default();
        let (keys, deps) = (service.shards()?, &service.deps);
        let is_listed = service.table.read().sensor(&id).next().is_some();
        if !is_listed {
            // One that sent a moment ago is not in the table yet.
            let types = catalogue::types(&deps.link, &keys, &id).await;
            if types.map_err(|error| Fault::redis(&error))?.is_empty() {
                return Err(Fault::UnknownSensor(id));
            }
        }
        let control = Control::Delete { sensor_id: id.as_str().into() };
        let told = control::tell_every_shard(&deps.link, &keys, &control, deps.clock.now()).await;
        told.map_err(|error| Fault::Unavailable {
            outside: "the sensor may not be deleted in all shards; delete it again",
            inside: error.to_string(),
        })?;
        tracing::info!(sensor_id = id, "a sensor is deleted, as was asked over HTTP");
        let body = Deleted { sensor_id: &id, deleted: true };
        Ok(answer::json(StatusCode::ACCEPTED, asked.encodings(), &body).await)
    })
}

/// Before the first load is complete nobody can say what is there.
pub(in crate::serve) fn check_loaded(rows: &Rows) -> Result<(), Fault> {
    if rows.as_of.is_some() {
        return Ok(());
    }
    let outside = "the sensors are not loaded from Redis yet";
    Err(Fault::Unavailable { outside, inside: String::new() })
}
