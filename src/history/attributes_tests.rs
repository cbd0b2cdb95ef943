//! Versions of attributes: what is listed, found again, and forgotten.

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
        format!(r#"{{"version":{version},"hash":"{hash}","until":{until},"day":{day},"nth":{nth},"#)
            + &format!(r#""attributes":{unit}}}"#)
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
