//! What refusals and filters mean, in words that tell what to do. No I/O, no clock.

use std::time::Duration;

use crate::ingest::TopicFilters;
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
        "{messages} messages are stored in shard {shard} and wait to be counted, the oldest for \
         {} s; those of this topic may be among them. {why}. What follows knows nothing of them. ",
        oldest.as_secs()
    )
}

/// Why a message is refused for this reason, and what to do about it.
pub(super) const fn explanation(refusal: Refusal) -> &'static str {
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
            "A field has a type that cannot mean what it should: `value` must be a number, a \
             numeric text, true or false; `sensor_id` and `type` must be text or a number."
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
        check("sensors/+/+", "/sensors/kitchen/t", &["level 1, and this has \"\""]);
        check("a/b/#", "a", &["a/b/# takes 2 levels or more, and this has 1"]);
        check("#", "$SYS/uptime", &["# takes no topic that begins with $", "'#,$SYS/+'"]);
        check("x", "a,b/c", &["Publish to a topic that a filter takes."]);
        check("x", "it's/y", &["Publish to a topic that a filter takes."]);
        check("a,b,c,d,e", "x/y/z/u", &["2 more filters", "MQTT_TOPICS='a,b,c,d,e,x/+/+/u'"]);
    }
}
