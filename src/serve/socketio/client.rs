//! One client of Socket.IO: a seat in the hub on one side, the library's socket on the other.

use std::future::{Ready, ready};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::json;
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::{SendError, SocketError};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::admission::session_of;
use super::heard::Heard;
use super::requests;
use super::session::{Incoming, Session};
use crate::serve::clients::Transport;
use crate::serve::live::{Ending, Frame, Seat};
use crate::serve::service::Service;

/// What the client does not take in so long it will not take.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often a session is asked for.
const ALIVE_EVERY: Duration = Duration::from_secs(20);
/// The last packets get so long.
const CLOSE_WAIT_MAX: Duration = Duration::from_millis(500);

/// A client was let in: from here on it is a task of ours.
pub(super) fn begin(service: &Weak<Service>, socket: SocketRef) -> Ready<()> {
    let session = session_of(&socket);
    let incoming = session.as_ref().and_then(|session| session.take_incoming());
    if let (Some(service), Some(session), Some(incoming)) = (service.upgrade(), session, incoming) {
        let tasks = service.tasks.clone();
        tasks.spawn(talk(service, socket, session, incoming));
    }
    ready(())
}

async fn talk(service: Arc<Service>, socket: SocketRef, session: Arc<Session>, incoming: Incoming) {
    let _open = service.metrics.clients.come(Transport::SocketIo);
    let ending = match Seat::take(&service).await {
        Ok(mut seat) => {
            let (service, socket, session) = (&service, &socket, &session);
            let client = Client { service, socket, session, seat: &mut seat, incoming };
            let Err(ending) = client.run().await;
            seat.leave().await;
            ending
        }
        Err(ending) => ending,
    };
    service.metrics.clients.ended(Transport::SocketIo, ending);
    end(&service, socket, &session, ending).await;
}

/// A client that is sent away in the namespace does not come again by itself; one whose
/// connection ends does.
async fn end(service: &Arc<Service>, socket: SocketRef, session: &Session, ending: Ending) {
    let id = socket.id;
    let said = session.refusal().map(|refusal| refusal.said.as_str());
    let (said, may_return) = match ending {
        // The whole mount says goodbye.
        Ending::Stopping => return,
        Ending::TooMany | Ending::TooLarge | Ending::NotText => (said, false),
        Ending::SignedOut => (Some("the session has ended; sign in again"), false),
        Ending::TryAgain => (Some("Redis does not answer; connect again later"), true),
        Ending::Slow => (Some("too little was taken for ten seconds"), true),
        // Nobody is there, or nobody understands.
        Ending::Left | Ending::Protocol | Ending::NotUtf8 | Ending::Silent => (None, true),
    };
    if let Some(said) = said {
        let error = json!({ "message": said, "reason": ending.name() });
        let told = socket.emit("error", &error).is_ok();
        let told = told && (may_return || socket.disconnect().is_ok());
        tracing::trace!(told, reason = ending.name(), "a client was sent away");
    }
    sleep(CLOSE_WAIT_MAX).await;
    session.cut.cancel();
    requests::close(service, id.as_str()).await;
}

/// Ends when the client has said what it may not.
async fn refused(session: &Session) -> Ending {
    session.refused.cancelled().await;
    session.refusal().map_or(Ending::Protocol, |refusal| refusal.ending)
}

/// There is no good end, only reasons.
enum Never {}

struct Client<'a> {
    service: &'a Arc<Service>,
    socket: &'a SocketRef,
    session: &'a Session,
    seat: &'a mut Seat,
    incoming: Incoming,
}

impl Client<'_> {
    async fn run(mut self) -> Result<Never, Ending> {
        let frames = Box::pin(self.seat.enter()).await?;
        self.emit_all(&frames).await?;
        let stop = self.service.stop.clone();
        let mut alive = interval_at(Instant::now() + ALIVE_EVERY, ALIVE_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(Ending::Stopping),
                () = self.incoming.gone.cancelled() => return Err(Ending::Left),
                ending = refused(self.session) => return Err(ending),
                heard = self.incoming.heard.recv() => match heard {
                    Some(heard) => Box::pin(self.grant(heard)).await?,
                    None => return Err(Ending::Left),
                },
                frame = self.seat.next() => match frame {
                    Some(frame) => self.push(frame).await?,
                    // The hub lets go of one that is slow, and of everybody when it stops.
                    None if stop.is_cancelled() => return Err(Ending::Stopping),
                    None => return Err(Ending::Slow),
                },
                _ = alive.tick() => {
                    let link = &self.service.deps.link;
                    if !self.service.auth.is_alive(&self.incoming.identity, link).await {
                        return Err(Ending::SignedOut);
                    }
                }
            }
        }
    }

    /// Grants what the client asked for, and answers its callback with the same.
    async fn grant(&mut self, Heard { wish, ack }: Heard) -> Result<(), Ending> {
        let frames = self.seat.grant(wish).await?;
        self.emit_all(&frames).await?;
        match frames.last() {
            Some(frame) => acknowledge(ack, frame),
            None => Ok(()),
        }
    }

    /// Emits what is in the queue, as far as there is room.
    async fn push(&mut self, first: Frame) -> Result<(), Ending> {
        let (mut frames, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(frame) = next {
            self.emit(&frame).await?;
            (frames, bytes) = (frames + 1, bytes + frame.len());
            next = if self.session.window.has_room() { self.seat.try_next() } else { None };
        }
        self.seat.written(frames, bytes).await;
        Ok(())
    }

    async fn emit_all(&mut self, frames: &[Frame]) -> Result<(), Ending> {
        for frame in frames {
            self.emit(frame).await?;
        }
        Ok(())
    }

    async fn emit(&mut self, frame: &Frame) -> Result<(), Ending> {
        if !self.session.window.has_room() {
            tokio::select! {
                () = self.session.window.room() => {}
                () = self.service.stop.cancelled() => return Err(Ending::Stopping),
                () = self.incoming.gone.cancelled() => return Err(Ending::Left),
                ending = refused(self.session) => return Err(ending),
                () = sleep(WRITE_WAIT_MAX) => return Err(Ending::Slow),
            }
        }
        self.session.window.put(frame.len());
        sent(self.socket.emit(frame.event(), frame.raw()))
    }
}

/// The answer to a client's callback does not go through the window: it has no more of them on
/// their way than it may send events.
fn acknowledge(ack: AckSender, frame: &Frame) -> Result<(), Ending> {
    sent(ack.send(frame.raw()))
}

fn sent(result: Result<(), SendError>) -> Result<(), Ending> {
    match result {
        Ok(()) => Ok(()),
        Err(SendError::Socket(SocketError::Closed)) => Err(Ending::Left),
        // The places beside the window are full of what the client provokes and does not take.
        Err(SendError::Socket(SocketError::InternalChannelFull)) => Err(Ending::Slow),
        Err(SendError::Serialize(error)) => {
            tracing::error!(%error, "an event cannot be written as Socket.IO");
            Err(Ending::Protocol)
        }
    }
}
