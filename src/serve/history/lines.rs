//! Rows as lines of text, CSV or NDJSON, packed when the client takes that. No I/O, no clock.

use std::io::{self, Write};

use flate2::write::GzEncoder;

use super::csv;
use super::grain::Grain;
use super::rows::ShownRows;
use super::wanted::Format;
use crate::serve::answer::{Encodings, GZIP_LEVEL};

/// What becomes of rows on their way out.
pub(super) struct Lines {
    format: Format,
    sink: Sink,
}

/// Where the text goes until it is taken.
enum Sink {
    Plain(Vec<u8>),
    Packed(GzEncoder<Vec<u8>>),
}

impl Lines {
    /// With the header line, if the format has one.
    pub(super) fn new(format: Format, grain: Grain, encodings: Encodings) -> Self {
        let mut text = Vec::new();
        if format == Format::Csv {
            text.extend_from_slice(csv::header(grain).as_bytes());
        }
        let mut lines = Self { format, sink: Sink::Plain(text) };
        if encodings.gzip {
            let header = lines.sink.take();
            let level = flate2::Compression::new(GZIP_LEVEL);
            lines.sink = Sink::Packed(GzEncoder::new(Vec::new(), level));
            lines.sink.put(&header);
        }
        lines
    }

    /// Whether what comes out is gzip.
    pub(super) const fn is_packed(&self) -> bool {
        matches!(self.sink, Sink::Packed(_))
    }

    /// The text of some rows; never empty when there are some.
    pub(super) fn page(&mut self, rows: &ShownRows<'_>) -> Vec<u8> {
        let mut text = Vec::new();
        for row in rows.iter() {
            match self.format {
                Format::Csv => csv::write(&row, &mut text),
                Format::Json | Format::Ndjson => {
                    // Our own shape has string keys, and appending to memory does not fail.
                    let _written = serde_json::to_writer(&mut text, &row);
                    text.push(b'\n');
                }
            }
        }
        self.sink.put(&text);
        self.sink.take()
    }

    /// What is still to be sent behind the last page.
    pub(super) fn end(&mut self) -> Vec<u8> {
        if let Sink::Packed(packer) = &mut self.sink {
            never_fails(packer.try_finish());
        }
        self.sink.take()
    }
}

impl Sink {
    fn put(&mut self, text: &[u8]) {
        match self {
            Self::Plain(out) => out.extend_from_slice(text),
            // Flushed, so that what has been put in can be sent.
            Self::Packed(packer) => {
                never_fails(packer.write_all(text).and_then(|()| packer.flush()));
            }
        }
    }

    fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Plain(out) => std::mem::take(out),
            Self::Packed(packer) => std::mem::take(packer.get_mut()),
        }
    }
}

#[expect(clippy::expect_used, reason = "compressing from memory to memory has no failing part")]
fn never_fails(result: io::Result<()>) {
    result.expect("memory can be compressed");
}
