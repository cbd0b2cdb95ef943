//! What of this is asked of Redis: the types of a sensor, since when a series is kept, its pages.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cursor::After;
use super::grain::{Grain, Since, together};
use super::rows::{Row, Sheet, Summary};
use super::wanted::{Shape, Wanted};
use crate::aggregate::state::State;
use crate::history::answer::{Cursor, Faults, Point, Range, SeriesReadings, SeriesWindows};
use crate::history::{Reader, Resolution, Window};
use crate::reading::{SeriesKey, UnixMillis};
use crate::serve::error::Fault;
use crate::serve::service::Service;
use crate::shard::ShardId;
use crate::statistic::{Extent, Statistics};
use crate::stream::{Position, ShardKeys, catalogue};

/// Types of a sensor that an error names; a guess at what can still be read.
const TYPES_NAMED_MAX: usize = 16;

/// One series, read page by page.
pub(super) struct Source {
    /// With the versions of all rows read so far, unless they were forgotten.
    pub(super) sheet: Arc<Sheet>,
    /// Up to where the first page reached: `<shard>:<ms>-<seq>.<index>`, one per shard, with
    /// commas between. `None` before it, and when nobody knows the series.
    pub(super) position: Option<String>,
    /// Whether there may be another page.
    pub(super) more: bool,
    /// Whether something that may have had rows could not be decoded, and was left out.
    pub(super) is_damaged: bool,
    grain: Grain,
    range: Range,
    /// As on the first page: whether later pages are of the same series.
    numbers: Vec<(ShardId, u64)>,
    /// Before when some may have been evicted, as of the page before.
    evicted: Option<UnixMillis>,
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
async fn series(service: &Service, wanted: &Wanted) -> Result<Vec<SeriesKey>, Fault> {
    let types = match &wanted.sensor_type {
        Some(sensor_type) => [sensor_type.clone()].into(),
        None => types(service, &wanted.sensor_id).await?,
    };
    let series = |sensor_type: String| SeriesKey {
        sensor_id: wanted.sensor_id.as_str().into(),
        sensor_type: sensor_type.into(),
    };
    Ok(types.into_iter().map(series).collect())
}

async fn types(service: &Service, sensor_id: &str) -> Result<BTreeSet<String>, Fault> {
    let keys = service.shards()?;
    let types = catalogue::types(&service.deps.link, &keys, sensor_id).await;
    types.map_err(|error| Fault::redis(&error))
}

/// What to say when nobody knows any of the series that are asked for.
pub(super) async fn unknown(service: &Service, wanted: &Wanted) -> Fault {
    let sensor_id = wanted.sensor_id.clone();
    let Some(sensor_type) = wanted.sensor_type.clone() else {
        return Fault::UnknownSensor(sensor_id);
    };
    match types(service, &sensor_id).await {
        Err(fault) => fault,
        Ok(types) if types.is_empty() || types.contains(&sensor_type) => {
            Fault::UnknownSensor(sensor_id)
        }
        Ok(types) => Fault::UnknownType { sensor_id, sensor_type, known: some_of(&types) },
    }
}

/// The first types by name, and how many others there are.
fn some_of(types: &BTreeSet<String>) -> String {
    let named: Vec<&str> = types.iter().take(TYPES_NAMED_MAX).map(String::as_str).collect();
    match types.len() - named.len() {
        0 => named.join(", "),
        others => format!("{} and {others} more", named.join(", ")),
    }
}

/// Since when everything is kept of all that is asked for.
pub(super) async fn since(service: &Service, wanted: &Wanted) -> Result<Since, Fault> {
    let keys = service.shards()?;
    let mut all = Vec::new();
    for series in series(service, wanted).await? {
        let reach = reader(service, &keys).reach(&series).await;
        all.push(reach.map_err(|error| Fault::history(&error))?.since);
    }
    Ok(together(all))
}

impl Source {
    fn new(series: SeriesKey, wanted: &Wanted, grain: Grain, after: Option<&After>) -> Self {
        let after = after.and_then(|after| after.of_type(&series.sensor_type));
        let range = Range { after, ..Range::new(wanted.from, wanted.to) };
        let sheet = Arc::new(Sheet::new(series));
        Self {
            sheet,
            position: None,
            more: true,
            is_damaged: false,
            grain,
            range,
            numbers: Vec::new(),
            evicted: None,
        }
    }

    pub(super) fn series(&self) -> &SeriesKey {
        &self.sheet.series
    }

    /// The next rows, at most `limit`; none when there are no more.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when Redis does not answer, and when what is still to be read was
    /// deleted or evicted since the first page: an end there would look like the end of all rows.
    pub(super) async fn page(
        &mut self,
        service: &Service,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        if !self.more {
            return Ok(Vec::new());
        }
        let is_first = self.position.is_none();
        if is_first {
            self.evicted = self.evicted_now(service).await?;
        }
        let range = Range { limit, ..self.range };
        let page = match self.grain {
            Grain::Readings => readings(service, self.series(), range).await?,
            Grain::Windows(resolution) => {
                windows(service, self.series(), resolution, range).await?
            }
        };
        self.check(&page, self.evicted_now(service).await?)?;
        let text = page.faults.last.as_deref().unwrap_or_default();
        service.block_faults.note(page.faults.count, text);
        self.is_damaged |= page.faults.count > 0;
        if is_first && !page.position.is_empty() {
            self.position = Some(token(&page.position));
            self.numbers = page.numbers;
        }
        if !page.attributes.is_empty() {
            let sheet = Arc::make_mut(&mut self.sheet);
            for (shard, version, json) in &page.attributes {
                sheet.learn(*shard, *version, json);
            }
        }
        self.more = page.more;
        self.range.after = page.rows.last().map(|row| row.place).or(self.range.after);
        Ok(page.rows)
    }

    async fn evicted_now(&self, service: &Service) -> Result<Option<UnixMillis>, Fault> {
        let keys = service.shards()?;
        let evicted = reader(service, &keys).evicted(self.series(), self.grain.share()).await;
        evicted.map_err(|error| Fault::history(&error))
    }

    /// Judges a page by what happened until after it was read.
    fn check(&mut self, page: &Page, evicted: Option<UnixMillis>) -> Result<(), Fault> {
        if self.numbers.iter().any(|number| !page.numbers.contains(number)) {
            let outside = "the sensor was deleted while its history was read";
            return Err(Fault::Unavailable { outside, inside: String::new() });
        }
        // What was evicted before the first row would not have been in the answer a moment later.
        let begin = self.range.after.or(page.rows.first().map(|row| row.place));
        let is_ahead = begin.zip(evicted).is_some_and(|(begin, at)| at > begin.measured_at);
        if is_ahead && evicted > self.evicted {
            let outside = "history was evicted faster than it was read";
            return Err(Fault::Unavailable { outside, inside: String::new() });
        }
        self.evicted = evicted;
        Ok(())
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

/// What was read at once.
struct Page {
    rows: Vec<Row>,
    /// Of versions, as JSON.
    attributes: Vec<(ShardId, u32, String)>,
    position: Vec<(ShardId, Position)>,
    numbers: Vec<(ShardId, u64)>,
    more: bool,
    faults: Faults,
}

async fn readings(service: &Service, series: &SeriesKey, range: Range) -> Result<Page, Fault> {
    let keys = service.shards()?;
    let read = reader(service, &keys).readings(series, range).await;
    let SeriesReadings { readings, attributes, position, numbers, more, faults } =
        read.map_err(|error| Fault::history(&error))?;
    let row = |point: &Point| Row {
        place: point.cursor(),
        value: point.value,
        attributes: point.attributes,
        summary: None,
    };
    let rows = readings.iter().map(row).collect();
    Ok(Page { rows, attributes, position, numbers, more, faults })
}

async fn windows(
    service: &Service,
    series: &SeriesKey,
    resolution: Resolution,
    range: Range,
) -> Result<Page, Fault> {
    let keys = service.shards()?;
    let read = reader(service, &keys).windows(series, resolution, range).await;
    let SeriesWindows { windows, attributes, position, numbers, more, faults } =
        read.map_err(|error| Fault::history(&error))?;
    let row = |(shard, window): &(ShardId, Window)| {
        let Statistics { moments, extent, .. } = &window.statistics;
        let Extent { min, max } = *extent;
        Row {
            place: Cursor { measured_at: window.start, shard: *shard, offset: 0 },
            value: moments.average().unwrap_or(f64::NAN),
            attributes: window.attributes,
            summary: Some(Summary { min, max, count: moments.count }),
        }
    };
    let rows = windows.iter().map(row).collect();
    Ok(Page { rows, attributes, position, numbers, more, faults })
}

fn reader<'a>(service: &'a Service, keys: &'a [ShardKeys]) -> Reader<'a> {
    Reader {
        link: &service.deps.link,
        keys,
        unpack: State::newest,
        now: service.deps.clock.now(),
        retentions: service.config.retentions,
    }
}

/// `<shard>:<ms>-<seq>.<index>`, one per shard, with commas between.
pub(in crate::serve) fn token(positions: &[(ShardId, Position)]) -> String {
    let one = |(shard, position): &(ShardId, Position)| format!("{}:{position}", shard.0);
    positions.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn source(after: Option<i64>, evicted: Option<i64>) -> Source {
        let series = SeriesKey { sensor_id: "a".into(), sensor_type: "t".into() };
        let range = Range { after: after.map(place), ..Range::new(UnixMillis(0), UnixMillis(9)) };
        Source {
            sheet: Arc::new(Sheet::new(series)),
            position: after.map(|_| String::new()),
            more: true,
            is_damaged: false,
            grain: Grain::Readings,
            range,
            numbers: vec![(ShardId(0), 1), (ShardId(1), 7)],
            evicted: evicted.map(UnixMillis),
        }
    }

    fn place(at: i64) -> Cursor {
        Cursor { measured_at: UnixMillis(at), shard: ShardId(0), offset: 0 }
    }

    fn page(numbers: &[(u16, u64)], first: i64) -> Page {
        let numbers = numbers.iter().map(|(shard, number)| (ShardId(*shard), *number)).collect();
        let row = Row { place: place(first), value: 1.0, attributes: 0, summary: None };
        Page {
            rows: vec![row],
            attributes: Vec::new(),
            position: Vec::new(),
            numbers,
            more: false,
            faults: Faults::default(),
        }
    }

    #[test]
    fn only_what_is_evicted_ahead_of_the_reader_is_missing() {
        let check = |after: Option<i64>, before: Option<i64>, now: Option<i64>, is_fine: bool| {
            let page = page(&[(0, 1), (1, 7)], 5 * HOUR);
            let judged = source(after, before).check(&page, now.map(UnixMillis));
            assert_eq!(judged.is_ok(), is_fine, "{after:?} {before:?} {now:?}");
        };
        check(Some(5 * HOUR), None, None, true);
        check(Some(5 * HOUR), None, Some(5 * HOUR), true);
        check(Some(5 * HOUR), None, Some(6 * HOUR), false);
        check(Some(5 * HOUR), Some(4 * HOUR), Some(6 * HOUR), false);
        // It was gone before the first page; these rows came later.
        check(Some(5 * HOUR), Some(6 * HOUR), Some(6 * HOUR), true);
        check(None, Some(4 * HOUR), Some(5 * HOUR), true);
        check(None, Some(4 * HOUR), Some(6 * HOUR), false);
    }

    #[test]
    fn a_series_with_another_number_is_another_series() {
        let check = |numbers: &[(u16, u64)], is_fine: bool| {
            let judged = source(Some(0), None).check(&page(numbers, 1), None);
            assert_eq!(judged.is_ok(), is_fine, "{numbers:?}");
        };
        check(&[(0, 1), (1, 7)], true);
        check(&[(0, 1), (1, 7), (2, 1)], true);
        check(&[(0, 1), (1, 8)], false);
        check(&[(0, 1)], false);
        check(&[], false);
    }

    #[test]
    fn of_many_types_only_some_are_named() {
        let types = |count: usize| (0..count).map(|n| format!("t{n:02}")).collect();
        assert_eq!(some_of(&types(2)), "t00, t01");
        assert!(some_of(&types(16)).ends_with(", t15"));
        assert!(some_of(&types(20)).ends_with(", t15 and 4 more"));
    }
}
