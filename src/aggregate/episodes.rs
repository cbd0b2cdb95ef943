//! When eviction is worth a line in the log: once per episode. No I/O, no clock.

use std::time::Duration;

use crate::history::Share;

/// An episode is over when a share has given nothing for so long. Where history is full for good,
/// an hour goes each hour, or a day each day: a day and an hour lie between no two of these.
const QUIET: Duration = Duration::from_hours(25);

/// Time since the episodes were made.
type Elapsed = Duration;

/// When each share gave something last.
#[derive(Debug, Default)]
pub(super) struct Episodes {
    last: [Option<Elapsed>; 3],
}

impl Episodes {
    /// A share gives something `now`; whether that is the beginning of an episode.
    pub fn begins(&mut self, share: Share, now: Elapsed) -> bool {
        let last = self.last[share.index()].replace(now);
        last.is_none_or(|last| now.saturating_sub(last) >= QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_begins_once_and_ends_by_silence() {
        let mut episodes = Episodes::default();
        let hours = Duration::from_hours;
        assert!(episodes.begins(Share::Hours, hours(1)));
        for day in 1..10 {
            assert!(!episodes.begins(Share::Hours, hours(1 + day * 24)));
        }
        assert!(episodes.begins(Share::Readings, hours(217)), "each share has its own");
        assert!(!episodes.begins(Share::Hours, hours(217 + 24)));
        assert!(episodes.begins(Share::Hours, hours(217 + 24) + QUIET));
    }
}
