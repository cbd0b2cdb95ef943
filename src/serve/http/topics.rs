//! What became of the messages of each topic, and why a sensor is missing.

mod explain;
mod seen;
mod similar;
mod verdict;
mod words;

use std::cmp::Reverse;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

pub(in crate::serve) use self::explain::{Explanation, PARAMETERS as EXPLAIN_PARAMETERS, explain};
pub(in crate::serve) use self::seen::Memory;
use self::seen::Seen;
use crate::aggregate::topics::Record;
use crate::reading::UnixMillis;
use crate::refusal::Refusal;
use crate::serve::answer;
use crate::serve::error::Fault;
use crate::serve::hex;
use crate::serve::query::{Kind, Parameter, Query};
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};
use crate::serve::view::Moment;

/// Topics in one answer.
const ROWS_MAX: usize = 10_000;
const ROWS_DEFAULT: usize = 1000;

/// The orders of the list; the first unless another is asked for.
const SORTS: &[&str] = &["last_message", "topic"];

pub(in crate::serve) const PARAMETERS: &[Parameter] = &[
    Parameter { name: "q", about: "Part of the topic, in any case.", kind: Kind::Text },
    Parameter {
        name: "sort",
        about: "last_message (default; newest first) or topic.",
        kind: Kind::OneOf(SORTS),
    },
    Parameter {
        name: "limit",
        about: "Topics at most, 1 to 10,000; 1,000 unless given.",
        kind: Kind::Whole(1, 10_000),
    },
    Parameter {
        name: "cursor",
        about: "The `next` of the page before; newest first, a topic that sends meanwhile may be \
                missed.",
        kind: Kind::Text,
    },
];

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct TopicList<'a> {
    /// Observations: after a crash some messages are counted twice or not at all here.
    topics: Vec<TopicRow<'a>>,
    /// The `cursor` of the next page; null on the last.
    #[schema(required = true)]
    next: Option<String>,
    /// Messages of topics that are not remembered, because there are more than 10,000 or so, or
    /// because they are longer than 512 bytes.
    left_out: u64,
    /// About how many topics those are, since the data set began: exact up to some hundred, a few
    /// per cent off at 20,000 in a shard, and at most 74,000 there.
    topics_left_out: u64,
    /// When it was read; owners write what they saw every few seconds.
    #[schema(value_type = String, format = DateTime)]
    as_of: Moment,
}

/// One topic.
#[derive(Debug, Serialize, ToSchema)]
struct TopicRow<'a> {
    topic: &'a str,
    #[schema(value_type = String, format = DateTime)]
    last_message: Moment,
    messages: u64,
    /// Messages a second, over the last minute or so; null while it cannot be told.
    #[schema(required = true)]
    rate: Option<f64>,
    /// The payload format of the last message that was not refused.
    #[schema(required = true)]
    format: Option<&'static str>,
    /// Readings that were counted.
    readings: u64,
    /// The series that the topic named last, at most four.
    sensors: Vec<SeriesName>,
    /// Messages that were refused.
    errors: u64,
    /// Messages that were ignored: replays of a broker that said nothing new, and those beyond
    /// `STREAMGAUGE_MAX_SENSORS`.
    ignored: u64,
    #[schema(required = true)]
    last_error: Option<LastError>,
}

/// The name of a series.
#[derive(Debug, Serialize, ToSchema)]
struct SeriesName {
    sensor_id: Box<str>,
    sensor_type: Box<str>,
}

/// The last refusal of a message, or of an element of one.
#[derive(Debug, Serialize, ToSchema)]
struct LastError {
    /// One of a closed set, as `bad_json`.
    reason: &'static str,
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
}

/// What is asked for.
struct Wanted {
    /// In lower case.
    part: Option<String>,
    /// One of [`SORTS`].
    sort: &'static str,
    limit: usize,
    /// The last row of the page before.
    after: Option<(i64, Box<str>)>,
}

impl Wanted {
    fn read(query: &Query) -> Result<Self, Fault> {
        let sort = query.one_of("sort", SORTS, |name| name)?.unwrap_or(SORTS[0]);
        let after = query.text("cursor").map(|text| {
            let json = hex::read(text).unwrap_or_default();
            let cursor = serde_json::from_slice::<(Box<str>, i64, Box<str>)>(&json);
            let (of, at, topic) = cursor.map_err(|_not_ours| {
                Fault::BadRequest(format!(
                    "parameter `cursor` is {text:?}; allowed: the `next` of the page before"
                ))
            })?;
            if *of == *sort { Ok((at, topic)) } else { Err(Fault::of_another_sort(&of, sort)) }
        });
        Ok(Self {
            part: query.text("q").map(str::to_lowercase),
            sort,
            limit: query.whole("limit", 1, ROWS_MAX)?.unwrap_or(ROWS_DEFAULT),
            after: after.transpose()?,
        })
    }

    fn takes(&self, topic: &str) -> bool {
        self.part.as_deref().is_none_or(|part| topic.to_lowercase().contains(part))
    }

    /// One page, and the cursor of the next.
    fn select<'a>(&self, seen: &'a Seen) -> (Vec<(&'a str, &'a Record)>, Option<String>) {
        let place = |topic: &'a str, record: &Record| match self.sort == "topic" {
            true => (Reverse(0), topic),
            false => (Reverse(record.last_message.0), topic),
        };
        let after = self.after.as_ref().map(|(at, topic)| (Reverse(*at), &**topic));
        let mut rows: Vec<_> = seen
            .iter()
            .filter(|(topic, record)| after.is_none_or(|after| place(topic, record) > after))
            .filter(|(topic, _)| self.takes(topic))
            .collect();
        rows.sort_unstable_by_key(|(topic, record)| place(topic, record));
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| has_more);
        let next = last.map(|(topic, record)| {
            let (Reverse(at), topic) = place(topic, record);
            hex::write(&answer::to_bytes(&(self.sort, at, topic)))
        });
        (rows, next)
    }
}

/// `GET /api/topics`.
pub(in crate::serve) fn list(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let wanted = Wanted::read(&asked.query)?;
        let seen = service.topics.read(service).await?;
        let bytes = beside_the_runtime(move || {
            let (page, next) = wanted.select(&seen);
            let topics = page.into_iter().map(|row| TopicRow::new(row, seen.as_of)).collect();
            let left_out = seen.left_out.full + seen.left_out.long;
            let topics_left_out = seen.left_out.topics;
            let as_of = Moment(seen.as_of);
            answer::to_bytes(&TopicList { topics, next, left_out, topics_left_out, as_of })
        });
        Ok(answer::json_bytes(StatusCode::OK, asked.encodings(), bytes.await).await)
    })
}

impl<'a> TopicRow<'a> {
    fn new((topic, record): (&'a str, &'a Record), now: UnixMillis) -> Self {
        let name = |key: crate::reading::SeriesKey| SeriesName {
            sensor_id: key.sensor_id,
            sensor_type: key.sensor_type,
        };
        let error = |(refusal, at): (Refusal, UnixMillis)| LastError {
            reason: refusal.name(),
            at: Moment(at),
        };
        Self {
            topic,
            last_message: Moment(record.last_message),
            messages: record.messages,
            rate: record.rate.per_second(now),
            format: record.format,
            readings: record.readings,
            sensors: record.series().map(name).collect(),
            errors: record.errors,
            ignored: record.ignored,
            last_error: record.refusal.map(error),
        }
    }
}

/// Work on all topics takes some milliseconds.
async fn beside_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
