//! What a block of readings promises.

use proptest::prelude::*;

use super::*;
use crate::history::codec::testing::{any_readings, reading, same};

fn decoded(bytes: &[u8]) -> Result<(u32, Vec<StoredReading>), Unreadable> {
    let mut readings = vec![reading(7, 7.0, 7)];
    match decode(bytes, &mut readings) {
        Ok(full) => Ok((full, readings.split_off(1))),
        Err(unreadable) => {
            assert_eq!(readings, [reading(7, 7.0, 7)], "something was appended");
            Err(unreadable)
        }
    }
}

/// Asserts that readings survive; gives what they took.
fn bytes_of(readings: &[StoredReading]) -> usize {
    let block = encode(3, readings);
    let (full, back) = decoded(&block).unwrap();
    assert_eq!(full, 3);
    assert!(same(&back, readings), "{readings:?}");
    block.len()
}

fn regular(values: impl IntoIterator<Item = f64>) -> Vec<StoredReading> {
    let times = (1_795_437_297_000..).step_by(1_000);
    times.zip(values).map(|(at, value)| reading(at, value, 1)).collect()
}

#[test]
fn a_constant_value_at_a_constant_step_takes_a_few_bytes_in_all() {
    assert_eq!(bytes_of(&regular([21.3; READINGS_PER_BLOCK_MAX])), 20);
    assert_eq!(bytes_of(&[]), 3);
    assert_eq!(bytes_of(&regular([21.3])), 18);
}

#[test]
fn a_gap_or_a_change_of_attributes_is_paid_for_once() {
    let plain = regular((0..1_000).map(|at| f64::from(at * at % 17) / 10.0));
    let taken = bytes_of(&plain);
    let mut gap = plain.clone();
    gap[500..].iter_mut().for_each(|reading| reading.measured_at.0 += 60_000);
    assert!(bytes_of(&gap) <= taken + 6, "{} and {taken}", bytes_of(&gap));
    let mut changed = plain;
    changed[500..].iter_mut().for_each(|reading| reading.attributes = 2);
    assert_eq!(bytes_of(&changed), taken + 3);
}

#[test]
fn values_that_are_no_decimals_are_patched() {
    let mut readings = regular((0..1_000).map(|at| f64::from(at * at % 17) / 10.0));
    let taken = bytes_of(&readings);
    readings[700].value = 1.0 / 3.0;
    readings[701].value = -0.0;
    readings[999].value = 21.123_456_789;
    assert!(bytes_of(&readings) <= taken + 40, "{} and {taken}", bytes_of(&readings));
}

#[test]
fn doubles_take_the_bits_that_change() {
    let single = |at: i32| f64::from(20.0 + at as f32 / 1_000.0);
    let taken = bytes_of(&regular((0..1_000).map(|at| single(at * 7 % 1_000))));
    assert!(taken <= 2_500 + 30, "{taken} bytes");
    let taken = bytes_of(&regular((0..1_000).map(|at| f64::from(at * 7 % 1_000) * 0.001_3)));
    assert!(taken <= 7_500, "{taken} bytes");
}

#[test]
fn what_cannot_be_is_refused() {
    let check = |bytes: &[u8], expected| assert_eq!(decoded(bytes), Err(expected), "{bytes:?}");
    check(&[], Unreadable::Damaged("version"));
    check(&[2], Unreadable::Version(2));
    check(
        &[VERSION, 0xff, 0xff, 0xff, 0xff, 0x10, 0],
        Unreadable::Damaged("number of full blocks"),
    );
    check(&[VERSION, 0], Unreadable::Damaged("number of readings"));
    check(&[VERSION, 0, 0x81, 8], Unreadable::Damaged("number of readings"));
    check(&[VERSION, 0, 0, 0], Unreadable::Damaged("end"));
    let block = encode(0, &regular([21.3, 21.4]));
    for length in 3..block.len() {
        assert!(decoded(&block[..length]).is_err(), "{length} bytes of {}", block.len());
    }
    // A step of −1 ms, and an infinite value.
    check(&[VERSION, 0, 2, 0, 0, 1], Unreadable::Damaged("times"));
    let infinite = [&[PATCHED, 0, 0, 1, 0], &f64::INFINITY.to_le_bytes()[..]].concat();
    check(
        &[&[VERSION, 0, 1, 0, 0, 0], &infinite[..], &[0, 0]].concat(),
        Unreadable::Damaged("values"),
    );
}

proptest! {
    #[test]
    fn any_ascending_readings_survive(mut readings in any_readings(150), full: u32) {
        readings.sort_by_key(|reading| reading.measured_at);
        let (found, back) = decoded(&encode(full, &readings)).unwrap();
        prop_assert_eq!(found, full);
        prop_assert!(same(&back, &readings));
    }

    #[test]
    fn a_changed_block_is_read_or_refused(
        mut readings in any_readings(40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        readings.sort_by_key(|reading| reading.measured_at);
        let mut block = encode(0, &readings);
        prop_assert!(decoded(&block[..cut.index(block.len())]).is_err(), "the end is not missed");
        for (place, byte) in changes {
            *place.get_mut(&mut block) = byte;
        }
        if let Ok((full, readings)) = decoded(&block) {
            prop_assert!(readings.is_sorted_by_key(|reading| reading.measured_at));
            prop_assert_eq!(decoded(&encode(full, &readings)), Ok((full, readings)));
        }
    }

    #[test]
    fn any_bytes_are_a_block_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok((full, readings)) = decoded(&[&[VERSION, 0], &bytes[..]].concat()) {
            prop_assert_eq!(decoded(&encode(full, &readings)), Ok((full, readings)));
        }
    }
}
