//! What a reading costs: payload bytes to reading, beside two ways to do it with serde_json.
//!
//! `cargo bench --bench payload`. The case is the shape of the payload.

use std::borrow::Cow;
use std::fmt;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use serde::Deserialize;
use serde_json::value::RawValue;
use streamgauge::payload::{Decoder, Input, NaiveTime};
use streamgauge::reading::UnixMillis;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The payloads that are measured.
#[derive(Clone, Copy)]
enum Shape {
    ValueOnly,
    Typical,
    Documented,
    EscapedText,
    NumericId,
    EpochFraction,
    SpacedMetadata,
    Batch100,
}

use Shape::{
    Batch100, Documented, EpochFraction, EscapedText, NumericId, SpacedMetadata, Typical, ValueOnly,
};

const ALL: [Shape; 8] = [
    ValueOnly,
    Typical,
    Documented,
    EscapedText,
    NumericId,
    EpochFraction,
    SpacedMetadata,
    Batch100,
];
/// Those that a struct for serde_json reads too.
const FOR_A_STRUCT: [Shape; 5] = [ValueOnly, Typical, Documented, EscapedText, SpacedMetadata];

const TYPICAL: &str = concat!(
    r#"{"sensor_id":"sensor_000123","type":"temperature","value":21.4375,"unit":"°C","#,
    r#""timestamp":"2026-11-23T12:34:56.789Z"}"#,
);
const DOCUMENTED: &str = concat!(
    r#"{"sensor_id":"temp_01","type":"temperature","value":23.5,"unit":"°C","#,
    r#""timestamp":"2024-01-01T12:00:00Z","location":"Room A","metadata":{"calibrated":true}}"#,
);
const SPACED: &str = concat!(
    r#"{ "value": 23.5, "unit": "°C", "location": "Building 7, floor 3, room 12", "#,
    r#""timestamp": "2024-01-01T12:00:00+01:00", "metadata": { "calibrated": true, "#,
    r#""firmware": "1.14.2", "battery": 87, "tags": ["a", "b"] } }"#,
);

impl Shape {
    fn payload(self) -> String {
        match self {
            ValueOnly => r#"{"value":21.5,"unit":"°C"}"#.to_owned(),
            Typical => TYPICAL.to_owned(),
            Documented => DOCUMENTED.to_owned(),
            EscapedText => TYPICAL.replace('°', "\\u00b0"),
            NumericId => TYPICAL.replace("\"sensor_000123\"", "123"),
            EpochFraction => TYPICAL.replace("\"2026-11-23T12:34:56.789Z\"", "1795437296.789"),
            SpacedMetadata => SPACED.to_owned(),
            Batch100 => format!("[{}]", [TYPICAL; 100].join(",")),
        }
    }

    fn readings(self) -> usize {
        if matches!(self, Batch100) { 100 } else { 1 }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            ValueOnly => "value_only",
            Typical => "typical",
            Documented => "documented",
            EscapedText => "escaped_text",
            NumericId => "numeric_id",
            EpochFraction => "epoch_fraction",
            SpacedMetadata => "spaced_metadata",
            Batch100 => "batch_100",
        };
        write!(f, "{name}_{}_bytes", self.payload().len())
    }
}

fn decode_all(bencher: Bencher<'_, '_>, mut decoder: Decoder, payload: &str, readings: usize) {
    let input = Input {
        topic: "sensors/sensor_000123/temperature",
        payload: payload.as_bytes(),
        received_at: UnixMillis(1_795_437_297_000),
    };
    bencher.counter(ItemsCount::new(readings)).bench_local(|| {
        let answer = decoder.decode(black_box(&input), &mut |reading| {
            black_box(reading);
        });
        assert!(answer.is_ok());
    });
}

#[divan::bench(args = ALL, sample_size = 500)]
fn decode(bencher: Bencher<'_, '_>, shape: Shape) {
    decode_all(bencher, Decoder::new(NaiveTime::Utc), &shape.payload(), shape.readings());
}

/// A timestamp without zone, looked up in a table with daylight-saving rules.
#[divan::bench(sample_size = 500)]
fn decode_naive_local(bencher: Bencher<'_, '_>) {
    let zone = NaiveTime::parse("Europe/Berlin").expect("a zone of the bundled database");
    decode_all(bencher, Decoder::new(zone), &TYPICAL.replace(".789Z", ".789"), 1);
}

/// Less than the decoder does: texts are not checked, the timestamp is not read, and a value or
/// an id of another type is an error.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    sensor_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    sensor_type: Option<Cow<'a, str>>,
    value: f64,
    #[serde(borrow, default)]
    unit: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    location: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

#[divan::bench(args = FOR_A_STRUCT, sample_size = 500)]
fn serde_json_struct_only(bencher: Bencher<'_, '_>, shape: Shape) {
    let payload = shape.payload();
    bencher.counter(ItemsCount::new(shape.readings())).bench_local(|| {
        let fields: Fields<'_> =
            serde_json::from_slice(black_box(payload.as_bytes())).expect("it is JSON");
        black_box((fields.sensor_id, fields.sensor_type, fields.value, fields.unit));
        black_box((fields.timestamp, fields.location, fields.metadata));
    });
}

#[divan::bench(args = ALL, sample_size = 500)]
fn serde_json_value_only(bencher: Bencher<'_, '_>, shape: Shape) {
    let payload = shape.payload();
    bencher.counter(ItemsCount::new(shape.readings())).bench_local(|| {
        let value: serde_json::Value =
            serde_json::from_slice(black_box(payload.as_bytes())).expect("it is JSON");
        black_box(value);
    });
}

/// The share of the parser in `decode`.
#[divan::bench(args = ALL, sample_size = 500)]
fn simd_json_tape_only(bencher: Bencher<'_, '_>, shape: Shape) {
    let payload = shape.payload();
    let mut copy = Vec::new();
    let mut buffers = simd_json::Buffers::with_max_depth(4096, 32);
    let mut spare = simd_json::Tape(Vec::new());
    bencher.counter(ItemsCount::new(shape.readings())).bench_local(|| {
        copy.clear();
        copy.extend_from_slice(black_box(payload.as_bytes()));
        copy.resize(payload.len() + simd_json::INPUT_PADDING, b' ');
        let mut tape = std::mem::replace(&mut spare, simd_json::Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape_padded(&mut copy, payload.len(), &mut buffers, &mut tape);
        assert!(parsed.is_ok());
        spare = black_box(tape).reset();
    });
}

fn main() {
    divan::main();
}
