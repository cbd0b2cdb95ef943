//! What a window costs: to fold a reading in, to write and read it alone, and as one of the 60 of
//! a block.
//!
//! `cargo bench --bench windows`. The case is what was measured in the minute.

use std::fmt;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use streamgauge::history::codec::varint::Input;
use streamgauge::history::codec::windows::{decode, encode, read_window, write_window};
use streamgauge::history::{Resolution, Window};
use streamgauge::reading::UnixMillis;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MINUTE: Resolution = Resolution::Minute;
const MINUTES: i64 = 60;
/// 2026-11-23T20:00:00Z.
const START: i64 = 1_795_464_000_000;

/// What was measured.
#[derive(Clone, Copy)]
enum Case {
    OneDecimal,
    SixDecimals,
    Doubles,
    Equal,
    Single,
}

use Case::{Doubles, Equal, OneDecimal, Single, SixDecimals};

const ALL: [Case; 5] = [OneDecimal, SixDecimals, Doubles, Equal, Single];

impl Case {
    fn value(self, n: i64) -> f64 {
        let random = ((n + 1) * 7919 % 1009) as f64;
        match self {
            OneDecimal | Single => 15.0 + (random / 10.0).round() / 10.0,
            SixDecimals => ((52.0 + random / 1e4) * 1e6).round() / 1e6,
            Doubles => 15.0 + random / 99.7,
            Equal => 21.5,
        }
    }

    fn windows(self) -> Vec<Window> {
        let readings = if matches!(self, Single) { 1 } else { 60 };
        let window = |minute: i64| {
            let start = START + minute * MINUTE.window_ms();
            let mut window = Window::new(UnixMillis(start));
            for n in 0..readings {
                let at = UnixMillis(start + 500 + n * 1000 + n * 7919 % 97);
                window.fold(self.value(minute * readings + n), at, 1);
            }
            window
        };
        (0..MINUTES).map(window).collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            OneDecimal => "one_decimal",
            SixDecimals => "six_decimals",
            Doubles => "doubles",
            Equal => "equal",
            Single => "single",
        };
        write!(f, "{name}_{}_bytes", encode(&self.windows(), MINUTE).len() / MINUTES as usize)
    }
}

#[divan::bench(args = ALL)]
fn fold(bencher: Bencher<'_, '_>, case: Case) {
    let mut window = Window::new(UnixMillis(START));
    let mut n = 0;
    bencher.bench_local(|| {
        n = (n + 1) % 60;
        window.fold(black_box(case.value(n)), UnixMillis(START + n * 1000), 1);
    });
}

#[divan::bench(args = ALL)]
fn write_alone(bencher: Bencher<'_, '_>, case: Case) {
    let windows = case.windows();
    let mut bytes = Vec::with_capacity(8192);
    bencher.counter(ItemsCount::new(windows.len())).bench_local(|| {
        bytes.clear();
        for window in black_box(&windows) {
            write_window(window, MINUTE, &mut bytes);
        }
    });
}

#[divan::bench(args = ALL)]
fn read_alone(bencher: Bencher<'_, '_>, case: Case) {
    let windows = case.windows();
    let mut bytes = Vec::new();
    for window in &windows {
        write_window(window, MINUTE, &mut bytes);
    }
    bencher.counter(ItemsCount::new(windows.len())).bench_local(|| {
        let mut input = Input(black_box(&bytes));
        while let Some(window) = read_window(&mut input, MINUTE) {
            black_box(window);
        }
        assert!(input.0.is_empty());
    });
}

#[divan::bench(args = ALL)]
fn encode_block(bencher: Bencher<'_, '_>, case: Case) {
    let windows = case.windows();
    bencher
        .counter(ItemsCount::new(windows.len()))
        .bench_local(|| encode(black_box(&windows), MINUTE));
}

#[divan::bench(args = ALL)]
fn decode_block(bencher: Bencher<'_, '_>, case: Case) {
    let windows = case.windows();
    let block = encode(&windows, MINUTE);
    let mut into = Vec::new();
    bencher.counter(ItemsCount::new(windows.len())).bench_local(|| {
        into.clear();
        assert!(decode(black_box(&block), MINUTE, &mut into).is_ok());
    });
}

fn main() {
    divan::main();
}
