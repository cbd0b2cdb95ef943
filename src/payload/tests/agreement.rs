//! simd-json and the walk over its tape agree with serde_json and a plain model.

use proptest::prelude::*;

use super::*;

/// What the values of a payload are, told by serde_json: one for each element.
fn model(payload: &[u8]) -> Result<Vec<Result<f64, Refusal>>, Refusal> {
    let text = payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload);
    let Ok(parsed) = serde_json::from_slice::<Value>(text) else {
        return Err(Refusal::BadJson);
    };
    if nesting(&parsed) > 32 {
        return Err(Refusal::TooDeep);
    }
    match &parsed {
        Value::Object(_) => Ok(vec![model_value(&parsed)]),
        Value::Array(elements) if elements.len() > 256 => Err(Refusal::TooManyReadings),
        Value::Array(elements) => Ok(elements.iter().map(model_value).collect()),
        _ => Err(Refusal::WrongType),
    }
}

fn model_value(element: &Value) -> Result<f64, Refusal> {
    let Value::Object(fields) = element else {
        return Err(Refusal::WrongType);
    };
    match fields.get("value").unwrap_or(&Value::Null) {
        Value::Null => Err(Refusal::MissingValue),
        Value::Bool(is_on) => Ok(f64::from(u8::from(*is_on))),
        Value::Number(number) => Ok(number.as_f64().unwrap()),
        Value::String(text) => match text.trim_ascii().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            Ok(_) => Err(Refusal::NotFinite),
            Err(_) => Err(Refusal::WrongType),
        },
        Value::Array(_) | Value::Object(_) => Err(Refusal::WrongType),
    }
}

fn nesting(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(nesting).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether the payload is JSON, and the values in it, as the model sees them. Where a value is
/// fit, other fields may still be the reason for a refusal; the tables check those.
#[track_caller]
pub(super) fn check_against_model(payload: &[u8]) {
    let said = String::from_utf8_lossy(payload);
    match (decode(payload), model(payload)) {
        (Ok((readings, _)), Ok(elements)) => {
            let mut fit = elements.into_iter().flatten();
            for reading in readings {
                let value = reading["value"].as_f64().unwrap();
                assert!(fit.any(|model| is_close(model, value)), "{value} in {said}");
            }
        }
        (Err(reason), Ok(elements)) => match elements.first() {
            None => assert_eq!(reason, Refusal::MissingValue, "{said}"),
            Some(Err(expected)) => assert_eq!(reason, *expected, "{said}"),
            Some(Ok(_)) => {
                let others = [Refusal::WrongType, Refusal::BadId, Refusal::BadTimestamp];
                assert!(others.contains(&reason), "{reason:?} for {said}");
            }
        },
        // serde_json does not say that a number is not finite, and has a name for what nests too
        // deep only when all of it can be parsed.
        (Err(Refusal::NotFinite | Refusal::TooDeep), Err(Refusal::BadJson)) => {}
        (Err(reason), Err(expected)) => assert_eq!(reason, expected, "{said}"),
        (Ok(_), Err(expected)) => panic!("read, not {expected:?}: {said}"),
    }
}

/// serde_json may be wrong in the last bit (it is exact with a feature that costs it speed).
fn is_close(model: f64, value: f64) -> bool {
    model == value || model.to_bits().abs_diff(value.to_bits()) == 1
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("value".to_owned()),
        1 => "sensor_id|type|unit|timestamp|location|metadata",
        2 => ".{0,8}",
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "-?[0-9]{1,3}([.][0-9]{1,3})?(e-?[0-9]{1,3})?".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            2 => prop::collection::vec((key(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn generated_json_is_read_as_the_model_reads_it(json in json(), pretty in any::<bool>()) {
        let to_text = if pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
        check_against_model(&to_text(&json).unwrap());
    }

    #[test]
    fn json_with_a_wrong_byte_is_judged_as_the_model_judges_it(
        json in json(), place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut text = serde_json::to_vec(&json).unwrap();
        let place = place.index(text.len());
        text[place] = byte;
        check_against_model(&text);
    }

    #[test]
    fn a_number_is_the_double_that_is_nearest_to_it(
        number in "-?(0|[1-9][0-9]{0,25})([.][0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
    ) {
        let nearest: f64 = number.parse().unwrap();
        let expected =
            if nearest.is_finite() { Ok(nearest) } else { Err(Refusal::NotFinite) };
        for payload in [format!(r#"{{"value":{number}}}"#), format!(r#"{{"value":"{number}"}}"#)] {
            let value = decode(payload).map(|(read, _)| read[0]["value"].as_f64().unwrap());
            prop_assert_eq!(value, expected);
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        almost in "[\\[{}\\]:,\"\\\\0-9eE.+-ntfu \\x00-\\x20]{0,80}",
    ) {
        check_against_model(&bytes);
        check_against_model(almost.as_bytes());
    }
}
