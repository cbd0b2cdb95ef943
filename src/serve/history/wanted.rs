//! What a request wants of history: its parameters, understood or refused.

use xxhash_rust::xxh3::xxh3_64;

use super::cursor::{After, Cursor};
use super::grain::Grain;
use super::percentiles::{self, Percentile};
use crate::history::answer::LIMIT_DEFAULT;
use crate::payload::NaiveTime;
use crate::reading::UnixMillis;
use crate::serve::error::Fault;
use crate::serve::query::Query;

const HOUR_MS: i64 = 3_600_000;
/// 114 years (design §7).
pub(in crate::serve) const HOURS_MAX: i64 = 1_000_000;
pub(in crate::serve) const HOURS_DEFAULT: i64 = 24;
/// The first and the last of all are always kept.
const POINTS_MIN: usize = 2;
/// More than any screen has columns.
const POINTS_MAX: usize = 10_000;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::serve) struct Wanted {
    pub(in crate::serve) sensor_id: String,
    /// `None`: all types.
    pub(super) sensor_type: Option<String>,
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
    /// `None`: what [`Grain::choose`] says.
    pub(super) grain: Option<Grain>,
    pub(super) shape: Shape,
    pub(in crate::serve) format: Format,
    pub(super) percentiles: Vec<Percentile>,
    /// Of sensor, type, range and resolution: what they mean, however they are written.
    fingerprint: u64,
}

/// How much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Few rows that keep the peaks.
    Picture(Points),
    /// The first rows, or those behind the page before.
    Page { limit: usize, after: Option<After> },
    /// All rows, or the first so many.
    Stream { limit: Option<usize> },
}

/// How many rows a picture has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Points {
    /// Of each type.
    Each(usize),
    /// Of all types together.
    Together(usize),
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Format {
    Json,
    Csv,
    Ndjson,
}

/// How a range is asked for.
#[derive(Clone, Copy)]
struct Asked {
    hours: Option<i64>,
    from: Option<UnixMillis>,
    to: Option<UnixMillis>,
}

impl Format {
    const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Ndjson];

    pub(in crate::serve) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }

    /// As answers name it.
    pub(in crate::serve) const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json | Self::Ndjson => self.media_type(),
        }
    }

    /// As the header `Accept` names it.
    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// The one that a header `Accept` likes best; JSON when it names none.
    pub(in crate::serve) fn accepted(accept: &str) -> Self {
        let mut best = (0.0, Self::Json);
        for one in accept.split(',') {
            let (name, parameters) = one.split_once(';').unwrap_or((one, ""));
            let quality = parameters.split(';').find_map(|it| it.trim().strip_prefix("q="));
            let quality: f32 = quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
            let named =
                Self::ALL.into_iter().find(|it| name.trim().eq_ignore_ascii_case(it.media_type()));
            if let Some(format) = named.filter(|_| quality > best.0) {
                best = (quality, format);
            }
        }
        best.1
    }
}

impl Points {
    /// How many rows each of so many types may have.
    pub(super) fn of_each(self, types: usize) -> Result<usize, Fault> {
        let types = types.max(1);
        match self {
            Self::Each(points) if points * types <= LIMIT_DEFAULT => Ok(points),
            Self::Each(points) => {
                let most = LIMIT_DEFAULT / types;
                Err(Fault::BadRequest(format!(
                    "parameter `points` is \"{points}\" for each of {types} types; allowed: at \
                     most {most}, or one `type`"
                )))
            }
            Self::Together(points) => Ok((points / types).max(POINTS_MIN)),
        }
    }
}

impl Wanted {
    /// Reads the parameters of a request; `accepted` is the format when no parameter names one.
    pub(in crate::serve) fn parse(
        sensor_id: String,
        query: &Query,
        accepted: Format,
        (now, naive_time): (UnixMillis, &NaiveTime),
    ) -> Result<Self, Fault> {
        let asked = Asked {
            hours: query.whole("hours", 1, HOURS_MAX)?,
            from: query.time("from", naive_time)?,
            to: query.time("to", naive_time)?,
        };
        if asked.hours.is_some() && asked.from.is_some() {
            return Err(exclude("hours", "from", "both say where the range begins"));
        }
        let format = query.one_of("format", &Format::ALL, Format::name)?.unwrap_or(accepted);
        let resolution = resolution(query)?;
        let sensor_type = query.text("type").map(str::to_owned);
        let (from, to) = asked.range(now);
        if from >= to {
            return Err(asked.backwards(query));
        }
        let percentiles = percentiles(query)?;
        let (shape, cursor) = shape(query, format, &percentiles)?;
        let grain = match resolution {
            Some(resolution) => resolution,
            // A picture shows its whole range; whoever reads rows gets readings (design §7).
            None if matches!(shape, Shape::Picture(_)) => None,
            None => Some(Grain::Readings),
        };
        let parts = (&sensor_id, &sensor_type, asked.parts(), grain.map(Grain::name));
        let fingerprint = xxh3_64(crate::serve::answer::to_bytes(&parts).as_slice());
        let mut wanted = Self {
            sensor_id,
            sensor_type,
            from,
            to,
            grain,
            shape,
            format,
            percentiles,
            fingerprint,
        };
        if let Some((text, cursor)) = cursor {
            wanted.go_on_from(text, cursor)?;
        }
        Ok(wanted)
    }

    /// A picture of all types of a sensor over the last hours, as large as what `auto` chooses.
    pub(in crate::serve) fn hours(
        sensor_id: String,
        hours: i64,
        points: Points,
        now: UnixMillis,
    ) -> Self {
        let (from, to) = Asked { hours: Some(hours), from: None, to: None }.range(now);
        Self {
            sensor_id,
            sensor_type: None,
            from,
            to,
            grain: None,
            shape: Shape::Picture(points),
            format: Format::Json,
            percentiles: Vec::new(),
            fingerprint: 0,
        }
    }

    /// The cursor of the page behind a row.
    pub(super) fn next(&self, grain: Grain, after: After) -> String {
        let Self { fingerprint, from, to, .. } = *self;
        Cursor { fingerprint, grain, from, to, after }.write()
    }

    fn go_on_from(&mut self, text: &str, cursor: Cursor) -> Result<(), Fault> {
        if cursor.fingerprint != self.fingerprint {
            return Err(Fault::BadRequest(format!(
                "parameter `cursor` is {text:?}, which belongs to another query; allowed: the \
                 `next` of the page before, with the same sensor, `type`, `hours`, `from`, `to` \
                 and `resolution`"
            )));
        }
        (self.from, self.to, self.grain) = (cursor.from, cursor.to, Some(cursor.grain));
        if let Shape::Page { after, .. } = &mut self.shape {
            *after = Some(cursor.after);
        }
        Ok(())
    }
}

impl Asked {
    fn parts(&self) -> (Option<i64>, Option<i64>, Option<i64>) {
        let hours = self.from.is_none().then(|| self.hours.unwrap_or(HOURS_DEFAULT));
        (hours, self.from.map(|at| at.0), self.to.map(|at| at.0))
    }

    fn range(&self, now: UnixMillis) -> (UnixMillis, UnixMillis) {
        let to = self.to.unwrap_or(UnixMillis(i64::MAX));
        // With an end but no beginning, the hours are those before the end.
        let end = to.0.min(now.0);
        let hours = self.hours.unwrap_or(HOURS_DEFAULT);
        (self.from.unwrap_or(UnixMillis(end.saturating_sub(hours * HOUR_MS))), to)
    }

    fn backwards(&self, query: &Query) -> Fault {
        let (from, to) = (query.text("from").unwrap_or_default(), query.text("to"));
        let to = to.unwrap_or_default();
        Fault::BadRequest(match self.from {
            Some(_) => format!(
                "parameter `from` is {from:?} and parameter `to` is {to:?}; allowed: a `to` after \
                 `from`"
            ),
            None => format!("parameter `to` is {to:?}; allowed: a later time"),
        })
    }
}

/// What `resolution` says; `Some(None)` stands for `auto`.
fn resolution(query: &Query) -> Result<Option<Option<Grain>>, Fault> {
    let choices = Grain::ALL.map(Some).into_iter().chain([None]).collect::<Vec<_>>();
    query.one_of("resolution", &choices, |choice| choice.map_or("auto", Grain::name))
}

fn percentiles(query: &Query) -> Result<Vec<Percentile>, Fault> {
    let Some(text) = query.text("percentiles") else { return Ok(Vec::new()) };
    percentiles::parse(text).ok_or_else(|| {
        let allowed = percentiles::allowed();
        Fault::BadRequest(format!("parameter `percentiles` is {text:?}; allowed: {allowed}"))
    })
}

/// A cursor and its text; `None` on the first page.
type Behind<'q> = Option<(&'q str, Cursor)>;

/// How much is wanted, and behind what.
fn shape<'q>(
    query: &'q Query,
    format: Format,
    percentiles: &[Percentile],
) -> Result<(Shape, Behind<'q>), Fault> {
    let points = query.whole("points", POINTS_MIN, POINTS_MAX)?;
    let limit = query.whole("limit", 1, LIMIT_DEFAULT)?;
    let cursor = query.text("cursor");
    if format != Format::Json && !percentiles.is_empty() {
        let why = "percentiles are beside the rows, and only JSON has a place for them";
        return Err(exclude("percentiles", "format", why));
    }
    if cursor.is_some() && !percentiles.is_empty() {
        let why = "percentiles are of the whole range; the first page has them";
        return Err(exclude("percentiles", "cursor", why));
    }
    if format != Format::Json && cursor.is_some() {
        return Err(exclude("cursor", "format", "CSV and NDJSON have all rows in one answer"));
    }
    if let Some(points) = points {
        let why = "`points` spread over the whole range, so that there is no next page";
        return match (limit, cursor) {
            (Some(_), _) => Err(exclude("points", "limit", why)),
            (None, Some(_)) => Err(exclude("points", "cursor", why)),
            (None, None) => Ok((Shape::Picture(Points::Each(points)), None)),
        };
    }
    if format != Format::Json {
        return Ok((Shape::Stream { limit }, None));
    }
    let parse = |text| {
        let cursor = Cursor::parse(text).ok_or_else(|| {
            let allowed = "the `next` of the page before";
            Fault::BadRequest(format!("parameter `cursor` is {text:?}; allowed: {allowed}"))
        })?;
        Ok((text, cursor))
    };
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    Ok((Shape::Page { limit, after: None }, cursor.map(parse).transpose()?))
}

fn exclude(one: &str, other: &str, why: &str) -> Fault {
    Fault::BadRequest(format!(
        "parameters `{one}` and `{other}` exclude each other: {why}; give one of them"
    ))
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
