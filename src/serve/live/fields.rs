//! What clients say in JSON, read field by field.
//!
//! What does not fit is answered with its name, what it is and what is allowed, in the words that
//! parameters of requests are answered with (`serve/query.rs`). The texts of serde are not passed
//! on: they speak of our types. Nor do its structs read: they take a list for an object too.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Of what a client said so much is shown to it again. A guess: enough to find it.
const SHOWN_CHARS_MAX: usize = 64;

/// The fields of an object, as they were written.
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads an object; `name` is what it is called in the sentence that the client is answered
    /// with else.
    pub(super) fn read(name: &str, text: &'a str, allowed: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                return misfit(name, text, allowed);
            }
            format!("{name} is no JSON ({error}); allowed: {allowed}")
        })
    }

    /// Refuses fields that are not known.
    pub(super) fn check(&self, known: &[&str]) -> Result<(), String> {
        let stranger = self.0.iter().find(|(name, _)| !known.contains(&&**name));
        let Some((name, _)) = stranger else { return Ok(()) };
        Err(format!("unknown field `{}`; allowed: {}", shortened(name), known.join(", ")))
    }

    /// A field; `None` when it is absent or null.
    pub(super) fn get<T: Deserialize<'a>>(
        &self,
        name: &str,
        allowed: &str,
    ) -> Result<Option<T>, String> {
        let mut found = self.0.iter().filter(|(other, _)| other == name);
        let Some((_, value)) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(format!("`{name}` is given twice"));
        }
        let misfit = |_of_our_types| misfit(&format!("`{name}`"), value.get(), allowed);
        serde_json::from_str(value.get()).map_err(misfit)
    }

    /// A field that must be there.
    pub(super) fn need<T: Deserialize<'a>>(&self, name: &str, allowed: &str) -> Result<T, String> {
        let missing = || format!("`{name}` is missing; allowed: {allowed}");
        self.get(name, allowed)?.ok_or_else(missing)
    }
}

fn misfit(name: &str, value: &str, allowed: &str) -> String {
    format!("{name} is {}; allowed: {allowed}", shortened(value))
}

/// As much of a text as is shown.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_name_and_null_is_none() {
        let fields = Fields::read("it", r#"{"a": 1, "b": null, "c": "x"}"#, "anything").unwrap();
        assert_eq!(fields.get("a", ""), Ok(Some(1.0)));
        assert_eq!(fields.get::<bool>("b", ""), Ok(None));
        assert_eq!(fields.get::<bool>("d", ""), Ok(None));
        assert_eq!(fields.need("c", ""), Ok("x".to_owned()));
        assert_eq!(fields.check(&["a", "b", "c"]), Ok(()));
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_is_allowed() {
        let read = |text| Fields::read("it", text, "an object").map(|_| ()).unwrap_err();
        assert_eq!(read("[1, 2]"), "it is [1, 2]; allowed: an object");
        assert!(read("{").starts_with("it is no JSON (EOF"), "{}", read("{"));
        let fields = Fields::read("it", r#"{"a":"b","a":1,"c":[5]}"#, "").unwrap();
        let twice = fields.get::<f64>("a", "a number");
        assert_eq!(twice.unwrap_err(), "`a` is given twice");
        let wrong = fields.get::<bool>("c", "true, false");
        assert_eq!(wrong.unwrap_err(), "`c` is [5]; allowed: true, false");
        let missing = fields.need::<bool>("d", "true, false");
        assert_eq!(missing.unwrap_err(), "`d` is missing; allowed: true, false");
        let unknown = fields.check(&["a", "b"]);
        assert_eq!(unknown.unwrap_err(), "unknown field `c`; allowed: a, b");
    }

    #[test]
    fn of_a_long_text_the_beginning_is_shown() {
        let long = "ü".repeat(SHOWN_CHARS_MAX);
        assert_eq!(shortened(&long), long);
        assert_eq!(shortened(&format!("{long}x")), format!("{long}…"));
    }
}
