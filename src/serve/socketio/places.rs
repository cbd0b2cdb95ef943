//! Places for sessions: how many there are, and how many of them wait.
//!
//! Waiting is who showed no good credential in the handshake. Such sessions have places of their
//! own, a few for each network, so that those who know nothing keep out only each other.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::metrics::Metrics;
use crate::serve::error::Fault;
use crate::serve::metrics::Held;
use crate::serve::throttle::network;

/// As many as there are WebSockets (design §10); a session that polls is no connection.
const SESSIONS_MAX: u64 = 10_000;
/// Of these, such as wait.
const WAITING_MAX: u64 = 1_000;
/// Of these, such as come from one network. A guess: a client waits for one turn of its line, so
/// that hundreds a second get through; and it takes sixteen networks to use all places up.
const WAITING_PER_NETWORK_MAX: u64 = 64;

/// The places.
pub(super) struct Places {
    metrics: Metrics,
    /// Networks with sessions that wait, at most [`WAITING_MAX`]; never held across an await.
    networks: Mutex<HashMap<IpAddr, u64>>,
}

/// The place of a session.
pub(super) struct Place {
    _session: Held,
}

/// The place of a session that waits; given up when it is let in.
pub(super) struct WaitingPlace {
    places: Arc<Places>,
    network: IpAddr,
    _waiting: Held,
}

impl Places {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { metrics: Metrics::new(), networks: Mutex::default() })
    }

    /// A place for one more session.
    pub(super) fn take(&self) -> Result<Place, Fault> {
        let session = Held::below(self.metrics.sessions(), SESSIONS_MAX);
        let session = session.map(|held| Place { _session: held });
        session.ok_or_else(|| self.refuse("all 10000 Socket.IO sessions are taken"))
    }

    /// A place to wait at, beside that of the session.
    pub(super) fn wait(self: &Arc<Self>, peer: IpAddr) -> Result<WaitingPlace, Fault> {
        let network = network(peer);
        let mut networks = self.networks();
        if networks.get(&network).is_some_and(|waiting| *waiting >= WAITING_PER_NETWORK_MAX) {
            drop(networks);
            return Err(self.refuse(
                "64 Socket.IO sessions of your network wait to be let in, and no more may; pass \
                 the API token in the handshake, or try again in ten seconds",
            ));
        }
        let Some(held) = Held::below(self.metrics.waiting(), WAITING_MAX) else {
            drop(networks);
            return Err(self.refuse(
                "1000 Socket.IO sessions wait to be let in, and no more may; pass the API token \
                 in the handshake, or try again in ten seconds",
            ));
        };
        *networks.entry(network).or_default() += 1;
        drop(networks);
        Ok(WaitingPlace { places: self.clone(), network, _waiting: held })
    }

    fn refuse(&self, outside: &'static str) -> Fault {
        self.metrics.refused();
        Fault::Unavailable { outside, inside: String::new() }
    }

    fn networks(&self) -> MutexGuard<'_, HashMap<IpAddr, u64>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        let mut networks = self.places.networks();
        if let Some(waiting) = networks.get_mut(&self.network) {
            *waiting -= 1;
            if *waiting == 0 {
                networks.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter::from_fn;
    use std::net::Ipv4Addr;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_takes_only_its_own_waiting_places() {
        let places = Places::new();
        let take = |peer| from_fn(|| places.wait(address(peer)).ok()).collect::<Vec<_>>();
        let one = take("10.0.0.1");
        assert_eq!(one.len() as u64, WAITING_PER_NETWORK_MAX);
        assert_eq!(take("10.0.0.2").len() as u64, WAITING_PER_NETWORK_MAX);
        let v6 = take("2001:db8::1");
        assert_eq!(v6.len() as u64, WAITING_PER_NETWORK_MAX);
        assert!(take("2001:db8::ffff:1").is_empty(), "the same network");
        assert!(places.wait(address("2001:db8:0:1::1")).is_ok(), "another network");
        // As a socket for IPv4 and IPv6 says it.
        assert!(take("::ffff:10.0.0.1").is_empty(), "the same address");
        assert!(places.wait(address("::ffff:10.0.0.3")).is_ok(), "another address");
        drop(one);
        assert_eq!(take("10.0.0.1").len() as u64, WAITING_PER_NETWORK_MAX, "given back");
        drop(v6);
        assert!(places.networks().is_empty(), "who is gone is forgotten");
    }

    #[test]
    fn who_waits_takes_no_place_of_those_that_are_known() {
        let places = Places::new();
        let peers = (0..).map(|n| IpAddr::V4(Ipv4Addr::from_bits(n)));
        let waiting: Vec<_> =
            peers.map_while(|peer| places.take().ok().zip(places.wait(peer).ok())).collect();
        assert_eq!(waiting.len() as u64, WAITING_MAX);
        let known: Vec<_> = from_fn(|| places.take().ok()).collect();
        assert_eq!(known.len() as u64, SESSIONS_MAX - WAITING_MAX);
    }

    #[test]
    fn refusals_say_how_many_there_may_be() {
        let places = Places::new();
        let said = |fault: Option<Fault>| fault.unwrap().to_string();
        let mut held = Vec::new();
        let full = (0..=WAITING_PER_NETWORK_MAX)
            .find_map(|_| places.wait(address("10.0.0.1")).map(|it| held.push(it)).err());
        assert!(said(full).contains(&format!("{WAITING_PER_NETWORK_MAX} ")));
        let full = (0..=u32::try_from(WAITING_MAX).unwrap()).find_map(|n| {
            let peer = IpAddr::V4(Ipv4Addr::from_bits(n));
            places.wait(peer).map(|it| held.push(it)).err()
        });
        assert!(said(full).contains(&format!("{WAITING_MAX} ")));
        let mut held = Vec::new();
        let full = (0..=SESSIONS_MAX).find_map(|_| places.take().map(|it| held.push(it)).err());
        assert!(said(full).contains(&format!("{SESSIONS_MAX} ")));
    }
}
