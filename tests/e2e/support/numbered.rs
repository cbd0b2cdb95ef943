//! Devices that publish numbered readings, each under a value of its own, so that for every single
//! one it can be said how often it is there; and a ledger of what was sent and acknowledged.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread::JoinHandle;
use std::time::Duration;

use loadtest::packet::{CONNACK_ACCEPTED, PUBACK_HEAD, connect};

use super::device::publish_packet;
use super::random::Random;
use super::{seconds, within};

/// Longest wait for a connection, an acknowledgement, or leave to go on.
const PATIENCE: Duration = seconds(120);
/// Messages on their way at once.
const WINDOW_MAX: u64 = 40;
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The units that a device changes between.
const UNITS: [&str; 3] = ["°C", "K", "bar"];

/// What the values look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Tenths, each next to the one before.
    Steps,
    /// Tenths without a pattern.
    Scattered,
    /// Without a pattern, and without a short decimal.
    Binary,
}

/// What a device publishes.
#[derive(Clone, Debug)]
pub struct Source {
    /// The sensor that it names in its payloads.
    pub sensor: &'static str,
    /// The device itself; two may name one sensor.
    pub device: &'static str,
    /// By its own clock, between two readings.
    pub step_ms: i64,
    /// Up to so much later than the step says.
    pub jitter_ms: u64,
    /// What it measures.
    pub values: Values,
    /// About how often the unit changes in the whole run.
    pub unit_changes: u64,
    /// Whether it sends again what was not acknowledged when a connection was lost.
    pub resends: bool,
    /// 0 or 1; two devices of one sensor have different ones, so that no value is in both.
    pub lane: i64,
}

/// One reading.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// When it was measured, in milliseconds since 1970.
    pub at: i64,
    /// The only one of the sensor with this value.
    pub value: f64,
    /// In force.
    pub unit: &'static str,
}

/// What became of a reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fate {
    /// How often it was sent.
    pub sent: u64,
    /// Whether one of these was acknowledged.
    pub is_acked: bool,
}

/// A device's page of the ledger.
#[derive(Debug)]
pub struct Published {
    /// The device.
    pub source: Source,
    /// In the order in which they were sent for the first time.
    pub readings: Vec<Numbered>,
    /// Of each reading.
    pub fates: Vec<Fate>,
}

impl Source {
    /// Ascending tenths of one unit, once a second.
    pub const fn new(sensor: &'static str, device: &'static str) -> Self {
        let (step_ms, jitter_ms, values) = (SECOND, 0, Values::Steps);
        let (unit_changes, resends, lane) = (0, true, 0);
        Self { sensor, device, step_ms, jitter_ms, values, unit_changes, resends, lane }
    }

    /// Values times this are whole numbers, so that sums are exact.
    pub fn scale(&self) -> f64 {
        match self.values {
            Values::Steps | Values::Scattered => 10.0,
            Values::Binary => f64::from(1 << 30),
        }
    }

    /// Where it publishes.
    pub fn topic(&self) -> String {
        format!("sensors/{}/level", self.device)
    }

    /// So many readings up to about `now`: most in order, a tenth at the time of the one before,
    /// some late by minutes, hours and days.
    fn readings(&self, count: usize, now: i64, random: &mut Random) -> Vec<Numbered> {
        let mut clock = now - self.step_ms * i64::try_from(count).unwrap();
        let mut unit = 0;
        let mut reading = |number: i64| {
            if !random.is_one_in(10) {
                clock += self.step_ms;
            }
            if self.unit_changes > 0 && random.is_one_in(count as u64 / self.unit_changes) {
                unit = (unit + 1) % UNITS.len();
            }
            let jitter = i64::try_from(random.below(self.jitter_ms + 1)).unwrap();
            let whole = 2 * self.pattern(number) + self.lane + 1;
            let at = clock + jitter - late(random);
            Numbered { at, value: whole as f64 / self.scale(), unit: UNITS[unit] }
        };
        (0..i64::try_from(count).unwrap()).map(&mut reading).collect()
    }

    fn pattern(&self, number: i64) -> i64 {
        match self.values {
            Values::Steps => number,
            // Both are prime, so that none comes twice.
            Values::Scattered | Values::Binary => number * 7919 % 1_000_003,
        }
    }
}

/// How late a reading is, in milliseconds; mostly not at all.
fn late(random: &mut Random) -> i64 {
    let (unit, most) = match random.below(200) {
        0 => (DAY, 3),
        1..3 => (HOUR, 8),
        3..10 => (MINUTE, 30),
        _ => return 0,
    };
    unit * (1 + random.below(most).cast_signed())
}

/// What all devices share.
#[derive(Debug, Default)]
struct Progress {
    /// Readings that each may have published by now.
    released: AtomicUsize,
    /// Readings that are acknowledged or given up, over all.
    settled: AtomicU64,
}

/// Devices at work, each in a thread of its own.
#[derive(Debug)]
pub struct Fleet {
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<Published>>,
}

impl Fleet {
    /// Devices with `count` readings each, up to about `now`. They wait to be released.
    pub fn start(
        to: SocketAddr,
        sources: Vec<Source>,
        count: usize,
        now: i64,
        random: &mut Random,
    ) -> Self {
        let progress = Arc::new(Progress::default());
        let threads = sources.into_iter().map(|source| {
            let readings = source.readings(count, now, random);
            let fates = vec![Fate::default(); count];
            let published = Published { source, readings, fates };
            let (random, progress) = (random.split(), Arc::clone(&progress));
            let device = Device { to, published, stream: None, random };
            std::thread::spawn(move || device.publish(&progress))
        });
        let threads = threads.collect();
        Self { progress, threads }
    }

    /// Each device may publish so many more.
    pub fn release(&self, more: usize) {
        self.progress.released.fetch_add(more, Relaxed);
    }

    /// Readings that are acknowledged or given up, over all devices.
    pub fn settled(&self) -> u64 {
        self.progress.settled.load(Relaxed)
    }

    /// Waits until so many are.
    pub fn wait_settled(&self, wanted: u64) {
        let is_there = || (self.settled() >= wanted).then_some(());
        within(PATIENCE, &format!("{wanted} are acknowledged"), is_there);
    }

    /// Everything may be published; waits for the end of it.
    pub fn finish(self) -> Vec<Published> {
        self.progress.released.store(usize::MAX, Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

#[derive(Debug)]
struct Device {
    to: SocketAddr,
    published: Published,
    stream: Option<TcpStream>,
    random: Random,
}

impl Device {
    fn publish(mut self, progress: &Progress) -> Published {
        let count = self.published.readings.len();
        let mut from = 0;
        while from < count {
            let released = within(PATIENCE, "leave to publish", || {
                let released = progress.released.load(Relaxed).min(count);
                (released > from).then_some(released)
            });
            let window = 1 + usize::try_from(self.random.below(WINDOW_MAX)).unwrap();
            let to = released.min(from + window);
            let acked = self.send(from..to);
            let settled = if self.published.source.resends { acked } else { to - from };
            from += settled;
            progress.settled.fetch_add(settled as u64, Relaxed);
        }
        self.published
    }

    /// Sends these and says how many of them, from the first, were acknowledged.
    fn send(&mut self, window: Range<usize>) -> usize {
        let to = self.to;
        let Published { source, readings, fates } = &mut self.published;
        let open = || within(PATIENCE, "a connection", || connected(to, source.device));
        let stream = self.stream.get_or_insert_with(open);
        let (topic, mut packets) = (source.topic(), Vec::new());
        for (id, number) in (1..).zip(window.clone()) {
            let Numbered { at, value, unit, .. } = &readings[number];
            let sensor = source.sensor;
            let payload = format!(
                r#"{{"sensor_id":"{sensor}","value":{value},"unit":"{unit}","timestamp":{at}}}"#
            );
            let fate = &mut fates[number];
            packets.extend(publish_packet(&topic, id, fate.sent > 0, payload.as_bytes()));
            fate.sent += 1;
        }
        let mut acked = 0;
        if stream.write_all(&packets).is_ok() {
            for (id, number) in (1u16..).zip(window.clone()) {
                if !is_acknowledged(stream, id) {
                    break;
                }
                fates[number].is_acked = true;
                acked += 1;
            }
        }
        if acked < window.len() {
            self.stream = None;
        }
        acked
    }
}

fn connected(to: SocketAddr, device: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(&connect(device, None)).ok()?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).ok()?;
    assert_eq!(answer, CONNACK_ACCEPTED, "CONNACK");
    Some(stream)
}

/// False when the connection is lost before.
fn is_acknowledged(stream: &mut TcpStream, id: u16) -> bool {
    let mut packet = [0; 4];
    match stream.read_exact(&mut packet) {
        Ok(()) => {
            let [high, low] = id.to_be_bytes();
            assert_eq!(packet, [PUBACK_HEAD[0], PUBACK_HEAD[1], high, low], "PUBACK");
            true
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("no PUBACK within {PATIENCE:?}")
        }
        Err(_lost) => false,
    }
}
