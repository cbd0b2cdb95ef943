//! TCP below a WebSocket: what comes in is bounded in bytes a second.
//!
//! Events and control frames are counted where they are heard. But a message may have any number
//! of frames, empty ones too (RFC 6455 §5.4), and the library hands on only what is whole: whoever
//! sends nothing else would keep it busy for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::serve::live::Rate;

/// TCP of one client. Reading fails with [`FLOODED`] when more comes than may.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) stream: TcpStream,
    bytes: Rate,
}

/// No socket fails so by itself.
pub(super) const FLOODED: io::ErrorKind = io::ErrorKind::QuotaExceeded;

impl Intake {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, bytes: Rate::of_bytes() }
    }
}

impl AsyncRead for Intake {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let bytes = buffer.filled().len() - before;
        let is_within = this.bytes.takes_many(bytes, Instant::now());
        Poll::Ready(if is_within { Ok(()) } else { Err(FLOODED.into()) })
    }
}

impl AsyncWrite for Intake {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
