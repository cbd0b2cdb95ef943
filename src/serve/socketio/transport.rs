//! A WebSocket as the library sees it: bytes in, bytes out. On their way in the events are judged,
//! on their way out they are counted. It can be cut off, and it holds the connection's place.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::guard::{Guard, SEPARATOR};
use super::session::Session;
use crate::serve::socket::LIVE_BYTES;

/// What an event begins with: a message of engine.io, an event of Socket.IO.
const EVENT: [u8; 2] = *b"42";

/// What a connection holds for as long as it lives.
pub(super) struct Holding {
    pub(super) session: Arc<Session>,
    pub(super) place: Option<Arc<OwnedSemaphorePermit>>,
    pub(super) tracked: TaskTrackerToken,
}

/// The connection.
pub(super) struct Transport {
    io: TcpStream,
    /// What came in behind the handshake.
    read_first: Bytes,
    counter: EventCounter,
    /// Gone when the client is refused.
    guard: Option<Guard>,
    /// Reading and writing are done by two tasks, and each must be woken.
    cut_while_reading: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_while_writing: Pin<Box<WaitForCancellationFutureOwned>>,
    session: Arc<Session>,
    _place: Option<Arc<OwnedSemaphorePermit>>,
    _tracked: TaskTrackerToken,
}

impl Transport {
    pub(super) fn new(io: TcpStream, read_first: Bytes, holding: Holding) -> Self {
        // Without it the connection works too, only with more memory.
        if let Err(error) = sockopt::set_socket_send_buffer_size(&io, LIVE_BYTES) {
            tracing::debug!(%error, "a socket option was refused");
        }
        let cut = || Box::pin(holding.session.cut.clone().cancelled_owned());
        Self {
            io,
            read_first,
            counter: EventCounter::default(),
            guard: Some(Guard::default()),
            cut_while_reading: cut(),
            cut_while_writing: cut(),
            session: holding.session,
            _place: holding.place,
            _tracked: holding.tracked,
        }
    }

    /// Whether there is something for the library in what was read last. Once the client is
    /// refused there is not, but its connection is read on until it is cut: else it would be reset,
    /// and the client would not hear why.
    fn judge(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> bool {
        let passed = match &mut self.guard {
            None => 0,
            Some(guard) => match guard.pass(&buffer.filled()[before..]) {
                Ok(()) => return true,
                Err((passed, refusal)) => {
                    self.session.refuse(refusal);
                    self.guard = None;
                    passed
                }
            },
        };
        buffer.set_filled(before + passed);
        passed > 0
    }

    fn is_cut_while_writing(&mut self, context: &mut Context<'_>) -> bool {
        self.cut_while_writing.as_mut().poll(context).is_ready()
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.cut_while_reading.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // Also for what was not found here: to the library more of it would be the end at once.
        if this.session.refusal().is_some() {
            this.guard = None;
        }
        if this.read_first.has_remaining() {
            let bytes = this.read_first.len().min(buffer.remaining());
            let before = buffer.filled().len();
            buffer.put_slice(&this.read_first.split_to(bytes));
            if this.judge(buffer, before) {
                return Poll::Ready(Ok(()));
            }
        }
        loop {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(context, buffer))?;
            let has_ended = buffer.filled().len() == before;
            if has_ended || this.judge(buffer, before) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_cut_while_writing(context) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = Pin::new(&mut this.io).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &written {
            this.session.window.left(this.counter.count(&bytes[..*written]));
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

/// The events among the packets of an answer to a polling request.
pub(super) fn events_in(answer: &[u8]) -> usize {
    answer.split(|byte| *byte == SEPARATOR).filter(|packet| packet.starts_with(&EVENT)).count()
}

/// Finds the events among the frames of a server, which are not masked (RFC 6455 §5.2). The
/// library sends each in one frame.
#[derive(Debug, Default)]
struct EventCounter {
    /// The header, as far as it is known.
    header: Vec<u8>,
    /// Of the frame's payload: how much is to come, and how much of it was [`EVENT`].
    left: u64,
    matched: usize,
    is_first: bool,
}

impl EventCounter {
    /// How many events end within these bytes, which follow those of before.
    fn count(&mut self, mut bytes: &[u8]) -> usize {
        let mut events = 0;
        while !bytes.is_empty() {
            if self.left == 0 {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                if let Some(payload) = payload_bytes(&self.header) {
                    self.header.clear();
                    (self.left, self.matched, self.is_first) = (payload, 0, true);
                }
                continue;
            }
            while self.is_first && self.left > 0 && !bytes.is_empty() {
                self.is_first = bytes[0] == EVENT[self.matched];
                self.matched += usize::from(self.is_first);
                self.is_first &= self.matched < EVENT.len();
                bytes = &bytes[1..];
                self.left -= 1;
            }
            let passed = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            bytes = &bytes[passed..];
            self.left -= passed as u64;
            events += usize::from(self.left == 0 && self.matched == EVENT.len());
        }
        events
    }
}

/// The length of the payload, once the header is whole.
fn payload_bytes(header: &[u8]) -> Option<u64> {
    match header {
        [_, length @ 0..=125] => Some(u64::from(*length)),
        [_, 126, high, low] => Some(u64::from(u16::from_be_bytes([*high, *low]))),
        [_, 127, rest @ ..] => rest.try_into().ok().map(u64::from_be_bytes),
        _ => None,
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
