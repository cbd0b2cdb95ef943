//! Replies of Redis, read where they lie: entries are ranges in the one buffer that came from the
//! socket, so that a message costs no allocation.
//!
//! The client crate makes a tree of values, two of them with memory of their own for each message.
//! Here a first walk ([`Scan`]) finds the end of a reply while it still grows, and a second one
//! ([`Reply`]) takes the known shape apart: both look at nothing but the lengths.
//!
//! The protocol is RESP2, <https://redis.io/docs/latest/develop/reference/protocol-spec/>. A
//! length is believed when that much has come, never before: nothing is reserved for what is only
//! announced.

use bytes::Bytes;

use super::entry::{Entry, Pair, Span};
use super::position::EntryId;

/// A reply may be so long. Redis takes strings of up to 512 MiB, our entries hold 1 MiB or one
/// message; whoever reads asks for fewer entries after a reply that was longer.
pub const REPLY_BYTES_MAX: usize = 1 << 30;
/// The text of an error or status may be so long. A guess: errors of scripts have some hundreds.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Digits of a length; more than [`REPLY_BYTES_MAX`] has.
const LENGTH_DIGITS_MAX: usize = 12;
/// What two empty strings take.
const PAIR_BYTES_MIN: usize = 12;
/// Entries that room is made for at once, as many as are usually asked for.
const ENTRIES_EXPECTED: usize = 64;

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// They break the protocol.
    #[error("the reply is not RESP2")]
    Malformed,
    /// It is longer than [`REPLY_BYTES_MAX`].
    #[error("the reply is longer than 1 GiB")]
    TooLong,
    /// It is a reply, but not of the shape that the command has.
    #[error("the reply has an unknown shape")]
    Shape,
}

/// Finds where a reply ends, going on where it stopped when more has come.
#[derive(Debug)]
pub struct Scan {
    /// Where the next element begins.
    at: usize,
    /// Elements that are still to come, on all levels together.
    left: u64,
}

impl Default for Scan {
    fn default() -> Self {
        Self { at: 0, left: 1 }
    }
}

impl Scan {
    /// The end of the reply at the start of `bytes`; `None` when it is not all there yet. Each
    /// call is given what the one before was given, and more.
    ///
    /// # Errors
    /// [`Unreadable`]: nothing more can be read from this connection.
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Unreadable> {
        while self.left > 0 {
            let Some((element, next)) = element(bytes, self.at)? else {
                return if bytes.len() < REPLY_BYTES_MAX {
                    Ok(None)
                } else {
                    Err(Unreadable::TooLong)
                };
            };
            self.left -= 1;
            if let Element::Array(count) = element {
                // Each takes three bytes at least, so that counts cannot overflow unnoticed.
                self.left += count as u64;
                if self.left > REPLY_BYTES_MAX as u64 {
                    return Err(Unreadable::TooLong);
                }
            }
            self.at = next;
        }
        Ok(Some(self.at))
    }
}

/// One element of a reply.
#[derive(Clone, Copy, Debug)]
enum Element {
    Bulk(Span),
    Array(usize),
    /// A string or an array that is not there.
    Nil,
    /// A status or a number.
    Line,
    Error,
}

/// The element that begins at `at`, and where the one behind it does; of an array, where its
/// first one does. `None` when it is not all there.
fn element(bytes: &[u8], at: usize) -> Result<Option<(Element, usize)>, Unreadable> {
    let Some(&kind) = bytes.get(at) else { return Ok(None) };
    let start = at + 1;
    match kind {
        b'$' => {
            let Some((length, start)) = length(bytes, start)? else { return Ok(None) };
            let Some(length) = length else { return Ok(Some((Element::Nil, start))) };
            let end = start + length;
            match bytes.get(end..end + 2) {
                Some(b"\r\n") => {
                    let span = Span::new(start, end).ok_or(Unreadable::TooLong)?;
                    Ok(Some((Element::Bulk(span), end + 2)))
                }
                Some(_) => Err(Unreadable::Malformed),
                None => Ok(None),
            }
        }
        b'*' => Ok(length(bytes, start)?.map(|(count, next)| match count {
            Some(count) => (Element::Array(count), next),
            None => (Element::Nil, next),
        })),
        b'+' | b':' => Ok(line(bytes, start)?.map(|end| (Element::Line, end + 2))),
        b'-' => Ok(line(bytes, start)?.map(|end| (Element::Error, end + 2))),
        _ => Err(Unreadable::Malformed),
    }
}

/// Where the line that begins at `start` ends; its CRLF comes behind.
fn line(bytes: &[u8], start: usize) -> Result<Option<usize>, Unreadable> {
    let rest = bytes.get(start..).unwrap_or_default();
    let rest = &rest[..rest.len().min(LINE_BYTES_MAX)];
    match rest.iter().position(|&byte| byte == b'\r') {
        Some(end) => match rest.get(end + 1) {
            Some(b'\n') => Ok(Some(start + end)),
            Some(_) => Err(Unreadable::Malformed),
            None => Ok(None),
        },
        None if rest.len() == LINE_BYTES_MAX => Err(Unreadable::Malformed),
        None => Ok(None),
    }
}

/// The length of a string or an array, which is `None` for nil, and where what follows begins.
type Length = (Option<usize>, usize);

fn length(bytes: &[u8], start: usize) -> Result<Option<Length>, Unreadable> {
    let rest = bytes.get(start..).unwrap_or_default();
    let mut length = 0usize;
    for (place, &byte) in rest.iter().enumerate() {
        match byte {
            b'0'..=b'9' if place < LENGTH_DIGITS_MAX => {
                length = length * 10 + usize::from(byte - b'0');
                if length > REPLY_BYTES_MAX {
                    return Err(Unreadable::TooLong);
                }
            }
            b'\r' if place > 0 => {
                return match rest.get(place + 1) {
                    Some(b'\n') => Ok(Some((Some(length), start + place + 2))),
                    Some(_) => Err(Unreadable::Malformed),
                    None => Ok(None),
                };
            }
            b'-' if place == 0 => {
                let (nil, known) = (b"-1\r\n", rest.len().min(4));
                return match known {
                    4 if rest.starts_with(nil) => Ok(Some((None, start + 4))),
                    0..4 if nil.starts_with(rest) => Ok(None),
                    _ => Err(Unreadable::Malformed),
                };
            }
            _ => return Err(Unreadable::Malformed),
        }
    }
    Ok(None)
}

/// A whole reply, read element by element.
#[derive(Debug)]
pub struct Reply {
    bytes: Bytes,
    at: usize,
}

impl Reply {
    /// `bytes` are one whole reply, as [`Scan`] found it.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// The whole reply, when it is an error.
    #[must_use]
    pub fn as_error(&self) -> Option<&[u8]> {
        (self.bytes.first() == Some(&b'-')).then_some(&self.bytes[..])
    }

    /// How many elements of an array follow; `None` when it is nil.
    ///
    /// # Errors
    /// [`Unreadable`] when there is something else.
    pub fn array(&mut self) -> Result<Option<usize>, Unreadable> {
        match self.element()? {
            Element::Array(count) => Ok(Some(count)),
            Element::Nil => Ok(None),
            Element::Bulk(_) | Element::Line | Element::Error => Err(Unreadable::Shape),
        }
    }

    /// The next string.
    ///
    /// # Errors
    /// [`Unreadable`] when there is something else.
    pub fn string(&mut self) -> Result<&[u8], Unreadable> {
        let span = self.span()?;
        Ok(span.of(&self.bytes))
    }

    /// The name of a stream, whose entries follow.
    ///
    /// # Errors
    /// [`Unreadable`] when there is something else.
    pub fn stream(&mut self) -> Result<&[u8], Unreadable> {
        match self.array()? {
            Some(2) => self.string(),
            Some(_) | None => Err(Unreadable::Shape),
        }
    }

    /// A list of entries. Nil in its place is an entry that was deleted while it was pending, as
    /// old servers claim it, and is left out; nil in place of its pairs is one without any.
    ///
    /// # Errors
    /// [`Unreadable`] when there is something else.
    pub fn entries(&mut self) -> Result<Vec<Entry>, Unreadable> {
        let count = self.array()?.ok_or(Unreadable::Shape)?;
        let mut entries = Vec::with_capacity(count.min(ENTRIES_EXPECTED));
        for _ in 0..count {
            match self.array()? {
                Some(2) => entries.push(self.entry()?),
                Some(_) => return Err(Unreadable::Shape),
                None => {}
            }
        }
        Ok(entries)
    }

    fn entry(&mut self) -> Result<Entry, Unreadable> {
        let id = EntryId::parse(self.string()?).ok_or(Unreadable::Shape)?;
        let count = self.array()?.unwrap_or(0);
        if count % 2 != 0 {
            return Err(Unreadable::Shape);
        }
        // No more room than the rest of the reply can fill, whatever the count says.
        let pairs_max = (self.bytes.len() - self.at) / PAIR_BYTES_MIN;
        let mut pairs = Vec::with_capacity(pairs_max.min(count / 2));
        for _ in 0..count / 2 {
            pairs.push(Pair { field: self.span()?, payload: self.span()? });
        }
        Ok(Entry::within(id, self.bytes.clone(), pairs))
    }

    fn span(&mut self) -> Result<Span, Unreadable> {
        match self.element()? {
            Element::Bulk(span) => Ok(span),
            Element::Nil | Element::Array(_) | Element::Line | Element::Error => {
                Err(Unreadable::Shape)
            }
        }
    }

    fn element(&mut self) -> Result<Element, Unreadable> {
        let (element, next) = element(&self.bytes, self.at)?.ok_or(Unreadable::Shape)?;
        self.at = next;
        Ok(element)
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
