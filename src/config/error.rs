//! What is said about a setting that cannot be.

use std::fmt;

use super::table::{self, Kind, VARIABLES};

/// One thing that is wrong with the settings; the person who wrote them must act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The variable.
    pub name: String,
    /// Its value as it may be shown: secrets are masked. `None` when there is none to show.
    pub value: Option<String>,
    /// What is wrong with it.
    pub why: String,
    /// What is allowed instead.
    pub allowed: String,
}

impl SettingError {
    /// The value is masked as its variable demands.
    #[must_use]
    pub fn new(
        name: &str,
        value: Option<String>,
        why: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        let kind = table::find(name).map_or(Kind::Plain, |variable| variable.kind);
        let value = value.map(|value| shown(kind, &value));
        Self { name: name.to_owned(), value, why: why.into(), allowed: allowed.into() }
    }

    pub(super) fn unknown_name(name: &str) -> Self {
        let nearest = VARIABLES
            .iter()
            .map(|variable| (distance(name, variable.name), variable.name))
            .chain(
                name.strip_prefix("STREAMGAUGE_")
                    .and_then(table::find)
                    .map(|variable| (0, variable.name)),
            )
            .min_by_key(|&(distance, _)| distance);
        // A guess: with a third of its letters changed it is another word.
        let letters_max = name.len().saturating_sub("STREAMGAUGE_".len()) / 3;
        let why = match nearest {
            Some((distance, nearest)) if distance <= letters_max => {
                format!("is not a setting (did you mean {nearest}?)")
            }
            _ => "is not a setting".to_owned(),
        };
        Self::new(name, None, why, "the names that `streamgauge --help` lists")
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(value) = &self.value {
            write!(f, "={value}")?;
        }
        write!(f, " {}; allowed: {}", self.why, self.allowed)
    }
}

/// A value as it may be shown: a secret never, an address without its password.
pub(super) fn shown(kind: Kind, value: &str) -> String {
    let masked = match kind {
        Kind::Secret => "***".to_owned(),
        Kind::Address | Kind::Private => mask_passwords(value),
        Kind::Plain => value.to_owned(),
    };
    masked.escape_debug().to_string()
}

/// Masks what may be a password: in every address of a comma list what stands before `@`, except
/// the user's name, and what follows `pass=` in a query.
fn mask_passwords(value: &str) -> String {
    // A password may hold commas, so a list is not split at them but where a scheme begins.
    let mut starts: Vec<usize> = value.match_indices("://").map(|(at, _)| at + 3).collect();
    starts.insert(0, 0);
    let mut masked = String::new();
    for (i, &start) in starts.iter().enumerate() {
        let part = &value[start..starts.get(i + 1).copied().unwrap_or(value.len())];
        let rest = match part.rfind('@') {
            Some(at) => {
                masked.push_str(part[..at].split_once(':').map_or("", |(user, _)| user));
                masked.push_str(":***");
                &part[at..]
            }
            None => part,
        };
        match rest.find("pass=") {
            Some(start) => {
                masked.push_str(&rest[..start]);
                masked.push_str("pass=***");
                masked.push_str(rest[start..].find('&').map_or("", |end| &rest[start + end..]));
            }
            None => masked.push_str(rest),
        }
    }
    masked
}

/// How many letters must change to make one word of the other (Levenshtein, 1965).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != wanted);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_never_show() {
        for (value, expected) in [
            ("redis://host:6379/0", "redis://host:6379/0"),
            ("redis://:p,w/x@host", "redis://:***@host"),
            ("redis://token@host", "redis://:***@host"),
            ("user:pass@host", "user:***@host"),
            ("redis://user:pa:ss@host", "redis://user:***@host"),
            ("redis://:p@ss@host", "redis://:***@host"),
            ("unix:///tmp/s?pass=abc&db=0", "unix:///tmp/s?pass=***&db=0"),
            ("mqtt://a:b@x,mqtt://c:d@y", "mqtt://a:***@x,mqtt://c:***@y"),
        ] {
            assert_eq!(shown(Kind::Private, value), expected);
        }
        assert_eq!(shown(Kind::Secret, "hunter2"), "***");
    }

    #[test]
    fn a_mistyped_name_is_recognised() {
        let said = SettingError::unknown_name("STREAMGAUGE_SHARD").to_string();
        assert!(said.contains("did you mean STREAMGAUGE_SHARDS?)"), "{said}");
        let said = SettingError::unknown_name("STREAMGAUGE_PORT").to_string();
        assert!(said.contains("did you mean PORT?)"), "{said}");
        let said = SettingError::unknown_name("STREAMGAUGE_WHATEVER_ELSE").to_string();
        assert!(!said.contains("did you mean") && said.contains("--help"), "{said}");
        assert!(!SettingError::unknown_name("STREAMGAUGE_FOO").why.contains("did you mean"));
    }
}
