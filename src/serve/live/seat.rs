//! One client's place in the hub, whatever it is connected with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::answers;
use super::door::{Command, Reached, Subscribe, queue};
use super::ending::Ending;
use super::event;
use super::frame::Frame;
use super::hub::ClientId;
use super::subscription::{Addition, Entries, Subscription};
use super::wish::Wish;
use crate::serve::history::token;
use crate::serve::service::Service;
use crate::stream::Position;

/// The tail begins, and the past is read, in so long, or Redis is not there.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(5);
/// What the hub has told is committed by then, or its past is read from the streams: some times
/// what a commit takes under load. A guess.
const COMMIT_WAIT_MAX: Duration = Duration::from_millis(500);
/// What was written is said in portions, so that the hub is not asked for each frame; far below
/// what a client may have waiting.
const PORTION_BYTES: usize = 16 << 10;
const PORTION_FRAMES: usize = 64;

/// One client's place in the hub. Whoever holds it writes what [`Seat::next`] gives, and says so
/// with [`Seat::written`]; a client that does not is slow, and loses its place.
pub(in crate::serve) struct Seat {
    service: Arc<Service>,
    id: ClientId,
    queue: mpsc::Receiver<Frame>,
    /// Readings come together.
    batch: bool,
    /// Frames that ever came out of the queue.
    frames_ever: u64,
    /// Written, but not said to be.
    frames: usize,
    bytes: usize,
}

impl Seat {
    /// Takes a place; nothing is pushed before [`Seat::enter`], or a wish is granted.
    pub(in crate::serve) async fn take(service: &Arc<Service>) -> Result<Self, Ending> {
        let (sender, queue) = queue();
        let id = service.door.next_id();
        let (reply, begun) = oneshot::channel();
        let joining = async {
            service.door.tell(Command::Join { id, queue: sender, reply }).await;
            begun.await.map_err(|_ended| Ending::Stopping)
        };
        if let Err(ending) = in_time(service, joining).await {
            // The hub may know of it already.
            service.door.tell(Command::Leave { id }).await;
            return Err(ending);
        }
        Ok(Self {
            service: service.clone(),
            id,
            queue,
            batch: false,
            frames_ever: 0,
            frames: 0,
            bytes: 0,
        })
    }

    /// Begins as a client that has not subscribed to anything: it gets everything from here on,
    /// be it committed or not; history that reaches to here is for those who subscribe. The frames
    /// are to be written at once.
    pub(in crate::serve) async fn enter(&mut self) -> Result<Vec<Frame>, Ending> {
        let (reply, answer) = oneshot::channel();
        let entering = async {
            self.service.door.tell(Command::Enter { id: self.id, reply }).await;
            let reached = answer.await.map_err(|_ended| Ending::Stopping)?;
            let generation = self.service.generation.name().await;
            let silent = self.service.door.silence.length();
            Ok(vec![event::begun("connected", &self.whole(&reached), &generation, silent)])
        };
        in_time(&self.service, entering).await
    }

    /// Grants what the client wants, or says why not. The frames are to be written at once.
    pub(in crate::serve) async fn grant(
        &mut self,
        wish: Result<Wish, String>,
    ) -> Result<Vec<Frame>, Ending> {
        match wish {
            Ok(Wish::AllStats) => {
                let Service { door, table, .. } = &*self.service;
                Ok(vec![door.all_stats.frame(table).await])
            }
            Ok(Wish::SensorData { sensor_id, hours }) => {
                Ok(vec![answers::sensor_data(&self.service, &sensor_id, hours).await])
            }
            Ok(Wish::Subscribe(addition)) => {
                let service = self.service.clone();
                in_time(&service, self.subscribe(addition)).await
            }
            Ok(Wish::Unsubscribe(entries)) => self.unsubscribe(entries).await,
            Err(refused) => Ok(vec![event::error(&refused)]),
        }
    }

    /// The next frame; `None` when the hub let the client go, because it was slow or because
    /// everything stops.
    ///
    /// # Cancel safety
    /// Safe: no frame is lost.
    pub(in crate::serve) async fn next(&mut self) -> Option<Frame> {
        let frame = self.queue.recv().await?;
        self.frames_ever += 1;
        Some(frame)
    }

    /// The next frame, if there is one already.
    pub(in crate::serve) fn try_next(&mut self) -> Option<Frame> {
        let frame = self.queue.try_recv().ok()?;
        self.frames_ever += 1;
        Some(frame)
    }

    /// Frames that came out of the queue were written: there is room for others.
    pub(in crate::serve) async fn written(&mut self, frames: usize, bytes: usize) {
        self.frames += frames;
        self.bytes += bytes;
        if self.frames >= PORTION_FRAMES || self.bytes >= PORTION_BYTES {
            let (frames, bytes) = (self.frames, self.bytes);
            (self.frames, self.bytes) = (0, 0);
            self.service.door.tell(Command::Sent { id: self.id, frames, bytes }).await;
        }
    }

    /// Gives the place back.
    pub(in crate::serve) async fn leave(self) {
        self.service.door.tell(Command::Leave { id: self.id }).await;
    }

    async fn subscribe(&mut self, addition: Addition) -> Result<Vec<Frame>, Ending> {
        // What the hub will say of too many entries, it says of all that the client has.
        let wanted = Subscription::default().with(&addition).unwrap_or_default();
        let batch = addition.batch.unwrap_or(self.batch);
        let (reply, answer) = oneshot::channel();
        let asked = Subscribe { id: self.id, addition, reply };
        self.service.door.tell(Command::Subscribe(asked)).await;
        match answer.await.map_err(|_ended| Ending::Stopping)? {
            Ok((reached, obsolete)) => {
                self.batch = batch;
                self.drop_until(obsolete).await;
                self.begin(&reached, &wanted).await
            }
            Err(refused) => Ok(vec![event::error(&format!("subscribe: {refused}"))]),
        }
    }

    /// Drops what was on its way before the client said what it wants.
    async fn drop_until(&mut self, obsolete: u64) {
        let (mut frames, mut bytes) = (0, 0);
        while self.frames_ever < obsolete
            && let Some(frame) = self.try_next()
        {
            frames += 1;
            bytes += frame.len();
        }
        self.written(frames, bytes).await;
    }

    /// What was on its way goes out before the answer, and nothing of it after.
    async fn unsubscribe(&mut self, entries: Entries) -> Result<Vec<Frame>, Ending> {
        let (reply, answer) = oneshot::channel();
        self.service.door.tell(Command::Unsubscribe { id: self.id, entries, reply }).await;
        if let Err(refused) = answer.await.map_err(|_ended| Ending::Stopping)? {
            return Ok(vec![event::error(&format!("unsubscribe: {refused}"))]);
        }
        let mut frames: Vec<Frame> = std::iter::from_fn(|| self.try_next()).collect();
        self.written(frames.len(), frames.iter().map(Frame::len).sum()).await;
        frames.push(event::unsubscribed(self.service.door.silence.length()));
        Ok(frames)
    }

    /// Says from where on the client is told everything it wants (design §8): from what the hub
    /// had told when it came in, as soon as that is committed, so that history reaches to it. When
    /// the commits are far behind, from what is committed, with what the hub has passed since: of
    /// all that it asks for now, as it may have forgotten what it was told before, after a `gap`.
    async fn begin(&self, reached: &Reached, wanted: &Subscription) -> Result<Vec<Frame>, Ending> {
        let service = &self.service;
        // Known after the client is: it is told of whatever reset comes later.
        let generation = service.generation.name().await;
        let begun = |position: &str| {
            event::begun("subscribed", position, &generation, service.door.silence.length())
        };
        if service.door.committed.until(reached, COMMIT_WAIT_MAX).await {
            return Ok(vec![begun(&self.whole(reached))]);
        }
        let recent = service.door.recently.until(reached).await;
        let (position, frames) = recent.tell(reached, wanted, self.batch);
        Ok([vec![begun(&position)], frames].concat())
    }

    /// The position behind these entries, whole.
    fn whole(&self, reached: &Reached) -> String {
        let keys = self.service.deps.shards.borrow().clone();
        let whole = |entry| Position { entry, index: u32::MAX };
        let positions = keys.iter().zip(&**reached).map(|(keys, at)| (keys.shard, whole(*at)));
        token(&positions.collect::<Vec<_>>())
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
