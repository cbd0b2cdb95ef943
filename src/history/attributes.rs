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
#[path = "attributes_tests.rs"]
mod tests;
