//! What a column promises.

use proptest::prelude::*;

use super::*;

/// Asserts that numbers survive; gives what they took.
fn written(numbers: &[i64]) -> Vec<u8> {
    let mut out = Vec::new();
    Plan::of(numbers).write(numbers, &mut out);
    let mut back = vec![7; numbers.len()];
    let mut input = Input(&out);
    assert_eq!(read(&mut input, &mut back), Some(()), "{numbers:?}");
    assert_eq!(back, numbers);
    assert_eq!(input.0.len(), 0, "{numbers:?}");
    out
}

/// Many numbers of this range, in no order but always the same.
fn noise(range: std::ops::Range<i64>) -> Vec<i64> {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).cast_signed()
    };
    (0..1_000).map(|_| range.start + next() % (range.end - range.start)).collect()
}

#[test]
fn a_constant_takes_nothing_for_each_number() {
    assert_eq!(written(&[1_000; 1_024]), [0, 0xd0, 0x0f]);
    assert_eq!(written(&[]).len(), 2);
    assert_eq!(written(&[i64::MIN]).len(), 11);
}

#[test]
fn numbers_take_the_bits_of_their_range() {
    assert_eq!(written(&noise(-3..5)).len(), 2 + 375);
    assert_eq!(written(&noise(1_000..1_016)).len(), 3 + 500);
}

#[test]
fn outliers_on_either_side_are_paid_for_alone() {
    let regular = noise(200..216);
    let plain = written(&regular).len();
    for outlier in [0, -1_270, 850, i64::MAX, i64::MIN] {
        let mut numbers = regular.clone();
        (numbers[3], numbers[500]) = (outlier, outlier);
        let taken = written(&numbers).len() - plain;
        assert!(taken <= 25, "{taken} bytes for two times {outlier}");
    }
}

#[test]
fn a_common_divisor_is_taken_out() {
    for divisor in [5, 625, 1_000, 1 << 29, 3 << 40] {
        let numbers: Vec<_> = noise(0..16).iter().map(|number| 7 + number * divisor).collect();
        let taken = written(&numbers).len();
        assert!(taken <= 500 + 16, "{taken} bytes with {divisor}");
    }
}

#[test]
fn a_plan_knows_what_it_costs() {
    for numbers in [noise(0..1), noise(0..1_000), noise(-1_000_000_000..1_000_000_000)] {
        let taken = written(&numbers).len() as u64;
        assert!(Plan::of(&numbers).bits().div_ceil(8).abs_diff(taken) <= 4, "{taken}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let check = |bytes: &[u8]| {
        assert_eq!(read(&mut Input(bytes), &mut [0; 8]), None, "{bytes:?}");
    };
    check(&[]);
    check(&[58, 0]);
    check(&[0, 0x80]);
    check(&[SCALED, 0]);
    check(&[9, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    // An exception behind the last number, and a count that no place is left for.
    check(&[PATCHED, 0, 1, 8 << SHORT_BITS]);
    check(&[PATCHED, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    check(&[&[PATCHED | WIDTH_WHOLE_CODE, 0], &[0; 64][..], &[1, 0]].concat());
}

/// Numbers of all sizes, near each other or not.
fn any_numbers() -> impl Strategy<Value = Vec<i64>> {
    let numbers = (0..64_u32, 0..64_u32, 0..20_u32).prop_flat_map(|(bits, wild_bits, every)| {
        let number = (any::<i64>(), 0..=every)
            .prop_map(move |(number, choice)| number >> if choice == 0 { wild_bits } else { bits });
        prop::collection::vec(number, 0..200)
    });
    let factor = prop_oneof![Just(1), 1..10_000_i64, any::<i64>()];
    let start = prop_oneof![-1_000..1_000_i64, any::<i64>()];
    (numbers, factor, start).prop_map(|(numbers, factor, start)| {
        let moved = |number: &i64| number.wrapping_mul(factor).wrapping_add(start);
        numbers.iter().map(moved).collect()
    })
}

proptest! {
    #[test]
    fn any_numbers_survive(numbers in any_numbers()) {
        written(&numbers);
    }

    #[test]
    fn any_bytes_are_a_column_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        count in 0..40_usize,
    ) {
        let mut numbers = vec![0; count];
        if read(&mut Input(&bytes), &mut numbers).is_some() {
            written(&numbers);
        }
    }
}
