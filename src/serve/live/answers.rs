//! What clients ask for and nobody else gets: all statistics, and the readings of a sensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::event;
use super::frame::Frame;
use crate::serve::history::{Found, Points, ShownRows, Wanted};
use crate::serve::http::sensors::{ROWS_MAX, check_loaded};
use crate::serve::listing::{Filter, Sort, select};
use crate::serve::service::Service;
use crate::serve::table::Table;
use crate::serve::view::SensorList;

/// Readings in one answer over all types (design §8).
const READINGS_MAX: usize = 2000;

/// `sensor_stats`, or `error`.
pub(super) async fn all_stats(service: &Arc<Service>) -> Frame {
    let look = |table: &Table| {
        let rows = table.read();
        if let Err(fault) = check_loaded(&rows) {
            return event::error(&format!("request_all_stats: {fault}"));
        }
        let (page, next) = select(&rows, &Filter::default(), Sort::default(), None, ROWS_MAX);
        Frame::new("sensor_stats", &SensorList::new(&page, next, rows.as_of))
    };
    service.table.at_length(look).await
}

/// `sensor_history`, or `error`.
pub(super) async fn sensor_data(service: &Arc<Service>, sensor_id: &str, hours: i64) -> Frame {
    let points = Points::Together(READINGS_MAX);
    let wanted = Wanted::hours(sensor_id.to_owned(), hours, points, service.deps.clock.now());
    let found = match Found::read(service, &wanted).await {
        Ok(found) => found,
        Err(fault) => return event::error(&format!("request_sensor_data: {fault}")),
    };
    let look = move |table: &Table| {
        let rows = table.read();
        let history = SensorHistory {
            sensor_id: &wanted.sensor_id,
            readings: found.shown(&rows),
            position: &found.position,
            resolution: found.resolution(),
        };
        Frame::new("sensor_history", &history)
    };
    service.table.at_length(look).await
}

#[derive(Serialize)]
struct SensorHistory<'a> {
    sensor_id: &'a str,
    readings: ShownRows<'a>,
    position: &'a BTreeMap<String, String>,
    resolution: &'static str,
}
