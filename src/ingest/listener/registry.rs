//! Who is connected: to count them, to tell them to stop, and to let a client id be taken over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::ingest::metrics::Metrics;

/// What a connection has been told. A later order is never taken back by an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// Go on.
    GoOn = 0,
    /// Read no more, acknowledge what was taken in, then close.
    Drain = 1,
    /// Another connection has taken the client id: close.
    TakenOver = 2,
    /// Nobody waits any more: close.
    Abort = 3,
}

/// The thread by which a connection is held from outside.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Woken for orders, and by the intake when messages are safe: the connection looks at both.
    pub wake: Arc<Notify>,
    order: AtomicU8,
}

impl Link {
    pub fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::GoOn,
            1 => Order::Drain,
            2 => Order::TakenOver,
            _ => Order::Abort,
        }
    }

    fn tell(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::Release);
        self.wake.notify_one();
    }
}

/// All connections of one listener. Held by the accepting task and by every connection.
pub(super) struct Registry {
    /// Guards who is connected; never held across an `await`.
    connected: Mutex<Connected>,
    /// Woken when a connection ends.
    ended: Notify,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Connected {
    links: HashMap<u64, Arc<Link>>,
    clients: HashMap<Box<str>, u64>,
    last: u64,
}

/// The place of one connection; gives it back when dropped.
pub(super) struct Seat {
    registry: Arc<Registry>,
    number: u64,
    client_id: Option<Box<str>>,
    pub link: Arc<Link>,
}

impl Registry {
    pub fn new(metrics: Metrics) -> Self {
        metrics.connections.set(0.0);
        Self { connected: Mutex::default(), ended: Notify::new(), metrics }
    }

    fn connected(&self) -> MutexGuard<'_, Connected> {
        // What a panicking thread leaves behind is whole: every change is a single insertion.
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seats a new connection.
    pub fn seat(self: &Arc<Self>) -> Seat {
        let link = Arc::<Link>::default();
        let mut connected = self.connected();
        connected.last += 1;
        let number = connected.last;
        connected.links.insert(number, Arc::clone(&link));
        drop(connected);
        self.metrics.connections.increment(1.0);
        Seat { registry: Arc::clone(self), number, client_id: None, link }
    }

    /// How many are connected.
    pub fn count(&self) -> usize {
        self.connected().links.len()
    }

    /// Waits until fewer than `limit` are connected.
    pub async fn fewer_than(&self, limit: usize) {
        loop {
            let ended = self.ended.notified();
            if self.count() < limit {
                return;
            }
            ended.await;
        }
    }

    /// Waits until a connection ends.
    pub async fn one_ended(&self) {
        self.ended.notified().await;
    }

    /// Tells all.
    pub fn tell_all(&self, order: Order) {
        for link in self.connected().links.values() {
            link.tell(order);
        }
    }
}

impl Seat {
    /// Takes a client id; who had it before is told (MQTT 3.1.1 §3.1.4).
    pub fn take_client_id(&mut self, client_id: &str) {
        let mut connected = self.registry.connected();
        let before = connected.clients.insert(client_id.into(), self.number);
        if let Some(link) = before.and_then(|number| connected.links.get(&number)) {
            link.tell(Order::TakenOver);
        }
        drop(connected);
        self.client_id = Some(client_id.into());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut connected = self.registry.connected();
        connected.links.remove(&self.number);
        if let Some(client_id) = &self.client_id
            && connected.clients.get(client_id) == Some(&self.number)
        {
            connected.clients.remove(client_id);
        }
        drop(connected);
        self.registry.metrics.connections.decrement(1.0);
        self.registry.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::metrics::Door;

    fn registry() -> Arc<Registry> {
        Arc::new(Registry::new(Metrics::new(Door::Listener)))
    }

    #[test]
    fn the_older_connection_loses_its_client_id() {
        let registry = registry();
        let (mut first, mut second) = (registry.seat(), registry.seat());
        first.take_client_id("c1");
        assert_eq!(first.link.order(), Order::GoOn);
        second.take_client_id("c1");
        assert_eq!(first.link.order(), Order::TakenOver);
        assert_eq!(second.link.order(), Order::GoOn);
        // That the first one leaves does not take the id from the second.
        drop(first);
        let mut third = registry.seat();
        third.take_client_id("c1");
        assert_eq!(second.link.order(), Order::TakenOver);
        drop((second, third));
        assert_eq!(registry.count(), 0);
        assert!(registry.connected().clients.is_empty());
    }

    #[test]
    fn an_order_is_not_taken_back() {
        let registry = registry();
        let seat = registry.seat();
        registry.tell_all(Order::Abort);
        registry.tell_all(Order::Drain);
        assert_eq!(seat.link.order(), Order::Abort);
    }

    #[tokio::test]
    async fn a_place_becomes_free_when_a_connection_ends() {
        let registry = registry();
        let seat = registry.seat();
        let ((), ()) = tokio::join!(registry.fewer_than(1), async { drop(seat) });
        assert_eq!(registry.count(), 0);
    }
}
