//! The format of a stream entry: how messages share one XADD, and how they come apart again.
//!
//! The first pair is field `@` with the header, ASCII with single spaces:
//! `1 <producer> <number> <messages> <received_at of the first, ms> <running total>`.
//! Then one pair per message, field → payload. The field of a plain message is its topic. Any
//! other field begins with NUL, which no topic can hold: flags byte, LEB128 milliseconds after
//! the entry's time, what the flags add in the order of their bits, then the topic.

use bytes::Bytes;
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

/// A range of the buffer that an entry was read into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// `None` when it lies beyond the 4 GiB that are told apart.
    pub(super) fn new(start: usize, end: usize) -> Option<Self> {
        Some(Self { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    /// The bytes there.
    pub(super) fn of(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

/// Where a field and its value lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) field: Span,
    pub(super) payload: Span,
}

/// One entry as it was read: ids, header, and the pairs behind the header.
///
/// All entries of a reply share the buffer that it came in, and keep it as long as any of them
/// lives. That is right because nobody keeps one: the owner folds all that it read together before
/// it reads on and keeps numbers and ids (`aggregate/owner.rs`; what becomes a dead letter is
/// copied), and whoever follows the streams makes readings of them at once. Who wants to keep a
/// message longer must copy it.
#[derive(Clone)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// `None` when it is not one of ours; its pairs are then all that is known.
    pub header: Option<Header>,
    buffer: Bytes,
    pairs: Vec<Pair>,
    /// Of fields and payloads together.
    bytes: usize,
}

/// Never what a message says, which may be anybody's secret.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, header, pairs, bytes, .. } = self;
        let mut entry = f.debug_struct("Entry");
        entry.field("id", id).field("header", header).field("messages", &pairs.len());
        entry.field("bytes", bytes).finish_non_exhaustive()
    }
}

impl Entry {
    /// Takes an entry apart that came as strings of its own, which are copied.
    #[must_use]
    pub fn new(id: EntryId, pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let mut buffer = Vec::new();
        let mut copy = |bytes: &[u8]| {
            let start = buffer.len();
            buffer.extend_from_slice(bytes);
            Span::new(start, buffer.len())
        };
        // Redis sends no string of more than 512 MiB, nor an entry of 4 GiB.
        let nothing = Span { start: 0, end: 0 };
        let pairs = pairs.iter().map(|(field, payload)| Pair {
            field: copy(field).unwrap_or(nothing),
            payload: copy(payload).unwrap_or(nothing),
        });
        let pairs = pairs.collect();
        Self::within(id, buffer.into(), pairs)
    }

    /// Takes an entry apart whose pairs lie in `buffer`. One without a readable header keeps all
    /// its pairs.
    pub(super) fn within(id: EntryId, buffer: Bytes, mut pairs: Vec<Pair>) -> Self {
        let header = match pairs.first() {
            Some(first) if first.field.of(&buffer) == HEADER => {
                Header::parse(first.payload.of(&buffer))
            }
            Some(_) | None => None,
        };
        // A header that promises another number of messages was not written by us.
        let header = header.filter(|header| header.messages == pairs.len() as u64 - 1);
        if header.is_some() {
            pairs.remove(0);
        }
        let bytes = pairs.iter().map(|pair| pair.field.len() + pair.payload.len()).sum();
        Self { id, header, buffer, pairs, bytes }
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
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The messages in order; the index is their place in the entry. A message with a flag that
    /// this version does not know, a control message that it cannot read, or one of an entry that
    /// is not ours, comes refused as [`Refusal::UnknownFlag`].
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = Message<'_>> + ExactSizeIterator {
        let received_at = match self.header {
            Some(header) => header.received_at,
            None => UnixMillis(i64::try_from(self.id.ms).unwrap_or(i64::MAX)),
        };
        let ours = self.header.is_some();
        self.pairs.iter().map(move |pair| {
            let (field, payload) = (pair.field.of(&self.buffer), pair.payload.of(&self.buffer));
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
