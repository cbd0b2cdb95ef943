//! What clients ask for and nobody else gets: all statistics, and the readings of a sensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::event::{self, Frame};
use super::thin::thin;
use crate::history::Point;
use crate::serve::history::{Found, Wanted};
use crate::serve::http::readings::reading_rows;
use crate::serve::http::sensors::{ROWS_MAX, check_loaded};
use crate::serve::listing::{Filter, Sort, select};
use crate::serve::service::Service;
use crate::serve::view::{ReadingRow, SensorList};

/// Readings in one answer over all types (design §8).
const READINGS_MAX: usize = 2000;

/// `sensor_stats`, or `error`.
pub(super) async fn all_stats(service: &Arc<Service>) -> Frame {
    let table = service.table.clone();
    beside(move || {
        let rows = table.read();
        if let Err(fault) = check_loaded(&rows) {
            return event::error(&format!("request_all_stats: {fault}"));
        }
        let (page, next) = select(&rows, &Filter::default(), Sort::default(), None, ROWS_MAX);
        event::frame("sensor_stats", &SensorList::new(&page, next, rows.as_of))
    })
    .await
}

/// `sensor_history`, or `error`.
pub(super) async fn sensor_data(service: &Arc<Service>, sensor_id: &str, hours: i64) -> Frame {
    let wanted = Wanted::hours(sensor_id.to_owned(), hours, service.deps.clock.now());
    let mut found = match wanted.read(service).await {
        Ok(found) => found,
        Err(fault) => return event::error(&format!("request_sensor_data: {fault}")),
    };
    if found.next.is_some() {
        return event::error(&format!(
            "request_sensor_data: more than {} readings in {hours} hours; ask for fewer hours",
            found.readings.len()
        ));
    }
    let (table, sensor_id) = (service.table.clone(), sensor_id.to_owned());
    beside(move || {
        thin_all(&mut found);
        let rows = table.read();
        event::frame(
            "sensor_history",
            &SensorHistory {
                sensor_id: &sensor_id,
                readings: reading_rows(&found, &rows),
                position: &found.position,
            },
        )
    })
    .await
}

#[derive(Serialize)]
struct SensorHistory<'a> {
    sensor_id: &'a str,
    readings: Vec<ReadingRow<'a>>,
    position: &'a BTreeMap<String, String>,
}

/// Thins every type alike.
fn thin_all(found: &mut Found) {
    let each = (READINGS_MAX / found.types.len().max(1)).max(2);
    let mut kept = Vec::new();
    for place in 0..found.types.len() {
        let of_type = found.readings.iter().filter(|(of, _)| *of == place);
        let of_type: Vec<Point> = of_type.map(|(_, point)| *point).collect();
        kept.extend(thin(&of_type, each).into_iter().map(|point| (place, point)));
    }
    kept.sort_by_key(|(place, point)| (point.cursor(), *place));
    kept.truncate(READINGS_MAX);
    found.readings = kept;
}

/// Large answers are made beside the runtime.
async fn beside(make: impl FnOnce() -> Frame + Send + 'static) -> Frame {
    match tokio::task::spawn_blocking(make).await {
        Ok(frame) => frame,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
