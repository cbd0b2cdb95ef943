//! Getting blocks out of Redis in slices, and their readings into order.
//!
//! Within a block readings stand as they arrived, so a span must be read whole before its first
//! reading is known. Spans do not overlap, so that one span at a time is enough.

use super::block::{POINT_BYTES, points, span_of};
use super::error::Error;
use super::query::{Point, Range, SeriesReadings};
use crate::shard::ShardId;
use crate::stream::Link;

/// How much is asked of Redis at once: a guess at what is large enough to hide the round trip and
/// small enough not to hold up others. A multiple of [`POINT_BYTES`].
const SLICE_BYTES: u32 = 1 << 20;

/// A block and how far it may be read.
pub(super) struct Block {
    pub span: i64,
    pub shard: ShardId,
    pub key: String,
    pub bytes: u32,
}

/// A part of a block: which, and from where.
struct Slice<'a> {
    block: &'a Block,
    start: u32,
    bytes: u32,
}

/// Reads the blocks, the oldest span first, until the limit is passed.
pub(super) async fn collect(
    link: &Link,
    blocks: &[Block],
    range: &Range,
    found: &mut SeriesReadings,
) -> Result<(), Error> {
    let mut gathered = Gathered { range, span: i64::MIN, open: Vec::new(), found };
    let mut slices = slices(blocks).peekable();
    while slices.peek().is_some() {
        let mut asked = Vec::new();
        let mut bytes = 0;
        while let Some(slice) = slices.next_if(|next| bytes + next.bytes <= SLICE_BYTES) {
            bytes += slice.bytes;
            asked.push(slice);
        }
        let mut ask = redis::Pipeline::with_capacity(asked.len());
        for Slice { block, start, bytes } in &asked {
            ask.cmd("GETRANGE").arg(&block.key).arg(*start).arg(start + bytes - 1);
        }
        let parts: Vec<Vec<u8>> = link.run_all(&ask).await?;
        for (slice, part) in asked.iter().zip(&parts) {
            if gathered.enter(slice.block.span) {
                return Ok(());
            }
            gathered.take(slice, part);
        }
    }
    gathered.close();
    Ok(())
}

fn slices(blocks: &[Block]) -> impl Iterator<Item = Slice<'_>> {
    blocks.iter().flat_map(|block| {
        let starts = (0..block.bytes).step_by(SLICE_BYTES as usize);
        starts.map(move |start| Slice { block, start, bytes: SLICE_BYTES.min(block.bytes - start) })
    })
}

/// Readings on their way into an answer: those of one span at a time are sorted together.
struct Gathered<'a> {
    range: &'a Range,
    span: i64,
    /// Of `span`, unsorted; never more than twice what may still be taken.
    open: Vec<Point>,
    found: &'a mut SeriesReadings,
}

impl Gathered<'_> {
    /// Goes on to a span; true when the answer is full.
    fn enter(&mut self, span: i64) -> bool {
        if self.span != span {
            self.close();
            self.span = span;
        }
        self.found.more
    }

    fn take(&mut self, slice: &Slice<'_>, part: &[u8]) {
        let first = u64::from(slice.start) / POINT_BYTES as u64;
        for ((measured_at, value), offset) in points(part).zip(first..) {
            let point = Point { measured_at, value, shard: slice.block.shard, offset };
            if span_of(measured_at) != self.span || !value.is_finite() {
                self.found.faults += 1;
            } else if self.range.wants(&point) {
                self.open.push(point);
            }
        }
        // One more than may be taken stays, to know that there is more.
        let keep = self.room().saturating_add(1);
        if self.open.len() / 2 > keep {
            self.open.select_nth_unstable_by_key(keep, Point::cursor);
            self.open.truncate(keep);
        }
    }

    fn close(&mut self) {
        self.open.sort_unstable_by_key(Point::cursor);
        let taken = self.open.len().min(self.room());
        self.found.more |= taken < self.open.len();
        self.found.readings.extend_from_slice(&self.open[..taken]);
        self.open.clear();
    }

    fn room(&self) -> usize {
        self.range.limit - self.found.readings.len()
    }
}
