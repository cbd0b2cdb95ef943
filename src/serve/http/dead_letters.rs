//! Messages that were set aside, with the reason.
//!
//! Each shard keeps its newest 1,000 in the order in which it set them aside, so that pages are
//! walked in that order, merged over the shards. A letter keeps its topic whole, which may be
//! 65,535 bytes; so an answer is bounded in bytes too, and little more is read than is shown.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::reading::UnixMillis;
use crate::serve::answer;
use crate::serve::error::Fault;
use crate::serve::hex;
use crate::serve::query::{Kind, Parameter};
use crate::serve::router::Reply;
use crate::serve::service::{Asked, Service};
use crate::serve::view::Moment;
use crate::stream::catalogue::{self, StoredLetter};
use crate::stream::{EntryId, Link, ShardKeys};

/// As many as a shard keeps (design §5).
const LETTERS_MAX: usize = 1000;
const LETTERS_DEFAULT: usize = 100;
/// Bytes of letters in one answer, or one letter; the largest that an owner writes is a tenth of
/// it. A guess: 10,000 of the usual size.
const BYTES_MAX: usize = 4 << 20;
/// Letters read from all shards at a time: 8 MiB where all of them are of the largest kind. A
/// guess; with more shards than this one of each is read.
const READ_AT_A_TIME: usize = 128;

pub(in crate::serve) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "limit",
        about: "Letters at most, 1 to 1,000; 100 unless given. Where topics are long, fewer come.",
        kind: Kind::Whole(1, 1000),
    },
    Parameter { name: "cursor", about: "The `next` of the page before.", kind: Kind::Text },
];

/// The answer: at most 4 MiB of letters.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct DeadLetters {
    /// Those set aside last, the newest in front.
    dead_letters: Vec<Letter>,
    /// The `cursor` of the next page; null on the last.
    #[schema(required = true)]
    next: Option<String>,
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

/// The place of a letter in the order of all: when it was set aside, and by which shard.
type Place = (u64, u64, u16);

/// `GET /api/dead-letters`.
pub(in crate::serve) fn list(service: &Arc<Service>, asked: Asked) -> Reply<'_> {
    Box::pin(async move {
        let limit = asked.query.whole("limit", 1, LETTERS_MAX)?.unwrap_or(LETTERS_DEFAULT);
        let after = asked.query.text("cursor").map(place_of).transpose()?;
        let keys = service.shards()?;
        let mut letters = Letters::new(&keys, after, limit + 1);
        let (mut page, mut bytes, mut last, mut next) = (Vec::new(), 0, None, None);
        while let Some(stored) = letters.next(&service.deps.link).await? {
            let (place, order) = (place(&stored), (stored.received_at, stored.id));
            let letter = Letter::new(stored);
            bytes += answer::to_bytes(&letter).len() + 1;
            if page.len() == limit || (bytes > BYTES_MAX && !page.is_empty()) {
                next = last.map(|last: Place| hex::write(&answer::to_bytes(&last)));
                break;
            }
            page.push((order, letter));
            last = Some(place);
        }
        page.sort_by_key(|(order, _)| Reverse(*order));
        let dead_letters = page.into_iter().map(|(_, letter)| letter).collect();
        let body = DeadLetters { dead_letters, next };
        Ok(answer::json(StatusCode::OK, asked.encodings(), &body).await)
    })
}

fn place(letter: &StoredLetter) -> Place {
    (letter.id.ms, letter.id.seq, letter.shard.0)
}

fn place_of(text: &str) -> Result<Place, Fault> {
    let json = hex::read(text).unwrap_or_default();
    serde_json::from_slice(&json).map_err(|_not_ours| {
        Fault::BadRequest(format!(
            "parameter `cursor` is {text:?}; allowed: the `next` of the page before"
        ))
    })
}

/// The letters of all shards, in the order in which they were set aside, the newest first.
struct Letters<'k> {
    shards: Vec<Shelf<'k>>,
    /// Letters read of a shard at a time.
    count: usize,
}

/// The letters of a shard.
struct Shelf<'k> {
    keys: &'k ShardKeys,
    /// Those that were read, and not given.
    read: VecDeque<StoredLetter>,
    /// What is read next stands before this.
    before: Option<EntryId>,
    is_done: bool,
}

impl<'k> Letters<'k> {
    /// Those that stand behind a place; about so many are wanted.
    fn new(keys: &'k [ShardKeys], after: Option<Place>, wanted: usize) -> Self {
        let shelf = |keys: &'k ShardKeys| {
            let before = after.map(|(ms, seq, shard)| {
                // Of the same moment the shards with the higher numbers come first.
                let seq = if keys.shard.0 < shard { seq.saturating_add(1) } else { seq };
                EntryId { ms, seq }
            });
            Shelf { keys, read: VecDeque::new(), before, is_done: false }
        };
        let count = (READ_AT_A_TIME / keys.len().max(1)).clamp(1, wanted);
        Self { shards: keys.iter().map(shelf).collect(), count }
    }

    /// The next one; `None` when that were all.
    async fn next(&mut self, link: &Link) -> Result<Option<StoredLetter>, Fault> {
        self.read(link).await?;
        let newest = self.shards.iter_mut().max_by_key(|shelf| shelf.read.front().map(place));
        Ok(newest.and_then(|shelf| shelf.read.pop_front()))
    }

    /// Sees that each shard has a letter at hand, unless it has no more.
    async fn read(&mut self, link: &Link) -> Result<(), Fault> {
        let is_empty = |shelf: &Shelf<'_>| shelf.read.is_empty() && !shelf.is_done;
        if !self.shards.iter().any(is_empty) {
            return Ok(());
        }
        let empty: Vec<_> = self.shards.iter_mut().filter(|shelf| is_empty(shelf)).collect();
        let asked: Vec<_> = empty.iter().map(|shelf| (shelf.keys, shelf.before)).collect();
        let read = catalogue::dead_letters(link, &asked, self.count).await;
        let read = read.map_err(|error| Fault::redis(&error))?;
        for (shelf, letters) in empty.into_iter().zip(read) {
            shelf.is_done = letters.len() < self.count;
            shelf.before = letters.last().map(|letter| letter.id);
            shelf.read = letters.into();
        }
        Ok(())
    }
}

/// The newest letter of a topic that its shard has.
pub(super) async fn last_of(
    link: &Link,
    keys: &ShardKeys,
    topic: &str,
) -> Result<Option<StoredLetter>, Fault> {
    let mut letters = Letters::new(std::slice::from_ref(keys), None, LETTERS_MAX);
    while let Some(letter) = letters.next(link).await? {
        if letter.topic == topic {
            return Ok(Some(letter));
        }
    }
    Ok(None)
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
