//! Any bytes are a block of readings, which another block holds as well, or are refused; never a
//! panic.
//!
//! `cargo +nightly fuzz run block`. What lies in `corpus/block` is replayed by `cargo test`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use streamgauge::history::StoredReading;
use streamgauge::history::codec::readings::{READINGS_PER_BLOCK_MAX, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let mut readings = Vec::new();
    match decode(bytes, &mut readings) {
        Ok(full) => {
            assert!(readings.len() <= READINGS_PER_BLOCK_MAX);
            assert!(readings.is_sorted_by_key(|reading| reading.measured_at));
            assert!(readings.iter().all(|reading| reading.value.is_finite()));
            let mut again = Vec::new();
            assert_eq!(decode(&encode(full, &readings), &mut again), Ok(full));
            assert!(again.iter().map(bits).eq(readings.iter().map(bits)));
        }
        Err(_) => assert!(readings.is_empty()),
    }
});

fn bits(reading: &StoredReading) -> (i64, u64, u32) {
    (reading.measured_at.0, reading.value.to_bits(), reading.attributes)
}
