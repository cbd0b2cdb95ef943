//! The format of a stream entry: how messages share one XADD, and how they come apart again.
//!
//! The first pair is field `@` with the header, ASCII with single spaces:
//! `1 <producer> <number> <messages> <received_at of the first, ms> <running total>`.
//! Then one pair per message, field → payload. The field of a plain message is its topic. Any
//! other field begins with NUL, which no topic can hold: flags byte, LEB128 milliseconds after
//! the entry's time, what the flags add in the order of their bits, then the topic.

use redis::Cmd;

use super::position::EntryId;
use crate::ingest::Lot;
use crate::message::{Control, Flags, Message};
use crate::reading::UnixMillis;
use crate::refusal::Refusal;

/// The field of the header.
const HEADER: &[u8] = b"@";
/// The header's version.
const VERSION: &str = "1";
/// A message received later than this after the first says so itself (design §5).
const PLAIN_WITHIN_MS: i64 = 10;
/// The flags that this version can read.
const KNOWN: u8 = Flags::DUP.0
    | Flags::RETAINED.0
    | Flags::WILL.0
    | Flags::HTTP.0
    | Flags::PROPERTIES.0
    | Flags::REFUSED.0
    | Flags::CONTROL.0;

/// Who wrote an entry: 64 random bits, written as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerId(pub u64);

impl std::fmt::Display for ProducerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl ProducerId {
    /// Reads 16 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 16 {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

/// What the first pair says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who wrote it.
    pub producer: ProducerId,
    /// Its place in the producer's order, from 1.
    pub number: u64,
    /// How many messages follow.
    pub messages: u64,
    /// When the first of them was received.
    pub received_at: UnixMillis,
    /// Messages the producer has written to this shard, with these.
    pub total: u64,
}

impl Header {
    fn write(&self) -> String {
        let Self { producer, number, messages, received_at, total } = self;
        format!("{VERSION} {producer} {number} {messages} {received_at} {total}")
    }

    /// Reads the value of the field `@`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(text).ok()?.split(' ');
        if words.next()? != VERSION {
            return None;
        }
        let header = Self {
            producer: ProducerId::parse(words.next()?)?,
            number: words.next()?.parse().ok()?,
            messages: words.next()?.parse().ok()?,
            received_at: UnixMillis(words.next()?.parse().ok()?),
            total: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(header)
    }
}

/// Makes the XADD that carries a lot. `extra` is added to every message's flags.
#[must_use]
pub fn write(stream: &str, header: &Header, lot: &Lot, extra: Flags) -> Cmd {
    let mut xadd = Cmd::with_capacity(5 + 2 * lot.len(), lot.payload_bytes() + 16 * lot.len() + 99);
    begin(stream, header, &mut xadd);
    let mut field = Vec::new();
    for message in lot.messages() {
        let message = Message { flags: message.flags.with(extra), ..message };
        push(&message, header, &mut field, &mut xadd);
    }
    xadd
}

/// Makes the XADD that carries one message.
#[must_use]
pub(super) fn write_one(stream: &str, header: &Header, message: &Message<'_>) -> Cmd {
    let mut xadd = Cmd::new();
    begin(stream, header, &mut xadd);
    push(message, header, &mut Vec::new(), &mut xadd);
    xadd
}

fn begin(stream: &str, header: &Header, xadd: &mut Cmd) {
    xadd.arg("XADD").arg(stream).arg("*").arg(HEADER).arg(header.write());
}

/// Adds a message. `field` is room to write in.
fn push(message: &Message<'_>, header: &Header, field: &mut Vec<u8>, xadd: &mut Cmd) {
    let after_ms = message.received_at.0 - header.received_at.0;
    let plain = message.flags == Flags::NONE && message.refused.is_none();
    if plain && (0..PLAIN_WITHIN_MS).contains(&after_ms) {
        xadd.arg(message.topic.as_bytes());
    } else {
        field.clear();
        write_flagged(message, after_ms, field);
        xadd.arg(&field[..]);
    }
    xadd.arg(message.payload);
}

fn write_flagged(message: &Message<'_>, after_ms: i64, field: &mut Vec<u8>) {
    let flags = match message.refused {
        Some(_) => message.flags.with(Flags::REFUSED),
        None => message.flags,
    };
    field.extend_from_slice(&[0, flags.0]);
    // A clock set back must not make a message older than its entry.
    write_leb128(u64::try_from(after_ms).unwrap_or(0), field);
    if let Some(refusal) = message.refused {
        field.push(refusal.code());
    }
    field.extend_from_slice(message.topic.as_bytes());
}

/// One entry as it was read: ids, header, and the pairs behind the header.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// `None` when it is not one of ours; its pairs are then all that is known.
    pub header: Option<Header>,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// Takes an entry apart. One without a readable header keeps all its pairs.
    #[must_use]
    pub fn new(id: EntryId, mut pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let header = match pairs.first() {
            Some((field, value)) if field == HEADER => Header::parse(value),
            Some(_) | None => None,
        };
        // A header that promises another number of messages was not written by us.
        let header = header.filter(|header| header.messages == pairs.len() as u64 - 1);
        if header.is_some() {
            pairs.remove(0);
        }
        Self { id, header, pairs }
    }

    /// How many messages it carries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether it carries no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Bytes of fields and payloads: about what it takes in the stream.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pairs.iter().map(|(field, payload)| field.len() + payload.len()).sum()
    }

    /// The messages in order; the index is their place in the entry. A message with a flag that
    /// this version does not know, a control message that it cannot read, or one of an entry that
    /// is not ours, comes refused as [`Refusal::UnknownFlag`].
    pub fn messages(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        let received_at = match self.header {
            Some(header) => header.received_at,
            None => UnixMillis(i64::try_from(self.id.ms).unwrap_or(i64::MAX)),
        };
        let ours = self.header.is_some();
        self.pairs.iter().map(move |(field, payload)| {
            let message = match field.split_first() {
                Some((0, flagged)) if ours => parse_flagged(flagged, received_at)
                    .filter(|message| is_readable(message, payload)),
                _ => std::str::from_utf8(field).ok().filter(|_| ours).map(|topic| Message {
                    topic,
                    payload: &[],
                    flags: Flags::NONE,
                    received_at,
                    refused: None,
                }),
            };
            let unreadable = Message {
                topic: "",
                payload: &[],
                flags: Flags::NONE,
                received_at,
                refused: Some(Refusal::UnknownFlag),
            };
            Message { payload, ..message.unwrap_or(unreadable) }
        })
    }
}

/// `None` when a flag is not known or the field ends too early.
fn parse_flagged(flagged: &[u8], entry_at: UnixMillis) -> Option<Message<'_>> {
    let (&flags, mut rest) = flagged.split_first()?;
    if flags & !KNOWN != 0 {
        return None;
    }
    let flags = Flags(flags);
    let after_ms = i64::try_from(read_leb128(&mut rest)?).ok()?;
    if flags.has(Flags::PROPERTIES) {
        let length = usize::try_from(read_leb128(&mut rest)?).ok()?;
        rest = rest.get(length..)?;
    }
    let mut refused = None;
    if flags.has(Flags::REFUSED) {
        let (&code, topic) = rest.split_first()?;
        refused = Some(Refusal::from_code(code).unwrap_or(Refusal::UnknownFlag));
        rest = topic;
    }
    Some(Message {
        topic: std::str::from_utf8(rest).ok()?,
        payload: &[],
        flags: Flags(flags.0 & !Flags::REFUSED.0),
        received_at: UnixMillis(entry_at.0.saturating_add(after_ms)),
        refused,
    })
}

/// Whether a message, but for its payload, and its payload fit: a control message's must.
fn is_readable(message: &Message<'_>, payload: &[u8]) -> bool {
    let is_control = message.flags.has(Flags::CONTROL) && message.refused.is_none();
    !is_control || (message.topic.is_empty() && Control::parse(payload).is_some())
}

fn write_leb128(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn read_leb128(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
