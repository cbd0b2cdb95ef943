//! What clients ask for and nobody else gets: all statistics, and the readings of a sensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::event::{self, Frame};
use super::thin::thin;
use crate::history::{LIMIT_DEFAULT, Point};
use crate::serve::error::Fault;
use crate::serve::history::{Found, Wanted};
use crate::serve::http::readings::reading_rows;
use crate::serve::http::sensors::{ROWS_MAX, check_loaded};
use crate::serve::listing::{Filter, Sort, select};
use crate::serve::service::Service;
use crate::serve::table::Table;
use crate::serve::view::{ReadingRow, SensorList};

/// Readings in one answer over all types (design §8).
const READINGS_MAX: usize = 2000;
/// Pages of history behind one answer: two million readings, a day at 20 a second. A guess.
const PAGES_MAX: usize = 20;

/// `sensor_stats`, or `error`.
pub(super) async fn all_stats(service: &Arc<Service>) -> Frame {
    let look = |table: &Table| {
        let rows = table.read();
        if let Err(fault) = check_loaded(&rows) {
            return event::error(&format!("request_all_stats: {fault}"));
        }
        let (page, next) = select(&rows, &Filter::default(), Sort::default(), None, ROWS_MAX);
        event::frame("sensor_stats", &SensorList::new(&page, next, rows.as_of))
    };
    service.table.at_length(look).await
}

/// `sensor_history`, or `error`.
pub(super) async fn sensor_data(service: &Arc<Service>, sensor_id: &str, hours: i64) -> Frame {
    let found = match thinned(service, sensor_id, hours).await {
        Ok(found) => found,
        Err(fault) => return event::error(&format!("request_sensor_data: {fault}")),
    };
    let sensor_id = sensor_id.to_owned();
    let look = move |table: &Table| {
        let rows = table.read();
        event::frame(
            "sensor_history",
            &SensorHistory {
                sensor_id: &sensor_id,
                readings: reading_rows(&found, &rows),
                position: &found.position,
            },
        )
    };
    service.table.at_length(look).await
}

/// The readings of the last hours, few enough for one answer. They are read page by page, and
/// each page is thinned before the next, so that only one is held whole.
async fn thinned(service: &Arc<Service>, sensor_id: &str, hours: i64) -> Result<Found, Fault> {
    let mut wanted = Wanted::hours(sensor_id.to_owned(), hours, service.deps.clock.now());
    let mut all = beside_thin(wanted.read(service).await?).await;
    for _ in 1..PAGES_MAX {
        let Some(next) = all.next.take() else { break };
        wanted = wanted.behind(&next)?;
        all.append(beside_thin(wanted.read(service).await?).await);
    }
    if all.next.is_some() {
        let most = PAGES_MAX * LIMIT_DEFAULT;
        return Err(Fault::BadRequest(format!(
            "more than {most} readings in {hours} hours; ask for fewer hours"
        )));
    }
    Ok(beside_thin(all).await)
}

/// Beside the runtime: a page may have 100,000 readings.
async fn beside_thin(mut found: Found) -> Found {
    let thin = move || {
        thin_all(&mut found);
        found
    };
    match tokio::task::spawn_blocking(thin).await {
        Ok(found) => found,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{SeriesKey, UnixMillis};
    use crate::shard::ShardId;

    fn page(kinds: &[&str], readings: &[(usize, i64)], next: Option<&str>) -> Found {
        let series = |kind: &&str| SeriesKey { sensor_id: "a".into(), sensor_type: (*kind).into() };
        let point = |&(place, at): &(usize, i64)| {
            let (measured_at, shard) = (UnixMillis(at), ShardId(0));
            #[expect(clippy::cast_precision_loss, reason = "small numbers of a test")]
            (place, Point { measured_at, value: at as f64, shard, offset: 0 })
        };
        Found {
            readings: readings.iter().map(point).collect(),
            types: kinds.iter().map(series).collect(),
            position: kinds.iter().map(|kind| ((*kind).to_owned(), format!("{next:?}"))).collect(),
            next: next.map(str::to_owned),
        }
    }

    #[test]
    fn pages_are_joined_by_type_and_the_first_positions_stay() {
        let mut all = page(&["h", "t"], &[(0, 1), (1, 2)], Some("n"));
        all.append(page(&["g", "t"], &[(1, 3), (0, 4)], None));
        let kinds: Vec<_> = all.types.iter().map(|series| &*series.sensor_type).collect();
        assert_eq!(kinds, ["h", "t", "g"]);
        let places: Vec<_> = all.readings.iter().map(|(place, it)| (*place, it.value)).collect();
        assert_eq!(places, [(0, 1.0), (1, 2.0), (1, 3.0), (2, 4.0)]);
        assert_eq!(
            (all.position["t"].as_str(), all.position["g"].as_str()),
            ("Some(\"n\")", "None")
        );
        assert_eq!(all.next, None);
    }

    #[test]
    fn two_types_share_the_answer_and_keep_their_peaks() {
        let readings: Vec<_> = (0..5000).map(|at| (usize::from(at % 2 == 1), at)).collect();
        let mut all = page(&["h", "t"], &readings, None);
        thin_all(&mut all);
        assert!(all.readings.len() <= READINGS_MAX, "{}", all.readings.len());
        assert!(all.readings.is_sorted_by_key(|(_, point)| point.measured_at));
        for peak in [0.0, 1.0, 4998.0, 4999.0] {
            assert!(all.readings.iter().any(|(_, it)| it.value.to_bits() == f64::to_bits(peak)));
        }
    }
}
