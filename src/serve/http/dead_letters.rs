//! Messages that were set aside, with the reason.

use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::reading::UnixMillis;
use crate::serve::answer;
use crate::serve::error::Fault;
use crate::serve::query::{Kind, Parameter};
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};
use crate::serve::view::Moment;
use crate::stream::catalogue::{self, StoredLetter};

/// As many as a shard keeps (design §5).
const LETTERS_MAX: usize = 1000;
const LETTERS_DEFAULT: usize = 100;

pub(in crate::serve) const PARAMETERS: &[Parameter] = &[Parameter {
    name: "limit",
    about: "Letters at most, 1 to 1,000; 100 unless given.",
    kind: Kind::Whole(1, 1000),
}];

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct DeadLetters {
    /// Newest first.
    dead_letters: Vec<Letter>,
}

/// One message that was set aside.
#[derive(Debug, Serialize, ToSchema)]
struct Letter {
    /// One of a closed set, as `bad_json`.
    reason: String,
    topic: String,
    /// Cut to 512 bytes; bytes that are no UTF-8 are replaced.
    payload: String,
    #[schema(value_type = String, format = DateTime)]
    received_at: Moment,
    /// Where it stood: `<shard>:<ms>-<seq>.<index>`.
    position: String,
}

/// `GET /api/dead-letters`.
pub(in crate::serve) fn list(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let limit = asked.query.whole("limit", 1, LETTERS_MAX)?.unwrap_or(LETTERS_DEFAULT);
        let keys = service.shards()?;
        let mut letters = catalogue::dead_letters(&service.deps.link, &keys, limit)
            .await
            .map_err(|error| Fault::redis(&error))?;
        let order = |letter: &StoredLetter| (letter.received_at, letter.id);
        letters.sort_by_key(|letter| std::cmp::Reverse(order(letter)));
        let dead_letters = letters.into_iter().take(limit).map(Letter::new).collect();
        let body = DeadLetters { dead_letters };
        Ok(answer::json(StatusCode::OK, asked.encodings(), &body).await)
    })
}

impl Letter {
    fn new(stored: StoredLetter) -> Self {
        let StoredLetter { shard, reason, topic, payload, received_at, position, .. } = stored;
        let shard = shard.0;
        Self {
            reason,
            topic,
            payload: String::from_utf8_lossy(&payload).into_owned(),
            received_at: Moment(UnixMillis(received_at.0)),
            position: format!("{shard}:{position}"),
        }
    }
}
