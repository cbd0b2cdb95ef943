//! Holding back those who guess credentials: a bucket of guesses per peer, and one for all.
//!
//! A wrong guess takes a token out; a peer without tokens is not judged at all until one has
//! dripped in, so that a guess that would have been right says nothing either. Peers that were
//! right lately are not held back by the bucket for all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Wrong guesses that a peer may make at once: a person with a stale script, not a dictionary.
const PEER_GUESSES: f64 = 50.0;
/// Guesses that come back to a peer per second: 86,400 a day.
const PEER_PER_SECOND: f64 = 1.0;
/// The same for all peers together.
const ALL_GUESSES: f64 = 500.0;
const ALL_PER_SECOND: f64 = 50.0;
/// Peers remembered. Beyond it the one that was heard of longest ago is forgotten, which gives it
/// its guesses back; the bucket for all still holds.
const PEERS_MAX: usize = 1024;

/// Time since the throttle was made.
type Elapsed = Duration;

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Elapsed,
    /// The last judgement was a right one.
    trusted: bool,
}

impl Bucket {
    const fn full(tokens: f64, at: Elapsed) -> Self {
        Self { tokens, at, trusted: false }
    }

    fn refill(&mut self, now: Elapsed, per_second: f64, most: f64) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * per_second).min(most);
        self.at = now;
    }
}

/// Who guessed wrong lately.
#[derive(Debug)]
pub(super) struct Throttle {
    peers: HashMap<IpAddr, Bucket>,
    all: Bucket,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { peers: HashMap::new(), all: Bucket::full(ALL_GUESSES, Duration::ZERO) }
    }
}

impl Throttle {
    /// Whether a credential from `peer` is judged now.
    pub(super) fn admits(&mut self, peer: IpAddr, now: Elapsed) -> bool {
        self.all.refill(now, ALL_PER_SECOND, ALL_GUESSES);
        let all = self.all.tokens >= 1.0;
        match self.peers.get_mut(&network(peer)) {
            None => all,
            Some(bucket) => {
                bucket.refill(now, PEER_PER_SECOND, PEER_GUESSES);
                bucket.tokens >= 1.0 && (all || bucket.trusted)
            }
        }
    }

    /// The credential of `peer` was judged.
    pub(super) fn judged(&mut self, peer: IpAddr, was_right: bool, now: Elapsed) {
        let peer = network(peer);
        if was_right && !self.peers.contains_key(&peer) {
            // Nothing to remember of somebody who never was wrong.
            return;
        }
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) {
            let oldest = self.peers.iter().min_by_key(|(_, bucket)| bucket.at);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.peers.remove(&oldest);
            }
        }
        let bucket = self.peers.entry(peer).or_insert(Bucket::full(PEER_GUESSES, now));
        bucket.trusted = was_right;
        if !was_right {
            bucket.tokens = (bucket.tokens - 1.0).max(0.0);
            self.all.tokens = (self.all.tokens - 1.0).max(0.0);
        }
    }
}

/// Whom an address stands for. An IPv6 customer has a /64 at least (RFC 4291 §2.5.1): its
/// addresses are one peer. An IPv4 address is itself, also as a socket for both says it.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(prefix.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Elapsed = Duration::from_secs(100);

    fn wrong(throttle: &mut Throttle, peer: IpAddr, guesses: usize, now: Elapsed) -> usize {
        let mut judged = 0;
        for _ in 0..guesses {
            if throttle.admits(peer, now) {
                throttle.judged(peer, false, now);
                judged += 1;
            }
        }
        judged
    }

    #[test]
    fn a_peer_has_fifty_guesses_and_one_a_second_after() {
        let mut throttle = Throttle::default();
        let peer = "192.0.2.1".parse().unwrap();
        assert_eq!(wrong(&mut throttle, peer, 100, NOW), 50);
        assert_eq!(wrong(&mut throttle, peer, 100, NOW + Duration::from_secs(3)), 3);
        assert!(throttle.admits("192.0.2.2".parse().unwrap(), NOW));
    }

    #[test]
    fn one_network_is_one_peer() {
        let mut throttle = Throttle::default();
        let guesses: usize = (0..100)
            .map(|n| wrong(&mut throttle, format!("2001:db8::{n:x}").parse().unwrap(), 1, NOW))
            .sum();
        assert_eq!(guesses, 50);
    }

    #[test]
    fn many_peers_together_are_held_back_too() {
        let mut throttle = Throttle::default();
        let good = "198.51.100.1".parse().unwrap();
        assert_eq!(wrong(&mut throttle, good, 1, NOW), 1);
        throttle.judged(good, true, NOW);
        let guesses: usize = (0..2000u32)
            .map(|n| wrong(&mut throttle, IpAddr::from((n + (10 << 24)).to_be_bytes()), 10, NOW))
            .sum();
        assert_eq!(guesses, 499);
        assert!(throttle.admits(good, NOW), "who was right lately is not held back");
        assert!(throttle.peers.len() <= PEERS_MAX);
    }
}
