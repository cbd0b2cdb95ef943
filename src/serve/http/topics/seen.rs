//! What owners saw of topics, read from Redis at most once a second, however many ask.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::beside_the_runtime;
use crate::aggregate::topics::{LeftOut, Record};
use crate::reading::UnixMillis;
use crate::serve::error::Fault;
use crate::serve::service::Service;
use crate::stream::inventory::Fields;
use crate::stream::topics::records;

/// What was read is not read again within this: all topics take some megabytes and some
/// milliseconds. A guess.
const FRESH: Duration = Duration::from_secs(1);

/// What was read last.
#[derive(Debug, Default)]
pub(in crate::serve) struct Memory {
    /// Guards the reading too, so that of many who ask one reads.
    read: Mutex<Option<(Instant, Arc<Seen>)>>,
}

/// All topics at one moment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// In the order of topics.
    topics: Vec<(Box<str>, Record)>,
    pub left_out: Missing,
    pub as_of: UnixMillis,
}

/// What is in no record, over all shards.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Missing {
    /// Messages for whose topics there was no place.
    pub full: u64,
    /// Messages whose topics are too long.
    pub long: u64,
    /// About how many topics that were.
    pub topics: u64,
}

impl Memory {
    /// All topics, not older than a second.
    ///
    /// # Cancel safety
    /// Whoever comes next reads anew.
    pub(super) async fn read(&self, service: &Service) -> Result<Arc<Seen>, Fault> {
        let mut read = self.read.lock().await;
        if let Some((at, seen)) = &*read
            && at.elapsed() < FRESH
        {
            return Ok(seen.clone());
        }
        let keys = service.shards()?;
        let (asked_at, as_of) = (Instant::now(), service.deps.clock.now());
        let stored = records(&service.deps.link, &keys).await;
        let stored = stored.map_err(|error| Fault::redis(&error))?;
        let seen = Arc::new(beside_the_runtime(move || Seen::parse(stored, as_of)).await);
        *read = Some((asked_at, seen.clone()));
        Ok(seen)
    }
}

impl Seen {
    /// Reads the records of all shards. What is no record is passed over.
    pub(super) fn parse(stored: Vec<Fields>, as_of: UnixMillis) -> Self {
        let mut seen = Self { as_of, ..Self::default() };
        for (field, value) in stored.into_iter().flatten() {
            if field == LeftOut::FIELD {
                let of_shard = LeftOut::parse(&value).unwrap_or_default();
                seen.left_out.full += of_shard.full;
                seen.left_out.long += of_shard.long;
                // A topic is in one shard only.
                seen.left_out.topics += of_shard.topics.estimate();
            } else if let (Ok(topic), Some(record)) =
                (String::from_utf8(field), Record::parse(&value))
            {
                seen.topics.push((topic.into(), record));
            }
        }
        seen.topics.sort_by(|(a, _), (b, _)| a.cmp(b));
        // A scan may meet a field twice.
        seen.topics.dedup_by(|(a, _), (b, _)| a == b);
        seen
    }

    /// What is known of a topic.
    pub(super) fn get(&self, topic: &str) -> Option<&Record> {
        let place = self.topics.binary_search_by(|(known, _)| (**known).cmp(topic)).ok()?;
        Some(&self.topics[place].1)
    }

    /// All of them, in the order of topics.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Record)> {
        self.topics.iter().map(|(topic, record)| (&**topic, record))
    }
}
