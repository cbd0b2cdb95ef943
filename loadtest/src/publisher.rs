//! One thread, any number of connections: encode, write, read PUBACKs.
//!
//! The load generator shares the machine with what it measures, so it must cost little: packets
//! are copies of a template in one scratch buffer, a turn of a connection is one `write` of all
//! that its window allows and one `read`, and readiness is edge-triggered, so that a write or read
//! that ended short is not tried again until the kernel says so.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::device::{opened, raise_descriptor_limit, write_some};
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::pace::{Pace, TICK};
use crate::packet::{DISCONNECT, Qos, Template};
use crate::plan::{Length, Plan};
use crate::session::{Press, Session, TimeText};
use crate::value::Texts;

/// Most bytes encoded ahead of one write: what a loopback socket takes in one go.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Between two attempts to reconnect; short, for the time of recovery is being measured.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// How a run goes, for other threads to see and to end it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Messages acknowledged (QoS 0: written) so far.
    pub acked: AtomicU64,
    /// Set to publish nothing new; what is unacknowledged is still waited for.
    pub stop: AtomicBool,
}

/// What a run published.
#[derive(Debug)]
pub struct Published {
    /// The oracle for the check.
    pub ledger: Ledger,
    /// From the first message to the last PUBACK (QoS 0: the last write).
    pub elapsed: Duration,
    /// PUBACK times of a sample of the messages.
    pub latency: Latency,
    /// Connections made again.
    pub reconnects: u64,
    /// Why the run ended before its end, when it did; then some outcomes are unknown.
    pub cut_short: Option<String>,
}

/// Publishes everything the plan says and waits for the PUBACKs.
///
/// # Errors
/// An impossible plan, no connection at the start, a protocol fault of the server, or a lost
/// connection without `reconnect`. A server that stops answering is no error: the run ends as
/// `cut_short` with its unknown outcomes in the ledger.
pub fn publish(plan: &Plan, progress: &Progress) -> Result<Published> {
    plan.validate()?;
    raise_descriptor_limit();
    Publisher::new(plan)?.run(progress)
}

/// A session and its socket.
struct Link {
    session: Session,
    /// None while the connection is lost and being made again.
    stream: Option<TcpStream>,
    /// Encoded bytes that the socket did not take yet.
    unsent: Vec<u8>,
}

enum Turn {
    /// The socket takes no more for now.
    Blocked,
    /// Nothing may be sent now: the window is full, the rate is used up, or all is sent.
    Idle,
    /// One chunk was written; at QoS 0 the others come first.
    Wrote,
}

struct Publisher<'a> {
    plan: &'a Plan,
    poll: Poll,
    links: Vec<Link>,
    press: Press,
    pace: Pace,
    latency: Latency,
    scratch: Vec<u8>,
    received: Vec<u8>,
    acked: u64,
    reconnects: u64,
    /// Why the last attempt to reconnect failed.
    refused: Option<String>,
    started: Instant,
    started_ms: i64,
}

impl<'a> Publisher<'a> {
    fn new(plan: &'a Plan) -> Result<Self> {
        let started_ms = jiff::Timestamp::now().as_millisecond();
        let mut publisher = Self {
            plan,
            poll: Poll::new().context("cannot make an epoll instance")?,
            links: Vec::new(),
            press: Press {
                template: Template::new(plan)?,
                texts: Texts::new(),
                ledger: Ledger::new(&plan.prefix, plan.sensors),
                clock: TimeText::new(started_ms),
            },
            pace: Pace::new(plan.rate),
            latency: Latency::default(),
            scratch: Vec::with_capacity(WRITE_BYTES_MAX + 8 * 1024),
            received: vec![0; WRITE_BYTES_MAX],
            acked: 0,
            reconnects: 0,
            refused: None,
            started: Instant::now(),
            started_ms,
        };
        for index in 0..plan.connections {
            let session = Session::new(plan, index);
            publisher.links.push(Link { session, stream: None, unsent: Vec::new() });
            publisher.connect(index as usize)?;
        }
        Ok(publisher)
    }

    fn connect(&mut self, index: usize) -> Result<()> {
        let Plan { to, credentials, connections, .. } = self.plan;
        let client_id = format!("loadtest-{}-{index}", std::process::id());
        let stream = opened(*to, credentials.as_ref(), &client_id)
            .with_context(|| format!("connection {index} of {connections} to {to}"))?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest)?;
        self.links[index].stream = Some(stream);
        Ok(())
    }

    fn run(mut self, progress: &Progress) -> Result<Published> {
        let mut events = Events::with_capacity(1024);
        (self.started, self.started_ms) = (Instant::now(), jiff::Timestamp::now().as_millisecond());
        let mut moved_at = self.started;
        let mut cut_short = None;
        let mut wait = self.pump_all()?;
        while !self.links.iter().all(|link| link.session.is_done() && link.unsent.is_empty()) {
            self.poll_once(&mut events, wait)?;
            let before = self.acked;
            self.press.clock.now_ms = self.started_ms + self.started.elapsed().as_millis() as i64;
            for event in &events {
                let is_ending = event.is_read_closed() || event.is_error();
                self.serve(event.token().0, is_ending)?;
            }
            if self.over(progress) {
                self.links.iter_mut().for_each(|link| link.session.stop());
            }
            wait = self.pump_rest()?;
            progress.acked.store(self.acked, Relaxed);
            if self.acked != before {
                moved_at = Instant::now();
            } else if moved_at.elapsed() > self.plan.stall {
                let refused = self.refused.as_ref().map(|reason| format!(" ({reason})"));
                let refused = refused.unwrap_or_default();
                let stall = self.plan.stall;
                cut_short = Some(format!("nothing was acknowledged for {stall:?}{refused}"));
                break;
            }
        }
        Ok(self.finish(cut_short))
    }

    fn poll_once(&mut self, events: &mut Events, wait: Duration) -> Result<()> {
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            result => result.context("epoll_wait failed"),
        }
    }

    fn over(&self, progress: &Progress) -> bool {
        let time_is_up = match self.plan.length {
            Length::Messages(_) => false,
            Length::Lasting(length) => self.started.elapsed() >= length,
        };
        time_is_up || progress.stop.load(Relaxed)
    }

    /// One connection is ready: PUBACKs first, they make room for more.
    fn serve(&mut self, index: usize, is_ending: bool) -> Result<()> {
        match self.receive(index, is_ending)? {
            Some(reason) => self.lose(index, &reason),
            // With a rate, room is no reason to send: the next tick is.
            None if self.pace.is_limited() => Ok(()),
            None => self.pump(index).map(|_| ()),
        }
    }

    /// Reads what there is. Returns why the connection is lost, if it is.
    fn receive(&mut self, index: usize, is_ending: bool) -> Result<Option<String>> {
        let link = &mut self.links[index];
        let Some(stream) = &mut link.stream else {
            return Ok(None);
        };
        loop {
            let length = match stream.read(&mut self.received) {
                Ok(0) => return Ok(Some("closed by the server".to_owned())),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Some(error.to_string())),
            };
            let acknowledged = link
                .session
                .acknowledge(&self.received[..length], Instant::now())
                .with_context(|| format!("connection {index}"))?;
            self.acked += acknowledged.messages;
            if let Some(latency) = acknowledged.latency {
                self.latency.add(latency);
            }
            // A short read emptied the socket: the next byte makes a new edge (epoll(7)); an end
            // that was announced with it makes none, and is read now.
            if length < self.received.len() && !is_ending {
                return Ok(None);
            }
        }
    }

    /// Sends as much as window, rate and socket allow.
    fn pump(&mut self, index: usize) -> Result<Turn> {
        let all_at_once = self.plan.qos == Qos::AtLeastOnce && !self.pace.is_limited();
        loop {
            match self.write_chunk(index) {
                Ok(Turn::Wrote) if all_at_once => {}
                Ok(turn) => return Ok(turn),
                Err(error) => {
                    self.lose(index, &error.to_string())?;
                    return Ok(Turn::Blocked);
                }
            }
        }
    }

    fn write_chunk(&mut self, index: usize) -> std::io::Result<Turn> {
        let link = &mut self.links[index];
        let Some(stream) = &mut link.stream else {
            return Ok(Turn::Blocked);
        };
        if !link.unsent.is_empty() {
            let taken = write_some(stream, &link.unsent)?;
            link.unsent.drain(..taken);
            return Ok(if link.unsent.is_empty() { Turn::Wrote } else { Turn::Blocked });
        }
        let chunk = (WRITE_BYTES_MAX / self.press.template.packet_bytes()).max(1) as u64;
        let limit = self.pace.allowed(chunk);
        if limit == 0 {
            return Ok(Turn::Idle);
        }
        self.scratch.clear();
        let now = Instant::now();
        let count = link.session.fill(&mut self.scratch, limit, now, &mut self.press);
        if count == 0 {
            return Ok(Turn::Idle);
        }
        self.pace.take(count);
        if self.plan.qos == Qos::AtMostOnce {
            self.acked += count;
        }
        let taken = write_some(stream, &self.scratch)?;
        if taken == self.scratch.len() {
            return Ok(Turn::Wrote);
        }
        link.unsent.extend_from_slice(&self.scratch[taken..]);
        Ok(Turn::Blocked)
    }

    /// Connections that no event will wake: QoS 0 knows no PUBACK, a rate gives room by time, and
    /// a lost connection must be made again. Returns how long the next poll may sleep.
    fn pump_rest(&mut self) -> Result<Duration> {
        if self.plan.reconnect {
            self.reconnect_lost()?;
        }
        if self.plan.qos == Qos::AtMostOnce || self.pace.is_limited() {
            return self.pump_all();
        }
        Ok(self.quiet_wait())
    }

    fn pump_all(&mut self) -> Result<Duration> {
        if !self.pace.tick(self.started.elapsed(), self.plan.connections) {
            return Ok(TICK);
        }
        let mut wrote = false;
        for index in self.pace.rotation(self.links.len()) {
            wrote |= matches!(self.pump(index)?, Turn::Wrote);
        }
        Ok(match wrote {
            _ if self.pace.is_limited() => TICK,
            true => Duration::ZERO,
            false => self.quiet_wait(),
        })
    }

    /// Sleep until something happens, but notice the end of time, a stop and a stall.
    fn quiet_wait(&self) -> Duration {
        let lost = self.links.iter().any(|link| link.stream.is_none());
        if lost { RETRY_INTERVAL } else { Duration::from_millis(50) }
    }

    fn lose(&mut self, index: usize, reason: &str) -> Result<()> {
        if !self.plan.reconnect {
            bail!("connection {index} lost: {reason}");
        }
        let link = &mut self.links[index];
        link.stream = None;
        link.unsent.clear();
        link.session.restart();
        Ok(())
    }

    /// One refused attempt ends the round: the server is down for all of them.
    fn reconnect_lost(&mut self) -> Result<()> {
        for index in 0..self.links.len() {
            if self.links[index].stream.is_none() {
                if let Err(error) = self.connect(index) {
                    self.refused = Some(format!("{error:#}"));
                    return Ok(());
                }
                self.refused = None;
                self.reconnects += 1;
                self.pump(index)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, cut_short: Option<String>) -> Published {
        let elapsed = self.started.elapsed();
        for link in &mut self.links {
            link.session.settle(&mut self.press.ledger);
            if let Some(stream) = &mut link.stream
                && link.unsent.is_empty()
                && write_some(stream, &DISCONNECT).is_err()
            {
                // Everything is acknowledged; whether the farewell arrives changes nothing.
            }
        }
        Published {
            ledger: self.press.ledger,
            elapsed,
            latency: self.latency,
            reconnects: self.reconnects,
            cut_short,
        }
    }
}
