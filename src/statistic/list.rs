//! What a statistic is, and the list of all. No I/O, no clock.
//!
//! The law tests at the foot of this file run on the whole list.

use super::{Ends, Extent, Moments, Unpack};
use crate::reading::UnixMillis;

/// Something that can be folded from readings and merged from parts.
///
/// Merging is associative, for readings at different times also commutative, and
/// [`Default::default`] is neutral.
pub trait Statistic: Default + Clone + PartialEq + std::fmt::Debug {
    /// How many bytes it takes when packed.
    const BYTES: usize;

    /// Takes one reading in. `value` is finite.
    fn fold(&mut self, value: f64, measured_at: UnixMillis);

    /// Takes in what was folded elsewhere. Callers merge shards in ascending order: of two
    /// readings at one time the earlier shard's is the first, and the later shard's the last.
    fn merge(&mut self, other: &Self);

    /// Appends exactly [`Statistic::BYTES`] bytes.
    fn write(&self, packed: &mut Vec<u8>);

    /// Reads back what [`Statistic::write`] wrote.
    fn read(packed: &mut Unpack<'_>) -> Option<Self>;
}

macro_rules! statistics {
    ($($(#[$doc:meta])* $name:ident: $kind:ident,)*) => {
        /// All statistics of one series.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Statistics {
            $($(#[$doc])* pub $name: $kind,)*
        }

        impl Statistic for Statistics {
            const BYTES: usize = 0 $(+ $kind::BYTES)*;

            fn fold(&mut self, value: f64, measured_at: UnixMillis) {
                $(self.$name.fold(value, measured_at);)*
            }

            fn merge(&mut self, other: &Self) {
                $(self.$name.merge(&other.$name);)*
            }

            fn write(&self, packed: &mut Vec<u8>) {
                $(self.$name.write(packed);)*
            }

            fn read(packed: &mut Unpack<'_>) -> Option<Self> {
                Some(Self { $($name: $kind::read(packed)?,)* })
            }
        }
    };
}

statistics! {
    /// Count, sum, mean and spread.
    moments: Moments,
    /// Smallest and largest value.
    extent: Extent,
    /// First and last time and value.
    ends: Ends,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(readings: &[(f64, i64)]) -> Statistics {
        let mut statistics = Statistics::default();
        for &(value, at) in readings {
            statistics.fold(value, UnixMillis(at));
        }
        statistics
    }

    fn merged(parts: &[&Statistics]) -> Statistics {
        let mut all = Statistics::default();
        for part in parts {
            all.merge(part);
        }
        all
    }

    fn close(a: &Statistics, b: &Statistics) -> bool {
        let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-9 * (1.0 + scale.abs());
        a.extent == b.extent
            && a.ends == b.ends
            && a.moments.count == b.moments.count
            && near(a.moments.sum(), b.moments.sum(), 1e6)
            && near(a.moments.m2(), b.moments.m2(), a.moments.m2())
    }

    fn readings() -> impl Strategy<Value = Vec<(f64, i64)>> {
        // Times are made different, because a tie is broken by the order of shards.
        prop::collection::vec(-1e6..1e6, 0..50).prop_map(|values| {
            let times = (0i64..).map(|n| (n * 7919) % 100_003);
            values.into_iter().zip(times).collect()
        })
    }

    /// Many of them at one time: parts in their order make the same whole.
    fn tied() -> impl Strategy<Value = Vec<(f64, i64)>> {
        prop::collection::vec((-1e6..1e6, -2i64..3), 0..50)
    }

    proptest! {
        #[test]
        fn merging_parts_equals_folding_the_whole(all in readings(), cut in 0usize..50) {
            let (left, right) = all.split_at(cut.min(all.len()));
            let (left, right) = (folded(left), folded(right));
            prop_assert!(close(&merged(&[&left, &right]), &folded(&all)));
            prop_assert!(close(&merged(&[&right, &left]), &folded(&all)));
        }

        #[test]
        fn merging_is_associative(all in tied(), cut in 0usize..50, step in 0usize..50) {
            let (left, rest) = all.split_at(cut.min(all.len()));
            let (middle, right) = rest.split_at(step.min(rest.len()));
            let (left, middle, right) = (folded(left), folded(middle), folded(right));
            let (front, back) = (merged(&[&left, &middle]), merged(&[&middle, &right]));
            prop_assert!(close(&merged(&[&front, &right]), &merged(&[&left, &back])));
            prop_assert!(close(&merged(&[&left, &back]), &folded(&all)));
        }

        #[test]
        fn empty_is_neutral(all in readings()) {
            let one = folded(&all);
            prop_assert_eq!(&merged(&[&one]), &one);
            let mut same = one.clone();
            same.merge(&Statistics::default());
            prop_assert_eq!(&same, &one);
        }

        #[test]
        fn packing_loses_nothing(all in readings()) {
            let one = folded(&all);
            let mut packed = Vec::new();
            one.write(&mut packed);
            prop_assert_eq!(packed.len(), Statistics::BYTES);
            prop_assert_eq!(Statistics::read(&mut Unpack(&packed)), Some(one));
            prop_assert_eq!(Statistics::read(&mut Unpack(&packed[1..])), None);
        }
    }
}
