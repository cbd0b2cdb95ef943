//! Thousands of clients on a few threads.
//!
//! A thread has one epoll instance and one buffer to read into; a client is a socket and what
//! [`Member`] keeps. The threads are told what to do by a few atomics, [`Signals`], which a
//! scenario also reads to see how far they are.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::conversation::{Conversation, Heard};
use super::member::{Member, Tally};
use super::sight::Scanner;
use super::signals::Signals;
use super::stamp::Epoch;
use crate::device::write_some;
use crate::process::thread_cpu_seconds;

/// How often a thread looks whether it is told something.
const LOOK: Duration = Duration::from_millis(10);

/// What a loopback socket gives in one read.
const READ_BYTES: usize = 64 << 10;

/// Handshakes that a thread has under way while the crowd gathers, so that the server's backlog
/// does not overflow. When all return at once there is no such limit.
const GATHERING: usize = 256;

/// A client that lost its connection tries again after so long.
const RETRY: Duration = Duration::from_millis(100);

/// What the clients are, and what the threads are told.
#[derive(Debug)]
pub struct Crowd {
    /// The server.
    pub to: SocketAddr,
    /// The clock of the stamps.
    pub epoch: Epoch,
    /// The bytes that begin a WebSocket.
    pub request: Vec<u8>,
    /// The frame that asks for each subscription; client `n` has number `n % len`.
    pub subscriptions: Vec<Vec<u8>>,
    /// Sensors of each, all different.
    pub sensors_each: u32,
    /// Looks into frames.
    pub scanner: Scanner,
    /// Clients in all.
    pub clients: usize,
    /// Whether a client that loses its connection makes it again.
    pub returns: bool,
    /// What the threads are told, and say.
    pub signals: Signals,
}

/// What the clients of a thread saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// By phase; 0 is the time before the first.
    pub tallies: Vec<Tally>,
    /// Of each client: its number, and the readings shown or said to be replaced.
    pub accounted: Vec<(usize, u64)>,
}

impl Crowd {
    /// Runs the clients `first`, `first + step`, … until told to stop.
    ///
    /// # Errors
    /// The operating system fails; what servers do wrong is counted instead.
    pub fn run(&self, first: usize, step: usize) -> Result<Seen> {
        let mut gang = Gang::new(self, first, step)?;
        let mut events = Events::with_capacity(1024);
        while !self.signals.stop.load(Relaxed) {
            gang.obey()?;
            gang.connect_some();
            match gang.poll.poll(&mut events, Some(LOOK)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.context("epoll_wait failed")?,
            }
            for event in &events {
                gang.serve(event.token().0, event.is_read_closed() || event.is_error());
            }
        }
        gang.begin_phase()?;
        let accounted = gang.seats.iter().map(|seat| (seat.client, seat.member.accounted()));
        Ok(Seen { accounted: accounted.collect(), tallies: gang.tallies })
    }
}

/// One client and its socket.
struct Seat {
    client: usize,
    member: Member,
    conversation: Conversation,
    stream: Option<TcpStream>,
    /// Whether the handshake was sent.
    has_asked: bool,
    is_settled: bool,
}

/// The clients of one thread.
struct Gang<'a> {
    crowd: &'a Crowd,
    poll: Poll,
    seats: Vec<Seat>,
    /// Seats to be connected, and not before when.
    waiting: VecDeque<(Instant, usize)>,
    under_way: usize,
    under_way_max: usize,
    tallies: Vec<Tally>,
    phase: usize,
    began: u64,
    cuts: u64,
    cpu_seconds: f64,
    scratch: Vec<u8>,
    out: Vec<u8>,
}

impl<'a> Gang<'a> {
    fn new(crowd: &'a Crowd, first: usize, step: usize) -> Result<Self> {
        let seat = |client: usize| Seat {
            client,
            member: Member::new(
                (client % crowd.subscriptions.len()) as u32 * crowd.sensors_each,
                crowd.sensors_each,
            ),
            conversation: Conversation::default(),
            stream: None,
            has_asked: false,
            is_settled: false,
        };
        let seats: Vec<Seat> = (first..crowd.clients).step_by(step).map(seat).collect();
        let now = Instant::now();
        Ok(Self {
            crowd,
            poll: Poll::new().context("cannot make an epoll instance")?,
            waiting: (0..seats.len()).map(|index| (now, index)).collect(),
            seats,
            under_way: 0,
            under_way_max: GATHERING,
            tallies: vec![Tally::default()],
            phase: 0,
            began: 0,
            cuts: 0,
            cpu_seconds: thread_cpu_seconds()?,
            scratch: vec![0; READ_BYTES],
            out: Vec::new(),
        })
    }

    /// Does what it is told.
    fn obey(&mut self) -> Result<()> {
        let signals = &self.crowd.signals;
        if signals.phase.load(Relaxed) != self.phase {
            self.begin_phase()?;
        }
        let cuts = signals.cuts.load(Relaxed);
        if cuts != self.cuts {
            self.cuts = cuts;
            self.under_way_max = usize::MAX;
            for index in 0..self.seats.len() {
                self.disconnect(index, Instant::now());
            }
        }
        if let Some(last) = signals.last.get() {
            for seat in self.seats.iter_mut().filter(|seat| !seat.is_settled) {
                seat.is_settled = seat.member.is_settled(last);
                signals.settled.fetch_add(u64::from(seat.is_settled), Relaxed);
            }
        }
        Ok(())
    }

    fn begin_phase(&mut self) -> Result<()> {
        let now = self.crowd.epoch.micros();
        let tally = &mut self.tallies[self.phase];
        for seat in &mut self.seats {
            seat.member.end_phase((now, self.began), tally);
        }
        let cpu_seconds = thread_cpu_seconds()?;
        tally.cpu_seconds += cpu_seconds - self.cpu_seconds;
        self.cpu_seconds = cpu_seconds;
        self.phase = self.crowd.signals.phase.load(Relaxed);
        self.began = self.crowd.signals.phase_began.load(Relaxed);
        self.tallies.resize_with(self.phase + 1, Tally::default);
        Ok(())
    }

    fn connect_some(&mut self) {
        let now = Instant::now();
        while self.under_way < self.under_way_max
            && let Some((not_before, index)) = self.waiting.front().copied()
            && not_before <= now
        {
            self.waiting.pop_front();
            match self.connect(index) {
                Ok(()) => self.under_way += 1,
                Err(error) => self.lose(index, &format!("cannot connect: {error}")),
            }
        }
    }

    fn connect(&mut self, index: usize) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(self.crowd.to)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest)?;
        self.seats[index].stream = Some(stream);
        Ok(())
    }

    /// A connection is ready.
    fn serve(&mut self, index: usize, is_ending: bool) {
        match self.talk(index, is_ending) {
            Ok(None) => {}
            Ok(Some(reason)) => self.lose(index, &reason),
            Err(error) => self.lose(index, &format!("{error:#}")),
        }
    }

    /// Reads what there is; why the connection has ended, if it has.
    fn talk(&mut self, index: usize, is_ending: bool) -> Result<Option<String>> {
        let Self { crowd, seats, scratch, out, tallies, phase, began, under_way, .. } = self;
        let Seat { client, member, conversation, stream, has_asked, .. } = &mut seats[index];
        let Some(stream) = stream else { return Ok(None) };
        if !*has_asked {
            if let Some(error) = stream.take_error()? {
                return Err(error.into());
            }
            if stream.peer_addr().is_err() {
                return Ok(None);
            }
            send(stream, &crowd.request)?;
            *has_asked = true;
        }
        let subscribe = &crowd.subscriptions[*client % crowd.subscriptions.len()];
        let mut ended = None;
        loop {
            let length = match stream.read(scratch) {
                Ok(0) => return Ok(ended.or_else(|| Some("closed without a word".to_owned()))),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(ended),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let now = crowd.epoch.micros();
            let was_subscribed = conversation.is_subscribed();
            let was_served = member.is_served();
            let mut is_subscribed = was_subscribed;
            conversation.hear(&scratch[..length], subscribe, out, |heard| {
                match heard {
                    Heard::Subscribed => is_subscribed = true,
                    Heard::Event(event) if is_subscribed => {
                        let taken =
                            member.take(event, (now, *began), &crowd.scanner, &mut tallies[*phase]);
                        if let Err(fault) = taken {
                            crowd.signals.fault(&fault);
                        }
                    }
                    Heard::Event(_before) => {}
                    Heard::Ended(code, reason) => ended = Some(format!("{code} {reason}")),
                }
                Ok(())
            })?;
            if is_subscribed && !was_subscribed {
                *under_way -= 1;
                crowd.signals.subscribed.fetch_add(1, Relaxed);
            }
            if member.is_served() && !was_served {
                crowd.signals.served.fetch_add(1, Relaxed);
            }
            if !out.is_empty() {
                send(stream, out)?;
                out.clear();
            }
            // A short read emptied the socket, unless its end was announced with it (epoll(7)).
            if length < scratch.len() && !is_ending {
                return Ok(ended);
            }
        }
    }

    fn lose(&mut self, index: usize, reason: &str) {
        self.crowd.signals.end(reason);
        self.out.clear();
        self.disconnect(index, Instant::now() + RETRY);
        if !self.crowd.returns {
            self.waiting.pop_back();
        }
    }

    /// Drops the connection; it is to be made again.
    fn disconnect(&mut self, index: usize, not_before: Instant) {
        let signals = &self.crowd.signals;
        let seat = &mut self.seats[index];
        if seat.conversation.is_subscribed() {
            signals.subscribed.fetch_sub(1, Relaxed);
        } else if seat.stream.is_some() {
            self.under_way -= 1;
        } else {
            self.waiting.retain(|(_, waiting)| *waiting != index);
        }
        if seat.member.is_served() {
            signals.served.fetch_sub(1, Relaxed);
        }
        (seat.stream, seat.has_asked) = (None, false);
        seat.conversation = Conversation::default();
        seat.member.forget();
        self.waiting.push_back((not_before, index));
    }
}

/// A few hundred bytes into a socket that has sent nothing else: it takes them, or is dead.
fn send(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    let taken = write_some(stream, bytes)?;
    anyhow::ensure!(taken == bytes.len(), "the socket took {taken} of {} bytes", bytes.len());
    Ok(())
}
