//! The codec and what is written down: the fuzzers' corpora, and the sizes in ARCHITECTURE.md.

use std::fs;
use std::path::Path;

use loadtest::workload::Workload;

use super::readings::{READINGS_PER_BLOCK_MAX, decode, encode};
use super::tail::Tail;
use super::testing::same;
use crate::history::StoredReading;
use crate::reading::UnixMillis;

/// How many bytes a tail has when it is sealed, about.
const TAIL_BYTES: usize = 256;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let inputs: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(inputs.len() >= 10, "the corpus has {} inputs", inputs.len());
    inputs
}

fn readings(workload: Workload) -> Vec<StoredReading> {
    let stored = |(at, value)| StoredReading { measured_at: UnixMillis(at), value, attributes: 1 };
    workload.readings(READINGS_PER_BLOCK_MAX).into_iter().map(stored).collect()
}

#[test]
fn the_fuzzer_s_blocks_are_read_and_hold_their_readings_or_are_refused() {
    let (mut read, mut refused) = (0, 0);
    for block in corpus("block") {
        let (mut readings, mut again) = (Vec::new(), Vec::new());
        if let Ok(full) = decode(&block, &mut readings) {
            assert_eq!(decode(&encode(full, &readings), &mut again), Ok(full));
            assert!(same(&again, &readings));
            read += 1;
        } else {
            assert!(readings.is_empty());
            refused += 1;
        }
    }
    assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
}

#[test]
fn the_fuzzer_s_tails_are_read_and_hold_their_readings_or_are_refused() {
    let (mut read, mut refused) = (0, 0);
    for bytes in corpus("tail") {
        if let Ok(tail) = Tail::from_bytes(bytes) {
            let mut again = Tail::default();
            tail.readings().for_each(|reading| again.push(reading));
            let readings: Vec<_> = tail.readings().collect();
            assert!(same(&again.readings().collect::<Vec<_>>(), &readings));
            read += 1;
        } else {
            refused += 1;
        }
    }
    assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
}

/// The bytes that a reading takes in a full block, and in a full tail.
fn bytes_per_reading(workload: Workload) -> [f64; 2] {
    let readings = readings(workload);
    let block = encode(0, &readings).len() as f64 / readings.len() as f64;
    let mut tail = Tail::default();
    for reading in readings {
        if tail.bytes().len() < TAIL_BYTES {
            tail.push(reading);
        }
    }
    [block, tail.bytes().len() as f64 / tail.len() as f64]
}

#[test]
fn the_table_of_bytes_per_reading_is_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let page = fs::read_to_string(page).unwrap();
    for workload in Workload::ALL {
        let taken = bytes_per_reading(workload);
        let row = page.lines().find(|line| line.starts_with(&format!("| `{workload}`")));
        let row = row.unwrap_or_else(|| panic!("no row for {workload}, which takes {taken:.2?}"));
        let cell = |column| row.split('|').nth(column).unwrap().trim().parse::<f64>().unwrap();
        for (written, taken) in [cell(3), cell(4)].into_iter().zip(taken) {
            // The cells have two digits behind the point.
            let is_true = (written - taken).abs() <= 0.006 + 0.03 * taken;
            assert!(is_true, "{workload} takes {taken:.2}, not {written:.2}");
        }
    }
}
