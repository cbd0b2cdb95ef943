//! What becomes of the messages that a broker delivers.

use std::sync::Arc;

use rumqttc::Event;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, Publish};
use tokio::sync::Notify;

use super::Shared;
use super::connection::Lost;
use crate::ingest::ack::Acks;
use crate::ingest::intake::{Full, Ticket};
use crate::ingest::metrics::Tally;
use crate::message::{Flags, Message, REFUSED_PAYLOAD_BYTES_MAX};
use crate::reading::UnixMillis;
use crate::refusal::Refusal;

/// The messages of one session: what is owed for them, and the one that found no room.
pub(super) struct Deliveries {
    pub acks: Acks,
    shared: Arc<Shared>,
    /// Woken when messages of this session are safe.
    wake: Arc<Notify>,
    /// Woken for QoS 0, for which nobody waits.
    nobody: Arc<Notify>,
    held: Option<Held>,
    tally: Tally,
}

/// A QoS 1 message that has found no room: it is offered again before anything is read.
struct Held {
    publish: Publish,
    received_at: UnixMillis,
    full: Full,
}

impl Deliveries {
    pub fn new(shared: Arc<Shared>, wake: Arc<Notify>) -> Self {
        let (acks, held, tally) = (Acks::default(), None, Tally::default());
        Self { acks, shared, wake, nobody: Arc::default(), held, tally }
    }

    /// Whether another message may be taken.
    pub fn have_room(&self) -> bool {
        self.held.is_none() && self.acks.has_room()
    }

    /// What the message that found no room waits for.
    pub fn stall(&self) -> Option<Full> {
        self.held.as_ref().map(|held| held.full)
    }

    /// Takes a message: QoS 1 is held when there is no room, QoS 0 cannot be and is shed.
    pub fn take(&mut self, publish: Publish, received_at: UnixMillis) -> Result<(), Lost> {
        match publish.qos {
            QoS::ExactlyOnce => return Err(Lost::QosTwo),
            QoS::AtMostOnce | QoS::AtLeastOnce => self.tally.messages += 1,
        }
        if publish.topic.is_empty() || publish.topic.contains('\0') {
            self.tally.shed_bad_topic += 1;
            if publish.qos == QoS::AtLeastOnce {
                self.acks.owe_at_once(publish.pkid);
            }
            return Ok(());
        }
        self.offer(publish, received_at);
        Ok(())
    }

    /// Offers the held message again.
    pub fn retry(&mut self) {
        if let Some(Held { publish, received_at, full: _ }) = self.held.take() {
            self.offer(publish, received_at);
            self.count();
        }
    }

    /// Takes what can still be taken when the connection is lost: QoS 0, which will not come
    /// again.
    pub fn take_leftovers(&mut self, events: impl Iterator<Item = Event>) {
        let received_at = self.shared.clock.now();
        for event in events {
            if let Event::Incoming(Packet::Publish(publish)) = event
                && publish.qos == QoS::AtMostOnce
            {
                // Only QoS 2 loses the connection, and it is lost already.
                self.take(publish, received_at).unwrap_or_default();
            }
        }
        self.count();
    }

    /// Adds the batch to the metrics.
    pub fn count(&mut self) {
        self.shared.metrics.count(std::mem::take(&mut self.tally));
    }

    fn offer(&mut self, publish: Publish, received_at: UnixMillis) {
        let refused = self.refuse(&publish);
        let message = Message {
            topic: &publish.topic,
            payload: match refused {
                Some(_) => &publish.payload[..publish.payload.len().min(REFUSED_PAYLOAD_BYTES_MAX)],
                None => &publish.payload,
            },
            flags: flags(&publish),
            received_at,
            refused,
        };
        let bytes = message.topic.len() + message.payload.len();
        let is_qos_1 = publish.qos == QoS::AtLeastOnce;
        let waiter = if is_qos_1 { &self.wake } else { &self.nobody };
        match self.shared.intake.offer(&message, waiter) {
            Ok(ticket) => self.note(&publish, ticket, bytes, refused),
            Err(full) if is_qos_1 => self.held = Some(Held { publish, received_at, full }),
            Err(_) => self.tally.shed_queue_full += 1,
        }
    }

    fn note(&mut self, publish: &Publish, ticket: Ticket, bytes: usize, refused: Option<Refusal>) {
        if publish.qos == QoS::AtLeastOnce {
            self.acks.owe(publish.pkid, ticket, bytes);
        }
        match refused {
            None => {}
            Some(Refusal::TooLarge) => self.tally.too_large += 1,
            Some(_) => self.tally.topic_not_accepted += 1,
        }
    }

    fn refuse(&self, publish: &Publish) -> Option<Refusal> {
        let config = &self.shared.config;
        // A persistent session may remember filters from before they were changed.
        if !config.filters.accepts(&publish.topic) {
            return Some(Refusal::TopicNotAccepted);
        }
        (publish.payload.len() > config.payload_bytes_max).then_some(Refusal::TooLarge)
    }
}

fn flags(publish: &Publish) -> Flags {
    let retained = if publish.retain { Flags::RETAINED } else { Flags::NONE };
    let is_dup = publish.dup && publish.qos != QoS::AtMostOnce;
    retained.with(if is_dup { Flags::DUP } else { Flags::NONE })
}
