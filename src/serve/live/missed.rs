//! What the members of a group that are behind have missed: of every series the reading measured
//! last, and what must be known of sensors and shards, in the order of the last time. A state
//! machine's part: no runtime, no clock, no I/O.
//!
//! All members that are behind share it; each only remembers from which number on it missed. So
//! its size depends on the series, never on how many are behind, and it is empty when nobody is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::frame::Frame;
use super::shown::Shown;
use super::subscription::Subscription;
use crate::shard::ShardId;

/// What replaces what: of one key one item is told, the last of events, and of readings the one
/// measured last.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// The reading of a slot.
    Reading(u32),
    /// Whether a series is online: its id and type.
    Status(Box<str>, Box<str>),
    /// A sensor was deleted.
    Removed(Box<str>),
    /// Readings of a shard are missing.
    Gap(ShardId),
    /// The data set is another one.
    Reset,
}

/// What is told.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Reading(Arc<Shown>),
    Event(Frame),
}

impl Item {
    /// A reading that was measured before another; of events the later one counts.
    fn is_before(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Reading(one), Self::Reading(other)) => {
                one.observed.measured_at < other.observed.measured_at
            }
            (Self::Event(_), _) | (_, Self::Event(_)) => false,
        }
    }

    /// Whether a subscription is to hear of it.
    pub(super) fn is_wanted(&self, key: &Key, by: &Subscription) -> bool {
        match (self, key) {
            (Self::Reading(shown), _) => by.wants(&shown.observed.series.sensor_id),
            (_, Key::Status(sensor_id, _) | Key::Removed(sensor_id)) => by.wants(sensor_id),
            (_, Key::Reading(_) | Key::Gap(_) | Key::Reset) => true,
        }
    }
}

/// One item per key, in the order in which they came last.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// The number of the next item.
    next: u64,
    newest: HashMap<Key, u64>,
    items: BTreeMap<u64, (Key, Item)>,
}

impl Missed {
    /// The number that the next item gets.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Adds an item, which replaces the one of its key; but a reading that was measured before the
    /// one that is kept is not kept. Who is behind since after that one was told it already, or
    /// came later and has it from history.
    pub(super) fn put(&mut self, key: Key, item: Item) {
        if let Some(known) = self.newest.get(&key).copied() {
            if self.items.get(&known).is_some_and(|(_, known)| item.is_before(known)) {
                return;
            }
            self.items.remove(&known);
        }
        self.newest.insert(key.clone(), self.next);
        self.items.insert(self.next, (key, item));
        self.next += 1;
    }

    /// Forgets what a key stands for.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(number) = self.newest.remove(key) {
            self.items.remove(&number);
        }
    }

    /// The items from a number on, each with its own and its key.
    pub(super) fn since(&self, number: u64) -> impl Iterator<Item = (u64, &Key, &Item)> {
        self.items.range(number..).map(|(number, (key, item))| (*number, key, item))
    }

    /// Forgets the first items as long as what another keeps from a number on replaces them.
    pub(super) fn drop_replaced(&mut self, by: &Self, since: u64) {
        while let Some(first) = self.items.first_entry() {
            let (key, item) = first.get();
            let newer = by.newest.get(key).filter(|number| **number >= since);
            let newer = newer.and_then(|number| by.items.get(number));
            if newer.is_none_or(|(_, newer)| newer.is_before(item)) {
                return;
            }
            self.newest.remove(key);
            first.remove();
        }
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Forgets what does not fit.
    pub(super) fn retain(&mut self, fits: impl Fn(&Key, &Item) -> bool) {
        let newest = &mut self.newest;
        self.items.retain(|_, (key, item)| {
            let stays = fits(key, item);
            if !stays {
                newest.remove(key);
            }
            stays
        });
    }

    /// Forgets everything; numbers go on.
    pub(super) fn clear(&mut self) {
        self.newest.clear();
        self.items.clear();
    }

    /// Forgets all readings.
    pub(super) fn clear_readings(&mut self) {
        self.retain(|key, _| !matches!(key, Key::Reading(_)));
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::live::event;

    fn event(text: &str) -> Item {
        Item::Event(event::error(text))
    }

    fn told(missed: &Missed, since: u64) -> Vec<String> {
        let text = |(_, _, item): (u64, &Key, &Item)| match item {
            Item::Event(frame) => frame.data().to_owned(),
            Item::Reading(shown) => shown.json().get().to_owned(),
        };
        missed.since(since).map(text).collect()
    }

    #[test]
    fn of_one_key_the_last_is_told_where_it_came() {
        let mut missed = Missed::default();
        missed.put(Key::Gap(ShardId(1)), event("a"));
        missed.put(Key::Reset, event("b"));
        let middle = missed.next();
        missed.put(Key::Gap(ShardId(1)), event("c"));
        let said = |text: &str| format!(r#"{{"message":"{text}"}}"#);
        assert_eq!(told(&missed, 0), [said("b"), said("c")]);
        assert_eq!(told(&missed, middle), [said("c")]);
        assert_eq!(told(&missed, missed.next()), [""; 0]);
        missed.remove(&Key::Reset);
        missed.clear_readings();
        assert_eq!(told(&missed, 0), [said("c")]);
    }
}
