//! How a run publishes: who, what, how much and how fast.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::packet::Qos;

/// Everything the publisher needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The MQTT endpoint.
    pub to: SocketAddr,
    /// Username and password of CONNECT; none when absent.
    pub credentials: Option<(String, String)>,
    /// Parallel connections, each with sensors of its own.
    pub connections: u32,
    /// Most unacknowledged messages per connection, 1 to 65,535. QoS 0 knows no window.
    pub window: u16,
    /// Quality of service of every PUBLISH.
    pub qos: Qos,
    /// Number of sensors, at least one per connection.
    pub sensors: u32,
    /// What every sensor id begins with.
    pub prefix: String,
    /// Length of every payload.
    pub payload_bytes: usize,
    /// Whether payloads carry `"timestamp"`, RFC 3339 in milliseconds.
    pub timestamps: bool,
    /// Most messages a second over all connections; as fast as possible when absent.
    pub rate: Option<f64>,
    /// When to stop.
    pub length: Length,
    /// Whether a lost connection is made again and its unacknowledged messages are resent.
    pub reconnect: bool,
    /// Give up when nothing was acknowledged or written for so long.
    pub stall: Duration,
}

/// When a run has published enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many messages over all connections.
    Messages(u64),
    /// So long; then what is unacknowledged is waited for.
    Lasting(Duration),
}

impl Plan {
    /// A small QoS 1 run; adjust the fields.
    #[must_use]
    pub fn new(to: SocketAddr) -> Self {
        Self {
            to,
            credentials: None,
            connections: 50,
            window: 50,
            qos: Qos::AtLeastOnce,
            sensors: 1_000,
            prefix: "s".to_owned(),
            payload_bytes: 128,
            timestamps: false,
            rate: None,
            length: Length::Messages(100_000),
            reconnect: false,
            stall: Duration::from_secs(30),
        }
    }

    /// The sensors `[first, first + n)` of a connection: consecutive, so that each sensor has one
    /// connection, its readings have an order, and the ledger is walked in sequence.
    #[must_use]
    pub fn sensors_of(&self, connection: u32) -> (u32, u32) {
        let cut = |index: u32| {
            (u64::from(self.sensors) * u64::from(index) / u64::from(self.connections)) as u32
        };
        (cut(connection), cut(connection + 1) - cut(connection))
    }

    /// How many messages a connection sends in all; no limit when the run is by time.
    #[must_use]
    pub fn messages_of(&self, connection: u32) -> u64 {
        match self.length {
            Length::Lasting(_) => u64::MAX,
            Length::Messages(all) => {
                let connections = u64::from(self.connections);
                all / connections + u64::from(u64::from(connection) < all % connections)
            }
        }
    }

    /// Checks what no type can.
    ///
    /// # Errors
    /// A number out of its range; the operator must change that option.
    pub fn validate(&self) -> Result<()> {
        if self.connections == 0 {
            bail!("--connections 0: at least 1");
        }
        if self.sensors < self.connections {
            bail!(
                "--sensors {}: at least one per connection ({}), so that the order of a sensor's \
                 readings is defined",
                self.sensors,
                self.connections
            );
        }
        if self.window == 0 {
            bail!("--window 0: 1 to 65535");
        }
        if self.reconnect && self.qos == Qos::AtMostOnce {
            bail!("--reconnect: QoS 0 does not know what was lost; use --qos 1");
        }
        if self.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            bail!("--rate {:?}: more than 0 messages a second", self.rate);
        }
        if self.prefix.is_empty() || !self.prefix.bytes().all(is_plain) {
            bail!("--prefix {:?}: letters, digits, '-' and '_' only, not empty", self.prefix);
        }
        Ok(())
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connections: u32, sensors: u32, messages: u64) -> Plan {
        let mut plan = Plan::new(([127, 0, 0, 1], 1883).into());
        (plan.connections, plan.sensors) = (connections, sensors);
        plan.length = Length::Messages(messages);
        plan
    }

    #[test]
    fn connections_share_sensors_and_messages_without_gap_or_overlap() {
        for (connections, sensors, messages) in
            [(1, 1, 1), (3, 10, 100), (7, 7, 6), (50, 999, 12_345)]
        {
            let plan = plan(connections, sensors, messages);
            let mut next = 0;
            for connection in 0..connections {
                let (first, count) = plan.sensors_of(connection);
                assert_eq!(first, next);
                assert!(count >= 1);
                next += count;
            }
            assert_eq!(next, sensors);
            let sum: u64 = (0..connections).map(|index| plan.messages_of(index)).sum();
            assert_eq!(sum, messages);
        }
    }

    #[test]
    fn impossible_plans_are_refused_by_name() {
        let refused = |change: fn(&mut Plan)| {
            let mut plan = plan(4, 4, 4);
            change(&mut plan);
            plan.validate().unwrap_err().to_string()
        };
        assert!(refused(|plan| plan.connections = 0).contains("--connections"));
        assert!(refused(|plan| plan.sensors = 3).contains("--sensors 3"));
        assert!(refused(|plan| plan.window = 0).contains("--window"));
        let lossy = |plan: &mut Plan| (plan.reconnect, plan.qos) = (true, Qos::AtMostOnce);
        assert!(refused(lossy).contains("--reconnect"));
        assert!(refused(|plan| plan.rate = Some(0.0)).contains("--rate"));
        assert!(refused(|plan| plan.prefix = "a/b".to_owned()).contains("--prefix"));
        assert!(plan(4, 4, 4).validate().is_ok());
    }
}
