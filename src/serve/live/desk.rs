//! The task that drives the hub: takes what clients wish and what the tail heard, and does what
//! the hub says.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::committed::Committed;
use super::conflate::Every;
use super::door::{Command, Inbox, Reached, Subscribe};
use super::event;
use super::frame::Frame;
use super::hub::{Action, ClientId, Counts, Hub, Notice};
use super::listen::{Attention, Heard, ShardRound, follow};
use crate::serve::service::Service;
use crate::stream::EntryId;

/// Wishes granted before the tail is heard again.
const WISHES_AT_ONCE: usize = 256;
/// Rounds of the tail that wait for the hub; the tail stops reading when it is full.
const ROUNDS_MAX: usize = 4;

/// Drives the hub until the room stops.
pub(in crate::serve) async fn run(service: Arc<Service>, Inbox(mut inbox): Inbox) {
    service.tasks.spawn(Committed::keep(service.clone()));
    let mut desk = Desk::new(service.clone());
    let mut wishes = Vec::with_capacity(WISHES_AT_ONCE);
    loop {
        let tick = desk.hub.next_tick().map(|at| desk.since + at);
        tokio::select! {
            () = service.stop.cancelled() => break,
            count = inbox.recv_many(&mut wishes, WISHES_AT_ONCE) => {
                if count == 0 {
                    break;
                }
                for command in wishes.drain(..) {
                    desk.obey(command);
                }
            }
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
    /// Up to which of our [`Attention`]s it knows.
    attentive: u64,
}

struct Desk {
    service: Arc<Service>,
    hub: Hub,
    /// When the hub's time began.
    since: Instant,
    queues: HashMap<ClientId, mpsc::Sender<Frame>>,
    tail: Option<RunningTail>,
    /// What the hub has told of each shard; `None` until the tail has begun.
    reached: Option<Vec<EntryId>>,
    /// Clients that wait for the tail to begin.
    joining: Vec<oneshot::Sender<()>>,
    /// Those who want every reading of something, which the tail does not know yet.
    subscribing: Vec<(u64, Subscribe)>,
    attention: watch::Sender<Attention>,
    /// For which of the hub's changes the attention was made.
    every_changes: u64,
    told: Counts,
}

impl Desk {
    fn new(service: Arc<Service>) -> Self {
        let hub = Hub::default();
        let attention = Attention { number: 0, every: Every::default(), apart: hub.apart() };
        Self {
            service,
            hub,
            since: Instant::now(),
            queues: HashMap::new(),
            tail: None,
            reached: None,
            joining: Vec::new(),
            subscribing: Vec::new(),
            attention: watch::channel(attention).0,
            every_changes: 0,
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
                // A client that went away needs no answer, here and below.
                let _gone = reply.send(self.reached());
            }
            Command::Subscribe(asked) => self.subscribe_when_attentive(asked),
            Command::Unsubscribe { id, entries, reply } => {
                self.hub.unsubscribe(id, &entries);
                let _gone = reply.send(());
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
                if self.tail.is_some() {
                    self.end_tail();
                    self.begin_tail();
                }
            }
        }
        self.act(actions);
        self.attend();
    }

    fn answer_when_begun(&mut self, reply: oneshot::Sender<()>) {
        if self.reached.is_some() {
            let _gone = reply.send(());
            return;
        }
        self.joining.push(reply);
        if self.tail.is_none() {
            self.begin_tail();
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
        self.subscribing.push((number, asked));
        self.want(number);
    }

    fn is_attentive(&self) -> bool {
        let number = self.attention.borrow().number;
        self.tail.as_ref().is_some_and(|tail| tail.attentive >= number)
    }

    fn subscribe(&mut self, Subscribe { id, addition, reply }: Subscribe) {
        let answer = self.hub.subscribe(id, &addition);
        let answer = answer.map(|obsolete| (self.reached(), obsolete));
        let _gone = reply.send(answer);
    }

    /// Tells the tail what is wanted, when that is another.
    fn attend(&mut self) {
        let is_another = self.every_changes != self.hub.every_changes()
            || self.attention.borrow().apart != self.hub.apart();
        if is_another {
            let number = self.attention.borrow().number + 1;
            self.want(number);
        }
    }

    fn want(&mut self, number: u64) {
        let mut every: BTreeSet<Box<str>> = self.hub.every();
        every.extend(self.subscribing.iter().flat_map(|(_, asked)| asked.addition.every()));
        self.every_changes = self.hub.every_changes();
        let wanted = Attention { number, every: Every::new(every), apart: self.hub.apart() };
        self.attention.send_replace(wanted);
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
                for reply in self.joining.drain(..) {
                    let _gone = reply.send(());
                }
                self.reached = Some(from);
            }
            Heard::Restarted(from) => {
                self.reached = Some(from);
                self.hub.announce(&Notice::Reset, now, &mut actions);
            }
            Heard::Attentive(number) => {
                if let Some(tail) = &mut self.tail {
                    tail.attentive = number;
                }
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
                    // The hub never sends more than the channel takes; a channel that is closed
                    // belongs to a client whose `Leave` is on its way.
                    if let Some(queue) = self.queues.get(&id) {
                        let _gone = queue.try_send(frame);
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
        self.told = counts;
    }

    fn begin_tail(&mut self) {
        let (heard, receiver) = mpsc::channel(ROUNDS_MAX);
        let stop = self.service.stop.child_token();
        self.tail = Some(RunningTail { heard: receiver, stop: stop.clone(), attentive: 0 });
        let following = follow(self.service.clone(), heard, self.attention.subscribe(), stop);
        self.service.tasks.spawn(following);
    }

    fn end_tail(&mut self) {
        if let Some(tail) = self.tail.take() {
            tail.stop.cancel();
        }
        self.reached = None;
    }
}
