//! A device that goes on sending as fast as its connection takes, whatever is answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

use loadtest::packet::{CONNACK_ACCEPTED, PUBACK_HEAD, Qos, connect};
use rustix::net::sockopt::set_socket_send_buffer_size;

use super::device::{publish_packet, publish_unacknowledged};
use super::seconds;

/// What the kernel keeps for the device, so that most of what is not taken is still with it.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Packet ids count from 1 to this and begin again.
const IDS: usize = 65_535;

/// What a device sends: readings with the values 1, 2, 3, ….
#[derive(Clone, Debug)]
pub struct Flow {
    /// The device, and the second level of the topic.
    pub sensor: String,
    /// How many messages.
    pub messages: usize,
    /// Of each of them.
    pub payload_bytes: usize,
    /// Of all of them.
    pub qos: Qos,
}

/// A device that sends.
#[derive(Debug)]
pub struct Flood {
    /// What it sends.
    pub flow: Flow,
    /// Messages that the connection has taken.
    sent: Arc<AtomicUsize>,
    /// PUBACKs that have come.
    acknowledged: Arc<AtomicUsize>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<()>,
}

impl Flow {
    /// Where it is sent to.
    pub fn topic(&self) -> String {
        format!("sensors/{}/level", self.sensor)
    }

    /// Bytes of topic and payload of a message.
    pub fn message_bytes(&self) -> usize {
        self.topic().len() + self.payload_bytes
    }

    fn packet(&self, number: usize) -> Vec<u8> {
        let payload = format!("{:<1$}", format!(r#"{{"value":{number}}}"#), self.payload_bytes);
        match self.qos {
            Qos::AtMostOnce => publish_unacknowledged(&self.topic(), payload.as_bytes()),
            Qos::AtLeastOnce => {
                publish_packet(&self.topic(), packet_id(number), false, payload.as_bytes())
            }
        }
    }
}

fn packet_id(number: usize) -> u16 {
    u16::try_from((number - 1) % IDS + 1).unwrap()
}

impl Flood {
    /// Connects, and goes on until everything is sent and, at QoS 1, acknowledged.
    pub fn begin(to: SocketAddr, flow: Flow) -> Self {
        let mut stream = TcpStream::connect(to).unwrap();
        set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES).unwrap();
        stream.write_all(&connect(&flow.sensor, None)).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, CONNACK_ACCEPTED);
        let (sent, acknowledged) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let sender = std::thread::spawn({
            let (flow, sent) = (flow.clone(), sent.clone());
            let mut stream = stream.try_clone().unwrap();
            move || {
                for number in 1..=flow.messages {
                    stream.write_all(&flow.packet(number)).unwrap();
                    sent.store(number, Relaxed);
                }
            }
        });
        let receiver = std::thread::spawn({
            let acknowledged = acknowledged.clone();
            let awaited = if flow.qos == Qos::AtLeastOnce { flow.messages } else { 0 };
            move || receive(stream, awaited, &acknowledged)
        });
        Self { flow, sent, acknowledged, sender, receiver }
    }

    /// Messages that the connection has taken: some of them into buffers of the kernel.
    pub fn sent(&self) -> usize {
        self.sent.load(Relaxed)
    }

    /// PUBACKs that have come.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Relaxed)
    }

    /// Waits until everything is sent and acknowledged.
    pub fn finish(self) {
        self.sender.join().expect("everything is sent");
        self.receiver.join().expect("every message is acknowledged, in order");
    }
}

/// PUBACKs come in the order of the messages (MQTT 3.1.1 §4.6).
fn receive(mut stream: TcpStream, awaited: usize, acknowledged: &AtomicUsize) {
    stream.set_read_timeout(Some(seconds(180))).unwrap();
    for number in 1..=awaited {
        let mut packet = [0; 4];
        stream.read_exact(&mut packet).unwrap();
        let [high, low] = packet_id(number).to_be_bytes();
        assert_eq!(packet, [PUBACK_HEAD[0], PUBACK_HEAD[1], high, low]);
        acknowledged.store(number, Relaxed);
    }
}
