//! What a client subscribes to: everything, ids, prefixes.

use std::collections::BTreeSet;

/// Entries per connection (design §8).
const ENTRIES_MAX: usize = 100;
/// An id of 128 bytes and a `*` (design §8).
const ENTRY_BYTES_MAX: usize = 129;

/// A set of entries, each `*`, an id, or a prefix that ends in `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Patterns {
    ids: BTreeSet<String>,
    /// Without their `*`; the empty one fits everything.
    prefixes: BTreeSet<String>,
}

impl Patterns {
    /// Reads entries; else the sentence that the client is answered with.
    pub(super) fn parse(entries: &[String]) -> Result<Self, String> {
        let mut patterns = Self::default();
        for entry in entries {
            let bytes = entry.len();
            if bytes == 0 || bytes > ENTRY_BYTES_MAX {
                return Err(format!(
                    "an entry of `sensors` has {bytes} bytes; allowed: 1 to {ENTRY_BYTES_MAX}"
                ));
            }
            match entry.split_once('*') {
                None => patterns.ids.insert(entry.clone()),
                Some((prefix, "")) => patterns.prefixes.insert(prefix.to_owned()),
                Some(_) => {
                    return Err(format!(
                        "entry {entry:?} of `sensors` has a * before its end; allowed: *, an id, \
                         or a prefix that ends in *"
                    ));
                }
            };
        }
        if patterns.len() > ENTRIES_MAX {
            return Err(too_many(patterns.len()));
        }
        Ok(patterns)
    }

    /// Adds entries; too many are refused and nothing changes.
    pub(super) fn add(&mut self, other: &Self) -> Result<(), String> {
        let mut all = self.clone();
        all.ids.extend(other.ids.iter().cloned());
        all.prefixes.extend(other.prefixes.iter().cloned());
        if all.len() > ENTRIES_MAX {
            return Err(too_many(all.len()));
        }
        *self = all;
        Ok(())
    }

    /// Removes exactly these entries.
    pub(super) fn remove(&mut self, other: &Self) {
        self.ids.retain(|id| !other.ids.contains(id));
        self.prefixes.retain(|prefix| !other.prefixes.contains(prefix));
    }

    /// Whether an entry fits the id.
    pub(super) fn fit(&self, sensor_id: &str) -> bool {
        self.ids.contains(sensor_id)
            || self.prefixes.iter().any(|prefix| sensor_id.starts_with(prefix.as_str()))
    }

    fn len(&self) -> usize {
        self.ids.len() + self.prefixes.len()
    }
}

fn too_many(entries: usize) -> String {
    format!("{entries} entries; allowed: {ENTRIES_MAX} per connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(entries: &[&str]) -> Result<Patterns, String> {
        Patterns::parse(&entries.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn entries_fit_ids_prefixes_or_everything() {
        let some = patterns(&["a", "room/*"]).unwrap();
        for (id, fits) in [("a", true), ("ab", false), ("room/1", true), ("room", false)] {
            assert_eq!(some.fit(id), fits, "{id}");
        }
        assert!(patterns(&["*"]).unwrap().fit("anything"));
        assert!(!patterns(&[]).unwrap().fit("anything"));
    }

    #[test]
    fn exactly_the_named_entries_are_removed() {
        let mut some = patterns(&["a", "a*", "*"]).unwrap();
        some.remove(&patterns(&["*"]).unwrap());
        assert_eq!(some, patterns(&["a", "a*"]).unwrap());
    }

    #[test]
    fn too_many_and_too_long_entries_are_refused() {
        let many: Vec<String> = (0..101).map(|n| format!("s{n}")).collect();
        assert!(Patterns::parse(&many).unwrap_err().contains("101 entries"));
        let mut full = Patterns::parse(&many[..100]).unwrap();
        assert!(full.add(&patterns(&["more"]).unwrap()).is_err());
        assert!(!full.fit("more"));
        assert!(full.add(&patterns(&["s1"]).unwrap()).is_ok());
        assert!(patterns(&[&"x".repeat(129)]).is_ok());
        assert!(patterns(&[&"x".repeat(130)]).is_err());
        assert!(patterns(&[""]).is_err());
        assert!(patterns(&["a*b"]).is_err());
    }
}
