//! What a tail promises.

use proptest::prelude::*;

use super::*;
use crate::history::codec::testing::{any_readings, reading, same};

fn tail(readings: &[StoredReading]) -> Tail {
    let mut tail = Tail::default();
    readings.iter().for_each(|&reading| tail.push(reading));
    tail
}

/// Asserts that readings survive, and gives what each of them took.
fn bytes_of(readings: &[StoredReading]) -> Vec<usize> {
    let lengths: Vec<_> =
        (0..=readings.len()).map(|count| tail(&readings[..count]).bytes().len()).collect();
    let back = Tail::from_bytes(tail(readings).bytes().to_vec()).unwrap();
    assert!(same(&back.readings().collect::<Vec<_>>(), readings), "{readings:?}");
    lengths.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn values(values: &[f64]) -> Vec<StoredReading> {
    (0_i64..).zip(values).map(|(at, &value)| reading(1_000 * at, value, 0)).collect()
}

#[test]
fn a_regular_reading_with_a_small_change_is_one_byte() {
    let all = values(&[21.3, 21.4, 21.4, 18.3, 21.4, -0.1, 6000.0]);
    assert_eq!(bytes_of(&all), [4, 3, 1, 1, 1, 2, 4]);
}

#[test]
fn doubles_take_the_bytes_that_differ() {
    let third = 1.0 / 3.0;
    let single = |value: f32| f64::from(value);
    assert_eq!(bytes_of(&values(&[third, third, third * 2.0, -0.0]))[1..], [3, 5, 9]);
    assert_eq!(bytes_of(&values(&[single(0.3), single(0.31), single(0.3)]))[2..], [4]);
    // The first double after decimals, and the first decimal after doubles.
    assert_eq!(bytes_of(&values(&[21.3, 21.3, third, 21.3, 21.3]))[2..], [9, 4, 1]);
}

#[test]
fn one_value_of_many_places_does_not_make_the_others_long() {
    let all = values(&[21.3, 21.3, 21.123_456_789, 21.4, 21.5, 21.4]);
    assert_eq!(bytes_of(&all)[2..], [7, 3, 1, 1]);
}

#[test]
fn a_gap_costs_one_step_and_a_new_pace_three() {
    let at = |times: &[i64]| times.iter().map(|&at| reading(at, 5.0, 0)).collect::<Vec<_>>();
    assert_eq!(bytes_of(&at(&[0, 10, 20, 130, 140, 150]))[2..], [1, 3, 1, 1]);
    assert_eq!(bytes_of(&at(&[0, 10, 20, 31, 40, 50]))[2..], [1, 2, 2, 1]);
    assert_eq!(bytes_of(&at(&[0, 10, 20, 22, 24, 26, 28]))[2..], [1, 2, 2, 2, 1]);
}

#[test]
fn attributes_are_written_when_they_change() {
    let all = [1, 1, u32::MAX, u32::MAX, 0].map(|version| reading(0, 5.0, version));
    assert_eq!(bytes_of(&all)[1..], [1, 7, 1, 3]);
}

#[test]
fn what_cannot_be_is_refused() {
    let check = |bytes: &[u8]| {
        assert!(Tail::from_bytes(bytes.to_vec()).is_err(), "{bytes:?}");
    };
    check(&[0]);
    check(&[SAME_STEP, 0x80]);
    check(&[SAME_STEP | KIND]);
    check(&[SAME_STEP | DECIMAL, EXPONENT_MAX + 1, 0]);
    check(&[SAME_STEP | DOUBLE, 1, 2, 3]);
    check(&[SAME_STEP | ATTRIBUTES, 0x80, 0x80, 0x80, 0x80, 0x10, 0]);
    let infinite = f64::INFINITY.to_bits().to_le_bytes();
    check(&[&[SAME_STEP | DOUBLE], &infinite[..]].concat());
}

#[test]
fn a_million_series_can_each_hold_one() {
    assert_eq!(size_of::<Tail>(), 64);
}

proptest! {
    #[test]
    fn any_readings_survive_in_order_of_arrival(readings in any_readings(100)) {
        let whole = tail(&readings);
        prop_assert_eq!(whole.len(), readings.len());
        prop_assert!(same(&whole.readings().collect::<Vec<_>>(), &readings));
        // Put down and taken up again, a tail goes on as if nothing had been.
        let (before, after) = readings.split_at(readings.len() / 2);
        let mut resumed = Tail::from_bytes(tail(before).bytes().to_vec()).unwrap();
        prop_assert_eq!(&resumed, &tail(before));
        after.iter().for_each(|&reading| resumed.push(reading));
        prop_assert_eq!(resumed, whole);
    }

    #[test]
    fn any_bytes_are_a_tail_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(found) = Tail::from_bytes(bytes) {
            let readings: Vec<_> = found.readings().collect();
            prop_assert_eq!(readings.len(), found.len());
            prop_assert!(same(&tail(&readings).readings().collect::<Vec<_>>(), &readings));
        }
    }
}
