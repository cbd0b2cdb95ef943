//! What is kept of a share over all shards, and from when on it is complete. No I/O, no clock.

use std::collections::BTreeSet;

use super::inventory::{Inventory, SPAN_BYTES};
use super::span::{Share, Span};
use crate::reading::UnixMillis;

/// One share of history, over all shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// What it takes in Redis.
    pub bytes: u64,
    /// How many spans of time have anything, however many shards keep it.
    pub spans: usize,
    /// The first and the last moment that spans are kept for, the last one exclusive. Begins
    /// later when what was evicted reaches further; `None` when nothing whole is left.
    pub between: Option<(UnixMillis, UnixMillis)>,
}

impl Coverage {
    /// Of `share`, given the inventories of all shards.
    #[must_use]
    pub fn of(share: Share, inventories: &[Inventory]) -> Self {
        let all = || inventories.iter().flat_map(Inventory::iter);
        let kept = all().filter(|(span, _)| span.shelf.share() == share);
        let mut bytes = 0_u64;
        let mut spans = BTreeSet::<Span>::new();
        for (span, kept) in kept {
            bytes = bytes.saturating_add(kept.bytes).saturating_add(SPAN_BYTES);
            spans.insert(span);
        }
        let evicted = inventories.iter().filter_map(|inventory| inventory.evicted(share)).max();
        let first = spans.iter().map(|span| span.start()).min();
        let last = spans.iter().map(|span| span.end()).max();
        let between = first.max(evicted.filter(|_| first.is_some())).zip(last);
        Self { bytes, spans: spans.len(), between: between.filter(|(from, to)| from < to) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{HOUR_MS, Shelf};

    fn hour(index: i64) -> Span {
        Span { shelf: Shelf::ReadingsByHour, index }
    }

    #[test]
    fn a_share_is_covered_from_its_oldest_span_or_what_was_evicted() {
        let now = UnixMillis(0);
        let (mut one, mut other) = (Inventory::default(), Inventory::default());
        for index in [3, 4, 5] {
            one.add(hour(index), 10, now);
        }
        other.add(hour(5), 10, now);
        other.add(Span { shelf: Shelf::HoursByDay, index: 0 }, 7, now);
        let covered = |all: &[Inventory]| Coverage::of(Share::Readings, all);
        let between = |from, to| Some((UnixMillis(from * HOUR_MS), UnixMillis(to * HOUR_MS)));
        let all = [one.clone(), other.clone()];
        let expected = Coverage { bytes: 40 + 4 * SPAN_BYTES, spans: 3, between: between(3, 6) };
        assert_eq!(covered(&all), expected);
        assert_eq!(Coverage::of(Share::Minutes, &all), Coverage::default());
        // The other shard lost an hour that this one still has.
        other.add(hour(4), 10, now);
        other.remove(hour(4));
        assert_eq!(covered(&[one.clone(), other.clone()]).between, between(5, 6));
        // What came back after its eviction does not cover its hour.
        other.remove(hour(5));
        other.add(hour(5), 10, now);
        assert_eq!(covered(&[one, other.clone()]).between, None);
        other.remove(hour(5));
        assert_eq!(covered(&[other]), Coverage::default());
    }
}
