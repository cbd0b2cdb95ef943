//! What each packet of a device does.

use std::sync::Arc;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Packet, SubAck, SubscribeReasonCode, UnsubAck};
use tokio::sync::Notify;

use super::Shared;
use super::connection::{Connection, Stage, Stall};
use super::end::End;
use super::greeting::{self, Greeting, greet};
use super::scan::{self, Front, Publish, Violation, kind};
use crate::ingest::ack::Acks;
use crate::ingest::intake::Full;
use crate::ingest::metrics::Tally;
use crate::message::{Flags, Message, REFUSED_PAYLOAD_BYTES_MAX};
use crate::reading::UnixMillis;
use crate::refusal::Refusal;

/// What a connection has taken in: what it owes for it, and the counts of the current batch.
pub(super) struct Ledger {
    pub acks: Acks,
    wake: Arc<Notify>,
    tally: Tally,
}

/// A message whose body is too large to be kept and is thrown away as it comes. It is offered,
/// and so acknowledged, when it has come to its end.
pub(super) struct Skipped {
    topic: Box<str>,
    /// The first 512 bytes.
    payload: Box<[u8]>,
    id: Option<u16>,
    dup: bool,
    /// Bytes of the frame that are still to be thrown away.
    left: usize,
}

/// Whether there may be another packet to take.
enum Next {
    Packet,
    Nothing(Stall),
}

impl Connection<'_> {
    /// Takes every whole packet from the inbox, until something stalls it.
    pub fn take_packets(&mut self) -> Result<(), End> {
        let received_at = self.shared.clock.now();
        let went_well = loop {
            if !self.ledger.acks.has_room() {
                self.stall = Stall::Acks;
                break Ok(());
            }
            match self.take_packet(received_at) {
                Ok(Next::Packet) => {}
                Ok(Next::Nothing(stall)) => {
                    self.stall = stall;
                    break Ok(());
                }
                Err(end) => break Err(end),
            }
        };
        self.shared.metrics.count(std::mem::take(&mut self.ledger.tally));
        went_well
    }

    fn take_packet(&mut self, received_at: UnixMillis) -> Result<Next, End> {
        if self.skipping.is_some() {
            return Ok(self.skip(received_at));
        }
        let unread = self.inbox.unread();
        let is_connect = unread.first().is_none_or(|first| first >> 4 == kind::CONNECT);
        if self.stage == Stage::Greeting && !is_connect {
            return Err(Violation::NotConnected.into());
        }
        match scan::front(unread, self.shared.payload_bytes_max)? {
            Front::Partial { bytes } => {
                self.inbox.expect(bytes);
                return Ok(Next::Nothing(Stall::Partial));
            }
            Front::Publish { publish, frame_bytes } => {
                let refused = self.shared.refuse(publish.topic);
                match self.ledger.take_in(self.shared, &publish, refused, received_at) {
                    Ok(()) => self.inbox.consume(frame_bytes),
                    Err(full) => return Ok(Next::Nothing(Stall::Queue(full))),
                }
            }
            Front::Oversized { publish, frame_bytes } => {
                self.skipping = Some(Box::new(Skipped {
                    topic: publish.topic.into(),
                    payload: publish.payload.into(),
                    id: publish.id,
                    dup: publish.dup,
                    left: frame_bytes,
                }));
            }
            Front::Other { kind, frame } => {
                let frame_bytes = frame.len();
                // Rare and short: a copy frees the inbox for the answer.
                let frame = frame.to_vec();
                self.inbox.consume(frame_bytes);
                self.answer(kind, &frame)?;
            }
        }
        Ok(Next::Packet)
    }

    /// Throws away what is here of an oversized message, and offers it when that was all.
    fn skip(&mut self, received_at: UnixMillis) -> Next {
        let Some(skipped) = &mut self.skipping else { return Next::Packet };
        let here = skipped.left.min(self.inbox.unread().len());
        self.inbox.consume(here);
        skipped.left -= here;
        if skipped.left > 0 {
            return Next::Nothing(Stall::Partial);
        }
        let Skipped { topic, payload, id, dup, left: _ } = &**skipped;
        let publish = Publish { topic, payload, id: *id, dup: *dup, retain: false };
        let refused = self.shared.refuse(topic).or(Some(Refusal::TooLarge));
        match self.ledger.take_in(self.shared, &publish, refused, received_at) {
            Ok(()) => {
                self.skipping = None;
                Next::Packet
            }
            Err(full) => Next::Nothing(Stall::Queue(full)),
        }
    }

    /// Answers a packet other than PUBLISH.
    fn answer(&mut self, kind: u8, frame: &[u8]) -> Result<(), End> {
        match kind {
            kind::CONNECT if self.stage == Stage::Greeting => self.greet(frame)?,
            kind::CONNECT => return Err(Violation::ConnectedAlready.into()),
            kind::SUBSCRIBE | kind::UNSUBSCRIBE => {
                let mut answer = BytesMut::new();
                let written = match greeting::decode(frame)? {
                    Packet::Subscribe(subscribe) => {
                        self.shared.ends.record_subscribe();
                        let codes = vec![SubscribeReasonCode::Failure; subscribe.filters.len()];
                        SubAck::new(subscribe.pkid, codes).write(&mut answer)
                    }
                    Packet::Unsubscribe(unsubscribe) if !unsubscribe.topics.is_empty() => {
                        UnsubAck::new(unsubscribe.pkid).write(&mut answer)
                    }
                    _ => return Err(Violation::Unreadable.into()),
                };
                written.map_err(|_| Violation::Unreadable)?;
                self.outbox.push(&answer);
            }
            kind::PINGREQ | kind::DISCONNECT if frame.len() != 2 => {
                return Err(Violation::Unreadable.into());
            }
            kind::PINGREQ => self.outbox.push(&[0xD0, 0]),
            kind::DISCONNECT => return Err(End::Left),
            // We publish nothing, so there is nothing to acknowledge: ignored.
            _ => {}
        }
        Ok(())
    }

    fn greet(&mut self, frame: &[u8]) -> Result<(), End> {
        match greet(frame, self.shared.credentials.as_ref())? {
            Greeting::Welcome { client_id, silence_max } => {
                if !client_id.is_empty() {
                    self.seat.take_client_id(&client_id);
                }
                self.stage = Stage::Welcome { silence_max };
                self.outbox.push(&[0x20, 2, 0, 0]);
                Ok(())
            }
            Greeting::Refused(refused) => {
                self.outbox.push(&[0x20, 2, 0, refused as u8]);
                Err(End::Refused(refused))
            }
        }
    }
}

impl Shared {
    fn refuse(&self, topic: &str) -> Option<Refusal> {
        (!self.filters.accepts(topic)).then_some(Refusal::TopicNotAccepted)
    }
}

impl Ledger {
    pub fn new(wake: Arc<Notify>) -> Self {
        Self { acks: Acks::default(), wake, tally: Tally::default() }
    }

    /// Offers a message; with `Full` nothing has happened.
    fn take_in(
        &mut self,
        shared: &Shared,
        publish: &Publish<'_>,
        refused: Option<Refusal>,
        received_at: UnixMillis,
    ) -> Result<(), Full> {
        // RETAIN with an empty payload asks a broker to forget; we keep nothing to forget.
        if publish.retain && publish.payload.is_empty() {
            if let Some(id) = publish.id {
                self.acks.owe_at_once(id);
            }
            self.tally.messages += 1;
            self.tally.retain_cleared += 1;
            return Ok(());
        }
        let payload = match refused {
            Some(_) => &publish.payload[..publish.payload.len().min(REFUSED_PAYLOAD_BYTES_MAX)],
            None => publish.payload,
        };
        let mut message =
            Message { topic: publish.topic, payload, flags: Flags::NONE, received_at, refused };
        match publish.id {
            // Nobody waits for QoS 0, so nobody is woken.
            None => _ = shared.intake.offer(&message, &shared.nobody)?,
            Some(id) => {
                if publish.dup {
                    message.flags = Flags::DUP;
                }
                let ticket = shared.intake.offer(&message, &self.wake)?;
                self.acks.owe(id, ticket, message.topic.len() + message.payload.len());
            }
        }
        self.tally.messages += 1;
        match refused {
            None => {}
            Some(Refusal::TooLarge) => self.tally.too_large += 1,
            Some(_) => self.tally.topic_not_accepted += 1,
        }
        Ok(())
    }
}
