//! The front of a read buffer as an MQTT 3.1.1 packet, without copying and without allocating.
//!
//! PUBLISH is read here; of any other packet only the frame is found, and rumqttc's codec reads
//! it. A PUBLISH whose payload is over the limit is reported as soon as its head (topic, packet
//! id, the first 512 bytes of payload) is there, so that the rest never has to be kept.

use thiserror::Error;

use crate::message::REFUSED_PAYLOAD_BYTES_MAX;

/// How long a packet other than PUBLISH may be. The longest CONNECT has five fields of 65,535
/// bytes; nobody needs that: 128 KiB is a guess that leaves room for a will and a long token.
pub(super) const CONTROL_BYTES_MAX: usize = 128 << 10;

/// Packet types (MQTT 3.1.1 §2.2.1) that a client may send.
pub(super) mod kind {
    pub const CONNECT: u8 = 1;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const SUBSCRIBE: u8 = 8;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const PINGREQ: u8 = 12;
    pub const DISCONNECT: u8 = 14;
}

/// What stands at the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front<'a> {
    /// Too little to say; at least so many bytes are needed from the front on.
    Partial { bytes: usize },
    /// A whole PUBLISH; its frame is `frame_bytes` long.
    Publish { publish: Publish<'a>, frame_bytes: usize },
    /// The head of a PUBLISH that is too large: the payload is cut, and the frame is
    /// `frame_bytes` long, most of it not here yet.
    Oversized { publish: Publish<'a>, frame_bytes: usize },
    /// Another packet: its type, and its whole frame.
    Other { kind: u8, frame: &'a [u8] },
}

/// A PUBLISH with QoS 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Publish<'a> {
    /// Not empty, no NUL, no wildcard.
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// The packet id; `None` for QoS 0.
    pub id: Option<u16>,
    pub dup: bool,
    pub retain: bool,
}

/// Why the connection has to be closed: the bytes are not what a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Violation {
    #[error("a remaining length of more than four bytes")]
    Length,
    #[error("a packet of this type does not come from a client")]
    Type,
    #[error("reserved bits of the fixed header are wrong")]
    Flags,
    #[error("QoS 3")]
    Qos,
    #[error("a PUBLISH with QoS 2")]
    QosTwo,
    #[error("the packet is shorter than what it holds")]
    Short,
    #[error("the topic is empty, not UTF-8, or has NUL or a wildcard")]
    Topic,
    #[error("a packet id of 0")]
    PacketId,
    #[error("a packet other than PUBLISH of more than 128 KiB")]
    TooLong,
    #[error("the first packet is not CONNECT")]
    NotConnected,
    #[error("a second CONNECT")]
    ConnectedAlready,
    #[error("a CONNECT, SUBSCRIBE or UNSUBSCRIBE that cannot be read")]
    Unreadable,
}

/// Looks at the front of `bytes`. `payload_bytes_max` is what a PUBLISH may carry.
pub(super) fn front(bytes: &[u8], payload_bytes_max: usize) -> Result<Front<'_>, Violation> {
    let Some(&first) = bytes.first() else { return Ok(Front::Partial { bytes: 2 }) };
    let kind = first >> 4;
    match (kind, first & 0x0F) {
        (kind::PUBLISH, flags) => match (flags >> 1) & 3 {
            2 => return Err(Violation::QosTwo),
            3 => return Err(Violation::Qos),
            _ => {}
        },
        (kind::SUBSCRIBE | kind::UNSUBSCRIBE, 2) => {}
        (kind::CONNECT | kind::PUBACK | kind::PINGREQ | kind::DISCONNECT, 0) => {}
        (
            kind::SUBSCRIBE
            | kind::UNSUBSCRIBE
            | kind::CONNECT
            | kind::PUBACK
            | kind::PINGREQ
            | kind::DISCONNECT,
            _,
        ) => return Err(Violation::Flags),
        _ => return Err(Violation::Type),
    }
    let Some((header, remaining)) = remaining_length(bytes)? else {
        return Ok(Front::Partial { bytes: bytes.len() + 1 });
    };
    let end = header + remaining;
    if kind == kind::PUBLISH {
        return publish(bytes, header, end, payload_bytes_max);
    }
    if end > CONTROL_BYTES_MAX {
        return Err(Violation::TooLong);
    }
    match bytes.get(..end) {
        Some(frame) => Ok(Front::Other { kind, frame }),
        None => Ok(Front::Partial { bytes: end }),
    }
}

/// The length of the fixed header and of what follows it (§2.2.3); `None` when the header is
/// not whole yet.
pub(super) fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Violation> {
    let mut remaining = 0;
    for (index, &byte) in bytes.iter().skip(1).take(4).enumerate() {
        remaining |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((index + 2, remaining)));
        }
    }
    if bytes.len() > 4 { Err(Violation::Length) } else { Ok(None) }
}

/// A PUBLISH whose variable header starts at `header` and whose frame ends at `end`.
fn publish(
    bytes: &[u8],
    header: usize,
    end: usize,
    payload_bytes_max: usize,
) -> Result<Front<'_>, Violation> {
    let Some(&[high, low]) = bytes.get(header..header + 2) else {
        return if end < header + 2 {
            Err(Violation::Short)
        } else {
            Ok(Front::Partial { bytes: header + 2 })
        };
    };
    let topic = header + 2..header + 2 + usize::from(u16::from_be_bytes([high, low]));
    let flags = bytes[0] & 0x0F;
    let has_id = flags & 0b0110 != 0;
    let payload = topic.end + if has_id { 2 } else { 0 };
    let Some(payload_bytes) = end.checked_sub(payload) else { return Err(Violation::Short) };
    let oversized = payload_bytes > payload_bytes_max;
    let needed =
        if oversized { payload + payload_bytes.min(REFUSED_PAYLOAD_BYTES_MAX) } else { end };
    let Some(head) = bytes.get(..needed) else { return Ok(Front::Partial { bytes: needed }) };
    let id = has_id.then(|| u16::from_be_bytes([head[topic.end], head[topic.end + 1]]));
    if id == Some(0) {
        return Err(Violation::PacketId);
    }
    let publish = Publish {
        topic: plain_topic(&head[topic])?,
        payload: &head[payload..],
        id,
        dup: flags & 0b1000 != 0,
        retain: flags & 1 != 0,
    };
    Ok(if oversized {
        Front::Oversized { publish, frame_bytes: end }
    } else {
        Front::Publish { publish, frame_bytes: end }
    })
}

/// A topic name (§4.7.3): at least one character, no NUL, no wildcard.
fn plain_topic(bytes: &[u8]) -> Result<&str, Violation> {
    // Without an early exit the compiler looks at many bytes at once.
    let barred = bytes.iter().fold(false, |barred, byte| barred | matches!(byte, 0 | b'+' | b'#'));
    if barred || bytes.is_empty() {
        return Err(Violation::Topic);
    }
    std::str::from_utf8(bytes).map_err(|_| Violation::Topic)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;
    use rumqttc::mqttbytes::v4::{Packet, Publish as Theirs};
    use rumqttc::mqttbytes::{Error, QoS};

    use super::*;

    const PAYLOAD_BYTES_MAX: usize = 1000;

    fn encode(topic: &str, qos: QoS, id: u16, payload: &[u8]) -> Vec<u8> {
        let mut publish = Theirs::new(topic, qos, payload);
        publish.pkid = id;
        let mut bytes = BytesMut::new();
        publish.write(&mut bytes).unwrap();
        bytes.to_vec()
    }

    #[test]
    fn a_publish_is_read_where_it_stands() {
        let mut bytes = encode("a/b", QoS::AtLeastOnce, 10, b"{}");
        let frame_bytes = bytes.len();
        bytes[0] |= 0b1001;
        bytes.extend_from_slice(b"next");
        let publish =
            Publish { topic: "a/b", payload: b"{}", id: Some(10), dup: true, retain: true };
        assert_eq!(front(&bytes, 2), Ok(Front::Publish { publish, frame_bytes }));
        for cut in 0..frame_bytes {
            assert!(matches!(front(&bytes[..cut], 2), Ok(Front::Partial { bytes }) if bytes > cut));
        }
    }

    #[test]
    fn an_oversized_publish_is_known_by_its_head() {
        let bytes = encode("a/b", QoS::AtLeastOnce, 10, &[7; 5000]);
        let head = 3 + 2 + 3 + 2 + 512;
        let found = front(&bytes[..head], 4999).unwrap();
        let Front::Oversized { publish, frame_bytes } = found else { panic!("{found:?}") };
        assert_eq!((publish.topic, publish.id, publish.payload.len()), ("a/b", Some(10), 512));
        assert_eq!(frame_bytes, bytes.len());
        assert_eq!(front(&bytes[..head - 1], 4999), Ok(Front::Partial { bytes: head }));
        assert_eq!(front(&bytes[..head], 5000), Ok(Front::Partial { bytes: bytes.len() }));
    }

    #[test]
    fn what_a_client_may_not_send_is_named() {
        let check = |bytes: &[u8], violation| assert_eq!(front(bytes, 100), Err(violation));
        check(&[0x34], Violation::QosTwo);
        check(&[0x36], Violation::Qos);
        check(&[0x00], Violation::Type);
        check(&[0xF0], Violation::Type);
        check(&[0x20, 2, 0, 0], Violation::Type);
        check(&[0x80], Violation::Flags);
        check(&[0x13], Violation::Flags);
        check(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], Violation::Length);
        check(&[0x30, 1, 0], Violation::Short);
        check(&[0x30, 3, 0, 9, b'a'], Violation::Short);
        check(&[0x32, 3, 0, 1, b'a'], Violation::Short);
        check(&[0x32, 5, 0, 1, b'a', 0, 0], Violation::PacketId);
        check(&[0x30, 2, 0, 0], Violation::Topic);
        check(&[0x30, 3, 0, 1, 0], Violation::Topic);
        check(&[0x30, 3, 0, 1, b'#'], Violation::Topic);
        check(&[0x30, 3, 0, 1, 0xFF], Violation::Topic);
        check(&[0x10, 0x80, 0x80, 0x80, 0x01], Violation::TooLong);
    }

    /// Bytes that often look like packets.
    fn packets() -> impl Strategy<Value = Vec<u8>> {
        let publish =
            ("[a-c/+]{0,4}", 0u8..2, 0u16..3, prop::collection::vec(any::<u8>(), 0..1200))
                .prop_map(|(topic, qos, id, payload)| {
                    let id = if qos == 0 { 0 } else { id + 1 };
                    let qos = if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
                    encode(&topic, qos, id, &payload)
                });
        let noise = prop::collection::vec(any::<u8>(), 0..40);
        let headed = (any::<u8>(), noise.clone()).prop_map(|(length, mut bytes)| {
            bytes.splice(..0, [0x32, length & 0x1F]);
            bytes
        });
        prop_oneof![publish, noise, headed]
    }

    proptest! {
        #[test]
        fn the_scanner_agrees_with_rumqttc(bytes in packets(), cut in 0usize..1300) {
            let bytes = &bytes[..cut.min(bytes.len())];
            let mut theirs = BytesMut::from(bytes);
            match (front(bytes, PAYLOAD_BYTES_MAX), Packet::read(&mut theirs, 1 << 28)) {
                (Ok(Front::Publish { publish, frame_bytes }), Ok(Packet::Publish(read))) => {
                    prop_assert_eq!(publish.topic, read.topic);
                    prop_assert_eq!(publish.payload, &read.payload[..]);
                    prop_assert_eq!(publish.id.unwrap_or(0), read.pkid);
                    prop_assert_eq!((publish.dup, publish.retain), (read.dup, read.retain));
                    prop_assert_eq!(frame_bytes, bytes.len() - theirs.len());
                }
                (Ok(Front::Oversized { publish, .. }), Ok(Packet::Publish(read))) => {
                    prop_assert!(read.payload.len() > PAYLOAD_BYTES_MAX);
                    prop_assert_eq!(publish.payload, &read.payload[..512]);
                }
                (Ok(Front::Oversized { .. }), Err(Error::InsufficientBytes(_))) => {}
                (Ok(Front::Partial { .. }), theirs) => {
                    prop_assert!(matches!(theirs, Err(Error::InsufficientBytes(_))));
                }
                (Ok(Front::Other { .. }), _) => {}
                (Ok(front), theirs) => prop_assert!(false, "{front:?} but {theirs:?}"),
                // Stricter than rumqttc about topics, directions and flags; earlier about QoS.
                (Err(violation), Ok(Packet::Publish(read))) => prop_assert!(
                    violation == Violation::Topic || read.qos == QoS::ExactlyOnce
                ),
                (Err(_), _) => {}
            }
        }
    }
}
