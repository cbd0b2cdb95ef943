//! What of this is asked of Redis: the types of a sensor, since when a series is kept, its pages.

use std::sync::Arc;

use super::cursor::After;
use super::grain::{Grain, Since, together};
use super::rows::{Row, Sheet};
use super::wanted::{Shape, Wanted};
use crate::history::{self, OldNewest as Newest, Point, Range};
use crate::reading::SeriesKey;
use crate::serve::error::Fault;
use crate::serve::service::Service;
use crate::shard::ShardId;
use crate::stream::{Position, catalogue};

/// One series, read page by page.
pub(super) struct Source {
    /// With the versions of all rows read so far, unless they were forgotten.
    pub(super) sheet: Arc<Sheet>,
    /// Up to where the first page reached: `<shard>:<ms>-<seq>.<index>`, one per shard, with
    /// commas between. `None` before it, and when nobody knows the series.
    pub(super) position: Option<String>,
    /// Whether there may be another page.
    pub(super) more: bool,
    grain: Grain,
    range: Range,
}

/// The series that are asked for, in the order of their types; not read yet.
pub(super) async fn sources(
    service: &Service,
    wanted: &Wanted,
    grain: Grain,
) -> Result<Vec<Source>, Fault> {
    let after = match &wanted.shape {
        Shape::Page { after, .. } => after.as_ref(),
        Shape::Picture(_) | Shape::Stream { .. } => None,
    };
    let series = series(service, wanted).await?;
    let source = |series: SeriesKey| Source::new(series, wanted, grain, after);
    Ok(series.into_iter().map(source).collect())
}

/// The series that are asked for, in the order of their types.
pub(super) async fn series(service: &Service, wanted: &Wanted) -> Result<Vec<SeriesKey>, Fault> {
    let types = match &wanted.sensor_type {
        Some(sensor_type) => [sensor_type.clone()].into(),
        None => {
            let keys = service.shards()?;
            catalogue::types(&service.deps.link, &keys, &wanted.sensor_id)
                .await
                .map_err(|error| Fault::redis(&error))?
        }
    };
    let series = |sensor_type: String| SeriesKey {
        sensor_id: wanted.sensor_id.as_str().into(),
        sensor_type: sensor_type.into(),
    };
    Ok(types.into_iter().map(series).collect())
}

/// Since when everything is kept of all that is asked for.
pub(super) async fn since(service: &Service, wanted: &Wanted) -> Result<Since, Fault> {
    let mut all = Vec::new();
    for _series in series(service, wanted).await? {
        all.push([None; 3]);
    }
    Ok(together(all))
}

impl Source {
    fn new(series: SeriesKey, wanted: &Wanted, grain: Grain, after: Option<&After>) -> Self {
        let after = after.and_then(|after| after.of_type(&series.sensor_type));
        let range = Range { after, ..Range::new(wanted.from, wanted.to) };
        let sheet = Arc::new(Sheet::new(series));
        Self { sheet, position: None, more: true, grain, range }
    }

    pub(super) fn series(&self) -> &SeriesKey {
        &self.sheet.series
    }

    /// The next rows, at most `limit`; none when there are no more.
    pub(super) async fn page(
        &mut self,
        service: &Service,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        if !self.more {
            return Ok(Vec::new());
        }
        if let Grain::Windows(_) = self.grain {
            let said = "parameter `resolution` is not built yet for windows; allowed: raw, auto";
            return Err(Fault::BadRequest(said.to_owned()));
        }
        let range = Range { limit, ..self.range };
        let keys = service.shards()?;
        let read = history::read(&service.deps.link, &keys, self.series(), range, newest)
            .await
            .map_err(|error| Fault::history(&error))?;
        let text = "a state, block or reading that cannot be understood";
        service.block_faults.note(read.faults, text);
        if self.position.is_none() && !read.position.is_empty() {
            self.position = Some(token(&read.position));
        }
        self.more = read.more;
        let rows: Vec<Row> = read.readings.iter().map(reading).collect();
        self.range.after = rows.last().map(|row| row.place).or(self.range.after);
        Ok(rows)
    }

    /// Forgets with what other rows were sent, when that is much.
    pub(super) fn keep_only<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) {
        Arc::make_mut(&mut self.sheet).keep_only(rows);
    }

    /// Forgets with what earlier rows were sent.
    pub(super) fn forget(&mut self) {
        Arc::make_mut(&mut self.sheet).forget();
    }
}

fn reading(point: &Point) -> Row {
    Row { place: point.cursor(), value: point.value, attributes: 0, summary: None }
}

fn newest(_packed: &[u8]) -> Option<Newest> {
    None
}

/// `<shard>:<ms>-<seq>.<index>`, one per shard, with commas between.
pub(in crate::serve) fn token(positions: &[(ShardId, Position)]) -> String {
    let one = |(shard, position): &(ShardId, Position)| format!("{}:{position}", shard.0);
    positions.iter().map(one).collect::<Vec<_>>().join(",")
}
