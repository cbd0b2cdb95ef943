//! Topic filters after MQTT 3.1.1 §4.7, compiled once and asked for every message.

use std::fmt;

use thiserror::Error;

/// What a length prefix of two bytes can say (MQTT 3.1.1 §1.5.3).
const FILTER_BYTES_MAX: usize = 65_535;

/// The topics that the doors take in: one filter or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFilters {
    filters: Vec<Filter>,
}

/// Why a list of filters cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// Nothing stands between two commas, or in the whole list.
    #[error("{list:?}: a filter is empty; write filters such as sensors/+/+, separated by commas")]
    Empty {
        /// The whole list.
        list: String,
    },
    /// `#` is not a whole level, or not the last one.
    #[error("{filter:?}: # must be the last level and stand alone in it, as in sensors/#")]
    MultiLevel {
        /// The filter.
        filter: String,
    },
    /// `+` is not a whole level.
    #[error("{filter:?}: + must stand alone in its level, as in sensors/+/temperature")]
    SingleLevel {
        /// The filter.
        filter: String,
    },
    /// A NUL character.
    #[error("{filter:?}: a filter cannot contain a NUL character")]
    Nul {
        /// The filter.
        filter: String,
    },
    /// Over 65,535 bytes.
    #[error("a filter of {bytes} bytes is too long; at most 65535 are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// `$share/…`, which is a setting of its own.
    #[error("{filter:?}: give the filter without $share; the group has a setting of its own")]
    Shared {
        /// The filter.
        filter: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    text: Box<str>,
    levels: Box<[Level]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Literal(Box<[u8]>),
    /// `+`
    One,
    /// `#`
    Rest,
}

impl TopicFilters {
    /// Reads a comma list; spaces around a filter are trimmed, a repeated filter counts once.
    ///
    /// # Errors
    /// [`FilterError`] names the filter and what is allowed.
    pub fn parse(list: &str) -> Result<Self, FilterError> {
        let mut filters: Vec<Filter> = Vec::new();
        for text in list.split(',').map(str::trim) {
            if text.is_empty() {
                return Err(FilterError::Empty { list: list.to_owned() });
            }
            let filter = Filter::parse(text)?;
            if !filters.contains(&filter) {
                filters.push(filter);
            }
        }
        Ok(Self { filters })
    }

    /// Whether some filter matches. A topic that starts with `$` is not matched by a filter that
    /// starts with a wildcard.
    #[must_use]
    pub fn accepts(&self, topic: &str) -> bool {
        self.matching(topic).is_some()
    }

    /// The first filter that matches, as it was written.
    #[must_use]
    pub fn matching(&self, topic: &str) -> Option<&str> {
        let matching = self.filters.iter().find(|filter| filter.matches(topic.as_bytes()));
        matching.map(|filter| &*filter.text)
    }

    /// The filters as they were written.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.filters.iter().map(|filter| &*filter.text)
    }
}

impl fmt::Display for TopicFilters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, filter) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{filter}")?;
        }
        Ok(())
    }
}

impl Filter {
    fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(FilterError::TooLong { bytes: text.len() });
        }
        let filter = || text.to_owned();
        if text.contains('\0') {
            return Err(FilterError::Nul { filter: filter() });
        }
        if text.starts_with("$share/") {
            return Err(FilterError::Shared { filter: filter() });
        }
        let last = text.split('/').count() - 1;
        let mut levels = Vec::with_capacity(last + 1);
        for (index, level) in text.split('/').enumerate() {
            levels.push(match level {
                "+" => Level::One,
                "#" if index == last => Level::Rest,
                _ if level.contains('#') => {
                    return Err(FilterError::MultiLevel { filter: filter() });
                }
                _ if level.contains('+') => {
                    return Err(FilterError::SingleLevel { filter: filter() });
                }
                _ => Level::Literal(level.as_bytes().into()),
            });
        }
        Ok(Self { text: text.into(), levels: levels.into() })
    }

    fn matches(&self, topic: &[u8]) -> bool {
        let hidden = topic.first() == Some(&b'$');
        if hidden && !matches!(self.levels.first(), Some(Level::Literal(_))) {
            return false;
        }
        // What is left of the topic; `None` behind its last level.
        let mut rest = Some(topic);
        for level in &self.levels {
            rest = match (level, rest) {
                // `a/#` matches `a` too (§4.7.1.2).
                (Level::Rest, _) => return true,
                (Level::One | Level::Literal(_), None) => return false,
                (Level::One, Some(left)) => {
                    left.iter().position(|byte| *byte == b'/').map(|slash| &left[slash + 1..])
                }
                (Level::Literal(literal), Some(left)) => {
                    let Some(behind) = left.strip_prefix(&**literal) else { return false };
                    match behind.split_first() {
                        None => None,
                        Some((b'/', next)) => Some(next),
                        Some(_) => return false,
                    }
                }
            };
        }
        rest.is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(filter: &str, topic: &str) -> bool {
        TopicFilters::parse(filter).unwrap().accepts(topic)
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        let check = |filter, topic, expected| {
            assert_eq!(accepts(filter, topic), expected, "{filter} {topic}");
        };
        check("sensors/+/+", "sensors/t1/temperature", true);
        check("sensors/+/+", "sensors/t1", false);
        check("sensors/+/+", "sensors/t1/", true);
        check("sensors/+/+", "sensors/t1/a/b", false);
        check("sensors/+/+", "sensor/t1/a", false);
        check("sensors/+/+", "sensorsx/t1/a", false);
        check("sport/tennis/player1/#", "sport/tennis/player1", true);
        check("sport/tennis/player1/#", "sport/tennis/player1/score/x", true);
        check("sport/tennis/player1/#", "sport/tennis/player10", false);
        check("sport/#", "sport", true);
        check("#", "anything/at/all", true);
        check("+", "one", true);
        check("+", "one/two", false);
        check("+/+", "/finance", true);
        check("/+", "/finance", true);
        check("+", "/finance", false);
        check("sport/+", "sport", false);
        check("sport/+", "sport/", true);
        check("a/b", "a/b", true);
        check("a/b", "a/bc", false);
        check("#", "$SYS/uptime", false);
        check("+/uptime", "$SYS/uptime", false);
        check("$SYS/#", "$SYS/uptime", true);
        check("a/+", "a/$x", true);
        check("x/y, a/+", "a/1", true);
    }

    #[test]
    fn a_list_is_shown_as_it_was_meant() {
        let filters = TopicFilters::parse(" sensors/+/+ ,b/#,b/#").unwrap();
        assert_eq!(filters.to_string(), "sensors/+/+,b/#");
        assert_eq!(filters.iter().collect::<Vec<_>>(), ["sensors/+/+", "b/#"]);
        assert_eq!(filters.matching("b/x"), Some("b/#"));
        assert_eq!(filters.matching("x"), None);
        assert_eq!(TopicFilters::parse(&filters.to_string()), Ok(filters));
    }

    #[test]
    fn a_bad_filter_is_named_with_what_is_allowed() {
        let check = |list: &str, says: &str| {
            let error = TopicFilters::parse(list).unwrap_err().to_string();
            assert!(error.contains(says), "{list:?}: {error}");
        };
        check("", "\"\": a filter is empty");
        check("a,,b", "\"a,,b\": a filter is empty");
        check("a/#/b", "\"a/#/b\": # must be the last level");
        check("a/b#", "\"a/b#\": # must be");
        check("ok,a/b+", "\"a/b+\": + must stand alone");
        check("a\0b", "NUL");
        check("$share/g/a", "without $share");
        check(&"x".repeat(65_536), "65536 bytes is too long");
    }

    /// The textbook rule, level by level, to compare with.
    fn by_levels(filter: &str, topic: &str) -> bool {
        let filter: Vec<_> = filter.split('/').collect();
        let topic: Vec<_> = topic.split('/').collect();
        if topic[0].starts_with('$') && ["+", "#"].contains(&filter[0]) {
            return false;
        }
        for (index, level) in filter.iter().enumerate() {
            match (*level, topic.get(index)) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (literal, Some(level)) if literal == *level => {}
                _ => return false,
            }
        }
        filter.len() == topic.len()
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_rule_level_by_level(
            filter in "([ab$]{0,2}|\\+)(/([ab$]{0,2}|\\+)){0,3}(/#)?",
            topic in "[ab$]{0,2}(/[ab$]{0,2}){0,4}",
        ) {
            prop_assume!(!filter.is_empty());
            prop_assert_eq!(accepts(&filter, &topic), by_levels(&filter, &topic));
        }
    }
}
