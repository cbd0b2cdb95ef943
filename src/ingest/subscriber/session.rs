//! The time between one CONNACK and the end of that connection.
//!
//! A packet id means something only within it, so the queue of owed PUBACKs is born and dies with
//! it: a settled message of an older session cannot acknowledge somebody else's. PUBACKs are
//! written straight to the network and flushed once per wake-up; through rumqttc's client each
//! would be a write and a flush of its own.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    Packet, PubAck, SubAck, Subscribe, SubscribeFilter, SubscribeReasonCode,
};
use rumqttc::{ConnectionError, Event, EventLoop, StateError};
use tokio::select;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connection::{ANSWER_WITHIN, Connection, KEEP_ALIVE, Lost};
use super::delivery::Deliveries;
use crate::ingest::intake::{Full, Intake};

/// The packet id of our SUBSCRIBE, the only packet that needs one of ours.
const SUBSCRIBE_ID: u16 = 1;
/// How long the broker may be silent: it answers a ping every keep-alive.
const SILENCE_MAX: Duration = Duration::from_millis(KEEP_ALIVE.as_secs() * 1500);
/// How often we ping while we do not listen; rumqttc does it only while it is polled.
const PING_EVERY: Duration = Duration::from_secs(KEEP_ALIVE.as_secs() / 3);

/// How long the broker may take to end a connection that we have ended. Guess.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// One session.
pub(super) struct Session<'c> {
    connection: &'c Connection,
    eventloop: &'c mut EventLoop,
    deliveries: Deliveries,
    wake: Arc<Notify>,
    subscribed: bool,
    draining: bool,
    /// Whether the network is read. Not while a message finds no room, too much is owed, or the
    /// service stops.
    listening: bool,
    started_at: Instant,
    /// When the broker was heard last, or when we began to listen again.
    heard_at: Instant,
    /// When we pinged last, or stopped listening.
    spoke_at: Instant,
}

enum Turn {
    Stop,
    Woken,
    Polled(Result<Event, ConnectionError>),
    Room,
    Time,
}

impl<'c> Session<'c> {
    /// Begins with the CONNACK that was just read.
    pub fn new(connection: &'c Connection, eventloop: &'c mut EventLoop) -> Self {
        let wake = Arc::<Notify>::default();
        let now = Instant::now();
        Self {
            connection,
            eventloop,
            deliveries: Deliveries::new(Arc::clone(&connection.shared), Arc::clone(&wake)),
            wake,
            subscribed: false,
            draining: false,
            listening: true,
            started_at: now,
            heard_at: now,
            spoke_at: now,
        }
    }

    /// Subscribes, takes in and acknowledges until the connection is lost; `Ok` when it was ended
    /// by `stop` and everything is acknowledged.
    pub async fn live(mut self, stop: &CancellationToken) -> Result<(), Lost> {
        let ended = self.converse(stop).await;
        // What rumqttc had read before it failed. A broker may refuse and close in one go.
        let leftovers = &self.eventloop.state.events;
        let refusal = leftovers.iter().find_map(|event| match event {
            Event::Incoming(Packet::SubAck(suback)) => self.granted(suback).err(),
            Event::Incoming(_) | Event::Outgoing(_) => None,
        });
        self.deliveries.take_leftovers(self.eventloop.state.events.drain(..));
        refusal.map_or(ended, Err)
    }

    async fn converse(&mut self, stop: &CancellationToken) -> Result<(), Lost> {
        self.subscribe().await?;
        let intake = Arc::clone(&self.connection.shared.intake);
        let wake = Arc::clone(&self.wake);
        let mut timer = pin!(sleep_until(self.deadline()));
        loop {
            self.settle_accounts().await?;
            if self.draining && self.deliveries.acks.is_empty() {
                return self.say_goodbye().await;
            }
            self.listen_or_not();
            let deadline = self.deadline();
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            let stall = self.deliveries.stall();
            let turn = select! {
                biased;
                () = stop.cancelled(), if !self.draining => Turn::Stop,
                () = wake.notified() => Turn::Woken,
                // Cancel safe once connected: packets are either in the frame buffer or in the
                // list of events, which is emptied at every turn.
                polled = self.eventloop.poll(), if self.listening => Turn::Polled(polled),
                () = room(&intake, stall), if !self.draining => Turn::Room,
                () = &mut timer => Turn::Time,
            };
            match turn {
                Turn::Stop => self.draining = true,
                Turn::Woken => {}
                Turn::Polled(Ok(event)) => {
                    // That rumqttc has sent a ping says nothing about the broker.
                    if matches!(event, Event::Incoming(_)) {
                        self.heard_at = Instant::now();
                    }
                    self.take_in(Some(event))?;
                }
                Turn::Polled(Err(error)) => return Err(Box::new(error).into()),
                Turn::Room => self.deliveries.retry(),
                Turn::Time => {
                    self.look_at_the_time().await?;
                    timer.as_mut().reset(self.deadline());
                }
            }
        }
    }

    /// Disconnects, and waits until the broker has read our last acknowledgements: it closes the
    /// connection then. A successor that connects before would be sent their messages again.
    async fn say_goodbye(&mut self) -> Result<(), Lost> {
        self.write([Packet::Disconnect]).await?;
        let Some(network) = &mut self.eventloop.network else { return Ok(()) };
        let closed = async { while network.read().await.is_ok() {} };
        if timeout(GOODBYE_WITHIN, closed).await.is_err() {
            debug!("the broker does not close a connection that was ended");
        }
        Ok(())
    }

    async fn subscribe(&mut self) -> Result<(), Lost> {
        let filters = self.connection.filters();
        let filters = filters.map(|path| SubscribeFilter { path, qos: QoS::AtLeastOnce }).collect();
        // Also when the broker remembers the session: the filters may have changed.
        self.write([Packet::Subscribe(Subscribe { pkid: SUBSCRIBE_ID, filters })]).await
    }

    /// Acknowledges what is safe, and takes in what had to wait for that.
    async fn settle_accounts(&mut self) -> Result<(), Lost> {
        loop {
            self.acknowledge().await?;
            let nothing_waits = self.eventloop.state.events.is_empty();
            if nothing_waits || self.draining || !self.deliveries.have_room() {
                return Ok(());
            }
            self.take_in(None)?;
        }
    }

    async fn acknowledge(&mut self) -> Result<(), Lost> {
        let intake = &self.connection.shared.intake;
        let mut pubacks = 0;
        let acks = &mut self.deliveries.acks;
        let paid = std::iter::from_fn(|| {
            let id = acks.pay(intake)?;
            pubacks += 1;
            Some(Packet::PubAck(PubAck::new(id)))
        });
        write(self.eventloop, paid).await?;
        self.connection.shared.metrics.count_acknowledged(pubacks);
        Ok(())
    }

    async fn write(&mut self, packets: impl IntoIterator<Item = Packet>) -> Result<(), Lost> {
        write(self.eventloop, packets).await
    }

    /// Takes in `first` and all that rumqttc has read with it, until there is no room.
    fn take_in(&mut self, first: Option<Event>) -> Result<(), Lost> {
        let received_at = self.connection.shared.clock.now();
        let mut next = first;
        let went_well = loop {
            match next.take().or_else(|| self.eventloop.state.events.pop_front()) {
                None => break Ok(()),
                Some(Event::Incoming(Packet::Publish(publish))) => {
                    if let Err(lost) = self.deliveries.take(publish, received_at) {
                        break Err(lost);
                    }
                }
                Some(Event::Incoming(Packet::SubAck(suback))) => {
                    if let Err(lost) = self.granted(&suback) {
                        break Err(lost);
                    }
                    self.subscribed = true;
                    self.connection.report_subscribed();
                }
                // Answers to pings, and rumqttc's notes on what it has sent.
                Some(Event::Incoming(_) | Event::Outgoing(_)) => {}
            }
            if !self.deliveries.have_room() {
                break Ok(());
            }
        };
        self.deliveries.count();
        went_well
    }

    /// Whether the broker has granted every filter. Ours is the only SUBSCRIBE.
    fn granted(&self, suback: &SubAck) -> Result<(), Lost> {
        let asked: Vec<_> = self.connection.filters().collect();
        let codes = &suback.return_codes;
        if codes.len() != asked.len() {
            return Err(Lost::SubackLength { answered: codes.len(), asked: asked.len() });
        }
        for (filter, code) in asked.into_iter().zip(codes) {
            match code {
                SubscribeReasonCode::Failure => return Err(Lost::FilterRefused { filter }),
                SubscribeReasonCode::Success(QoS::AtMostOnce) => {
                    warn!(filter, "the broker grants QoS 0 only: it may lose readings");
                }
                SubscribeReasonCode::Success(_) => {}
            }
        }
        Ok(())
    }

    fn listen_or_not(&mut self) {
        let listening = !self.draining && self.deliveries.have_room();
        let now = Instant::now();
        match (self.listening, listening) {
            (false, true) => {
                // What the broker said meanwhile is still to be read, the answer to a ping too.
                self.heard_at = now;
                self.started_at = now;
                self.eventloop.state.await_pingresp = false;
            }
            (true, false) => self.spoke_at = now,
            (false, false) | (true, true) => {}
        }
        self.listening = listening;
    }

    /// When it is time to look whether something is overdue.
    fn deadline(&self) -> Instant {
        match (self.listening, self.subscribed) {
            (false, _) => self.spoke_at + PING_EVERY,
            (true, true) => self.heard_at + SILENCE_MAX,
            (true, false) => self.started_at + ANSWER_WITHIN,
        }
    }

    async fn look_at_the_time(&mut self) -> Result<(), Lost> {
        let now = Instant::now();
        if now < self.deadline() {
            return Ok(());
        }
        match (self.listening, self.subscribed) {
            (false, _) => {
                self.spoke_at = now;
                self.write([Packet::PingReq]).await
            }
            (true, true) => Err(Lost::Silent),
            (true, false) => Err(Lost::NoSuback),
        }
    }
}

/// Writes packets and flushes once, when there are any.
async fn write(
    eventloop: &mut EventLoop,
    packets: impl IntoIterator<Item = Packet>,
) -> Result<(), Lost> {
    let mut packets = packets.into_iter().peekable();
    let (Some(network), Some(_)) = (&mut eventloop.network, packets.peek()) else {
        return Ok(());
    };
    let written = timeout(ANSWER_WITHIN, async {
        for packet in packets {
            network.write(packet).await?;
        }
        network.flush().await
    });
    match written.await {
        Ok(written) => written.map_err(|error: StateError| Box::new(error).into()),
        Err(_) => Err(Lost::WriteStalled),
    }
}

/// Waits until the message that found no room would find some.
async fn room(intake: &Intake, stall: Option<Full>) {
    match stall {
        Some(full) => intake.room(full).await,
        None => pending().await,
    }
}

/// Forgets what a lost connection left behind in rumqttc.
pub(super) fn clear(eventloop: &mut EventLoop) {
    eventloop.clean();
    eventloop.pending.clear();
    eventloop.state.events.clear();
}
