//! What is left of frames that are being written.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::serve::live::Frame;

/// Frames that are written one behind the other, and how far that is.
pub(super) struct Rest<'a> {
    frames: &'a [Frame],
    /// Bytes of the first of them that have gone.
    written: usize,
}

impl<'a> Rest<'a> {
    pub(super) const fn of(frames: &'a [Frame]) -> Self {
        Self { frames, written: 0 }
    }

    /// Writes with as few calls as the socket allows.
    ///
    /// # Cancel safety
    /// Safe: what was written has gone from the rest.
    pub(super) async fn write(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while self.has_remaining() {
            stream.write_buf(self).await?;
        }
        Ok(())
    }

    /// What the frame still needs of which something has gone: nothing else may come before it.
    pub(super) fn begun(&self) -> Bytes {
        match self.frames.first() {
            Some(frame) if self.written > 0 => frame.wire().slice(self.written..),
            Some(_) | None => Bytes::new(),
        }
    }
}

impl Buf for Rest<'_> {
    fn remaining(&self) -> usize {
        self.frames.iter().map(Frame::len).sum::<usize>() - self.written
    }

    fn chunk(&self) -> &[u8] {
        self.frames.first().map_or(&[], |frame| &frame.wire()[self.written..])
    }

    fn chunks_vectored<'b>(&'b self, slices: &mut [IoSlice<'b>]) -> usize {
        let mut skip = self.written;
        for (slice, frame) in slices.iter_mut().zip(self.frames) {
            *slice = IoSlice::new(&frame.wire()[skip..]);
            skip = 0;
        }
        slices.len().min(self.frames.len())
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(frame) = self.frames.first() {
            let left = frame.len() - self.written;
            if count < left {
                break;
            }
            count -= left;
            self.written = 0;
            self.frames = &self.frames[1..];
        }
        self.written += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_frames_is_what_was_not_written() {
        let frames = ["a", "bb", "ccc"].map(|text| Frame::new("status", &text));
        let all: Vec<u8> = frames.iter().flat_map(|frame| frame.wire().to_vec()).collect();
        for first in 0..=all.len() {
            let mut rest = Rest::of(&frames);
            rest.advance(first);
            assert_eq!(rest.remaining(), all.len() - first);
            let mut slices = [IoSlice::new(&[]); 8];
            let count = rest.chunks_vectored(&mut slices);
            let gathered: Vec<u8> = slices[..count].iter().flat_map(|it| it.to_vec()).collect();
            assert_eq!(gathered, all[first..], "after {first}");
            assert!(all[first..].starts_with(rest.chunk()));
        }
    }

    #[test]
    fn only_a_frame_that_was_begun_must_be_finished() {
        let frames = ["a", "bb"].map(|text| Frame::new("status", &text));
        let (one, both) = (frames[0].len(), frames[0].len() + frames[1].len());
        for (first, begun) in
            [(0, 0), (1, one - 1), (one - 1, 1), (one, 0), (both - 1, 1), (both, 0)]
        {
            let mut rest = Rest::of(&frames);
            rest.advance(first);
            assert_eq!(rest.begun().len(), begun, "after {first}");
        }
    }
}
