//! What the members of a group that are behind have missed: of every series the latest, and what
//! must be known of sensors and shards, in the order of the last time. A state machine's part: no
//! runtime, no clock, no I/O.
//!
//! All members that are behind share it; each only remembers from which number on it missed. So
//! its size depends on the series, never on how many are behind, and it is empty when nobody is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::frame::Frame;
use super::shown::Shown;
use crate::shard::ShardId;

/// What replaces what: of one key only the last is told.
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

    /// Adds an item, which replaces the one of its key.
    pub(super) fn put(&mut self, key: Key, item: Item) {
        if let Some(older) = self.newest.insert(key.clone(), self.next) {
            self.items.remove(&older);
        }
        self.items.insert(self.next, (key, item));
        self.next += 1;
    }

    /// Forgets what a key stands for.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(number) = self.newest.remove(key) {
            self.items.remove(&number);
        }
    }

    /// The items from a number on, each with its own.
    pub(super) fn since(&self, number: u64) -> impl Iterator<Item = (u64, &Item)> {
        self.items.range(number..).map(|(number, (_, item))| (*number, item))
    }

    /// The items from a number on, with their keys, for another group.
    pub(super) fn keyed_since(&self, number: u64) -> Vec<(Key, Item)> {
        self.items.range(number..).map(|(_, keyed)| keyed.clone()).collect()
    }

    /// Forgets everything; numbers go on.
    pub(super) fn clear(&mut self) {
        self.newest.clear();
        self.items.clear();
    }

    /// Forgets all readings.
    pub(super) fn clear_readings(&mut self) {
        self.newest.retain(|key, number| {
            let stays = !matches!(key, Key::Reading(_));
            if !stays {
                self.items.remove(number);
            }
            stays
        });
    }

    /// How many items there are.
    #[cfg(test)]
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
        let text = |(_, item): (u64, &Item)| match item {
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
