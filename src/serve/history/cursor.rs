//! Where the next page begins, and of which query. No I/O, no clock.
//!
//! A cursor carries the range as it was on the first page, since `hours` counts back from a now
//! that goes on, and the grain, since what `auto` means may change meanwhile. It also carries a
//! fingerprint of what was asked, so that one of another query is noticed. Everything in it could
//! be asked for without it: it is not secret, and needs no signature.

use serde::{Deserialize, Serialize};

use super::grain::Grain;
use crate::history::{Resolution, answer};
use crate::reading::UnixMillis;
use crate::serve::hex;
use crate::shard::ShardId;

/// The end of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Of the query (see `wanted`).
    pub(super) fingerprint: u64,
    pub(super) grain: Grain,
    pub(super) from: UnixMillis,
    pub(super) to: UnixMillis,
    pub(super) after: After,
}

/// The last row of the page before: order is by time, shard and place, and then by type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct After {
    pub(super) place: answer::Cursor,
    pub(super) sensor_type: String,
}

#[derive(Deserialize, Serialize)]
struct Written<'a>(u64, u8, i64, i64, i64, u16, u64, std::borrow::Cow<'a, str>);

impl Cursor {
    /// `None` when the text is no cursor, or one that no page ends with: its row stands within
    /// its range.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let json = hex::read(text)?;
        let Written(fingerprint, grain, from, to, at, shard, offset, sensor_type) =
            serde_json::from_slice(&json).ok()?;
        if !(from..to).contains(&at) {
            return None;
        }
        let place = answer::Cursor { measured_at: UnixMillis(at), shard: ShardId(shard), offset };
        Some(Self {
            fingerprint,
            grain: *Grain::ALL.get(usize::from(grain))?,
            from: UnixMillis(from),
            to: UnixMillis(to),
            after: After { place, sensor_type: sensor_type.into_owned() },
        })
    }

    #[expect(clippy::expect_used, reason = "numbers and a string can be written as JSON")]
    pub(super) fn write(&self) -> String {
        let grain = match self.grain {
            Grain::Readings => 0,
            Grain::Windows(Resolution::Minute) => 1,
            Grain::Windows(Resolution::Hour) => 2,
        };
        let Self { fingerprint, from, to, after, .. } = self;
        let answer::Cursor { measured_at, shard, offset } = after.place;
        let sensor_type = after.sensor_type.as_str().into();
        let written =
            Written(*fingerprint, grain, from.0, to.0, measured_at.0, shard.0, offset, sensor_type);
        hex::write(&serde_json::to_vec(&written).expect("a cursor can be written as JSON"))
    }
}

impl After {
    /// Behind what the rows of one type are still to come.
    pub(super) fn of_type(&self, sensor_type: &str) -> Option<answer::Cursor> {
        if sensor_type <= self.sensor_type.as_str() {
            Some(self.place)
        } else {
            // A row at the very same place but of a later type is still to come.
            before(self.place)
        }
    }
}

/// The place just before another; `None` before the first.
fn before(cursor: answer::Cursor) -> Option<answer::Cursor> {
    let answer::Cursor { measured_at, shard, offset } = cursor;
    if let Some(offset) = offset.checked_sub(1) {
        return Some(answer::Cursor { offset, ..cursor });
    }
    let offset = u64::MAX;
    match shard.0.checked_sub(1) {
        Some(shard) => Some(answer::Cursor { measured_at, shard: ShardId(shard), offset }),
        None => measured_at.0.checked_sub(1).map(|at| answer::Cursor {
            measured_at: UnixMillis(at),
            shard: ShardId(u16::MAX),
            offset,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(grain: Grain) -> Cursor {
        let place = answer::Cursor { measured_at: UnixMillis(-5), shard: ShardId(0), offset: 0 };
        let after = After { place, sensor_type: "m\"°".to_owned() };
        let (from, to) = (UnixMillis(i64::MIN), UnixMillis(i64::MAX));
        Cursor { fingerprint: u64::MAX, grain, from, to, after }
    }

    #[test]
    fn cursors_survive_their_text() {
        for grain in Grain::ALL {
            let cursor = cursor(grain);
            assert_eq!(Cursor::parse(&cursor.write()), Some(cursor));
        }
        for wrong in ["", "xyz", "00", &hex::write(b"[1,3,0,9,0,0,0,\"t\"]"), &hex::write(b"[1]")] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_row_of_a_cursor_stands_within_its_range() {
        let parse = |from: i64, to: i64, at: i64| {
            let json = format!("[1,0,{from},{to},{at},0,0,\"t\"]");
            Cursor::parse(&hex::write(json.as_bytes()))
        };
        assert!(parse(5, 9, 5).is_some() && parse(5, 9, 8).is_some());
        for (from, to, at) in [(9, 5, 7), (5, i64::MIN, 5), (5, 9, i64::MAX), (5, 9, 9), (5, 9, 4)]
        {
            assert_eq!(parse(from, to, at), None, "{from} {to} {at}");
        }
    }

    #[test]
    fn types_are_in_order_within_a_place() {
        let Cursor { after, .. } = cursor(Grain::Readings);
        assert_eq!(after.of_type("a"), Some(after.place));
        assert_eq!(after.of_type("m\"°"), Some(after.place));
        let last_before = after.of_type("z").unwrap();
        assert!(last_before < after.place);
        assert_eq!(last_before.measured_at, UnixMillis(-6));
    }
}
