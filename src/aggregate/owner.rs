//! The owner of a shard: what it does next, as a state machine. No I/O, no clock.
//!
//! Its life: read what is committed, claim everything that is pending with anybody, fold it,
//! commit it, then read new entries, fold, commit, and so on. Whatever goes wrong leads back to
//! the beginning: what is in memory is dropped, and everything pending is claimed again before
//! anything new is folded. That is safe at any point, because a commit is all or nothing per
//! series, and each state says what it has applied.

use std::collections::VecDeque;
use std::time::Duration;

use super::fold::{Fold, FoldConfig};
use super::needs::{Loaded, Needs};
use super::plan::BatchLimits;
use super::trail::{Committed, Trail};
use super::upkeep::{Evicted, Upkeep};
use crate::history::codec::Unreadable;
use crate::history::{Cut, Inventory};
use crate::reading::UnixMillis;
use crate::stream::commit::{Call, ENTRIES_PER_BATCH_MAX, Verdict};
use crate::stream::{Entry, Meta, Patience};

/// How long a read blocks: also how soon an idle owner notices that it should stop.
pub const BLOCK_MAX: Duration = Duration::from_secs(1);
/// Entries of the first read; later ones follow what the entries turn out to carry.
const ENTRIES_PER_READ: usize = 8;
/// Entries of one read at most. An entry may take 1 MiB, so that a read which follows many small
/// entries and meets large ones brings 64 MiB at most.
const ENTRIES_PER_READ_MAX: usize = 64;
/// Messages that a read should bring: eight full entries.
const MESSAGES_PER_READ: usize = 4096;
/// Bytes that a read should bring.
const BYTES_PER_READ: usize = 4 << 20;
/// Bytes that are folded in one go: a millisecond or so, after which other tasks get their turn.
const STEP_BYTES: usize = 256 << 10;
/// How long an owner that was asked to stop goes on taking what comes. Others may go on writing,
/// and what is left is safe in the stream. A guess: a fraction of what a process has to stop.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// The limits of the product: 100 ms (design §2.5), and sizes that keep a call of the script
/// short and the memory of a batch within some tens of megabytes.
pub const BATCH_LIMITS: BatchLimits = BatchLimits {
    age_max: Duration::from_millis(100),
    series_max: 20_000,
    days_max: 20_000,
    messages_max: 65_536,
    entries_max: ENTRIES_PER_BATCH_MAX / 2,
    bytes_max: 32 << 20,
};

/// What the task shall do.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Read the shard's `m` hash, the number of its series and its inventory of history; answer
    /// [`Event::Meta`].
    ReadMeta,
    /// Claim everything pending; answer [`Event::Claimed`].
    Claim,
    /// Load what is needed; answer [`Event::Loaded`].
    Load(Needs),
    /// Read new entries; answer [`Event::Read`].
    Read {
        /// At most so many.
        count: usize,
        /// How to wait.
        patience: Patience,
    },
    /// Let other tasks have their turn; answer [`Event::Rested`].
    Rest,
    /// Look whether anything is pending with anybody; answer [`Event::Strays`].
    LookForStrays,
    /// Run [`Owner::call`]; answer [`Event::Verdict`].
    Commit,
    /// A newer version of the program wrote history that this one cannot read: say so; answer
    /// [`Event::Failed`].
    Refuse(Unreadable),
    /// The shard belongs to somebody else, or everything is committed: end.
    End(Ended),
}

/// How an owner's life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody else holds the fence.
    Fenced,
    /// It was asked to stop; everything it read is committed and the shard may be released.
    Stopped,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The answer to [`Action::ReadMeta`].
    Meta(Box<Meta>, Inventory),
    /// The answer to [`Action::Claim`], in the order of ids.
    Claimed(Vec<Entry>),
    /// The answer to [`Action::Load`].
    Loaded(Loaded),
    /// The answer to [`Action::Read`].
    Read(Vec<Entry>),
    /// The answer to [`Action::Rest`].
    Rested,
    /// The answer to [`Action::LookForStrays`]: entries pending with anybody.
    Strays(u64),
    /// The answer to [`Action::Commit`].
    Verdict(Verdict),
    /// An answer did not come, or could not be used. What was delivered or done is unknown.
    Failed,
}

/// The owner of one shard.
pub struct Owner {
    fence: String,
    pub(super) fold: Fold,
    trail: Trail,
    /// Entries claimed or read that are not in the batch yet.
    waiting: VecDeque<Entry>,
    /// The calls that are left of a commit; the first is being run.
    calls: VecDeque<Call>,
    /// When the first entry of the batch was read, by the monotonic clock.
    batch_since: Option<Duration>,
    /// When the last batch was planned to be committed.
    last_commit: Duration,
    /// What the commit being run will have committed. Not before: trimming must never reach what
    /// is only hoped to be committed.
    committing: Option<Committed>,
    /// Whether blocks are being loaded that the batch moves readings into.
    is_sealing: bool,
    upkeep: Upkeep,
    /// Whether a read without waiting brought nothing.
    is_drained: bool,
    /// Whether it has looked for strays since it read the last time.
    has_looked: bool,
    /// Set when it was asked to stop: until when it takes what comes.
    stop_by: Option<Duration>,
    entries_per_read: usize,
    token: fn() -> String,
}

impl Owner {
    /// An owner that holds `fence`. `token` makes unique tokens. The first action is
    /// [`Action::ReadMeta`].
    #[must_use]
    pub fn new(
        fence: String,
        config: FoldConfig,
        stream_retention: Duration,
        token: fn() -> String,
    ) -> Self {
        Self {
            fence,
            fold: Fold::new(config),
            trail: Trail::new(stream_retention),
            waiting: VecDeque::new(),
            calls: VecDeque::new(),
            batch_since: None,
            last_commit: Duration::ZERO,
            committing: None,
            is_sealing: false,
            upkeep: Upkeep::default(),
            is_drained: false,
            has_looked: false,
            stop_by: None,
            entries_per_read: ENTRIES_PER_READ,
            token,
        }
    }

    /// The call to run for [`Action::Commit`].
    #[must_use]
    pub fn call(&self) -> Option<&Call> {
        self.calls.front()
    }

    /// Which spans of history must go from now on, for the sake of the budget.
    pub fn cut(&mut self, cut: Cut) {
        self.upkeep.cut(cut);
    }

    /// What was evicted since this was asked last.
    pub fn take_evicted(&mut self) -> Vec<Evicted> {
        self.upkeep.take_evicted()
    }

    /// From now on it takes what is there without waiting, commits, and ends. `now` is the
    /// monotonic clock.
    pub fn stop(&mut self, now: Duration) {
        self.stop_by = Some(now + STOP_WITHIN);
        // What was written until now shall be read once more.
        self.is_drained = false;
    }

    /// What to do after an event. `now` is the monotonic clock, `wall` the other one.
    pub fn next(&mut self, event: Event, now: Duration, wall: UnixMillis) -> Action {
        match event {
            Event::Meta(meta, inventory) => self.begin(*meta, inventory, now),
            Event::Claimed(entries) => {
                self.waiting = entries.into();
                self.step(now, wall)
            }
            Event::Loaded(loaded) if self.is_sealing => self.seal(loaded, now, wall),
            Event::Loaded(loaded) => {
                self.fold.load(loaded);
                self.fold_or_load(now, wall)
            }
            Event::Read(entries) => {
                self.note_read(&entries);
                self.waiting = entries.into();
                self.step(now, wall)
            }
            Event::Rested => self.step(now, wall),
            Event::Strays(0) => self.read_on(),
            // Redis handed them to an owner that is gone, after the last commit looked.
            Event::Strays(_) => self.begin_again(),
            Event::Verdict(verdict) => self.take_verdict(verdict, now, wall),
            // A commit whose answer is unknown is run again: its token tells.
            Event::Failed if !self.calls.is_empty() => Action::Commit,
            Event::Failed => self.begin_again(),
        }
    }

    fn begin(&mut self, meta: Meta, inventory: Inventory, now: Duration) -> Action {
        if meta.fence != self.fence {
            return Action::End(Ended::Fenced);
        }
        self.trail.begin(meta.pos, now);
        self.fold.begin(meta, inventory);
        Action::Claim
    }

    fn begin_again(&mut self) -> Action {
        self.waiting.clear();
        self.calls.clear();
        self.batch_since = None;
        self.committing = None;
        self.is_drained = false;
        self.is_sealing = false;
        self.upkeep.begin();
        Action::ReadMeta
    }

    /// What a read brought says how much the next one should ask for.
    fn note_read(&mut self, entries: &[Entry]) {
        self.is_drained = entries.is_empty();
        let asked = self.entries_per_read;
        let messages: usize = entries.iter().map(Entry::len).sum();
        let bytes: usize = entries.iter().map(Entry::bytes).sum();
        let fitting = |brought: usize, wanted: usize| match brought > wanted {
            true => (entries.len() * wanted / brought).max(1),
            false => ENTRIES_PER_READ_MAX,
        };
        let fitting = fitting(messages, MESSAGES_PER_READ).min(fitting(bytes, BYTES_PER_READ));
        // Only where more was there than was asked for is more asked for.
        let more = if entries.len() >= asked { 2 * asked } else { asked };
        self.entries_per_read = fitting.min(more);
    }

    /// Takes some of what waits into the batch.
    fn step(&mut self, now: Duration, wall: UnixMillis) -> Action {
        let mut bytes = 0;
        let has_room = |entry: &&Entry| {
            let has_room = bytes < STEP_BYTES;
            bytes += entry.bytes();
            has_room
        };
        let count = self.waiting.iter().take_while(has_room).count();
        let entries: Vec<Entry> = self.waiting.drain(..count).collect();
        if !entries.is_empty() {
            self.batch_since.get_or_insert(now);
            self.fold.take(&entries);
        }
        self.fold_or_load(now, wall)
    }

    fn fold_or_load(&mut self, now: Duration, wall: UnixMillis) -> Action {
        let needs = self.fold.needs();
        if !needs.is_empty() {
            return Action::Load(needs);
        }
        self.fold.fold(wall);
        self.after_folding(now, wall)
    }

    fn after_folding(&mut self, now: Duration, wall: UnixMillis) -> Action {
        let Some(since) = self.batch_since else {
            return self.when_idle(now, wall);
        };
        let is_full = self.fold.is_full(now.saturating_sub(since), &BATCH_LIMITS);
        if is_full {
            return self.commit(now, wall);
        }
        if !self.waiting.is_empty() {
            return Action::Rest;
        }
        // After a pause a batch is committed as soon as nothing more is there. But when the last
        // commit is younger than a batch may become old, more is waited for: a steady stream
        // would else be committed entry by entry, each time with nearly all of its series.
        let rest = BATCH_LIMITS.age_max.saturating_sub(now.saturating_sub(self.last_commit));
        let gathers = !rest.is_zero() && self.stop_by.is_none();
        if self.is_drained && !gathers {
            return self.commit(now, wall);
        }
        let patience = if gathers { Patience::UpTo(rest) } else { Patience::None };
        Action::Read { count: self.entries_per_read, patience }
    }

    fn when_idle(&mut self, now: Duration, wall: UnixMillis) -> Action {
        if self.stop_by.is_some_and(|stop_by| self.is_drained || now >= stop_by) {
            return Action::End(Ended::Stopped);
        }
        if self.is_drained {
            let cut = self.trail.cut(now);
            self.upkeep.look(&mut self.fold, now, wall);
            if cut.is_some() || !self.fold.evicting.is_empty() {
                let call = self.fold.plan_upkeep(cut, (self.token)());
                self.calls.push_back(call);
                return Action::Commit;
            }
        }
        // Every commit looks for them too, but an idle shard has none.
        if self.is_drained && !self.has_looked {
            self.has_looked = true;
            return Action::LookForStrays;
        }
        self.read_on()
    }

    fn read_on(&mut self) -> Action {
        self.has_looked = false;
        let patience = match self.stop_by {
            Some(_) => Patience::None,
            None => Patience::UpTo(BLOCK_MAX),
        };
        Action::Read { count: self.entries_per_read, patience }
    }

    /// Ends the batch. What is due to move into blocks needs these blocks first.
    fn commit(&mut self, now: Duration, wall: UnixMillis) -> Action {
        self.upkeep.look(&mut self.fold, now, wall);
        let needs = self.fold.begin_sealing(wall);
        if needs.is_empty() {
            return self.seal(Loaded::default(), now, wall);
        }
        self.is_sealing = true;
        Action::Load(needs)
    }

    fn seal(&mut self, loaded: Loaded, now: Duration, wall: UnixMillis) -> Action {
        self.is_sealing = false;
        if let Err(error) = self.fold.seal(loaded.blocks, loaded.footprints) {
            return Action::Refuse(error);
        }
        let since = self.batch_since.take().unwrap_or(now);
        self.last_commit = now;
        let cut = self.trail.cut(now);
        let last = self.fold.uncommitted().last().copied();
        let bytes = self.fold.batch.bytes;
        self.committing = last.map(|last| Committed { last, read_at: since, bytes });
        self.calls = self.fold.plan(cut, wall, self.token).into();
        Action::Commit
    }

    fn take_verdict(&mut self, verdict: Verdict, now: Duration, wall: UnixMillis) -> Action {
        match verdict {
            Verdict::Written | Verdict::Done => {
                self.calls.pop_front();
                if !self.calls.is_empty() {
                    return Action::Commit;
                }
                self.fold.committed();
                if let Some(batch) = self.committing.take() {
                    self.trail.add(batch);
                }
                self.upkeep.committed();
                match self.waiting.is_empty() {
                    true => self.when_idle(now, wall),
                    false => self.step(now, wall),
                }
            }
            Verdict::Fenced => Action::End(Ended::Fenced),
            Verdict::Conflict | Verdict::Pending => self.begin_again(),
        }
    }
}

#[cfg(test)]
mod tests;
