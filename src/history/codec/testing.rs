//! Readings for tests: any that there may be, and often such as sensors send.

use proptest::prelude::*;

use super::decimal::{EXPONENT_MAX, from_whole};
use crate::history::StoredReading;
use crate::reading::UnixMillis;

/// A reading.
pub fn reading(measured_at: i64, value: f64, attributes: u32) -> StoredReading {
    StoredReading { measured_at: UnixMillis(measured_at), value, attributes }
}

/// Whether these are the same readings, bit for bit.
pub fn same(left: &[StoredReading], right: &[StoredReading]) -> bool {
    let bits = |reading: &StoredReading| (reading.value.to_bits(), *reading);
    left.iter().map(bits).eq(right.iter().map(bits))
}

/// Fewer than `count` readings in order of arrival.
pub fn any_readings(count: usize) -> impl Strategy<Value = Vec<StoredReading>> {
    (any_times(count), any_values(count), any_versions(count)).prop_map(
        |(times, values, versions)| {
            let values = values.into_iter().zip(versions);
            times
                .into_iter()
                .zip(values)
                .map(|(at, (value, version))| reading(at, value, version))
                .collect()
        },
    )
}

/// Times with a regular step, with jitter, gaps and returns, or without any order.
fn any_times(count: usize) -> impl Strategy<Value = Vec<i64>> {
    let stray = prop_oneof![
        20 => Just(0),
        4 => -20..20_i64,
        1 => -100_000..1_000_000_i64,
        1 => any::<i64>(),
    ];
    let start = prop_oneof![4 => 0..2_000_000_000_000_i64, 1 => any::<i64>()];
    let step = prop_oneof![Just(1_000), Just(0), 1..1_000_000_i64];
    (start, step, prop::collection::vec(stray, 0..count)).prop_map(|(start, step, strays)| {
        let mut at = start;
        strays
            .into_iter()
            .map(|stray| {
                at = at.wrapping_add(step).wrapping_add(stray);
                at
            })
            .collect()
    })
}

/// Values that wander in decimals of some places, as doubles, or are any finite numbers.
fn any_values(count: usize) -> impl Strategy<Value = Vec<f64>> {
    let any_value = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite());
    let odd = prop_oneof![
        any_value.boxed(),
        Just(-0.0).boxed(),
        Just(0.0).boxed(),
        any::<f32>().prop_map(f64::from).prop_filter("finite", |v| v.is_finite()).boxed(),
    ];
    let change = (
        prop_oneof![20 => -40..40_i64, 2 => -100_000..100_000_i64],
        prop::option::weighted(0.03, odd),
    );
    let changes = prop::collection::vec(change, count);
    let kind = prop_oneof![
        3 => (0..=EXPONENT_MAX, Just(1.0)),
        1 => (0..=EXPONENT_MAX, Just(std::f64::consts::PI)),
    ];
    (kind, -100_000..100_000_i64, changes).prop_map(|((exponent, factor), start, changes)| {
        let mut whole = start;
        changes
            .into_iter()
            .map(|(change, odd)| {
                whole += change;
                odd.unwrap_or(from_whole(whole, exponent) * factor)
            })
            .collect()
    })
}

/// Versions of attributes: mostly one, sometimes another.
fn any_versions(count: usize) -> impl Strategy<Value = Vec<u32>> {
    let change = prop_oneof![30 => Just(None), 1 => any::<u32>().prop_map(Some)];
    prop::collection::vec(change, count).prop_map(|changes| {
        let mut version = 1;
        changes
            .into_iter()
            .map(|change| {
                version = change.unwrap_or(version);
                version
            })
            .collect()
    })
}
