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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::UnixMillis;

    fn row(shard: u16, attributes: u32) -> Row {
        let place = Cursor { measured_at: UnixMillis(0), shard: ShardId(shard), offset: 0 };
        Row { place, value: 1.0, attributes, summary: None }
    }

    fn sheet(versions: impl IntoIterator<Item = (u16, u32)>) -> Sheet {
        let series = SeriesKey { sensor_id: "a".into(), sensor_type: "t".into() };
        let mut sheet = Sheet::new(series);
        for (shard, version) in versions {
            sheet.learn(ShardId(shard), version, &format!(r#"{{"unit":"{shard}.{version}"}}"#));
        }
        sheet
    }

    #[test]
    fn versions_count_within_a_shard_and_a_missing_one_is_the_newest() {
        let mut sheet = sheet([(1, 2), (0, 2), (1, 1)]);
        sheet.learn(ShardId(0), 3, "no JSON");
        let newest = Attributes { unit: "new".into(), ..Attributes::default() };
        let check = |shard, version, unit: &str| {
            assert_eq!(&*sheet.attributes(&row(shard, version), &newest).unit, unit);
        };
        check(0, 2, "0.2");
        check(1, 1, "1.1");
        check(1, 2, "1.2");
        check(0, 1, "new");
        check(0, 3, "new");
    }

    #[test]
    fn of_many_versions_only_those_of_rows_stay() {
        let mut many = sheet((0..300).map(|version| (0, version)));
        many.keep_only([row(0, 7), row(0, 299), row(1, 5)].iter());
        let left: Vec<_> = many.versions.iter().map(|((_, version), _)| *version).collect();
        assert_eq!(left, [7, 299]);
        let mut few = sheet([(0, 1), (0, 2)]);
        few.keep_only([].iter());
        assert_eq!(few.versions.len(), 2);
    }
}
