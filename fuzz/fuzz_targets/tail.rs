//! Any bytes are a tail, whose readings another tail holds as well, or are refused; never a panic.
//!
//! `cargo +nightly fuzz run tail`. What lies in `corpus/tail` is replayed by `cargo test`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use streamgauge::history::StoredReading;
use streamgauge::history::codec::tail::Tail;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tail) = Tail::from_bytes(bytes.to_vec()) else { return };
    assert_eq!(tail.bytes(), bytes);
    let mut again = Tail::default();
    for reading in tail.readings() {
        assert!(reading.value.is_finite());
        again.push(reading);
    }
    assert_eq!(again.len(), tail.len());
    assert!(again.readings().map(bits).eq(tail.readings().map(bits)));
    let resumed = Tail::from_bytes(again.bytes().to_vec());
    assert_eq!(resumed, Ok(again));
});

fn bits(reading: StoredReading) -> (i64, u64, u32) {
    (reading.measured_at.0, reading.value.to_bits(), reading.attributes)
}
