//! A parsed payload: simd-json's tape, and the text it was made from.

use std::borrow::Cow;
use std::fmt;
use std::mem;

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, Tape};

use crate::refusal::Refusal;

/// How deep objects and arrays may nest, also in parts that are ignored. Sensors nest two or
/// three deep; the rest is room: a guess. Nothing here recurses, so this guards the readers of
/// metadata.
pub(super) const NESTING_MAX: usize = 32;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The buffers of one decoder. They grow to the largest payload seen (which the doors bound) and
/// stay.
pub(in crate::payload) struct Scratch {
    /// The payload, then [`INPUT_PADDING`]; strings are unescaped in place.
    copy: Vec<u8>,
    buffers: Buffers,
    /// Empty between two calls.
    tape: Tape<'static>,
}

impl Default for Scratch {
    fn default() -> Self {
        // 4 KiB: more than most payloads, small enough to have many of.
        let bytes = 4096;
        Self {
            copy: Vec::with_capacity(bytes),
            buffers: Buffers::with_max_depth(bytes, NESTING_MAX),
            tape: Tape(Vec::new()),
        }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("copy_bytes", &self.copy.capacity()).finish()
    }
}

impl Scratch {
    /// Parses a payload and hands the document to `read`.
    pub(super) fn parse<T>(
        &mut self,
        payload: &[u8],
        read: impl FnOnce(&Document<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let text = payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload);
        self.copy.clear();
        self.copy.extend_from_slice(text);
        self.copy.resize(text.len() + INPUT_PADDING, b' ');
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed =
            simd_json::fill_tape_padded(&mut self.copy, text.len(), &mut self.buffers, &mut tape);
        let answer = match parsed {
            Ok(()) => {
                read(&Document { nodes: &tape.0, starts: self.buffers.structural_indexes(), text })
            }
            Err(error) => Err(reason(&error, text)),
        };
        self.tape = tape.reset();
        answer
    }
}

/// Why a text could not be parsed.
///
/// Python writes `NaN` and `Infinity`, C writes `nan` and `inf`, and `1e400` is more than a
/// double holds: all are numbers that are not finite, wherever in the payload they stand.
fn reason(error: &simd_json::Error, text: &[u8]) -> Refusal {
    if matches!(error.error(), ErrorType::DepthLimitExceeded) {
        return Refusal::TooDeep;
    }
    // Errors of the first stage carry no position: it says 0.
    let at_error = error.character().and_then(|_| text.get(error.index()..)).unwrap_or(b"");
    match scalar(at_error).parse::<f64>() {
        Ok(number) if !number.is_finite() => Refusal::NotFinite,
        Ok(_) | Err(_) => Refusal::BadJson,
    }
}

/// What stands at the start of `text` up to the next delimiter; empty when that is not ASCII.
fn scalar(text: &[u8]) -> &str {
    let ends =
        |byte: &u8| matches!(byte, b',' | b':' | b']' | b'}' | b'"') || byte.is_ascii_whitespace();
    let length = text.iter().position(ends).unwrap_or(text.len());
    std::str::from_utf8(&text[..length]).unwrap_or("")
}

/// What a node is, as far as the shape of a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Perhaps a reading.
    Object,
    /// Perhaps several readings.
    Array {
        /// How many.
        elements: usize,
    },
    /// Anything else.
    Scalar,
}

/// A parsed payload. Nodes are named by their place on the tape.
pub(super) struct Document<'d> {
    nodes: &'d [Node<'d>],
    /// Where in `text` each `{`, `}`, `[`, `]`, `:`, `,`, string, number and word starts.
    starts: &'d [u32],
    /// As it was sent.
    text: &'d [u8],
}

impl<'d> Document<'d> {
    /// The outermost node.
    pub(super) const ROOT: usize = 0;

    pub(super) fn node(&self, at: usize) -> Node<'d> {
        self.nodes[at]
    }

    pub(super) fn shape(&self, at: usize) -> Shape {
        match self.nodes[at] {
            Node::Object { .. } => Shape::Object,
            Node::Array { len, .. } => Shape::Array { elements: len },
            Node::String(_) | Node::Static(_) => Shape::Scalar,
        }
    }

    /// The elements of an array; nothing for any other node.
    pub(super) fn elements(&self, array: usize) -> impl Iterator<Item = usize> {
        let elements = match self.nodes[array] {
            Node::Array { len, .. } => len,
            Node::Object { .. } | Node::String(_) | Node::Static(_) => 0,
        };
        let mut next = array + 1;
        (0..elements).map(move |_| {
            let element = next;
            next = self.after(element);
            element
        })
    }

    /// The keys of an object with their values; nothing for any other node.
    pub(super) fn members(&self, object: usize) -> impl Iterator<Item = (&'d str, usize)> {
        let members = match self.nodes[object] {
            Node::Object { len, .. } => len,
            Node::Array { .. } | Node::String(_) | Node::Static(_) => 0,
        };
        let mut next = object + 1;
        (0..members).filter_map(move |_| {
            let (key, value) = (next, next + 1);
            next = self.after(value);
            match self.nodes[key] {
                Node::String(key) => Some((key, value)),
                // JSON has no other keys.
                Node::Object { .. } | Node::Array { .. } | Node::Static(_) => None,
            }
        })
    }

    /// A number or word as it was sent.
    pub(super) fn scalar_text(&self, at: usize) -> &'d str {
        self.start_of(at).map_or("", |start| scalar(&self.text[self.starts[start] as usize..]))
    }

    /// An object or array as it was sent, but without white space between its tokens.
    pub(super) fn compact_text(&self, at: usize) -> Option<Cow<'d, str>> {
        let starts = &self.starts[self.start_of(at)?..];
        let text = &self.text[*starts.first()? as usize..];
        // What stands between two gaps is copied in one go; without gaps nothing is.
        let mut compact = Vec::new();
        let (mut kept, mut end, mut depth) = (0, 0, 0_usize);
        for start in starts {
            let start = (*start - starts[0]) as usize;
            let gap = text[..start].trim_ascii_end().len();
            if gap < start {
                compact.extend_from_slice(&text[kept..gap]);
                kept = start;
            }
            match text[start] {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                end = start + 1;
                break;
            }
        }
        if compact.is_empty() {
            return std::str::from_utf8(&text[..end]).ok().map(Cow::Borrowed);
        }
        compact.extend_from_slice(&text[kept..end]);
        String::from_utf8(compact).ok().map(Cow::Owned)
    }

    /// The node behind a node and all it holds.
    fn after(&self, at: usize) -> usize {
        match self.nodes[at] {
            Node::Object { count, .. } | Node::Array { count, .. } => at + 1 + count,
            Node::String(_) | Node::Static(_) => at + 1,
        }
    }

    /// Which of `starts` is a node's: every start is a node's but those of closing brackets,
    /// colons and commas.
    fn start_of(&self, at: usize) -> Option<usize> {
        let is_node =
            |start: &u32| !matches!(self.text[*start as usize], b'}' | b']' | b':' | b',');
        self.starts.iter().enumerate().filter(|(_, start)| is_node(start)).nth(at).map(|(n, _)| n)
    }
}
