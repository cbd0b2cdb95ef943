//! Readings, stored and open, into order.
//!
//! Spans of one shelf do not overlap, so that the readings of a span are in their final order when
//! all of its blocks are read: then they are settled, and nothing later is asked for once the
//! limit is passed. Only where spans by the day lie over spans by the hour a whole day must be
//! read first. Of one time and shard, readings are taken in the order in which they arrived: full
//! blocks by number, the newest block, the open end; and hours before days.

use std::collections::BTreeSet;
use std::ops;

use super::Reader;
use super::order::{Gathered, Tails};
use super::walk::{Group, Snapshot, Walk};
use crate::history::answer::{Faults, Range, SeriesReadings};
use crate::history::codec::readings::{READINGS_PER_BLOCK_MAX, decode, full_blocks};
use crate::history::error::Error;
use crate::history::span::{DAY_MS, Shelf, Span, StoredReading};
use crate::reading::UnixMillis;
use crate::stream::ShardKeys;

/// How many full blocks are asked for at once, about 1 MiB. A guess at what is large enough to
/// hide the round trip and small enough not to hold up others.
const BLOCKS_PER_SLICE: u32 = 128;

/// Walks until the limit is passed; `None` when the series became another on the way.
pub(super) async fn collect(
    walk: &mut Walk<'_>,
    range: &Range,
) -> Result<Option<SeriesReadings>, Error> {
    let mut gathered = Gathered::new(range);
    while !gathered.is_full() {
        let Some(group) = walk.next() else { break };
        let Some(snapshots) = walk.snapshots(group).await? else { return Ok(None) };
        let (reader, faults) = (walk.reader(), &mut walk.faults);
        take_group(&snapshots, group, reader, &mut gathered, faults).await?;
    }
    Ok(Some(gathered.finish()))
}

/// Takes what is in a group, as far as the limit.
pub(super) async fn take_group(
    snapshots: &[Snapshot<'_>],
    group: Group,
    reader: &Reader<'_>,
    gathered: &mut Gathered<'_>,
    faults: &mut Faults,
) -> Result<(), Error> {
    let mut tails = tails(snapshots, group, reader);
    let mut stacks = stacks(snapshots).into_iter().peekable();
    while !gathered.is_full() && stacks.peek().is_some() {
        let mut opened = Vec::new();
        let mut readings = 0;
        while let Some(stack) = stacks.next_if(|_| readings <= gathered.room()) {
            let stack = Opened::new(stack, faults);
            readings = readings.saturating_add(stack.readings_max());
            opened.push(stack);
        }
        take(&mut opened, reader, gathered, faults).await?;
        let settled = stacks.peek().map_or(group.to, |next| next.settles);
        gathered.settle(settled, &mut tails);
    }
    gathered.settle(group.to, &mut tails);
    Ok(())
}

/// The blocks of one span and shard.
struct Stack<'a> {
    keys: &'a ShardKeys,
    number: u64,
    span: Span,
    newest: &'a [u8],
    /// What was measured before this is complete once all stacks before this one are taken.
    settles: UnixMillis,
}

/// All blocks of a group, in the order in which they are taken.
fn stacks<'a>(snapshots: &'a [Snapshot<'a>]) -> Vec<Stack<'a>> {
    let day_of = |span: Span| span.start().0.div_euclid(DAY_MS);
    let all = || snapshots.iter().flat_map(|snapshot| snapshot.blocks.iter().map(|(it, _)| *it));
    let by_day: BTreeSet<i64> =
        all().filter(|span| span.shelf == Shelf::ReadingsByDay).map(day_of).collect();
    let mut stacks = Vec::new();
    for Snapshot { keys, number, blocks, .. } in snapshots {
        for (span, newest) in blocks {
            let day = day_of(*span);
            let settles = if by_day.contains(&day) {
                Span { shelf: Shelf::ReadingsByDay, index: day }.start()
            } else {
                span.start()
            };
            stacks.push(Stack { keys, number: *number, span: *span, newest, settles });
        }
    }
    stacks.sort_by_key(|stack| (stack.settles, stack.keys.shard, stack.span));
    stacks
}

/// A stack whose newest block is decoded.
struct Opened<'a> {
    stack: Stack<'a>,
    newest: Vec<StoredReading>,
    /// The full blocks that are still to be asked for.
    full: ops::Range<u32>,
    /// Whether the newest block says how many full ones there are.
    is_counted: bool,
}

impl<'a> Opened<'a> {
    fn new(stack: Stack<'a>, faults: &mut Faults) -> Self {
        let mut newest = Vec::new();
        let full = match read_block(stack.newest, stack.span, &mut newest) {
            Ok(full) => Some(full),
            Err(fault) => {
                faults.add(&stack.keys.history(stack.span), &stack.number.to_string(), fault);
                full_blocks(stack.newest)
            }
        };
        // When nobody says how many full blocks there are, they are asked for until there is none.
        Self { stack, newest, full: 0..full.unwrap_or(u32::MAX), is_counted: full.is_some() }
    }

    /// How many readings it has at most.
    fn readings_max(&self) -> usize {
        let full = self.full.len().saturating_mul(READINGS_PER_BLOCK_MAX);
        if self.is_counted { full.saturating_add(self.newest.len()) } else { 0 }
    }

    fn key(&self) -> String {
        self.stack.keys.history(self.stack.span)
    }

    fn field(&self, block: u32) -> String {
        format!("{}.{block}", self.stack.number)
    }
}

/// Takes the readings of stacks, one stack after the other.
async fn take(
    opened: &mut [Opened<'_>],
    reader: &Reader<'_>,
    gathered: &mut Gathered<'_>,
    faults: &mut Faults,
) -> Result<(), Error> {
    let mut first = 0;
    while first < opened.len() {
        // What fits a slice: some blocks of each, all but the last to their end.
        let mut parts = Vec::new();
        let mut left = BLOCKS_PER_SLICE;
        for stack in &opened[first..] {
            let begin = stack.full.start;
            let part = begin..stack.full.end.min(begin.saturating_add(left));
            left -= part.end - part.start;
            parts.push(part);
            if left == 0 {
                break;
            }
        }
        let mut ask = redis::pipe();
        for (stack, part) in opened[first..].iter().zip(&parts) {
            for block in part.clone() {
                ask.cmd("HGET").arg(stack.key()).arg(stack.field(block));
            }
        }
        let mut blocks = Vec::new();
        if !ask.is_empty() {
            blocks = reader.link.run_all::<Vec<Option<Vec<u8>>>>(&ask).await?;
        }
        let mut blocks = blocks.into_iter();
        for part in parts {
            let stack = &mut opened[first];
            let some: Vec<_> = part.clone().zip(blocks.by_ref()).collect();
            stack.full.start = part.end;
            take_full(stack, &some, gathered, faults);
            if !some.is_empty() && some.iter().all(|(_, block)| block.is_none()) {
                lost(stack, &part, reader, faults).await?;
            }
            if stack.full.is_empty() {
                gathered.take(stack.stack.keys.shard, &stack.newest);
                first += 1;
            }
        }
    }
    Ok(())
}

/// Takes full blocks.
fn take_full(
    stack: &Opened<'_>,
    blocks: &[(u32, Option<Vec<u8>>)],
    gathered: &mut Gathered<'_>,
    faults: &mut Faults,
) {
    let mut readings = Vec::with_capacity(READINGS_PER_BLOCK_MAX);
    let is_any_there = blocks.iter().any(|(_, bytes)| bytes.is_some());
    for (block, bytes) in blocks {
        readings.clear();
        let fault = match bytes {
            Some(bytes) => read_block(bytes, stack.stack.span, &mut readings).err(),
            None => (stack.is_counted && is_any_there).then(|| "missing".to_owned()),
        };
        match fault {
            Some(fault) => faults.add(&stack.key(), &stack.field(*block), fault),
            None => gathered.take(stack.stack.keys.shard, &readings),
        }
    }
}

/// None of these blocks is there: nor are those behind. That is in order when the span was evicted
/// in the meantime, or when nobody knew how many there are.
async fn lost(
    stack: &mut Opened<'_>,
    part: &ops::Range<u32>,
    reader: &Reader<'_>,
    faults: &mut Faults,
) -> Result<(), Error> {
    stack.full = 0..0;
    if stack.is_counted {
        let mut ask = redis::cmd("HEXISTS");
        ask.arg(stack.key()).arg(stack.stack.number);
        if reader.link.run::<bool>(&ask).await? {
            faults.add(&stack.key(), &stack.field(part.start), "missing, and those behind it");
        }
    }
    Ok(())
}

/// Decodes a block, which is ascending by time, and judges it; says how many full blocks stand
/// before it, or what is wrong, and then leaves nothing in `readings`.
fn read_block(bytes: &[u8], span: Span, readings: &mut Vec<StoredReading>) -> Result<u32, String> {
    let full = decode(bytes, readings).map_err(|fault| fault.to_string())?;
    let is_of = |reading: &StoredReading| Span::of(span.shelf, reading.measured_at) == span;
    if readings.first().is_none_or(is_of) && readings.last().is_none_or(is_of) {
        return Ok(full);
    }
    readings.clear();
    Err("a reading of another span".to_owned())
}

fn tails(snapshots: &[Snapshot<'_>], group: Group, reader: &Reader<'_>) -> Tails {
    let of = |snapshot: &Snapshot<'_>| {
        let is_shown = |reading: &StoredReading| {
            let at = reading.measured_at;
            group.contains(at) && !snapshot.has_expired(Shelf::ReadingsByHour, at, reader)
        };
        (snapshot.keys.shard, snapshot.open.tail.readings().filter(is_shown).collect())
    };
    snapshots.iter().map(of).collect()
}
