//! Fewer readings with the peaks kept.

use crate::history::Point;

/// Keeps at most `most` (at least 2) of a series' readings: of each of equally many neighbours the
/// smallest and the largest, in their order. A picture drawn of them has the same peaks.
pub(super) fn thin(readings: &[Point], most: usize) -> Vec<Point> {
    if readings.len() <= most {
        return readings.to_vec();
    }
    let groups = (most / 2).max(1);
    let mut kept = Vec::with_capacity(2 * groups);
    for group in 0..groups {
        let edge = |group: usize| group * readings.len() / groups;
        let neighbours = &readings[edge(group)..edge(group + 1)];
        let by_value = |a: &&Point, b: &&Point| a.value.total_cmp(&b.value);
        let (low, high) = (neighbours.iter().min_by(by_value), neighbours.iter().max_by(by_value));
        let (Some(low), Some(high)) = (low, high) else { continue };
        let (first, second) = if low.cursor() <= high.cursor() { (low, high) } else { (high, low) };
        kept.push(*first);
        if first.cursor() != second.cursor() {
            kept.push(*second);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::UnixMillis;
    use crate::shard::ShardId;

    fn points(values: &[f64]) -> Vec<Point> {
        let point = |(at, value): (i64, &f64)| Point {
            measured_at: UnixMillis(at),
            value: *value,
            shard: ShardId(0),
            offset: 0,
        };
        (0..).zip(values).map(point).collect()
    }

    proptest! {
        #[test]
        fn peaks_stay_and_order_stays(
            values in prop::collection::vec(-1e3..1e3, 1..200),
            most in 2usize..50,
        ) {
            let all = points(&values);
            let kept = thin(&all, most);
            prop_assert!(kept.len() <= most.max(2));
            prop_assert!(kept.is_sorted_by_key(|point| point.measured_at));
            let low = |points: &[Point]| points.iter().map(|it| it.value).fold(f64::MAX, f64::min);
            let high = |points: &[Point]| points.iter().map(|it| it.value).fold(f64::MIN, f64::max);
            prop_assert_eq!(low(&kept).to_bits(), low(&all).to_bits());
            prop_assert_eq!(high(&kept).to_bits(), high(&all).to_bits());
        }
    }
}
