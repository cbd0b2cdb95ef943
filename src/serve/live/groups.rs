//! All groups, and which of them want a sensor. A state machine's part: no runtime, no clock, no
//! I/O.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::time::Duration;

use super::group::Group;
use super::subscription::{Pace, Subscription};

/// All groups. A number may be given again when its group is gone.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Vec<Option<Group>>,
    free: Vec<u32>,
    by_subscription: HashMap<Arc<Subscription>, u32>,
    /// Groups that name an id.
    by_id: HashMap<Box<str>, Vec<u32>>,
    /// Groups that name a prefix, without its `*`.
    by_prefix: HashMap<Box<str>, Vec<u32>>,
    /// No prefix is longer, in bytes.
    prefix_bytes_max: usize,
    /// Entries whose readings are all wanted, and by how many groups.
    every: HashMap<Box<str>, usize>,
    /// Raised when there is another such entry, or one less.
    every_changes: u64,
    /// How far apart readings are told, and in how many entries.
    aparts: BTreeMap<Duration, usize>,
    /// Groups that there ever were.
    born: u64,
}

impl Groups {
    /// The group of a subscription, if there is one.
    pub(super) fn find(&self, subscription: &Subscription) -> Option<u32> {
        self.by_subscription.get(subscription).copied()
    }

    /// Adds a group; it has no slots yet.
    pub(super) fn add(&mut self, subscription: Subscription) -> u32 {
        let subscription = Arc::new(subscription);
        let number = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        });
        for (entry, pace) in subscription.entries() {
            let (index, name) = match entry.strip_suffix('*') {
                Some(prefix) => (&mut self.by_prefix, prefix),
                None => (&mut self.by_id, entry),
            };
            index.entry(name.into()).or_default().push(number);
            if entry.len() > name.len() {
                self.prefix_bytes_max = self.prefix_bytes_max.max(name.len());
            }
            match pace {
                Pace::Apart(apart) => *self.aparts.entry(apart).or_default() += 1,
                Pace::Every => {
                    let groups = self.every.entry(entry.into()).or_default();
                    self.every_changes += u64::from(*groups == 0);
                    *groups += 1;
                }
            }
        }
        self.by_subscription.insert(subscription.clone(), number);
        self.born += 1;
        self.all[number as usize] = Some(Group::new(subscription, self.born));
        number
    }

    /// Removes a group; gives it back.
    pub(super) fn remove(&mut self, number: u32) -> Option<Group> {
        let group = self.all.get_mut(number as usize)?.take()?;
        self.free.push(number);
        self.by_subscription.remove(&group.subscription);
        for (entry, pace) in group.subscription.entries() {
            let (index, name) = match entry.strip_suffix('*') {
                Some(prefix) => (&mut self.by_prefix, prefix),
                None => (&mut self.by_id, entry),
            };
            if let Some(groups) = index.get_mut(name) {
                groups.retain(|it| *it != number);
                if groups.is_empty() {
                    index.remove(name);
                }
            }
            match pace {
                Pace::Apart(apart) => {
                    if let Entry::Occupied(mut entries) = self.aparts.entry(apart) {
                        *entries.get_mut() -= 1;
                        if *entries.get() == 0 {
                            entries.remove();
                        }
                    }
                }
                Pace::Every => {
                    if let Some(groups) = self.every.get_mut(entry) {
                        *groups -= 1;
                        if *groups == 0 {
                            self.every.remove(entry);
                            self.every_changes += 1;
                        }
                    }
                }
            }
        }
        if self.by_prefix.is_empty() {
            self.prefix_bytes_max = 0;
        }
        Some(group)
    }

    /// The groups that want a sensor, ascending.
    pub(super) fn of(&self, sensor_id: &str) -> Vec<u32> {
        let mut groups: Vec<u32> = self.by_id.get(sensor_id).cloned().unwrap_or_default();
        if !self.by_prefix.is_empty() {
            let ends = (0..=sensor_id.len().min(self.prefix_bytes_max))
                .filter(|end| sensor_id.is_char_boundary(*end));
            for prefix in ends.filter_map(|end| self.by_prefix.get(&sensor_id[..end])) {
                groups.extend(prefix);
            }
        }
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// Every group, with its number.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Group)> {
        (0u32..).zip(&mut self.all).filter_map(|(number, group)| Some((number, group.as_mut()?)))
    }

    /// The group of a number, if there is one.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Group> {
        self.all.get_mut(number as usize)?.as_mut()
    }

    /// No groups, but numbers of changes and births that go on.
    pub(super) fn emptied(&self) -> Self {
        let (every_changes, born) = (self.every_changes + 1, self.born);
        Self { every_changes, born, ..Self::default() }
    }

    /// Entries whose readings are all wanted.
    pub(super) fn every(&self) -> BTreeSet<Box<str>> {
        self.every.keys().cloned().collect()
    }

    /// The least that readings of one series are told apart; `None` when nobody wants that.
    pub(super) fn apart(&self) -> Option<Duration> {
        self.aparts.keys().next().copied()
    }

    /// How many groups there ever were; a group's own number of that kind is no higher.
    pub(super) const fn born(&self) -> u64 {
        self.born
    }

    /// Another number when [`Groups::every`] may be different.
    pub(super) const fn every_changes(&self) -> u64 {
        self.every_changes
    }
}

impl Index<u32> for Groups {
    type Output = Group;

    /// # Panics
    /// There is no such group.
    #[expect(clippy::expect_used, reason = "a number is kept only as long as its group")]
    fn index(&self, number: u32) -> &Group {
        self.all[number as usize].as_ref().expect("a number is kept only as long as its group")
    }
}

impl IndexMut<u32> for Groups {
    /// # Panics
    /// There is no such group.
    #[expect(clippy::expect_used, reason = "a number is kept only as long as its group")]
    fn index_mut(&mut self, number: u32) -> &mut Group {
        self.all[number as usize].as_mut().expect("a number is kept only as long as its group")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::live::subscription::{Addition, Entries};

    fn subscription(list: &[&str], pace: Pace) -> Subscription {
        let entries = Entries::parse(list.iter().map(|one| (*one).to_owned()).collect()).unwrap();
        let addition = Addition { entries, pace, batch: None, stats: None };
        Subscription::default().with(&addition).unwrap()
    }

    #[test]
    fn a_sensor_is_wanted_by_its_id_and_its_prefixes() {
        let mut groups = Groups::default();
        let all = groups.add(Subscription::everything());
        let some = groups.add(subscription(&["kü*", "küche"], Pace::Every));
        let other = groups.add(subscription(&["küche1"], Pace::Every));
        assert_eq!(groups.of("küche"), [all, some]);
        assert_eq!(groups.of("küche1"), [all, some, other]);
        assert_eq!(groups.of("k"), [all]);
        assert_eq!(groups.find(&Subscription::everything()), Some(all));
        assert!(groups.remove(all).is_some());
        assert_eq!((groups.of("k"), groups.of("kü")), (vec![], vec![some]));
        assert_eq!(groups.add(Subscription::everything()), all, "numbers are given again");
    }

    #[test]
    fn entries_of_which_all_is_wanted_are_known_until_the_last_group_goes() {
        let mut groups = Groups::default();
        let before = groups.every_changes();
        let (one, two) = (
            groups.add(subscription(&["a"], Pace::Every)),
            groups.add(subscription(&["a", "b*"], Pace::Every)),
        );
        assert_ne!(groups.every_changes(), before);
        assert_eq!(groups.every(), BTreeSet::from(["a".into(), "b*".into()]));
        groups.remove(two);
        assert_eq!(groups.every(), BTreeSet::from(["a".into()]));
        groups.remove(one);
        assert!(groups.every().is_empty());
    }
}
