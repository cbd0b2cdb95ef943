//! What a client wants: which sensors, how often each, and in what shape.
//!
//! Clients with one and the same subscription share every frame, so a subscription is a value that
//! can be compared: entries in order, each with its pace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fields::shortened;

/// Entries per connection (design §8).
const ENTRIES_MAX: usize = 100;
/// An id of 128 bytes and a `*` (design §8).
const ENTRY_BYTES_MAX: usize = 129;
/// How often a series is shown unless its client asks otherwise (design §8).
const HZ_DEFAULT: f64 = 10.0;
/// What may be asked for (design §8).
const HZ_MIN: f64 = 0.1;
const HZ_MAX: f64 = 60.0;

/// How often a series is shown. The less, the more generous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::serve) enum Pace {
    /// Every reading.
    Every,
    /// Not before this long after the last time.
    Apart(Duration),
}

impl Pace {
    /// Of `every` and `max_hz`, or the sentence that the client is answered with.
    pub(super) fn of(every: bool, max_hz: Option<f64>) -> Result<Self, String> {
        let hz = max_hz.unwrap_or(HZ_DEFAULT);
        if !(HZ_MIN..=HZ_MAX).contains(&hz) {
            return Err(format!("`max_hz` is {hz}; allowed: {HZ_MIN} to {HZ_MAX}"));
        }
        // Whole milliseconds, never more often than asked for, so that clients with nearly equal
        // wishes share their frames.
        let apart = Duration::from_millis((1000.0 / hz).ceil() as u64);
        Ok(if every { Self::Every } else { Self::Apart(apart) })
    }
}

/// Entries, each `*`, an id, or a prefix that ends in `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Entries(Vec<String>);

impl Entries {
    /// Reads entries; else the sentence that the client is answered with.
    pub(super) fn parse(entries: Vec<String>) -> Result<Self, String> {
        for entry in &entries {
            let bytes = entry.len();
            if bytes == 0 || bytes > ENTRY_BYTES_MAX {
                return Err(format!(
                    "entry {:?} of `sensors` has {bytes} bytes; allowed: 1 to {ENTRY_BYTES_MAX}",
                    shortened(entry)
                ));
            }
            if entry.find('*').is_some_and(|at| at + 1 < bytes) {
                return Err(format!(
                    "entry {:?} of `sensors` has a * before its end; allowed: *, an id, or a \
                     prefix that ends in *",
                    shortened(entry)
                ));
            }
        }
        if entries.len() > ENTRIES_MAX {
            return Err(too_many(entries.len()));
        }
        Ok(Self(entries))
    }
}

/// What a `subscribe` changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Addition {
    pub(super) entries: Entries,
    pub(super) pace: Pace,
    /// `None` leaves it as it is.
    pub(super) batch: Option<bool>,
    /// `None` leaves it as it is.
    pub(super) stats: Option<bool>,
}

impl Addition {
    /// The entries of which every reading is wanted.
    pub(super) fn every(&self) -> BTreeSet<Box<str>> {
        let entries = self.entries.0.iter().filter(|_| self.pace == Pace::Every);
        entries.map(|entry| entry.as_str().into()).collect()
    }
}

/// All that one connection wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Subscription {
    entries: BTreeMap<Box<str>, Pace>,
    /// Readings come together, as `sensor_updates`.
    pub(super) batch: bool,
    /// Changed statistics come too.
    pub(super) stats: bool,
}

impl Subscription {
    /// Of a client that never said what it wants: everything.
    pub(super) fn everything() -> Self {
        let pace = Pace::Apart(Duration::from_secs_f64(1.0 / HZ_DEFAULT));
        Self { entries: BTreeMap::from([("*".into(), pace)]), batch: false, stats: false }
    }

    /// With more entries; one that was there takes the new pace. Too many are refused.
    pub(super) fn with(&self, addition: &Addition) -> Result<Self, String> {
        let mut all = self.clone();
        for entry in &addition.entries.0 {
            all.entries.insert(entry.as_str().into(), addition.pace);
        }
        if all.entries.len() > ENTRIES_MAX {
            return Err(too_many(all.entries.len()));
        }
        all.batch = addition.batch.unwrap_or(all.batch);
        all.stats = addition.stats.unwrap_or(all.stats);
        Ok(all)
    }

    /// Without exactly these entries.
    pub(super) fn without(&self, entries: &Entries) -> Self {
        let mut rest = self.clone();
        rest.entries.retain(|entry, _| !entries.0.iter().any(|gone| **gone == **entry));
        rest
    }

    /// The entries, each with its pace.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, Pace)> {
        self.entries.iter().map(|(entry, pace)| (&**entry, *pace))
    }

    /// Names and whether they are prefixes, in order; no sensor has two of them.
    pub(super) fn spans(&self) -> Vec<(&str, bool)> {
        let of = |(entry, _)| match str::strip_suffix(entry, '*') {
            Some(prefix) => (prefix, true),
            None => (entry, false),
        };
        let mut spans: Vec<(&str, bool)> = self.entries().map(of).collect();
        spans.sort_unstable_by_key(|(name, is_prefix)| (*name, !is_prefix));
        let mut widest: Option<&str> = None;
        spans.retain(|(name, is_prefix)| {
            let stays = widest.is_none_or(|widest| !name.starts_with(widest));
            if stays && *is_prefix {
                widest = Some(name);
            }
            stays
        });
        spans
    }

    /// The most generous pace of all entries that fit; `None` when none does.
    pub(super) fn pace(&self, sensor_id: &str) -> Option<Pace> {
        let by_id = self.entries.get(sensor_id).copied();
        let prefixes = self.entries().filter_map(|(entry, pace)| {
            entry.strip_suffix('*').is_some_and(|it| sensor_id.starts_with(it)).then_some(pace)
        });
        by_id.into_iter().chain(prefixes).min()
    }

    /// Whether an entry fits.
    pub(super) fn wants(&self, sensor_id: &str) -> bool {
        self.pace(sensor_id).is_some()
    }
}

fn too_many(entries: usize) -> String {
    format!("{entries} entries; allowed: {ENTRIES_MAX} per connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[&str]) -> Result<Entries, String> {
        Entries::parse(list.iter().map(|one| (*one).to_owned()).collect())
    }

    fn added(to: &Subscription, list: &[&str], hz: f64) -> Result<Subscription, String> {
        let (entries, pace) = (entries(list)?, Pace::of(false, Some(hz))?);
        to.with(&Addition { entries, pace, batch: None, stats: None })
    }

    fn hz(hz: f64) -> Option<Pace> {
        Some(Pace::of(false, Some(hz)).unwrap())
    }

    #[test]
    fn entries_fit_ids_prefixes_or_everything() {
        let some = added(&Subscription::default(), &["a", "room/*"], 10.0).unwrap();
        for (id, fits) in [("a", true), ("ab", false), ("room/1", true), ("room", false)] {
            assert_eq!(some.wants(id), fits, "{id}");
        }
        assert!(Subscription::everything().wants("anything"));
        assert!(!Subscription::default().wants("anything"));
    }

    #[test]
    fn the_most_generous_entry_decides() {
        let slow = added(&Subscription::default(), &["*"], 1.0).unwrap();
        let some = added(&slow, &["a", "b*"], 5.0).unwrap();
        assert_eq!((some.pace("a"), some.pace("b1"), some.pace("c")), (hz(5.0), hz(5.0), hz(1.0)));
        // Asking again for the same entry changes its pace.
        let slower = added(&some, &["a"], 0.5).unwrap();
        assert_eq!(slower.pace("a"), hz(1.0), "as part of everything");
        let every = Pace::of(true, None).unwrap();
        assert!(every < hz(60.0).unwrap() && hz(60.0) < hz(0.1));
    }

    #[test]
    fn nearly_equal_paces_are_equal_and_never_faster_than_asked_for() {
        let apart = |ms| Some(Pace::Apart(Duration::from_millis(ms)));
        for (asked, ms) in [(10.0, 100), (60.0, 17), (59.9, 17), (0.1, 10_000), (3.0, 334)] {
            assert_eq!(hz(asked), apart(ms), "{asked}");
        }
        let everything = Subscription::everything();
        assert_eq!(everything.pace("a"), hz(10.0), "as who asks for it");
    }

    #[test]
    fn exactly_the_named_entries_are_removed() {
        let some = added(&Subscription::default(), &["a", "a*", "*"], 10.0).unwrap();
        let rest = some.without(&entries(&["*", "b"]).unwrap());
        assert_eq!(rest, added(&Subscription::default(), &["a", "a*"], 10.0).unwrap());
    }

    #[test]
    fn spans_lie_apart_and_in_order() {
        let some = added(&Subscription::default(), &["b", "a*", "a!", "ab", "abc*", "c"], 1.0);
        assert_eq!(some.unwrap().spans(), [("a", true), ("b", false), ("c", false)]);
        assert_eq!(Subscription::everything().spans(), [("", true)]);
    }

    #[test]
    fn batch_and_stats_stay_until_they_are_named_again() {
        let addition = |batch, stats| Addition {
            entries: Entries::default(),
            pace: Pace::Every,
            batch,
            stats,
        };
        let some = Subscription::default().with(&addition(Some(true), Some(true))).unwrap();
        let same = some.with(&addition(None, Some(false))).unwrap();
        assert_eq!((same.batch, same.stats), (true, false));
    }

    #[test]
    fn too_many_and_too_long_entries_are_refused() {
        let many: Vec<String> = (0..101).map(|n| format!("s{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(entries(&many).unwrap_err().contains("101 entries"));
        let full = added(&Subscription::default(), &many[..100], 1.0).unwrap();
        assert!(added(&full, &["more"], 1.0).is_err());
        assert!(added(&full, &["s1"], 1.0).is_ok());
        assert!(entries(&[&"x".repeat(129)]).is_ok());
        for refused in [&"x".repeat(130), "", "a*b", "**"] {
            assert!(entries(&[refused]).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_pace_has_bounds() {
        for (hz, allowed) in [(0.1, true), (60.0, true), (0.09, false), (61.0, false)] {
            assert_eq!(Pace::of(false, Some(hz)).is_ok(), allowed, "{hz}");
        }
        assert!(Pace::of(true, Some(f64::NAN)).unwrap_err().contains("NaN"));
        assert_eq!(Pace::of(false, Some(5.0)), Ok(Pace::Apart(Duration::from_millis(200))));
    }
}
