//! How often a series is heard: about the longest usual gap between its messages.
//! No I/O, no clock.
//!
//! A gap that is longer counts by half, so that a series that became slower is known to be after
//! a few messages; it counts as four intervals at most, so that an outage does not pass for a
//! habit. A gap that is shorter counts by its own share of the time (an exponential average over
//! [`MEMORY`] intervals of *time*, not of messages), and a little as a message. Falling by
//! messages alone, say by a 64th for each, was rejected: a sensor that wakes up once an hour and
//! sends a hundred buffered readings within two seconds would forget its hour before the next.
//!
//! Whole numbers throughout, so that whoever folds the same messages comes to the same interval.

/// In how many intervals of shorter gaps the interval falls to their length. A guess: with gaps
/// as those of a Poisson process it settles near three times their mean, so that one in some
/// thousands is longer than three intervals.
const MEMORY: u64 = 16;
/// In how many messages it does, whatever their gaps: so that a sensor that first sent once a day
/// and now each second is known to within the hour. A guess: above what a device buffers between
/// two connections.
const MESSAGES: u64 = 1024;
/// A longer gap counts as so many intervals at most.
const LONGER_MAX: u64 = 4;
/// Between intervals up to this one nobody tells a difference: silences are judged from ten
/// seconds on, which are three of them. So a burst at the very beginning is soon forgotten.
const FINE_MS: u64 = 3_000;

/// The interval of a series; not known until its second message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval(u32);

impl Interval {
    /// What [`Interval::ms`] gave.
    #[must_use]
    pub const fn of_ms(ms: u32) -> Self {
        Self(ms)
    }

    /// In milliseconds, up to 49 days; 0 when it is not known.
    #[must_use]
    pub const fn ms(self) -> u32 {
        self.0
    }

    /// The interval after a message that came so long after the one before. Several readings of
    /// one message, and messages of one millisecond, are one arrival: a gap of 0 changes nothing.
    #[must_use]
    pub fn after(self, gap_ms: u64) -> Self {
        let (known, gap) = (u64::from(self.0), gap_ms.min(u64::from(u32::MAX)));
        let next = if known == 0 {
            gap
        } else if gap > known {
            let counted = gap.min(LONGER_MAX * known.max(FINE_MS));
            known + counted.saturating_sub(known).div_ceil(2)
        } else if gap > 0 {
            let below = known - gap;
            known - (below * gap / (MEMORY * known) + below / MESSAGES).max(u64::from(below > 0))
        } else {
            known
        };
        Self(u32::try_from(next).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
#[path = "interval_tests.rs"]
mod tests;
