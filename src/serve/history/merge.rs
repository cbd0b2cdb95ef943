//! The series of a sensor merged by time, page by page.
//!
//! Each series has a page of rows in hand. What is not later than the last row in hand of every
//! series that has more is complete, and can go.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cursor::After;
use super::found::Found;
use super::grain::Grain;
use super::rows::{Row, Sheet};
use super::store::{self, Source};
use super::wanted::Wanted;
use crate::serve::error::Fault;
use crate::serve::service::Service;

/// Rows of one series asked for at a time, at least: fewer would not be worth the round trip.
const PAGE_MIN: usize = 100;

/// Several series on their way into one order.
pub(super) struct Merge {
    sources: Vec<Source>,
    /// Of each source: ascending, read but not given out yet.
    in_hand: Vec<Vec<Row>>,
    /// Rows of one series at a time.
    page: usize,
}

impl Merge {
    /// Reads the first page of every series; `rows` are about to be in hand at a time.
    ///
    /// # Errors
    /// [`Fault::UnknownSensor`] or [`Fault::UnknownType`] when none of the series is known.
    pub(super) async fn open(
        service: &Service,
        wanted: &Wanted,
        grain: Grain,
        rows: usize,
    ) -> Result<Self, Fault> {
        let all = store::sources(service, wanted, grain).await?;
        let page = (rows / all.len().max(1)).max(PAGE_MIN).min(rows);
        let mut merge = Self { sources: Vec::new(), in_hand: Vec::new(), page };
        for mut source in all {
            let first = source.page(service, page).await?;
            if source.position.is_some() {
                merge.in_hand.push(first);
                merge.sources.push(source);
            }
        }
        if merge.sources.is_empty() {
            return Err(store::unknown(service, wanted).await);
        }
        Ok(merge)
    }

    /// The next rows in order, each with the place of its series; none at the end.
    pub(super) async fn next(&mut self, service: &Service) -> Result<Vec<(usize, Row)>, Fault> {
        for (source, rows) in self.sources.iter_mut().zip(&mut self.in_hand) {
            while rows.is_empty() && source.more {
                *rows = source.page(service, self.page).await?;
            }
        }
        Ok(self.take())
    }

    /// Whether rows are left.
    pub(super) fn has_more(&self) -> bool {
        self.in_hand.iter().any(|rows| !rows.is_empty())
            || self.sources.iter().any(|source| source.more)
    }

    /// What the places of rows mean.
    pub(super) fn sheets(&self) -> Vec<Arc<Sheet>> {
        self.sources.iter().map(|source| source.sheet.clone()).collect()
    }

    /// Up to where the first pages reached, by type.
    pub(super) fn position(&self) -> BTreeMap<String, String> {
        positions(&self.sources)
    }

    /// Forgets with what the rows were sent that are given out.
    pub(super) fn forget(&mut self) {
        for (source, rows) in self.sources.iter_mut().zip(&self.in_hand) {
            if rows.is_empty() {
                source.forget();
            }
        }
    }

    fn take(&mut self) -> Vec<(usize, Row)> {
        let ends = (0..).zip(self.sources.iter().zip(&self.in_hand));
        let ends = ends.filter(|(_, (source, _))| source.more);
        let complete =
            ends.filter_map(|(place, (_, rows))| Some((rows.last()?.place, place))).min();
        let mut taken = Vec::new();
        for (place, rows) in self.in_hand.iter_mut().enumerate() {
            let is_complete =
                |row: &Row| complete.is_none_or(|complete| (row.place, place) <= complete);
            let end = rows.partition_point(is_complete);
            taken.extend(rows.drain(..end).map(|row| (place, row)));
        }
        if self.sources.len() > 1 {
            taken.sort_by_key(|(place, row)| (row.place, *place));
        }
        taken
    }
}

/// Up to where the first pages reached, by type.
pub(super) fn positions(sources: &[Source]) -> BTreeMap<String, String> {
    let position =
        |source: &Source| Some((source.series().sensor_type.to_string(), source.position.clone()?));
    sources.iter().filter_map(position).collect()
}

/// The first `limit` rows that are wanted, and the cursor of those behind.
pub(super) async fn page(
    service: &Service,
    wanted: &Wanted,
    grain: Grain,
    limit: usize,
) -> Result<Found, Fault> {
    let mut merge = Merge::open(service, wanted, grain, limit).await?;
    let mut rows = Vec::new();
    while rows.len() < limit {
        let mut next = merge.next(service).await?;
        if next.is_empty() {
            break;
        }
        if rows.is_empty() {
            rows = next;
        } else {
            rows.append(&mut next);
        }
    }
    let more = rows.len() > limit || merge.has_more();
    rows.truncate(limit);
    let sheets = merge.sheets();
    let next = rows.last().filter(|_| more).map(|(place, row)| {
        let sensor_type = sheets[*place].series.sensor_type.to_string();
        wanted.next(grain, After { place: row.place, sensor_type })
    });
    Ok(Found { grain, rows, sheets, position: merge.position(), next })
}
