//! Why a sensor is missing: what becomes of the messages of one topic, in words.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::beside_the_runtime;
use super::seen::Seen;
use super::similar::{Likeness, similar};
use super::verdict::{Case, Outcome, UNNAMED};
use super::words;
use crate::aggregate::topics::Record;
use crate::ingest::TopicFilters;
use crate::reading::SeriesKey;
use crate::refusal::Refusal;
use crate::serve::answer;
use crate::serve::error::Fault;
use crate::serve::http::dead_letters;
use crate::serve::query::{Kind, Parameter};
use crate::serve::quiet::{Heard, Status};
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};
use crate::serve::table::Rows;
use crate::serve::view::{Moment, SensorRow};
use crate::shard::ShardCount;
use crate::stream::ShardKeys;
use crate::stream::catalogue::StoredLetter;
use crate::stream::lag::{self, Backlog};

/// Topics told that a text with wildcards would take.
const MATCHES_MAX: usize = 10;

pub(in crate::serve) const PARAMETERS: &[Parameter] = &[Parameter {
    name: "topic",
    about: "The topic as the device publishes to it, percent-encoded; required.",
    kind: Kind::Text,
}];

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Explanation {
    topic: String,
    /// For a person: what becomes of the messages, why, and what to do.
    verdict: String,
    /// What became of the last message: `counted`, `refused`, `ignored` (a broker's replay that
    /// said nothing new, or beyond `STREAMGAUGE_MAX_SENSORS`), `deleted` (its sensor was, since
    /// then), `not_accepted` (no filter takes the topic), `never_seen`, `invalid` (nobody can
    /// publish to it).
    outcome: &'static str,
    /// The first filter that takes the topic.
    #[schema(required = true)]
    filter: Option<String>,
    /// `MQTT_TOPICS` of the process that answers.
    filters: Vec<String>,
    /// Where its messages go.
    #[schema(required = true)]
    shard: Option<u16>,
    #[schema(required = true)]
    format: Option<&'static str>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    last_message: Option<Moment>,
    /// Messages seen, whatever became of them. Observations: after a crash some are counted twice
    /// or not at all here.
    messages: u64,
    /// Messages that were refused.
    errors: u64,
    /// Messages a second; null while it cannot be told.
    #[schema(required = true)]
    rate: Option<f64>,
    /// The series that the topic named last, at most four; when it was never seen, those that its
    /// levels name, if there are any.
    readings: Vec<Made>,
    /// The last refusal, also when later messages were counted.
    #[schema(required = true)]
    refused: Option<Refused>,
    #[schema(required = true)]
    last_dead_letter: Option<Letter>,
    /// Messages of all topics of its shard that are stored and not folded yet: those of this topic
    /// may be among them, and nothing here knows of them.
    waiting: u64,
    /// For how many milliseconds the oldest of them has been waiting; 0 when none is.
    lag_ms: u64,
    /// Topics that were seen and look alike, the most telling first; for a text with wildcards
    /// those that it would take as a filter.
    similar: Vec<Similar>,
    #[schema(value_type = String, format = DateTime)]
    as_of: Moment,
}

/// A series that comes of the topic.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Made {
    sensor_id: Box<str>,
    sensor_type: Box<str>,
    /// What says so: `payload` or `topic`, also where a level is empty and `unknown` stands in.
    named_by: &'static str,
    /// Readings, also through other topics; null when the series is not in the list of sensors.
    #[schema(required = true)]
    count: Option<u64>,
    #[schema(required = true)]
    last_value: Option<f64>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    last_reading: Option<Moment>,
    #[schema(required = true)]
    status: Option<&'static str>,
    /// When its last message came, and how often they use to.
    #[serde(skip)]
    heard: Option<Heard>,
}

/// A refusal, explained.
#[derive(Debug, Serialize, ToSchema)]
struct Refused {
    /// One of a closed set, as `bad_json`.
    reason: &'static str,
    /// What it means, and what to do.
    #[schema(value_type = String)]
    explanation: Cow<'static, str>,
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
}

/// The newest message of the topic that was set aside.
#[derive(Debug, Serialize, ToSchema)]
struct Letter {
    reason: String,
    /// Cut to 512 bytes; bytes that are no UTF-8 are replaced.
    payload: String,
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
}

/// A topic that was seen.
#[derive(Debug, Serialize, ToSchema)]
struct Similar {
    topic: String,
    why: &'static str,
    #[schema(value_type = String, format = DateTime)]
    last_message: Moment,
}

/// `GET /api/topics/explain`.
pub(in crate::serve) fn explain(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let topic = asked.query.text("topic").ok_or_else(|| {
            Fault::BadRequest(
                "parameter `topic` is missing; allowed: a topic such as \
                 sensors/kitchen/temperature"
                    .to_owned(),
            )
        })?;
        let seen = service.topics.read(service).await?;
        let keys = service.shards()?;
        let shard = shard_of(topic, &keys);
        let letter = last_letter(service, shard, topic).await?;
        let backlog = backlog(service, shard).await?;
        let (topic, service) = (topic.to_owned(), service.clone());
        let shard = shard.map(|keys| keys.shard.0);
        let made = beside_the_runtime(move || {
            let made = made(&service.table.read(), &topic, seen.get(&topic));
            let known = Known { seen: &seen, made, letter, shard, backlog };
            explained(&topic, &service.config.topics, known)
        });
        let explanation = made.await;
        Ok(answer::json(StatusCode::OK, asked.encodings(), &explanation).await)
    })
}

/// The shard of a topic; `None` for what is none.
fn shard_of<'a>(topic: &str, keys: &'a [ShardKeys]) -> Option<&'a ShardKeys> {
    let shards = ShardCount::new(u16::try_from(keys.len()).ok()?)?;
    let is_topic = words::invalid(topic).is_none();
    is_topic.then(|| keys.get(shards.shard_of(topic).index())).flatten()
}

async fn last_letter(
    service: &Service,
    shard: Option<&ShardKeys>,
    topic: &str,
) -> Result<Option<StoredLetter>, Fault> {
    match shard {
        Some(keys) => dead_letters::last_of(&service.deps.link, keys, topic).await,
        None => Ok(None),
    }
}

async fn backlog(service: &Service, shard: Option<&ShardKeys>) -> Result<Backlog, Fault> {
    let Some(keys) = shard else { return Ok(Backlog::default()) };
    lag::backlog(&service.deps.link, keys).await.map_err(|error| Fault::redis(&error))
}

/// The series that a topic made; when it was never seen, those that its levels name.
fn made(rows: &Rows, topic: &str, record: Option<&Record>) -> Vec<Made> {
    let mut levels = topic.split('/').skip(1);
    let (id, kind) = (levels.next().unwrap_or_default(), levels.next().unwrap_or_default());
    let made = |key: SeriesKey| {
        let says =
            |level: &str, name: &str| *level == *name || (level.is_empty() && name == UNNAMED);
        let named_by_topic = says(id, &key.sensor_id) && says(kind, &key.sensor_type);
        let found = rows.sensor(&key.sensor_id).find(|row| *row.series == key);
        let row = found.as_ref().map(SensorRow::new);
        Made {
            named_by: if named_by_topic { "topic" } else { "payload" },
            count: row.as_ref().map(|row| row.count),
            last_value: row.as_ref().and_then(|row| row.last_value),
            last_reading: row.as_ref().and_then(|row| row.last_reading),
            status: row.as_ref().and_then(|row| row.status),
            heard: rows.heard(&key),
            sensor_id: key.sensor_id,
            sensor_type: key.sensor_type,
        }
    };
    if let Some(record) = record {
        return record.series().map(made).collect();
    }
    let key = SeriesKey { sensor_id: id.into(), sensor_type: kind.into() };
    let named = made(key);
    if named.is_known() { vec![named] } else { Vec::new() }
}

impl Made {
    pub(super) const fn is_known(&self) -> bool {
        self.count.is_some()
    }

    pub(super) fn is_named_by_payload(&self) -> bool {
        self.named_by == "payload"
    }

    /// How it was heard, if it is so quiet.
    pub(super) fn quiet(&self, status: Status) -> Option<(Status, Heard)> {
        let heard = self.heard.filter(|_| self.status == Some(status.name()))?;
        Some((status, heard))
    }

    pub(super) fn sensor_id(&self) -> &str {
        &self.sensor_id
    }

    pub(super) fn sensor_type(&self) -> &str {
        &self.sensor_type
    }

    pub(super) fn name(&self) -> String {
        format!("sensor {:?} type {:?}", self.sensor_id, self.sensor_type)
    }
}

/// What was found out.
struct Known<'a> {
    seen: &'a Seen,
    made: Vec<Made>,
    letter: Option<StoredLetter>,
    shard: Option<u16>,
    backlog: Backlog,
}

fn explained(topic: &str, filters: &TopicFilters, known: Known<'_>) -> Explanation {
    let Known { seen, made, letter, shard, backlog } = known;
    let record = seen.get(topic);
    // Of another refusal it would say nothing of this one.
    let last = record.and_then(|record| record.refusal).map(|(refusal, _)| refusal.name());
    let of_last = letter.as_ref().filter(|letter| Some(&*letter.reason) == last);
    let payload = of_last.map(|letter| &*letter.payload);
    let (left_out, as_of) = (seen.left_out, seen.as_of);
    let case = Case { topic, filters, record, made: &made, left_out, payload, as_of };
    let (outcome, verdict) = case.judge();
    let verdict = words::behind(shard, backlog) + &verdict;
    let refused = |(refusal, at): (Refusal, _)| Refused {
        reason: refusal.name(),
        explanation: words::explained(refusal, payload),
        at: Moment(at),
    };
    Explanation {
        topic: topic.to_owned(),
        verdict,
        outcome: outcome.name(),
        filter: filters.matching(topic).filter(|_| outcome != Outcome::Invalid).map(str::to_owned),
        filters: filters.iter().map(str::to_owned).collect(),
        shard,
        format: record.and_then(|record| record.format),
        last_message: record.map(|record| Moment(record.last_message)),
        messages: record.map_or(0, |record| record.messages),
        errors: record.map_or(0, |record| record.errors),
        rate: record.and_then(|record| record.rate.per_second(seen.as_of)),
        refused: record.and_then(|record| record.refusal).map(refused),
        last_dead_letter: letter.map(Letter::new),
        waiting: backlog.messages,
        lag_ms: u64::try_from(backlog.oldest.as_millis()).unwrap_or(u64::MAX),
        similar: look_alikes(topic, seen, outcome),
        readings: made,
        as_of: Moment(seen.as_of),
    }
}

fn look_alikes(topic: &str, seen: &Seen, outcome: Outcome) -> Vec<Similar> {
    let one = |topic: &str, why| Similar {
        topic: topic.to_owned(),
        why,
        last_message: Moment(seen.get(topic).map_or(seen.as_of, |record| record.last_message)),
    };
    match (outcome, TopicFilters::parse(topic)) {
        (Outcome::Invalid, Ok(filter)) => {
            let taken = seen.iter().filter(|(topic, _)| filter.accepts(topic));
            taken.take(MATCHES_MAX).map(|(topic, _)| one(topic, "this filter takes it")).collect()
        }
        _ => similar(topic, seen.iter().map(|(topic, _)| topic))
            .into_iter()
            // Of a topic that is counted its siblings say nothing.
            .filter(|(why, _)| outcome != Outcome::Counted || *why < Likeness::Levels)
            .map(|(why, topic)| one(topic, why.about()))
            .collect(),
    }
}

impl Letter {
    fn new(stored: StoredLetter) -> Self {
        Self {
            reason: stored.reason,
            payload: String::from_utf8_lossy(&stored.payload).into_owned(),
            at: Moment(stored.received_at),
        }
    }
}
