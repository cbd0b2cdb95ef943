//! How fast a run may go.

use std::time::Duration;

/// How often what is due is handed out: often enough to be smooth, seldom enough that a turn of
/// all connections costs little. It is also the finest timeout of epoll_wait(2).
pub const TICK: Duration = Duration::from_millis(1);

/// Spends the rate: so many messages a second, over all connections, in ticks.
#[derive(Debug)]
pub struct Pace {
    rate: Option<f64>,
    issued: u64,
    /// When the next tick is due, since the beginning.
    next_tick: Duration,
    /// What is left of this tick.
    available: u64,
    /// What one connection may take of it.
    share: u64,
    first: usize,
}

impl Pace {
    /// Without a rate everything is allowed.
    #[must_use]
    pub fn new(rate: Option<f64>) -> Self {
        Self { rate, issued: 0, next_tick: Duration::ZERO, available: 0, share: 0, first: 0 }
    }

    /// Whether time, not only the window, decides what may be sent.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.rate.is_some()
    }

    /// Hands out what became due since the beginning; whether there is anything to send.
    pub fn tick(&mut self, elapsed: Duration, connections: u32) -> bool {
        let Some(rate) = self.rate else { return true };
        if elapsed < self.next_tick {
            return false;
        }
        self.next_tick = elapsed + TICK;
        let due = (elapsed.as_secs_f64() * rate) as u64;
        self.available = due.saturating_sub(self.issued);
        self.share = self.available.div_ceil(u64::from(connections));
        self.available > 0
    }

    /// How many messages one connection may send now, at most `chunk`.
    #[must_use]
    pub fn allowed(&self, chunk: u64) -> u64 {
        if self.is_limited() { chunk.min(self.share).min(self.available) } else { chunk }
    }

    /// So many were sent.
    pub fn take(&mut self, messages: u64) {
        self.issued += messages;
        self.available = self.available.saturating_sub(messages);
    }

    /// All connections, each time from another one on, so that a low rate reaches all.
    pub fn rotation(&mut self, links: usize) -> impl Iterator<Item = usize> + use<> {
        let first = self.first;
        self.first = (first + 1) % links.max(1);
        (0..links).map(move |index| (first + index) % links)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_shared_among_the_connections_and_never_exceeded() {
        let mut pace = Pace::new(Some(25_000.0));
        let mut sent = [0; 10];
        for micros in (0..1_000_000).step_by(100) {
            if pace.tick(Duration::from_micros(micros), 10) {
                for link in pace.rotation(10) {
                    let allowed = pace.allowed(400);
                    pace.take(allowed);
                    sent[link] += allowed;
                }
            }
        }
        let all: u64 = sent.iter().sum();
        assert!((24_900..=25_000).contains(&all), "{all}");
        assert!(sent.iter().all(|sent| (2_400..=2_600).contains(sent)), "{sent:?}");
    }

    #[test]
    fn without_a_rate_everything_is_allowed_at_any_time() {
        let mut pace = Pace::new(None);
        for _ in 0..3 {
            assert!(pace.tick(Duration::ZERO, 1));
            assert_eq!(pace.allowed(400), 400);
            pace.take(400);
        }
    }

    #[test]
    fn every_connection_comes_first_in_turn() {
        let mut pace = Pace::new(Some(1.0));
        let firsts: Vec<_> = (0..4).filter_map(|_| pace.rotation(3).next()).collect();
        assert_eq!(firsts, [0, 1, 2, 0]);
    }
}
