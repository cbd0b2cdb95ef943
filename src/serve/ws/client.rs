//! One WebSocket: reads events, writes frames, notices silence, ends with a code.
//!
//! Frames are encoded once for all clients, header included, so they go to the socket as they are;
//! the library reads, and writes what is this client's alone: pings, pongs, the close.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::closing::close;
use super::intake::{FLOODED, Intake};
use super::rest::Rest;
use crate::serve::auth::Identity;
use crate::serve::clients::{Present, Transport};
use crate::serve::live::{Ending, Frame, Rate, Seat, Wish};
use crate::serve::service::Service;
use crate::serve::socket::{LIVE_BYTES, Socket as Connection};

/// The limits of reliability §5.
const EVENT_BYTES_MAX: usize = 16 << 10;
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// A read buffer per connection: events of clients are short, and it grows for one that is not.
const READ_BYTES: usize = 1 << 10;
/// Of what the library writes by itself: pongs, a close.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// Frames written with one call.
const FRAMES_PER_WRITE: usize = 64;

pub(super) type Socket = WebSocketStream<Intake>;

/// Talks with one client until one of both has enough. It holds the place of a live client for so
/// long, and that of the connection until that is closed.
pub(in crate::serve) async fn talk(
    service: Arc<Service>,
    upgraded: Upgraded,
    identity: Identity,
    (place, present): (Option<Arc<OwnedSemaphorePermit>>, Present),
) {
    let (socket, begun, ending) = match Box::pin(open(&service, upgraded)).await {
        Ok((socket, seat)) => {
            let (events, controls) = (Rate::of_events(), Rate::of_controls());
            let begun = Bytes::new();
            let shared = &service;
            let mut client =
                Client { service: shared, socket, seat, identity, events, controls, begun };
            let Err(ending) = client.run().await;
            client.seat.leave().await;
            (Some(client.socket), client.begun, ending)
        }
        Err((socket, ending)) => (socket, Bytes::new(), ending),
    };
    drop(present);
    service.metrics.clients.ended(Transport::WebSocket, ending);
    if let Some(socket) = socket {
        Box::pin(close(socket, begun, ending, &service.stop)).await;
    }
    drop(place);
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
        WebSocketStream::from_partially_read(Intake::new(stream), read, Role::Server, Some(limits))
            .await;
    match Seat::take(service).await {
        Ok(seat) => Ok((socket, seat)),
        Err(ending) => Err((Some(socket), ending)),
    }
}

/// There is no good end, only reasons.
enum Never {}

struct Client<'a> {
    service: &'a Arc<Service>,
    socket: Socket,
    seat: Seat,
    identity: Identity,
    events: Rate,
    controls: Rate,
    /// What is missing of a frame that the socket took the beginning of.
    begun: Bytes,
}

impl Client<'_> {
    async fn run(&mut self) -> Result<Never, Ending> {
        let stop = &self.service.stop;
        let ping_every = self.service.config.patience.ping_every;
        let frames = Box::pin(self.seat.enter()).await?;
        self.write(frames).await?;
        // Made once: each frame would otherwise register them anew.
        let mut stopped = pin!(stop.cancelled());
        let (mut heard_at, mut ping_at) = (Instant::now(), Instant::now() + ping_every);
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
                        ping_at = now + ping_every;
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
        in_time(self.service, sending).await
    }

    async fn hear(&mut self, message: Option<Result<Message, WsError>>) -> Result<(), Ending> {
        match message {
            None => Err(Ending::Left),
            Some(Ok(Message::Text(text))) => {
                if !self.events.takes(Instant::now()) {
                    return Err(Ending::TooMany);
                }
                let frames = self.seat.grant(Wish::parse(text.as_str())).await?;
                self.write(frames).await
            }
            Some(Ok(Message::Binary(_))) => Err(Ending::NotText),
            // The library answers a ping by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                if self.controls.takes(Instant::now()) { Ok(()) } else { Err(Ending::TooMany) }
            }
            // It has put an answer by, which goes out when the connection is closed.
            Some(Ok(Message::Close(_))) => Err(Ending::Left),
            // TCP ended without a word.
            Some(Err(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                Err(Ending::Left)
            }
            Some(Err(WsError::Capacity(_))) => Err(Ending::TooLarge),
            Some(Err(WsError::Protocol(_))) => Err(Ending::Protocol),
            Some(Err(WsError::Utf8(_))) => Err(Ending::NotUtf8),
            Some(Err(WsError::Io(error))) if error.kind() == FLOODED => Err(Ending::TooMany),
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
        let mut rest = Rest::of(&frames);
        let writing = async {
            // The library may have a pong half written.
            self.socket.flush().await?;
            rest.write(&mut self.socket.get_mut().stream).await.map_err(WsError::Io)
        };
        let written = in_time(self.service, writing).await;
        self.begun = rest.begun();
        written
    }
}

/// Waits until the socket has taken something, but not for ever, and not when everything stops.
async fn in_time(
    service: &Service,
    taking: impl Future<Output = Result<(), WsError>>,
) -> Result<(), Ending> {
    tokio::select! {
        // Mostly it is taken at once, and nothing else is begun.
        biased;
        taken = taking => taken.map_err(|_gone| Ending::Left),
        () = service.stop.cancelled() => Err(Ending::Stopping),
        () = sleep(service.config.patience.still_max) => Err(Ending::Slow),
    }
}
