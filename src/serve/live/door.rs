//! The door to the hub: what clients, transports and other rooms tell it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::answers::AllStats;
use super::committed::Committed;
use super::frame::Frame;
use super::hub::ClientId;
use super::member::Room;
use super::recent::Recently;
use super::silence::Silence;
use super::stats;
use super::subscription::{Addition, Entries};
use crate::serve::quiet::Turned;
use crate::stream::EntryId;

/// Wishes of clients that wait for the hub. A guess; a client waits when it is full.
const WISHES_MAX: usize = 1024;

/// How clients reach the hub.
#[derive(Debug)]
pub(in crate::serve) struct Door {
    wishes: mpsc::Sender<Command>,
    /// Clients that ever came.
    came: AtomicU64,
    pub(super) committed: Committed,
    pub(super) recently: Recently,
    pub(super) all_stats: AllStats,
    /// Ended by the tail, told to clients.
    pub(super) silence: Silence,
}

/// The other end of the [`Door`].
pub(in crate::serve) struct Inbox(pub(super) mpsc::Receiver<Command>);

/// Up to which entry of each shard, by its place, the hub has told at some moment.
pub(super) type Reached = Arc<[EntryId]>;

/// What clients tell the hub.
#[derive(Debug)]
pub(super) enum Command {
    /// A client comes. It is answered when the tail runs.
    Join {
        id: ClientId,
        queue: mpsc::Sender<Frame>,
        reply: oneshot::Sender<()>,
    },
    /// It wants everything, as it did not say what.
    Enter {
        id: ClientId,
        reply: oneshot::Sender<Reached>,
    },
    /// It wants these entries too. It is answered when the tail knows that.
    Subscribe(Subscribe),
    /// It wants these no more; what comes after the answer is without them, or why not.
    Unsubscribe {
        id: ClientId,
        entries: Entries,
        reply: oneshot::Sender<Result<(), String>>,
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
    Stats(stats::Asked),
    /// Series are heard again, late, or offline.
    Turned(Vec<Turned>),
    /// The data set is another one.
    Reset,
}

#[derive(Debug)]
pub(super) struct Subscribe {
    pub(super) id: ClientId,
    pub(super) addition: Addition,
    /// From where on it is told what it wants, and how many of its frames are of before; or why
    /// not.
    pub(super) reply: oneshot::Sender<Result<(Reached, u64), String>>,
}

impl Door {
    pub(in crate::serve) fn new() -> (Self, Inbox) {
        let (wishes, inbox) = mpsc::channel(WISHES_MAX);
        let door = Self {
            wishes,
            came: AtomicU64::new(0),
            committed: Committed::new(),
            recently: Recently::new(),
            all_stats: AllStats::default(),
            silence: Silence::new(),
        };
        (door, Inbox(inbox))
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

    /// Whoever wants these sensors is told how they are now.
    pub(in crate::serve) async fn turned(&self, turned: Vec<Turned>) {
        self.tell(Command::Turned(turned)).await;
    }
}

/// The channel of a client's queue; the hub keeps it from being full.
pub(super) fn queue() -> (mpsc::Sender<Frame>, mpsc::Receiver<Frame>) {
    mpsc::channel(Room::EVERY.frames)
}
