//! Rows as CSV (RFC 4180). No I/O, no clock.
//!
//! Text that a spreadsheet would take for a formula gets an apostrophe in front: `=`, `+`, `-` or
//! `@` first, and also a tab or line end, behind which some programs look for one (OWASP, "CSV
//! Injection"). Numbers are numbers, also negative ones.

use std::io::Write;

use super::grain::Grain;
use crate::serve::view::ReadingRow;

const READINGS: &str = "timestamp,sensor_id,sensor_type,value,unit,location,metadata\r\n";
const WINDOWS: &str =
    "timestamp,sensor_id,sensor_type,value,unit,location,metadata,min,max,count\r\n";

/// The first line.
pub(super) const fn header(grain: Grain) -> &'static str {
    match grain {
        Grain::Readings => READINGS,
        Grain::Windows(_) => WINDOWS,
    }
}

/// Appends one line.
pub(super) fn write(row: &ReadingRow<'_>, line: &mut Vec<u8>) {
    // Appending to memory does not fail.
    let _written = write!(line, "{},", row.timestamp);
    for text in [row.sensor_id, row.sensor_type] {
        cell(text, line);
        line.push(b',');
    }
    number(row.value, line);
    for text in [row.unit, row.location.unwrap_or_default(), row.metadata.get()] {
        line.push(b',');
        cell(text, line);
    }
    if let (Some(min), Some(max), Some(count)) = (row.min, row.max, row.count) {
        line.push(b',');
        number(min, line);
        line.push(b',');
        number(max, line);
        let _written = write!(line, ",{count}");
    }
    line.extend_from_slice(b"\r\n");
}

/// As in JSON; nothing for what is not finite.
fn number(number: f64, line: &mut Vec<u8>) {
    if number.is_finite() {
        // Appending to memory does not fail.
        let _written = serde_json::to_writer(line, &number);
    }
}

fn cell(text: &str, line: &mut Vec<u8>) {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if !is_formula && !text.contains([',', '"', '\r', '\n']) {
        line.extend_from_slice(text.as_bytes());
        return;
    }
    line.push(b'"');
    if is_formula {
        line.push(b'\'');
    }
    for (place, part) in text.split('"').enumerate() {
        if place > 0 {
            line.extend_from_slice(b"\"\"");
        }
        line.extend_from_slice(part.as_bytes());
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::reading::UnixMillis;
    use crate::serve::view::Moment;

    fn written(text: &str) -> String {
        let mut line = Vec::new();
        cell(text, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let check = |text: &str, expected: &str| assert_eq!(written(text), expected, "{text}");
        check("", "");
        check("Room A", "Room A");
        check("°C", "°C");
        check("a,b", "\"a,b\"");
        check("say \"hi\"", "\"say \"\"hi\"\"\"");
        check("\"", "\"\"\"\"");
        check("two\r\nlines", "\"two\r\nlines\"");
        for first in ["=", "+", "-", "@", "\t", "\r"] {
            check(&format!("{first}1+1"), &format!("\"'{first}1+1\""));
        }
        check("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\"");
        check("1-2", "1-2");
    }

    #[test]
    fn a_line_has_the_cells_that_its_header_names() {
        let metadata = RawValue::from_string(r#"{"calibrated":true}"#.to_owned()).unwrap();
        let reading = ReadingRow {
            sensor_id: "=cmd",
            sensor_type: "temperature",
            value: -1.5,
            unit: "°C",
            timestamp: Moment(UnixMillis(1_704_110_400_000)),
            location: None,
            metadata: &metadata,
            min: None,
            max: None,
            count: None,
        };
        let mut line = Vec::new();
        write(&reading, &mut line);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "2024-01-01T12:00:00.000Z,\"'=cmd\",temperature,-1.5,°C,,\
             \"{\"\"calibrated\"\":true}\"\r\n"
        );
        let window = ReadingRow { min: Some(-2.0), max: Some(4.0), count: Some(60), ..reading };
        let window = ReadingRow { value: f64::NAN, sensor_id: "a", ..window };
        let mut line = Vec::new();
        write(&window, &mut line);
        let line = String::from_utf8(line).unwrap();
        assert!(line.starts_with("2024-01-01T12:00:00.000Z,a,temperature,,°C,,"), "{line}");
        assert!(line.ends_with(",-2.0,4.0,60\r\n"), "{line}");
    }
}
