//! One WebSocket: reads events, writes frames, notices silence, ends with a code.
//!
//! Frames are encoded once for all clients, header included, so they go to the socket as they are;
//! the library reads, and writes what is this client's alone: pings, pongs, the close.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::serve::auth::Identity;
use crate::serve::clients::{Present, Transport};
use crate::serve::live::{Ending, Frame, Rate, Seat, Wish};
use crate::serve::service::Service;
use crate::serve::socket::{LIVE_BYTES, Socket as Connection};

/// The limits of reliability §5.
const EVENT_BYTES_MAX: usize = 16 << 10;
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// A read buffer per connection: events of clients are short, and it grows for one that is not.
const READ_BYTES: usize = 1 << 10;
/// Of what the library writes by itself: pongs, a close.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// What the socket does not take in so long it will not take.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(10);
/// The last frame gets so long.
const CLOSE_WAIT_MAX: Duration = Duration::from_millis(500);
/// Frames written with one call.
const FRAMES_PER_WRITE: usize = 64;

type Socket = WebSocketStream<TcpStream>;

/// Talks with one client until one of both has enough. It holds the places of the connection and
/// of a live client for so long.
pub(in crate::serve) async fn talk(
    service: Arc<Service>,
    upgraded: Upgraded,
    identity: Identity,
    places: (Option<Arc<OwnedSemaphorePermit>>, Present),
) {
    let _places = places;
    let ending = match Box::pin(open(&service, upgraded)).await {
        Ok((mut socket, mut seat)) => {
            let rate = Rate::new();
            let client =
                Client { service: &service, socket: &mut socket, seat: &mut seat, identity, rate };
            let Err(ending) = client.run().await;
            seat.leave().await;
            close(&mut socket, ending).await;
            ending
        }
        Err((socket, ending)) => {
            if let Some(mut socket) = socket {
                close(&mut socket, ending).await;
            }
            ending
        }
    };
    service.metrics.clients.ended(Transport::WebSocket, ending);
}

/// Takes the connection back from HTTP, and a place in the hub.
async fn open(
    service: &Arc<Service>,
    upgraded: Upgraded,
) -> Result<(Socket, Seat), (Option<Socket>, Ending)> {
    // Only TCP connections are accepted.
    let Ok(parts) = upgraded.downcast::<TokioIo<Connection>>() else {
        return Err((None, Ending::Protocol));
    };
    let stream = parts.io.into_inner().into_stream();
    if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(&stream, LIVE_BYTES) {
        tracing::debug!(%error, "a socket option was refused");
    }
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BYTES_MAX)
        .max_message_size(Some(EVENT_BYTES_MAX))
        .max_frame_size(Some(EVENT_BYTES_MAX));
    let read = parts.read_buf.to_vec();
    let socket =
        WebSocketStream::from_partially_read(stream, read, Role::Server, Some(limits)).await;
    match Seat::take(service).await {
        Ok(seat) => Ok((socket, seat)),
        Err(ending) => Err((Some(socket), ending)),
    }
}

async fn close(socket: &mut Socket, ending: Ending) {
    if let Some(code) = ending.code() {
        let frame = CloseFrame { code: code.into(), reason: ending.name().into() };
        // A client that does not read its end has ended too.
        let _unread = timeout(CLOSE_WAIT_MAX, socket.close(Some(frame))).await;
    }
}

/// There is no good end, only reasons.
enum Never {}

struct Client<'a> {
    service: &'a Arc<Service>,
    socket: &'a mut Socket,
    seat: &'a mut Seat,
    identity: Identity,
    rate: Rate,
}

impl Client<'_> {
    async fn run(mut self) -> Result<Never, Ending> {
        let stop = &self.service.stop;
        let frames = Box::pin(self.seat.enter()).await?;
        self.write(frames).await?;
        // Made once: each frame would otherwise register them anew.
        let mut stopped = pin!(stop.cancelled());
        let (mut heard_at, mut ping_at) = (Instant::now(), Instant::now() + PING_EVERY);
        let mut alarm = pin!(sleep_until(ping_at));
        loop {
            tokio::select! {
                () = &mut stopped => return Err(Ending::Stopping),
                message = self.socket.next() => {
                    heard_at = Instant::now();
                    Box::pin(self.hear(message)).await?;
                }
                frame = self.seat.next() => match frame {
                    Some(frame) => self.push(frame).await?,
                    // The hub lets go of one that is slow, and of everybody when it stops.
                    None if stop.is_cancelled() => return Err(Ending::Stopping),
                    None => return Err(Ending::Slow),
                },
                () = &mut alarm => {
                    let now = Instant::now();
                    if heard_at + SILENCE_MAX <= now {
                        return Err(Ending::Silent);
                    }
                    if ping_at <= now {
                        Box::pin(self.ping()).await?;
                        ping_at = now + PING_EVERY;
                    }
                    alarm.as_mut().reset(ping_at.min(heard_at + SILENCE_MAX));
                }
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Ending> {
        if !self.service.auth.is_alive(&self.identity, &self.service.deps.link).await {
            return Err(Ending::SignedOut);
        }
        let sending = self.socket.send(Message::Ping(Bytes::new()));
        match timeout(WRITE_WAIT_MAX, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gone)) => Err(Ending::Left),
            Err(_elapsed) => Err(Ending::Slow),
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, WsError>>) -> Result<(), Ending> {
        match message {
            None => Err(Ending::Left),
            Some(Ok(Message::Text(text))) => {
                if !self.rate.takes(Instant::now()) {
                    return Err(Ending::TooMany);
                }
                let frames = self.seat.grant(Wish::parse(text.as_str())).await?;
                self.write(frames).await
            }
            Some(Ok(Message::Binary(_))) => Err(Ending::NotText),
            // The library answers a ping by itself, and a close too.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Close(_))) => Err(Ending::Left),
            Some(Err(WsError::Capacity(_))) => Err(Ending::TooLarge),
            Some(Err(WsError::Protocol(_))) => Err(Ending::Protocol),
            Some(Err(WsError::Utf8(_))) => Err(Ending::NotUtf8),
            Some(Err(_gone)) => Err(Ending::Left),
        }
    }

    /// Writes what is in the queue, together.
    async fn push(&mut self, first: Frame) -> Result<(), Ending> {
        let mut frames = vec![first];
        while frames.len() < FRAMES_PER_WRITE
            && let Some(frame) = self.seat.try_next()
        {
            frames.push(frame);
        }
        let (count, bytes) = (frames.len(), frames.iter().map(Frame::len).sum());
        self.write(frames).await?;
        self.seat.written(count, bytes).await;
        Ok(())
    }

    async fn write(&mut self, frames: Vec<Frame>) -> Result<(), Ending> {
        let writing = async {
            // The library may have a pong half written.
            self.socket.flush().await?;
            write_all(self.socket.get_mut(), &frames).await.map_err(WsError::Io)
        };
        match timeout(WRITE_WAIT_MAX, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gone)) => Err(Ending::Left),
            Err(_elapsed) => Err(Ending::Slow),
        }
    }
}

/// Writes whole frames one behind the other, with as few calls as the socket allows.
async fn write_all(stream: &mut TcpStream, frames: &[Frame]) -> io::Result<()> {
    let mut rest = Rest { frames, written: 0 };
    while rest.has_remaining() {
        stream.write_buf(&mut rest).await?;
    }
    Ok(())
}

/// What is left of frames to be written.
struct Rest<'a> {
    frames: &'a [Frame],
    /// Bytes of the first of them that have gone.
    written: usize,
}

impl Buf for Rest<'_> {
    fn remaining(&self) -> usize {
        self.frames.iter().map(Frame::len).sum::<usize>() - self.written
    }

    fn chunk(&self) -> &[u8] {
        self.frames.first().map_or(&[], |frame| &frame.wire()[self.written..])
    }

    fn chunks_vectored<'b>(&'b self, slices: &mut [IoSlice<'b>]) -> usize {
        let mut skip = self.written;
        for (slice, frame) in slices.iter_mut().zip(self.frames) {
            *slice = IoSlice::new(&frame.wire()[skip..]);
            skip = 0;
        }
        slices.len().min(self.frames.len())
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(frame) = self.frames.first() {
            let left = frame.len() - self.written;
            if count < left {
                break;
            }
            count -= left;
            self.written = 0;
            self.frames = &self.frames[1..];
        }
        self.written += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_frames_is_what_was_not_written() {
        let frames = ["a", "bb", "ccc"].map(|text| Frame::new("status", &text));
        let all: Vec<u8> = frames.iter().flat_map(|frame| frame.wire().to_vec()).collect();
        for first in 0..=all.len() {
            let mut rest = Rest { frames: &frames, written: 0 };
            rest.advance(first);
            assert_eq!(rest.remaining(), all.len() - first);
            let mut slices = [IoSlice::new(&[]); 8];
            let count = rest.chunks_vectored(&mut slices);
            let gathered: Vec<u8> = slices[..count].iter().flat_map(|it| it.to_vec()).collect();
            assert_eq!(gathered, all[first..], "after {first}");
            assert!(all[first..].starts_with(rest.chunk()));
        }
    }
}
