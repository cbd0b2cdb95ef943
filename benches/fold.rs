//! What folding costs: entries of 512 messages, decoded, folded and planned to be committed, as
//! the owner of a shard does it, with Redis left out.
//!
//! `cargo bench --bench fold`. The case is how many series send, each through a topic of its own.

use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use streamgauge::aggregate::{Action, BATCH_LIMITS, Event, FoldConfig, Loaded, Owner};
use streamgauge::history::{Inventory, Retentions};
use streamgauge::payload::NaiveTime;
use streamgauge::reading::UnixMillis;
use streamgauge::stream::commit::Verdict;
use streamgauge::stream::{Entry, EntryId, Meta};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As the producer fills an entry (design §2.3).
const MESSAGES: usize = 512;
/// As the owner reads at a time.
const ENTRIES: usize = 8;
/// 2026-11-23T20:00:00Z.
const START_MS: i64 = 1_795_464_000_000;
const DAY: Duration = Duration::from_hours(24);

/// An owner that is given entries, and a Redis that takes everything.
struct Play {
    owner: Owner,
    series: usize,
    messages: usize,
    entries: u64,
    now: Duration,
    read: Vec<Entry>,
}

impl Play {
    fn new(series: usize) -> Self {
        let config = FoldConfig {
            series_max: 10_000_000,
            retentions: Retentions { readings: DAY, minutes: 7 * DAY, hours: 400 * DAY },
            naive_time: NaiveTime::Utc,
        };
        let owner = Owner::new("f".into(), config, Duration::from_secs(2), || "t".into());
        let now = Duration::ZERO;
        let mut play = Self { owner, series, messages: 0, entries: 0, now, read: Vec::new() };
        let meta = Meta { fence: "f".into(), ..Meta::default() };
        play.go_on(Event::Meta(Box::new(meta), Inventory::default()));
        // Every series is known before the time is taken.
        for _ in 0..series.div_ceil(MESSAGES * ENTRIES) {
            play.prepare();
            play.fold();
        }
        play
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(START_MS + i64::try_from(self.now.as_millis()).unwrap_or(i64::MAX))
    }

    /// What the next read brings.
    fn prepare(&mut self) {
        self.now += BATCH_LIMITS.age_max;
        self.read = (0..ENTRIES).map(|_| self.entry()).collect();
    }

    fn entry(&mut self) -> Entry {
        self.entries += 1;
        let at = self.wall();
        let header = format!("1 00000000000000aa {} {MESSAGES} {at} 0", self.entries);
        let mut pairs = vec![(b"@".to_vec(), header.into_bytes())];
        for _ in 0..MESSAGES {
            let (number, value) = (self.messages * 7919 % self.series, self.messages % 97);
            self.messages += 1;
            let topic = format!("sensors/sensor_{number:07}/temperature");
            let payload = format!(r#"{{"value":2{}.{},"unit":"°C"}}"#, value / 10, value % 10);
            pairs.push((topic.into_bytes(), payload.into_bytes()));
        }
        let ms = u64::try_from(at.0).unwrap_or(0);
        Entry::new(EntryId { ms, seq: self.entries }, pairs)
    }

    fn fold(&mut self) {
        let read = std::mem::take(&mut self.read);
        self.go_on(Event::Read(read));
    }

    /// Until it wants to read again.
    fn go_on(&mut self, mut event: Event) {
        loop {
            event = match self.owner.next(event, self.now, self.wall()) {
                Action::Claim => Event::Claimed(Vec::new()),
                Action::Load(needs) => Event::Loaded(Loaded {
                    states: needs.states.iter().map(|_| None).collect(),
                    types: needs.types.iter().map(|_| String::new()).collect(),
                    attributes: needs.attributes.iter().map(|_| Default::default()).collect(),
                    blocks: needs.blocks.iter().map(|_| None).collect(),
                    footprints: needs.footprints.iter().map(|_| Default::default()).collect(),
                }),
                Action::Rest => Event::Rested,
                Action::Commit => {
                    black_box(self.owner.call());
                    Event::Verdict(Verdict::Written)
                }
                Action::LookForStrays => Event::Strays(0),
                Action::Read { .. } => return,
                Action::ReadMeta | Action::Refuse(_) | Action::End(_) => {
                    unreachable!("nothing goes wrong")
                }
            };
        }
    }
}

/// Per message.
#[divan::bench(args = [100, 1_000, 100_000])]
fn series(bencher: Bencher<'_, '_>, series: usize) {
    let play = std::cell::RefCell::new(Play::new(series));
    bencher
        .counter(ItemsCount::new(MESSAGES * ENTRIES))
        .with_inputs(|| play.borrow_mut().prepare())
        .bench_local_values(|()| play.borrow_mut().fold());
}

fn main() {
    divan::main();
}
