//! How fast a run may go.

use std::time::Instant;

/// Spends the rate: so many messages a second, over all connections.
#[derive(Debug)]
pub struct Pace {
    rate: Option<f64>,
    issued: u64,
    first: usize,
}

impl Pace {
    /// Without a rate everything is allowed.
    #[must_use]
    pub fn new(rate: Option<f64>) -> Self {
        Self { rate, issued: 0, first: 0 }
    }

    /// Whether time, not only the window, decides what may be sent.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.rate.is_some()
    }

    /// How many messages one connection may send now, at most `chunk`: its part of what is due.
    #[must_use]
    pub fn allowed(&self, started: Instant, chunk: u64, connections: u32) -> u64 {
        let Some(rate) = self.rate else { return chunk };
        let due = (started.elapsed().as_secs_f64() * rate) as u64;
        let due = due.saturating_sub(self.issued);
        chunk.min(due.div_ceil(u64::from(connections)))
    }

    /// So many were sent.
    pub fn take(&mut self, messages: u64) {
        self.issued += messages;
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rate_is_shared_and_never_exceeded() {
        let mut pace = Pace::new(Some(1_000.0));
        let started = Instant::now() - Duration::from_millis(100);
        let mut sent = 0;
        for _ in 0..1_000 {
            let allowed = pace.allowed(started, 400, 10);
            pace.take(allowed);
            sent += allowed;
        }
        let most = (started.elapsed().as_secs_f64() * 1_000.0) as u64;
        assert!((100..=most).contains(&sent), "{sent} of at most {most}");
    }

    #[test]
    fn every_connection_comes_first_in_turn() {
        let mut pace = Pace::new(Some(1.0));
        let firsts: Vec<_> = (0..4).filter_map(|_| pace.rotation(3).next()).collect();
        assert_eq!(firsts, [0, 1, 2, 0]);
    }
}
