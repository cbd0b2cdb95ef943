//! One client's place in the hub, whatever it is connected with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::answers;
use super::desk::{Command, Reached, queue};
use super::ending::Ending;
use super::event;
use super::follow::Follower;
use super::frame::Frame;
use super::hub::ClientId;
use super::listen::knowing;
use super::patterns::Patterns;
use super::wish::Wish;
use crate::serve::history::token;
use crate::serve::service::Service;
use crate::stream::{EntryId, Error, Position, catalogue, random_u64, tail};

/// The tail begins, and the past is read, in so long, or Redis is not there.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(5);
/// Entries of a shard's past that are read for one client; beyond it the client is told of a gap.
const PAST_ENTRIES_MAX: usize = 64;

/// One client's place in the hub. Whoever holds it writes what [`Seat::next`] gives, and says so
/// with [`Seat::written`]; a client that does not is slow, and loses its place.
pub(in crate::serve) struct Seat {
    service: Arc<Service>,
    id: ClientId,
    queue: mpsc::Receiver<Frame>,
    reached: Reached,
}

impl Seat {
    /// Takes a place; nothing is pushed before [`Seat::enter`].
    pub(in crate::serve) async fn take(service: &Arc<Service>) -> Result<Self, Ending> {
        let (sender, queue) = queue();
        let id = service.door.next_id();
        let (reply, answer) = oneshot::channel();
        let joining = async {
            service.door.tell(Command::Join { id, queue: sender, reply }).await;
            answer.await.map_err(|_ended| Ending::Stopping)
        };
        let reached = in_time(service, joining).await?;
        Ok(Self { service: service.clone(), id, queue, reached })
    }

    /// Begins as a client that has not subscribed to anything: it gets everything. The frames are
    /// to be written at once.
    pub(in crate::serve) async fn enter(&mut self) -> Result<Vec<Frame>, Ending> {
        let reached = self.reached.clone();
        in_time(&self.service, self.catch_up(&reached, "connected")).await
    }

    /// Grants what the client wants, or says why not. The frames are to be written at once.
    pub(in crate::serve) async fn grant(
        &mut self,
        wish: Result<Wish, String>,
    ) -> Result<Vec<Frame>, Ending> {
        let answer = match wish {
            Ok(Wish::AllStats) => answers::all_stats(&self.service).await,
            Ok(Wish::SensorData { sensor_id, hours }) => {
                answers::sensor_data(&self.service, &sensor_id, hours).await
            }
            Ok(Wish::Subscribe(patterns)) => {
                return in_time(&self.service, self.subscribe(patterns)).await;
            }
            Ok(Wish::Unsubscribe(patterns)) => {
                self.service.door.tell(Command::Unsubscribe { id: self.id, patterns }).await;
                event::status("unsubscribed", "")
            }
            Err(refused) => event::error(&refused),
        };
        Ok(vec![answer])
    }

    /// The next frame; `None` when the hub let the client go, because it was slow or because
    /// everything stops.
    ///
    /// # Cancel safety
    /// Safe: no frame is lost.
    pub(in crate::serve) async fn next(&mut self) -> Option<Frame> {
        self.queue.recv().await
    }

    /// The next frame, if there is one already.
    pub(in crate::serve) fn try_next(&mut self) -> Option<Frame> {
        self.queue.try_recv().ok()
    }

    /// Frames that came out of the queue were written: there is room for others.
    pub(in crate::serve) async fn written(&mut self, frames: usize, bytes: usize) {
        self.service.door.tell(Command::Sent { id: self.id, frames, bytes }).await;
    }

    /// Gives the place back.
    pub(in crate::serve) async fn leave(self) {
        self.service.door.tell(Command::Leave { id: self.id }).await;
    }

    async fn subscribe(&self, patterns: Patterns) -> Result<Vec<Frame>, Ending> {
        let (reply, answer) = oneshot::channel();
        self.service.door.tell(Command::Subscribe { id: self.id, patterns, reply }).await;
        match answer.await.map_err(|_ended| Ending::Stopping)? {
            Ok(reached) => self.catch_up(&reached, "subscribed").await,
            Err(refused) => Ok(vec![event::error(&format!("subscribe: {refused}"))]),
        }
    }

    /// Reads for this client what the common tail has already passed, says where it stands, and
    /// begins.
    async fn catch_up(&self, reached: &Reached, message: &str) -> Result<Vec<Frame>, Ending> {
        let (position, gaps) = self.past(reached).await.map_err(|error| {
            tracing::debug!(%error, "a client cannot be shown its past");
            Ending::TryAgain
        })?;
        let mut frames = vec![event::status(message, &position)];
        frames.extend(gaps);
        self.service.door.tell(Command::Begin { id: self.id }).await;
        Ok(frames)
    }

    /// Tells the hub what stands between what is committed and what it has shown; gives the
    /// position, and the gaps where that is too much.
    async fn past(&self, reached: &Reached) -> Result<(String, Vec<Frame>), Error> {
        let service = &self.service;
        let keys = service.deps.shards.borrow().clone();
        let link = &service.deps.link;
        let versions = catalogue::versions(link, &keys).await?;
        let (mut positions, mut gaps) = (Vec::new(), Vec::new());
        let mut follower = Follower::new(service.config.naive_time.clone(), random_u64());
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
            service.door.tell(Command::Missed { id: self.id, changes }).await;
        }
        Ok((token(&positions), gaps))
    }
}

/// Waits for the hub and for Redis, but not for ever, and not when everything stops.
async fn in_time<T>(
    service: &Service,
    asking: impl Future<Output = Result<T, Ending>>,
) -> Result<T, Ending> {
    tokio::select! {
        () = service.stop.cancelled() => Err(Ending::Stopping),
        answered = timeout(JOIN_WAIT_MAX, asking) => answered.map_err(|_late| Ending::TryAgain)?,
    }
}
