//! The task that drives the hub: takes what clients wish and what the tail heard, and does what
//! the hub says.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::committed::Committed;
use super::door::{Command, Inbox, Reached, Subscribe};
use super::event;
use super::every::Every;
use super::frame::Frame;
use super::hub::{Action, ClientId, Counts, Hub, Notice};
use super::listen::{Attention, Heard, ShardRound, follow};
use super::listening::{Follow, Listening};
use super::recent::Recently;
use crate::serve::service::Service;
use crate::stream::EntryId;

/// Wishes granted before the tail is heard again.
const WISHES_AT_ONCE: usize = 256;
/// The tail is told at most so often what is wanted, and at most one part in twenty of the time
/// goes into that: clients may change their minds faster than it could follow. Who wants every
/// reading waits so long to be let in, if somebody else just came or went. A guess.
const ATTEND_EVERY: Duration = Duration::from_millis(25);
const ATTEND_PARTS: u32 = 20;

/// Drives the hub until the room stops.
pub(in crate::serve) async fn run(service: Arc<Service>, inbox: Inbox) {
    service.tasks.spawn(Committed::keep(service.clone()));
    service.tasks.spawn(Recently::keep(service.clone()));
    let nothing = Attention { number: 0, every: Every::default(), apart: Hub::default().apart() };
    let (attention, wanted) = watch::channel(nothing);
    let follow: Follow = {
        let service = service.clone();
        Box::new(move |heard, stop| Box::pin(follow(service.clone(), heard, wanted.clone(), stop)))
    };
    drive(Desk::new(service, attention, follow), inbox).await;
}

async fn drive(mut desk: Desk, Inbox(mut inbox): Inbox) {
    let stop = desk.service.stop.clone();
    let mut wishes = Vec::with_capacity(WISHES_AT_ONCE);
    loop {
        let tick = desk.next_tick();
        tokio::select! {
            () = stop.cancelled() => break,
            count = inbox.recv_many(&mut wishes, WISHES_AT_ONCE) => {
                if count == 0 {
                    break;
                }
                for command in wishes.drain(..) {
                    desk.obey(command);
                }
            }
            heard = desk.listening.hear() => desk.hear(heard),
            () = sleep_until(tick.unwrap_or_else(Instant::now)), if tick.is_some() => desk.tick(),
        }
    }
    // Clients see the same stop and close by themselves.
    desk.end_tail();
}

struct Desk {
    service: Arc<Service>,
    hub: Hub,
    /// When the hub's time began.
    since: Instant,
    queues: HashMap<ClientId, mpsc::Sender<Frame>>,
    listening: Listening,
    /// The tail before this one was lost, and nobody was told yet.
    is_lost: bool,
    /// What the hub has told of each shard; `None` until the tail has begun.
    reached: Option<Vec<EntryId>>,
    /// Clients that wait for the tail to begin.
    joining: Vec<oneshot::Sender<()>>,
    entering: Vec<oneshot::Sender<Reached>>,
    /// Those who want every reading of something, which the tail does not know yet.
    subscribing: Vec<(u64, Subscribe)>,
    attention: watch::Sender<Attention>,
    /// Up to which of our [`Attention`]s the tail knows; `None` until it said so.
    attentive: Option<u64>,
    /// For which of the hub's changes the attention was made.
    every_changes: u64,
    /// It was made for clients too that have not come in yet.
    is_ahead: bool,
    /// Another one is made no sooner.
    attends_from: Instant,
    /// Another one is to be made then.
    attends_at: Option<Instant>,
    told: Counts,
}

impl Desk {
    fn new(service: Arc<Service>, attention: watch::Sender<Attention>, follow: Follow) -> Self {
        let listening = Listening::new(follow, service.tasks.clone(), service.stop.clone());
        Self {
            service,
            hub: Hub::default(),
            since: Instant::now(),
            queues: HashMap::new(),
            listening,
            is_lost: false,
            reached: None,
            joining: Vec::new(),
            entering: Vec::new(),
            subscribing: Vec::new(),
            attention,
            attentive: None,
            every_changes: 0,
            is_ahead: false,
            attends_from: Instant::now(),
            attends_at: None,
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
                self.answer_when_begun(reply);
            }
            Command::Enter { id, reply } => {
                self.hub.enter(id, now);
                push(&mut self.entering, reply, oneshot::Sender::is_closed);
                self.let_in();
            }
            Command::Subscribe(asked) => self.subscribe_when_attentive(asked),
            Command::Unsubscribe { id, entries, reply } => {
                let _gone = reply.send(self.hub.unsubscribe(id, &entries));
            }
            Command::Sent { id, frames, bytes } => {
                self.hub.sent(id, (frames, bytes), now, &mut actions);
            }
            Command::Leave { id } => {
                self.queues.remove(&id);
                self.hub.leave(id);
            }
            Command::Stats(asked) => self.hub.stats(asked, &mut actions),
            Command::Turned(turned) => {
                for one in turned {
                    let frame = event::sensor_status(&one);
                    self.hub.tell_of(&one.series, &frame, now, &mut actions);
                }
            }
            Command::Reset => {
                self.hub.announce(&Notice::Reset, now, &mut actions);
                // The tail begins anew where the new data set stands.
                if self.listening.is_on() {
                    self.end_tail();
                    self.listening.begin();
                }
            }
        }
        self.act(actions);
        self.attend();
    }

    fn answer_when_begun(&mut self, reply: oneshot::Sender<()>) {
        push(&mut self.joining, reply, oneshot::Sender::is_closed);
        self.listening.begin();
        self.let_in();
    }

    /// Answers who waited for the tail to begin, if it has.
    fn let_in(&mut self) {
        let Some(reached) = &self.reached else { return };
        // A client that went away needs no answer, here and below.
        for reply in self.joining.drain(..) {
            let _gone = reply.send(());
        }
        for reply in self.entering.drain(..) {
            let _gone = reply.send(reached.as_slice().into());
        }
    }

    /// Who wants every reading must not be told from a round in which some were left out.
    fn subscribe_when_attentive(&mut self, asked: Subscribe) {
        let every = asked.addition.every();
        if self.attention.borrow().every.has(&every) && self.is_attentive() {
            self.subscribe(asked);
            return;
        }
        let number = self.attention.borrow().number + 1;
        push(&mut self.subscribing, (number, asked), |(_, asked)| asked.reply.is_closed());
    }

    fn is_attentive(&self) -> bool {
        let number = self.attention.borrow().number;
        self.attentive.is_some_and(|known| known >= number)
    }

    fn subscribe(&mut self, Subscribe { id, addition, reply }: Subscribe) {
        let answer = self.hub.subscribe(id, &addition);
        let answer = answer.map(|obsolete| (self.reached(), obsolete));
        let _gone = reply.send(answer);
    }

    /// When the hub has something to do, or the tail is to be told something.
    fn next_tick(&self) -> Option<Instant> {
        let at = self.hub.next_tick().map(|at| self.since + at);
        at.into_iter().chain(self.attends_at).min()
    }

    /// Tells the tail what is wanted, when that is another, and it was not told just now.
    fn attend(&mut self) {
        let number = self.attention.borrow().number;
        let is_asked = self.subscribing.last().is_some_and(|(wanted, _)| *wanted > number);
        let is_every = is_asked
            || self.every_changes != self.hub.every_changes()
            || (self.is_ahead && self.subscribing.is_empty());
        let is_another = is_every || self.attention.borrow().apart != self.hub.apart();
        let now = Instant::now();
        self.attends_at = is_another.then_some(self.attends_from);
        if !is_another || now < self.attends_from {
            return;
        }
        let every = if is_every { self.every() } else { self.attention.borrow().every.clone() };
        self.attends_at = None;
        let apart = self.hub.apart();
        self.attention.send_replace(Attention { number: number + 1, every, apart });
        let wait = ATTEND_EVERY.max(now.elapsed() * (ATTEND_PARTS - 1));
        self.attends_from = Instant::now() + wait;
    }

    fn every(&mut self) -> Every {
        let mut every: BTreeSet<Box<str>> = self.hub.every();
        every.extend(self.subscribing.iter().flat_map(|(_, asked)| asked.addition.every()));
        self.every_changes = self.hub.every_changes();
        self.is_ahead = !self.subscribing.is_empty();
        Every::new(every)
    }

    /// Empty when the tail has not begun.
    fn reached(&self) -> Reached {
        self.reached.as_deref().unwrap_or_default().into()
    }

    fn hear(&mut self, heard: Heard) {
        let now = self.since.elapsed();
        let mut actions = Vec::new();
        match heard {
            Heard::Started(from) => {
                self.reached = Some(from);
                self.let_in();
                if std::mem::take(&mut self.is_lost) {
                    self.hub.announce(&Notice::Reset, now, &mut actions);
                }
            }
            Heard::Lost => {
                // A task ends by itself only when it panics, which says where.
                tracing::error!("the streams were followed no more; this begins anew");
                self.service.metrics.tail_lost();
                (self.reached, self.attentive, self.is_lost) = (None, None, true);
            }
            Heard::Restarted(from) => {
                self.reached = Some(from);
                self.hub.announce(&Notice::Reset, now, &mut actions);
            }
            Heard::Attentive(number) => {
                self.attentive = Some(number);
                for (wanted, asked) in std::mem::take(&mut self.subscribing) {
                    if wanted <= number {
                        self.subscribe(asked);
                    } else {
                        self.subscribing.push((wanted, asked));
                    }
                }
            }
            Heard::Read(rounds) => {
                for ShardRound { place, shard, round, reached } in rounds {
                    if let Some(known) = self.reached.as_mut().and_then(|all| all.get_mut(place)) {
                        *known = reached;
                    }
                    if round.has_gap {
                        self.hub.announce(&Notice::Gap(shard), now, &mut actions);
                    }
                    for change in round.changes {
                        self.hub.change(change, now, &mut actions);
                    }
                }
                self.hub.settle(now, &mut actions);
            }
        }
        self.act(actions);
        self.attend();
    }

    fn tick(&mut self) {
        let mut actions = Vec::new();
        self.hub.tick(self.since.elapsed(), &mut actions);
        self.act(actions);
        self.attend();
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(id, frame) => {
                    if let Some(queue) = self.queues.get(&id)
                        && let Err(TrySendError::Full(_)) = queue.try_send(frame)
                    {
                        // The hub never sends more than the channel takes. If it ever did, the
                        // client is let go rather than told less than the hub believes. A channel
                        // that is closed belongs to a client whose `Leave` is on its way.
                        debug_assert!(false, "the queue of {id:?} is full");
                        tracing::error!(client = id.0, "a live client's queue was full");
                        self.queues.remove(&id);
                    }
                }
                // The client sees its queue end, and closes as slow.
                Action::CloseSlow(id) => {
                    self.queues.remove(&id);
                }
            }
        }
        if self.hub.is_empty() {
            self.end_tail();
        }
        let counts = self.hub.counts();
        self.service.metrics.hub(&self.told, &counts);
        let load = self.hub.load();
        self.service.metrics.hub_holds(load.listeners, load.queued_bytes);
        self.told = counts;
    }

    fn end_tail(&mut self) {
        self.listening.end();
        (self.reached, self.attentive, self.is_lost) = (None, None, false);
    }
}

/// Adds one that waits. Those that gave up are left out before the list grows: while Redis is away
/// nobody is let in, and clients come again and again.
fn push<T>(waiting: &mut Vec<T>, one: T, has_given_up: impl Fn(&T) -> bool) {
    if waiting.len() == waiting.capacity() {
        waiting.retain(|it| !has_given_up(it));
    }
    waiting.push(one);
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
