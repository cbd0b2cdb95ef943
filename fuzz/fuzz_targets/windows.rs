//! Any bytes are windows that could have been, or an error; never a panic, and what was read can
//! be written again.
//!
//! `cargo +nightly fuzz run windows`. What lies in `corpus/windows` is replayed by `cargo test`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use streamgauge::history::codec::varint::Input;
use streamgauge::history::codec::windows::{decode, encode, read_window, write_window};
use streamgauge::history::{Resolution, Window};

fuzz_target!(|bytes: &[u8]| {
    for resolution in Resolution::ALL {
        let mut windows = Vec::new();
        if decode(bytes, resolution, &mut windows).is_err() {
            assert!(windows.is_empty());
        }
        windows.iter().for_each(|window| check(window, resolution));
        assert!(windows.is_sorted_by(|a, b| a.start < b.start));
        let block = encode(&windows, resolution);
        let mut again = Vec::new();
        assert!(decode(&block, resolution, &mut again).is_ok());
        assert_eq!(encode(&again, resolution), block);

        if let Some(window) = read_window(&mut Input(bytes), resolution) {
            check(&window, resolution);
            let mut record = Vec::new();
            write_window(&window, resolution, &mut record);
            assert!(read_window(&mut Input(&record), resolution).is_some());
        }
    }
});

fn check(window: &Window, resolution: Resolution) {
    let statistics = &window.statistics;
    let (extent, ends) = (&statistics.extent, &statistics.ends);
    assert!(statistics.moments.count > 0);
    assert!(extent.min.is_finite() && extent.max.is_finite());
    for value in [ends.first_value, ends.last_value] {
        assert!(extent.min <= value && value <= extent.max);
    }
    assert!(ends.first_at <= ends.last_at);
    for at in [ends.first_at, ends.last_at] {
        assert_eq!(resolution.start_of(at), window.start);
    }
}
