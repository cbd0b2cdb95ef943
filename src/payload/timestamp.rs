//! Timestamps as sensors write them: RFC 3339 and its relatives, and numbers since 1970.
//!
//! A scanner of our own, since a calendar library costs more than all the rest of a reading. It
//! is checked against one by properties. It reads
//! `2024-01-01[(T|t|space)12:00[:00[(.|,)digits]][Z|z|±hh[[:]mm]]]`: beyond RFC 3339 that is a
//! date alone (midnight), no seconds, a comma, a short offset, and no zone at all. Digits beyond
//! milliseconds are cut off. Second 60 is a leap second that our clock does not have: it is the
//! last millisecond of the minute.

use crate::reading::UnixMillis;

use super::naive_time::{NaiveTime, Zone};

const DAY_MS: i64 = 86_400_000;

/// The years -9999 to 9999: what the calendar library on the way out can show. Its bounds leave
/// room for the largest offset.
const EARLIEST: i64 = -377_705_023_201_000;
/// See [`EARLIEST`].
const LATEST: i64 = 253_402_207_200_999;

/// Reads a time that a person or a program asks for as messages write theirs: RFC 3339 and its
/// relatives, or a number since 1970 whose unit is told by its magnitude. `None` when it cannot be
/// read, or lies outside the years −9999 to 9999.
#[must_use]
pub fn read_timestamp(text: &str, naive_time: &NaiveTime) -> Option<UnixMillis> {
    from_text(text, &Zone::from(naive_time.clone()))
}

/// Reads a timestamp that was written as text; `None` when it cannot be read.
pub(super) fn from_text(text: &str, zone: &Zone) -> Option<UnixMillis> {
    let text = text.trim_ascii();
    if text.as_bytes().get(4) == Some(&b'-') {
        in_range(civil(text.as_bytes(), zone)?)
    } else {
        from_digits(text)
    }
}

/// Reads a whole number since 1970, its unit told by its magnitude (design §6). Fractions of a
/// millisecond are cut off towards the past.
pub(super) fn from_whole(number: i128) -> Option<UnixMillis> {
    let millis = match number.unsigned_abs() {
        0..100_000_000_000 => number * 1000,
        100_000_000_000..100_000_000_000_000 => number,
        100_000_000_000_000..100_000_000_000_000_000 => number.div_euclid(1000),
        _ => number.div_euclid(1_000_000),
    };
    in_range(UnixMillis(i64::try_from(millis).ok()?))
}

/// Like [`from_whole`] for a number with a fraction: the nearest millisecond, since a double
/// cannot hold most fractions.
pub(super) fn from_fraction(number: f64) -> Option<UnixMillis> {
    let millis = match number.abs() {
        size if size < 1e11 => number * 1e3,
        size if size < 1e14 => number,
        size if size < 1e17 => number / 1e3,
        _ => number / 1e6,
    };
    let millis = millis.round();
    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates; in_range refuses that")]
    in_range(UnixMillis(millis as i64)).filter(|_| millis.is_finite())
}

fn in_range(at: UnixMillis) -> Option<UnixMillis> {
    (EARLIEST..=LATEST).contains(&at.0).then_some(at)
}

/// A number as text. Words like `inf`, which Rust also takes for numbers, are none here.
fn from_digits(text: &str) -> Option<UnixMillis> {
    if let Ok(whole) = text.parse() {
        return from_whole(whole);
    }
    if text.bytes().any(|byte| byte.is_ascii_alphabetic() && !byte.eq_ignore_ascii_case(&b'e')) {
        return None;
    }
    from_fraction(text.parse().ok()?)
}

fn civil(text: &[u8], zone: &Zone) -> Option<UnixMillis> {
    let mut scan = Scan { rest: text };
    let date = scan.date()?;
    if scan.rest.is_empty() {
        return zone.instant(UnixMillis(date));
    }
    scan.one_of(b"Tt ")?;
    let shown = UnixMillis(date + scan.time()?);
    let instant = match scan.one_of(b"Zz+-") {
        None => zone.instant(shown)?,
        Some(b'Z' | b'z') => shown,
        Some(sign) => {
            let offset = scan.offset()?;
            UnixMillis(if sign == b'+' { shown.0 - offset } else { shown.0 + offset })
        }
    };
    scan.rest.is_empty().then_some(instant)
}

/// What of a text has not been read yet.
struct Scan<'t> {
    rest: &'t [u8],
}

impl Scan<'_> {
    /// The date's midnight, in milliseconds since 1970.
    fn date(&mut self) -> Option<i64> {
        let year = self.digits::<4>()?;
        self.one_of(b"-")?;
        let month = self.digits::<2>().filter(|month| (1..=12).contains(month))?;
        self.one_of(b"-")?;
        let last = days_of(year, month);
        let day = self.digits::<2>().filter(|day| (1..=last).contains(day))?;
        Some(days_since_1970(year, month, day) * DAY_MS)
    }

    /// Milliseconds since midnight.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits::<2>().filter(|hour| *hour < 24)?;
        self.one_of(b":")?;
        let minute = self.digits::<2>().filter(|minute| *minute < 60)?;
        let minutes = (hour * 60 + minute) * 60_000;
        if self.one_of(b":").is_none() {
            return Some(minutes);
        }
        let second = self.digits::<2>().filter(|second| *second <= 60)?;
        let fraction = if self.one_of(b".,").is_some() { self.fraction_ms()? } else { 0 };
        Some(minutes + (second * 1000 + fraction).min(59_999))
    }

    /// One digit or more after the point: the first three count.
    fn fraction_ms(&mut self) -> Option<i64> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        let place = |weight: i64, at| weight * i64::from(digits.get(at).unwrap_or(&b'0') - b'0');
        (length > 0).then(|| place(100, 0) + place(10, 1) + place(1, 2))
    }

    /// What follows the sign of an offset, in milliseconds.
    fn offset(&mut self) -> Option<i64> {
        let hours = self.digits::<2>().filter(|hours| *hours < 24)?;
        let minutes = if self.rest.is_empty() {
            0
        } else {
            // The colon may be missing.
            self.one_of(b":");
            self.digits::<2>().filter(|minutes| *minutes < 60)?
        };
        Some((hours * 60 + minutes) * 60_000)
    }

    /// Exactly `N` decimal digits.
    fn digits<const N: usize>(&mut self) -> Option<i64> {
        let (digits, rest) = self.rest.split_first_chunk::<N>()?;
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
        }
        self.rest = rest;
        Some(number)
    }

    /// The next byte, if it is one of these; otherwise nothing is read.
    fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        if !allowed.contains(first) {
            return None;
        }
        self.rest = rest;
        Some(*first)
    }
}

/// How many days a month has in the Gregorian calendar.
fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2021, `days_from_civil`:
/// years begin in March, so that the leap day is a year's last; 400 years are 146,097 days.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
