//! The other end in its cheapest form: reads, counts, answers PUBACKs.
//!
//! It measures what the publisher itself can do, and lets tests look at every message.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::packet::{CONNACK_ACCEPTED, PUBACK_HEAD};

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 * 1024;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// PUBACK, when it is QoS 1.
    Acknowledge,
    /// Taken without a word, as by a server whose disk hangs.
    Silence,
    /// The connection is closed without PUBACK.
    Cut,
}

/// A PUBLISH as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Whether the DUP flag is set.
    pub duplicate: bool,
    /// The topic's bytes.
    pub topic: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// A listening sink.
#[derive(Debug)]
pub struct Sink {
    listener: TcpListener,
}

struct Guest {
    stream: TcpStream,
    /// An incomplete packet.
    rest: Vec<u8>,
    unsent: Vec<u8>,
}

impl Sink {
    /// Listens; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken or not of this machine.
    pub fn listen(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .with_context(|| format!("the sink cannot listen on {address}"))?;
        Ok(Self { listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The kernel does not say; never seen.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves all connections on this thread until `stop` is set.
    ///
    /// # Errors
    /// epoll or accept failed.
    pub fn serve(
        mut self,
        stop: &AtomicBool,
        mut judge: impl FnMut(Message<'_>) -> Verdict,
    ) -> Result<()> {
        let mut poll = Poll::new()?;
        poll.registry().register(&mut self.listener, LISTENER, Interest::READABLE)?;
        let mut events = Events::with_capacity(1024);
        let mut guests: Vec<Option<Guest>> = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        while !stop.load(Relaxed) {
            match poll.poll(&mut events, Some(Duration::from_millis(20))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept(&poll, &mut guests)?;
                } else if let Some(slot) = guests.get_mut(event.token().0)
                    && let Some(guest) = slot
                    && guest.serve(&mut buffer, &mut judge).is_err()
                {
                    // The end of a connection is ordinary here; the publisher reports it.
                    *slot = None;
                }
            }
        }
        Ok(())
    }

    fn accept(&self, poll: &Poll, guests: &mut Vec<Option<Guest>>) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(guests.len()), interest)?;
            guests.push(Some(Guest { stream, rest: Vec::new(), unsent: Vec::new() }));
        }
    }
}

impl Guest {
    fn serve(
        &mut self,
        buffer: &mut [u8],
        judge: &mut impl FnMut(Message<'_>) -> Verdict,
    ) -> std::io::Result<()> {
        self.flush()?;
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if self.rest.is_empty() {
                let used = answer(&buffer[..length], &mut self.unsent, judge)?;
                self.rest.extend_from_slice(&buffer[used..length]);
            } else {
                self.rest.extend_from_slice(&buffer[..length]);
                let used = answer(&self.rest, &mut self.unsent, judge)?;
                self.rest.drain(..used);
            }
            self.flush()?;
            if length < buffer.len() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        match self.stream.write(&self.unsent) {
            Ok(taken) => {
                self.unsent.drain(..taken);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Answers every whole packet; returns how many bytes they took.
fn answer(
    bytes: &[u8],
    answers: &mut Vec<u8>,
    judge: &mut impl FnMut(Message<'_>) -> Verdict,
) -> std::io::Result<usize> {
    let mut at = 0;
    while let Some((head, length)) = frame(&bytes[at..]) {
        let Some(body) = bytes.get(at + head..at + head + length) else {
            break;
        };
        match bytes[at] >> 4 {
            1 => answers.extend(CONNACK_ACCEPTED),
            3 => publish(bytes[at], body, answers, judge)?,
            14 => return Err(ErrorKind::UnexpectedEof.into()),
            _ => return Err(ErrorKind::InvalidData.into()),
        }
        at += head + length;
    }
    Ok(at)
}

fn publish(
    flags: u8,
    body: &[u8],
    answers: &mut Vec<u8>,
    judge: &mut impl FnMut(Message<'_>) -> Verdict,
) -> std::io::Result<()> {
    let malformed = || std::io::Error::from(ErrorKind::InvalidData);
    let (length, rest) = body.split_at_checked(2).ok_or_else(malformed)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let (topic, rest) = rest.split_at_checked(length).ok_or_else(malformed)?;
    let is_qos_1 = flags & 0x06 == 0x02;
    let id_bytes = if is_qos_1 { 2 } else { 0 };
    let (id, payload) = rest.split_at_checked(id_bytes).ok_or_else(malformed)?;
    match judge(Message { duplicate: flags & 0x08 != 0, topic, payload }) {
        Verdict::Cut => Err(ErrorKind::ConnectionAborted.into()),
        Verdict::Silence => Ok(()),
        Verdict::Acknowledge => {
            if is_qos_1 {
                answers.extend([PUBACK_HEAD[0], PUBACK_HEAD[1], id[0], id[1]]);
            }
            Ok(())
        }
    }
}

/// Length of the fixed header and of what follows it; none while the header is incomplete.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (index, byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((index + 2, length));
        }
    }
    None
}
