//! The whole room, through its face.

mod agreement;
mod fields;
mod stored;
mod time;

use serde_json::{Value, json};

use super::*;
use crate::reading::{Reading, TimeSource, UnixMillis};
use crate::refusal::Refusal;

/// 2024-06-01T00:00:00Z.
const RECEIVED_AT: i64 = 1_717_200_000_000;
const TOPIC: &str = "sensors/of_topic/type_of_topic";

/// Everything that comes of a payload, as JSON that tests can compare.
fn decode_with(
    decoder: &mut Decoder,
    topic: &str,
    payload: &[u8],
) -> Result<(Vec<Value>, Decoded), Refusal> {
    let mut readings = Vec::new();
    let input = Input { topic, payload, received_at: UnixMillis(RECEIVED_AT) };
    let answer = decoder.decode(&input, &mut |reading| readings.push(shown(&reading)));
    match answer {
        Ok(decoded) => assert_eq!(usize::from(decoded.readings), readings.len()),
        Err(_) => assert!(readings.is_empty(), "refused, and yet emitted {readings:?}"),
    }
    answer.map(|decoded| (readings, decoded))
}

fn decode(payload: impl AsRef<[u8]>) -> Result<(Vec<Value>, Decoded), Refusal> {
    decode_with(&mut Decoder::new(NaiveTime::Utc), TOPIC, payload.as_ref())
}

fn shown(reading: &Reading<'_>) -> Value {
    json!({
        "sensor_id": reading.sensor_id,
        "type": reading.sensor_type,
        "value": reading.value,
        "measured_at": reading.measured_at.0,
        "time_source": match reading.time_source {
            TimeSource::Sensor => "sensor",
            TimeSource::Receipt => "receipt",
            TimeSource::ReceiptForFuture => "receipt_for_future",
        },
        "unit": reading.unit,
        "location": reading.location,
        "metadata": reading.metadata,
        "left_out": reading.attributes_left_out,
    })
}

/// A payload is refused for a reason, or yields one reading that has these fields.
#[track_caller]
fn check(payload: impl AsRef<[u8]>, expected: Result<Value, Refusal>) {
    check_under(TOPIC, payload, expected);
}

#[track_caller]
fn check_under(topic: &str, payload: impl AsRef<[u8]>, expected: Result<Value, Refusal>) {
    let payload = payload.as_ref();
    let said = String::from_utf8_lossy(payload);
    let answer = decode_with(&mut Decoder::new(NaiveTime::Utc), topic, payload);
    match (answer, expected) {
        (Err(reason), Err(expected)) => assert_eq!(reason, expected, "{said}"),
        (Ok((readings, _)), Ok(expected)) => {
            assert_eq!(readings.len(), 1, "{said}");
            for (field, expected) in expected.as_object().unwrap() {
                assert_eq!(&readings[0][field], expected, "{field} of {said}");
            }
        }
        (answer, expected) => panic!("{said}: {answer:?}, not {expected:?}"),
    }
}
