//! What a reading at rest costs: into the tail, into a block, and back.
//!
//! `cargo bench --bench block`. The case is the kind of series; throughput is in readings. The
//! bytes stand in ARCHITECTURE.md ("Blocks"), where a test compares them.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use loadtest::workload::Workload;
use streamgauge::history::StoredReading;
use streamgauge::history::codec::readings::{
    READINGS_PER_BLOCK_MAX, decode as read, encode as write,
};
use streamgauge::history::codec::tail::Tail;
use streamgauge::reading::UnixMillis;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a tail holds before it is sealed: about 256 bytes of such readings.
const READINGS_PER_TAIL: usize = 200;

fn readings(workload: Workload, count: usize) -> Vec<StoredReading> {
    let stored = |(at, value)| StoredReading { measured_at: UnixMillis(at), value, attributes: 1 };
    workload.readings(count).into_iter().map(stored).collect()
}

#[divan::bench(args = Workload::ALL, sample_size = 20)]
fn encode(bencher: Bencher<'_, '_>, workload: Workload) {
    let readings = readings(workload, READINGS_PER_BLOCK_MAX);
    bencher.counter(ItemsCount::new(readings.len())).bench_local(|| write(0, black_box(&readings)));
}

#[divan::bench(args = Workload::ALL, sample_size = 20)]
fn decode(bencher: Bencher<'_, '_>, workload: Workload) {
    let block = write(0, &readings(workload, READINGS_PER_BLOCK_MAX));
    let mut back = Vec::with_capacity(READINGS_PER_BLOCK_MAX);
    bencher.counter(ItemsCount::new(READINGS_PER_BLOCK_MAX)).bench_local(|| {
        back.clear();
        read(black_box(&block), &mut back).expect("it was written here");
        black_box(&back);
    });
}

#[divan::bench(args = Workload::ALL, sample_size = 50)]
fn push_to_tail(bencher: Bencher<'_, '_>, workload: Workload) {
    let readings = readings(workload, READINGS_PER_TAIL);
    bencher.counter(ItemsCount::new(readings.len())).bench_local(|| {
        let mut tail = Tail::default();
        black_box(&readings).iter().for_each(|&reading| tail.push(reading));
        tail
    });
}

#[divan::bench(args = Workload::ALL, sample_size = 50)]
fn check_tail(bencher: Bencher<'_, '_>, workload: Workload) {
    let mut tail = Tail::default();
    readings(workload, READINGS_PER_TAIL).into_iter().for_each(|reading| tail.push(reading));
    bencher
        .counter(ItemsCount::new(READINGS_PER_TAIL))
        .bench_local(|| Tail::from_bytes(black_box(tail.bytes()).to_vec()));
}

#[divan::bench(args = Workload::ALL, sample_size = 50)]
fn read_tail(bencher: Bencher<'_, '_>, workload: Workload) {
    let mut tail = Tail::default();
    readings(workload, READINGS_PER_TAIL).into_iter().for_each(|reading| tail.push(reading));
    bencher.counter(ItemsCount::new(READINGS_PER_TAIL)).bench_local(|| {
        black_box(&tail).readings().for_each(|reading| {
            black_box(reading);
        });
    });
}

fn main() {
    divan::main();
}
