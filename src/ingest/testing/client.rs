//! A client that says exactly the bytes it is given.

use std::net::SocketAddr;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Publish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATIENCE;

pub struct Client {
    stream: TcpStream,
}

impl Client {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends until the other side takes no more for a while, or it is all out.
    pub fn send_what_fits(&mut self, bytes: &[u8]) -> usize {
        self.stream.try_write(bytes).unwrap_or(0)
    }

    pub async fn expect(&mut self, expected: &[u8]) {
        let mut read = vec![0; expected.len()];
        let done = tokio::time::timeout(PATIENCE, self.stream.read_exact(&mut read)).await;
        done.expect("an answer in time").expect("an answer");
        let differs = read.iter().zip(expected).position(|(got, wanted)| got != wanted);
        let Some(at) = differs else { return };
        let end = expected.len().min(at + 8);
        panic!("at byte {at}: {:?} instead of {:?}", &read[at..end], &expected[at..end]);
    }

    /// The other side closes without another byte.
    pub async fn expect_end(&mut self) {
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut byte)).await;
        // A reset is an end too.
        let read = read.expect("an end in time").unwrap_or(0);
        assert_eq!(read, 0, "got {byte:?}");
    }

    /// There is nothing to read now.
    pub fn expect_nothing(&mut self) {
        let read = self.stream.try_read(&mut [0]);
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}

pub fn connect(id: &str, keep_alive: u16) -> Vec<u8> {
    connect_with(id, |connect| connect.keep_alive = keep_alive)
}

pub fn connect_with(id: &str, change: impl FnOnce(&mut Connect)) -> Vec<u8> {
    let mut connect = Connect::new(id);
    change(&mut connect);
    let mut bytes = BytesMut::new();
    connect.write(&mut bytes).unwrap();
    bytes.to_vec()
}

/// QoS 0 when `id` is 0, else QoS 1.
pub fn publish(topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    let qos = if id == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    let mut publish = Publish::new(topic, qos, payload);
    publish.pkid = id;
    let mut bytes = BytesMut::new();
    publish.write(&mut bytes).unwrap();
    bytes.to_vec()
}

pub fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}
