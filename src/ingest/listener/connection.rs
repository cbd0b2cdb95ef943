//! One device: bytes in, messages offered, PUBACKs out.
//!
//! A connection is one task with one loop. It owes its acknowledgements in the order of receipt
//! and reads on meanwhile; it stops reading when the queue behind the door is full, when it owes
//! too much, or when the device does not take its answers. Nothing in it is done per message that
//! can be done per read: the clock, the metrics, the system calls.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::select;
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use super::end::End;
use super::inbox::{FillError, Inbox};
use super::outbox::Outbox;
use super::packets::{Ledger, Skipped};
use super::registry::{Order, Seat};
use crate::ingest::intake::{Full, Intake};

/// How long a client may take until its CONNECT is there. Guess, as brokers have it.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long the peer may take to read our last words before the socket closes. Guess.
const LINGER: Duration = Duration::from_millis(500);
/// A device that promises nothing (keep-alive 0) is probed by TCP after this, five times at a
/// tenth of it: a dead one is gone after three minutes. Guess.
const PROBE_AFTER: Duration = Duration::from_secs(120);

/// A device's connection.
pub(super) struct Connection<'s> {
    pub shared: &'s Shared,
    pub seat: Seat,
    pub inbox: Inbox,
    pub outbox: Outbox,
    pub ledger: Ledger,
    pub stage: Stage,
    pub stall: Stall,
    /// An oversized message whose body is being thrown away.
    pub skipping: Option<Box<Skipped>>,
    /// When something was last heard.
    heard_at: Instant,
    draining: bool,
}

/// How far the conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing but a CONNECT may come.
    Greeting,
    /// The client is welcome; how long it may be silent, if it promised anything.
    Welcome { silence_max: Option<Duration> },
}

/// Why bytes in the inbox are left there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    /// They are not a whole packet.
    Partial,
    /// The queue of a shard has no room.
    Queue(Full),
    /// Too much is owed already.
    Acks,
}

enum Event {
    Woken,
    Writable(std::io::Result<()>),
    Read(Result<usize, FillError>),
    Room,
    Time,
}

/// Talks with a device until one of both ends it.
pub(super) async fn converse(
    mut stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
    shared: Arc<Shared>,
) {
    if let Err(error) = tune(&stream) {
        // It works without, only slower.
        tracing::debug!(%peer, %error, "socket options");
    }
    let end = Connection::new(seat, &shared).run(&mut stream).await;
    if end.has_last_words() {
        linger(&mut stream).await;
    }
    shared.ends.record(&end, peer);
}

fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_AFTER / 10)?;
    sockopt::set_tcp_keepcnt(stream, 5)?;
    Ok(())
}

/// Closes so that the peer can read what was sent: a socket that closes with unread bytes resets
/// the connection.
async fn linger(stream: &mut TcpStream) {
    let drained = timeout(LINGER, async {
        stream.shutdown().await?;
        let mut ignored = [0; 1024];
        while stream.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    });
    // The connection is over whatever happens here; a peer that does not read has had its chance.
    if let Ok(Err(error)) = drained.await {
        tracing::trace!(%error, "while closing");
    }
}

impl<'s> Connection<'s> {
    fn new(seat: Seat, shared: &'s Shared) -> Self {
        Self {
            shared,
            inbox: Inbox::new(Arc::clone(&shared.budget)),
            outbox: Outbox::default(),
            ledger: Ledger::new(Arc::clone(&seat.link.wake)),
            stage: Stage::Greeting,
            stall: Stall::Partial,
            skipping: None,
            heard_at: Instant::now(),
            draining: false,
            seat,
        }
    }

    async fn run(&mut self, stream: &mut TcpStream) -> End {
        let (mut reader, writer) = stream.split();
        let wake = Arc::clone(&self.seat.link.wake);
        let intake = &self.shared.intake;
        let mut timer = std::pin::pin!(sleep_until(self.heard_at + CONNECT_WITHIN));
        loop {
            if let Err(end) = self.settle_accounts() {
                return end;
            }
            if let Err(error) = self.outbox.flush(&writer) {
                return error.into();
            }
            if self.draining && self.ledger.acks.is_empty() && self.outbox.is_empty() {
                return End::Stopped;
            }
            let deadline = self.deadline();
            // A later deadline is noticed when the timer fires: fewer changes to the wheel.
            if deadline.is_some_and(|deadline| deadline < timer.deadline()) {
                timer.as_mut().reset(deadline.unwrap_or(self.heard_at));
            }
            let stall = self.stall;
            let may_read = self.may_read();
            let event = select! {
                biased;
                () = wake.notified() => Event::Woken,
                ready = writer.writable(), if !self.outbox.is_empty() => Event::Writable(ready),
                read = self.inbox.fill(&mut reader), if may_read => Event::Read(read),
                () = room(intake, stall), if !self.draining => Event::Room,
                () = &mut timer, if deadline.is_some() => Event::Time,
            };
            let went_well = match event {
                Event::Woken => self.obey(),
                Event::Writable(ready) => ready.map_err(End::from),
                Event::Read(Ok(0)) => Err(End::Left),
                Event::Read(Ok(_)) => {
                    self.heard_at = Instant::now();
                    self.take_packets()
                }
                Event::Read(Err(error)) => Err(error.into()),
                Event::Room => self.take_packets(),
                Event::Time => self.look_at_the_time().map(|at| timer.as_mut().reset(at)),
            };
            if let Err(end) = went_well {
                // What was answered just before (a CONNACK that refuses) still goes out.
                return self.outbox.flush(&writer).err().map_or(end, End::from);
            }
        }
    }

    /// Acknowledges what is safe, and takes in what had to wait for that.
    fn settle_accounts(&mut self) -> Result<(), End> {
        let mut pubacks = 0;
        loop {
            while let Some(id) = self.ledger.acks.pay(&self.shared.intake) {
                self.outbox.push_puback(id);
                pubacks += 1;
            }
            if self.stall != Stall::Acks || !self.ledger.acks.has_room() || self.draining {
                break;
            }
            self.take_packets()?;
        }
        self.shared.metrics.count_acknowledged(pubacks);
        Ok(())
    }

    fn may_read(&self) -> bool {
        !self.draining && self.stall == Stall::Partial && self.outbox.has_room()
    }

    fn obey(&mut self) -> Result<(), End> {
        match self.seat.link.order() {
            Order::GoOn => {}
            Order::Drain => self.draining = true,
            Order::TakenOver => return Err(End::TakenOver),
            Order::Abort => return Err(End::Stopped),
        }
        Ok(())
    }

    /// Until when something must be heard.
    fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Greeting => Some(self.heard_at + CONNECT_WITHIN),
            Stage::Welcome { silence_max } => silence_max.map(|max| self.heard_at + max),
        }
    }

    /// The timer has fired: ends the conversation, or says when to look again.
    fn look_at_the_time(&mut self) -> Result<Instant, End> {
        let now = Instant::now();
        if self.stage == Stage::Greeting {
            return Err(End::NeverConnected);
        }
        if !self.may_read() {
            // It is we who do not listen.
            self.heard_at = now;
        }
        match self.deadline() {
            Some(deadline) if deadline <= now => Err(End::Silent),
            Some(deadline) => Ok(deadline),
            None => Ok(now + CONNECT_WITHIN),
        }
    }
}

/// Waits until the message that found no room would find some.
async fn room(intake: &Intake, stall: Stall) {
    match stall {
        Stall::Queue(full) => intake.room(full).await,
        Stall::Partial | Stall::Acks => pending().await,
    }
}
