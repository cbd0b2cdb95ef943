//! What a client says, taken out of the library's hands in the order of its arrival.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::session::{Incoming, Refusal, Session};
use crate::serve::auth::Identity;
use crate::serve::live::{Ending, Rate, Wish};

/// Events that wait while the client's own answers wait; more are too many anyway.
const HEARD_MAX: usize = 32;
/// What is remembered of when events came: more than ever come before one is too many, which is
/// all that may come at once and all that may come within the second.
const TIMES_MAX: usize = 64;

/// One event.
pub(super) struct Heard {
    pub(super) wish: Result<Wish, String>,
    /// Answers the callback of the client, if it gave one.
    pub(super) ack: AckSender,
}

/// Listens to a client that is let in, before it is told so: nothing that it says is missed.
///
/// The library runs the body of a handler as a task of its own, and tasks may overtake each other.
/// Everything is done before that, in the handler's call; the task has nothing left to do.
pub(super) fn listen(socket: &SocketRef, session: &Arc<Session>, identity: Identity) -> Incoming {
    let (sender, heard) = mpsc::channel(HEARD_MAX);
    let gone = CancellationToken::new();
    let flow = Arc::new(Mutex::new(Flow::new()));
    let session = session.clone();
    let hear = move |event: Event, data: TryData<Arguments>, ack: AckSender| {
        let taken = flow.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        let taken = taken.and_then(|()| {
            let heard = Heard { wish: wish(&event.0, data.0), ack };
            sender.try_send(heard).map_err(|_full| {
                format!("{} events wait for an answer; allowed: {HEARD_MAX}", HEARD_MAX + 1)
            })
        });
        if let Err(said) = taken {
            session.refuse(Refusal { ending: Ending::TooMany, said });
        }
        std::future::ready(())
    };
    socket.on_fallback(hear);
    let left = gone.clone();
    socket.on_disconnect(move || {
        left.cancel();
        std::future::ready(())
    });
    Incoming { identity, heard, gone }
}

/// How many events come, and when the last of them did.
struct Flow {
    rate: Rate,
    times: VecDeque<Instant>,
}

impl Flow {
    fn new() -> Self {
        Self { rate: Rate::of_events(), times: VecDeque::new() }
    }

    /// Takes one more; else the sentence that the client is sent away with.
    fn take(&mut self, now: Instant) -> Result<(), String> {
        let is_old = |time: &Instant| now - *time >= Duration::from_secs(1);
        while self.times.front().is_some_and(is_old) || self.times.len() >= TIMES_MAX {
            self.times.pop_front();
        }
        self.times.push_back(now);
        if self.rate.takes(now) {
            return Ok(());
        }
        let events = self.times.len();
        let most = Rate::EVENTS_PER_SECOND;
        Err(format!("{events} events came within a second; allowed: {most}"))
    }
}

fn wish<E: fmt::Display>(event: &str, data: Result<Arguments, E>) -> Result<Wish, String> {
    let Arguments(data) = data.map_err(|error| format!("{event}: {error}"))?;
    Wish::of(event, data.as_deref().map_or("{}", RawValue::get))
}

/// What follows the name of an event: its data, perhaps, and more that nobody asked for.
struct Arguments(Option<Box<RawValue>>);

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A tuple is what the library takes for everything behind the name.
        deserializer.deserialize_tuple(1, ArgumentsVisitor)
    }
}

struct ArgumentsVisitor;

impl<'de> Visitor<'de> for ArgumentsVisitor {
    type Value = Arguments;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an event's name and its data")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rest: A) -> Result<Arguments, A::Error> {
        let data = rest.next_element()?;
        while rest.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Arguments(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_too_many_is_told_how_many_came_in_a_second() {
        let check = |pause_ms: u64, said: &str| {
            let (mut flow, mut now) = (Flow::new(), Instant::now());
            let refused = (0..1000).find_map(|_| {
                now += Duration::from_millis(pause_ms);
                flow.take(now).err()
            });
            assert_eq!(refused.as_deref().unwrap_or("none"), said, "every {pause_ms} ms");
        };
        check(0, "21 events came within a second; allowed: 20");
        check(20, "33 events came within a second; allowed: 20");
        check(40, "25 events came within a second; allowed: 20");
        check(50, "none");
    }
}
