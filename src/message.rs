//! What MQTT delivers, before anybody has looked into it.

use crate::reading::UnixMillis;
use crate::refusal::Refusal;

/// What is known of a message beside topic and payload. The bits are those of an entry's flags
/// byte (design §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// The sender says that it may have sent this before (MQTT DUP).
    pub const DUP: Self = Self(1);
    /// A broker's replay of a stored message; set by the subscriber only.
    pub const RETAINED: Self = Self(1 << 1);
    /// A will.
    pub const WILL: Self = Self(1 << 2);
    /// Came in over HTTP.
    pub const HTTP: Self = Self(1 << 3);
    /// Carries properties.
    pub const PROPERTIES: Self = Self(1 << 4);
    /// Refused at the door; a reason follows.
    pub const REFUSED: Self = Self(1 << 5);
    /// A control message: ours, not a sensor's. Its topic is empty (see [`Control`]).
    pub const CONTROL: Self = Self(1 << 6);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// How much of a refused payload is kept, in bytes (design §5).
pub const REFUSED_PAYLOAD_BYTES_MAX: usize = 512;

/// One MQTT message on its way into the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// 1–65,535 bytes of UTF-8 without NUL.
    pub topic: &'a str,
    /// The bytes as they came.
    pub payload: &'a [u8],
    /// DUP, retained, …; [`Flags::REFUSED`] is derived from `refused`, never set here.
    pub flags: Flags,
    /// Our clock.
    pub received_at: UnixMillis,
    /// Set when the door refuses it: it then travels to the dead letters with its payload cut.
    pub refused: Option<Refusal>,
}

/// What a control message tells the owner of a shard to do, in its place among the readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Forget a sensor: all its series with their history. Totals stay.
    Delete {
        /// 1–128 bytes without control characters.
        sensor_id: Box<str>,
    },
}
