//! How far the aggregation is behind, and what became of everything: one look at each shard.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use redis::{Pipeline, Value, cmd};

use super::connection::Link;
use super::entry::Entry;
use super::error::Error;
use super::keys::{GROUP, ShardKeys};
use super::meta::Meta;
use super::position::EntryId;
use crate::shard::ShardId;

/// Entries looked at for the running totals of producers. One process is one producer; with more
/// than this many that all write at once, those whose newest entry is older are taken as folded,
/// and the lag is said too small.
const NEWEST: usize = 4;

/// One shard at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardFigures {
    /// Which shard.
    pub shard: ShardId,
    /// What its `m` says.
    pub meta: Meta,
    /// Messages ever written to its stream.
    pub appended: u64,
    /// Entries delivered to an owner and not acknowledged.
    pub pending: u64,
    /// Entries not delivered yet; `None` when Redis cannot say.
    pub undelivered: Option<u64>,
}

impl ShardFigures {
    /// Messages written and not yet folded.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.appended.saturating_sub(self.meta.committed_messages())
    }
}

/// Looks at every shard. Shards are looked at one after the other, each at one moment.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn figures(link: &Link, keys: &[ShardKeys]) -> Result<Vec<ShardFigures>, Error> {
    type Newest = Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)>;
    let mut all = Vec::with_capacity(keys.len());
    for keys in keys {
        let mut look = Pipeline::with_capacity(2);
        look.atomic();
        look.cmd("HGETALL").arg(&keys.meta);
        look.cmd("XREVRANGE").arg(&keys.stream).arg("+").arg("-").arg("COUNT").arg(NEWEST);
        let (meta, newest): (HashMap<String, String>, Newest) = link.run_all(&look).await?;
        let meta = Meta::parse(meta);
        let newest = newest
            .into_iter()
            .filter_map(|(id, pairs)| Some(Entry::new(EntryId::parse(id.as_bytes())?, pairs)));
        let appended = appended(&meta, newest);
        let (pending, undelivered) = group(link, keys).await?;
        all.push(ShardFigures { shard: keys.shard, meta, appended, pending, undelivered });
    }
    Ok(all)
}

/// What one shard has not folded yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages written and not yet folded.
    pub messages: u64,
    /// How long the oldest of them has been waiting, by Redis's clock.
    pub oldest: Duration,
    /// Whether somebody owns the shard; also one that died and was not taken over yet.
    pub is_owned: bool,
}

/// Looks at what one shard has not folded.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn backlog(link: &Link, keys: &ShardKeys) -> Result<Backlog, Error> {
    type Oldest = Vec<(String, Value)>;
    let figures = figures(link, std::slice::from_ref(keys)).await?;
    let Some(figures) = figures.first() else { return Ok(Backlog::default()) };
    let is_owned = !figures.meta.owner.is_empty();
    let messages = figures.behind();
    if messages == 0 {
        return Ok(Backlog { is_owned, ..Backlog::default() });
    }
    let mut look = Pipeline::with_capacity(2);
    look.cmd("XRANGE").arg(&keys.stream).arg(format!("({}", figures.meta.pos)).arg("+");
    look.arg("COUNT").arg(1);
    look.cmd("TIME");
    let (oldest, (seconds, micros)): (Oldest, (u64, u64)) = link.run_all(&look).await?;
    let now = Duration::from_secs(seconds) + Duration::from_micros(micros);
    let since = oldest.first().and_then(|(id, _)| EntryId::parse(id.as_bytes()));
    let oldest = since.map(|id| now.saturating_sub(Duration::from_millis(id.ms)));
    Ok(match oldest {
        Some(oldest) => Backlog { messages, oldest, is_owned },
        // It was folded between the two looks.
        None => Backlog { is_owned, ..Backlog::default() },
    })
}

/// Σ over producers of the running total in their newest entry, and what is retired.
fn appended(meta: &Meta, newest: impl Iterator<Item = Entry>) -> u64 {
    let mut seen = HashSet::new();
    let mut appended = meta.committed_messages();
    for header in newest.filter_map(|entry| entry.header) {
        if !seen.insert(header.producer) {
            continue;
        }
        appended += match meta.producers.get(&header.producer) {
            // A resent entry stands behind its first copy, which has been folded.
            Some(mark) => header.total.saturating_sub(mark.total),
            // Nothing of it was folded. What is not here any more will be counted as lost.
            None => header.total,
        };
    }
    appended
}

/// Pending and undelivered entries; none when the stream or the group does not exist yet.
async fn group(link: &Link, keys: &ShardKeys) -> Result<(u64, Option<u64>), Error> {
    let info = link.run(cmd("XINFO").arg("GROUPS").arg(&keys.stream)).await;
    let groups: Vec<HashMap<String, Value>> = match info {
        Ok(groups) => groups,
        Err(Error::Redis(error)) if matches!(error.kind(), redis::ErrorKind::Server(_)) => {
            return Ok((0, Some(0)));
        }
        Err(error) => return Err(error),
    };
    let ours = Value::BulkString(GROUP.as_bytes().to_vec());
    let is_ours = |group: &&HashMap<String, Value>| group.get("name") == Some(&ours);
    let number = |group: &HashMap<String, Value>, field| match group.get(field) {
        Some(Value::Int(number)) => u64::try_from(*number).ok(),
        Some(_) | None => None,
    };
    let ours = groups.iter().find(is_ours);
    Ok(ours.map_or((0, Some(0)), |group| {
        (number(group, "pending").unwrap_or(0), number(group, "lag"))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::ProducerMark;
    use crate::stream::entry::ProducerId;

    fn entry(header: &str) -> Entry {
        let entry = Entry::new(EntryId::ZERO, vec![(b"@".to_vec(), header.as_bytes().to_vec())]);
        assert!(entry.header.is_some() || header.split(' ').nth(3) != Some("0"), "{header}");
        entry
    }

    #[test]
    fn what_was_appended_is_counted_by_producer() {
        let mut meta = Meta { retired: 1000, ..Meta::default() };
        let mark = ProducerMark { number: 3, total: 30, seen_ms: 0 };
        meta.producers.insert(ProducerId(1), mark);
        meta.producers.insert(ProducerId(2), ProducerMark { total: 7, ..mark });
        assert_eq!(appended(&meta, std::iter::empty()), 1037);
        let newest = [
            entry("1 0000000000000001 5 0 0 50"),
            entry("1 0000000000000001 4 0 0 40"),
            entry("1 0000000000000002 1 0 0 5"),
            entry("1 0000000000000003 9 0 0 100"),
        ];
        assert_eq!(appended(&meta, newest.into_iter()), 1157);
    }
}
