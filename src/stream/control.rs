//! Control messages: what tells every owner to do something, in its place among the readings.

use serde::{Deserialize, Serialize};

use crate::message::{Control, Flags, Message};
use crate::reading::ID_BYTES_MAX;

/// The payload: one JSON object with one key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wire<'a> {
    Delete(#[serde(borrow)] std::borrow::Cow<'a, str>),
}

impl Control {
    /// Reads the payload of a control message, `{"delete":"<sensor_id>"}`; `None` when it is
    /// another one, or names what no sensor can be called.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let Wire::Delete(id) = serde_json::from_slice(payload).ok()?;
        let is_id = (1..=ID_BYTES_MAX).contains(&id.len()) && !id.chars().any(char::is_control);
        is_id.then(|| Self::Delete { sensor_id: id.into() })
    }
}

impl Message<'_> {
    /// What a control message tells; `None` for every other message, and for a refused one.
    #[must_use]
    pub fn control(&self) -> Option<Control> {
        let is_control = self.flags.has(Flags::CONTROL) && self.refused.is_none();
        is_control.then(|| Control::parse(self.payload))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_be_a_sensor_can_be_deleted() {
        let check = |payload: &str, expected: Option<&str>| {
            let parsed = Control::parse(payload.as_bytes());
            let expected = expected.map(|id| Control::Delete { sensor_id: id.into() });
            assert_eq!(parsed, expected, "{payload}");
        };
        let longest = "x".repeat(ID_BYTES_MAX);
        check(r#"{"delete":"temp_01"}"#, Some("temp_01"));
        check(r#"{ "delete" : "a\"b\u00e9/*" }"#, Some("a\"b\u{e9}/*"));
        check(&format!(r#"{{"delete":"{longest}"}}"#), Some(&longest));
        check(&format!(r#"{{"delete":"{longest}x"}}"#), None);
        check(r#"{"delete":""}"#, None);
        check(r#"{"delete":"a\u0000b"}"#, None);
        check(r#"{"delete":7}"#, None);
        check(r#"{"delete":"a","also":"b"}"#, None);
        check(r#"{"forget":"a"}"#, None);
        check(r#"{"delete":"a"} x"#, None);
        check("", None);
    }
}
