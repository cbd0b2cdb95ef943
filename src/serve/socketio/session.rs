//! The sessions of engine.io: who each is, what it holds, how it is ended.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::heard::Heard;
use super::places::{Place, WaitingPlace};
use super::window::Window;
use crate::serve::auth::Identity;
use crate::serve::live::Ending;

/// What the handshake brought for a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presented {
    /// A good one, or everybody is trusted.
    Known(Identity),
    /// None: the client may bring one when it connects to `/`.
    Nothing,
    /// One that is not good.
    Wrong,
}

/// Why a client is sent away.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) ending: Ending,
    /// A sentence for the client: the thing, its value, and what is allowed.
    pub(super) said: String,
}

/// What a client says, once it is let in.
pub(super) struct Incoming {
    pub(super) identity: Identity,
    pub(super) heard: mpsc::Receiver<Heard>,
    /// The client has left `/`.
    pub(super) gone: CancellationToken,
}

/// One session. The library keeps it with the request that began it, so it ends with that.
pub(super) struct Session {
    pub(super) peer: IpAddr,
    pub(super) presented: Presented,
    pub(super) window: Window,
    /// Ends its WebSocket, if it has one.
    pub(super) cut: CancellationToken,
    /// The client says what it may not.
    pub(super) refused: CancellationToken,
    refusal: OnceLock<Refusal>,
    is_admitted: AtomicBool,
    /// From the moment it is let in until somebody listens.
    incoming: Mutex<Option<Incoming>>,
    id: OnceLock<Box<str>>,
    sessions: Arc<Sessions>,
    /// Given up when the client is let in.
    waiting: Mutex<Option<WaitingPlace>>,
    _place: Place,
}

/// The sessions whose id is known.
#[derive(Default)]
pub(super) struct Sessions {
    by_id: Mutex<HashMap<Box<str>, Weak<Session>>>,
}

impl Sessions {
    /// A session of whom the peer claims to be; `held` is its place among all, and among those
    /// that wait, if it does.
    pub(super) fn begin(
        self: &Arc<Self>,
        peer: IpAddr,
        presented: Presented,
        held: (Place, Option<WaitingPlace>),
        cut: CancellationToken,
    ) -> Arc<Session> {
        Arc::new(Session {
            peer,
            presented,
            window: Window::default(),
            cut,
            refused: CancellationToken::new(),
            refusal: OnceLock::new(),
            is_admitted: AtomicBool::new(false),
            incoming: Mutex::default(),
            id: OnceLock::new(),
            sessions: self.clone(),
            waiting: Mutex::new(held.1),
            _place: held.0,
        })
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Session>> {
        let found = locked(&self.by_id).get(id).cloned();
        found.and_then(|session| session.upgrade())
    }
}

impl Session {
    /// The library has given it an id.
    pub(super) fn is_named(self: &Arc<Self>, id: &str) {
        let id: Box<str> = id.into();
        if self.id.set(id.clone()).is_ok() {
            locked(&self.sessions.by_id).insert(id, Arc::downgrade(self));
        }
    }

    /// The client is let in.
    pub(super) fn is_admitted(&self, incoming: Incoming) {
        self.is_admitted.store(true, Ordering::Release);
        locked(&self.waiting).take();
        *locked(&self.incoming) = Some(incoming);
    }

    /// The client is sent away; the first reason counts. Until it is let in nobody can tell it.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.refusal.get_or_init(|| refusal);
        self.refused.cancel();
        if !self.is_admitted.load(Ordering::Acquire) {
            self.cut.cancel();
        }
    }

    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.get()
    }

    /// What the client says; nobody else gets it.
    pub(super) fn take_incoming(&self) -> Option<Incoming> {
        locked(&self.incoming).take()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(id) = self.id.get() {
            locked(&self.sessions.by_id).remove(id);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
