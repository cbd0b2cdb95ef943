use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::shard::ShardId;

const SHARD: ShardId = ShardId(0);

fn heard(at_ms: u64, interval_ms: u32) -> Heard {
    Heard { at_ms, interval_ms, judge: Some(SHARD) }
}

/// One clock, and what turned when it was moved.
#[derive(Default)]
struct Stage {
    clocks: Clocks,
    watch: Watch,
}

impl Stage {
    fn at(&mut self, ms: u64) -> Vec<(String, &'static str)> {
        self.clocks.advance(SHARD, ms);
        let (turned, is_done) = self.watch.judge(&self.clocks, usize::MAX);
        assert!(is_done);
        let text = |field: &[u8]| String::from_utf8(field.to_vec()).unwrap();
        turned.into_iter().map(|(field, status)| (text(field), status.name())).collect()
    }
}

fn turned(status: &'static str) -> Vec<(String, &'static str)> {
    vec![("a".to_owned(), status)]
}

#[test]
fn a_series_that_falls_silent_is_late_then_offline_then_heard_again() {
    let mut stage = Stage::default();
    let place = stage.watch.begin(b"a".to_vec(), heard(1_000_000, 20_000));
    assert_eq!(stage.at(1_059_999), []);
    assert_eq!(stage.at(1_060_000), turned("late"));
    assert_eq!(stage.watch.counts(), [0, 1, 0]);
    assert_eq!((stage.at(1_060_001), stage.at(1_199_999)), (vec![], vec![]));
    assert_eq!(stage.at(1_200_000), turned("offline"));
    assert_eq!((stage.at(9_000_000), stage.watch.status(place)), (vec![], Status::Offline));
    assert_eq!(stage.watch.entries, 0, "nothing can become of it by waiting");
    stage.watch.heard(place, heard(9_000_500, 50_000));
    assert_eq!(stage.watch.status(place), Status::Offline, "not judged yet");
    assert_eq!(stage.at(9_000_500), turned("online"));
    assert_eq!((stage.at(9_150_499), stage.at(9_150_500)), (vec![], turned("late")));
}

#[test]
fn a_series_that_goes_on_costs_one_entry() {
    let mut stage = Stage::default();
    let place = stage.watch.begin(b"a".to_vec(), heard(0, 1_000));
    for at in (0..1_000_000).step_by(1_000) {
        stage.watch.heard(place, heard(at, 1_000));
        assert_eq!(stage.at(at + 900), []);
        assert_eq!(stage.watch.entries, 1);
    }
    assert_eq!(stage.watch.counts(), [1, 0, 0]);
}

#[test]
fn an_interval_that_shrinks_makes_a_series_late_in_time_and_the_calendar_stays_small() {
    let mut stage = Stage::default();
    let place = stage.watch.begin(b"a".to_vec(), heard(0, 4_000_000_000));
    for n in 1..5_000u32 {
        stage.watch.heard(place, heard(u64::from(n), 4_000_000_000 - n * 800_000));
        assert_eq!(stage.at(u64::from(n)), []);
        assert!(stage.watch.entries <= 2 + STALE_MIN, "{}", stage.watch.entries);
    }
    stage.watch.heard(place, heard(6_000, 1_000));
    assert_eq!((stage.at(15_999), stage.at(16_000)), (vec![], turned("late")));
}

#[test]
fn nobody_is_called_late_by_a_clock_that_did_not_look() {
    let (mut clocks, mut watch) = (Clocks::default(), Watch::default());
    let names = |turned: Vec<(&[u8], Status)>| turned.len();
    watch.begin(b"here".to_vec(), Heard { judge: Some(ShardId(1)), ..heard(0, 1_000) });
    watch.begin(b"both".to_vec(), Heard { judge: None, ..heard(0, 1_000) });
    assert_eq!(names(watch.judge(&clocks, 9).0), 0, "there is no clock yet");
    clocks.advance(ShardId(0), 500_000);
    clocks.advance(ShardId(1), 5_000);
    assert_eq!(names(watch.judge(&clocks, 9).0), 0);
    clocks.advance(ShardId(1), 10_000);
    assert_eq!(names(watch.judge(&clocks, 9).0), 2);
}

#[test]
fn many_that_are_due_are_judged_in_turns() {
    let mut stage = Stage::default();
    for n in 0..10u8 {
        stage.watch.begin(vec![n], heard(u64::from(n % 2), 1_000));
    }
    stage.clocks.advance(SHARD, 90_000);
    let (mut names, mut turns) = (BTreeSet::new(), 0);
    loop {
        let (turned, is_done) = stage.watch.judge(&stage.clocks, 3);
        assert!(turned.len() <= 3);
        names.extend(turned.into_iter().map(|(field, _)| field.to_vec()));
        turns += 1;
        if is_done {
            break;
        }
    }
    assert_eq!((names.len(), turns, stage.watch.counts()), (10, 4, [0, 0, 10]));
}

/// What may happen, to one of five series and two shards.
#[derive(Clone, Debug)]
enum Step {
    Heard { series: u8, later_ms: u64, interval_ms: u32, judge: Judge },
    Ended { series: u8 },
    Looked { shard: u16, later_ms: u64 },
    Judged { most: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let judge = prop_oneof![Just(None), (0u16..2).prop_map(|shard| Some(ShardId(shard)))];
    let interval = prop_oneof![Just(0u32), 1u32..50_000];
    let step = prop_oneof![
        4 => (0u8..5, 0u64..30_000, interval, judge).prop_map(
            |(series, later_ms, interval_ms, judge)| {
                Step::Heard { series, later_ms, interval_ms, judge }
            }
        ),
        1 => (0u8..5).prop_map(|series| Step::Ended { series }),
        3 => (0u16..2, 0u64..200_000).prop_map(|(shard, later_ms)| {
            Step::Looked { shard, later_ms }
        }),
        3 => (1usize..4).prop_map(|most| Step::Judged { most }),
    ];
    prop::collection::vec(step, 0..120)
}

/// When the clocks begin; as with a first look, both at once.
const BEGIN: u64 = 1_700_000_000_000;

/// Judges everybody, each time.
#[derive(Default)]
struct Naive {
    series: BTreeMap<u8, (Heard, Status)>,
    /// Since [`BEGIN`].
    clocks: [u64; 2],
}

impl Naive {
    fn judge(&mut self) -> BTreeSet<(u8, Status)> {
        let mut turned = BTreeSet::new();
        let slowest = self.clocks[0].min(self.clocks[1]);
        for (series, (heard, status)) in &mut self.series {
            let now = heard.judge.map_or(slowest, |shard| self.clocks[shard.0 as usize]) + BEGIN;
            let is = Status::of(now.saturating_sub(heard.at_ms), heard.interval_ms);
            if is != *status {
                *status = is;
                turned.insert((*series, is));
            }
        }
        turned
    }
}

proptest! {
    #[test]
    fn the_calendar_judges_as_if_everybody_were_looked_at(steps in steps()) {
        let (mut watch, mut clocks) = (Watch::default(), Clocks::default());
        let (mut naive, mut places) = (Naive::default(), BTreeMap::new());
        let mut latest = BEGIN;
        (0..2).for_each(|shard| clocks.advance(ShardId(shard), BEGIN));
        for step in steps {
            match step {
                Step::Heard { series, later_ms, interval_ms, judge } => {
                    latest += later_ms / 10;
                    let heard = Heard { at_ms: latest, interval_ms, judge };
                    match places.get(&series) {
                        Some(place) => watch.heard(*place, heard),
                        None => {
                            places.insert(series, watch.begin(vec![series], heard));
                        }
                    }
                    let known = naive.series.entry(series).or_insert((heard, Status::Online));
                    known.0 = heard;
                }
                Step::Ended { series } => {
                    naive.series.remove(&series);
                    if let Some(place) = places.remove(&series) {
                        watch.end(place);
                    }
                }
                Step::Looked { shard, later_ms } => {
                    naive.clocks[shard as usize] += later_ms;
                    let now = BEGIN + naive.clocks[shard as usize];
                    clocks.advance(ShardId(shard), now);
                    latest = latest.max(now);
                }
                Step::Judged { most } => {
                    let expected = naive.judge();
                    let mut turned = BTreeSet::new();
                    loop {
                        let (some, is_done) = watch.judge(&clocks, most);
                        turned.extend(some.into_iter().map(|(field, status)| (field[0], status)));
                        if is_done {
                            break;
                        }
                    }
                    prop_assert_eq!(turned, expected);
                }
            }
            for (series, place) in &places {
                prop_assert_eq!(watch.status(*place), naive.series[series].1);
            }
            let counts = Status::ALL.map(|status| {
                naive.series.values().filter(|(_, is)| *is == status).count()
            });
            prop_assert_eq!(watch.counts(), counts);
        }
    }
}
