//! What of history goes: spans that have expired, and those that the budget has no room for. No
//! I/O, no clock.

use std::time::Duration;

use super::fold::Fold;
use super::metrics::Cause;
use crate::history::{Cut, Inventory, Share, Span};
use crate::reading::UnixMillis;

/// How often an owner looks for spans that have expired. They are hours long.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Spans of a share in a shard: more than five years of hours. A device whose clock says anything
/// would else make one with each reading. A guess; a span takes 300 bytes beside its blocks.
const SPANS_MAX: usize = 50_000;

/// Spans that one commit takes away at most: some milliseconds of Redis. A guess. More follow with
/// the next one.
const SPANS_PER_COMMIT_MAX: usize = 5_000;

/// A span that went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted {
    /// Of which share.
    pub share: Share,
    /// Why.
    pub cause: Cause,
    /// What it took.
    pub bytes: u64,
}

/// When an owner looks, and what it has evicted.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    cut: Cut,
    next_look: Duration,
    /// With the commit that is being run.
    evicting: Vec<Evicted>,
    evicted: Vec<Evicted>,
}

impl Upkeep {
    /// Whatever was under way is not known to have happened.
    pub fn begin(&mut self) {
        self.evicting.clear();
        self.next_look = Duration::ZERO;
    }

    pub fn cut(&mut self, cut: Cut) {
        if self.cut != cut {
            self.cut = cut;
            self.next_look = Duration::ZERO;
        }
    }

    pub fn take_evicted(&mut self) -> Vec<Evicted> {
        std::mem::take(&mut self.evicted)
    }

    /// The commit was made.
    pub fn committed(&mut self) {
        self.evicted.append(&mut self.evicting);
    }

    /// Has the fold evict what is to go, now and then.
    pub fn look(&mut self, fold: &mut Fold, now: Duration, wall: UnixMillis) {
        if now < self.next_look {
            return;
        }
        let expired = fold.inventory.expired(wall, &fold.config.retentions);
        let mut over = fold.inventory.before(&self.cut);
        over.extend(surplus(&fold.inventory));
        let gone = expired.into_iter().map(|span| (span, Cause::Retention));
        let mut gone: Vec<(Span, Cause)> =
            gone.chain(over.into_iter().map(|span| (span, Cause::Budget))).collect();
        let is_all = gone.len() <= SPANS_PER_COMMIT_MAX;
        self.next_look = if is_all { now + LOOK_EVERY } else { now };
        // The oldest first: what is left of a share then begins where the evicted ends.
        gone.sort_by_key(|(span, _)| span.end());
        for (span, cause) in gone.into_iter().take(SPANS_PER_COMMIT_MAX) {
            // One that has expired may be over the budget as well.
            if let Some(kept) = fold.inventory.remove(span) {
                fold.evicting.insert(span);
                let share = span.shelf.share();
                self.evicting.push(Evicted { share, cause, bytes: kept.bytes });
            }
        }
    }
}

/// The oldest spans of shares that have too many.
fn surplus(inventory: &Inventory) -> Vec<Span> {
    let mut surplus = Vec::new();
    if inventory.iter().count() <= SPANS_MAX {
        return surplus;
    }
    for share in Share::ALL {
        let of_share = inventory.iter().map(|(span, _)| span);
        let mut of_share: Vec<Span> = of_share.filter(|span| span.shelf.share() == share).collect();
        of_share.sort_unstable_by_key(|span| span.end());
        of_share.truncate(of_share.len().saturating_sub(SPANS_MAX));
        surplus.append(&mut of_share);
    }
    surplus
}

#[cfg(test)]
mod tests {
    use super::super::FoldConfig;
    use super::*;
    use crate::history::{Retentions, Shelf};
    use crate::payload::NaiveTime;

    /// A sensor with a wild clock made a million spans in seconds; one call of the script, which
    /// holds up everybody, took them all away.
    #[test]
    fn many_spans_go_in_several_commits_the_oldest_first() {
        let none = Duration::ZERO;
        let mut fold = Fold::new(FoldConfig {
            series_max: 1,
            retentions: Retentions { readings: none, minutes: none, hours: none },
            naive_time: NaiveTime::Utc,
        });
        let spans = i64::try_from(2 * SPANS_PER_COMMIT_MAX).unwrap() + 1;
        for index in 0..spans {
            let span = Span { shelf: Shelf::ReadingsByHour, index };
            fold.inventory.add(span, 1, UnixMillis(0));
        }
        let mut upkeep = Upkeep::default();
        let mut left = Vec::new();
        for _ in 0..4 {
            upkeep.look(&mut fold, LOOK_EVERY, UnixMillis(i64::MAX));
            fold.evicting.clear();
            left.push(fold.inventory.oldest(Share::Readings).map(|span| span.index));
        }
        let step = i64::try_from(SPANS_PER_COMMIT_MAX).unwrap();
        assert_eq!(left, [Some(step), Some(2 * step), None, None]);
    }

    #[test]
    fn a_share_with_too_many_spans_gives_its_oldest() {
        let mut inventory = Inventory::default();
        let span = |shelf, index| Span { shelf, index };
        for index in 0..i64::try_from(SPANS_MAX).unwrap() {
            inventory.add(span(Shelf::ReadingsByDay, index), 1, UnixMillis(0));
        }
        inventory.add(span(Shelf::MinutesByHour, 1), 1, UnixMillis(0));
        assert_eq!(surplus(&inventory), []);
        inventory.add(span(Shelf::ReadingsByHour, 7), 1, UnixMillis(0));
        inventory.add(span(Shelf::ReadingsByDay, -1), 1, UnixMillis(0));
        let gone = [span(Shelf::ReadingsByDay, -1), span(Shelf::ReadingsByHour, 7)];
        assert_eq!(surplus(&inventory), gone);
    }
}
