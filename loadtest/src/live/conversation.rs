//! One WebSocket from its handshake to its end, as bytes in → bytes out; no I/O.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;

use super::frames::{Frame, Inbound, Opcode, append};

/// The key of the example of RFC 6455 §1.3 and its answer: the server has to compute something,
/// this end has not.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The head of an answer is a few lines.
const HEAD_BYTES_MAX: usize = 4 << 10;

/// The request that begins a WebSocket.
#[must_use]
pub fn request(to: SocketAddr, token: &str) -> Vec<u8> {
    format!(
        "GET /ws HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {token}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n",
        to.port()
    )
    .into_bytes()
}

/// What a client subscribes to, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// `*`, ids, prefixes.
    pub sensors: Vec<String>,
    /// Most frames a second for one series.
    pub max_hz: f64,
    /// Every reading, none replaced.
    pub every: bool,
    /// Several readings a frame.
    pub batch: bool,
}

impl Subscription {
    /// The event that asks for it, as a frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let data = serde_json::json!({
            "sensors": self.sensors,
            "max_hz": self.max_hz,
            "every": self.every,
            "batch": self.batch,
        });
        let text = serde_json::json!({"event": "subscribe", "data": data}).to_string();
        let mut frame = Vec::new();
        append(&mut frame, Opcode::Text, text.as_bytes());
        frame
    }
}

/// What is heard in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The subscription is in force.
    Subscribed,
    /// An event, `{"event":"…","data":{…}}`. Before [`Heard::Subscribed`] it may be of a sensor
    /// that was not asked for.
    Event(&'a [u8]),
    /// The server ends it, with a code and a reason.
    Ended(u16, &'a str),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Handshake,
    Asked,
    Subscribed,
}

/// What is known of one connection.
#[derive(Debug, Default)]
pub struct Conversation {
    stage: Stage,
    inbound: Inbound,
    /// What arrived of the handshake's answer.
    head: Vec<u8>,
}

impl Conversation {
    /// Whether the subscription is in force.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        self.stage == Stage::Subscribed
    }

    /// Takes what was read. What must be sent is appended to `out`: `subscribe` after the
    /// handshake, and pongs.
    ///
    /// # Errors
    /// The handshake is refused, the server errs against RFC 6455, it answers with `error`, or
    /// what `each` says.
    pub fn hear(
        &mut self,
        bytes: &[u8],
        subscribe: &[u8],
        out: &mut Vec<u8>,
        mut each: impl FnMut(Heard<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.stage != Stage::Handshake {
            return self.frames(bytes, out, &mut each);
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.head, b"\r\n\r\n") else {
            ensure!(self.head.len() <= HEAD_BYTES_MAX, "the handshake's answer does not end");
            return Ok(());
        };
        let head = std::mem::take(&mut self.head);
        check_answer(&head[..end])?;
        self.stage = Stage::Asked;
        out.extend_from_slice(subscribe);
        self.frames(&head[end + 4..], out, &mut each)
    }

    fn frames(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        each: &mut impl FnMut(Heard<'_>) -> Result<()>,
    ) -> Result<()> {
        let Self { stage, inbound, .. } = self;
        inbound.feed(bytes, |Frame { opcode, payload }| match opcode {
            Opcode::Text if *stage == Stage::Subscribed => each(Heard::Event(payload)),
            Opcode::Text if is_subscribed_status(payload) => {
                *stage = Stage::Subscribed;
                each(Heard::Subscribed)
            }
            Opcode::Text if payload.starts_with(br#"{"event":"error""#) => {
                bail!("the server answers {}", String::from_utf8_lossy(payload))
            }
            Opcode::Text => each(Heard::Event(payload)),
            Opcode::Ping => {
                append(out, Opcode::Pong, payload);
                Ok(())
            }
            Opcode::Pong => Ok(()),
            Opcode::Close => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                let reason = payload.get(2..).unwrap_or_default();
                each(Heard::Ended(code, std::str::from_utf8(reason)?))
            }
        })
    }
}

fn is_subscribed_status(payload: &[u8]) -> bool {
    payload.starts_with(br#"{"event":"status""#)
        && memmem::find(payload, br#""message":"subscribed""#).is_some()
}

fn check_answer(head: &[u8]) -> Result<()> {
    let head = std::str::from_utf8(head).context("the handshake's answer is not text")?;
    let line = head.lines().next().unwrap_or_default();
    ensure!(line.split(' ').nth(1) == Some("101"), "the handshake is answered by {line:?}");
    let accept = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-accept").then(|| value.trim())
    });
    ensure!(accept == Some(ACCEPT), "Sec-WebSocket-Accept is {accept:?} in place of {ACCEPT}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn text(payload: &str) -> Vec<u8> {
        let mut out = vec![0x81, payload.len() as u8];
        out.extend(payload.as_bytes());
        out
    }

    #[test]
    fn a_client_asks_after_the_handshake_and_then_listens() {
        let mut wire = ANSWER.as_bytes().to_vec();
        wire.extend(text(r#"{"event":"status","data":{"message":"connected"}}"#));
        wire.extend(text(r#"{"event":"sensor_update","data":{}}"#));
        wire.extend(text(r#"{"event":"status","data":{"message":"subscribed"}}"#));
        wire.extend([0x89, 2, b'h', b'i']);
        wire.extend([0x88, 6, 0x0F, 0xA0]);
        wire.extend(b"slow");
        for piece in [1, 5, wire.len()] {
            let mut conversation = Conversation::default();
            let (mut out, mut heard) = (Vec::new(), Vec::new());
            for bytes in wire.chunks(piece) {
                conversation
                    .hear(bytes, b"SUBSCRIBE", &mut out, |what| {
                        heard.push(match what {
                            Heard::Subscribed => "subscribed".to_owned(),
                            Heard::Event(event) => event[10..16].escape_ascii().to_string(),
                            Heard::Ended(code, reason) => format!("{code} {reason}"),
                        });
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(heard, ["status", "sensor", "subscribed", "4000 slow"]);
            assert!(conversation.is_subscribed());
            let mut expected = b"SUBSCRIBE".to_vec();
            append(&mut expected, Opcode::Pong, b"hi");
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_refusal_is_told() {
        let hear = |wire: &[u8]| {
            let mut conversation = Conversation::default();
            conversation.hear(wire, b"", &mut Vec::new(), |_| Ok(())).unwrap_err().to_string()
        };
        let busy = hear(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
        assert!(busy.contains("503 Service"), "{busy}");
        let other = hear(b"HTTP/1.1 101 Hm\r\nsec-websocket-accept: x\r\n\r\n");
        assert!(other.contains("Accept"), "{other}");
        let mut wire = ANSWER.as_bytes().to_vec();
        wire.extend(text(r#"{"event":"error","data":{"message":"no"}}"#));
        assert!(hear(&wire).contains(r#""message":"no""#));
    }

    #[test]
    fn the_subscription_is_asked_for_in_full() {
        let subscription = Subscription {
            sensors: vec!["a".to_owned(), "b*".to_owned()],
            max_hz: 5.0,
            every: false,
            batch: true,
        };
        let frame = subscription.frame();
        assert!(frame[1] & 0x7F < 126, "the head is short");
        let (mask, text) = frame[2..].split_at(4);
        let text: Vec<u8> = text.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
        let found: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let expected = serde_json::json!({"event": "subscribe", "data":
            {"sensors": ["a", "b*"], "max_hz": 5.0, "every": false, "batch": true}});
        assert_eq!(found, expected);
    }
}
