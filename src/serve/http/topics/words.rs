//! What refusals and filters mean, in words that tell what to do. No I/O, no clock.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use crate::aggregate::topics::Amended;
use crate::ingest::TopicFilters;
use crate::payload::FUTURE_MS_MAX;
use crate::reading::{LOCATION_BYTES_MAX, METADATA_BYTES_MAX, UNIT_BYTES_MAX};
use crate::refusal::Refusal;
use crate::stream::lag::Backlog;

/// The longest topic of MQTT (MQTT 3.1.1 §1.5.3).
const TOPIC_BYTES_MAX: usize = 65_535;
/// What waits for less than this needs no word: owners commit every tenth of a second under load. A
/// guess.
const BEHIND_MIN: Duration = Duration::from_secs(1);
/// Filters of which it is said why they do not take a topic.
const FILTERS_TOLD_MAX: usize = 3;

/// That what a device sent may be waiting still; empty where it is not worth a word.
pub(super) fn behind(shard: Option<u16>, backlog: Backlog) -> String {
    let (Some(shard), true) = (shard, backlog.oldest >= BEHIND_MIN) else { return String::new() };
    let Backlog { messages, oldest, is_owned } = backlog;
    let why = match is_owned {
        true => "Its owner is behind",
        false => {
            "No process aggregates this shard: start one whose STREAMGAUGE_ROLES has aggregate"
        }
    };
    format!(
        "In shard {shard} {} stored and not counted yet, the oldest for {} s; those of this topic \
         may be among them. {why}. What follows knows nothing of them. ",
        many(messages, "message is", "messages are"),
        oldest.as_secs()
    )
}

/// So many of something, in words.
pub(super) fn many(count: u64, one: &str, more: &str) -> String {
    match count {
        1 => format!("one {one}"),
        _ => format!("{count} {more}"),
    }
}

/// A time span as people say it.
pub(super) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

/// What was done with readings of the last message that were counted; empty when nothing was.
pub(super) fn amended(amended: Amended) -> String {
    let Amended { attributes, future, is_zone_suspected, beyond_windows } = amended;
    let mut said = String::new();
    if attributes > 0 {
        said += &format!(
            " Of that message {} left out: a unit has at most {UNIT_BYTES_MAX} bytes, a location \
             {LOCATION_BYTES_MAX}, and metadata is an object of at most {METADATA_BYTES_MAX}.",
            match attributes {
                1 => "a unit, location or metadata was".to_owned(),
                more => format!("{more} units, locations or metadata were"),
            }
        );
    }
    if future > 0 {
        said += &format!(
            " In that message {} more than {} min ahead of this machine's clock: the time of \
             receipt stands in.",
            match future {
                1 => "a timestamp was".to_owned(),
                more => format!("{more} timestamps were"),
            },
            FUTURE_MS_MAX / 60_000,
        );
        if is_zone_suspected {
            said += " By so much a wrong zone would be: see STREAMGAUGE_NAIVE_TIME.";
        }
    }
    if beyond_windows > 0 {
        said += &format!(
            " Of that message {} measured longer ago than history is kept \
             (STREAMGAUGE_ROLLUP_RETENTION): counted in the statistics, and shown in no history.",
            match beyond_windows {
                1 => "a reading was".to_owned(),
                more => format!("{more} readings were"),
            }
        );
    }
    said
}

/// Why a message with this payload was refused for this reason, and what to do about it.
pub(super) fn explained(refusal: Refusal, payload: Option<&[u8]>) -> Cow<'static, str> {
    let json = payload.and_then(|payload| serde_json::from_slice::<Value>(payload).ok());
    let what = match (refusal, json) {
        (Refusal::WrongType, Some(Value::Number(number))) => format!("the bare number {number}"),
        (Refusal::WrongType, Some(Value::String(_))) => "a bare text".to_owned(),
        (Refusal::WrongType, Some(Value::Bool(_))) => "a bare true or false".to_owned(),
        (Refusal::WrongType, Some(Value::Null)) => "a bare null".to_owned(),
        (_, _) => return explanation(refusal).into(),
    };
    format!("The payload is {what}. A reading is an object: send {{\"value\":21.5}}.").into()
}

/// Why a message is refused for this reason, and what to do about it.
const fn explanation(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::BadJson => {
            "The payload is not JSON. Send an object such as {\"value\":21.5}, in UTF-8, with \
             double quotes around names; a shell may have taken quotes away."
        }
        Refusal::MissingValue => {
            "The JSON has no field `value`, which is the only one that must be there: \
             {\"value\":21.5}. Its name is in lower case."
        }
        Refusal::WrongType => {
            "A reading is an object such as {\"value\":21.5}, no bare number or text: either the \
             payload is none, or a field has a type that cannot mean what it should. `value` must \
             be a number, a numeric text, true or false; `sensor_id` and `type` must be text or a \
             number."
        }
        Refusal::NotFinite => {
            "The value is NaN, infinite or too large for a 64-bit floating-point number. Leave the \
             message out when there is nothing to tell."
        }
        Refusal::BadTimestamp => {
            "The timestamp cannot be read. Send RFC 3339 as 2024-01-01T12:00:00Z, or seconds or \
             milliseconds since 1970, or leave it out: then the time of receipt stands."
        }
        Refusal::BadId => {
            "The sensor id or the type is longer than 128 bytes or has control characters. It \
             comes from the payload (`sensor_id`, `type`), else from the second and the third \
             level of the topic."
        }
        Refusal::TooDeep => {
            "The JSON nests too deeply. Send the value at the top of an object, not inside others."
        }
        Refusal::TooManyReadings => {
            "The array has more than 256 readings. Send them in several messages."
        }
        Refusal::TooLarge => {
            "The payload is larger than STREAMGAUGE_MAX_PAYLOAD_BYTES. Send less in a message, or \
             raise that setting."
        }
        Refusal::TopicNotAccepted => {
            "No filter of MQTT_TOPICS takes the topic. Publish to a topic that one of them takes, \
             or add a filter."
        }
        Refusal::UnknownFlag => {
            "The message was written to the stream by a newer version of Streamgauge, or by \
             something else. Run the same version everywhere."
        }
        Refusal::DecoderFailed => {
            "Decoding this payload failed inside Streamgauge. That is a fault of the program: \
             please report it with the payload."
        }
    }
}

/// What is wrong with a text as a topic to publish to (MQTT 3.1.1 §4.7); `None` when nothing is.
pub(super) fn invalid(topic: &str) -> Option<String> {
    if topic.is_empty() {
        return Some("A topic has at least one character.".to_owned());
    }
    if topic.contains('\0') {
        return Some("A topic cannot contain the character NUL.".to_owned());
    }
    if topic.len() > TOPIC_BYTES_MAX {
        return Some(format!("A topic has at most {TOPIC_BYTES_MAX} bytes."));
    }
    let wildcard = topic.chars().find(|letter| ['+', '#'].contains(letter))?;
    Some(format!(
        "{wildcard} is a wildcard of filters: nobody can publish to a topic that has one, a broker \
         ends the connection. Ask for a single topic, as sensors/kitchen/temperature.",
    ))
}

/// Why none of the filters takes a topic, and what would.
pub(super) fn not_taken(filters: &TopicFilters, topic: &str) -> String {
    let levels: Vec<&str> = topic.split('/').filter(|level| !level.is_empty()).collect();
    let without = levels.join("/");
    if without != topic && !without.is_empty() && filters.accepts(&without) {
        let which = match (topic.starts_with('/'), topic.ends_with('/')) {
            (true, false) => "the slash at the beginning",
            (false, true) => "the slash at the end",
            _ => "the slashes that are too many",
        };
        return format!(
            "No filter of MQTT_TOPICS takes this topic, because each slash makes one more level. \
             Remove {which}: publish to {without}."
        );
    }
    let told = filters.iter().take(FILTERS_TOLD_MAX);
    let mut said: Vec<String> = told.map(|filter| mismatch(filter, topic)).collect();
    let more = filters.iter().len().saturating_sub(FILTERS_TOLD_MAX);
    if more > 0 {
        said.push(format!("{more} more filters do not take it either"));
    }
    let mut text = format!("No filter of MQTT_TOPICS takes this topic: {}.", said.join("; "));
    match wider(filters, topic) {
        Some(list) => {
            text += &format!(
                " Publish to a topic that a filter takes, or start Streamgauge with \
                 MQTT_TOPICS='{list}'."
            );
        }
        None => text += " Publish to a topic that a filter takes.",
    }
    text
}

/// Where a filter and a topic part.
fn mismatch(filter: &str, topic: &str) -> String {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return format!("{filter} takes no topic that begins with $");
    }
    let wanted: Vec<&str> = filter.split('/').collect();
    let given: Vec<&str> = topic.split('/').collect();
    for (place, (wanted, given)) in (1..).zip(wanted.iter().zip(&given)) {
        if *wanted != "+" && *wanted != "#" && wanted != given {
            return format!("{filter} has {wanted:?} as level {place}, and this has {given:?}");
        }
    }
    let levels = |count: usize| if count == 1 { "level" } else { "levels" };
    let (has, takes) = (given.len(), wanted.len());
    let least = if wanted.last() == Some(&"#") { " or more" } else { "" };
    let takes = takes - usize::from(!least.is_empty());
    format!("{filter} takes {takes} {}{least}, and this has {has}", levels(takes))
}

/// The filters with one more, which takes the topic; `None` where there is no simple one.
fn wider(filters: &TopicFilters, topic: &str) -> Option<String> {
    let mut levels: Vec<&str> = topic.split('/').collect();
    // Level 2 names the sensor and level 3 the type, of all sensors that send like this one.
    for level in levels.iter_mut().take(3).skip(1) {
        *level = "+";
    }
    let new = levels.join("/");
    // What a comma, spaces or quotes would make of it, nobody can see in a shell.
    let is_plain =
        |letter: char| letter.is_ascii_graphic() && !['\'', '"', ',', '\\'].contains(&letter);
    if new.len() > 100 || !new.chars().all(is_plain) {
        return None;
    }
    let is_taken = TopicFilters::parse(&new).is_ok_and(|filters| filters.accepts(topic));
    is_taken.then(|| format!("{filters},{new}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_to_do() {
        for refusal in Refusal::ALL {
            let said = explanation(refusal);
            assert!(said.len() > 40 && said.ends_with('.'), "{}", refusal.name());
            assert!(!said.contains("  "), "{}", refusal.name());
        }
    }

    #[test]
    fn a_bare_value_is_called_what_it_is() {
        let check = |payload: &[u8], said: &str| {
            let text = explained(Refusal::WrongType, Some(payload));
            assert!(text.contains(said) && text.contains("{\"value\":21.5}"), "{text}");
        };
        check(b" 21.5\n", "The payload is the bare number 21.5. A reading is an object");
        check(b"\"21.5\"", "a bare text");
        check(b"{\"value\":[]}", "a field has a type");
        check(b"[1]", "either the payload is none");
        assert!(explained(Refusal::BadJson, Some(b"21.5")).contains("not JSON"));
    }

    #[test]
    fn what_was_done_with_a_reading_is_said() {
        let check = |given: Amended, said: &str| {
            let text = amended(given);
            assert!(text.contains(said) && text.ends_with('.'), "{text}");
        };
        let none = Amended::default();
        assert_eq!(amended(none), "");
        check(Amended { attributes: 1, ..none }, "an object of at most 4096");
        check(Amended { future: 1, ..none }, "a timestamp was more than 5 min ahead");
        check(Amended { future: 2, is_zone_suspected: true, ..none }, "STREAMGAUGE_NAIVE_TIME");
        check(Amended { beyond_windows: 1, ..none }, "shown in no history");
    }

    #[test]
    fn spans_are_said_in_one_unit() {
        let said = [0, 1_000, 119_999, 1_320_000, 7_200_000, 172_800_000].map(span);
        assert_eq!(said, ["0 ms", "1 s", "119 s", "22 min", "2 h", "2 days"]);
    }

    #[test]
    fn what_is_no_topic_is_explained() {
        let check = |topic: &str, said: &str| {
            let text = invalid(topic).unwrap();
            assert!(text.contains(said), "{topic:?}: {text}");
        };
        check("", "at least one character");
        check("a\0b", "NUL");
        check("sensors/+/temperature", "+ is a wildcard");
        check("sensors/#", "# is a wildcard");
        check(&"x".repeat(65_536), "65535 bytes");
        for topic in ["a", "/", "<img src=x onerror=alert(1)>", "🌡/\"'\\", "$SYS/x", " "] {
            assert_eq!(invalid(topic), None, "{topic}");
        }
    }

    #[test]
    fn where_filter_and_topic_part_is_said() {
        let check = |filters: &str, topic: &str, said: &[&str]| {
            let filters = TopicFilters::parse(filters).unwrap();
            assert!(!filters.accepts(topic));
            let text = not_taken(&filters, topic);
            for said in said {
                assert!(text.contains(said), "{filters} {topic}: {text}");
            }
        };
        check(
            "sensors/+/+",
            "sensors/kitchen",
            &["sensors/+/+ takes 3 levels, and this has 2", "MQTT_TOPICS='sensors/+/+,sensors/+'"],
        );
        check(
            "sensors/+/+",
            "Sensors/kitchen/t",
            &[
                "has \"sensors\" as level 1, and this has \"Sensors\"",
                "MQTT_TOPICS='sensors/+/+,Sensors/+/+'",
            ],
        );
        check("sensors/+/+", "/plant/kitchen/t", &["level 1, and this has \"\""]);
        let slash = "Remove the slash at the beginning: publish to sensors/kitchen/t.";
        check("sensors/+/+", "/sensors/kitchen/t", &[slash]);
        check("sensors/+/+", "sensors/kitchen/t/", &["Remove the slash at the end: publish to s"]);
        check("sensors/+/+", "sensors//kitchen/t", &["Remove the slashes that are too many"]);
        check("a/b/#", "a", &["a/b/# takes 2 levels or more, and this has 1"]);
        check("#", "$SYS/uptime", &["# takes no topic that begins with $", "'#,$SYS/+'"]);
        check("x", "a,b/c", &["Publish to a topic that a filter takes."]);
        check("x", "it's/y", &["Publish to a topic that a filter takes."]);
        check("a,b,c,d,e", "x/y/z/u", &["2 more filters", "MQTT_TOPICS='a,b,c,d,e,x/+/+/u'"]);
    }
}
