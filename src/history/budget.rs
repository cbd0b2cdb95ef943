//! How much memory history may take, and which spans must go. No I/O, no clock.
//!
//! Raw readings own half of it, 1-minute windows 35 %, 1-hour windows 15 %; what a share does not
//! need it lends. As long as everything together fits, nothing goes. When it does not, the share
//! that exceeds its own the most, in proportion, gives its oldest spans, whole and over all
//! shards, until all fits: what a share owns is never taken from it for another's sake, and those
//! that borrow end up with equal excess, as near as whole spans allow (weighted max-min fairness;
//! Bertsekas and Gallager, *Data Networks*, 1987, §6.5.2).

use std::collections::BTreeMap;

use super::inventory::{Inventory, SPAN_BYTES};
use super::span::{Share, Span};
use crate::reading::UnixMillis;

/// Per cent of the budget that a share owns.
const fn percent(share: Share) -> u64 {
    match share {
        Share::Readings => 50,
        Share::Minutes => 35,
        Share::Hours => 15,
    }
}

/// The memory for history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// For all shards together, as [`super::inventory::field_cost`] reckons; at least 1.
    pub bytes: u64,
}

/// What must go: by [`Share::index`], the end at or before which a span goes, in every shard.
/// `None`: nothing of that share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// See [`Cut`].
    pub before: [Option<UnixMillis>; 3],
}

impl Cut {
    /// Whether a span goes.
    #[must_use]
    pub fn takes(&self, span: Span) -> bool {
        self.before[span.shelf.share().index()].is_some_and(|before| span.end() <= before)
    }
}

/// A share's bytes by the end of their spans, over all shards. What Redis holds may be anybody's
/// number, so sums are wider.
type ByEnd = BTreeMap<UnixMillis, u128>;

impl Budget {
    /// What a share owns, in bytes; it may take more when others need less.
    #[must_use]
    pub const fn own(self, share: Share) -> u64 {
        // Divided first, so that nothing overflows; what is lost by that is below 100 bytes.
        self.bytes / 100 * percent(share)
    }

    /// What must go so that what is kept fits, given the inventories of all shards. When even the
    /// newest span is too large, it goes as well.
    #[must_use]
    pub fn cut(self, inventories: &[Inventory]) -> Cut {
        let mut shares: [ByEnd; 3] = Default::default();
        for (span, kept) in inventories.iter().flat_map(Inventory::iter) {
            let bytes = shares[span.shelf.share().index()].entry(span.end()).or_default();
            *bytes += u128::from(kept.bytes) + u128::from(SPAN_BYTES);
        }
        let mut used = shares.each_ref().map(|share| share.values().sum::<u128>());
        let mut cut = Cut::default();
        while used.iter().sum::<u128>() > u128::from(self.bytes) {
            let share = most_exceeding(&used).index();
            let Some((end, bytes)) = shares[share].pop_first() else { break };
            used[share] -= bytes;
            cut.before[share] = Some(end);
        }
        cut
    }
}

/// The share that uses the most in proportion to what it owns; the first of equals.
fn most_exceeding(used: &[u128; 3]) -> Share {
    // 1,050 is the least number that all three parts divide: nothing is rounded.
    let in_proportion = |share: Share| used[share.index()] * u128::from(1_050 / percent(share));
    Share::ALL.into_iter().rev().max_by_key(|share| in_proportion(*share)).unwrap_or(Share::ALL[0])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::{HOUR_MS, Shelf};

    /// What [`SPAN_BYTES`] and this make is a round number.
    fn shard(spans: &[(Shelf, i64, u64)]) -> Inventory {
        let mut inventory = Inventory::default();
        for (shelf, index, bytes) in spans {
            let delta = i64::try_from(bytes - SPAN_BYTES).unwrap();
            inventory.add(Span { shelf: *shelf, index: *index }, delta, UnixMillis(0));
        }
        inventory
    }

    fn totals(inventories: &[Inventory]) -> [u64; 3] {
        inventories.iter().fold([0; 3], |sum, it| {
            let more = it.totals();
            [0, 1, 2].map(|share| sum[share] + more[share])
        })
    }

    fn apply(cut: &Cut, inventories: &[Inventory]) -> Vec<Inventory> {
        let mut left = inventories.to_vec();
        for inventory in &mut left {
            for span in inventory.before(cut) {
                inventory.remove(span);
            }
        }
        left
    }

    #[test]
    fn the_oldest_spans_of_the_greediest_share_go_in_every_shard() {
        let hour = Shelf::ReadingsByHour;
        let one = shard(&[(hour, 1, 300), (hour, 2, 300), (Shelf::HoursByDay, 0, 230)]);
        let two = shard(&[(hour, 0, 300), (hour, 1, 300)]);
        let both = [one, two];
        let cut = |bytes| Budget { bytes }.cut(&both);
        assert_eq!(cut(1430), Cut::default());
        let [readings, minutes, hours] = cut(1429).before;
        assert_eq!(readings, Some(UnixMillis(HOUR_MS)));
        assert_eq!((minutes, hours), (None, None));
        assert_eq!(cut(1129).before[0], Some(UnixMillis(2 * HOUR_MS)));
        assert_eq!(totals(&apply(&cut(1129), &both)), [300, 0, 230]);
    }

    #[test]
    fn a_span_of_a_day_goes_after_the_hours_that_end_before_it() {
        let spans = [(Shelf::ReadingsByDay, 0, 300), (Shelf::ReadingsByHour, 22, 300)];
        let cut = Budget { bytes: 500 }.cut(&[shard(&spans)]);
        assert_eq!(cut.before[0], Some(UnixMillis(23 * HOUR_MS)));
        let spans = [(Shelf::ReadingsByDay, 0, 300), (Shelf::ReadingsByHour, 23, 300)];
        let left = apply(&Budget { bytes: 500 }.cut(&[shard(&spans)]), &[shard(&spans)]);
        assert_eq!(totals(&left), [0; 3], "what ends at one time goes together");
    }

    #[test]
    fn a_newest_span_that_is_too_large_alone_goes_too() {
        let huge = shard(&[(Shelf::MinutesByHour, 7, 5_000), (Shelf::HoursByDay, 0, 300)]);
        let cut = Budget { bytes: 1_000 }.cut(std::slice::from_ref(&huge));
        assert_eq!(totals(&apply(&cut, &[huge])), [0, 0, 300]);
    }

    #[test]
    fn numbers_that_cannot_be_are_cut_and_do_not_overflow() {
        let text = u64::MAX.to_string() + " 0";
        let shard = Inventory::parse([("h:h1", text.as_str()), ("w:m1", &text), ("w:h1", &text)]);
        let cut = Budget { bytes: u64::MAX }.cut(&[shard.clone(), shard]);
        assert!(cut.before.iter().all(Option::is_some), "{cut:?}");
    }

    fn inventories() -> impl Strategy<Value = Vec<Inventory>> {
        let shelf = prop::sample::select(Shelf::ALL.to_vec());
        // Days and hours that interleave.
        let span = (shelf, 0..50_i64, SPAN_BYTES..2_000).prop_map(|(shelf, hour, bytes)| {
            (shelf, Span::of(shelf, UnixMillis(hour * HOUR_MS)).index, bytes)
        });
        let shard = prop::collection::vec(span, 0..40).prop_map(|spans| shard(&spans));
        prop::collection::vec(shard, 1..4)
    }

    proptest! {
        #[test]
        fn after_the_cut_everything_fits_and_nothing_goes_in_vain(
            all in inventories(), bytes in 1_u64..60_000,
        ) {
            let budget = Budget { bytes };
            let cut = budget.cut(&all);
            let left = apply(&cut, &all);
            prop_assert!(totals(&left).iter().sum::<u64>() <= bytes);
            if totals(&all).iter().sum::<u64>() <= bytes {
                prop_assert_eq!(cut, Cut::default());
            }
            prop_assert_eq!(budget.cut(&left), Cut::default());
            for share in Share::ALL {
                let Some(before) = cut.before[share.index()] else { continue };
                let is_kept = |it: &Inventory| {
                    it.oldest(share).is_none_or(|oldest| oldest.end() > before)
                };
                prop_assert!(left.iter().all(is_kept), "something older than the cut is kept");
                let newest_gone = |it: &Inventory| it.before(&cut).into_iter()
                    .any(|span| span.shelf.share() == share && span.end() == before);
                prop_assert!(all.iter().any(newest_gone));
            }
        }

        #[test]
        fn no_share_gives_what_it_owns(all in inventories(), bytes in 1_u64..60_000) {
            let budget = Budget { bytes };
            let cut = budget.cut(&all);
            let left = totals(&apply(&cut, &all));
            for share in Share::ALL {
                let Some(before) = cut.before[share.index()] else { continue };
                // Before its last spans went it used more than its own.
                let last = all.iter().flat_map(Inventory::iter)
                    .filter(|(span, _)| span.shelf.share() == share && span.end() == before)
                    .map(|(_, kept)| kept.bytes + SPAN_BYTES)
                    .sum::<u64>();
                prop_assert!(left[share.index()] + last > budget.own(share), "{share:?}");
            }
        }
    }
}
