//! What clients ask for and nobody else gets: all statistics, and the readings of a sensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Mutex;

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

/// The answer to `request_all_stats`, encoded once for all who ask while the table is the same.
#[derive(Debug, Default)]
pub(super) struct AllStats {
    /// As of which of the table's changes, and what. Held while it is encoded, so that a thousand
    /// who ask at once wait for one.
    encoded: Mutex<Option<(u64, Frame)>>,
}

impl AllStats {
    /// `sensor_stats`, or `error`.
    ///
    /// # Cancel safety
    /// Safe: whoever waits next encodes.
    pub(super) async fn frame(&self, table: &Arc<Table>) -> Frame {
        let asked = table.read().changes();
        let mut encoded = self.encoded.lock().await;
        // One that was begun since is as new as it was asked for, even if the table changed again.
        if let Some((_, frame)) = encoded.as_ref().filter(|(changes, _)| *changes >= asked) {
            return frame.clone();
        }
        let look = |table: &Table| {
            let rows = table.read();
            if let Err(fault) = check_loaded(&rows) {
                return (None, event::error(&format!("request_all_stats: {fault}")));
            }
            let (page, next) = select(&rows, &Filter::default(), Sort::default(), None, ROWS_MAX);
            let frame = Frame::new("sensor_stats", &SensorList::new(&page, next, rows.as_of));
            (Some(rows.changes()), frame)
        };
        let (changes, frame) = table.at_length(look).await;
        *encoded = changes.map(|changes| (changes, frame.clone()));
        frame
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::UnixMillis;

    #[tokio::test]
    async fn all_statistics_are_encoded_once_per_state_of_the_table() {
        let (table, all) = (Arc::new(Table::default()), AllStats::default());
        assert_eq!(all.frame(&table).await.event(), "error", "nothing is loaded");
        table.change(|rows| rows.as_of = Some(UnixMillis(1))).await;
        let (one, other) = tokio::join!(all.frame(&table), all.frame(&table));
        assert_eq!(one.event(), "sensor_stats");
        assert_eq!(one.wire().as_ptr(), other.wire().as_ptr(), "the same bytes");
        table.change(|rows| rows.as_of = Some(UnixMillis(2))).await;
        assert_ne!(all.frame(&table).await, one);
    }
}
