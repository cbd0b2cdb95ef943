//! Owners that die, lose replies and come back, against the commit script's rules played by maps:
//! whatever happens, readings, windows, attributes and accounts are those of what was published.
//! The script itself is tried against a real Redis in `tests.rs`.

mod redis;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;

use self::redis::FakeRedis;
use super::super::owner::{Action, Event, Owner};
use super::super::{FoldConfig, state};
use crate::history::codec::{readings, windows};
use crate::history::{
    Cut, HOUR_MS, OpenEnd, Resolution, Retentions, Share, Shelf, Span, StoredReading, Window,
    field_cost,
};
use crate::payload::NaiveTime;
use crate::reading::UnixMillis;
use crate::statistic::Statistic;
use crate::stream::EntryId;
use crate::stream::commit::Verdict;

const DAY: Duration = Duration::from_secs(86_400);
/// The wall clock at the beginning.
const BEGIN: i64 = 1_700_000_000_000;

/// One step of the story.
#[derive(Clone, Debug)]
enum Step {
    /// So many readings of a series from a time on, relative to the wall clock, a step apart, with
    /// one of some units.
    Publish { series: u8, from_s: i64, step_ms: i64, count: u16, unit: u8 },
    /// A sensor is deleted.
    Delete { sensor: u8 },
    /// The owner works until it has committed, or for so many actions.
    Work { actions: u16 },
    /// The next commit is made, but its reply is lost.
    LoseReply,
    /// The owner dies; another takes over.
    Die,
    /// The owner dies when it has made a call that is not the last of its batch.
    DieWithin,
    /// What ended before a time goes, for the sake of the budget, until the owner dies.
    Cut { share: u8, hours_ago: u8 },
    /// Time passes.
    Wait { minutes: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    let publish = (0..4u8, -200_000..60i64, 0..40_000i64, 1..400u16, 0..3u8);
    let publish = publish.prop_map(|(series, from_s, step_ms, count, unit)| {
        // Most sensors send what they have just measured.
        let from_s = if from_s % 3 == 0 { from_s } else { -i64::from(count) };
        Step::Publish { series, from_s, step_ms, count, unit }
    });
    prop_oneof![
        4 => publish,
        1 => (0..2u8).prop_map(|sensor| Step::Delete { sensor }),
        4 => (1..60u16).prop_map(|actions| Step::Work { actions }),
        1 => Just(Step::LoseReply),
        1 => Just(Step::Die),
        2 => Just(Step::DieWithin),
        1 => (0..3u8, 0..60u8).prop_map(|(share, hours_ago)| Step::Cut { share, hours_ago }),
        2 => (1..90u16).prop_map(|minutes| Step::Wait { minutes }),
    ]
}

/// Two series are of one sensor.
fn sensor_of(series: u8) -> u8 {
    series / 2
}

fn type_of(series: u8) -> char {
    if series.is_multiple_of(2) { 't' } else { 'u' }
}

/// What was published of a series since it was deleted last.
#[derive(Default)]
struct Published(Vec<(i64, f64, u8)>);

struct Story {
    redis: FakeRedis,
    owner: Owner,
    event: Option<Event>,
    fence: String,
    fences: u32,
    loses_reply: bool,
    dies_within: bool,
    wall: UnixMillis,
    now: Duration,
    published: BTreeMap<u8, Published>,
    entries: u64,
    value: u32,
}

fn owner(fence: &str) -> Owner {
    let config = FoldConfig {
        series_max: 100,
        retentions: Retentions { readings: 30 * DAY, minutes: 30 * DAY, hours: 400 * DAY },
        naive_time: NaiveTime::Utc,
    };
    let mut owner =
        Owner::new(fence.into(), config, Duration::from_secs(2), crate::stream::random_hex);
    // So that batches break off between their calls.
    owner.fold.series_per_call_max = 1;
    owner
}

impl Story {
    fn new() -> Self {
        let mut story = Self {
            redis: FakeRedis::default(),
            owner: owner("f0"),
            event: None,
            fence: "f0".into(),
            fences: 0,
            loses_reply: false,
            dies_within: false,
            wall: UnixMillis(BEGIN),
            now: Duration::ZERO,
            published: BTreeMap::new(),
            entries: 0,
            value: 0,
        };
        story.die();
        story
    }

    fn die(&mut self) {
        self.fences += 1;
        self.fence = format!("f{}", self.fences);
        self.owner = owner(&self.fence);
        self.redis.meta.insert("fence".into(), self.fence.clone());
        self.event = Some(self.begin());
    }

    fn begin(&self) -> Event {
        Event::Meta(Box::new(self.redis.meta()), self.redis.inventory())
    }

    fn append(&mut self, messages: Vec<(Vec<u8>, Vec<u8>)>) {
        self.entries += 1;
        let id = EntryId { ms: self.entries, seq: 0 };
        let wall = self.wall;
        let header = format!("1 {:016x} 1 {} {wall} 0", self.entries, messages.len());
        let mut pairs = vec![(b"@".to_vec(), header.into_bytes())];
        pairs.extend(messages);
        self.redis.entries.insert(id, pairs);
        self.redis.undelivered.insert(id, ());
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Publish { series, from_s, step_ms, count, unit } => {
                let topic = format!("s/{}/{}", sensor_of(*series), type_of(*series)).into_bytes();
                let mut messages = Vec::new();
                for nth in 0..i64::from(*count) {
                    let at = (self.wall.0 + from_s * 1000 + nth * step_ms).min(self.wall.0);
                    self.value += 1;
                    let value = f64::from(self.value) / 10.0;
                    let unit = if nth % 7 == 3 { (unit + 1) % 3 } else { *unit };
                    let payload =
                        format!(r#"{{"value":{value},"timestamp":{at},"unit":"u{unit}"}}"#);
                    messages.push((topic.clone(), payload.into_bytes()));
                    self.published.entry(*series).or_default().0.push((at, value, unit));
                }
                self.append(messages);
            }
            Step::Delete { sensor } => {
                let payload = format!(r#"{{"delete":"{sensor}"}}"#).into_bytes();
                self.append(vec![(b"\0\x40\0".to_vec(), payload)]);
                self.published.retain(|series, _| sensor_of(*series) != *sensor);
            }
            Step::Work { actions } => {
                for _ in 0..*actions {
                    self.act();
                }
            }
            Step::LoseReply => self.loses_reply = true,
            Step::Die => self.die(),
            Step::DieWithin => self.dies_within = true,
            Step::Cut { share, hours_ago } => {
                let mut cut = Cut::default();
                let before = UnixMillis(self.wall.0 - i64::from(*hours_ago) * HOUR_MS);
                cut.before[usize::from(*share)] = Some(before);
                self.owner.cut(cut);
            }
            Step::Wait { minutes } => {
                self.wall.0 += i64::from(*minutes) * 60_000;
                self.now += Duration::from_secs(60) * u32::from(*minutes);
            }
        }
    }

    /// One action; false when the owner has nothing to do.
    fn act(&mut self) -> bool {
        self.now += Duration::from_millis(1);
        let event = self.event.take().unwrap();
        let mut is_busy = true;
        let next = match self.owner.next(event, self.now, self.wall) {
            Action::ReadMeta => self.begin(),
            Action::Claim => Event::Claimed(self.redis.claim(&self.fence)),
            Action::Load(needs) => Event::Loaded(self.redis.load(&needs)),
            Action::Read { count, patience } => {
                let entries = self.redis.read(&self.fence, count);
                if entries.is_empty()
                    && let crate::stream::Patience::UpTo(wait) = patience
                {
                    self.now += wait;
                }
                Event::Read(entries)
            }
            Action::Rest => Event::Rested,
            Action::LookForStrays => {
                is_busy = !self.redis.undelivered.is_empty();
                Event::Strays(self.redis.pending.len() as u64)
            }
            Action::Commit => {
                let call = self.owner.call().unwrap();
                let verdict = self.redis.commit(&self.fence, call);
                assert_ne!(verdict, Verdict::Fenced);
                if self.dies_within && call.acknowledge.is_empty() {
                    self.dies_within = false;
                    self.die();
                    return true;
                }
                match std::mem::take(&mut self.loses_reply) {
                    true => Event::Failed,
                    false => Event::Verdict(verdict),
                }
            }
            other @ (Action::Refuse(_) | Action::End(_)) => panic!("{other:?}"),
        };
        self.event = Some(next);
        is_busy
    }

    fn finish(&mut self) {
        for _ in 0..100_000 {
            if !self.act() && self.redis.pending.is_empty() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn check(&self) {
        let live = self.published.iter().filter(|(_, it)| !it.0.is_empty());
        let live: Vec<_> = live.collect();
        assert_eq!(self.redis.hashes.get("st").map_or(0, HashMap::len), live.len());
        let mut numbers = Vec::new();
        for (series, published) in live {
            let field = format!("{}\0{}", sensor_of(*series), type_of(*series)).into_bytes();
            let packed = self.redis.hash("st", &field).expect("a state");
            let (state, open) = state::State::unpack_whole(&packed).unwrap();
            numbers.push(state.number.to_string());
            self.check_series(state.number, &open, published);
            assert_eq!(state.statistics.moments.count, published.0.len() as u64);
            let types = self.redis.hash("ix", sensor_of(*series).to_string().as_bytes()).unwrap();
            let own = type_of(*series).to_string().into_bytes();
            assert!(types.split(|byte| *byte == 0).any(|it| *it == own), "{series}: {types:?}");
        }
        for (span, hash) in &self.redis.blocks {
            let bytes = hash.iter().map(|(field, value)| field_cost(field.len(), value.len()));
            let kept = self.redis.inventory().get(Span::parse(span).unwrap()).unwrap();
            assert_eq!(kept.bytes, bytes.sum::<u64>(), "{span}");
            let number = |field: &Vec<u8>| {
                String::from_utf8(field.clone()).unwrap().split('.').next().unwrap().to_owned()
            };
            assert!(hash.keys().all(|field| numbers.contains(&number(field))), "{span}");
        }
    }

    fn check_series(&self, number: u64, open: &OpenEnd, published: &Published) {
        let (mut stored, mut of): (Vec<StoredReading>, BTreeMap<Resolution, Vec<Window>>) =
            Default::default();
        for (span, hash) in &self.redis.blocks {
            let Some(newest) = hash.get(number.to_string().as_bytes()) else { continue };
            let shelf = Span::parse(span).unwrap().shelf;
            let windows = match shelf {
                Shelf::ReadingsByHour | Shelf::ReadingsByDay => {
                    for full in 0..readings::full_blocks(newest).unwrap() {
                        let full = &hash[format!("{number}.{full}").as_bytes()];
                        readings::decode(full, &mut stored).unwrap();
                    }
                    readings::decode(newest, &mut stored).unwrap();
                    continue;
                }
                Shelf::MinutesByHour => Resolution::Minute,
                Shelf::HoursByDay => Resolution::Hour,
            };
            windows::decode(newest, windows, of.entry(windows).or_default()).unwrap();
        }
        stored.extend(open.tail.readings());
        let mut found: Vec<(i64, u64, String)> = stored
            .iter()
            .map(|it| (it.measured_at.0, it.value.to_bits(), self.unit(number, it.attributes)))
            .collect();
        let mut expected: Vec<_> = published
            .0
            .iter()
            .map(|(at, value, unit)| (*at, value.to_bits(), format!("u{unit}")))
            .collect();
        found.sort_unstable();
        expected.sort_unstable();
        // What was evicted, or came after that for a time before, is nobody's promise.
        let since = self.since(Share::Readings);
        found.retain(|(at, ..)| *at >= since.0);
        expected.retain(|(at, ..)| *at >= since.0);
        let first = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!((first, found.len()), (None, expected.len()));
        for resolution in Resolution::ALL {
            let mut all = of.remove(&resolution).unwrap_or_default();
            all.extend(open.windows(resolution).all(resolution));
            let since = self.since(resolution.shelf().share());
            check_windows(resolution, &all, published, since);
        }
    }

    /// Since when everything of a share must be there.
    fn since(&self, share: Share) -> UnixMillis {
        self.redis.inventory().evicted(share).unwrap_or(UnixMillis(i64::MIN))
    }

    fn unit(&self, number: u64, version: u32) -> String {
        let list = self.redis.hash("at", format!("{number}:v").as_bytes());
        let list = list.map(|json| crate::history::Versions::parse(&json).unwrap());
        let newest = self.redis.hash("at", number.to_string().as_bytes()).unwrap();
        let listed = list.as_ref().and_then(|list| list.attributes(version)).map(str::as_bytes);
        let json: serde_json::Value = serde_json::from_slice(listed.unwrap_or(&newest)).unwrap();
        json["unit"].as_str().unwrap().to_owned()
    }
}

fn check_windows(
    resolution: Resolution,
    found: &[Window],
    published: &Published,
    since: UnixMillis,
) {
    let mut expected: BTreeMap<UnixMillis, Window> = BTreeMap::new();
    for (at, value, _) in &published.0 {
        let start = resolution.start_of(UnixMillis(*at));
        let window = expected.entry(start).or_insert_with(|| Window::new(start));
        window.statistics.fold(*value, UnixMillis(*at));
    }
    let mut merged: BTreeMap<UnixMillis, Window> = BTreeMap::new();
    for window in found {
        merged.entry(window.start).or_insert_with(|| Window::new(window.start)).merge(window);
    }
    expected.retain(|start, _| *start >= since);
    merged.retain(|start, _| *start >= since);
    assert!(merged.keys().eq(expected.keys()), "{resolution:?}");
    for (start, expected) in &expected {
        let (found, expected) = (&merged[start].statistics, &expected.statistics);
        assert_eq!(found.moments.count, expected.moments.count, "{resolution:?} {start}");
        assert_eq!(found.extent, expected.extent, "{resolution:?} {start}");
        assert_eq!(found.ends.first_at, expected.ends.first_at, "{resolution:?} {start}");
        assert_eq!(found.ends.last_at, expected.ends.last_at, "{resolution:?} {start}");
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + a.abs());
        assert!(near(found.moments.sum(), expected.moments.sum()), "{resolution:?} {start}");
        assert!(near(found.moments.m2(), expected.moments.m2()), "{resolution:?} {start}");
    }
}

/// A story takes as long as some tens of usual cases.
fn quarter() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases / 4, ..usual }
}

proptest! {
    #![proptest_config(quarter())]

    #[test]
    fn history_is_that_of_what_was_published_whatever_happens_to_owners(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut story = Story::new();
        for step in &steps {
            story.take(step);
        }
        story.finish();
        story.check();
    }
}
