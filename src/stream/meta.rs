//! A shard's `m` hash: who owns it, how far it is committed, and the totals.
//!
//! Field names: `generation`, `fence`, `owner`, `token`, `version`, `pos`, `next`, `retired`,
//! `p:<producer>` = `<number> <running total> <ms of the entry>`, `t:<total>`,
//! `t:dead:<reason>`. All numbers are decimal text and absolute.

use std::collections::HashMap;

use super::entry::ProducerId;
use super::position::EntryId;
use crate::refusal::Refusal;

/// How far a producer's entries have been folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerMark {
    /// The number of its newest entry.
    pub number: u64,
    /// Messages in all its entries up to that one.
    pub total: u64,
    /// The milliseconds of that entry's id: stream time.
    pub seen_ms: u64,
}

/// What became of the messages of a shard. Each message is under exactly one of `decoded`,
/// `dead`, `overflow`, `retained`, `control`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages that became at least one reading.
    pub decoded: u64,
    /// Readings counted.
    pub readings: u64,
    /// Messages all of whose readings were over `STREAMGAUGE_MAX_SENSORS`.
    pub overflow: u64,
    /// Retained replays that said nothing new.
    pub retained: u64,
    /// Messages of resent entries that were skipped.
    pub resent: u64,
    /// Messages lost between a producer and the stream: a gap in its numbers.
    pub lost: u64,
    /// Messages in entries that no producer of ours wrote.
    pub foreign: u64,
    /// Readings whose time was too far ahead, so that the time of receipt stands in.
    pub future: u64,
    /// Attributes left out because they were too long or of a wrong type.
    pub left_out: u64,
    /// Readings refused beside others of the same message that were counted.
    pub partly: u64,
    /// Control messages that were obeyed.
    pub control: u64,
    /// Readings counted and kept, but in no window: all that they belong to are older than is
    /// kept.
    pub late_beyond_windows: u64,
    /// Blocks of history that could not be read when something was to be added, and were replaced.
    pub damaged: u64,
    /// Dead letters by reason, in the order of [`Refusal::ALL`].
    pub dead: [u64; Refusal::ALL.len()],
}

impl Totals {
    /// Field name and value of each total, dead letters apart.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 13] {
        [
            ("t:decoded", self.decoded),
            ("t:readings", self.readings),
            ("t:overflow", self.overflow),
            ("t:retained", self.retained),
            ("t:resent", self.resent),
            ("t:lost", self.lost),
            ("t:foreign", self.foreign),
            ("t:future", self.future),
            ("t:left_out", self.left_out),
            ("t:partly", self.partly),
            ("t:control", self.control),
            ("t:late_beyond_windows", self.late_beyond_windows),
            ("t:damaged", self.damaged),
        ]
    }

    /// All dead letters.
    #[must_use]
    pub fn dead_lettered(&self) -> u64 {
        self.dead.iter().sum()
    }

    /// Messages that were folded: the sum of the outcomes.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.decoded + self.overflow + self.retained + self.control + self.dead_lettered()
    }

    fn set(&mut self, name: &str, value: u64) {
        let place = match name {
            "decoded" => &mut self.decoded,
            "readings" => &mut self.readings,
            "overflow" => &mut self.overflow,
            "retained" => &mut self.retained,
            "resent" => &mut self.resent,
            "lost" => &mut self.lost,
            "foreign" => &mut self.foreign,
            "future" => &mut self.future,
            "left_out" => &mut self.left_out,
            "partly" => &mut self.partly,
            "control" => &mut self.control,
            "late_beyond_windows" => &mut self.late_beyond_windows,
            "damaged" => &mut self.damaged,
            other => {
                let dead = other.strip_prefix("dead:");
                let known = |name| Refusal::ALL.iter().find(|it| it.name() == name);
                match dead.and_then(known) {
                    Some(refusal) => &mut self.dead[refusal.index()],
                    // A total of a newer version is its own business.
                    None => return,
                }
            }
        };
        *place = value;
    }
}

/// Everything in the `m` hash.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// Random name of this incarnation of the shard; empty when there is none yet.
    pub generation: String,
    /// The owner's proof; empty when nobody owns the shard.
    pub fence: String,
    /// The owner's node; empty when nobody owns the shard.
    pub owner: String,
    /// Of the last commit call; empty before the first.
    pub token: String,
    /// Grows with every commit.
    pub version: u64,
    /// The last committed entry.
    pub pos: EntryId,
    /// The last series number given out.
    pub next: u64,
    /// Series in the shard: how many states there are, not a field of the hash.
    pub series: u64,
    /// Messages of producers that are not remembered one by one any more.
    pub retired: u64,
    /// Producers seen within the last hour of stream time.
    pub producers: HashMap<ProducerId, ProducerMark>,
    /// What became of the messages.
    pub totals: Totals,
}

impl Meta {
    /// Reads the fields of the hash. What is not known or cannot be read is passed over.
    #[must_use]
    pub fn parse(fields: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut meta = Self::default();
        for (field, value) in fields {
            if let Some(id) = field.strip_prefix("p:") {
                if let Some((id, mark)) = ProducerId::parse(id).zip(ProducerMark::parse(&value)) {
                    meta.producers.insert(id, mark);
                }
            } else if let Some(total) = field.strip_prefix("t:") {
                meta.totals.set(total, value.parse().unwrap_or(0));
            } else {
                meta.set(&field, value);
            }
        }
        meta
    }

    fn set(&mut self, field: &str, value: String) {
        match field {
            "generation" => self.generation = value,
            "fence" => self.fence = value,
            "owner" => self.owner = value,
            "token" => self.token = value,
            "version" => self.version = value.parse().unwrap_or(0),
            "pos" => self.pos = value.parse().unwrap_or(EntryId::ZERO),
            "next" => self.next = value.parse().unwrap_or(0),
            "retired" => self.retired = value.parse().unwrap_or(0),
            // A field of a newer version is its own business.
            _ => {}
        }
    }

    /// Messages in all entries that were folded: what the producers' running totals say.
    #[must_use]
    pub fn committed_messages(&self) -> u64 {
        self.retired + self.producers.values().map(|mark| mark.total).sum::<u64>()
    }
}

impl ProducerMark {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').map(str::parse);
        let mut number = || words.next()?.ok();
        Some(Self { number: number()?, total: number()?, seen_ms: number()? })
    }
}

impl std::fmt::Display for ProducerMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.number, self.total, self.seen_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut totals = Totals { decoded: 5, lost: 2, ..Totals::default() };
        totals.dead[Refusal::BadJson.index()] = 3;
        let mark = ProducerMark { number: 4, total: 9, seen_ms: 77 };
        let mut fields: Vec<(String, String)> = totals
            .named()
            .into_iter()
            .map(|(name, value)| (name.into(), value.to_string()))
            .collect();
        fields.push(("t:dead:bad_json".into(), "3".into()));
        fields.push(("t:of_the_future".into(), "3".into()));
        fields.push(("p:00000000000000ab".into(), mark.to_string()));
        fields.push(("pos".into(), "12-3".into()));
        let meta = Meta::parse(fields);
        assert_eq!(meta.totals, totals);
        assert_eq!(meta.producers[&ProducerId(0xab)], mark);
        assert_eq!(meta.pos, EntryId { ms: 12, seq: 3 });
        assert_eq!(meta.totals.folded(), 8);
        assert_eq!(meta.committed_messages(), 9);
    }
}
