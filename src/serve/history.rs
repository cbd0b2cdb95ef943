//! Readings of one sensor: what was asked for, the series merged, and where the next page begins.

use std::collections::BTreeMap;

use super::error::Fault;
use super::hex;
use super::query::Query;
use super::service::Service;
use crate::aggregate::state::State;
use crate::history::{self, Cursor, LIMIT_DEFAULT, Newest, Point, Range};
use crate::reading::{SeriesKey, UnixMillis};
use crate::shard::ShardId;
use crate::stream::{Position, catalogue};

const HOUR_MS: i64 = 3_600_000;
/// 114 years (design §7).
pub(super) const HOURS_MAX: i64 = 1_000_000;
pub(super) const HOURS_DEFAULT: i64 = 24;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) sensor_id: String,
    /// `None`: all types.
    pub(super) sensor_type: Option<String>,
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
    pub(super) after: Option<After>,
    pub(super) limit: usize,
}

/// The last reading of the page before: order is by time, shard and place, and then by type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct After {
    cursor: Cursor,
    sensor_type: String,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The type's place in `types`, and the reading; ascending.
    pub(super) readings: Vec<(usize, Point)>,
    pub(super) types: Vec<SeriesKey>,
    /// By type: up to where the answer reaches.
    pub(super) position: BTreeMap<String, String>,
    pub(super) next: Option<String>,
}

impl Wanted {
    /// Reads the parameters of a request.
    pub(super) fn parse(sensor_id: String, query: &Query, now: UnixMillis) -> Result<Self, Fault> {
        refuse_what_is_not_built(query)?;
        let hours = query.whole("hours", 1, HOURS_MAX)?;
        let (from, to) = (query.time("from")?, query.time("to")?);
        if hours.is_some() && from.is_some() {
            let said = "parameters `hours` and `from` exclude each other; give one of them";
            return Err(Fault::BadRequest(said.to_owned()));
        }
        let to = to.unwrap_or(UnixMillis(i64::MAX));
        // With an end but no beginning, the hours are those before the end.
        let end = to.0.min(now.0);
        let hours = hours.unwrap_or(HOURS_DEFAULT);
        let from = from.unwrap_or(UnixMillis(end.saturating_sub(hours * HOUR_MS)));
        if from >= to {
            let said = "parameter `to` is not after the beginning; allowed: a later time";
            return Err(Fault::BadRequest(said.to_owned()));
        }
        let limit = query.whole("limit", 1, LIMIT_DEFAULT)?.unwrap_or(LIMIT_DEFAULT);
        let after = query.text("cursor").map(After::parse).transpose()?;
        let sensor_type = query.text("type").map(str::to_owned);
        Ok(Self { sensor_id, sensor_type, from, to, after, limit })
    }

    /// All types of a sensor over the last hours.
    pub(super) const fn hours(sensor_id: String, hours: i64, now: UnixMillis) -> Self {
        let from = UnixMillis(now.0.saturating_sub(hours.saturating_mul(HOUR_MS)));
        let (to, limit) = (UnixMillis(i64::MAX), LIMIT_DEFAULT);
        Self { sensor_id, sensor_type: None, from, to, after: None, limit }
    }

    /// The same, behind the page that `next` ended.
    pub(super) fn behind(self, next: &str) -> Result<Self, Fault> {
        Ok(Self { after: Some(After::parse(next)?), ..self })
    }

    /// Reads it from Redis; a sensor or type of which nothing is known is a fault.
    pub(super) async fn read(&self, service: &Service) -> Result<Found, Fault> {
        let keys = service.shards()?;
        let link = &service.deps.link;
        let types = match &self.sensor_type {
            Some(sensor_type) => [sensor_type.clone()].into(),
            None => catalogue::types(link, &keys, &self.sensor_id)
                .await
                .map_err(|error| Fault::redis(&error))?,
        };
        let mut found = Found::default();
        let mut more = false;
        for sensor_type in types {
            let series = SeriesKey {
                sensor_id: self.sensor_id.as_str().into(),
                sensor_type: sensor_type.as_str().into(),
            };
            let range = self.range(&sensor_type);
            let read = history::read(link, &keys, &series, range, newest)
                .await
                .map_err(|error| Fault::history(&error))?;
            let text = "a state, block or reading that cannot be understood";
            service.block_faults.note(read.faults, text);
            if read.position.is_empty() {
                continue;
            }
            let place = found.types.len();
            found.types.push(series);
            found.position.insert(sensor_type, token(&read.position));
            found.readings.extend(read.readings.into_iter().map(|point| (place, point)));
            more |= read.more;
            more |= self.cut(&mut found.readings);
        }
        if found.types.is_empty() {
            return Err(Fault::UnknownSensor(self.sensor_id.clone()));
        }
        found.next = found.readings.last().filter(|_| more).and_then(|(place, point)| {
            let sensor_type = found.types[*place].sensor_type.to_string();
            After { cursor: point.cursor(), sensor_type }.write()
        });
        Ok(found)
    }

    /// Keeps the first `limit` readings of several series; says whether there were more. Types are
    /// read in ascending order, so places order as types do.
    fn cut(&self, readings: &mut Vec<(usize, Point)>) -> bool {
        readings.sort_by_key(|(place, point)| (point.cursor(), *place));
        let more = readings.len() > self.limit;
        readings.truncate(self.limit);
        more
    }

    fn range(&self, sensor_type: &str) -> Range {
        let after = self.after.as_ref().and_then(|after| {
            if sensor_type <= after.sensor_type.as_str() {
                Some(after.cursor)
            } else {
                // A reading at the very same place but of a later type is still to come.
                before(after.cursor)
            }
        });
        Range { from: self.from, to: self.to, after, limit: self.limit }
    }
}

impl Found {
    /// Adds the page behind this one. The positions stay those of the first page: what was
    /// counted since then may come a second time, but is not left out.
    pub(super) fn append(&mut self, page: Self) {
        let mut place_of = |series: SeriesKey| {
            let known = self.types.iter().position(|known| *known == series);
            known.unwrap_or_else(|| {
                self.types.push(series);
                self.types.len() - 1
            })
        };
        let places: Vec<usize> = page.types.into_iter().map(&mut place_of).collect();
        let readings = page.readings.into_iter().map(|(place, point)| (places[place], point));
        self.readings.extend(readings);
        for (sensor_type, position) in page.position {
            self.position.entry(sensor_type).or_insert(position);
        }
        self.next = page.next;
    }
}

impl After {
    fn parse(text: &str) -> Result<Self, Fault> {
        let json = hex::read(text).unwrap_or_default();
        let parts = serde_json::from_slice::<(i64, u16, u64, String)>(&json);
        let (at, shard, offset, sensor_type) = parts.map_err(|_not_ours| {
            Fault::BadRequest(format!(
                "parameter `cursor` is {text:?}; allowed: the `next` of the page before"
            ))
        })?;
        let cursor = Cursor { measured_at: UnixMillis(at), shard: ShardId(shard), offset };
        Ok(Self { cursor, sensor_type })
    }

    fn write(&self) -> Option<String> {
        let Cursor { measured_at, shard, offset } = self.cursor;
        let parts = (measured_at.0, shard.0, offset, &self.sensor_type);
        Some(hex::write(&serde_json::to_vec(&parts).ok()?))
    }
}

/// The place just before another; `None` before the first.
fn before(cursor: Cursor) -> Option<Cursor> {
    let Cursor { measured_at, shard, offset } = cursor;
    if let Some(offset) = offset.checked_sub(1) {
        return Some(Cursor { offset, ..cursor });
    }
    let offset = u64::MAX;
    match shard.0.checked_sub(1) {
        Some(shard) => Some(Cursor { measured_at, shard: ShardId(shard), offset }),
        None => measured_at.0.checked_sub(1).map(|at| Cursor {
            measured_at: UnixMillis(at),
            shard: ShardId(u16::MAX),
            offset,
        }),
    }
}

fn newest(packed: &[u8]) -> Option<Newest> {
    let State { number, applied, open, .. } = State::unpack(packed).ok()?;
    Some(Newest { number, applied, open })
}

/// `<shard>:<ms>-<seq>.<index>`, one per shard, with commas between.
pub(super) fn token(positions: &[(ShardId, Position)]) -> String {
    let one = |(shard, position): &(ShardId, Position)| format!("{}:{position}", shard.0);
    positions.iter().map(one).collect::<Vec<_>>().join(",")
}

/// Parameters that the contract knows and this version does not have yet.
fn refuse_what_is_not_built(query: &Query) -> Result<(), Fault> {
    for name in ["points", "format", "percentiles"] {
        if query.has(name) {
            return Err(Fault::BadRequest(format!("parameter `{name}` is not built yet")));
        }
    }
    match query.text("resolution") {
        None | Some("raw") => Ok(()),
        Some(other) => Err(Fault::BadRequest(format!(
            "parameter `resolution` is {other:?}, which is not built yet; allowed: raw"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn wanted(query: &str) -> Result<Wanted, String> {
        Wanted::parse("a".to_owned(), &Query::parse(query).unwrap(), NOW)
            .map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_range_is_told_by_hours_or_by_times() {
        let check = |query, from, to| {
            let wanted = wanted(query).unwrap();
            assert_eq!((wanted.from.0, wanted.to.0), (from, to), "{query}");
        };
        check("", NOW.0 - 24 * HOUR_MS, i64::MAX);
        check("hours=200000", NOW.0 - 200_000 * HOUR_MS, i64::MAX);
        check("from=2024-01-01T12:00:00Z", 1_704_110_400_000, i64::MAX);
        check("from=0&to=1970-01-01T02:00:00%2B01:00", 0, HOUR_MS);
    }

    #[test]
    fn impossible_parameters_are_named() {
        let check = |query, said: &str| {
            let answer = wanted(query).unwrap_err();
            assert!(answer.contains(said), "{query}: {answer}");
        };
        check("hours=0", "`hours` is \"0\"");
        check("hours=1000001", "`hours` is \"1000001\"; allowed: a whole number from 1 to 1000000");
        check("hours=1.5", "`hours`");
        check("hours=-1", "`hours`");
        check("hours=1&from=0", "exclude each other");
        check("from=yesterday", "`from` is \"yesterday\"");
        check("from=10&to=10", "`to`");
        check("limit=100001", "`limit`");
        check("cursor=xyz", "`cursor` is \"xyz\"");
        check("points=100", "`points` is not built yet");
        check("format=csv", "`format` is not built yet");
        check("percentiles=50", "`percentiles` is not built yet");
        check("resolution=1m", "`resolution` is \"1m\", which is not built yet; allowed: raw");
        assert!(wanted("resolution=raw").is_ok());
    }

    #[test]
    fn cursors_survive_their_text_and_order_types_within_a_place() {
        let cursor = Cursor { measured_at: UnixMillis(-5), shard: ShardId(0), offset: 0 };
        let after = After { cursor, sensor_type: "m".to_owned() };
        let text = after.write().unwrap();
        assert_eq!(After::parse(&text).unwrap(), after);
        let wanted = wanted(&format!("cursor={text}")).unwrap();
        assert_eq!(wanted.range("a").after, Some(cursor));
        assert_eq!(wanted.range("m").after, Some(cursor));
        let last_before = wanted.range("z").after.unwrap();
        assert!(last_before < cursor);
        assert_eq!(last_before.measured_at, UnixMillis(-6));
    }
}
