//! The open end of a series' history: what is not in a block yet. No I/O, no clock.
//!
//! It lives in the series' state, which is written with every commit anyway, so that a reading
//! costs no write of its own: the tail takes readings in order of arrival, late ones too, and the
//! newest windows take them in as numbers. When there is enough of it, `seal` moves it into
//! blocks. What was measured late stands here as a window of its own beside one that may be
//! stored; both are merged when they meet.

use std::time::Duration;

use super::codec::tail::Tail;
use super::codec::varint::{Input, write_unsigned};
use super::codec::windows::{read_window, write_window};
use super::span::{Resolution, Retentions, Shelf, Span, StoredReading, after};
use super::window::Window;
use crate::reading::UnixMillis;
use crate::stream::Position;

/// How much waits at most, beside what one batch brings. Half of it is rewritten with every
/// commit on average, and a block of readings grows by that much at a time. A guess, between the
/// 1.8 µs that Redis takes for a series anyway and 64 bytes that a field costs.
const OPEN_BYTES_MAX: usize = 320;
/// How long a reading waits at most while its series goes on sending: blocks are evicted by time.
const OPEN_MAX: Duration = Duration::from_secs(60 * 60);

/// What a reader of history needs of a series' state.
#[derive(Clone, Debug, PartialEq)]
pub struct Newest {
    /// The number that stands for the series in hashes of history.
    pub number: u64,
    /// The last message folded in.
    pub applied: Position,
    /// The earliest time of all its readings.
    pub first_at: UnixMillis,
    /// What is not in a block yet.
    pub open: OpenEnd,
}

/// Readings and windows that are not in a block yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenEnd {
    /// When the oldest of the tail arrived, by the clock of who folded it.
    pub since: UnixMillis,
    /// The newest readings, in order of arrival.
    pub tail: Tail,
    /// The newest 1-minute windows.
    pub minutes: OpenWindows,
    /// The newest 1-hour windows.
    pub hours: OpenWindows,
}

/// The newest windows of one resolution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenWindows {
    /// The latest of all, which most readings belong to.
    newest: Option<Window>,
    /// The last one that a late reading belonged to.
    late: Option<Box<Window>>,
    /// Closed ones, packed one after the other, in no order; there may be several of one start.
    waiting: Vec<u8>,
    waiting_count: u32,
}

impl OpenEnd {
    /// Puts a reading into the tail. `now` is the wall clock.
    pub fn keep(&mut self, reading: StoredReading, now: UnixMillis) {
        if self.tail.is_empty() {
            self.since = now;
        }
        self.tail.push(reading);
    }

    /// Forgets what would be gone by now, had it been moved into its span when it came: a series
    /// was silent for longer than its history is kept. `written_at` is when the last of it came.
    /// A reader hides the same.
    pub fn forget(&mut self, written_at: UnixMillis, now: UnixMillis, retentions: &Retentions) {
        let is_over = |shelf: Shelf, at: UnixMillis| {
            let written_at = written_at.max(Span::of(shelf, at).end());
            after(written_at, retentions.of(shelf.share())) < now
        };
        if after(written_at, retentions.readings) < now && !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            for reading in tail.readings() {
                if !is_over(Shelf::ReadingsByHour, reading.measured_at) {
                    self.tail.push(reading);
                }
            }
        }
        for resolution in Resolution::ALL {
            let shelf = resolution.shelf();
            if after(written_at, retentions.of(shelf.share())) < now {
                self.windows_mut(resolution).retain(resolution, |start| !is_over(shelf, start));
            }
        }
    }

    /// The windows of a resolution.
    #[must_use]
    pub const fn windows(&self, resolution: Resolution) -> &OpenWindows {
        match resolution {
            Resolution::Minute => &self.minutes,
            Resolution::Hour => &self.hours,
        }
    }

    /// The windows of a resolution, to be changed.
    pub const fn windows_mut(&mut self, resolution: Resolution) -> &mut OpenWindows {
        match resolution {
            Resolution::Minute => &mut self.minutes,
            Resolution::Hour => &mut self.hours,
        }
    }

    /// Whether it is time to move it into blocks. `retention` is that of readings: nothing waits
    /// longer than it would be kept.
    #[must_use]
    pub fn is_due(&self, now: UnixMillis, retention: Duration) -> bool {
        let waits = OPEN_MAX.min(retention).as_millis();
        let age = u128::try_from(now.0.saturating_sub(self.since.0)).unwrap_or(0);
        self.bytes() > OPEN_BYTES_MAX || (!self.tail.is_empty() && age >= waits)
    }

    /// About how many bytes wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tail.bytes().len() + self.minutes.waiting.len() + self.hours.waiting.len()
    }

    /// Appends it to a packed state.
    pub fn write(&self, packed: &mut Vec<u8>) {
        packed.extend_from_slice(&self.since.0.to_le_bytes());
        let tail = self.tail.bytes();
        write_unsigned(tail.len() as u64, packed);
        packed.extend_from_slice(tail);
        self.minutes.write(Resolution::Minute, packed);
        self.hours.write(Resolution::Hour, packed);
    }

    /// Reads what [`OpenEnd::write`] wrote; `None` when it is anything else.
    #[must_use]
    pub fn read(packed: &mut Input<'_>) -> Option<Self> {
        let since = UnixMillis(i64::from_le_bytes(packed.array()?));
        let length = usize::try_from(packed.unsigned()?).ok()?;
        let (tail, rest) = packed.0.split_at_checked(length)?;
        packed.0 = rest;
        Some(Self {
            since,
            tail: Tail::from_bytes(tail.to_vec()).ok()?,
            minutes: OpenWindows::read(packed, Resolution::Minute)?,
            hours: OpenWindows::read(packed, Resolution::Hour)?,
        })
    }
}

impl OpenWindows {
    /// Takes a reading in.
    pub fn fold(&mut self, resolution: Resolution, reading: &StoredReading) {
        let start = resolution.start_of(reading.measured_at);
        let is_late = self.newest.as_ref().is_some_and(|newest| start < newest.start);
        let window = if is_late {
            self.late_window(resolution, start)
        } else {
            self.newest_window(resolution, start)
        };
        window.fold(reading.value, reading.measured_at, reading.attributes);
    }

    fn newest_window(&mut self, resolution: Resolution, start: UnixMillis) -> &mut Window {
        if let Some(closed) = self.newest.take_if(|newest| newest.start != start) {
            self.wait(resolution, &closed);
        }
        self.newest.get_or_insert_with(|| Window::new(start))
    }

    fn late_window(&mut self, resolution: Resolution, start: UnixMillis) -> &mut Window {
        if let Some(closed) = self.late.take_if(|late| late.start != start) {
            self.wait(resolution, &closed);
        }
        self.late.get_or_insert_with(|| Box::new(Window::new(start)))
    }

    fn wait(&mut self, resolution: Resolution, window: &Window) {
        write_window(window, resolution, &mut self.waiting);
        self.waiting_count += 1;
    }

    /// All of them, ascending by start, each start once.
    #[must_use]
    pub fn all(&self, resolution: Resolution) -> Vec<Window> {
        let mut windows = self.closed(resolution);
        windows.extend(self.newest.clone());
        merge_windows(windows)
    }

    fn retain(&mut self, resolution: Resolution, stays: impl Fn(UnixMillis) -> bool) {
        let closed = self.take_closed(resolution);
        for window in closed.iter().filter(|window| stays(window.start)) {
            self.wait(resolution, window);
        }
        self.newest.take_if(|newest| !stays(newest.start));
    }

    /// Takes out all but the latest, ascending by start, each start once.
    pub fn take_closed(&mut self, resolution: Resolution) -> Vec<Window> {
        let closed = self.closed(resolution);
        *self = Self { newest: self.newest.take(), ..Self::default() };
        merge_windows(closed)
    }

    fn closed(&self, resolution: Resolution) -> Vec<Window> {
        let mut waiting = Input(&self.waiting);
        let next = || read_window(&mut waiting, resolution);
        let mut windows: Vec<Window> = std::iter::from_fn(next).collect();
        windows.extend(self.late.as_deref().cloned());
        windows
    }

    fn write(&self, resolution: Resolution, packed: &mut Vec<u8>) {
        let late = u32::from(self.late.is_some());
        write_unsigned(u64::from(self.waiting_count + late), packed);
        packed.extend_from_slice(&self.waiting);
        if let Some(late) = &self.late {
            write_window(late, resolution, packed);
        }
        packed.push(u8::from(self.newest.is_some()));
        if let Some(newest) = &self.newest {
            write_window(newest, resolution, packed);
        }
    }

    fn read(packed: &mut Input<'_>, resolution: Resolution) -> Option<Self> {
        let waiting_count = u32::try_from(packed.unsigned()?).ok()?;
        let before = packed.0;
        for _ in 0..waiting_count {
            read_window(packed, resolution)?;
        }
        let waiting = before[..before.len() - packed.0.len()].to_vec();
        let newest = match packed.byte()? {
            0 => None,
            1 => Some(read_window(packed, resolution)?),
            _ => return None,
        };
        Some(Self { newest, late: None, waiting, waiting_count })
    }
}

/// Windows ascending by start, those of one start merged in their order.
pub(super) fn merge_windows(mut windows: Vec<Window>) -> Vec<Window> {
    windows.sort_by_key(|window| window.start);
    windows.dedup_by(|next, kept| {
        let is_same = next.start == kept.start;
        if is_same {
            kept.merge(next);
        }
        is_same
    });
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{DAY_MS, HOUR_MS};

    const HOUR: Duration = Duration::from_secs(3600);

    /// Two readings in different windows, the last of which came at its own time.
    fn open() -> OpenEnd {
        let mut open = OpenEnd::default();
        for at in [0, HOUR_MS] {
            let reading = StoredReading { measured_at: UnixMillis(at), value: 1.5, attributes: 1 };
            open.keep(reading, UnixMillis(at));
            for resolution in Resolution::ALL {
                open.windows_mut(resolution).fold(resolution, &reading);
            }
        }
        open
    }

    #[test]
    fn what_a_silent_series_had_open_is_forgotten_when_it_would_be_gone() {
        let retentions = Retentions { readings: 2 * HOUR, minutes: 3 * HOUR, hours: 4 * HOUR };
        let check = |now: i64, readings: usize, minutes: usize, hours: usize| {
            let mut open = open();
            open.forget(UnixMillis(HOUR_MS), UnixMillis(now), &retentions);
            let windows = |resolution| open.windows(resolution).all(resolution).len();
            let left = (open.tail.len(), windows(Resolution::Minute), windows(Resolution::Hour));
            assert_eq!(left, (readings, minutes, hours), "{now}");
        };
        check(HOUR_MS, 2, 2, 2);
        // The first hour ended when the last reading came, the second an hour later.
        check(3 * HOUR_MS, 2, 2, 2);
        check(3 * HOUR_MS + 1, 1, 2, 2);
        check(4 * HOUR_MS + 1, 0, 1, 2);
        check(5 * HOUR_MS + 1, 0, 0, 2);
        check(DAY_MS + 4 * HOUR_MS + 1, 0, 0, 0);
    }
}
