//! What clients send, judged before the library gets it: the library ends a session without a word
//! when an event is too large or something is attached to it in binary.

use std::mem::take;

use super::mount::EVENT_BYTES_MAX;
use super::session::Refusal;
use crate::serve::live::Ending;

/// Between the packets of a polling request, and of its answer.
pub(super) const SEPARATOR: u8 = 0x1e;
/// The longest header of a WebSocket frame (RFC 6455 §5.2).
const HEADER_BYTES_MAX: usize = 14;
/// What follows the header's first byte.
const MASKED: u8 = 0x80;

/// The packets of a polling request.
pub(super) fn judge_body(body: &[u8]) -> Result<(), Refusal> {
    // engine.io sends what is binary in base64, behind a `b`.
    let has_binary = |packet: &[u8]| packet.starts_with(b"b") || announces_binary(packet);
    if body.split(|byte| *byte == SEPARATOR).any(has_binary) { Err(binary()) } else { Ok(()) }
}

/// An event, or an answer, to which attachments belong: a message of engine.io, and a packet of
/// Socket.IO.
fn announces_binary(packet: &[u8]) -> bool {
    packet.starts_with(b"45") || packet.starts_with(b"46")
}

/// Of an event, or of all that a request holds.
pub(super) fn too_large(what: &str, bytes: u64) -> Refusal {
    let said = format!("{what} has {bytes} bytes as it is sent; allowed: {EVENT_BYTES_MAX}");
    Refusal { ending: Ending::TooLarge, said }
}

fn binary() -> Refusal {
    let said = "an event has an attachment in binary; allowed: JSON without attachments";
    Refusal { ending: Ending::NotText, said: said.to_owned() }
}

/// Reads along with the frames of a WebSocket's client.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// The header, as far as it is known.
    header: Vec<u8>,
    frame: Frame,
    message: Message,
}

/// What is to come of a frame.
#[derive(Debug, Default)]
struct Frame {
    left: u64,
    /// Of the payload, as it goes round.
    mask: [u8; 4],
    place: usize,
    is_control: bool,
}

/// A message may come in several frames.
#[derive(Debug, Default)]
struct Message {
    bytes: u64,
    /// As much as says what it is.
    begin: Vec<u8>,
}

impl Guard {
    /// Looks at what came next; else how much of it the library may have, and why no more.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<(), (usize, Refusal)> {
        let mut at = 0;
        while at < bytes.len() {
            if self.frame.left == 0 {
                self.header.push(bytes[at]);
                self.begin_frame().map_err(|refusal| (at, refusal))?;
                at += 1;
                continue;
            }
            if self.needs_begin() {
                self.read_begin(bytes[at]).map_err(|refusal| (at, refusal))?;
                at += 1;
                continue;
            }
            let rest = usize::try_from(self.frame.left).unwrap_or(usize::MAX);
            let passed = rest.min(bytes.len() - at);
            self.frame.left -= passed as u64;
            at += passed;
        }
        Ok(())
    }

    /// Looks at the header, once it is whole.
    fn begin_frame(&mut self) -> Result<(), Refusal> {
        let Some((bytes, mask)) = payload(&self.header) else { return Ok(()) };
        let opcode = take(&mut self.header)[0] & 0x0f;
        self.header.reserve(HEADER_BYTES_MAX);
        let is_control = opcode & 0x08 != 0;
        self.frame = Frame { left: bytes, mask, place: 0, is_control };
        if is_control {
            return Ok(());
        }
        match opcode {
            // It goes on.
            0 => self.message.bytes = self.message.bytes.saturating_add(bytes),
            1 => self.message = Message { bytes, begin: Vec::new() },
            _ => return Err(binary()),
        }
        if self.message.bytes > EVENT_BYTES_MAX as u64 {
            return Err(too_large("an event", self.message.bytes));
        }
        Ok(())
    }

    fn needs_begin(&self) -> bool {
        !self.frame.is_control && self.message.begin.len() < 2
    }

    fn read_begin(&mut self, byte: u8) -> Result<(), Refusal> {
        self.message.begin.push(byte ^ self.frame.mask[self.frame.place % 4]);
        self.frame.place += 1;
        self.frame.left -= 1;
        if announces_binary(&self.message.begin) { Err(binary()) } else { Ok(()) }
    }
}

/// The length of the payload and its mask, once the header is whole.
fn payload(header: &[u8]) -> Option<(u64, [u8; 4])> {
    let (second, rest) = (header.get(1)?, header.get(2..)?);
    let (bytes, rest) = match second & !MASKED {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), &rest[2..]),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), &rest[8..]),
        length => (u64::from(length), rest),
    };
    let mask = if second & MASKED == 0 { [0; 4] } else { *rest.first_chunk()? };
    Some((bytes, mask))
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
