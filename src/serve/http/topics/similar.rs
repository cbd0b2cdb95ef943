//! Topics that look like the one that is asked for: mostly somebody mistyped. No I/O, no clock.

use std::collections::BinaryHeap;

/// How many are told.
const SIMILAR_MAX: usize = 5;
/// Letters that two topics may differ in. More is another word.
const EDITS_MAX: usize = 2;

/// Why a topic looks like another one, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// The same but for capital letters.
    Case,
    /// The same but for spaces, and slashes that make empty levels.
    Slashes,
    /// Both.
    SlashesAndCase,
    /// One letter is wrong, missing or too many, or two are swapped.
    OneLetter,
    /// Two letters are.
    TwoLetters,
    /// One is the beginning of the other: it has more levels.
    Levels,
    /// The same sensor level.
    Sensor,
    /// The same last level.
    LastLevel,
}

impl Likeness {
    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Case => "the same letters in another case",
            Self::Slashes => "the same but for slashes or spaces",
            Self::SlashesAndCase => "the same but for slashes or spaces, in another case",
            Self::OneLetter => "one letter differs",
            Self::TwoLetters => "two letters differ",
            Self::Levels => "the same with more or fewer levels",
            Self::Sensor => "the same second level",
            Self::LastLevel => "the same last level",
        }
    }

    /// How `other` looks like `topic`; `None` when it does not, or is the same.
    fn of(topic: &Shape<'_>, other: &str) -> Option<Self> {
        if topic.text == other {
            return None;
        }
        let lower = other.to_lowercase();
        if topic.lower == lower {
            return Some(Self::Case);
        }
        if levels(topic.text).eq(levels(other)) {
            return Some(Self::Slashes);
        }
        let levels: Vec<&str> = levels(&lower).collect();
        if topic.levels == levels {
            return Some(Self::SlashesAndCase);
        }
        // In short topics two letters are half of a word.
        let edits_max = if topic.letters.len() < 8 { 1 } else { EDITS_MAX };
        match edits(&topic.letters, &lower, edits_max) {
            Some(1) => return Some(Self::OneLetter),
            Some(_) => return Some(Self::TwoLetters),
            None => {}
        }
        // What has no levels at all is the beginning of everything.
        let has_some = !levels.is_empty() && !topic.levels.is_empty();
        if has_some && (topic.levels.starts_with(&levels) || levels.starts_with(&topic.levels)) {
            return Some(Self::Levels);
        }
        let is_same = |a: Option<&&str>, b: Option<&&str>| a.is_some() && a == b;
        if is_same(topic.levels.get(1), levels.get(1)) {
            return Some(Self::Sensor);
        }
        is_same(topic.levels.last(), levels.last()).then_some(Self::LastLevel)
    }
}

/// A topic, taken apart once to be compared with many.
struct Shape<'a> {
    text: &'a str,
    lower: String,
    letters: Vec<char>,
    /// In lower case, without empty ones.
    levels: Vec<&'a str>,
}

/// Levels without spaces around them, and without empty ones.
fn levels(topic: &str) -> impl Iterator<Item = &str> {
    topic.split('/').map(str::trim).filter(|level| !level.is_empty())
}

/// The topics that look the most like `topic`, the most telling first.
pub(super) fn similar<'a>(
    topic: &str,
    others: impl Iterator<Item = &'a str>,
) -> Vec<(Likeness, &'a str)> {
    let lower = topic.to_lowercase();
    let shape = Shape {
        text: topic,
        letters: lower.chars().collect(),
        levels: levels(&lower).collect(),
        lower: lower.clone(),
    };
    let mut best = BinaryHeap::with_capacity(SIMILAR_MAX + 1);
    for other in others {
        let Some(likeness) = Likeness::of(&shape, other) else { continue };
        best.push((likeness, other));
        if best.len() > SIMILAR_MAX {
            best.pop();
        }
    }
    best.into_sorted_vec()
}

/// How many letters are wrong, missing, too many or swapped with their neighbour (the distance of
/// F. Damerau: "A technique for computer detection and correction of spelling errors", CACM 7(3),
/// 1964, without edits of what was swapped); `None` when more than `most`. Of the table of prefixes
/// only the diagonal is filled in that can lead to so few.
fn edits(a: &[char], b: &str, most: usize) -> Option<usize> {
    // Letters are one byte at least: this saves most of the work.
    if b.len() + most < a.len() {
        return None;
    }
    let b: Vec<char> = b.chars().take(a.len() + most + 1).collect();
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let far = most + 1;
    let width = b.len() + 1;
    let first: Vec<usize> = (0..width).map(|at| at.min(far)).collect();
    let mut rows = [vec![far; width], first, vec![far; width]];
    for at in 1..=a.len() {
        let [before, above, row] = &mut rows;
        row.fill(far);
        let (from, to) = (at.saturating_sub(most), (at + most).min(b.len()));
        for there in from..=to {
            if there == 0 {
                row[0] = at.min(far);
                continue;
            }
            let wrong = usize::from(a[at - 1] != b[there - 1]);
            let mut least =
                (above[there - 1] + wrong).min(above[there] + 1).min(row[there - 1] + 1);
            let is_swapped =
                at > 1 && there > 1 && a[at - 1] == b[there - 2] && a[at - 2] == b[there - 1];
            if is_swapped {
                least = least.min(before[there - 2] + 1);
            }
            row[there] = least.min(far);
        }
        rows.rotate_left(1);
    }
    Some(rows[1][b.len()]).filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn likeness(topic: &str, other: &str) -> Option<Likeness> {
        similar(topic, std::iter::once(other)).first().map(|(likeness, _)| *likeness)
    }

    #[test]
    fn what_is_mistyped_is_recognised() {
        let topic = "sensors/kitchen/temperature";
        let check = |other, expected| assert_eq!(likeness(topic, other), expected, "{other}");
        check(topic, None);
        check("Sensors/Kitchen/temperature", Some(Likeness::Case));
        check("/sensors/kitchen/temperature", Some(Likeness::Slashes));
        check("sensors/kitchen/temperature/", Some(Likeness::Slashes));
        check("sensors//kitchen/temperature", Some(Likeness::Slashes));
        check(" sensors/kitchen /Temperature", Some(Likeness::SlashesAndCase));
        check("sensor/kitchen/temperature", Some(Likeness::OneLetter));
        check("sensors/kitchen/temperatuer", Some(Likeness::OneLetter));
        check("sensors/kitchen1/temperature", Some(Likeness::OneLetter));
        check("sensor/kitchen/temperatur", Some(Likeness::TwoLetters));
        check("sensors/kitchen", Some(Likeness::Levels));
        check("sensors/kitchen/temperature/raw", Some(Likeness::Levels));
        check("home/kitchen/humidity", Some(Likeness::Sensor));
        check("home/cellar/temperature", Some(Likeness::LastLevel));
        check("home/cellar/humidity", None);
        check("", None);
    }

    #[test]
    fn hostile_topics_are_compared_too() {
        assert_eq!(likeness("s/🌡/t", "s/🌡️/t"), Some(Likeness::OneLetter));
        assert_eq!(likeness("<img src=x>", "<IMG SRC=x>"), Some(Likeness::Case));
        assert_eq!(likeness("", "a"), Some(Likeness::OneLetter));
        assert_eq!(likeness("///", "/"), Some(Likeness::Slashes));
        assert_eq!(likeness(&"x".repeat(4000), "y"), None);
    }

    #[test]
    fn the_most_telling_come_first_and_not_too_many() {
        let others: Vec<String> = (0..100).map(|n| format!("s/room{n:03}/t")).collect();
        let near = "s/Room5/t".to_owned();
        let all = others.iter().chain(std::iter::once(&near)).map(String::as_str);
        let found = similar("s/room5/t", all);
        assert_eq!(found.len(), SIMILAR_MAX);
        assert_eq!(found[0], (Likeness::Case, "s/Room5/t"));
        assert!(found.is_sorted());
        let all = ["sensors/Kitchen/t", "sensors/kitchen/t"];
        let found = similar("/sensors/kitchen/t", all.into_iter());
        assert_eq!(found[0], (Likeness::Slashes, "sensors/kitchen/t"));
    }

    /// The whole table, without shortcuts.
    fn all_edits(a: &[char], b: &[char]) -> usize {
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for at in 0..=a.len() {
            for there in 0..=b.len() {
                table[at][there] = match (at, there) {
                    (0, edits) | (edits, 0) => edits,
                    _ => {
                        let wrong = usize::from(a[at - 1] != b[there - 1]);
                        let mut least = (table[at - 1][there - 1] + wrong)
                            .min(table[at - 1][there] + 1)
                            .min(table[at][there - 1] + 1);
                        if at > 1
                            && there > 1
                            && a[at - 1] == b[there - 2]
                            && a[at - 2] == b[there - 1]
                        {
                            least = least.min(table[at - 2][there - 2] + 1);
                        }
                        least
                    }
                };
            }
        }
        table[a.len()][b.len()]
    }

    proptest! {
        #[test]
        fn few_edits_are_counted_right(a in "[abé]{0,8}", b in "[abé]{0,8}", most in 1usize..=2) {
            let letters: Vec<char> = a.chars().collect();
            let all = all_edits(&letters, &b.chars().collect::<Vec<_>>());
            prop_assert_eq!(edits(&letters, &b, most), Some(all).filter(|all| *all <= most));
        }
    }
}
