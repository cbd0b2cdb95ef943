//! Where history stands: shelves of spans. No I/O, no clock.
//!
//! History is kept and evicted in whole spans of `measured_at`. A shelf is one kind of storage
//! with spans of one length: readings by the hour, readings of slow series by the day (a field of
//! a hash costs about 64 bytes beside its value, which must be worth it), 1-minute windows by the
//! hour and 1-hour windows by the day. The text of a span is the end of its key and its field in
//! the inventory.

use std::fmt;
use std::time::Duration;

use crate::reading::UnixMillis;

/// One hour in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// One day in milliseconds; days are those of UTC.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A reading at rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoredReading {
    /// The sensor's clock, or the time of receipt.
    pub measured_at: UnixMillis,
    /// Always finite.
    pub value: f64,
    /// The version of its unit, location and metadata; 0 stands for the newest.
    pub attributes: u32,
}

/// How long the windows are that readings are rolled up into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// `1m`.
    Minute,
    /// `1h`.
    Hour,
}

impl Resolution {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Minute, Self::Hour];

    /// The length of a window in milliseconds.
    #[must_use]
    pub const fn window_ms(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => HOUR_MS,
        }
    }

    /// When the window begins that a time belongs to; windows are `[start, start + length)`.
    #[must_use]
    pub const fn start_of(self, at: UnixMillis) -> UnixMillis {
        // Rounding down below the smallest number would leave the range: the first window of all
        // is shorter by that.
        UnixMillis(at.0.saturating_sub(at.0.rem_euclid(self.window_ms())))
    }

    /// Where these windows stand.
    #[must_use]
    pub const fn shelf(self) -> Shelf {
        match self {
            Self::Minute => Shelf::MinutesByHour,
            Self::Hour => Shelf::HoursByDay,
        }
    }

    /// As the API writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Hour => "1h",
        }
    }
}

/// The parts that share the memory for history (design §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Share {
    /// Raw readings.
    Readings,
    /// 1-minute windows.
    Minutes,
    /// 1-hour windows.
    Hours,
}

impl Share {
    /// All, in the order of [`Share::index`].
    pub const ALL: [Self; 3] = [Self::Readings, Self::Minutes, Self::Hours];

    /// Its place in a list of all.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As metrics, the API and the inventory call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
        }
    }
}

/// How long each share is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retentions {
    /// Raw readings.
    pub readings: Duration,
    /// 1-minute windows.
    pub minutes: Duration,
    /// 1-hour windows.
    pub hours: Duration,
}

impl Retentions {
    /// That of a share.
    #[must_use]
    pub const fn of(&self, share: Share) -> Duration {
        match share {
            Share::Readings => self.readings,
            Share::Minutes => self.minutes,
            Share::Hours => self.hours,
        }
    }

    /// The longest of all: attributes are kept as long.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.readings.max(self.minutes).max(self.hours)
    }
}

/// The time that lies `duration` after another; the end of time when that is too far.
#[must_use]
pub fn after(time: UnixMillis, duration: Duration) -> UnixMillis {
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    UnixMillis(time.0.saturating_add(millis))
}

/// One kind of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shelf {
    /// Readings of series that send more often than every ten seconds.
    ReadingsByHour,
    /// Readings of slower series.
    ReadingsByDay,
    /// 1-minute windows.
    MinutesByHour,
    /// 1-hour windows.
    HoursByDay,
}

impl Shelf {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ReadingsByHour, Self::ReadingsByDay, Self::MinutesByHour, Self::HoursByDay];

    /// The length of its spans in milliseconds.
    #[must_use]
    pub const fn span_ms(self) -> i64 {
        match self {
            Self::ReadingsByHour | Self::MinutesByHour => HOUR_MS,
            Self::ReadingsByDay | Self::HoursByDay => DAY_MS,
        }
    }

    /// Out of whose memory it is paid.
    #[must_use]
    pub const fn share(self) -> Share {
        match self {
            Self::ReadingsByHour | Self::ReadingsByDay => Share::Readings,
            Self::MinutesByHour => Share::Minutes,
            Self::HoursByDay => Share::Hours,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::ReadingsByHour => "h:h",
            Self::ReadingsByDay => "h:d",
            Self::MinutesByHour => "w:m",
            Self::HoursByDay => "w:h",
        }
    }
}

/// One span of a shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// On which shelf.
    pub shelf: Shelf,
    /// Hours or days since 1970, rounded down, negative before.
    pub index: i64,
}

impl Span {
    /// The span of a shelf that a time belongs to.
    #[must_use]
    pub const fn of(shelf: Shelf, at: UnixMillis) -> Self {
        Self { shelf, index: at.0.div_euclid(shelf.span_ms()) }
    }

    /// When it begins.
    #[must_use]
    pub const fn start(self) -> UnixMillis {
        UnixMillis(self.index.saturating_mul(self.shelf.span_ms()))
    }

    /// When it has ended: the first millisecond after it.
    #[must_use]
    pub const fn end(self) -> UnixMillis {
        UnixMillis(self.index.saturating_add(1).saturating_mul(self.shelf.span_ms()))
    }

    /// Reads what [`fmt::Display`] writes; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let read = |shelf: Shelf| {
            let index = text.strip_prefix(shelf.prefix())?.parse().ok()?;
            Some(Self { shelf, index }).filter(|span| span.to_string() == text)
        };
        Shelf::ALL.into_iter().find_map(read)
    }
}

/// As in key names and in the inventory: `h:h475000`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.shelf.prefix(), self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_belongs_to_the_span_it_lies_in() {
        for shelf in Shelf::ALL {
            let length = shelf.span_ms();
            for (at, index) in [(0, 0), (length - 1, 0), (length, 1), (-1, -1), (-length, -1)] {
                let span = Span::of(shelf, UnixMillis(at));
                assert_eq!(span.index, index, "{shelf:?} {at}");
                assert!(span.start().0 <= at && at < span.end().0, "{shelf:?} {at}");
            }
            for at in [i64::MIN, i64::MAX] {
                let span = Span::of(shelf, UnixMillis(at));
                assert!(span.start().0 <= at && at <= span.end().0, "{shelf:?} {at}");
            }
        }
    }

    #[test]
    fn a_window_begins_at_or_before_its_readings() {
        for resolution in Resolution::ALL {
            let length = resolution.window_ms();
            for (at, start) in [(0, 0), (length - 1, 0), (length, length), (-1, -length)] {
                assert_eq!(resolution.start_of(UnixMillis(at)).0, start, "{resolution:?} {at}");
            }
            assert!(resolution.start_of(UnixMillis(i64::MIN)).0 == i64::MIN);
        }
    }

    #[test]
    fn a_span_survives_its_text() {
        for shelf in Shelf::ALL {
            for index in [0, -5, 475_000, i64::MIN] {
                let span = Span { shelf, index };
                assert_eq!(Span::parse(&span.to_string()), Some(span));
            }
        }
        for wrong in ["", "h:", "h:h", "h:hx", "x:h1", "h:h01", "h:h+1", "w:m 1", "h:h1 "] {
            assert_eq!(Span::parse(wrong), None, "{wrong:?}");
        }
    }
}
