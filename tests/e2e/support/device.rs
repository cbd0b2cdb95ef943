//! A device: a plain MQTT 3.1.1 connection, one packet after the other, and the tool everybody has.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::time::Duration;

use loadtest::packet::connect;

/// Longest wait for an answer of the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
#[derive(Debug)]
pub struct Device {
    stream: TcpStream,
    packet_id: u16,
}

impl Device {
    /// Connects and must be let in.
    pub fn connect(to: SocketAddr, client_id: &str) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut device = Self { stream, packet_id: 0 };
        device.send(&connect(client_id, None));
        assert_eq!(device.read::<4>(PATIENCE), Some([0x20, 2, 0, 0]), "CONNACK");
        device
    }

    /// Publishes at QoS 1; the PUBACK is awaited with [`Device::acknowledged`].
    pub fn send_reading(&mut self, topic: &str, payload: &[u8]) {
        self.packet_id += 1;
        let packet = publish_packet(topic, self.packet_id, false, payload);
        self.send(&packet);
    }

    /// Publishes at QoS 0.
    pub fn send_unacknowledged(&mut self, topic: &str, payload: &[u8]) {
        self.send(&publish_unacknowledged(topic, payload));
    }

    /// Whether the PUBACK of the last message came within `limit`.
    pub fn acknowledged(&mut self, limit: Duration) -> bool {
        let [high, low] = self.packet_id.to_be_bytes();
        match self.read::<4>(limit) {
            None => false,
            Some(packet) => {
                assert_eq!(packet, [0x40, 2, high, low], "PUBACK");
                true
            }
        }
    }

    /// Publishes at QoS 1 and waits for the PUBACK.
    pub fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>) {
        self.send_reading(topic, payload.as_ref());
        assert!(self.acknowledged(PATIENCE), "no PUBACK for {topic}");
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn read<const N: usize>(&mut self, limit: Duration) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.set_read_timeout(Some(limit)).unwrap();
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("the server has gone: {error}"),
        }
    }
}

/// A PUBLISH at QoS 1 (MQTT 3.1.1 §3.3).
pub fn publish_packet(topic: &str, packet_id: u16, is_again: bool, payload: &[u8]) -> Vec<u8> {
    packet(if is_again { 0x3A } else { 0x32 }, topic, &packet_id.to_be_bytes(), payload)
}

/// A PUBLISH at QoS 0.
pub fn publish_unacknowledged(topic: &str, payload: &[u8]) -> Vec<u8> {
    packet(0x30, topic, &[], payload)
}

fn packet(head: u8, topic: &str, packet_id: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    body.extend(packet_id);
    body.extend(payload);
    let mut packet = vec![head];
    let mut rest = body.len();
    loop {
        // Seven bits a byte, low bits first (§2.2.3).
        packet.push((rest % 128) as u8 | if rest >= 128 { 0x80 } else { 0 });
        rest /= 128;
        if rest == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// Runs `mosquitto_pub` as the README does.
pub fn mosquitto_pub(port: u16, arguments: &[&str]) -> Output {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "localhost", "-p", &port.to_string()]).args(arguments);
    command.output().expect("mosquitto_pub is missing: apt-get install mosquitto-clients")
}
