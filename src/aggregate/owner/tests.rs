//! An owner without Redis: what it asks for, and what it wants written.

use super::*;
use crate::history::{Retentions, Versions};
use crate::payload::NaiveTime;
use crate::stream::EntryId;

const DAY: Duration = Duration::from_secs(86_400);
const WALL: UnixMillis = UnixMillis(1_700_000_000_000);

/// Plays Redis to an owner: a stream of entries, nothing stored before, commits that succeed.
struct Play {
    owner: Owner,
    unread: VecDeque<Entry>,
    now: Duration,
    asked: Vec<usize>,
    rests: usize,
    calls: Vec<Call>,
}

impl Play {
    fn new() -> Self {
        let config = FoldConfig {
            series_max: 100_000,
            retentions: Retentions { readings: DAY, minutes: 7 * DAY, hours: 400 * DAY },
            naive_time: NaiveTime::Utc,
        };
        let owner = Owner::new("f".into(), config, Duration::from_secs(2), String::new);
        let (unread, asked, calls) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { owner, unread, now: Duration::ZERO, asked, rests: 0, calls }
    }

    /// An entry of one message per payload.
    fn publish(&mut self, topic: &str, payloads: impl IntoIterator<Item = String>) {
        let number = self.unread.len() as u64 + 1;
        let messages = payloads.into_iter().map(|it| (topic.as_bytes().to_vec(), it.into_bytes()));
        let mut pairs: Vec<_> = messages.collect();
        let header = format!("1 00000000000000aa {number} {} {WALL} 0", pairs.len());
        pairs.insert(0, (b"@".to_vec(), header.into_bytes()));
        self.unread.push_back(Entry::new(EntryId { ms: 1, seq: number }, pairs));
    }

    /// Goes on until the owner waits for more or ends. `before_read` is asked before each read.
    fn run(&mut self, mut before_read: impl FnMut(&mut Self)) -> Action {
        let meta = Meta { fence: "f".into(), ..Meta::default() };
        let mut event = Event::Meta(Box::new(meta), Inventory::default());
        loop {
            event = match self.owner.next(event, self.now, WALL) {
                Action::ReadMeta => panic!("begins again"),
                Action::Claim => Event::Claimed(Vec::new()),
                Action::Load(needs) => Event::Loaded(Loaded {
                    states: needs.states.iter().map(|_| None).collect(),
                    blocks: needs.blocks.iter().map(|_| None).collect(),
                    types: needs.types.iter().map(|_| String::new()).collect(),
                    attributes: needs.attributes.iter().map(|_| Default::default()).collect(),
                    footprints: Vec::new(),
                }),
                Action::Read { count, .. } => {
                    before_read(self);
                    self.asked.push(count);
                    let count = count.min(self.unread.len());
                    if count == 0 {
                        // It waited as long as it may.
                        self.now += BATCH_LIMITS.age_max;
                    }
                    Event::Read(self.unread.drain(..count).collect())
                }
                Action::Rest => {
                    self.rests += 1;
                    Event::Rested
                }
                Action::Refuse(error) => panic!("{error}"),
                Action::Commit => {
                    self.calls.extend(self.owner.call().cloned());
                    Event::Verdict(Verdict::Written)
                }
                action @ (Action::LookForStrays | Action::End(_)) => return action,
            };
        }
    }

    fn series_written(&self) -> usize {
        self.calls.iter().map(Call::series).sum()
    }
}

fn array(of: impl Iterator<Item = String>) -> String {
    format!("[{}]", of.collect::<Vec<_>>().join(","))
}

/// 8,000 types of one sensor took 3 GB: each new series carried the whole list of types.
#[test]
fn the_types_of_a_sensor_are_written_once_per_call() {
    let mut play = Play::new();
    for part in 0..8 {
        let types =
            (256 * part..256 * (part + 1)).map(|n| format!(r#"{{"type":"t{n}","value":1}}"#));
        play.publish("s/one", [array(types)]);
    }
    play.run(|_| {});
    assert_eq!(play.series_written(), 2048);
    assert!(play.calls.len() > 1);
    for call in &play.calls {
        // Whatever happens after this call: the types of all series that it writes are there.
        assert_eq!(call.index.set.len(), 1);
        assert_eq!(call.index.set[0].1.split(|byte| *byte == 0).count(), 2048);
    }
}

/// A series cannot be cut, and Redis takes about a million arguments: a batch with 250,000 blocks
/// of one series could never be committed, and came back after every restart.
#[test]
fn readings_of_many_hours_are_committed_in_batches_that_redis_takes() {
    let mut play = Play::new();
    for entry in 0..8 {
        let payload = |message: i64| {
            let first = 256 * (128 * entry + message);
            array((first..first + 256).map(|hour| {
                format!(r#"{{"value":1,"timestamp":{}}}"#, -100_000_000_000 + 3600 * hour)
            }))
        };
        play.publish("s/one/t", (0..128).map(payload).collect::<Vec<_>>());
    }
    play.run(|_| {});
    let blocks = |call: &Call| call.blocks.values().map(|hash| hash.set.len()).sum();
    let blocks: Vec<usize> = play.calls.iter().map(blocks).collect();
    // All of them are older than windows are kept: only readings, by the day.
    let days = 8 * 128 * 256 / 24 + 1;
    // The day in which a batch ends is written again by the next; the very first time is one in
    // milliseconds.
    assert!((days..days + 2 + blocks.len()).contains(&blocks.iter().sum()), "{blocks:?}");
    assert!(blocks.iter().all(|blocks| *blocks < 30_000), "{blocks:?}");
}

#[test]
fn other_tasks_get_their_turn_within_a_large_read() {
    let mut play = Play::new();
    for _ in 0..8 {
        let payload = format!(r#"{{"value":1,"note":"{}"}}"#, "x".repeat(60_000));
        play.publish("s/one/t", std::iter::repeat_n(payload, 16));
    }
    play.run(|_| {});
    assert_eq!(play.rests, 7);
    assert_eq!(play.calls.iter().map(|call| call.acknowledge.len()).sum::<usize>(), 8);
}

/// Small entries made the next read so large that 500 entries of 1 MiB could come at once.
#[test]
fn a_read_asks_for_what_entries_turn_out_to_carry() {
    let mut play = Play::new();
    for _ in 0..1000 {
        play.publish("s/one/t", [r#"{"value":1}"#.to_owned()]);
    }
    for _ in 0..200 {
        let payload = format!(r#"{{"value":1,"note":"{}"}}"#, "x".repeat(60_000));
        play.publish("s/one/t", std::iter::repeat_n(payload, 16));
    }
    play.run(|_| {});
    assert_eq!(play.asked[..5], [8, 16, 32, 64, 64]);
    assert!(play.asked.iter().all(|asked| *asked <= 64));
    assert!(play.asked.iter().rev().skip(1).take(3).all(|asked| *asked <= 8), "{:?}", play.asked);
}

/// Others may write for as long as they like: an owner that waited until nothing came any more
/// would never hand its shard over.
#[test]
fn a_steady_stream_does_not_keep_an_owner_from_stopping() {
    let mut play = Play::new();
    play.owner.stop(Duration::ZERO);
    let mut published = 0;
    let end = play.run(|play| {
        play.now += Duration::from_millis(1);
        assert!(play.now < Duration::from_secs(10), "it never stops");
        published += 1;
        play.publish("s/one/t", [r#"{"value":1}"#.to_owned()]);
    });
    assert_eq!(end, Action::End(Ended::Stopped));
    let committed = play.calls.iter().map(|call| call.acknowledge.len()).sum::<usize>();
    assert_eq!(committed, published - play.unread.len());
}

/// A batch is read in several goes. In a later one a series that began in the first has a number
/// and attributes, and Redis was asked for the text of these, which nobody had written yet: all
/// that came before the first change of unit was shown with the newest unit for good.
#[test]
fn a_series_that_begins_and_changes_its_unit_in_one_batch_keeps_both() {
    let mut play = Play::new();
    let measured = |unit: &str| format!(r#"{{"value":1,"unit":"{unit}"}}"#);
    for _ in 0..ENTRIES_PER_READ {
        play.publish("s/one/t", [measured("K")]);
    }
    play.publish("s/one/t", [measured("bar")]);
    play.run(|_| {});
    assert_eq!((play.asked.len() > 1, play.calls.len()), (true, 1));
    let written = &play.calls[0].attributes.set;
    let list = written.iter().find(|(field, _)| field == b"1:v").unwrap();
    let versions = Versions::parse(&list.1).unwrap();
    let unit = |version| versions.attributes(version).map(|text| text.contains(r#""unit":"K""#));
    assert_eq!([unit(1), unit(2)], [Some(true), None]);
}
