//! One connection's share of a run: what goes out next and what is acknowledged. No I/O, no clock.
//!
//! Message `k` of a connection is reading `k / sensors` of its sensor `k % sensors` and has packet
//! id `k % 65535 + 1`. Two counters therefore say everything: `acked..sent` is unacknowledged, and
//! after a lost connection it is sent again, with DUP, by setting the cursor back to `acked`.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::ledger::Ledger;
use crate::packet::{PUBACK_HEAD, Qos, Stamp, TIME_BYTES, Template};
use crate::plan::Plan;
use crate::value::{Texts, tenths};

/// Packet ids are 16 bits and never 0 (MQTT 3.1.1 §2.3.1).
const PACKET_IDS: u64 = 65_535;

/// What all sessions of a run share while they encode.
#[derive(Debug)]
pub struct Press {
    /// The packet to copy.
    pub template: Template,
    /// The texts of the values.
    pub texts: Texts,
    /// Where published readings are entered.
    pub ledger: Ledger,
    /// What is sent now carries this time.
    pub clock: TimeText,
}

/// State of one connection's messages.
#[derive(Debug)]
pub struct Session {
    first_sensor: u32,
    sensors: u64,
    qos: Qos,
    window: u64,
    total: u64,
    acked: u64,
    next: Cursor,
    published: u64,
    /// Milliseconds of the last `window` messages, by `k % window`; empty without timestamps.
    times: Vec<i64>,
    /// Milliseconds of each sensor's last message, by its slot; empty without timestamps. They
    /// ascend, also when many messages are made up for at once: of two that say the same time the
    /// last is the one that is counted last, and they may overtake each other in a broker.
    latest: Vec<i64>,
    /// Bytes of a PUBACK whose rest has not arrived.
    partial: Vec<u8>,
    /// One message whose PUBACK is timed.
    sample: Option<(u64, Instant)>,
}

/// The next message to encode: `k`, and what follows from it.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    k: u64,
    slot: u64,
    number: u64,
}

impl Cursor {
    fn at(k: u64, sensors: u64) -> Self {
        Self { k, slot: k % sensors, number: k / sensors }
    }

    fn advance(&mut self, sensors: u64) {
        self.k += 1;
        self.slot += 1;
        if self.slot == sensors {
            (self.slot, self.number) = (0, self.number + 1);
        }
    }
}

impl Session {
    /// The share of connection number `connection`, from 0.
    #[must_use]
    pub fn new(plan: &Plan, connection: u32) -> Self {
        let (first_sensor, sensors) = plan.sensors_of(connection);
        let window = u64::from(plan.window);
        Self {
            first_sensor,
            sensors: u64::from(sensors),
            qos: plan.qos,
            window,
            total: plan.messages_of(connection),
            acked: 0,
            next: Cursor::default(),
            published: 0,
            times: vec![0; if plan.timestamps { usize::from(plan.window) } else { 0 }],
            latest: vec![i64::MIN; if plan.timestamps { sensors as usize } else { 0 }],
            partial: Vec::new(),
            sample: None,
        }
    }

    /// Encodes at most `limit` messages, as far as the window allows; returns how many.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: u64, now: Instant, press: &mut Press) -> u64 {
        let room = match self.qos {
            Qos::AtMostOnce => u64::MAX,
            Qos::AtLeastOnce => self.window - (self.next.k - self.acked),
        };
        let count = limit.min(room).min(self.total - self.next.k);
        for _ in 0..count {
            self.encode(out, press);
        }
        if self.qos == Qos::AtMostOnce {
            self.acked = self.next.k;
        } else if count > 0 && self.sample.is_none() {
            self.sample = Some((self.next.k - 1, now));
        }
        count
    }

    fn encode(&mut self, out: &mut Vec<u8>, press: &mut Press) {
        let Cursor { k, slot, number } = self.next;
        let sensor = self.first_sensor + slot as u32;
        let tenths = tenths(sensor, number);
        let duplicate = k < self.published;
        if duplicate {
            press.ledger.resend(sensor);
        } else {
            press.ledger.publish(sensor, tenths);
            self.published = k + 1;
        }
        if !self.times.is_empty() {
            let time = &mut self.times[(k % self.window) as usize];
            if !duplicate {
                let latest = &mut self.latest[slot as usize];
                *latest = press.clock.now_ms.max(latest.saturating_add(1));
                *time = *latest;
            }
            press.clock.format(*time);
        }
        let stamp = Stamp {
            duplicate,
            packet_id: packet_id(k),
            sensor,
            value: press.texts.of(tenths),
            time: &press.clock.text,
        };
        press.template.append(out, stamp);
        self.next.advance(self.sensors);
    }

    /// Takes what arrived: PUBACKs, whole and in the order of the messages.
    ///
    /// Returns how many, and how long the timed one took if it is among them.
    ///
    /// # Errors
    /// A PUBACK out of order, twice or for something never sent, or another packet: the server is
    /// broken and the run worthless.
    pub fn acknowledge(&mut self, bytes: &[u8], now: Instant) -> Result<Acknowledged> {
        let before = self.acked;
        let mut rest = bytes;
        if !self.partial.is_empty() {
            let missing = (4 - self.partial.len()).min(rest.len());
            self.partial.extend_from_slice(&rest[..missing]);
            rest = &rest[missing..];
            if self.partial.len() == 4 {
                let whole = std::mem::take(&mut self.partial);
                self.take(&whole)?;
            }
        }
        let mut packets = rest.chunks_exact(4);
        for packet in &mut packets {
            self.take(packet)?;
        }
        self.partial.extend_from_slice(packets.remainder());
        let mut latency = None;
        if let Some((_, sent_at)) = self.sample.filter(|(k, _)| *k < self.acked) {
            latency = Some(now.duration_since(sent_at));
            self.sample = None;
        }
        Ok(Acknowledged { messages: self.acked - before, latency })
    }

    fn take(&mut self, packet: &[u8]) -> Result<()> {
        if packet[..2] != PUBACK_HEAD {
            bail!("expected a PUBACK (40 02), got a packet that begins {packet:02x?}");
        }
        let found = u16::from_be_bytes([packet[2], packet[3]]);
        if self.acked == self.next.k {
            bail!("PUBACK for packet id {found}, but nothing is unacknowledged");
        }
        let expected = packet_id(self.acked);
        if found != expected {
            bail!("PUBACK out of order: packet id {found} instead of {expected}");
        }
        self.acked += 1;
        Ok(())
    }

    /// The connection is gone: what is unacknowledged goes out again on the next one.
    pub fn restart(&mut self) {
        self.next = Cursor::at(self.acked, self.sensors);
        self.partial.clear();
        self.sample = None;
    }

    /// Publishes nothing new any more; what was published may still be sent again.
    pub fn stop(&mut self) {
        self.total = self.published;
    }

    /// Whether everything is sent and, at QoS 1, acknowledged.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.acked == self.total
    }

    /// Enters the readings without PUBACK into the ledger as unknown. At the end of a run, once.
    pub fn settle(&self, ledger: &mut Ledger) {
        for k in self.acked..self.published {
            ledger.leave_unknown(self.first_sensor + (k % self.sensors) as u32);
        }
    }
}

/// What [`Session::acknowledge`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Messages acknowledged.
    pub messages: u64,
    /// Time between sending and PUBACK of the timed message.
    pub latency: Option<std::time::Duration>,
}

fn packet_id(k: u64) -> u16 {
    (k % PACKET_IDS) as u16 + 1
}

/// RFC 3339 in UTC; formatted anew only when the millisecond changes.
#[derive(Debug)]
pub struct TimeText {
    /// Milliseconds since 1970 that new messages carry.
    pub now_ms: i64,
    formatted_ms: i64,
    text: [u8; TIME_BYTES],
}

impl TimeText {
    /// A clock that stands at `now_ms`.
    #[must_use]
    pub fn new(now_ms: i64) -> Self {
        Self { now_ms, formatted_ms: i64::MIN, text: *b"1970-01-01T00:00:00.000Z" }
    }

    fn format(&mut self, ms: i64) {
        if ms == self.formatted_ms {
            return;
        }
        self.formatted_ms = ms;
        // A time that the calendar cannot express (before −9999, after 9999) keeps the old text.
        if let Ok(time) = jiff::Timestamp::from_millisecond(ms) {
            let text = time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
            if text.len() == TIME_BYTES {
                self.text.copy_from_slice(text.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Length;

    fn stage(timestamps: bool) -> (Session, Press, Instant) {
        let mut plan = Plan::new(([127, 0, 0, 1], 1883).into());
        (plan.connections, plan.window, plan.sensors) = (1, 4, 3);
        plan.timestamps = timestamps;
        plan.length = Length::Messages(10);
        let press = Press {
            template: Template::new(&plan).unwrap(),
            texts: Texts::new(),
            ledger: Ledger::new("s", 3),
            clock: TimeText::new(1_704_110_400_000),
        };
        (Session::new(&plan, 0), press, Instant::now())
    }

    fn pubacks(ids: impl IntoIterator<Item = u16>) -> Vec<u8> {
        ids.into_iter().flat_map(|id| [0x40, 2, (id >> 8) as u8, id as u8]).collect()
    }

    #[test]
    fn the_window_bounds_what_is_unacknowledged() {
        let (mut session, mut press, now) = stage(false);
        let mut out = Vec::new();
        assert_eq!(session.fill(&mut out, 100, now, &mut press), 4);
        assert_eq!(session.fill(&mut out, 100, now, &mut press), 0);
        assert_eq!(session.acknowledge(&pubacks([1, 2]), now).unwrap().messages, 2);
        assert_eq!(session.fill(&mut out, 1, now, &mut press), 1);
        assert_eq!(session.fill(&mut out, 100, now, &mut press), 1);
        assert_eq!(out.len(), 6 * press.template.packet_bytes());
        assert_eq!(press.ledger.total(|tally| tally.published), 6);
    }

    #[test]
    fn pubacks_may_arrive_in_any_pieces() {
        let (mut session, mut press, now) = stage(false);
        session.fill(&mut Vec::new(), 4, now, &mut press);
        let bytes = pubacks([1, 2, 3, 4]);
        let mut acked = 0;
        for piece in [&bytes[..1], &bytes[1..3], &bytes[3..9], &bytes[9..]] {
            acked += session.acknowledge(piece, now).unwrap().messages;
        }
        assert_eq!(acked, 4);
    }

    #[test]
    fn a_puback_out_of_order_or_out_of_nothing_is_an_error() {
        let (mut session, mut press, now) = stage(false);
        assert!(session.acknowledge(&pubacks([1]), now).is_err());
        session.fill(&mut Vec::new(), 4, now, &mut press);
        let error = session.acknowledge(&pubacks([2]), now).unwrap_err().to_string();
        assert_eq!(error, "PUBACK out of order: packet id 2 instead of 1");
        assert!(session.acknowledge(&[0xD0, 0, 0, 0], now).is_err());
    }

    #[test]
    fn a_lost_connection_resends_the_unacknowledged_with_dup_and_their_first_time() {
        let (mut session, mut press, now) = stage(true);
        let mut first = Vec::new();
        session.fill(&mut first, 4, now, &mut press);
        session.acknowledge(&pubacks([1]), now).unwrap();
        session.restart();
        press.clock.now_ms += 5_000;
        let mut again = Vec::new();
        assert_eq!(session.fill(&mut again, 100, now, &mut press), 4);

        let bytes = press.template.packet_bytes();
        let resent: Vec<u8> = again[..3 * bytes].to_vec();
        for (packet, original) in resent.chunks(bytes).zip(first[bytes..].chunks(bytes)) {
            assert_eq!(packet[0], original[0] | 0x08);
            assert_eq!(packet[1..], original[1..]);
        }
        assert_eq!(again[3 * bytes] & 0x08, 0, "message 5 is new");
        assert_eq!(press.ledger.total(|tally| tally.published), 5);
        assert_eq!(press.ledger.total(|tally| tally.resent), 3);
    }

    #[test]
    fn times_of_a_sensor_ascend_though_its_messages_are_made_at_once() {
        let (mut session, mut press, now) = stage(true);
        let mut packets = Vec::new();
        session.fill(&mut packets, 4, now, &mut press);
        let bytes = press.template.packet_bytes();
        let time = |packet: &[u8]| {
            let text = String::from_utf8_lossy(packet).into_owned();
            let at = text.find("Z\"").unwrap();
            text[at + 1 - TIME_BYTES..=at].to_owned()
        };
        let times: Vec<String> = packets.chunks(bytes).map(time).collect();
        let sensors = usize::try_from(session.sensors).unwrap();
        assert!(times.len() > sensors, "of one sensor there are two");
        assert!((sensors..times.len()).all(|k| times[k - sensors] < times[k]), "{times:?}");
    }

    #[test]
    fn messages_without_puback_end_as_unknown() {
        let (mut session, mut press, now) = stage(false);
        session.fill(&mut Vec::new(), 4, now, &mut press);
        session.acknowledge(&pubacks([1]), now).unwrap();
        session.settle(&mut press.ledger);
        let unknown: Vec<u64> = press.ledger.tallies().iter().map(|tally| tally.unknown).collect();
        assert_eq!(unknown, [1, 1, 1]);
    }

    #[test]
    fn packet_ids_pass_over_zero() {
        assert_eq!(packet_id(0), 1);
        assert_eq!(packet_id(65_534), 65_535);
        assert_eq!(packet_id(65_535), 1);
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        let mut clock = TimeText::new(0);
        clock.format(1_704_110_400_007);
        assert_eq!(&clock.text, b"2024-01-01T12:00:00.007Z");
    }
}
