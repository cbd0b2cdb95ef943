//! The closed set of reasons for which a message becomes a dead letter (design §6).

/// Why a message was set aside for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// The payload is not JSON.
    BadJson = 1,
    /// There is no `value`.
    MissingValue = 2,
    /// A field has a type that cannot mean what it should.
    WrongType = 3,
    /// The value is NaN, infinite, or overflows a double.
    NotFinite = 4,
    /// The timestamp cannot be read.
    BadTimestamp = 5,
    /// A sensor id or type is over 128 bytes or has control characters.
    BadId = 6,
    /// The JSON nests too deeply.
    TooDeep = 7,
    /// More than 256 readings in one message.
    TooManyReadings = 8,
    /// The payload is over `STREAMGAUGE_MAX_PAYLOAD_BYTES`.
    TooLarge = 9,
    /// No filter of `MQTT_TOPICS` accepts the topic.
    TopicNotAccepted = 10,
    /// The entry carries a flag that this version does not know.
    UnknownFlag = 11,
    /// Decoding this message failed three times.
    DecoderFailed = 12,
}

impl Refusal {
    /// Every reason, in the order of its code.
    pub const ALL: [Self; 12] = [
        Self::BadJson,
        Self::MissingValue,
        Self::WrongType,
        Self::NotFinite,
        Self::BadTimestamp,
        Self::BadId,
        Self::TooDeep,
        Self::TooManyReadings,
        Self::TooLarge,
        Self::TopicNotAccepted,
        Self::UnknownFlag,
        Self::DecoderFailed,
    ];

    /// The name in the API, in metrics labels and in Redis.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::MissingValue => "missing_value",
            Self::WrongType => "wrong_type",
            Self::NotFinite => "not_finite",
            Self::BadTimestamp => "bad_timestamp",
            Self::BadId => "bad_id",
            Self::TooDeep => "too_deep",
            Self::TooManyReadings => "too_many_readings",
            Self::TooLarge => "too_large",
            Self::TopicNotAccepted => "topic_not_accepted",
            Self::UnknownFlag => "unknown_flag",
            Self::DecoderFailed => "decoder_failed",
        }
    }

    /// The byte that stands for the reason in an entry.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The reason that a byte stands for.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Its place in [`Refusal::ALL`], for tables of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_places_in_the_list() {
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal.index(), place);
            assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
        }
        assert_eq!(Refusal::from_code(0), None);
        assert_eq!(Refusal::from_code(13), None);
    }
}
