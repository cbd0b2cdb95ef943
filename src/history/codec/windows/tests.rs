//! Windows survive, whatever was measured; bytes are windows or an error, whatever they are.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::super::Unreadable;
use super::super::varint::Input;
use super::{VERSION, decode, encode, read_window, write_window};
use crate::history::{HOUR_MS, Resolution, Window};
use crate::reading::UnixMillis;
use crate::statistic::Statistics;

const MINUTE: Resolution = Resolution::Minute;
const HOUR: Resolution = Resolution::Hour;
/// 2026-11-23T20:00:00Z.
const NOW: i64 = 1_795_464_000_000;

/// A reading: value, time, version of the attributes.
type Folded = (f64, i64, u32);

/// The windows that readings belong to, ascending by start.
fn windows_of(readings: &[Folded], resolution: Resolution) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for &(value, at, attributes) in readings {
        let start = resolution.start_of(UnixMillis(at));
        let place = windows.binary_search_by_key(&start, |window| window.start);
        let place = place.unwrap_or_else(|place| {
            windows.insert(place, Window::new(start));
            place
        });
        windows[place].fold(value, UnixMillis(at), attributes);
    }
    windows
}

fn decoded(block: &[u8], resolution: Resolution) -> Result<Vec<Window>, Unreadable> {
    let mut windows = Vec::new();
    decode(block, resolution, &mut windows).map(|()| windows)
}

fn alone(window: &Window, resolution: Resolution) -> Window {
    let mut bytes = Vec::new();
    write_window(window, resolution, &mut bytes);
    let mut input = Input(&bytes);
    let back = read_window(&mut input, resolution).unwrap();
    assert!(input.0.is_empty());
    back
}

/// Whether all but rounding is the same; `slack` of sums and of M2 is in parts of themselves.
fn agree(a: &Statistics, b: &Statistics, slack: (f64, f64)) -> bool {
    let near = |a: f64, b: f64, slack: f64| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= slack * b.abs()
    };
    a.moments.count == b.moments.count
        && near(a.moments.sum(), b.moments.sum(), slack.0)
        && near(a.moments.m2(), b.moments.m2(), slack.1)
        && a.extent == b.extent
        && a.ends == b.ends
}

fn survives(before: &Window, after: &Window) -> bool {
    let bits = |window: &Window| {
        let Statistics { extent, ends, .. } = &window.statistics;
        [extent.min, extent.max, ends.first_value, ends.last_value].map(f64::to_bits)
    };
    agree(&after.statistics, &before.statistics, (1e-15, 1e-12))
        && bits(after) == bits(before)
        && (after.start, after.attributes) == (before.start, before.attributes)
}

/// Values of one kind, as sensors send them, and what else there is.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let decimals =
        (0..8i32, -400_000i64..400_000, 1..40_000i64).prop_flat_map(|(exponent, low, range)| {
            let whole = low..low + range;
            let value = whole.prop_map(move |whole| whole as f64 / 10f64.powi(exponent));
            prop::collection::vec(value, 1..80)
        });
    let finite = || any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite());
    prop_oneof![
        4 => decimals,
        2 => prop::collection::vec(-1e3..1e3f64, 1..80),
        1 => prop::collection::vec((-1e3..1e3f32).prop_map(f64::from), 1..80),
        1 => prop::collection::vec(finite(), 1..20),
        1 => (finite(), 1usize..80).prop_map(|(value, count)| vec![value; count]),
        1 => prop::collection::vec(prop::sample::select(vec![0.0, -0.0, 1.0]), 1..9),
        1 => prop::collection::vec(prop::sample::select(vec![f64::MAX, f64::MIN, 1.0]), 1..9),
    ]
}

/// Readings of a few windows in one span, in any order; often at one time.
fn readings() -> impl Strategy<Value = Vec<Folded>> {
    let span = prop_oneof![Just(0i64), Just(-1), Just(NOW / HOUR_MS / 24), -9_000..9_000i64];
    (values(), span, 1..HOUR_MS, any::<u64>(), 0..3u32).prop_map(
        |(values, day, range, seed, versions)| {
            let readings = (0u64..).zip(values).map(|(n, value)| {
                let random = seed.wrapping_mul(n + 1) >> 20;
                let at = day * 24 * HOUR_MS + (random % range.cast_unsigned()).cast_signed();
                (value, at, 1 + u32::from(versions > 0) * (random % 3) as u32)
            });
            readings.collect()
        },
    )
}

proptest! {
    #[test]
    fn windows_survive(readings in readings()) {
        for resolution in Resolution::ALL {
            let windows = windows_of(&readings, resolution);
            let block = encode(&windows, resolution);
            let back = decoded(&block, resolution).unwrap();
            prop_assert_eq!(back.len(), windows.len());
            for (before, after) in windows.iter().zip(&back) {
                prop_assert!(survives(before, after), "{:?} became {:?}", before, after);
                let after = alone(before, resolution);
                prop_assert!(survives(before, &after), "{:?} became {:?}", before, after);
            }
            prop_assert_eq!(encode(&back, resolution), block, "written twice it is the same");
        }
    }

    #[test]
    fn what_survived_obeys_the_laws(
        all in prop::collection::vec((-1e3..1e3f64, NOW..NOW + 60_000, 1..4u32), 3..60),
        places in prop::option::of(0..5i32),
        cuts in (0..60usize, 0..60usize),
    ) {
        let rounded = |value: f64| match places {
            Some(places) => (value * 10f64.powi(places)).round() / 10f64.powi(places),
            None => value,
        };
        let all: Vec<Folded> =
            all.into_iter().map(|(value, at, version)| (rounded(value), at, version)).collect();
        let first = 1 + cuts.0 % (all.len() - 2);
        let second = first + 1 + cuts.1 % (all.len() - first - 1);
        let part = |readings: &[Folded]| alone(&windows_of(readings, MINUTE)[0], MINUTE);
        let [left, middle, right] =
            [&all[..first], &all[first..second], &all[second..]].map(part);
        let merged = |a: &Window, b: &Window| {
            let mut merged = a.clone();
            merged.merge(b);
            alone(&merged, MINUTE)
        };
        let whole = &windows_of(&all, MINUTE)[0];
        let slack = (1e-9 * 1e6, 1e-9);
        for window in [
            merged(&merged(&left, &middle), &right),
            merged(&left, &merged(&middle, &right)),
        ] {
            prop_assert!(agree(&window.statistics, &whole.statistics, slack));
            prop_assert_eq!(window.attributes, whole.attributes);
        }
    }

    #[test]
    fn any_bytes_are_windows_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
        if let Some(version) = bytes.first_mut() {
            *version = VERSION;
        }
        check(&bytes);
    }

    #[test]
    fn damaged_blocks_are_windows_or_an_error(
        readings in readings(),
        place in any::<prop::sample::Index>(),
        mask in 1..=255u8,
        cut in any::<prop::sample::Index>(),
    ) {
        for resolution in Resolution::ALL {
            let mut block = encode(&windows_of(&readings, resolution), resolution);
            prop_assert!(decoded(&block[..cut.index(block.len())], resolution).is_err());
            let place = place.index(block.len());
            block[place] ^= mask;
            check(&block);
        }
    }
}

/// What comes of any bytes can be written again, and is then the same.
fn check(bytes: &[u8]) {
    for resolution in Resolution::ALL {
        let mut windows = vec![Window::new(UnixMillis(7))];
        let answer = decode(bytes, resolution, &mut windows);
        let windows = windows.split_off(1);
        assert!(answer.is_ok() || windows.is_empty());
        assert!(windows.is_sorted_by(|a, b| a.start < b.start));
        assert!(windows.len() <= if resolution == MINUTE { 60 } else { 24 });
        windows.iter().for_each(|window| assert_possible(window, resolution));
        let once = decoded(&encode(&windows, resolution), resolution).unwrap();
        assert_eq!(once.len(), windows.len());
        assert_eq!(encode(&once, resolution), encode(&windows, resolution));
        if let Some(window) = read_window(&mut Input(bytes), resolution) {
            assert_possible(&window, resolution);
            assert_possible(&alone(&window, resolution), resolution);
        }
    }
}

fn assert_possible(window: &Window, resolution: Resolution) {
    let Statistics { moments, extent, ends } = &window.statistics;
    assert!(moments.count > 0);
    assert!(extent.min.is_finite() && extent.max.is_finite());
    for value in [ends.first_value, ends.last_value] {
        assert!(extent.min <= value && value <= extent.max);
    }
    assert!(ends.first_at <= ends.last_at);
    for at in [ends.first_at, ends.last_at] {
        assert_eq!(resolution.start_of(at), window.start);
    }
}

#[test]
fn the_fuzzer_s_corpus_is_windows_or_an_error() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/windows");
    let mut cases = 0;
    for case in fs::read_dir(corpus).unwrap() {
        check(&fs::read(case.unwrap().path()).unwrap());
        cases += 1;
    }
    assert!(cases > 10, "the corpus is gone");
}

#[test]
fn the_edges_of_time_have_windows() {
    for resolution in Resolution::ALL {
        for at in [i64::MIN, i64::MAX] {
            let readings = [(1.5, at, 1), (2.5, at, 1)];
            let window = &windows_of(&readings, resolution)[0];
            assert_eq!(&alone(window, resolution), window, "{resolution:?} {at}");
            let one = &windows_of(&readings[..1], resolution)[0];
            assert_eq!(&alone(one, resolution), one, "{resolution:?} {at}");
        }
    }
}

/// What a window of so many readings takes in a block of a full span, rounded up.
fn bytes_per_window(resolution: Resolution, readings: i64, value: impl Fn(u64) -> f64) -> usize {
    let span = resolution.shelf().span_ms();
    let windows = span / resolution.window_ms();
    let step = resolution.window_ms() / readings;
    let all = (0..windows * readings).map(|n| {
        let random = noise(n.cast_unsigned());
        let jitter = (random % step.cast_unsigned()).cast_signed();
        (value(random >> 20), NOW / span * span + n * step + jitter, 1)
    });
    let block = encode(&windows_of(&all.collect::<Vec<_>>(), resolution), resolution);
    block.len().div_ceil(usize::try_from(windows).unwrap())
}

/// The finish of `SplitMix64` (Steele, Lea and Flood 2014): the same numbers in every run.
fn noise(n: u64) -> u64 {
    let z = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn windows_take_the_bytes_that_architecture_md_tells() {
    // Between 15 and 25, evenly: a wide range for a minute.
    let decimal = |random: u64| (150 + random % 101) as f64 / 10.0;
    let double = |random: u64| 15.0 + (random % 1_000_003) as f64 / 100_000.3;
    let rows = [
        ("1 minute, 60 readings with one decimal place", bytes_per_window(MINUTE, 60, decimal)),
        ("1 minute, 600 readings that are no decimals", bytes_per_window(MINUTE, 600, double)),
        ("1 minute, 60 equal readings", bytes_per_window(MINUTE, 60, |_| 21.5)),
        ("1 minute, a single reading", bytes_per_window(MINUTE, 1, decimal)),
        ("1 hour, 3,600 readings with one decimal place", bytes_per_window(HOUR, 3_600, decimal)),
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = fs::read_to_string(path).unwrap();
    for (window, bytes) in rows {
        let row = format!("| {window} | {bytes} |");
        assert!(text.contains(&row), "ARCHITECTURE.md, \"Windows\", has no row\n{row}");
    }
}

/// A block of one window at the start of 1970, of these bytes behind the start.
fn of_record(record: &[u8]) -> Result<Vec<Window>, Unreadable> {
    decoded(&[&[VERSION, 1, 0], record].concat(), MINUTE)
}

#[test]
fn what_cannot_be_is_refused() {
    let minutes = [(21.5, 0, 1), (22.0, 9, 1), (21.5, 60_000, 1)];
    let block = encode(&windows_of(&minutes, MINUTE), MINUTE);
    assert_eq!(decoded(&[VERSION + 1], MINUTE), Err(Unreadable::Version(VERSION + 1)));
    assert_eq!(decoded(&[], MINUTE), Err(Unreadable::Damaged("version")));
    let damaged = Err(Unreadable::Damaged("windows"));
    assert_eq!(decoded(&block[..block.len() - 1], MINUTE), damaged);
    assert_eq!(decoded(&[&block[..], &[0]].concat(), MINUTE), damaged, "more than announced");
    assert_eq!(decoded(&[VERSION, 25], HOUR), damaged, "more than hours of a day");
    // One reading of 2.1 at 5 ms, then what makes it impossible.
    assert!(of_record(&[0x01, 5, 42]).is_ok());
    assert_eq!(of_record(&[0x0a, 5, 42]), damaged, "ten decimal places");
    assert_eq!(of_record(&[0x41, 5, 42]), damaged, "an M2 of one reading");
    assert_eq!(of_record(&[0x01, 0xe0, 0xd4, 3, 42]), damaged, "60,000 ms after the start");
    assert_eq!(of_record(&[0x0f, 5, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f]), damaged, "an infinite value");
    let version = [0xff, 0xff, 0xff, 0xff, 0x1f];
    assert_eq!(of_record(&[&[0x81], &version[..], &[5, 42]].concat()), damaged, "a large version");
    // Two readings, 2.0 and 2.5; the sum is 0.5 more than twice the smallest.
    assert!(of_record(&[0x21, 2, 0, 0, 40, 5, 0, 5, 5, 25]).is_ok());
    assert_eq!(of_record(&[0x21, 1, 0, 0, 40, 5, 0, 5, 5, 25]), damaged, "different, but one");
    assert_eq!(of_record(&[0x21, 2, 0, 0, 40, 5, 0, 6, 5, 25]), damaged, "above the largest");
    let doubles = |flags| of_record(&[&[flags, 2, 0, 0][..], &[0; 48]].concat());
    assert!(doubles(0x7f).is_ok());
    assert_eq!(doubles(0x6f), damaged, "a whole sum of doubles");
    assert_eq!(doubles(0x3f), damaged, "a whole M2 of doubles");
    let late = [0x21, 2, 1, 0xdf, 0xd4, 3, 40, 5, 0, 5, 5, 25];
    assert_eq!(of_record(&late), damaged, "the last before the first");
    // A second window that starts where the first does.
    let two = [VERSION, 2, 0, 0x01, 5, 42, 0, 0x01, 5, 42];
    assert_eq!(decoded(&two, MINUTE), damaged);
    let beyond = [VERSION, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0x01, 5, 42];
    assert_eq!(decoded(&beyond, MINUTE), damaged, "before the first window of all");
}
