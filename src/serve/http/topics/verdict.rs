//! One sentence or some for a person: what becomes of a topic's messages. No I/O, no clock.

use super::explain::Made;
use super::seen::Missing;
use super::words;
use crate::aggregate::topics::{Last, Record, TOPIC_BYTES_MAX};
use crate::ingest::TopicFilters;
use crate::reading::UnixMillis;
use crate::refusal::Refusal;
use crate::serve::quiet::Status;
use crate::serve::view::Moment;

/// What a sensor and a type are called that nothing names.
pub(super) const UNNAMED: &str = "unknown";

/// What became of the last message of a topic, or would become of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Counted,
    Refused,
    Ignored,
    Deleted,
    NotAccepted,
    NeverSeen,
    Invalid,
}

impl Outcome {
    /// As the answer says it.
    pub(super) const ALL: [&str; 7] =
        ["counted", "refused", "ignored", "deleted", "not_accepted", "never_seen", "invalid"];

    pub(super) const fn name(self) -> &'static str {
        Self::ALL[self as usize]
    }
}

/// What is known.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub topic: &'a str,
    pub filters: &'a TopicFilters,
    /// `None`: never seen, or not remembered.
    pub record: Option<&'a Record>,
    /// The series that it made, or that its levels name.
    pub made: &'a [Made],
    pub left_out: Missing,
    /// The payload of the last message that was set aside for the last refusal, if it is kept.
    pub payload: Option<&'a [u8]>,
    pub as_of: UnixMillis,
}

impl Case<'_> {
    pub(super) fn judge(&self) -> (Outcome, String) {
        if let Some(wrong) = words::invalid(self.topic) {
            return (Outcome::Invalid, wrong);
        }
        let is_taken = self.filters.accepts(self.topic);
        let Some(record) = self.record else {
            return match is_taken {
                true => (Outcome::NeverSeen, self.never_seen()),
                false => {
                    let said = words::not_taken(self.filters, self.topic);
                    (Outcome::NotAccepted, format!("{said}{}", self.sends_otherwise()))
                }
            };
        };
        let at = Moment(record.last_message);
        let (outcome, mut said) = match record.last {
            Last::Counted => (Outcome::Counted, self.counted(record)),
            Last::Refused => self.refused(record, is_taken),
            Last::Retained => (
                Outcome::Ignored,
                format!(
                    "The last message, at {at}, was a broker's replay of a stored (retained) one. \
                     It has no timestamp after the last reading of its series, so that it is that \
                     reading or an older one, and was not counted again. The next message that the \
                     device publishes counts."
                ),
            ),
            Last::Overflow => (
                Outcome::Ignored,
                format!(
                    "The last message, at {at}, was not counted: there are as many series as \
                     STREAMGAUGE_MAX_SENSORS allows. Raise that setting, or delete sensors that \
                     are not needed any more."
                ),
            ),
            Last::Deleted => (
                Outcome::Deleted,
                format!(
                    "The sensor was deleted after its last message, at {at}. The next message \
                     makes it anew."
                ),
            ),
        };
        if !is_taken && record.last != Last::Refused {
            said += " No filter of this process takes the topic: another process or door did, or \
                     MQTT_TOPICS was changed since then.";
        }
        (outcome, said)
    }

    fn counted(&self, record: &Record) -> String {
        let names: Vec<String> = self.made.iter().map(Made::name).collect();
        let mut said = self.silence(record).unwrap_or_default();
        said += &format!(
            "Messages of this topic {} counted; the last one came at {} with {}, of {}.",
            if said.is_empty() { "are" } else { "were" },
            Moment(record.last_message),
            words::many(u64::from(record.last_readings), "reading", "readings"),
            names.join(", "),
        );
        said += &words::amended(record.amended);
        said += &self.unnamed();
        let (own, unknown): (Vec<&Made>, Vec<&Made>) =
            self.made.iter().partition(|made| made.is_known());
        if self.made.iter().any(Made::is_named_by_payload) {
            said += " The payload names the sensor or the type, which goes before the topic's \
                     levels: look for it under that name.";
        }
        if own.is_empty() && !unknown.is_empty() {
            said += " It is not in the list of sensors yet, or it was deleted.";
        }
        if let (1.., Some((refusal, at))) = (record.errors, record.refusal) {
            said += &format!(
                " Refused: {} of {}, the last one at {} as {}.",
                record.errors,
                words::many(record.messages, "message", "messages"),
                Moment(at),
                refusal.name(),
            );
        }
        if record.partly > 0 {
            let elements = words::many(record.partly, "element", "elements");
            said += &format!(" Left out of arrays: {elements}.");
        }
        said
    }

    /// That nothing comes any more; `None` where some series is heard as usual.
    fn silence(&self, record: &Record) -> Option<String> {
        let quiet = |made: &Made| made.quiet(Status::Late).or(made.quiet(Status::Offline));
        let mut known = self.made.iter().filter(|made| made.is_known());
        let first = known.next()?;
        let (status, heard) = quiet(first)?;
        if !known.all(|made| quiet(made).is_some()) {
            return None;
        }
        let silent_ms = self.as_of.0.saturating_sub(record.last_message.0);
        let usually = match heard.interval_ms {
            0 => "it was heard only once".to_owned(),
            ms => format!("it usually comes every {} or so", words::span(u64::from(ms))),
        };
        Some(format!(
            "Silent since {}, for {}; {usually}: {}. Check the device, its power and its \
             connection. ",
            Moment(record.last_message),
            words::span(u64::try_from(silent_ms).unwrap_or(0)),
            status.name(),
        ))
    }

    /// Which name stands for one that neither the payload nor the topic gives.
    fn unnamed(&self) -> String {
        let level = |place: usize| self.topic.split('/').nth(place).unwrap_or_default();
        let is_unknown = |name: fn(&Made) -> &str| self.made.iter().any(|it| name(it) == UNNAMED);
        let mut said = String::new();
        if level(1).is_empty() && is_unknown(Made::sensor_id) {
            said += " The second level of the topic, which names the sensor, is empty or missing, \
                     and the payload has no `sensor_id`: the sensor is called \"unknown\".";
        }
        if level(2).is_empty() && is_unknown(Made::sensor_type) {
            said += " The third level of the topic, which names the type, is empty or missing, and \
                     the payload has no `type`: it is called \"unknown\".";
        }
        said
    }

    fn refused(&self, record: &Record, is_taken: bool) -> (Outcome, String) {
        let at = Moment(record.last_message);
        match record.refusal {
            Some((Refusal::TopicNotAccepted, _)) if is_taken => (
                Outcome::NotAccepted,
                format!(
                    "The last message, at {at}, came when no filter took its topic, or to a \
                     process with other filters. Here the filters take it now: the next message \
                     counts."
                ),
            ),
            Some((Refusal::TopicNotAccepted, _)) => {
                let said = words::not_taken(self.filters, self.topic);
                let said = format!("Messages come, the last one at {at}. {said}");
                (Outcome::NotAccepted, said)
            }
            Some((refusal, _)) => {
                let explained = words::explained(refusal, self.payload);
                let mut said =
                    format!("The last message, at {at}, was refused as {}. ", refusal.name());
                said += &explained;
                if record.readings > 0 {
                    let readings = words::many(record.readings, "reading", "readings");
                    said += &format!(" Counted of other messages of this topic: {readings}.");
                }
                (Outcome::Refused, said)
            }
            None => (Outcome::Refused, format!("The last message, at {at}, was refused.")),
        }
    }

    fn never_seen(&self) -> String {
        let mut said = "A filter takes this topic, but no message came with it. Check that the \
                        device is connected, to this listener or to the broker that Streamgauge \
                        subscribes to, and publishes to exactly this topic, capital letters and \
                        slashes included. An empty payload with RETAIN is no reading."
            .to_owned();
        if self.topic.len() > TOPIC_BYTES_MAX {
            said += &format!(
                " Topics of more than {TOPIC_BYTES_MAX} bytes are not remembered, so messages may \
                 have come."
            );
        } else if self.left_out.full > 0 {
            said += &format!(
                " Not all topics are remembered: of {} more, about, {} came, and this may be one \
                 of those.",
                self.left_out.topics,
                words::many(self.left_out.full, "message", "messages"),
            );
        }
        said + &self.sends_otherwise()
    }

    /// The sensor is there all the same.
    fn sends_otherwise(&self) -> String {
        match self.made.iter().find(|made| made.is_known()) {
            Some(made) => {
                format!(" {} is known, through another topic or from before.", made.name())
            }
            None => String::new(),
        }
    }
}
