//! What a timestamp without zone means.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::reading::UnixMillis;

/// The zone of timestamps that carry none (`STREAMGAUGE_NAIVE_TIME`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NaiveTime {
    /// Coordinated universal time.
    #[default]
    Utc,
    /// The zone of the machine, looked up once when a decoder is made.
    Local,
    /// A zone of the IANA database, with its daylight-saving rules.
    Zone(TimeZone),
}

/// A zone that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is no time zone; allowed are `utc`, `local` or an IANA name like `Europe/Berlin`"
)]
pub struct UnknownZone {
    given: String,
}

impl NaiveTime {
    /// Reads a setting: `utc`, `local` (in any case) or an IANA name.
    ///
    /// # Errors
    /// [`UnknownZone`] when it is none of these; `local` also when the machine does not tell.
    pub fn parse(text: &str) -> Result<Self, UnknownZone> {
        let unknown = || UnknownZone { given: text.to_owned() };
        if text.eq_ignore_ascii_case("utc") {
            return Ok(Self::Utc);
        }
        if text.eq_ignore_ascii_case("local") {
            return TimeZone::try_system().map(|_| Self::Local).map_err(|_| unknown());
        }
        match TimeZone::get(text) {
            Ok(zone) if !zone.is_unknown() => Ok(Self::Zone(zone)),
            Ok(_) | Err(_) => Err(unknown()),
        }
    }
}

/// A [`NaiveTime`] made ready: `None` is UTC, which needs no table.
#[derive(Clone, Debug)]
pub(super) struct Zone(Option<TimeZone>);

impl From<NaiveTime> for Zone {
    fn from(naive_time: NaiveTime) -> Self {
        match naive_time {
            NaiveTime::Utc => Self(None),
            NaiveTime::Local => Self(Some(TimeZone::system())),
            NaiveTime::Zone(zone) => Self(Some(zone)),
        }
    }
}

impl Zone {
    /// The instant at which clocks of this zone show what clocks in UTC show at `shown`.
    ///
    /// A time that happens twice is its first occurrence; one that is skipped is moved on by the
    /// length of the gap (RFC 5545 §3.3.5, jiff's "compatible").
    pub(super) fn instant(&self, shown: UnixMillis) -> Option<UnixMillis> {
        let Some(zone) = &self.0 else {
            return Some(shown);
        };
        let shown = jiff::Timestamp::from_millisecond(shown.0).ok()?;
        let shown: DateTime = TimeZone::UTC.to_datetime(shown);
        let instant = zone.to_timestamp(shown).ok()?;
        Some(UnixMillis(instant.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_a_zone_or_is_told_what_is_allowed() {
        assert_eq!(NaiveTime::parse("UTC"), Ok(NaiveTime::Utc));
        assert!(matches!(NaiveTime::parse("Europe/Berlin"), Ok(NaiveTime::Zone(_))));
        for wrong in ["", "Mars/Olympus", "+02:00", "CEST", "Etc/Unknown"] {
            let said = NaiveTime::parse(wrong).unwrap_err().to_string();
            assert!(said.contains(&format!("`{wrong}`")) && said.contains("`local`"), "{said}");
        }
    }
}
