//! Why a live connection ends: the codes and reasons that clients see.

/// Why a live connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Ending {
    /// The client closed it, or went away.
    Left,
    /// 1001: the server is stopping; connect again.
    Stopping,
    /// 1002: the client broke RFC 6455.
    Protocol,
    /// 1003: events are text, not binary.
    NotText,
    /// 1007: the text was no UTF-8.
    NotUtf8,
    /// 1008: more than twenty events, a hundred pings and pongs, or 512 KiB a second.
    TooMany,
    /// 1009: an event of more than 16 KiB.
    TooLarge,
    /// 1013: Redis does not answer; connect again later.
    TryAgain,
    /// 4000: the client did not keep up.
    Slow,
    /// 4001: the session has ended; sign in again.
    SignedOut,
    /// 4002: nothing was heard of the client for 45 seconds.
    Silent,
}

impl Ending {
    /// Every ending, in the order of its number.
    pub(in crate::serve) const ALL: [Self; 11] = [
        Self::Left,
        Self::Stopping,
        Self::Protocol,
        Self::NotText,
        Self::NotUtf8,
        Self::TooMany,
        Self::TooLarge,
        Self::TryAgain,
        Self::Slow,
        Self::SignedOut,
        Self::Silent,
    ];

    /// The name in metrics, and the reason that the client reads.
    pub(in crate::serve) const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Stopping => "stopping",
            Self::Protocol => "protocol",
            Self::NotText => "not_text",
            Self::NotUtf8 => "not_utf8",
            Self::TooMany => "too_many_events",
            Self::TooLarge => "event_too_large",
            Self::TryAgain => "redis_unavailable",
            Self::Slow => "slow",
            Self::SignedOut => "signed_out",
            Self::Silent => "silent",
        }
    }

    /// The close code of a WebSocket (RFC 6455 §7.4); none to a client that left,
    /// whose own close is answered with its own code.
    pub(in crate::serve) const fn code(self) -> Option<u16> {
        match self {
            Self::Left => None,
            Self::Stopping => Some(1001),
            Self::Protocol => Some(1002),
            Self::NotText => Some(1003),
            Self::NotUtf8 => Some(1007),
            Self::TooMany => Some(1008),
            Self::TooLarge => Some(1009),
            Self::TryAgain => Some(1013),
            Self::Slow => Some(4000),
            Self::SignedOut => Some(4001),
            Self::Silent => Some(4002),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_list() {
        for (place, ending) in Ending::ALL.into_iter().enumerate() {
            assert_eq!(ending as usize, place);
        }
    }
}
