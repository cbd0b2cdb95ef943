//! What a series' silence means. No I/O, no clock.

use crate::reading::{SeriesKey, UnixMillis};

/// A series is late when it is silent for so many of its own intervals. A guess: one message may
/// be lost and the next one late without anybody being called.
const LATE_INTERVALS: u64 = 3;
/// No series is late before. A guess: connections that are made anew, and the table, which is
/// compared with Redis every second or slower, take some seconds.
const LATE_MS_MIN: u64 = 10_000;
/// It is offline when it is silent for so many: a guess at when waiting has no sense any more.
const OFFLINE_INTERVALS: u64 = 10;
/// No series is offline before: a device that starts anew is back within a minute. A guess.
const OFFLINE_MS_MIN: u64 = 60_000;
/// Stands in for the interval of a series that was heard once. A guess: slower than most sensors
/// send, so that the second message is not called a return.
const INTERVAL_MS_UNKNOWN: u64 = 300_000;

/// How long a series has been silent, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::serve) enum Status {
    /// Heard as often as usual.
    Online,
    /// Silent for some of its intervals.
    Late,
    /// Silent for many of them.
    Offline,
}

/// A series has another status than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Turned {
    /// Which one.
    pub(in crate::serve) series: SeriesKey,
    /// What it is now.
    pub(in crate::serve) status: Status,
    /// When it was last measured, by the sensor's clock.
    pub(in crate::serve) last_at: UnixMillis,
}

impl Status {
    /// All of them, from the best on.
    pub(in crate::serve) const ALL: [Self; 3] = [Self::Online, Self::Late, Self::Offline];

    /// As answers, events and metrics say it.
    pub(in crate::serve) const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Late => "late",
            Self::Offline => "offline",
        }
    }

    /// What a silence means for a series with this interval; 0 is an interval not known yet.
    pub(in crate::serve) const fn of(silence_ms: u64, interval_ms: u32) -> Self {
        if silence_ms >= Self::Offline.after_ms(interval_ms) {
            Self::Offline
        } else if silence_ms >= Self::Late.after_ms(interval_ms) {
            Self::Late
        } else {
            Self::Online
        }
    }

    /// After which silence a series with this interval has this status.
    pub(in crate::serve) const fn after_ms(self, interval_ms: u32) -> u64 {
        let interval = if interval_ms == 0 { INTERVAL_MS_UNKNOWN } else { interval_ms as u64 };
        let (after, least) = match self {
            Self::Online => (0, 0),
            Self::Late => (LATE_INTERVALS * interval, LATE_MS_MIN),
            Self::Offline => (OFFLINE_INTERVALS * interval, OFFLINE_MS_MIN),
        };
        if after > least { after } else { least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_judged_by_the_series_own_interval() {
        let check = |interval_ms, late_ms, offline_ms| {
            let of = |silence| Status::of(silence, interval_ms);
            assert_eq!((of(0), of(late_ms - 1)), (Status::Online, Status::Online));
            assert_eq!((of(late_ms), of(offline_ms - 1)), (Status::Late, Status::Late));
            assert_eq!((of(offline_ms), of(u64::MAX)), (Status::Offline, Status::Offline));
        };
        check(1, 10_000, 60_000);
        check(5_000, 15_000, 60_000);
        check(60_000, 180_000, 600_000);
        // Unknown: five minutes stand in.
        check(0, 900_000, 3_000_000);
        check(u32::MAX, 3 * u64::from(u32::MAX), 10 * u64::from(u32::MAX));
    }

    #[test]
    fn names_are_those_of_the_page() {
        assert_eq!(Status::ALL.map(Status::name), ["online", "late", "offline"]);
    }
}
