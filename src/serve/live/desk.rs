//! The task that drives the hub: takes what clients wish and what the tail heard, and does what
//! the hub says.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::backlog::QUEUE_FRAMES_MAX;
use super::event;
use super::frame::Frame;
use super::hub::{Action, Change, ClientId, Counts, Hub};
use super::listen::{Heard, follow};
use super::patterns::Patterns;
use crate::serve::service::Service;
use crate::stream::EntryId;

/// Wishes of clients that wait for the hub. A guess; a client waits when it is full.
const WISHES_MAX: usize = 1024;
/// Rounds of the tail that wait for the hub; the tail stops reading when it is full.
const ROUNDS_MAX: usize = 4;

/// How clients reach the hub.
#[derive(Debug)]
pub(in crate::serve) struct Door {
    wishes: mpsc::Sender<Command>,
    /// Clients that ever came.
    came: AtomicU64,
}

/// The other end of the [`Door`].
pub(in crate::serve) struct Inbox(mpsc::Receiver<Command>);

/// Up to which entry of each shard, by its place, the hub has shown when a client joined.
pub(super) type Reached = Arc<[EntryId]>;

/// What clients tell the hub.
#[derive(Debug)]
pub(super) enum Command {
    /// A client comes. It is answered when the tail runs.
    Join {
        id: ClientId,
        queue: mpsc::Sender<Frame>,
        reply: oneshot::Sender<Reached>,
    },
    /// It wants these entries too, or not any more.
    Subscribe {
        id: ClientId,
        patterns: Patterns,
        reply: oneshot::Sender<Result<Reached, String>>,
    },
    Unsubscribe {
        id: ClientId,
        patterns: Patterns,
    },
    /// What the tail had passed before.
    Missed {
        id: ClientId,
        changes: Vec<Change>,
    },
    /// Its past is complete.
    Begin {
        id: ClientId,
    },
    /// Frames have left its queue.
    Sent {
        id: ClientId,
        frames: usize,
        bytes: usize,
    },
    Leave {
        id: ClientId,
    },
    /// The data set is another one.
    Reset,
}

impl Door {
    pub(in crate::serve) fn new() -> (Self, Inbox) {
        let (wishes, inbox) = mpsc::channel(WISHES_MAX);
        (Self { wishes, came: AtomicU64::new(0) }, Inbox(inbox))
    }

    /// A number for a new client.
    pub(super) fn next_id(&self) -> ClientId {
        ClientId(self.came.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits for room; nothing happens when the hub has ended, as then everything has.
    pub(super) async fn tell(&self, command: Command) {
        let _ended = self.wishes.send(command).await;
    }

    /// Everybody must know that the data set is another one.
    pub(in crate::serve) async fn reset(&self) {
        self.tell(Command::Reset).await;
    }
}

/// Drives the hub until the room stops.
pub(in crate::serve) async fn run(service: Arc<Service>, Inbox(mut inbox): Inbox) {
    let mut desk = Desk::new(service.clone());
    loop {
        let tick = desk.hub.next_tick().map(|at| desk.since + at);
        tokio::select! {
            () = service.stop.cancelled() => break,
            command = inbox.recv() => match command {
                Some(command) => desk.obey(command),
                None => break,
            },
            Some(heard) = hear(&mut desk.tail) => desk.hear(heard),
            () = sleep_until(tick.unwrap_or_else(Instant::now)), if tick.is_some() => desk.tick(),
        }
    }
    // Clients see the same stop and close by themselves.
    desk.end_tail();
}

async fn hear(tail: &mut Option<RunningTail>) -> Option<Heard> {
    match tail {
        Some(tail) => tail.heard.recv().await,
        None => None,
    }
}

struct RunningTail {
    heard: mpsc::Receiver<Heard>,
    stop: CancellationToken,
}

struct Desk {
    service: Arc<Service>,
    hub: Hub,
    /// When the hub's time began.
    since: Instant,
    queues: HashMap<ClientId, mpsc::Sender<Frame>>,
    tail: Option<RunningTail>,
    /// What the hub has shown of each shard; `None` until the tail has begun.
    reached: Option<Vec<EntryId>>,
    /// Clients that wait for the tail to begin.
    waiting: Vec<oneshot::Sender<Reached>>,
    told: Counts,
}

impl Desk {
    fn new(service: Arc<Service>) -> Self {
        Self {
            service,
            hub: Hub::default(),
            since: Instant::now(),
            queues: HashMap::new(),
            tail: None,
            reached: None,
            waiting: Vec::new(),
            told: Counts::default(),
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.since.elapsed();
        let mut actions = Vec::new();
        match command {
            Command::Join { id, queue, reply } => {
                self.queues.insert(id, queue);
                self.hub.join(id);
                self.answer_when_reached(reply);
            }
            Command::Subscribe { id, patterns, reply } => {
                let answer = match (self.hub.subscribe(id, &patterns), &self.reached) {
                    (Ok(()), Some(reached)) => Ok(reached.as_slice().into()),
                    (Ok(()), None) => Ok([].into()),
                    (Err(refused), _) => Err(refused),
                };
                // A client that went away needs no answer.
                let _gone = reply.send(answer);
            }
            Command::Unsubscribe { id, patterns } => self.hub.unsubscribe(id, &patterns),
            Command::Missed { id, changes } => {
                for change in &changes {
                    self.hub.missed(id, change);
                }
            }
            Command::Begin { id } => self.hub.begin(id, now, &mut actions),
            Command::Sent { id, frames, bytes } => actions = self.hub.sent(id, frames, bytes),
            Command::Leave { id } => {
                self.queues.remove(&id);
                self.hub.leave(id);
                if self.hub.is_empty() {
                    self.end_tail();
                }
            }
            Command::Reset => {
                self.hub.forget();
                self.hub.announce(&event::reset(), &mut actions);
                // The tail begins anew where the new data set stands.
                if self.tail.is_some() {
                    self.end_tail();
                    self.begin_tail();
                }
            }
        }
        self.act(actions);
    }

    fn answer_when_reached(&mut self, reply: oneshot::Sender<Reached>) {
        match &self.reached {
            Some(reached) => {
                let _gone = reply.send(reached.as_slice().into());
            }
            None => {
                self.waiting.push(reply);
                if self.tail.is_none() {
                    self.begin_tail();
                }
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Started(from) => {
                for reply in self.waiting.drain(..) {
                    let _gone = reply.send(from.as_slice().into());
                }
                self.reached = Some(from);
            }
            Heard::Restarted(from) => {
                let mut actions = Vec::new();
                self.reached = Some(from);
                self.hub.forget();
                self.hub.announce(&event::reset(), &mut actions);
                self.act(actions);
            }
            Heard::Round { place, shard, round, reached } => {
                let now = self.since.elapsed();
                let mut actions = Vec::new();
                if let Some(known) = self.reached.as_mut().and_then(|all| all.get_mut(place)) {
                    *known = reached;
                }
                if round.has_gap {
                    self.hub.announce(&event::gap(shard), &mut actions);
                }
                for change in round.changes {
                    self.hub.change(change, now, &mut actions);
                }
                self.act(actions);
            }
        }
    }

    fn tick(&mut self) {
        let mut actions = Vec::new();
        self.hub.tick(self.since.elapsed(), &mut actions);
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(id, frame) => {
                    // The hub never sends more than the channel takes; a channel that is closed
                    // belongs to a client whose `Leave` is on its way.
                    if let Some(queue) = self.queues.get(&id) {
                        let _gone = queue.try_send(frame);
                    }
                }
                // The client sees its queue end, and closes as slow.
                Action::CloseSlow(id) => {
                    self.queues.remove(&id);
                    if self.hub.is_empty() {
                        self.end_tail();
                    }
                }
            }
        }
        let counts = self.hub.counts();
        self.service.metrics.hub(&self.told, &counts);
        self.told = counts;
    }

    fn begin_tail(&mut self) {
        let (heard, receiver) = mpsc::channel(ROUNDS_MAX);
        let stop = self.service.stop.child_token();
        self.tail = Some(RunningTail { heard: receiver, stop: stop.clone() });
        self.service.tasks.spawn(follow(self.service.clone(), heard, stop));
    }

    fn end_tail(&mut self) {
        if let Some(tail) = self.tail.take() {
            tail.stop.cancel();
        }
        self.reached = None;
    }
}

/// The channel of a client's queue; the hub keeps it from being full.
pub(super) fn queue() -> (mpsc::Sender<Frame>, mpsc::Receiver<Frame>) {
    mpsc::channel(QUEUE_FRAMES_MAX)
}
