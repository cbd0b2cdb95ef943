//! The end of a WebSocket (RFC 6455 §7): so that the client hears why.
//!
//! A frame that was begun is finished, the close frame comes behind it, and writing is shut down.
//! What the client still sends is read and dropped for a while: a socket that is closed with input
//! unread is reset, and a reset destroys what the client has not read yet, the code among it.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;

use super::client::Socket;
use crate::serve::live::Ending;
use crate::serve::socket::LIVE_BYTES;

/// An ended connection gets so long, and holds of memory what it takes to finish one frame. A
/// guess: who was away for a moment comes back to its code, and many that are stuck do not stay.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);
/// And so long when everything stops, which waits for 1.5 s (`serve/accept.rs`).
const STOP_WAIT_MAX: Duration = Duration::from_millis(500);
/// What is read and dropped: more than the kernel takes in for a socket by default (6 MiB of
/// `net.ipv4.tcp_rmem`), and little enough for one that never stops.
const DROPPED_BYTES_MAX: usize = 8 << 20;
/// With one call.
const READ_BYTES: usize = 16 << 10;

/// Ends a connection: `begun` is what is missing of a frame, `ending` what the client is told.
pub(super) async fn close(
    mut socket: Socket,
    begun: Bytes,
    ending: Ending,
    stop: &CancellationToken,
) {
    let stopped = async {
        stop.cancelled().await;
        sleep(STOP_WAIT_MAX).await;
    };
    let ended = tokio::select! {
        ended = part(&mut socket, &begun, ending) => ended,
        () = sleep(CLOSE_WAIT_MAX) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        () = stopped => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    };
    if let Err(error) = ended {
        // A client that does not read its end, or is gone, has ended too.
        tracing::trace!(%error, reason = ending.name(), "a client may not know why it ended");
    }
}

async fn part(socket: &mut Socket, begun: &Bytes, ending: Ending) -> Result<(), WsError> {
    make_room(&socket.get_ref().stream, begun.len());
    // Either the library or a frame of ours is in the middle of something, never both: each of our
    // frames begins with a flush. The answer to a client's close is the library's, with its code.
    socket.flush().await?;
    socket.get_mut().write_all(begun).await?;
    if let Some(code) = ending.code() {
        let frame = CloseFrame { code: code.into(), reason: ending.name().into() };
        socket.send(Message::Close(Some(frame))).await?;
    }
    let stream = &mut socket.get_mut().stream;
    stream.shutdown().await?;
    Ok(drop_input(stream).await?)
}

/// Lets the kernel take the last words of a socket that is full: it offers them for longer than
/// a task should wait, and a client that comes back reads its code.
fn make_room(stream: &TcpStream, begun_bytes: usize) {
    let bytes = 2 * LIVE_BYTES + begun_bytes;
    if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(stream, bytes) {
        tracing::debug!(%error, "a socket option was refused");
    }
}

/// Reads until the client ends too, or has sent more than it may.
async fn drop_input(stream: &mut TcpStream) -> io::Result<()> {
    let mut stream = pin!(stream);
    let mut dropped = 0;
    while dropped < DROPPED_BYTES_MAX {
        // No buffer waits with it.
        let read = poll_fn(|context| {
            let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut bytes);
            ready!(Pin::new(&mut **stream).poll_read(context, &mut buffer))?;
            std::task::Poll::Ready(io::Result::Ok(buffer.filled().len()))
        });
        match read.await? {
            0 => return Ok(()),
            bytes => dropped += bytes,
        }
    }
    Ok(())
}
