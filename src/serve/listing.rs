//! Pages of the table: what is asked for, in which order, from where.

use std::cmp::Reverse;

use super::error::Fault;
use super::hex;
use super::quiet::Status;
use super::table::{Merged, Rows};
use crate::reading::SeriesKey;

/// Which series are wanted; all that is given must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// In lower case.
    pub(super) part_of_id: Option<String>,
    pub(super) sensor_type: Option<String>,
    pub(super) location: Option<String>,
    pub(super) status: Option<Status>,
}

impl Filter {
    fn takes(&self, row: &Merged<'_>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let location = row.attributes.and_then(|attributes| attributes.location.as_deref());
        is(&self.sensor_type, Some(&row.series.sensor_type))
            && is(&self.location, location)
            && (self.status.is_none() || self.status == row.status)
            && self
                .part_of_id
                .as_deref()
                .is_none_or(|part| row.series.sensor_id.to_lowercase().contains(part))
    }
}

/// What the order goes by; sensor id and type decide among equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    SensorId,
    LastReading,
    Count,
    Status,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sort {
    by: By,
    descending: bool,
}

/// The last row of the page before: its place by `sort`, and the series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cursor {
    place: i64,
    series: SeriesKey,
}

impl Default for Sort {
    fn default() -> Self {
        Self { by: By::SensorId, descending: false }
    }
}

impl Sort {
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Fault> {
        let text = text.unwrap_or("sensor_id");
        let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        let by = match name {
            "sensor_id" => By::SensorId,
            "last_reading" => By::LastReading,
            "count" => By::Count,
            "status" => By::Status,
            _ => {
                return Err(Fault::BadRequest(format!(
                    "parameter `sort` is {text:?}; allowed: sensor_id, last_reading, count, \
                     status, with - in front descending"
                )));
            }
        };
        Ok(Self { by, descending })
    }

    /// As `sort` says it.
    fn name(self) -> String {
        let name = match self.by {
            By::SensorId => "sensor_id",
            By::LastReading => "last_reading",
            By::Count => "count",
            By::Status => "status",
        };
        if self.descending { format!("-{name}") } else { name.to_owned() }
    }

    /// Reads what [`Cursor::write`] wrote in the same order.
    pub(super) fn cursor(self, text: Option<&str>) -> Result<Option<Cursor>, Fault> {
        let Some(text) = text else { return Ok(None) };
        let json = hex::read(text).unwrap_or_default();
        let cursor = serde_json::from_slice::<(Box<str>, i64, Box<str>, Box<str>)>(&json);
        let (sort, place, sensor_id, sensor_type) = cursor.map_err(|_not_ours| {
            Fault::BadRequest(format!(
                "parameter `cursor` is {text:?}; allowed: the `next` of the page before"
            ))
        })?;
        if *sort != *self.name() {
            return Err(Fault::of_another_sort(&sort, &self.name()));
        }
        Ok(Some(Cursor { place, series: SeriesKey { sensor_id, sensor_type } }))
    }

    fn cursor_of(self, row: &Merged<'_>) -> Cursor {
        let place = match self.by {
            By::SensorId => 0,
            By::LastReading => row.statistics.ends.last_at.0,
            By::Count => i64::try_from(row.statistics.moments.count).unwrap_or(i64::MAX),
            // From online to offline.
            By::Status => row.status.map_or(-1, |status| status as i64),
        };
        Cursor { place, series: row.series.clone() }
    }
}

impl Cursor {
    fn write(&self, sort: Sort) -> Option<String> {
        let Self { place, series } = self;
        let written = (sort.name(), place, &series.sensor_id, &series.sensor_type);
        let json = serde_json::to_vec(&written).ok()?;
        Some(hex::write(&json))
    }
}

/// One page, and the cursor of the next; no cursor on the last page.
pub(super) fn select<'a>(
    rows: &'a Rows,
    filter: &Filter,
    sort: Sort,
    after: Option<&Cursor>,
    limit: usize,
) -> (Vec<Merged<'a>>, Option<String>) {
    let mut page: Vec<Merged<'a>> = if sort == Sort::default() {
        // The table lies in this order: nothing beyond the page is looked at.
        let after = after.map(|cursor| &cursor.series);
        rows.after(after).filter(|row| filter.takes(row)).take(limit + 1).collect()
    } else {
        sorted(rows, filter, sort, after)
    };
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).and_then(|last| sort.cursor_of(last).write(sort));
    (page, next)
}

fn sorted<'a>(
    rows: &'a Rows,
    filter: &Filter,
    sort: Sort,
    after: Option<&Cursor>,
) -> Vec<Merged<'a>> {
    let all = rows.after(None).filter(|row| filter.takes(row));
    let placed = all.map(|row| (sort.cursor_of(&row), row));
    let mut placed: Vec<_> = placed
        .filter(|(place, _)| {
            after.is_none_or(|after| if sort.descending { place < after } else { place > after })
        })
        .collect();
    if sort.descending {
        placed.sort_by(|(a, _), (b, _)| Reverse(a).cmp(&Reverse(b)));
    } else {
        placed.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    placed.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::interval::Interval;
    use crate::aggregate::state::State;
    use crate::reading::UnixMillis;
    use crate::serve::table::Part;
    use crate::shard::ShardId;
    use crate::statistic::Statistic;

    /// Series `s0` to `s4`; `s1` and `s3` of type `h`, the others `t`; later ones are older.
    fn rows() -> Rows {
        let mut rows = Rows::default();
        for n in 0..5i64 {
            let kind = if n % 2 == 1 { "h" } else { "t" };
            let series = SeriesKey { sensor_id: format!("s{n}").into(), sensor_type: kind.into() };
            let mut state = State::default();
            state.statistics.fold(1.0, UnixMillis(100 - n / 2));
            // Heard for the last time that many seconds before the end, each second until then.
            let silence_ms = [0, 70_000, 20_000, 70_000, 20_000][n as usize];
            state.applied.entry.ms = 1_000_000 - silence_ms;
            state.interval = Interval::of_ms(1_000);
            rows.put(series, Part { shard: ShardId(0), seen: 1, state, attributes: None });
        }
        rows.advance(ShardId(0), 1_000_000);
        rows.judge(usize::MAX);
        rows.as_of = Some(UnixMillis(7));
        rows
    }

    /// Walks all pages.
    fn ids(filter: &Filter, sort: &str, limit: usize) -> Vec<String> {
        let (rows, sort) = (rows(), Sort::parse(Some(sort)).unwrap());
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let after = sort.cursor(cursor.as_deref()).unwrap();
            let (page, next) = select(&rows, filter, sort, after.as_ref(), limit);
            assert!(page.len() <= limit);
            ids.extend(page.iter().map(|row| row.series.sensor_id.to_string()));
            cursor = next;
            if cursor.is_none() {
                return ids;
            }
        }
    }

    #[test]
    fn pages_make_the_whole_in_every_order() {
        let check = |sort, expected: [&str; 5]| {
            for limit in 1..=6 {
                assert_eq!(ids(&Filter::default(), sort, limit), expected, "{sort} by {limit}");
            }
        };
        check("sensor_id", ["s0", "s1", "s2", "s3", "s4"]);
        check("-sensor_id", ["s4", "s3", "s2", "s1", "s0"]);
        check("last_reading", ["s4", "s2", "s3", "s0", "s1"]);
        check("-last_reading", ["s1", "s0", "s3", "s2", "s4"]);
        check("count", ["s0", "s1", "s2", "s3", "s4"]);
        check("status", ["s0", "s2", "s4", "s1", "s3"]);
        check("-status", ["s3", "s1", "s4", "s2", "s0"]);
    }

    #[test]
    fn filters_hold_together() {
        let of_type = Filter { sensor_type: Some("h".to_owned()), ..Filter::default() };
        assert_eq!(ids(&of_type, "sensor_id", 1), ["s1", "s3"]);
        let part = Filter { part_of_id: Some("3".to_owned()), ..of_type };
        assert_eq!(ids(&part, "sensor_id", 9), ["s3"]);
        let nowhere = Filter { location: Some("x".to_owned()), ..Filter::default() };
        assert!(ids(&nowhere, "sensor_id", 9).is_empty());
        let of = |status| Filter { status: Some(status), ..Filter::default() };
        assert_eq!(ids(&of(Status::Online), "sensor_id", 1), ["s0"]);
        assert_eq!(ids(&of(Status::Late), "-sensor_id", 1), ["s4", "s2"]);
        assert_eq!(ids(&of(Status::Offline), "sensor_id", 9), ["s1", "s3"]);
    }

    #[test]
    fn impossible_orders_and_cursors_are_named() {
        let said = Sort::parse(Some("colour")).unwrap_err().to_string();
        assert!(said.contains("`sort` is \"colour\""), "{said}");
        let said = Sort::parse(None).unwrap().cursor(Some("x")).unwrap_err().to_string();
        assert!(said.contains("`cursor` is \"x\""), "{said}");
    }

    #[test]
    fn a_cursor_of_another_order_is_refused() {
        let sorts = ["sensor_id", "-sensor_id", "last_reading", "-count", "status"];
        let sort = |name| Sort::parse(Some(name)).unwrap();
        for one in sorts {
            let (_, next) = select(&rows(), &Filter::default(), sort(one), None, 2);
            for other in sorts {
                let read = sort(other).cursor(next.as_deref());
                assert_eq!(read.is_ok(), one == other, "{one} {other}");
            }
        }
        let (_, next) = select(&rows(), &Filter::default(), sort("-count"), None, 2);
        let said = sort("sensor_id").cursor(next.as_deref()).unwrap_err().to_string();
        assert!(said.contains("`cursor`") && said.contains("`sort=-count`"), "{said}");
    }
}
