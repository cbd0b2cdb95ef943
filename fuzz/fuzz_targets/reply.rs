//! Any bytes are a reply of Redis, the same wherever they are cut, or are refused; never a panic.
//!
//! `cargo +nightly fuzz run reply`. What lies in `corpus/reply` is replayed by `cargo test`.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use streamgauge::stream::reply::{Reply, Scan};

fuzz_target!(|bytes: &[u8]| {
    let mut scan = Scan::default();
    let stepwise = (0..=bytes.len()).map(|known| scan.end(&bytes[..known]));
    let stepwise = stepwise.take_while(|end| !matches!(end, Ok(Some(_)) | Err(_))).count();
    if let Ok(Some(end)) = Scan::default().end(bytes) {
        // As many steps as bytes were not enough.
        assert_eq!(stepwise, end);
    }
    let mut list = Reply::new(Bytes::copy_from_slice(bytes));
    for entry in list.entries().into_iter().flatten() {
        assert!(entry.bytes() <= bytes.len());
        assert_eq!(entry.messages().count(), entry.len());
    }
    let mut read = Reply::new(Bytes::copy_from_slice(bytes));
    if read.array().is_ok() {
        while read.stream().is_ok() && read.entries().is_ok() {}
    }
});
