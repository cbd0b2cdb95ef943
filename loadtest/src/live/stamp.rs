//! Publishes readings whose value is the time at which they were published.
//!
//! The value is in microseconds of a clock that this process shares with its clients, so that
//! latency is a subtraction; a double holds it exactly for 285 years. What is stamped is the time
//! just before the write. When this program cannot write in time, the reading is stamped late and
//! how late it is goes into a histogram of its own: the latency of a *schedule* ("coordinated
//! omission", Gil Tene) is known too, and a generator that could not keep up does not pass for a
//! fast server.
//!
//! Readings are spread evenly over time, in ticks of a millisecond: ten at a time at 10,000 a
//! second. Each sensor belongs to one connection, so that its readings have an order.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::device::{opened, write_some};
use crate::latency::Latency;
use crate::pace::TICK;
use crate::packet::{DISCONNECT, PUBACK_HEAD, append_publish, digits};

/// The type of every sensor.
pub const SENSOR_TYPE: &str = "latency";

/// Packet ids go round after 65,535; far fewer may be without their PUBACK.
const WINDOW: usize = 16_384;

/// How often others see the PUBACK times: a hand-over costs a pass over all buckets.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// A listener that acknowledges nothing for so long has failed.
const STALL: Duration = Duration::from_secs(30);

/// A clock that starts at zero, for one process.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(Instant);

impl Epoch {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since it started.
    #[must_use]
    pub fn micros(&self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}

/// What is published.
#[derive(Clone, Debug)]
pub struct Stamps {
    /// The listener.
    pub to: SocketAddr,
    /// Parallel connections at QoS 1.
    pub connections: u32,
    /// What every sensor id begins with.
    pub prefix: String,
    /// Sensors, each in its turn.
    pub sensors: u32,
    /// Readings a second, over all sensors.
    pub rate: f64,
    /// About the length of a payload; the shortest has some 80 bytes.
    pub payload_bytes: usize,
}

impl Stamps {
    /// The id of a sensor.
    #[must_use]
    pub fn sensor_id(&self, sensor: u32) -> String {
        format!("{}{sensor:0width$}", self.prefix, width = digits(self.sensors))
    }
}

/// How it goes, for other threads to see and to end it.
#[derive(Debug, Default)]
pub struct Going {
    /// Readings written.
    pub sent: AtomicU64,
    /// Readings with PUBACK.
    pub acked: AtomicU64,
    /// Set to publish nothing more; what is unacknowledged is still waited for.
    pub stop: AtomicBool,
    /// Publish → PUBACK of every reading since somebody took it.
    pub puback: Mutex<Latency>,
}

impl Going {
    /// Publish → PUBACK since the last time.
    pub fn take_puback(&self) -> Latency {
        let mut puback = self.puback.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *puback)
    }
}

/// What was published.
#[derive(Debug, Default)]
pub struct Stamped {
    /// The stamps of each sensor, ascending.
    pub of_sensor: Vec<Vec<u64>>,
    /// When the first reading was due.
    pub began_us: u64,
    /// From the first reading to the last PUBACK.
    pub elapsed: Duration,
    /// How late readings were written: due → written.
    pub late: Latency,
}

impl Stamped {
    /// Readings in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.of_sensor.iter().map(|stamps| stamps.len() as u64).sum()
    }
}

/// When reading number `number` of a sensor is due, in microseconds of the same clock.
#[must_use]
pub fn due_us(stamps: &Stamps, began_us: u64, sensor: u32, number: usize) -> u64 {
    let turn = number as u64 * u64::from(stamps.sensors) + u64::from(sensor);
    began_us + (turn as f64 / stamps.rate * 1e6) as u64
}

/// Publishes until `total` readings are published or `going.stop` is set, and waits for the
/// PUBACKs.
///
/// # Errors
/// No connection, a lost one, a PUBACK out of order, or none for long.
pub fn publish(stamps: &Stamps, epoch: Epoch, total: u64, going: &Going) -> Result<Stamped> {
    ensure!(stamps.sensors >= stamps.connections, "--connections: at most one per sensor");
    ensure!(stamps.rate.is_finite() && stamps.rate > 0.0, "--rate {}: more than 0", stamps.rate);
    Publisher::connect(stamps, epoch)?.run(total, going)
}

struct Link {
    stream: TcpStream,
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// Stamps without PUBACK, oldest first.
    waiting: VecDeque<u64>,
    sent: u64,
    acked: u64,
}

struct Publisher<'a> {
    stamps: &'a Stamps,
    epoch: Epoch,
    poll: Poll,
    links: Vec<Link>,
    topics: Vec<(String, String)>,
    payload: String,
    stamped: Stamped,
    issued: u64,
    puback: Latency,
    reported_at: Instant,
}

impl<'a> Publisher<'a> {
    fn connect(stamps: &'a Stamps, epoch: Epoch) -> Result<Self> {
        let poll = Poll::new().context("cannot make an epoll instance")?;
        let mut links = Vec::new();
        for index in 0..stamps.connections as usize {
            let stream = opened(stamps.to, None, &format!("stamp-{index}"))
                .with_context(|| format!("connection {index} to {}", stamps.to))?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(index), interest)?;
            let (unsent, received, waiting) = (Vec::new(), Vec::new(), VecDeque::new());
            links.push(Link { stream, unsent, received, waiting, sent: 0, acked: 0 });
        }
        let topics = (0..stamps.sensors).map(|sensor| {
            let id = stamps.sensor_id(sensor);
            let head = format!(r#"{{"sensor_id":"{id}","type":"{SENSOR_TYPE}","value":"#);
            (format!("sensors/{id}/{SENSOR_TYPE}"), head)
        });
        Ok(Self {
            stamps,
            epoch,
            poll,
            links,
            topics: topics.collect(),
            payload: String::new(),
            stamped: Stamped {
                of_sensor: vec![Vec::new(); stamps.sensors as usize],
                ..Stamped::default()
            },
            issued: 0,
            puback: Latency::default(),
            reported_at: Instant::now(),
        })
    }

    fn run(mut self, total: u64, going: &Going) -> Result<Stamped> {
        let mut events = Events::with_capacity(256);
        let began = Instant::now();
        self.stamped.began_us = self.epoch.micros();
        let (mut moved_at, mut acked) = (began, 0);
        loop {
            let over = self.issued >= total || going.stop.load(Relaxed);
            if over && self.links.iter().all(|link| link.waiting.is_empty()) {
                break;
            }
            if !over {
                self.issue(total)?;
            }
            self.write_all()?;
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.context("epoll_wait failed")?,
            }
            for event in &events {
                self.receive(event.token().0)?;
            }
            self.report(going);
            let now_acked = self.links.iter().map(|link| link.acked).sum();
            if now_acked != acked {
                (moved_at, acked) = (Instant::now(), now_acked);
            } else if moved_at.elapsed() > STALL {
                bail!("nothing was acknowledged for {STALL:?}, {acked} of {} were", self.issued);
            }
        }
        self.report(going);
        self.hand_over(going);
        for link in &mut self.links {
            if write_some(&mut link.stream, &DISCONNECT).is_err() {
                // Everything is acknowledged; whether the farewell arrives changes nothing.
            }
        }
        self.stamped.elapsed = began.elapsed();
        Ok(self.stamped)
    }

    /// Stamps and encodes what is due, unless a connection takes no more: then it is late.
    fn issue(&mut self, total: u64) -> Result<()> {
        let held = |link: &Link| !link.unsent.is_empty() || link.waiting.len() >= WINDOW;
        if self.links.iter().any(held) {
            return Ok(());
        }
        let since = self.epoch.micros() - self.stamped.began_us;
        let due = ((since as f64 / 1e6 * self.stamps.rate) as u64 + 1).min(total);
        while self.issued < due {
            let sensor = (self.issued % u64::from(self.stamps.sensors)) as usize;
            let number = self.stamped.of_sensor[sensor].len();
            let due_us = due_us(self.stamps, self.stamped.began_us, sensor as u32, number);
            let stamp = self.stamp(sensor)?;
            self.stamped.late.add(Duration::from_micros(stamp.saturating_sub(due_us)));
            self.issued += 1;
        }
        Ok(())
    }

    fn stamp(&mut self, sensor: usize) -> Result<u64> {
        // Later than the one before, so that every reading of a sensor is one of its own.
        let before = self.stamped.of_sensor[sensor].last().copied().unwrap_or(0);
        let stamp = self.epoch.micros().max(before + 1);
        let (topic, head) = &self.topics[sensor];
        self.payload.clear();
        write!(self.payload, r#"{head}{stamp},"unit":"µs","location":""#)?;
        while self.payload.len() + 2 < self.stamps.payload_bytes {
            self.payload.push('.');
        }
        self.payload.push_str("\"}");
        let index = sensor % self.links.len();
        let link = &mut self.links[index];
        link.sent += 1;
        append_publish(&mut link.unsent, topic, packet_id(link.sent), self.payload.as_bytes());
        link.waiting.push_back(stamp);
        self.stamped.of_sensor[sensor].push(stamp);
        Ok(stamp)
    }

    fn write_all(&mut self) -> Result<()> {
        for link in self.links.iter_mut().filter(|link| !link.unsent.is_empty()) {
            let taken = write_some(&mut link.stream, &link.unsent).context("cannot publish")?;
            link.unsent.drain(..taken);
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let link = &mut self.links[index];
        let mut bytes = [0; 4096];
        loop {
            match link.stream.read(&mut bytes) {
                Ok(0) => bail!("connection {index} was closed by the listener"),
                Ok(length) => link.received.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot read PUBACKs"),
            }
        }
        let now = self.epoch.micros();
        let mut packets = link.received.chunks_exact(4);
        for packet in packets.by_ref() {
            link.acked += 1;
            let [high, low] = packet_id(link.acked).to_be_bytes();
            let expected = [PUBACK_HEAD[0], PUBACK_HEAD[1], high, low];
            ensure!(packet == expected, "{packet:02x?} in place of PUBACK {expected:02x?}");
            let stamp = link.waiting.pop_front().context("a PUBACK for nothing")?;
            self.puback.add(Duration::from_micros(now.saturating_sub(stamp)));
        }
        let rest = packets.remainder().to_vec();
        link.received = rest;
        Ok(())
    }

    fn report(&mut self, going: &Going) {
        going.sent.store(self.issued, Relaxed);
        going.acked.store(self.links.iter().map(|link| link.acked).sum(), Relaxed);
        if self.reported_at.elapsed() >= REPORT_INTERVAL {
            self.hand_over(going);
        }
    }

    fn hand_over(&mut self, going: &Going) {
        let mut puback = going.puback.lock().unwrap_or_else(PoisonError::into_inner);
        puback.merge(&std::mem::take(&mut self.puback));
        self.reported_at = Instant::now();
    }
}

/// From 1 to 65,535 and around (MQTT 3.1.1 §2.3.1).
fn packet_id(number: u64) -> u16 {
    ((number - 1) % 65_535) as u16 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{Sink, Verdict};

    #[test]
    fn every_reading_carries_the_time_of_its_publishing() {
        let sink = Sink::listen(([127, 0, 0, 1], 0).into()).unwrap();
        let stamps = Stamps {
            to: sink.address().unwrap(),
            connections: 3,
            prefix: "c".to_owned(),
            sensors: 7,
            rate: 5_000.0,
            payload_bytes: 128,
        };
        let (epoch, going, stop) = (Epoch::start(), Going::default(), AtomicBool::new(false));
        let received = Mutex::new(vec![Vec::new(); 7]);
        let stamped = std::thread::scope(|scope| {
            scope.spawn(|| {
                sink.serve(&stop, |message| {
                    let payload: serde_json::Value =
                        serde_json::from_slice(message.payload).unwrap();
                    let id = payload["sensor_id"].as_str().unwrap();
                    let sensor: usize = id.strip_prefix('c').unwrap().parse().unwrap();
                    received.lock().unwrap()[sensor].push(payload["value"].as_u64().unwrap());
                    assert_eq!(message.payload.len(), 128);
                    Verdict::Acknowledge
                })
            });
            let stamped = publish(&stamps, epoch, 1_000, &going);
            stop.store(true, Relaxed);
            stamped.unwrap()
        });
        assert_eq!(stamped.of_sensor, received.into_inner().unwrap());
        assert_eq!((stamped.total(), going.acked.load(Relaxed)), (1_000, 1_000));
        assert_eq!(going.take_puback().samples(), 1_000);
        assert_eq!(going.take_puback().samples(), 0);
        assert!(stamped.elapsed >= Duration::from_millis(199), "{:?}", stamped.elapsed);
        let ascending = |stamps: &Vec<u64>| stamps.windows(2).all(|two| two[0] < two[1]);
        assert!(stamped.of_sensor.iter().all(ascending));
    }

    #[test]
    fn readings_are_due_one_after_the_other() {
        let stamps = Stamps {
            to: ([127, 0, 0, 1], 1).into(),
            connections: 1,
            prefix: "c".to_owned(),
            sensors: 10,
            rate: 1_000.0,
            payload_bytes: 0,
        };
        assert_eq!(due_us(&stamps, 5, 0, 0), 5);
        assert_eq!(due_us(&stamps, 5, 3, 0), 3_005);
        assert_eq!(due_us(&stamps, 5, 3, 2), 23_005);
    }
}
