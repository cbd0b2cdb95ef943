//! What a connection has to say and has not yet sent.

use std::io;

use tokio::net::tcp::WriteHalf;

/// Beyond this the connection reads nothing more until the peer has taken some of it. Guess:
/// 16,384 PUBACKs.
const SIZE_MAX: usize = 64 << 10;
/// What is kept for the next answers of an idle connection.
const IDLE_CAPACITY_MAX: usize = 256;

/// The write buffer of one connection. Bounded because who does not take answers is not read.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    pub fn push(&mut self, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
    }

    pub fn push_puback(&mut self, id: u16) {
        let [high, low] = id.to_be_bytes();
        self.push(&[0x40, 2, high, low]);
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether another read may add to it.
    pub fn has_room(&self) -> bool {
        self.bytes.len() - self.sent < SIZE_MAX
    }

    /// Sends what the socket takes now; the rest stays.
    pub fn flush(&mut self, writer: &WriteHalf<'_>) -> io::Result<()> {
        while self.sent < self.bytes.len() {
            match writer.try_write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => self.sent += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(IDLE_CAPACITY_MAX);
        self.sent = 0;
        Ok(())
    }
}
