//! What a connection has read and not yet used up.
//!
//! The memory follows the traffic: it doubles while reads fill it, halves while they do not, and
//! goes away altogether while an idle connection waits, so that a thousand idle devices cost
//! nothing here. All connections share one budget for what goes beyond the smallest size, so that
//! a thousand half-sent packets cannot take the machine's memory.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, ready};

use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::ReadHalf;

/// The smallest buffer: thirty messages of 128 bytes. Guess.
const SIZE_MIN: usize = 4 << 10;
/// To where throughput alone lets a buffer grow: what a socket delivers at once on a busy
/// machine. A single packet may need more.
const SIZE_MAX: usize = 64 << 10;
/// What all buffers of a listener may take beyond [`SIZE_MIN`] each. Guess: 4,000 connections
/// at full speed, or 2,000 half-sent packets of the largest kind.
pub(super) const BUDGET_BYTES: usize = 256 << 20;

/// Bytes that the buffers of one listener may still take. Held by every inbox.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Why nothing could be read.
#[derive(Debug, Error)]
pub(super) enum FillError {
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    #[error("a packet of {bytes} bytes finds no memory: other connections have it")]
    NoMemory { bytes: usize },
}

/// The read buffer of one connection.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// How much at the front is used up.
    start: usize,
    /// How large the buffer shall be for the next read.
    size: usize,
    /// What the packet at the front needs, as far as known.
    packet_bytes: usize,
    /// What this buffer has taken from the budget.
    charged: usize,
    budget: Arc<Budget>,
}

impl Inbox {
    pub fn new(budget: Arc<Budget>) -> Self {
        let (bytes, charged) = (Vec::new(), 0);
        Self { bytes, start: 0, size: SIZE_MIN, packet_bytes: 0, charged, budget }
    }

    /// What has been read and not used up.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Uses up bytes at the front.
    pub fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.bytes.len());
        self.packet_bytes = 0;
    }

    /// Says that the packet at the front needs so many bytes.
    pub fn expect(&mut self, packet_bytes: usize) {
        self.packet_bytes = packet_bytes;
    }

    /// Reads what there is; 0 when the peer has ended.
    ///
    /// # Errors
    /// The connection is broken, or the packet at the front cannot be kept.
    ///
    /// # Cancel safety
    /// Cancel safe: bytes are either in the socket or in the buffer.
    pub async fn fill(&mut self, reader: &mut ReadHalf<'_>) -> Result<usize, FillError> {
        poll_fn(|context| {
            match reader.as_ref().poll_read_ready(context) {
                Poll::Ready(readiness) => readiness?,
                Poll::Pending => {
                    if self.unread().is_empty() {
                        self.release();
                    }
                    return Poll::Pending;
                }
            }
            self.make_room()?;
            let room = self.bytes.capacity() - self.bytes.len();
            let read = ready!(pin!(reader.read_buf(&mut self.bytes)).poll(context))?;
            self.adapt(read, room);
            Poll::Ready(Ok(read))
        })
        .await
    }

    /// Moves what is unread to the front and sees that there is room behind it.
    fn make_room(&mut self) -> Result<(), FillError> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let size = self.size.max(self.packet_bytes).max(self.bytes.len() + 1);
        if size > self.bytes.capacity() {
            self.grow(size)?;
        }
        Ok(())
    }

    fn grow(&mut self, size: usize) -> Result<(), FillError> {
        let mut size = size;
        let mut charge = size.saturating_sub(SIZE_MIN + self.charged);
        if !self.budget.take(charge) {
            // Without more memory it goes on as slowly as it must.
            let least = SIZE_MIN.max(self.packet_bytes).max(self.bytes.len() + 1);
            charge = least.saturating_sub(SIZE_MIN + self.charged);
            if !self.budget.take(charge) {
                return Err(FillError::NoMemory { bytes: least });
            }
            size = least;
        }
        self.charged += charge;
        self.bytes.reserve_exact(size - self.bytes.len());
        Ok(())
    }

    fn adapt(&mut self, read: usize, room: usize) {
        if read == room {
            self.size = (self.size * 2).min(SIZE_MAX);
        } else if read < self.size / 4 {
            self.size = (self.size / 2).max(SIZE_MIN);
        }
    }

    fn release(&mut self) {
        self.bytes = Vec::new();
        self.start = 0;
        self.budget.give_back(std::mem::take(&mut self.charged));
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(listener.accept(), TcpStream::connect(address));
        (ours.unwrap().0, theirs.unwrap())
    }

    #[tokio::test]
    async fn the_buffer_grows_for_a_packet_and_goes_away_when_idle() {
        let (mut ours, mut theirs) = pair().await;
        let budget = Arc::new(Budget::new(1 << 20));
        let mut inbox = Inbox::new(Arc::clone(&budget));
        let (mut reader, _writer) = ours.split();
        let sent: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
        theirs.write_all(&sent).await.unwrap();
        while inbox.unread().len() < sent.len() {
            inbox.expect(sent.len());
            assert!(inbox.fill(&mut reader).await.unwrap() > 0);
        }
        assert_eq!(inbox.unread(), sent);
        assert!(budget.0.load(Ordering::Relaxed) < (1 << 20));
        inbox.consume(sent.len());
        let idle = tokio::time::timeout(std::time::Duration::ZERO, inbox.fill(&mut reader));
        assert!(idle.await.is_err());
        assert_eq!(inbox.bytes.capacity(), 0);
        assert_eq!(budget.0.load(Ordering::Relaxed), 1 << 20);
        drop(theirs);
        assert_eq!(inbox.fill(&mut reader).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn without_memory_only_the_packet_that_needs_it_fails() {
        let (mut ours, mut theirs) = pair().await;
        let mut inbox = Inbox::new(Arc::new(Budget::new(0)));
        let (mut reader, _writer) = ours.split();
        theirs.write_all(&[1; 20_000]).await.unwrap();
        for _ in 0..3 {
            let read = inbox.fill(&mut reader).await.unwrap();
            assert!((1..=SIZE_MIN).contains(&read));
            inbox.consume(read);
        }
        inbox.expect(10_000);
        let refused = inbox.fill(&mut reader).await;
        assert!(matches!(refused, Err(FillError::NoMemory { bytes: 10_000 })), "{refused:?}");
    }
}
