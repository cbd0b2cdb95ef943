//! MQTT 3.1.1 packets, encoded ahead.
//!
//! All PUBLISH packets of a run have the same length: one template is copied and a few bytes are
//! patched (packet id, sensor digits, value, time). The template stays in the first-level cache
//! whatever the number of sensors.

use anyhow::{Result, bail};

use crate::plan::Plan;
use crate::value;

/// Quality of service of a PUBLISH; QoS 2 is not used by sensors and not by this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// QoS 0: no acknowledgement.
    AtMostOnce,
    /// QoS 1: a PUBACK for each.
    AtLeastOnce,
}

/// The packet that ends a connection in an orderly way (MQTT 3.1.1 §3.14).
pub const DISCONNECT: [u8; 2] = [0xE0, 0x00];

/// First two bytes of every PUBACK; the packet id follows (§3.4).
pub const PUBACK_HEAD: [u8; 2] = [0x40, 0x02];

/// The answer to an accepted CONNECT with a clean session (§3.2).
pub const CONNACK_ACCEPTED: [u8; 4] = [0x20, 0x02, 0x00, 0x00];

const PUBLISH_QOS_0: u8 = 0x30;
const PUBLISH_QOS_1: u8 = 0x32;
const DUP: u8 = 0x08;

/// Length of `2024-01-01T12:00:00.000Z`.
pub const TIME_BYTES: usize = 24;

/// The longest `location` that Streamgauge keeps; filler beyond it goes into `metadata`.
const LOCATION_BYTES_MAX: usize = 256;

/// CONNECT with a clean session and without keep-alive: a device under back-pressure may be
/// silent for long, and dead connections are this program's to notice.
#[must_use]
pub fn connect(client_id: &str, credentials: Option<&(String, String)>) -> Vec<u8> {
    let mut body = vec![0x00, 0x04, b'M', b'Q', b'T', b'T', 0x04];
    body.push(if credentials.is_some() { 0b1100_0010 } else { 0b0000_0010 });
    body.extend([0x00, 0x00]);
    push_text(&mut body, client_id);
    if let Some((username, password)) = credentials {
        push_text(&mut body, username);
        push_text(&mut body, password);
    }
    let mut packet = vec![0x10];
    push_length(&mut packet, body.len());
    packet.extend(body);
    packet
}

/// A text with its two length bytes (§1.5.3).
fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

/// The remaining length: seven bits a byte, low bits first (§2.2.3).
fn push_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length & 0x7F) as u8;
        length >>= 7;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

/// Appends a PUBLISH at QoS 1 (§3.3) of any topic and payload.
pub fn append_publish(out: &mut Vec<u8>, topic: &str, packet_id: u16, payload: &[u8]) {
    out.push(PUBLISH_QOS_1);
    push_length(out, 2 + topic.len() + 2 + payload.len());
    push_text(out, topic);
    out.extend(packet_id.to_be_bytes());
    out.extend(payload);
}

/// What differs between two PUBLISH packets of a run.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Set when the message was sent before on a connection that was lost.
    pub duplicate: bool,
    /// Not used at QoS 0.
    pub packet_id: u16,
    /// Index of the sensor, from 0.
    pub sensor: u32,
    /// The value's text.
    pub value: &'a [u8; value::TEXT_BYTES],
    /// RFC 3339; not used without timestamps.
    pub time: &'a [u8; TIME_BYTES],
}

/// The PUBLISH packet that all of a run are copies of.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    digits: usize,
    topic_digits_at: usize,
    packet_id_at: Option<usize>,
    payload_digits_at: usize,
    value_at: usize,
    time_at: Option<usize>,
}

impl Template {
    /// Encodes the packet of a plan.
    ///
    /// # Errors
    /// A payload length in which the documented message does not fit, or that needs more filler
    /// than Streamgauge keeps.
    pub fn new(plan: &Plan) -> Result<Self> {
        let digits = digits(plan.sensors);
        let zeros = "0".repeat(digits);
        let topic = format!("sensors/{}{zeros}/temperature", plan.prefix);
        let payload = payload(plan, &zeros)?;

        let mut bytes = vec![match plan.qos {
            Qos::AtMostOnce => PUBLISH_QOS_0,
            Qos::AtLeastOnce => PUBLISH_QOS_1,
        }];
        let id_bytes = if plan.qos == Qos::AtLeastOnce { 2 } else { 0 };
        push_length(&mut bytes, 2 + topic.len() + id_bytes + payload.len());
        let topic_digits_at = bytes.len() + 2 + "sensors/".len() + plan.prefix.len();
        push_text(&mut bytes, &topic);
        let packet_id_at = (id_bytes > 0).then_some(bytes.len());
        bytes.resize(bytes.len() + id_bytes, 0);
        let base = bytes.len();
        bytes.extend(payload.as_bytes());
        let at = |key: &str| payload.find(key).map(|start| base + start + key.len());
        let (Some(id_at), Some(value_at)) = (at(r#""sensor_id":""#), at(r#""value":"#)) else {
            bail!("the payload template has no sensor_id or no value: {payload}");
        };
        Ok(Self {
            digits,
            topic_digits_at,
            packet_id_at,
            payload_digits_at: id_at + plan.prefix.len(),
            value_at,
            time_at: at(r#""timestamp":""#),
            bytes,
        })
    }

    /// Length of every packet.
    #[must_use]
    pub fn packet_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds one packet to a buffer.
    pub fn append(&self, out: &mut Vec<u8>, stamp: Stamp<'_>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let packet = &mut out[start..];
        if stamp.duplicate {
            packet[0] |= DUP;
        }
        if let Some(at) = self.packet_id_at {
            packet[at..at + 2].copy_from_slice(&stamp.packet_id.to_be_bytes());
        }
        let digits = self.topic_digits_at..self.topic_digits_at + self.digits;
        write_digits(&mut packet[digits.clone()], stamp.sensor);
        packet.copy_within(digits, self.payload_digits_at);
        let value = self.value_at..self.value_at + value::TEXT_BYTES;
        packet[value].copy_from_slice(stamp.value);
        if let Some(at) = self.time_at {
            packet[at..at + TIME_BYTES].copy_from_slice(stamp.time);
        }
    }
}

/// Digits of a sensor id: five, or as many as the number of sensors needs.
#[must_use]
pub fn digits(sensors: u32) -> usize {
    (sensors.saturating_sub(1).checked_ilog10().unwrap_or(0) as usize + 1).max(5)
}

/// Right-aligned with leading zeros.
fn write_digits(out: &mut [u8], mut number: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The documented message, filled up to the wanted length with a longer location.
fn payload(plan: &Plan, zeros: &str) -> Result<String> {
    let prefix = &plan.prefix;
    let head = format!(
        r#"{{"sensor_id":"{prefix}{zeros}","type":"temperature","value":{},"unit":"°C""#,
        " ".repeat(value::TEXT_BYTES)
    );
    let time = if plan.timestamps {
        format!(r#","timestamp":"{}""#, "0".repeat(TIME_BYTES))
    } else {
        String::new()
    };
    let bare = head.len() + time.len() + r#","location":""}"#.len();
    let note = r#","metadata":{"note":""}"#.len();
    let (least, most) = (bare + 1, bare + LOCATION_BYTES_MAX + note + 4_000);
    if !(least..=most).contains(&plan.payload_bytes) {
        bail!("--payload-bytes {}: {least} to {most}", plan.payload_bytes);
    }
    let spare = plan.payload_bytes - bare;
    if spare <= LOCATION_BYTES_MAX {
        return Ok(format!(r#"{head}{time},"location":"{}"}}"#, filler(spare)));
    }
    // What a location cannot take is a note; a note of zero bytes still costs its keys.
    let location = LOCATION_BYTES_MAX.min(spare.saturating_sub(note));
    let note = filler(spare - location - note);
    let location = filler(location);
    Ok(format!(r#"{head}{time},"location":"{location}","metadata":{{"note":"{note}"}}}}"#))
}

fn filler(bytes: usize) -> String {
    "Room A, second shelf from the left, ".chars().cycle().take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(qos: Qos, payload_bytes: usize, timestamps: bool) -> Plan {
        let mut plan = Plan::new(([127, 0, 0, 1], 1883).into());
        (plan.qos, plan.payload_bytes, plan.timestamps) = (qos, payload_bytes, timestamps);
        plan
    }

    fn stamped(plan: &Plan) -> Vec<u8> {
        let stamp = Stamp {
            duplicate: false,
            packet_id: 0x1234,
            sensor: 42,
            value: b" 21.5",
            time: b"2024-01-01T12:00:00.000Z",
        };
        let mut out = Vec::new();
        Template::new(plan).unwrap().append(&mut out, stamp);
        out
    }

    #[test]
    fn a_publish_has_the_parts_of_the_specification() {
        let packet = stamped(&plan(Qos::AtLeastOnce, 128, false));
        let topic = b"sensors/s00042/temperature";
        assert_eq!(packet[0], 0x32);
        let remaining = usize::from(packet[1] & 0x7F) | usize::from(packet[2]) << 7;
        assert_eq!(remaining, packet.len() - 3);
        assert_eq!(packet[3..5], [0, topic.len() as u8]);
        assert_eq!(&packet[5..5 + topic.len()], topic);
        assert_eq!(packet[5 + topic.len()..7 + topic.len()], [0x12, 0x34]);
        assert_eq!(packet.len() - 7 - topic.len(), 128);
    }

    #[test]
    fn payloads_are_json_of_the_wanted_length() {
        for (bytes, timestamps) in [
            (90, false),
            (128, false),
            (128, true),
            (340, false),
            (341, false),
            (350, true),
            (365, false),
            (1_000, true),
            (4_200, false),
        ] {
            for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
                let packet = stamped(&plan(qos, bytes, timestamps));
                let payload = &packet[packet.len() - bytes..];
                let json: serde_json::Value = serde_json::from_slice(payload).unwrap();
                assert_eq!(json["sensor_id"], "s00042");
                assert_eq!(json["value"], 21.5);
                assert_eq!(json["unit"], "°C");
                assert!(json["location"].as_str().unwrap().len() <= LOCATION_BYTES_MAX);
                let time = json["timestamp"].as_str();
                assert_eq!(time, timestamps.then_some("2024-01-01T12:00:00.000Z"));
            }
        }
    }

    #[test]
    fn a_payload_that_cannot_be_is_refused_with_the_range() {
        let error = Template::new(&plan(Qos::AtMostOnce, 20, false)).unwrap_err().to_string();
        assert!(error.starts_with("--payload-bytes 20: "), "{error}");
        assert!(Template::new(&plan(Qos::AtMostOnce, 10_000, false)).is_err());
    }

    #[test]
    fn connect_asks_for_a_clean_session_of_protocol_4() {
        let packet = connect("c", None);
        assert_eq!(packet, [16, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 1, b'c']);
        let packet = connect("c", Some(&("u".to_owned(), "p".to_owned())));
        assert_eq!(packet[9], 0xC2);
        assert!(packet.ends_with(&[0, 1, b'u', 0, 1, b'p']));
    }

    #[test]
    fn sensor_ids_are_as_wide_as_the_largest() {
        let table = [(1, 5), (100_000, 5), (100_001, 6), (1_000_000, 6), (u32::MAX, 10)];
        for (sensors, expected) in table {
            assert_eq!(digits(sensors), expected, "{sensors}");
        }
    }
}
