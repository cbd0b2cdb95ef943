//! One sentence or some for a person: what becomes of a topic's messages. No I/O, no clock.

use super::explain::Made;
use super::seen::Missing;
use super::words;
use crate::aggregate::topics::{Last, Record, TOPIC_BYTES_MAX};
use crate::ingest::TopicFilters;
use crate::refusal::Refusal;
use crate::serve::view::Moment;

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
                    "The last message, at {at}, was a broker's replay of a stored (retained) one, \
                     and its series has newer readings already, so that it was not counted again. \
                     The next message that the device publishes counts."
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
        let mut said = format!(
            "Messages of this topic are counted; the last one came at {} with {}, of {}.",
            Moment(record.last_message),
            match record.last_readings {
                1 => "one reading".to_owned(),
                many => format!("{many} readings"),
            },
            names.join(", "),
        );
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
                " {} of {} messages were refused, the last one at {} as {}.",
                record.errors,
                record.messages,
                Moment(at),
                refusal.name(),
            );
        }
        if record.partly > 0 {
            said += &format!(" {} elements of arrays were left out.", record.partly);
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
                let explained = words::explanation(refusal);
                let mut said =
                    format!("The last message, at {at}, was refused as {}. ", refusal.name());
                said += explained;
                if record.readings > 0 {
                    said += &format!(" {} readings of others were counted.", record.readings);
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
                " Not all topics are remembered: {} messages of about {} others came, and this \
                 may be one of those.",
                self.left_out.full, self.left_out.topics
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
