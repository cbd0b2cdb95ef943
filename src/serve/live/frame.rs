//! An event on its way to clients: encoded once, shared by all that get it.

use std::sync::Arc;
#[cfg(feature = "socketio")]
use std::sync::OnceLock;

use bytes::Bytes;
use serde::Serialize;
#[cfg(feature = "socketio")]
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// The longest header of a WebSocket frame without a mask (RFC 6455 §5.2).
const HEADER_BYTES_MAX: usize = 10;

/// An encoded event; clones share the bytes.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Frame(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    event: &'static str,
    /// A whole WebSocket frame: header and text.
    wire: Bytes,
    /// Where the text begins.
    header_bytes: usize,
    /// The data for Socket.IO, from the first of its clients on that gets the frame.
    #[cfg(feature = "socketio")]
    raw: OnceLock<Box<RawValue>>,
}

impl PartialEq for Frame {
    /// The rest follows from the wire.
    fn eq(&self, other: &Self) -> bool {
        self.0.wire == other.0.wire
    }
}

impl Eq for Frame {}

/// `{"event":"…","data":…}`.
#[derive(Serialize)]
struct Envelope<'a, T: ?Sized> {
    event: &'static str,
    data: &'a T,
}

impl Frame {
    /// Encodes an event.
    #[expect(clippy::expect_used, reason = "our own shapes have string keys and no failing parts")]
    pub(in crate::serve) fn new<T: Serialize + ?Sized>(event: &'static str, data: &T) -> Self {
        let text = serde_json::to_vec(&Envelope { event, data }).expect("an event can be written");
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        let mut wire = Vec::with_capacity(HEADER_BYTES_MAX + text.len());
        header.format(text.len() as u64, &mut wire).expect("a vector takes every header");
        let header_bytes = wire.len();
        wire.extend_from_slice(&text);
        Self(Arc::new(Encoded {
            event,
            wire: wire.into(),
            header_bytes,
            #[cfg(feature = "socketio")]
            raw: OnceLock::new(),
        }))
    }

    /// The name of the event.
    pub(in crate::serve) fn event(&self) -> &'static str {
        self.0.event
    }

    /// The whole event as JSON.
    #[expect(clippy::expect_used, reason = "serde_json writes UTF-8")]
    pub(in crate::serve) fn text(&self) -> &str {
        std::str::from_utf8(&self.0.wire[self.0.header_bytes..]).expect("JSON is UTF-8")
    }

    /// Its `data` as JSON.
    pub(in crate::serve) fn data(&self) -> &str {
        let before = r#"{"event":"","data":"#.len() + self.0.event.len();
        let text = self.text();
        &text[before..text.len() - 1]
    }

    /// Its `data` as a value that serde writes as it is. It is read as JSON once, for all clients.
    #[cfg(feature = "socketio")]
    #[expect(clippy::expect_used, reason = "frames are made of JSON")]
    pub(in crate::serve) fn raw(&self) -> &RawValue {
        let read = || RawValue::from_string(self.data().to_owned()).expect("data is JSON");
        self.0.raw.get_or_init(read)
    }

    /// A whole WebSocket text frame of a server, which is not masked (RFC 6455 §5.1).
    pub(in crate::serve) fn wire(&self) -> &Bytes {
        &self.0.wire
    }

    /// How many bytes that are.
    pub(in crate::serve) fn len(&self) -> usize {
        self.0.wire.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_parts_of_a_frame_are_the_event_and_its_data() {
        for length in [0, 100, 200, 70_000] {
            let data = json!({"x": "ü".repeat(length)});
            let frame = Frame::new("status", &data);
            assert_eq!(frame.event(), "status");
            assert_eq!(frame.data(), data.to_string());
            assert_eq!(frame.text(), format!(r#"{{"event":"status","data":{data}}}"#));
        }
    }

    #[cfg(feature = "socketio")]
    #[test]
    fn all_clients_of_socket_io_share_what_was_read_once() {
        let frame = Frame::new("status", &json!({"x": [1, "ü"]}));
        let other = frame.clone();
        assert_eq!(frame.raw().get(), frame.data());
        assert!(std::ptr::eq(frame.raw(), other.raw()));
    }

    #[test]
    fn the_header_is_that_of_a_final_text_frame_without_a_mask() {
        let check = |letters: usize, expected: &[u8]| {
            let frame = Frame::new("e", &"x".repeat(letters));
            assert!(frame.wire().starts_with(expected), "{letters}");
            assert_eq!(frame.len(), expected.len() + frame.text().len());
        };
        // {"event":"e","data":""} has 23 bytes.
        check(0, &[0x81, 23]);
        check(102, &[0x81, 125]);
        check(103, &[0x81, 126, 0, 126]);
        check(65_535 - 23, &[0x81, 126, 0xff, 0xff]);
        check(65_536 - 23, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
