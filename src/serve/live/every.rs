//! Of which sensors every reading is wanted.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Entries (`*`, an id, a prefix that ends in `*`) of which every reading is wanted.
///
/// Whether one fits a sensor costs a look-up and a search, however many there are: prefixes that
/// another one covers are left out, so only the last that stands before an id can fit it.
#[derive(Clone, Debug, Default)]
pub(super) struct Every {
    /// Shared by the desk and the tail.
    wanted: Arc<Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    entries: HashSet<Box<str>>,
    /// Without their `*`, in order; none begins with another one.
    prefixes: Vec<Box<str>>,
}

impl Every {
    pub(super) fn new(entries: BTreeSet<Box<str>>) -> Self {
        let mut prefixes: Vec<Box<str>> = Vec::new();
        let mut all: Vec<&str> = entries.iter().filter_map(|it| it.strip_suffix('*')).collect();
        // The order of the entries is not that of the prefixes: `a!` stands before `a*`.
        all.sort_unstable();
        for prefix in all {
            if prefixes.last().is_none_or(|widest| !prefix.starts_with(&**widest)) {
                prefixes.push(prefix.into());
            }
        }
        Self { wanted: Arc::new(Wanted { entries: entries.into_iter().collect(), prefixes }) }
    }

    /// Whether nobody wants that.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.entries.is_empty()
    }

    /// Whether all these entries are among them.
    pub(super) fn has(&self, entries: &BTreeSet<Box<str>>) -> bool {
        entries.iter().all(|entry| self.wanted.entries.contains(entry))
    }

    /// Whether an entry fits.
    pub(super) fn fits(&self, sensor_id: &str) -> bool {
        let Wanted { entries, prefixes } = &*self.wanted;
        let behind = prefixes.partition_point(|prefix| **prefix <= *sensor_id);
        let last = behind.checked_sub(1).map(|at| &prefixes[at]);
        entries.contains(sensor_id) || last.is_some_and(|prefix| sensor_id.starts_with(&**prefix))
    }

    /// Whether it is the very same value, copied.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.wanted, &other.wanted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn every(entries: &[String]) -> Every {
        Every::new(entries.iter().map(|entry| entry.as_str().into()).collect())
    }

    proptest! {
        #[test]
        fn the_last_prefix_before_an_id_is_the_only_one_that_can_fit(
            entries in prop::collection::vec("[ab!ü]{0,3}\\*?", 0..8),
            ids in prop::collection::vec("[ab!ü]{1,4}", 1..8),
        ) {
            let every = every(&entries);
            for id in &ids {
                let fits = |entry: &String| match entry.strip_suffix('*') {
                    Some(prefix) => id.starts_with(prefix),
                    None => entry == id,
                };
                prop_assert_eq!(every.fits(id), entries.iter().any(fits), "{} {:?}", id, entries);
            }
        }
    }

    #[test]
    fn entries_are_told_apart_from_what_they_cover() {
        let every = every(&["a*".to_owned(), "ab*".to_owned(), "c".to_owned()]);
        let has = |list: &[&str]| every.has(&list.iter().map(|it| (*it).into()).collect());
        assert!(has(&[]) && has(&["ab*", "c"]));
        assert!(!has(&["a"]) && !has(&["c", "d"]), "to be covered is not to be there");
        assert!(!every.is_empty() && Every::default().is_empty());
    }
}
