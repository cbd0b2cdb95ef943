//! Rows of an answer, and what is shown with each.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::history::answer::Cursor;
use crate::reading::SeriesKey;
use crate::serve::table::Rows;
use crate::serve::view::{Attributes, Moment, ReadingRow};
use crate::shard::ShardId;

/// Versions of one series worth a look at which of them are still needed: 4 KiB each at most.
const VERSIONS_MANY: usize = 256;

/// A reading, or a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::serve) struct Row {
    /// Its time, and where it stands among those of the same time; windows begin at theirs.
    pub(in crate::serve) place: Cursor,
    /// A window's mean; not a number where its sum overflowed.
    pub(in crate::serve) value: f64,
    /// The version of unit, location and metadata.
    pub(super) attributes: u32,
    /// Of a window.
    pub(super) summary: Option<Summary>,
}

/// What a window has beside its mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) count: u64,
}

impl Row {
    /// Versions count within a shard.
    const fn version(&self) -> (ShardId, u32) {
        (self.place.shard, self.attributes)
    }

    pub(super) fn low(&self) -> f64 {
        self.summary.map_or(self.value, |summary| summary.min)
    }

    pub(super) fn high(&self) -> f64 {
        self.summary.map_or(self.value, |summary| summary.max)
    }
}

/// A series in an answer, with what its rows were sent with.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Sheet {
    pub(in crate::serve) series: SeriesKey,
    /// Ascending by shard and version. One that is missing means the newest.
    versions: Vec<((ShardId, u32), Arc<Attributes>)>,
}

impl Sheet {
    pub(super) const fn new(series: SeriesKey) -> Self {
        Self { series, versions: Vec::new() }
    }

    /// Learns what a version stands for; text that is not what the aggregation stores is left
    /// out, so that the newest stands in.
    pub(super) fn learn(&mut self, shard: ShardId, version: u32, json: &str) {
        let at = self.versions.binary_search_by_key(&(shard, version), |(it, _)| *it);
        if let (Err(place), Some(attributes)) = (at, Attributes::parse(json.as_bytes())) {
            self.versions.insert(place, ((shard, version), Arc::new(attributes)));
        }
    }

    /// Forgets the versions of other rows, when there are many.
    pub(super) fn keep_only<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) {
        if self.versions.len() > VERSIONS_MANY {
            let wanted: BTreeSet<_> = rows.map(Row::version).collect();
            self.versions.retain(|(version, _)| wanted.contains(version));
        }
    }

    /// Forgets all versions.
    pub(super) fn forget(&mut self) {
        self.versions.clear();
    }

    fn attributes<'a>(&'a self, row: &Row, newest: &'a Attributes) -> &'a Attributes {
        match self.versions.binary_search_by_key(&row.version(), |(it, _)| *it) {
            Ok(place) => &self.versions[place].1,
            Err(_) => newest,
        }
    }
}

/// Rows as they are sent.
pub(in crate::serve) struct ShownRows<'a> {
    /// Each with the place of its series.
    rows: &'a [(usize, Row)],
    sheets: &'a [Arc<Sheet>],
    /// What the series are sent with now; one for each sheet.
    newest: Vec<&'a Attributes>,
}

impl<'a> ShownRows<'a> {
    pub(super) fn new(rows: &'a [(usize, Row)], sheets: &'a [Arc<Sheet>], table: &'a Rows) -> Self {
        let newest = sheets.iter().map(|sheet| table.attributes(&sheet.series)).collect();
        Self { rows, sheets, newest }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = ReadingRow<'_>> {
        self.rows.iter().map(|(place, row)| {
            let sheet = &*self.sheets[*place];
            let attributes = sheet.attributes(row, self.newest[*place]);
            ReadingRow {
                sensor_id: &sheet.series.sensor_id,
                sensor_type: &sheet.series.sensor_type,
                value: row.value,
                unit: &attributes.unit,
                timestamp: Moment(row.place.measured_at),
                location: attributes.location.as_deref(),
                metadata: &attributes.metadata,
                min: row.summary.map(|summary| summary.min),
                max: row.summary.map(|summary| summary.max),
                count: row.summary.map(|summary| summary.count),
            }
        })
    }
}

impl Serialize for ShownRows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
