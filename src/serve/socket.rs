//! The socket of a connection: TCP as it is, until something live is sent over it.
//!
//! From then on the kernel keeps little of it, and a peer that takes nothing for a while loses the
//! connection. Both are done here and not where events are made. Of what waits in hyper and in the
//! kernel only the socket knows whether it moves; and while it does not, hyper neither looks at
//! the body nor ends, whoever has gone there: it waits until the kernel gives the peer up
//! ([`super::accept`]). Sockets of other answers keep the kernel's own buffer, which grows with
//! the distance of whoever reads a file.
//!
//! A peer takes something when the kernel says that there is room again, which Linux does when a
//! third of what it keeps is gone: whoever takes less than about 4 KB a second while more comes is
//! too slow. While the kernel takes what comes, nothing stands still here; a peer that shuts its
//! window meanwhile is the kernel's to give up.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// What the kernel may keep of something live: what waits there cannot be replaced by newer
/// readings any more. The kernel doubles it.
pub(super) const LIVE_BYTES: usize = 64 << 10;

/// What a request knows of the connection that it came over, and may ask of it.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Once something live is sent: how long it may stand still.
    still_max: OnceLock<Duration>,
    stood_still: AtomicBool,
}

impl Line {
    /// What is sent from now on is live. It stays so, also for what a client that polls asks for
    /// behind it over the same connection.
    pub(super) fn carry_live(&self, still_max: Duration) {
        self.still_max.get_or_init(|| still_max);
    }

    /// Whether it ended because the peer took nothing.
    pub(super) fn stood_still(&self) -> bool {
        self.stood_still.load(Ordering::Acquire)
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// Shared with the requests that come over it.
    line: Arc<Line>,
    is_bounded: bool,
    /// Runs while something live waits.
    still: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, line: Arc<Line>) -> Self {
        Self { stream, line, is_bounded: false, still: None }
    }

    /// TCP, for those who write to it themselves.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Writes, and judges for how long nothing could be written.
    fn write<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let still_max = self.line.still_max.get().copied();
        if still_max.is_some() && !self.is_bounded {
            self.is_bounded = true;
            note(sockopt::set_socket_send_buffer_size(&self.stream, LIVE_BYTES));
        }
        let written = write(Pin::new(&mut self.stream), context);
        let Some(still_max) = still_max.filter(|_| written.is_pending()) else {
            self.still = None;
            return written;
        };
        let still = self.still.get_or_insert_with(|| Box::pin(sleep(still_max)));
        ready!(still.as_mut().poll(context));
        self.line.stood_still.store(true, Ordering::Release);
        // What the kernel has is dropped with the socket; else it would go on offering it.
        note(sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Without an option the connection works too, only with more memory or for longer.
fn note(option: rustix::io::Result<()>) {
    if let Err(error) = option {
        tracing::debug!(%error, "a socket option was refused");
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.write(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
