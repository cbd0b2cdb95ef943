//! How often messages come. No I/O, no clock.

use crate::reading::UnixMillis;

/// Over how long the rate is taken: what is older than this weighs less than 1/e. A guess: long
/// enough for a sensor that sends every ten seconds, short enough to see a change at once.
const MEMORY_SECONDS: f64 = 60.0;
/// A rate over less than this is none.
const OBSERVED_SECONDS_MIN: f64 = 1.0;
/// A silence shorter than this may only mean that the record is not written yet.
const SILENCE_MS_MIN: i64 = 30_000;

/// Messages divided by the time in which they came, both decayed exponentially: of every interval
/// the messages and the seconds weigh exp(−age ÷ 60 s) (G. Cormode, V. Shkapenyuk, D. Srivastava,
/// B. Xu: "Forward Decay: A Practical Time Decay Model for Streaming Systems", ICDE 2009, where the
/// decayed average is the quotient of two decayed sums). As the quotient does not depend on how
/// much was observed, it is right from the second message on, and for a topic that sends once an
/// hour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// The time of the last message, in the milliseconds of entry ids: within a stream they never
    /// go back. 0: none came yet.
    pub(super) heard_ms: u64,
    /// Messages after the first, decayed.
    pub(super) messages: f64,
    /// Seconds since the first, decayed in the same way.
    pub(super) seconds: f64,
}

impl Rate {
    /// So many messages came, the last of them at `at_ms`. What is heard again, in older entries,
    /// counts as if it came at once.
    pub(super) fn hear(&mut self, messages: u32, at_ms: u64) {
        if self.heard_ms == 0 {
            // The first one starts the clock.
            (self.heard_ms, self.messages) = (at_ms, f64::from(messages.saturating_sub(1)));
            return;
        }
        let seconds = at_ms.saturating_sub(self.heard_ms) as f64 / 1000.0;
        let weight = (-seconds / MEMORY_SECONDS).exp();
        self.messages = self.messages * weight + f64::from(messages);
        self.seconds = self.seconds * weight + seconds;
        self.heard_ms = self.heard_ms.max(at_ms);
    }

    /// Messages a second, as of the last one; since then no more than one in the time that passed
    /// until `now`. `None` while fewer than two came, or all within a second.
    #[must_use]
    pub fn per_second(&self, now: UnixMillis) -> Option<f64> {
        if self.messages <= 0.0 || self.seconds < OBSERVED_SECONDS_MIN {
            return None;
        }
        let rate = self.messages / self.seconds;
        let heard = i64::try_from(self.heard_ms).unwrap_or(i64::MAX);
        let silence_ms = now.0.saturating_sub(heard);
        if silence_ms < SILENCE_MS_MIN {
            return Some(rate);
        }
        Some(rate.min(1000.0 / silence_ms as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(every_ms: u64, times: u64, messages: u32) -> Rate {
        let mut rate = Rate::default();
        for n in 0..times {
            rate.hear(messages, 1_000_000 + n * every_ms);
        }
        rate
    }

    fn now(rate: &Rate) -> UnixMillis {
        UnixMillis(i64::try_from(rate.heard_ms).unwrap())
    }

    #[test]
    fn a_steady_rate_is_told_right_from_the_second_message_on() {
        let check = |every_ms: u64, times| {
            let rate = heard(every_ms, times, 1);
            let said = rate.per_second(now(&rate)).unwrap();
            let expected = 1000.0 / every_ms as f64;
            assert!((said / expected - 1.0).abs() < 1e-9, "{every_ms} {times}: {said}");
        };
        check(1000, 2);
        check(1000, 1000);
        check(100, 20);
        check(100, 10_000);
        check(3_600_000, 2);
        check(3_600_000, 20);
    }

    #[test]
    fn too_little_is_no_rate() {
        assert_eq!(heard(1000, 1, 1).per_second(UnixMillis(0)), None);
        assert_eq!(heard(1, 500, 1).per_second(UnixMillis(0)), None);
    }

    #[test]
    fn a_change_is_seen_within_minutes() {
        let mut rate = heard(1000, 600, 1);
        for n in 1..=180 {
            rate.hear(10, 1_000_000 + (599 + n) * 1000);
        }
        let said = rate.per_second(now(&rate)).unwrap();
        assert!((9.0..10.0).contains(&said), "{said}");
    }

    #[test]
    fn who_falls_silent_sends_no_more_than_once_in_the_silence() {
        let rate = heard(100, 1000, 1);
        let after = |ms: i64| rate.per_second(UnixMillis(now(&rate).0 + ms)).unwrap();
        assert!((after(29_999) - 10.0).abs() < 1e-9);
        assert!((after(100_000) - 0.01).abs() < 1e-9);
        let slow = heard(300_000, 5, 1);
        let said = slow.per_second(UnixMillis(now(&slow).0 + 200_000)).unwrap();
        assert!((said - 1.0 / 300.0).abs() < 1e-9, "{said}");
    }

    #[test]
    fn what_is_heard_again_does_not_turn_time_back() {
        let mut rate = heard(1000, 60, 1);
        let before = rate.heard_ms;
        rate.hear(3, before - 2000);
        assert_eq!(rate.heard_ms, before);
        assert!(rate.per_second(now(&rate)).unwrap() < 2.0);
    }
}
