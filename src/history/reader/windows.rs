//! Windows, stored and open, joined and in order.

use super::walk::{Group, Snapshot, Walk};
use crate::history::answer::{Faults, Range, SeriesWindows};
use crate::history::codec::windows::decode;
use crate::history::error::Error;
use crate::history::span::{Resolution, Span};
use crate::history::window::Window;
use crate::shard::ShardId;

/// Walks until the limit is passed; `None` when the series became another on the way.
pub(super) async fn collect(
    walk: &mut Walk<'_>,
    resolution: Resolution,
    range: &Range,
) -> Result<Option<SeriesWindows>, Error> {
    let mut found = SeriesWindows::default();
    while let Some(group) = walk.next() {
        let Some(snapshots) = walk.snapshots(group).await? else { return Ok(None) };
        let mut windows = Vec::new();
        for snapshot in &snapshots {
            let shard = snapshot.keys.shard;
            let mut parts = stored(snapshot, resolution, &mut walk.faults);
            parts.extend(snapshot.open.windows(resolution).all(resolution).into_iter().filter(
                |window| !snapshot.has_expired(resolution.shelf(), window.start, walk.reader()),
            ));
            parts.retain(|window| is_wanted(window, group, range));
            windows.extend(parts.into_iter().map(|window| (shard, window)));
        }
        found.windows.extend(merged(windows));
        if found.windows.len() > range.limit {
            found.windows.truncate(range.limit);
            found.more = true;
            break;
        }
    }
    Ok(Some(found))
}

fn is_wanted(window: &Window, group: Group, range: &Range) -> bool {
    let is_behind = range.after.is_none_or(|after| window.start > after.measured_at);
    is_behind && group.contains(window.start)
}

/// The windows in the blocks of a shard.
fn stored(snapshot: &Snapshot<'_>, resolution: Resolution, faults: &mut Faults) -> Vec<Window> {
    let mut windows = Vec::new();
    for (span, bytes) in &snapshot.blocks {
        let before = windows.len();
        let mut fault = decode(bytes, resolution, &mut windows).err().map(|it| it.to_string());
        let is_of = |window: &Window| Span::of(span.shelf, window.start) == *span;
        if fault.is_none() && !windows[before..].iter().all(is_of) {
            fault = Some("a window of another span".to_owned());
        }
        if let Some(fault) = fault {
            windows.truncate(before);
            faults.add(&snapshot.keys.history(span), &snapshot.number.to_string(), fault);
        }
    }
    windows
}

/// Each start once, ascending. Parts of one start stand in the order of shards, and of one shard
/// the stored part before the open one.
fn merged(mut windows: Vec<(ShardId, Window)>) -> Vec<(ShardId, Window)> {
    windows.sort_by_key(|(shard, window)| (window.start, *shard));
    windows.dedup_by(|(shard, next), (kept_shard, kept)| {
        let is_same = next.start == kept.start;
        if is_same {
            // As `Window::merge` decides whose attributes stay.
            if next.statistics.ends.last_at >= kept.statistics.ends.last_at {
                *kept_shard = *shard;
            }
            kept.merge(next);
        }
        is_same
    });
    windows
}
