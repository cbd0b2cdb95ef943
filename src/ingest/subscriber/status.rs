//! How the connections to the brokers are doing.

/// Every connection, in the order of the brokers and of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberStatus {
    /// At least one.
    pub connections: Vec<ConnectionStatus>,
    /// How many belong to each broker.
    per_broker: usize,
}

/// One connection to one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// `host:port`.
    pub broker: String,
    /// Its number among the connections to that broker, from 0.
    pub number: u16,
    /// How it is doing.
    pub state: ConnectionState,
}

/// How one connection is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Not connected, or not every filter granted yet.
    Connecting {
        /// What went wrong the last time; empty before the first time.
        why: String,
    },
    /// The broker has granted every filter.
    Subscribed,
}

impl SubscriberStatus {
    pub(super) fn connecting(brokers: impl Iterator<Item = String>, per_broker: u16) -> Self {
        let connections = brokers
            .flat_map(|broker| {
                (0..per_broker).map(move |number| ConnectionStatus {
                    broker: broker.clone(),
                    number,
                    state: ConnectionState::Connecting { why: String::new() },
                })
            })
            .collect();
        Self { connections, per_broker: usize::from(per_broker) }
    }

    /// Whether every connection is subscribed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.connections.iter().all(|connection| connection.state == ConnectionState::Subscribed)
    }

    /// How many connections are subscribed, for the gauge.
    pub(super) fn subscribed(&self) -> f64 {
        let subscribed =
            |connection: &&ConnectionStatus| connection.state == ConnectionState::Subscribed;
        u32::try_from(self.connections.iter().filter(subscribed).count()).map_or(0.0, f64::from)
    }

    /// How a connection is doing now. Says whether that is new.
    pub(super) fn set(&mut self, broker: usize, number: u16, state: ConnectionState) -> bool {
        let place = broker * self.per_broker + usize::from(number);
        match self.connections.get_mut(place) {
            Some(connection) if connection.state != state => {
                connection.state = state;
                true
            }
            Some(_) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_every_connection_is_subscribed() {
        let brokers = ["a:1".to_owned(), "b:1".to_owned()];
        let mut status = SubscriberStatus::connecting(brokers.into_iter(), 2);
        for (broker, number) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            assert!(!status.is_ready());
            assert!(status.set(broker, number, ConnectionState::Subscribed));
            assert!(!status.set(broker, number, ConnectionState::Subscribed));
        }
        assert!(status.is_ready());
        let lost = ConnectionState::Connecting { why: "gone".into() };
        assert!(status.set(1, 0, lost.clone()));
        assert_eq!(status.connections[2].state, lost);
        assert!(!status.is_ready());
    }
}
