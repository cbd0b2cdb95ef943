//! One WebSocket: reads events, writes frames, notices silence, ends with a code.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::answers;
use super::ending::Ending;
use super::event::{self, Frame, Wish};
use super::follow::Follower;
use super::hub::ClientId;
use super::listen::knowing;
use super::live::{Command, Reached, queue};
use super::patterns::Patterns;
use crate::serve::auth::Identity;
use crate::serve::history::token;
use crate::serve::service::Service;
use crate::stream::{EntryId, Error, Position, catalogue, tail};

/// The limits of reliability §5.
const EVENT_BYTES_MAX: usize = 16 << 10;
const EVENTS_PER_SECOND: f64 = 20.0;
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// A read buffer per connection (libraries §4).
const READ_BYTES: usize = 4 << 10;
/// Frames are gathered up to this before they go to the socket.
const WRITE_BYTES: usize = 16 << 10;
/// Beyond every frame: 10,000 rows of 4 KiB of metadata each.
const WRITE_BYTES_MAX: usize = 64 << 20;
/// What the socket does not take in so long it will not take.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(10);
/// The tail begins, and the past is read, in so long, or Redis is not there.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(5);
/// The last frame gets so long.
const CLOSE_WAIT_MAX: Duration = Duration::from_millis(500);
/// Frames written with one flush.
const FRAMES_PER_FLUSH: usize = 64;
/// Entries of a shard's past that are read for one client; beyond it the client is told of a gap.
const PAST_ENTRIES_MAX: usize = 64;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Talks with one client until one of both has enough.
pub(in crate::serve) async fn talk(
    service: Arc<Service>,
    upgraded: Upgraded,
    identity: Identity,
    place: Option<Arc<OwnedSemaphorePermit>>,
) {
    let _place = place;
    let _open = service.metrics.client_connected();
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_write_buffer_size(WRITE_BYTES_MAX)
        .max_message_size(Some(EVENT_BYTES_MAX))
        .max_frame_size(Some(EVENT_BYTES_MAX));
    let io = TokioIo::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(limits)).await;
    let id = service.door.next_id();
    let mut client = Client { service: service.clone(), socket, id, identity, rate: Rate::new() };
    let ending = match client.run().await {
        Ok(never) => match never {},
        Err(ending) => ending,
    };
    service.door.tell(Command::Leave { id }).await;
    service.metrics.ended(ending);
    if let Some(frame) = ending.frame() {
        // A client that does not read its end has ended too.
        let _unread = timeout(CLOSE_WAIT_MAX, client.socket.close(Some(frame))).await;
    }
}

/// There is no good end, only reasons.
enum Never {}

struct Client {
    service: Arc<Service>,
    socket: Socket,
    id: ClientId,
    identity: Identity,
    rate: Rate,
}

impl Client {
    async fn run(&mut self) -> Result<Never, Ending> {
        let (sender, mut queue) = queue();
        let stop = self.service.stop.clone();
        let joined = tokio::select! {
            () = stop.cancelled() => return Err(Ending::Stopping),
            joined = timeout(JOIN_WAIT_MAX, self.join(sender)) => joined,
        };
        joined.map_err(|_elapsed| Ending::TryAgain)??;
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(Ending::Stopping),
                message = self.socket.next() => {
                    heard_at = Instant::now();
                    self.hear(message).await?;
                }
                frame = queue.recv() => match frame {
                    Some(frame) => self.push(frame, &mut queue).await?,
                    // The hub lets go of one that is slow, and of everybody when it stops.
                    None if stop.is_cancelled() => return Err(Ending::Stopping),
                    None => return Err(Ending::Slow),
                },
                () = sleep_until(heard_at + SILENCE_MAX) => return Err(Ending::Silent),
                _ = ping.tick() => {
                    if !self.service.auth.is_alive(&self.identity, &self.service.deps.link).await {
                        return Err(Ending::SignedOut);
                    }
                    self.write(Message::Ping(bytes::Bytes::new())).await?;
                }
            }
        }
    }

    /// Comes into the hub, behind what is committed now.
    async fn join(&mut self, queue: mpsc::Sender<Frame>) -> Result<(), Ending> {
        let (reply, answer) = oneshot::channel();
        self.service.door.tell(Command::Join { id: self.id, queue, reply }).await;
        let reached = answer.await.map_err(|_ended| Ending::Stopping)?;
        self.catch_up(&reached, "connected").await
    }

    async fn subscribe(&mut self, patterns: Patterns) -> Result<(), Ending> {
        let (reply, answer) = oneshot::channel();
        self.service.door.tell(Command::Subscribe { id: self.id, patterns, reply }).await;
        match answer.await.map_err(|_ended| Ending::Stopping)? {
            Ok(reached) => self.catch_up(&reached, "subscribed").await,
            Err(refused) => self.send(event::error(&format!("subscribe: {refused}"))).await,
        }
    }

    /// Reads for this client what the common tail has already passed, says where it stands, and
    /// begins.
    async fn catch_up(&mut self, reached: &Reached, message: &str) -> Result<(), Ending> {
        let (position, gaps) = past(&self.service, self.id, reached).await.map_err(|error| {
            tracing::debug!(%error, "a client cannot be shown its past");
            Ending::TryAgain
        })?;
        self.send(event::status(message, &position)).await?;
        for gap in gaps {
            self.send(gap).await?;
        }
        self.service.door.tell(Command::Begin { id: self.id }).await;
        Ok(())
    }

    async fn hear(&mut self, message: Option<Result<Message, WsError>>) -> Result<(), Ending> {
        match message {
            None => Err(Ending::Left),
            Some(Ok(Message::Text(text))) => {
                if !self.rate.takes(Instant::now()) {
                    return Err(Ending::TooMany);
                }
                self.grant(Wish::parse(text.as_str())).await
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

    async fn grant(&mut self, wish: Result<Wish, String>) -> Result<(), Ending> {
        let answer = match wish {
            Ok(Wish::AllStats) => answers::all_stats(&self.service).await,
            Ok(Wish::SensorData { sensor_id, hours }) => {
                answers::sensor_data(&self.service, &sensor_id, hours).await
            }
            Ok(Wish::Subscribe(patterns)) => {
                return timeout(JOIN_WAIT_MAX, self.subscribe(patterns))
                    .await
                    .map_err(|_elapsed| Ending::TryAgain)?;
            }
            Ok(Wish::Unsubscribe(patterns)) => {
                let command = Command::Unsubscribe { id: self.id, patterns };
                self.service.door.tell(command).await;
                event::status("unsubscribed", "")
            }
            Err(refused) => event::error(&refused),
        };
        self.send(answer).await
    }

    /// Writes what is in the queue, with one flush.
    async fn push(
        &mut self,
        first: Frame,
        queue: &mut mpsc::Receiver<Frame>,
    ) -> Result<(), Ending> {
        let (mut frames, mut bytes) = (1, first.len());
        let writing = async {
            self.socket.feed(Message::Text(first.0)).await?;
            while frames < FRAMES_PER_FLUSH
                && let Ok(frame) = queue.try_recv()
            {
                frames += 1;
                bytes += frame.len();
                self.socket.feed(Message::Text(frame.0)).await?;
            }
            self.socket.flush().await
        };
        in_time(writing).await?;
        self.service.door.tell(Command::Sent { id: self.id, frames, bytes }).await;
        Ok(())
    }

    async fn send(&mut self, frame: Frame) -> Result<(), Ending> {
        self.write(Message::Text(frame.0)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Ending> {
        in_time(self.socket.send(message)).await
    }
}

/// Tells the hub what stands between what is committed and what it has shown; gives the
/// position, and the gaps where that is too much.
async fn past(
    service: &Service,
    id: ClientId,
    reached: &Reached,
) -> Result<(String, Vec<Frame>), Error> {
    let keys = service.deps.shards.borrow().clone();
    let link = &service.deps.link;
    let versions = catalogue::versions(link, &keys).await?;
    let (mut positions, mut gaps) = (Vec::new(), Vec::new());
    let mut follower = Follower::new(service.config.naive_time.clone());
    for (place, (keys, version)) in keys.iter().zip(versions).enumerate() {
        let from = version.position;
        // The whole entry is committed, so every index of it is.
        positions.push((keys.shard, Position { entry: from, index: u32::MAX }));
        let to = reached.get(place).copied().unwrap_or(EntryId::ZERO);
        if from >= to {
            continue;
        }
        let entries = tail::between(link, keys, from, to, PAST_ENTRIES_MAX).await?;
        if entries.len() == PAST_ENTRIES_MAX {
            gaps.push(event::gap(keys.shard));
        }
        let round = knowing(service, |known| follower.take(keys.shard, &entries, known));
        let changes = round.changes;
        service.door.tell(Command::Missed { id, changes }).await;
    }
    Ok((token(&positions), gaps))
}

async fn in_time(writing: impl Future<Output = Result<(), WsError>>) -> Result<(), Ending> {
    match timeout(WRITE_WAIT_MAX, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_gone)) => Err(Ending::Left),
        Err(_elapsed) => Err(Ending::Slow),
    }
}

/// How many events a client may send: twenty at once, and twenty a second.
struct Rate {
    left: f64,
    at: Instant,
}

impl Rate {
    fn new() -> Self {
        Self { left: EVENTS_PER_SECOND, at: Instant::now() }
    }

    fn takes(&mut self, now: Instant) -> bool {
        let back = (now - self.at).as_secs_f64() * EVENTS_PER_SECOND;
        self.left = (self.left + back).min(EVENTS_PER_SECOND) - 1.0;
        self.at = now;
        if self.left < 0.0 {
            self.left = 0.0;
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_events_a_second_are_taken() {
        let (mut rate, start) = (Rate::new(), Instant::now());
        assert_eq!((0..100).filter(|_| rate.takes(start)).count(), 20);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| rate.takes(later)).count(), 10);
    }
}
