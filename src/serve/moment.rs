//! Times as they are sent: RFC 3339 in UTC with milliseconds.
//!
//! A calendar library takes longer for a time than everything else of a row together, so the
//! usual years are written here; properties compare them with the library's.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::reading::UnixMillis;

const DAY_MS: i64 = 86_400_000;
/// 0000-01-01T00:00:00Z.
const YEAR_0: i64 = -62_167_219_200_000;
/// 10000-01-01T00:00:00Z.
const YEAR_10000: i64 = 253_402_300_800_000;

/// A time as RFC 3339 in UTC with milliseconds; `null` outside the years −9999 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) UnixMillis);

/// The text of a time of the years 0 to 9999: `2024-01-01T12:00:00.000Z`.
pub(super) struct MomentText([u8; 24]);

impl MomentText {
    /// `None` for other years.
    pub(super) fn of(at: UnixMillis) -> Option<Self> {
        if !(YEAR_0..YEAR_10000).contains(&at.0) {
            return None;
        }
        let (year, month, day) = civil(at.0.div_euclid(DAY_MS));
        let of_day = at.0.rem_euclid(DAY_MS);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        digits(year, &mut text[..4]);
        digits(month, &mut text[5..7]);
        digits(day, &mut text[8..10]);
        digits(of_day / 3_600_000, &mut text[11..13]);
        digits(of_day / 60_000 % 60, &mut text[14..16]);
        digits(of_day / 1000 % 60, &mut text[17..19]);
        digits(of_day % 1000, &mut text[20..23]);
        Some(Self(text))
    }

    pub(super) fn as_str(&self) -> &str {
        // Digits and signs are UTF-8.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = MomentText::of(self.0) {
            return f.write_str(text.as_str());
        }
        match jiff::Timestamp::from_millisecond(self.0.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => f.write_str("out of range"),
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(text) = MomentText::of(self.0) {
            return serializer.serialize_str(text.as_str());
        }
        match jiff::Timestamp::from_millisecond(self.0.0) {
            Ok(timestamp) => serializer.collect_str(&format_args!("{timestamp:.3}")),
            Err(_) => serializer.serialize_none(),
        }
    }
}

/// Writes a number that has at most as many digits as there is room.
fn digits(mut number: i64, into: &mut [u8]) {
    for place in into.iter_mut().rev() {
        // One decimal digit fits a byte.
        *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

/// Year, month and day of a day since 1970. Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", 2021, `civil_from_days`: years begin in March; 400 years are 146,097 days.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(at: i64) {
        let library = jiff::Timestamp::from_millisecond(at).unwrap();
        assert_eq!(Moment(UnixMillis(at)).to_string(), format!("{library:.3}"), "{at}");
    }

    #[test]
    fn the_years_at_the_edges_are_those_of_the_library() {
        for edge in [YEAR_0, YEAR_10000 - 200_000_000, 0, 951_782_400_000, 4_107_542_400_000] {
            for near in [-DAY_MS, -1, 0, 1, DAY_MS - 1, DAY_MS] {
                check(edge + near);
            }
        }
        assert!(MomentText::of(UnixMillis(YEAR_0 - 1)).is_none());
        assert!(MomentText::of(UnixMillis(YEAR_10000)).is_none());
        assert_eq!(
            MomentText::of(UnixMillis(YEAR_0)).unwrap().as_str(),
            "0000-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn what_no_calendar_knows_is_null() {
        assert_eq!(serde_json::to_string(&Moment(UnixMillis(i64::MAX))).unwrap(), "null");
        assert_eq!(Moment(UnixMillis(i64::MIN)).to_string(), "out of range");
    }

    proptest! {
        #[test]
        fn every_time_is_written_as_by_the_library(
            at in -377_705_023_201_000..=253_402_207_200_000i64,
        ) {
            check(at);
        }
    }
}
