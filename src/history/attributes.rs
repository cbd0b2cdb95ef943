//! The versions of a series' attributes: unit, location and metadata as they were.
//! No I/O, no clock.
//!
//! Every stored reading and window carries the number of a version. The attributes in force are
//! the newest and stand by themselves in field `<series number>` of the shard's attributes; from
//! the second version on all are listed as JSON in field `<series number>:v`. A number that is
//! not in the list, or is in force, means the newest attributes.
//!
//! Some devices send something new with every reading (a counter, a signal strength). So that
//! this costs neither memory nor a rewritten list with every commit, a series gets at most
//! [`PER_DAY_MAX`] new versions a day. Beyond that the version in force stays in force and only
//! the newest attributes change; when it ends, the text that it began with stands for all of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::span::DAY_MS;
use crate::reading::UnixMillis;

/// New versions of one series on one UTC day (design §5).
pub const PER_DAY_MAX: u32 = 64;
/// Versions in a list: eight of the worst days. A guess.
const VERSIONS_MAX: usize = 512;
/// Attributes in a list, in bytes of text; the last ended version is kept whatever its length. A
/// guess: 400 ordinary versions, or 14 of the longest, and nothing that a commit would feel.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// What is kept so long is kept a day longer at most until its span ends, and waits at most as long
/// before it is written: versions are remembered for both.
const SLACK: Duration = Duration::from_hours(2 * 24);

/// All versions of one series' attributes that readings may still carry.
#[derive(Clone, Debug, Default)]
pub struct Versions {
    /// Ascending by number. The last is never dropped, so that no number is given twice.
    list: Vec<Version>,
    has_changed: bool,
}

/// As it stands in the JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Version {
    /// From 1.
    version: u32,
    /// XXH3-64 of the attributes as 16 hex digits: a JSON number would lose the last bits.
    hash: String,
    /// When it ended, in ms since 1970; `None` while it is in force.
    until: Option<i64>,
    /// The UTC day on which it began, counted from 1970; 0 when nobody wrote it down.
    #[serde(default)]
    day: i64,
    /// Which of the new versions of that day it was, from 1.
    #[serde(default)]
    nth: u32,
    /// The text; `null` when it was not JSON, which then stands for the newest.
    attributes: Box<RawValue>,
}

impl Versions {
    /// The list of a series whose only version up to now is `version`.
    #[must_use]
    pub fn begin(version: u32, hash: u64, attributes_json: &str) -> Self {
        let first = Version::new(version, hash, attributes_json);
        Self { list: vec![first], has_changed: true }
    }

    /// Reads what [`Versions::to_json`] wrote; `None` for anything else.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        // Whoever asks counts what cannot be read, whatever the cause.
        let mut list: Vec<Version> = serde_json::from_slice(json).ok()?;
        list.sort_by_key(|version| version.version);
        Some(Self { list, has_changed: false })
    }

    /// The list as it is stored.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers, digits and texts that are JSON already: this cannot fail.
        serde_json::to_string(&self.list).unwrap_or_default()
    }

    /// Whether the list is another than when it was parsed, and so has to be written.
    #[must_use]
    pub const fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// The version with these attributes.
    #[must_use]
    pub fn find(&self, hash: u64) -> Option<u32> {
        let hash = hex(hash);
        self.list.iter().rev().find(|version| version.hash == hash).map(|found| found.version)
    }

    /// The attributes of a version that has ended, as JSON; `None` stands for the newest.
    #[must_use]
    pub fn attributes(&self, version: u32) -> Option<&str> {
        let place = self.place(version)?;
        let found = self.list.get(place).filter(|found| found.until.is_some())?;
        Some(found.attributes.get()).filter(|text| *text != "null")
    }

    /// Puts other attributes in force in place of version `from`, and returns their version: one
    /// that there was before, else a new one. It is `from` when the day has had its
    /// [`PER_DAY_MAX`] new versions.
    ///
    /// Forgets versions that ended longer than `keep`, and two days, before `now`, and the oldest
    /// where there are too many. `keep` is the longest retention.
    pub fn change(
        &mut self,
        from: u32,
        (hash, attributes_json): (u64, &str),
        now: UnixMillis,
        keep: Duration,
    ) -> u32 {
        let Some(to) = self.find(hash).or_else(|| self.add(hash, attributes_json, now)) else {
            return from;
        };
        if to == from {
            return from;
        }
        for version in &mut self.list {
            if version.version == to {
                version.until = None;
            } else if version.version == from || version.until.is_none() {
                version.until = Some(now.0);
            }
        }
        self.has_changed = true;
        self.forget(now, keep);
        to
    }

    /// The version of a reading that came late, so that `from` stays in force: one that there was
    /// before, else a new one that has ended already. It is `from` when the day has had its
    /// [`PER_DAY_MAX`] new versions.
    pub fn late(
        &mut self,
        from: u32,
        (hash, attributes_json): (u64, &str),
        now: UnixMillis,
        keep: Duration,
    ) -> u32 {
        let Some(to) = self.find(hash).or_else(|| self.add(hash, attributes_json, now)) else {
            return from;
        };
        if let Some(place) = self.place(to).filter(|_| to != from) {
            self.list[place].until = Some(now.0);
            self.has_changed = true;
            self.forget(now, keep);
        }
        to
    }

    /// A new version; `None` when the day has had enough.
    fn add(&mut self, hash: u64, attributes_json: &str, now: UnixMillis) -> Option<u32> {
        let day = now.0.div_euclid(DAY_MS);
        let (highest, nth) = self.list.last().map_or((0, 0), |last| {
            let of_this_day = if last.day == day { last.nth } else { 0 };
            (last.version, of_this_day)
        });
        let number = highest.checked_add(1).filter(|_| nth < PER_DAY_MAX)?;
        let version = Version { day, nth: nth + 1, ..Version::new(number, hash, attributes_json) };
        self.list.push(version);
        Some(number)
    }

    fn forget(&mut self, now: UnixMillis, keep: Duration) {
        let keep = keep.saturating_add(SLACK).as_millis();
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let highest = self.list.last().map_or(0, |last| last.version);
        let is_over = |until: i64| until.saturating_add(keep) < now.0;
        self.list.retain(|it| it.version == highest || !it.until.is_some_and(is_over));

        let mut ended: Vec<(i64, u32, usize)> = self
            .list
            .iter()
            .filter(|it| it.version != highest)
            .filter_map(|it| Some((it.until?, it.version, it.attributes.get().len())))
            .collect();
        ended.sort_unstable();
        let mut versions = self.list.len();
        let mut bytes: usize = ended.iter().map(|(_, _, bytes)| bytes).sum();
        // The one that ended last stays: what is being read just now is most likely of it.
        let oldest = &ended[..ended.len().saturating_sub(1)];
        for (_, gone, length) in oldest {
            if versions <= VERSIONS_MAX && bytes <= TEXT_BYTES_MAX {
                break;
            }
            if let Some(place) = self.place(*gone) {
                self.list.remove(place);
            }
            versions -= 1;
            bytes -= length;
        }
    }

    fn place(&self, version: u32) -> Option<usize> {
        self.list.binary_search_by_key(&version, |it| it.version).ok()
    }
}

impl Version {
    fn new(version: u32, hash: u64, attributes_json: &str) -> Self {
        let raw = |text: &str| RawValue::from_string(text.to_owned());
        let attributes = raw(attributes_json).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self { version, hash: hex(hash), until: None, day: 0, nth: 0, attributes }
    }
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const KEEP: Duration = Duration::from_secs(3 * 86_400);
    const NOON: UnixMillis = UnixMillis(20_000 * DAY_MS + DAY_MS / 2);

    fn later(at: UnixMillis, ms: i64) -> UnixMillis {
        UnixMillis(at.0 + ms)
    }

    fn unit(name: &str) -> String {
        format!(r#"{{"unit":"{name}"}}"#)
    }

    #[test]
    fn the_list_reads_as_it_was_written() {
        let mut versions = Versions::begin(1, u64::MAX, &unit("°C"));
        assert_eq!(versions.change(1, (5, &unit("K")), NOON, KEEP), 2);
        let json = versions.to_json();
        let one = |version: u32, hash, until: &str, day: i64, nth: u32, unit: String| {
            format!(
                r#"{{"version":{version},"hash":"{hash}","until":{until},"day":{day},"nth":{nth},"#
            ) + &format!(r#""attributes":{unit}}}"#)
        };
        let first = one(1, "ffffffffffffffff", &NOON.to_string(), 0, 0, unit("°C"));
        let second = one(2, "0000000000000005", "null", 20_000, 1, unit("K"));
        assert_eq!(json, format!("[{first},{second}]"));
        let back = Versions::parse(json.as_bytes()).unwrap();
        assert_eq!(back.to_json(), json);
        assert!(versions.has_changed() && !back.has_changed());
        assert_eq!((back.find(u64::MAX), back.find(5), back.find(6)), (Some(1), Some(2), None));
        // What is in force is the newest; so is what nobody knows.
        assert_eq!(back.attributes(1), Some(&*unit("°C")));
        assert_eq!((back.attributes(2), back.attributes(9)), (None, None));
        // The shape that the contract names is enough.
        let short = br#"[{"version":3,"hash":"0000000000000001","until":7,"attributes":{}}]"#;
        assert_eq!(Versions::parse(short).unwrap().attributes(3), Some("{}"));
        for wrong in [&b""[..], b"{}", b"[{\"version\":1}]", b"[", b"\xff"] {
            assert!(Versions::parse(wrong).is_none());
        }
    }

    #[test]
    fn attributes_that_come_back_get_their_version_back() {
        let mut versions = Versions::begin(1, 10, &unit("a"));
        assert_eq!(versions.change(1, (20, &unit("b")), NOON, KEEP), 2);
        assert_eq!(versions.change(2, (10, &unit("a")), later(NOON, 5), KEEP), 1);
        assert_eq!(versions.attributes(1), None);
        assert_eq!(versions.attributes(2), Some(&*unit("b")));
        assert_eq!(versions.change(1, (30, &unit("c")), later(NOON, 9), KEEP), 3);
        assert_eq!(versions.attributes(1), Some(&*unit("a")));
    }

    #[test]
    fn a_late_reading_has_its_own_attributes_and_changes_none() {
        let mut versions = Versions::begin(1, 10, &unit("a"));
        assert_eq!(versions.late(1, (20, &unit("b")), NOON, KEEP), 2);
        assert_eq!(versions.attributes(1), None);
        assert_eq!(versions.attributes(2), Some(&*unit("b")));
        assert_eq!(versions.late(1, (20, &unit("b")), later(NOON, 5), KEEP), 2);
        assert_eq!(versions.late(1, (10, &unit("a")), later(NOON, 6), KEEP), 1);
        assert_eq!(versions.change(1, (30, &unit("c")), later(NOON, 9), KEEP), 3);
    }

    #[test]
    fn nothing_changes_when_the_attributes_are_the_same() {
        let json = Versions::begin(4, 10, &unit("a")).to_json();
        let mut versions = Versions::parse(json.as_bytes()).unwrap();
        assert_eq!(versions.change(4, (10, &unit("a")), NOON, KEEP), 4);
        assert!(!versions.has_changed());
    }

    #[test]
    fn what_ended_long_ago_is_forgotten_but_no_number_is_given_twice() {
        let mut versions = Versions::begin(1, 10, &unit("a"));
        versions.change(1, (20, &unit("b")), NOON, KEEP);
        // Version 2 is the highest and ends; version 1 is in force again.
        versions.change(2, (10, &unit("a")), later(NOON, 1), KEEP);
        let much_later = later(NOON, 30 * DAY_MS);
        assert_eq!(versions.change(1, (30, &unit("c")), much_later, KEEP), 3);
        assert_eq!(versions.find(20), None);
        assert_eq!(versions.attributes(1), Some(&*unit("a")));
    }

    /// A reading is kept until a retention after the end of its span, a day later at most. Its
    /// version was forgotten before, and it was shown with the newest attributes.
    #[test]
    fn a_version_is_known_as_long_as_a_span_of_it_may_be() {
        let mut versions = Versions::begin(1, 10, &unit("a"));
        versions.change(1, (20, &unit("b")), NOON, KEEP);
        let later_than_kept = later(NOON, 4 * DAY_MS);
        versions.change(2, (30, &unit("c")), later_than_kept, KEEP);
        assert_eq!(versions.attributes(1), Some(&*unit("a")));
        versions.change(3, (40, &unit("d")), later(NOON, 6 * DAY_MS), KEEP);
        assert_eq!(versions.attributes(1), None);
    }

    /// A device with a counter in its metadata must cost neither memory nor long writes.
    #[test]
    fn a_day_has_so_many_new_versions_and_not_more() {
        let mut versions = Versions::begin(1, 0, "{}");
        let mut current = 1;
        for n in 1..=64 {
            current = versions.change(current, (n, &unit(&n.to_string())), NOON, KEEP);
        }
        assert_eq!(current, 65);
        let mut versions = Versions::parse(versions.to_json().as_bytes()).unwrap();
        assert_eq!(versions.change(65, (1_000, "{}"), later(NOON, 1), KEEP), 65);
        assert!(!versions.has_changed(), "nothing is to be written");
        // Those that there are may still come back.
        assert_eq!(versions.change(65, (7, &unit("7")), later(NOON, 2), KEEP), 8);
        let tomorrow = later(NOON, DAY_MS / 2);
        assert_eq!(versions.change(8, (1_000, "{}"), tomorrow, KEEP), 66);
    }

    #[test]
    fn long_attributes_push_out_the_oldest() {
        let mut versions = Versions::begin(1, 0, "{}");
        let long = |n: u64| unit(&format!("{n:04000}"));
        let mut current = 1;
        for n in 1..=64 {
            current = versions.change(current, (n, &long(n)), NOON, KEEP);
        }
        assert_eq!(current, 65);
        assert!(versions.to_json().len() < TEXT_BYTES_MAX + 10_000);
        assert_eq!(versions.attributes(2), None);
        assert_eq!(versions.attributes(64), Some(&*long(63)));
        // What went does not make room for more on the same day.
        assert_eq!(versions.change(65, (99, "{}"), NOON, KEEP), 65);
    }

    #[test]
    fn a_text_that_is_not_json_stands_for_the_newest() {
        let mut versions = Versions::begin(1, 1, "not JSON");
        versions.change(1, (2, "{}"), NOON, KEEP);
        let back = Versions::parse(versions.to_json().as_bytes()).unwrap();
        assert_eq!((back.find(1), back.attributes(1)), (Some(1), None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Against a plain model: each version keeps its own attributes, one is in force, numbers
        /// rise, and the list survives being written at any time.
        #[test]
        fn versions_keep_their_attributes(
            steps in prop::collection::vec((0u64..100, 0i64..DAY_MS / 8), 1..200),
        ) {
            let text = |hash: u64| unit(&hash.to_string());
            let mut versions = Versions::begin(1, 0, &text(0));
            let mut hash_of = HashMap::from([(1, 0)]);
            let (mut current, mut highest, mut now) = (1, 1, NOON);
            for (hash, passed) in steps {
                now = later(now, passed);
                let to = versions.change(current, (hash, &text(hash)), now, KEEP);
                if to > highest {
                    prop_assert_eq!(to, highest + 1);
                    highest = to;
                    hash_of.insert(to, hash);
                } else if to != current {
                    prop_assert_eq!(hash_of[&to], hash);
                }
                current = to;
                versions = Versions::parse(versions.to_json().as_bytes()).unwrap();
                prop_assert!(versions.list.len() <= VERSIONS_MAX);
                let in_force = versions.list.iter().filter(|it| it.until.is_none());
                prop_assert_eq!(in_force.map(|it| it.version).collect::<Vec<_>>(), [current]);
                for (version, hash) in &hash_of {
                    if let Some(found) = versions.attributes(*version) {
                        prop_assert_eq!(found, text(*hash));
                    }
                }
            }
        }

        #[test]
        fn any_bytes_are_a_list_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(Versions::parse(&bytes));
        }
    }
}
