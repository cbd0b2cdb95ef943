//! Any bytes are readings within the bounds of the domain, or are refused; never a panic, and
//! never more or less JSON than serde_json takes it for.
//!
//! `cargo +nightly fuzz run payload`. What lies in `corpus/payload` is replayed by `cargo test`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use streamgauge::payload::{Decoder, Input, NaiveTime, READINGS_PER_MESSAGE_MAX};
use streamgauge::reading::{
    ID_BYTES_MAX, LOCATION_BYTES_MAX, METADATA_BYTES_MAX, Reading, UNIT_BYTES_MAX, UnixMillis,
};
use streamgauge::refusal::Refusal;

fuzz_target!(|payload: &[u8]| {
    let received_at = UnixMillis(1_717_200_000_000);
    let input = Input { topic: "sensors/a/b", payload, received_at };
    let mut readings = 0;
    let answer = Decoder::new(NaiveTime::Utc).decode(&input, &mut |reading| {
        check(&reading);
        readings += 1;
    });
    match answer {
        Ok(decoded) => {
            assert_eq!(usize::from(decoded.readings), readings);
            assert!((1..=READINGS_PER_MESSAGE_MAX).contains(&readings));
            assert!(is_json(payload));
        }
        Err(refusal) => {
            assert_eq!(readings, 0);
            assert!(refusal != Refusal::BadJson || !is_json(payload));
        }
    }
});

fn check(reading: &Reading<'_>) {
    assert!(reading.value.is_finite());
    for id in [&reading.sensor_id, &reading.sensor_type] {
        assert!((1..=ID_BYTES_MAX).contains(&id.len()));
        assert!(!id.chars().any(char::is_control));
    }
    assert!(reading.unit.len() <= UNIT_BYTES_MAX);
    assert!(reading.location.as_ref().is_none_or(|location| location.len() <= LOCATION_BYTES_MAX));
    assert!(reading.metadata.len() <= METADATA_BYTES_MAX);
    let metadata = serde_json::from_str::<Value>(&reading.metadata);
    assert!(metadata.is_ok_and(|metadata| metadata.is_object()));
}

fn is_json(payload: &[u8]) -> bool {
    let text = payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload);
    serde_json::from_slice::<Value>(text).is_ok()
}
