//! Design §6, line by line: everything but time.

use super::*;
use Refusal::{BadId, BadJson, MissingValue, NotFinite, TooDeep, TooManyReadings, WrongType};

fn with(field: &str, text: &str) -> String {
    format!(r#"{{"value":1,"{field}":{text}}}"#)
}

fn with_text(field: &str, text: &str) -> String {
    with(field, &Value::from(text).to_string())
}

#[test]
fn the_documented_message_is_read_whole() {
    let documented = r#"{"sensor_id":"temp_01","type":"temperature","value":23.5,"unit":"°C",
        "timestamp":"2024-01-01T12:00:00Z","location":"Room A","metadata":{"calibrated":true}}"#;
    check(
        documented,
        Ok(json!({
            "sensor_id": "temp_01", "type": "temperature", "value": 23.5, "unit": "°C",
            "measured_at": 1_704_110_400_000_i64, "time_source": "sensor", "location": "Room A",
            "metadata": r#"{"calibrated":true}"#, "left_out": 0,
        })),
    );
}

#[test]
fn only_a_value_is_required() {
    check(
        r#"{"value":1}"#,
        Ok(json!({
            "sensor_id": "of_topic", "type": "type_of_topic", "value": 1.0, "unit": "",
            "measured_at": RECEIVED_AT, "time_source": "receipt", "location": null,
            "metadata": "{}", "left_out": 0,
        })),
    );
    for payload in ["{}", r#"{"value":null}"#, r#"{"Value":1}"#, r#"{"value":1,"value":null}"#] {
        check(payload, Err(MissingValue));
    }
}

#[test]
fn a_value_is_a_finite_number_a_numeric_text_or_a_boolean() {
    for (text, value) in [
        ("23.5", 23.5),
        ("-40", -40.0),
        ("-0.0", -0.0),
        ("1E3", 1000.0),
        ("0.1", 0.1),
        ("5e-324", 5e-324),
        ("1e-400", 0.0),
        ("1.7976931348623157e308", f64::MAX),
        ("18446744073709551615", 18_446_744_073_709_551_615.0),
        ("123456789012345678901234567890", 123_456_789_012_345_678_901_234_567_890.0),
        ("-9223372036854775809", -9_223_372_036_854_775_809.0),
        ("true", 1.0),
        ("false", 0.0),
        (r#""23.5""#, 23.5),
        (r#"" -1e3\n""#, -1000.0),
        (r#""+5""#, 5.0),
        (r#""\u0032""#, 2.0),
    ] {
        check(format!(r#"{{"value":{text}}}"#), Ok(json!({ "value": value })));
    }
    let (readings, _) = decode(r#"{"value":-0.0}"#).unwrap();
    assert!(readings[0]["value"].as_f64().unwrap().is_sign_negative());
    for text in [r#""""#, r#"" ""#, r#""on""#, r#""1,5""#, r#""0x10""#, r#""1 2""#, "{}", "[1]"] {
        check(format!(r#"{{"value":{text}}}"#), Err(WrongType));
    }
}

#[test]
fn what_is_not_finite_is_refused_as_such_however_it_is_written() {
    for text in [
        "1e400",
        "-1e400",
        "1e99999999999",
        r#""1e400""#,
        r#""nan""#,
        r#""-Infinity""#,
        r#"" inf ""#,
        // Python
        "NaN",
        "Infinity",
        "-Infinity",
        // C
        "nan",
        "-nan",
        "inf",
        "-inf",
    ] {
        check(format!(r#"{{"value":{text}}}"#), Err(NotFinite));
        check(format!(r#"{{"value": {text} , "unit":"V"}}"#), Err(NotFinite));
    }
    let huge_integer = "9".repeat(400);
    check(format!(r#"{{"value":{huge_integer}}}"#), Err(NotFinite));
    // Where it stands makes no difference: such a payload cannot be parsed.
    check(with("battery", "NaN"), Err(NotFinite));
    check(with("battery", "1e400"), Err(NotFinite));
    check(format!("[{},{}]", r#"{"value":1}"#, r#"{"value":NaN}"#), Err(NotFinite));
}

#[test]
fn what_is_not_json_is_refused() {
    let unescaped: &[u8] = b"{\"value\":1,\"unit\":\"\n\"}";
    let not_utf8: &[u8] = b"{\"value\":1,\"unit\":\"\xff\"}";
    let cases: [&[u8]; 20] = [
        b"",
        b" ",
        b"21.5 \xc2\xb0C",
        b"{",
        b"{\"value\":1",
        b"{\"value\":1}}",
        b"{\"value\":1}{\"value\":2}",
        b"{\"value\":1,}",
        b"{'value':1}",
        b"{value:1}",
        b"{\"value\":}",
        b"{\"value\":01}",
        b"{\"value\":1.}",
        b"{\"value\":.5}",
        b"{\"value\":+1}",
        b"{\"value\":nano}",
        b"{\"value\":1}\0",
        b"\xff\xfe",
        unescaped,
        not_utf8,
    ];
    for payload in cases {
        check(payload, Err(BadJson));
    }
}

/// simd-json before 0.19 read half a surrogate pair as U+0000 (its issue 481).
#[test]
fn half_a_surrogate_pair_is_no_json() {
    for text in ["\\ud800", "\\ud800x", "\\udbff\\n", "\\ud800\\uzzzz", "\\ud800\\ud800", "\\udc00"]
    {
        check(with("unit", &format!("\"{text}\"")), Err(BadJson));
        check(with("sensor_id", &format!("\"a{text}\"")), Err(BadJson));
    }
    check(with("unit", r#""\ud83c\udf0a""#), Ok(json!({ "unit": "🌊" })));
}

#[test]
fn a_message_is_an_object_or_an_array_of_objects() {
    for payload in ["21.5", "\"21.5\"", "true", "null", "[1]", "[[]]", "[null]"] {
        check(payload, Err(WrongType));
    }
    check("\u{feff}{\"value\":2}", Ok(json!({ "value": 2.0 })));
    check(" \r\n\t{ \"value\" : 2 } \n", Ok(json!({ "value": 2.0 })));
    check("[]", Err(MissingValue));
    check(r#"[{"value":2}]"#, Ok(json!({ "value": 2.0 })));
}

#[test]
fn an_array_yields_a_reading_for_each_element_that_can_be_read() {
    let payload = r#"[{"value":1},{"value":"x"},{"value":{"a":[1,{}]}},7,{"value":4,"unit":5},
        {"value":5,"timestamp":"2024-06-01T02:00:00Z"},{}]"#;
    let (readings, decoded) = decode(payload).unwrap();
    let values: Vec<_> =
        readings.iter().map(|reading| reading["value"].as_f64().unwrap()).collect();
    assert_eq!(values, [1.0, 4.0, 5.0]);
    assert_eq!(decoded.refused_elements[WrongType.index()], 3);
    assert_eq!(decoded.refused_elements[MissingValue.index()], 1);
    assert_eq!(decoded.refused_elements.iter().sum::<u16>(), 4);
    assert_eq!(decoded.attributes_left_out, 1);
    assert_eq!(decoded.future_replaced, 1);
    assert!(decoded.zone_suspected);
    check(r#"[{"value":[]},{}]"#, Err(WrongType));
    check(r#"[{},{"value":[]}]"#, Err(MissingValue));
}

#[test]
fn a_message_yields_at_most_256_readings() {
    let array = |elements: usize| format!("[{}]", vec![r#"{"value":1}"#; elements].join(","));
    assert_eq!(decode(array(256)).unwrap().1.readings, 256);
    check(array(257), Err(TooManyReadings));
    check(format!("[{}]", vec!["1"; 257].join(",")), Err(TooManyReadings));
}

#[test]
fn a_payload_nests_at_most_32_deep() {
    let nested = |depth: usize| {
        with("ignored", &format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1)))
    };
    check(nested(32), Ok(json!({ "value": 1.0 })));
    check(nested(33), Err(TooDeep));
    check(with("metadata", &r#"{"a":"#.repeat(100_000)), Err(TooDeep));
    check("[".repeat(60_000), Err(TooDeep));
}

#[test]
fn id_and_type_are_texts_or_numbers_as_they_were_written() {
    for (field, text, id) in [
        ("sensor_id", r#""temp_01""#, "temp_01"),
        ("sensor_id", "7", "7"),
        ("sensor_id", "7.50", "7.50"),
        ("sensor_id", "-1e3", "-1e3"),
        ("sensor_id", "12345678901234567890123", "12345678901234567890123"),
        ("type", "3 ", "3"),
        ("type", r#""a\/\"b\"\u00e9""#, "a/\"b\"é"),
    ] {
        check(with(field, text), Ok(json!({ field: id })));
    }
    check(r#"[{"a":[1,{"b":"}"}],"value":1,"sensor_id": 42}]"#, Ok(json!({"sensor_id": "42"})));
    for field in ["sensor_id", "type"] {
        for text in ["true", "{}", "[1]"] {
            check(with(field, text), Err(WrongType));
        }
    }
}

#[test]
fn id_and_type_default_to_the_topic_then_to_unknown() {
    for text in ["null", r#""""#] {
        check(with("sensor_id", text), Ok(json!({ "sensor_id": "of_topic" })));
        check(with("type", text), Ok(json!({ "type": "type_of_topic" })));
    }
    for (topic, sensor_id, sensor_type) in [
        ("sensors/a/b", "a", "b"),
        ("sensors/a/b/c/d", "a", "b"),
        ("sensors/a", "a", "unknown"),
        ("sensors//b", "unknown", "b"),
        ("sensors/a/", "a", "unknown"),
        ("sensors", "unknown", "unknown"),
        ("/a/b", "a", "b"),
    ] {
        let expected = json!({ "sensor_id": sensor_id, "type": sensor_type });
        check_under(topic, r#"{"value":1}"#, Ok(expected));
    }
}

#[test]
fn id_and_type_have_at_most_128_bytes_and_no_control_characters() {
    let longest = "é".repeat(64);
    check(with_text("sensor_id", &longest), Ok(json!({ "sensor_id": longest })));
    let digits = "1".repeat(129);
    for field in ["sensor_id", "type"] {
        check(with_text(field, &format!("{longest}a")), Err(BadId));
        check(with(field, &digits), Err(BadId));
        for control in ["\0", "\n", "\u{1f}", "\u{7f}", "\u{80}", "\u{9f}"] {
            check(with_text(field, &format!("a{control}")), Err(BadId));
        }
        check(with_text(field, "a\u{a0}{*}<b>"), Ok(json!({ field: "a\u{a0}{*}<b>" })));
    }
    for topic in ["s/a\u{1}/b", "s/a/b\u{85}", &format!("s/{digits}/b")] {
        check_under(topic, r#"{"value":1}"#, Err(BadId));
    }
    check_under("s/\u{1}/b", with("sensor_id", "7"), Ok(json!({ "sensor_id": "7" })));
}

#[test]
fn attributes_that_are_too_long_or_of_a_wrong_type_are_left_out_and_counted() {
    let text = |bytes: usize| "x".repeat(bytes);
    for (field, absent, bytes_max) in [("unit", json!(""), 32), ("location", Value::Null, 256)] {
        let longest = text(bytes_max);
        check(with_text(field, &longest), Ok(json!({ field: longest, "left_out": 0 })));
        let too_long = with_text(field, &text(bytes_max + 1));
        check(too_long, Ok(json!({ field: absent, "left_out": 1 })));
        for wrong in ["5", "true", "{}", r#"["V"]"#] {
            check(with(field, wrong), Ok(json!({ field: absent, "left_out": 1 })));
        }
        check(with(field, "null"), Ok(json!({ field: absent, "left_out": 0 })));
        check(with_text(field, "a\0\nb"), Ok(json!({ field: "a\0\nb", "left_out": 0 })));
    }
    for wrong in ["5", r#""{}""#, "[]", "false"] {
        check(with("metadata", wrong), Ok(json!({ "metadata": "{}", "left_out": 1 })));
    }
    let all = r#"{"value":1,"unit":1,"location":2,"metadata":3}"#;
    check(all, Ok(json!({ "left_out": 3 })));
}

#[test]
fn metadata_are_kept_as_compact_json_text() {
    for (sent, kept) in [
        ("{}", "{}"),
        ("{ }", "{}"),
        (r#"{"a":1.50,"b":[1,{"c":"}"}],"a":2}"#, r#"{"a":1.50,"b":[1,{"c":"}"}],"a":2}"#),
        ("{ \"a b\" :\t\" \\\" c\" ,\r\n \"d\" : [ 1 , 2 ] }", r#"{"a b":" \" c","d":[1,2]}"#),
        (r#"{"\u0061":"é \\"}"#, r#"{"\u0061":"é \\"}"#),
    ] {
        check(with("metadata", sent), Ok(json!({ "metadata": kept, "left_out": 0 })));
    }
    let object = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    let longest = object(4096);
    check(with("metadata", &longest), Ok(json!({ "metadata": longest, "left_out": 0 })));
    let spaced = longest.replace(':', " : ");
    check(with("metadata", &spaced), Ok(json!({ "metadata": longest, "left_out": 0 })));
    let too_long = with("metadata", &object(4097));
    check(too_long, Ok(json!({ "metadata": "{}", "left_out": 1 })));
}

#[test]
fn the_last_of_two_equal_keys_counts_and_unknown_keys_do_not() {
    let twice = r#"{"value":1,"unit":"V","x":{"value":7},"\u0076alue":2,"unit":null,"Unit":"A"}"#;
    check(twice, Ok(json!({ "value": 2.0, "unit": "", "left_out": 0 })));
}

#[test]
fn the_first_fault_is_the_reason() {
    let faults = |value: &str, id: &str, timestamp: &str| {
        format!(r#"{{"timestamp":{timestamp},"type":{id},"value":{value}}}"#)
    };
    check(faults("null", "{}", "{}"), Err(MissingValue));
    check(faults("1", "{}", "{}"), Err(WrongType));
    check(faults("1", "1", "{}"), Err(Refusal::BadTimestamp));
}

#[test]
fn a_refusal_leaves_nothing_behind_for_the_next_message() {
    let mut decoder = Decoder::new(NaiveTime::Utc);
    let long = with_text("location", &"y".repeat(200));
    for payload in [long.as_str(), "{", &"[".repeat(99), r#"{"unit":"V"}"#, "\"\u{e9}", "1e999"] {
        let _refused_or_not = decode_with(&mut decoder, TOPIC, payload.as_bytes());
        let answer = decode_with(&mut decoder, TOPIC, br#"{"value":"3"}"#);
        assert_eq!(answer, decode(r#"{"value":3}"#));
    }
}

#[test]
fn a_panic_of_the_receiver_leaves_the_decoder_fit_for_the_next_message() {
    let mut decoder = Decoder::new(NaiveTime::Utc);
    let payload = br#"{"value":1,"location":"here"}"#;
    let input = Input { topic: TOPIC, payload, received_at: UnixMillis(RECEIVED_AT) };
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        decoder.decode(&input, &mut |reading| panic!("asked to panic at {}", reading.value))
    }));
    assert!(caught.is_err());
    assert_eq!(decode_with(&mut decoder, TOPIC, payload), decode(payload));
}

#[test]
fn a_decoder_can_move_to_another_thread() {
    let mut decoder = Decoder::new(NaiveTime::Utc);
    let elsewhere = std::thread::spawn(move || decode_with(&mut decoder, TOPIC, b"[]"));
    assert_eq!(elsewhere.join().unwrap(), Err(MissingValue));
}
