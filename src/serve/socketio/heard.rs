//! What a client says, taken out of the library's hands in the order of its arrival.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::session::Incoming;
use crate::serve::auth::Identity;
use crate::serve::live::{Rate, Wish};

/// Events that wait while the client's own answers wait; more are too many anyway.
const HEARD_MAX: usize = 32;

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
pub(super) fn listen(socket: &SocketRef, identity: Identity) -> Incoming {
    let (sender, heard) = mpsc::channel(HEARD_MAX);
    let (gone, flooded) = (CancellationToken::new(), CancellationToken::new());
    let rate = std::sync::Arc::new(Mutex::new(Rate::of_events()));
    let too_many = flooded.clone();
    let hear = move |event: Event, data: TryData<Arguments>, ack: AckSender| {
        let within = rate.lock().unwrap_or_else(PoisonError::into_inner).takes(Instant::now());
        let wish = wish(&event.0, data.0);
        if !within || sender.try_send(Heard { wish, ack }).is_err() {
            too_many.cancel();
        }
        std::future::ready(())
    };
    socket.on_fallback(hear);
    let left = gone.clone();
    socket.on_disconnect(move || {
        left.cancel();
        std::future::ready(())
    });
    Incoming { identity, heard, gone, flooded }
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
