//! What history takes in Redis, as Redis itself says: MEMORY USAGE of every key, all fields.

use anyhow::{Context, Result};
use redis::{Connection, cmd};

use crate::past::HOUR_MS;

const DAY_MS: i64 = 24 * HOUR_MS;

/// Keys asked for at a time.
const KEYS_PER_PAGE: &str = "1000";

/// What some keys hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many.
    pub keys: u64,
    /// Fields of these hashes.
    pub fields: u64,
    /// What they take, with their names and all overhead but the table of keys.
    pub bytes: u64,
}

/// One share of history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What its spans hold, over all shards.
    pub held: Held,
    /// Milliseconds since 1970: from the start of the oldest span to the end of the newest one.
    pub between: Option<(i64, i64)>,
    /// Before when it may be incomplete, for something was evicted in some shard.
    pub evicted: Option<i64>,
    /// Spans that are kept although they ended before something that was evicted in some shard:
    /// for a moment, until all shards have done as one did.
    pub older_than_evicted: u64,
}

/// All of history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Single readings.
    pub readings: Share,
    /// 1-minute windows.
    pub minutes: Share,
    /// 1-hour windows.
    pub hours: Share,
    /// What is written down of the spans.
    pub inventory: Held,
    /// States, and in them the newest readings and windows.
    pub states: Held,
    /// Units, locations, metadata.
    pub attributes: Held,
}

impl Footprint {
    /// Asks for all keys of all shards.
    ///
    /// # Errors
    /// Redis cannot be reached, or holds something else.
    pub fn measure(redis_url: &str) -> Result<Self> {
        let asked = || -> Result<Self> {
            let mut redis = redis::Client::open(redis_url)?.get_connection()?;
            let mut footprint = Self::default();
            footprint.count(&mut redis)?;
            Ok(footprint)
        };
        asked().with_context(|| format!("cannot measure {redis_url}"))
    }

    /// Spans and what is written down of them.
    #[must_use]
    pub fn spans_bytes(&self) -> u64 {
        self.shares().iter().map(|share| share.held.bytes).sum()
    }

    /// Everything: spans, inventory, states with the open ends, attributes.
    #[must_use]
    pub fn all_bytes(&self) -> u64 {
        self.spans_bytes() + self.inventory.bytes + self.states.bytes + self.attributes.bytes
    }

    /// Readings, minutes, hours.
    #[must_use]
    pub const fn shares(&self) -> [Share; 3] {
        [self.readings, self.minutes, self.hours]
    }

    const fn shares_mut(&mut self) -> [&mut Share; 3] {
        [&mut self.readings, &mut self.minutes, &mut self.hours]
    }

    /// Counts every key.
    fn count(&mut self, redis: &mut Connection) -> Result<()> {
        let mut spans = Vec::new();
        for key in keys(redis)? {
            let Some((_shard, name)) = key.split_once('}') else { continue };
            let kind = match name {
                "st" => &mut self.states,
                "at" => &mut self.attributes,
                "hs" => {
                    for (share, name) in self.shares_mut().into_iter().zip(SHARES) {
                        let field = format!("e:{name}");
                        let at: Option<i64> = cmd("HGET").arg(&key).arg(field).query(redis)?;
                        share.evicted = share.evicted.max(at);
                    }
                    &mut self.inventory
                }
                _ => {
                    let Some(span) = Span::parse(name) else { continue };
                    spans.push(span);
                    &mut self.shares_mut()[span.share].held
                }
            };
            let (bytes, fields): (Option<u64>, u64) = redis::pipe()
                .cmd("MEMORY")
                .arg(&["USAGE", &key, "SAMPLES", "0"])
                .cmd("HLEN")
                .arg(&key)
                .query(redis)?;
            // A span may have been evicted since it was listed.
            if let Some(bytes) = bytes {
                kind.keys += 1;
                kind.fields += fields;
                kind.bytes += bytes;
            }
        }
        for span in spans {
            self.shares_mut()[span.share].keep(span);
        }
        Ok(())
    }
}

impl Share {
    fn keep(&mut self, span: Span) {
        let (from, to) = self.between.unwrap_or((span.start, span.end));
        self.between = Some((from.min(span.start), to.max(span.end)));
        self.older_than_evicted +=
            u64::from(self.evicted.is_some_and(|evicted| span.end < evicted));
    }
}

/// As the inventory and `/api/stats` call them, in the order of [`Footprint::shares`].
pub const SHARES: [&str; 3] = ["readings", "minutes", "hours"];

fn keys(redis: &mut Connection) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut cursor = 0_u64;
    loop {
        let (next, page): (u64, Vec<String>) = cmd("SCAN")
            .arg(cursor)
            .arg(&["MATCH", "{sg:*", "COUNT", KEYS_PER_PAGE])
            .query(redis)?;
        keys.extend(page);
        cursor = next;
        if cursor == 0 {
            // A key may be listed more than once.
            keys.sort_unstable();
            keys.dedup();
            return Ok(keys);
        }
    }
}

/// A span of history by the end of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    share: usize,
    start: i64,
    end: i64,
}

impl Span {
    fn parse(name: &str) -> Option<Self> {
        let shelves =
            [("h:h", 0, HOUR_MS), ("h:d", 0, DAY_MS), ("w:m", 1, HOUR_MS), ("w:h", 2, DAY_MS)];
        shelves.into_iter().find_map(|(prefix, share, length)| {
            let index: i64 = name.strip_prefix(prefix)?.parse().ok()?;
            Some(Self { share, start: index * length, end: (index + 1) * length })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_by_their_keys() {
        let check = |name, share, start, end| {
            assert_eq!(Span::parse(name), Some(Span { share, start, end }), "{name}");
        };
        check("h:h2", 0, 2 * HOUR_MS, 3 * HOUR_MS);
        check("h:d-1", 0, -DAY_MS, 0);
        check("w:m0", 1, 0, HOUR_MS);
        check("w:h7", 2, 7 * DAY_MS, 8 * DAY_MS);
        for other in ["in", "m", "ix", "h:x1", "h:h", "w:hx"] {
            assert_eq!(Span::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_span_before_what_was_evicted_is_noticed() {
        let mut share = Share { evicted: Some(5 * HOUR_MS), ..Share::default() };
        let span = |index: i64| Span::parse(&format!("w:m{index}")).unwrap();
        for index in [5, 4, 6] {
            share.keep(span(index));
        }
        assert_eq!(share.older_than_evicted, 0);
        share.keep(span(3));
        assert_eq!(share.older_than_evicted, 1);
        assert_eq!(share.between, Some((3 * HOUR_MS, 7 * HOUR_MS)));
    }
}
