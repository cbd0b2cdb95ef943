//! Few rows for a picture, with the peaks kept. No I/O, no clock.
//!
//! Of each of equally long stretches of time the row with the smallest and the row with the
//! largest value stay, and the first and the last of all: a line through them has the same peaks
//! as a line through all. (Largest-triangle selection, the usual alternative, looks smoother and
//! drops the second of two near peaks.)
//!
//! One pass: where the rows end is not known before, so they are first gathered into narrow
//! groups of time, which are made twice as wide whenever there are too many, and at the end put
//! together into stretches over the time that really has rows. So at most 16 rows are held for
//! one that stays, however many pass.

use super::rows::Row;

/// Groups for each stretch of the answer, at most; at least half as many remain, so that the
/// edges of stretches are off by a quarter of one. A guess.
const GROUPS_PER_STRETCH: usize = 8;

/// Rows of one series on their way into a picture.
#[derive(Debug)]
pub(super) struct Peaks {
    most: usize,
    held: Held,
}

#[derive(Debug)]
enum Held {
    /// Not more than may stay.
    All(Vec<Row>),
    Groups(Groups),
}

#[derive(Debug)]
struct Groups {
    most: usize,
    first: Row,
    last: Row,
    /// A group is as long as 2 to this power milliseconds.
    shift: u32,
    /// Ascending by time; only those that have rows.
    list: Vec<Group>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    /// The time of its rows without their lowest `shift` bits.
    index: i64,
    low: Row,
    high: Row,
}

impl Peaks {
    /// At most `most` rows will stay, and two at least.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(2), held: Held::All(Vec::new()) }
    }

    /// Takes the next row; in the order of time.
    pub(super) fn push(&mut self, row: Row) {
        match &mut self.held {
            Held::All(rows) if rows.len() < self.most => rows.push(row),
            Held::All(rows) => {
                let mut groups = Groups::new(stretches(self.most), rows[0]);
                rows.iter().for_each(|row| groups.push(*row));
                groups.push(row);
                self.held = Held::Groups(groups);
            }
            Held::Groups(groups) => groups.push(row),
        }
    }

    /// Every row that may stay, and perhaps others.
    pub(super) fn held(&self) -> impl Iterator<Item = &Row> {
        let (rows, groups) = match &self.held {
            Held::All(rows) => (rows.as_slice(), None),
            Held::Groups(groups) => (&[][..], Some(groups)),
        };
        let ends = groups.into_iter().flat_map(|groups| [&groups.first, &groups.last]);
        let peaks = groups.into_iter().flat_map(|groups| &groups.list);
        rows.iter().chain(ends).chain(peaks.flat_map(|group| [&group.low, &group.high]))
    }

    /// What stays, in the order of time.
    pub(super) fn finish(self) -> Vec<Row> {
        match self.held {
            Held::All(rows) => rows,
            Held::Groups(groups) => groups.finish(stretches(self.most)),
        }
    }
}

/// Stretches of two rows each, beside the first and the last of all.
const fn stretches(most: usize) -> usize {
    (most - 2) / 2
}

impl Groups {
    fn new(stretches: usize, first: Row) -> Self {
        let most = GROUPS_PER_STRETCH * stretches.max(1);
        Self { most, first, last: first, shift: 0, list: Vec::with_capacity(most + 1) }
    }

    fn push(&mut self, row: Row) {
        self.last = row;
        let index = row.place.measured_at.0 >> self.shift;
        match self.list.last_mut() {
            Some(group) if index <= group.index => group.take(row, row),
            Some(_) | None => self.list.push(Group { index, low: row, high: row }),
        }
        while self.list.len() > self.most {
            self.widen();
        }
    }

    /// Makes the groups wider until half of them are left.
    fn widen(&mut self) {
        while self.list.len() > self.most / 2 && self.shift < i64::BITS - 1 {
            self.shift += 1;
            for group in &mut self.list {
                group.index >>= 1;
            }
            self.list.dedup_by(|next, group| {
                let is_same = next.index == group.index;
                if is_same {
                    group.take(next.low, next.high);
                }
                is_same
            });
        }
    }

    fn finish(self, stretches: usize) -> Vec<Row> {
        let (first, last) = (self.first, self.last);
        let mut kept = vec![first];
        let begin = i128::from(first.place.measured_at.0);
        let length = i128::from(last.place.measured_at.0) - begin + 1;
        let mut list = self.list.into_iter().peekable();
        for stretch in 1..=stretches as i128 {
            let is_before = |row: &Row| {
                let at = i128::from(row.place.measured_at.0) - begin;
                at * (stretches as i128) < stretch * length
            };
            let Some(mut group) = list.next_if(|group| is_before(&group.low)) else { continue };
            while let Some(next) = list.next_if(|group| is_before(&group.low)) {
                group.take(next.low, next.high);
            }
            kept.extend([group.low, group.high]);
        }
        kept.push(last);
        kept.sort_by_key(|row| row.place);
        kept.dedup_by_key(|row| row.place);
        kept
    }
}

impl Group {
    /// Of equal peaks the earlier stays.
    fn take(&mut self, low: Row, high: Row) {
        if low.low() < self.low.low() {
            self.low = low;
        }
        if high.high() > self.high.high() {
            self.high = high;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::answer::Cursor;
    use crate::reading::UnixMillis;
    use crate::serve::history::rows::Summary;
    use crate::shard::ShardId;

    fn row(at: i64, value: f64) -> Row {
        let place = Cursor { measured_at: UnixMillis(at), shard: ShardId(0), offset: 0 };
        Row { place, value, attributes: 0, summary: None }
    }

    fn kept(rows: impl IntoIterator<Item = Row>, most: usize) -> Vec<Row> {
        let mut peaks = Peaks::new(most);
        rows.into_iter().for_each(|row| peaks.push(row));
        peaks.finish()
    }

    fn extremes(rows: &[Row]) -> (f64, f64) {
        let low = rows.iter().map(Row::low).fold(f64::MAX, f64::min);
        (low, rows.iter().map(Row::high).fold(f64::MIN, f64::max))
    }

    #[test]
    fn a_spike_of_one_reading_in_seven_days_stays() {
        const WEEK: i64 = 7 * 86_400;
        for spike in [1, 1000, 123_456, WEEK - 2] {
            let value = |second| if second == spike { 99.0 } else { 20.0 };
            let kept = kept((0..WEEK).map(|second| row(second * 1000, value(second))), 800);
            assert!(kept.len() <= 800);
            assert!(kept.iter().any(|row| row.value > 98.0), "{spike}");
        }
    }

    #[test]
    fn a_spike_within_a_window_stays_although_its_mean_does_not_show_it() {
        let window = |minute: i64| {
            let max = if minute == 5000 { 99.0 } else { 21.0 };
            let summary = Some(Summary { min: 19.0, max, count: 60 });
            Row { summary, ..row(minute * 60_000, 20.0) }
        };
        let kept = kept((0..7 * 1440).map(window), 800);
        assert!(kept.len() <= 800 && kept.iter().any(|row| row.high() > 98.0));
    }

    #[test]
    fn the_range_that_has_rows_is_divided_evenly() {
        // Alternating values: every stretch has two peaks.
        let rows =
            (0..100_000).map(|n| row(1_700_000_000_000 + n * 1000, [0.0, 1.0][n as usize % 2]));
        let kept = kept(rows, 1000);
        assert!(kept.len() > 990, "{}", kept.len());
        let gaps = kept
            .windows(3)
            .map(|three| three[2].place.measured_at.0 - three[0].place.measured_at.0);
        assert!(gaps.max().unwrap() <= 2 * 200_000 + 1000);
    }

    #[test]
    fn two_bursts_far_apart_both_keep_their_peaks() {
        let burst = |from: i64| (0..5000).map(move |n| row(from + n, f64::from(n as i32 % 7)));
        let kept = kept(burst(0).chain(burst(1 << 50)), 10);
        assert!(kept.len() <= 10);
        for half in [&kept[..kept.len() / 2], &kept[kept.len() / 2..]] {
            assert_eq!(extremes(half), (0.0, 6.0), "{half:?}");
        }
    }

    proptest! {
        #[test]
        fn peaks_first_and_last_stay_in_order_within_the_limit(
            mut times in prop::collection::vec(any::<i64>(), 1..300),
            seed in any::<u64>(),
            most in 2usize..60,
        ) {
            times.sort_unstable();
            times.dedup();
            let value = |n: usize| ((n as u64).wrapping_mul(seed) % 1000) as f64;
            let all: Vec<Row> =
                times.iter().enumerate().map(|(n, at)| row(*at, value(n))).collect();
            let kept = kept(all.clone(), most);
            prop_assert!(kept.len() <= most);
            prop_assert!(kept.is_sorted_by(|a, b| a.place < b.place));
            prop_assert_eq!(kept.first(), all.first());
            prop_assert_eq!(kept.last(), all.last());
            if all.len() <= most {
                prop_assert_eq!(&kept, &all);
            }
            if most >= 4 {
                prop_assert_eq!(extremes(&kept), extremes(&all));
            }
        }
    }
}
