//! What the rows of an answer are: readings, or windows of a length. No I/O, no clock.

use crate::history::{Resolution, Share};
use crate::reading::UnixMillis;

/// What one row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Grain {
    /// A reading.
    Readings,
    /// All readings of a window.
    Windows(Resolution),
}

/// Since when everything is kept, by share; `None`: since the first reading.
pub(super) type Since = [Option<UnixMillis>; 3];

impl Grain {
    /// All, the finest first.
    pub(super) const ALL: [Self; 3] =
        [Self::Readings, Self::Windows(Resolution::Minute), Self::Windows(Resolution::Hour)];

    /// As the parameter `resolution` says it.
    pub(in crate::serve) const fn name(self) -> &'static str {
        match self {
            Self::Readings => "raw",
            Self::Windows(resolution) => resolution.name(),
        }
    }

    /// Which share of the memory for history it is paid from.
    pub(super) const fn share(self) -> Share {
        match self {
            Self::Readings => Share::Readings,
            Self::Windows(resolution) => resolution.shelf().share(),
        }
    }

    /// What `resolution=auto` means: the finest that is kept back to `from`, else the one that
    /// reaches furthest back.
    pub(super) fn choose(since: &Since, from: UnixMillis) -> Self {
        let since = |grain: Self| since[grain.share().index()];
        let reaches = |grain: &Self| since(*grain).is_none_or(|since| since <= from);
        let finest = Self::ALL.into_iter().find(reaches);
        finest
            .or_else(|| Self::ALL.into_iter().min_by_key(|it| since(*it)))
            .unwrap_or(Self::Readings)
    }
}

/// Since when everything is kept of several series: where the last of them begins.
pub(super) fn together(all: impl IntoIterator<Item = Since>) -> Since {
    let later = |all: Since, one: Since| std::array::from_fn(|share| all[share].max(one[share]));
    all.into_iter().fold([None; 3], later)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: Grain = Grain::Windows(Resolution::Minute);
    const HOURS: Grain = Grain::Windows(Resolution::Hour);

    fn since(readings: i64, minutes: i64, hours: i64) -> Since {
        [readings, minutes, hours].map(|at| (at >= 0).then_some(UnixMillis(at)))
    }

    #[test]
    fn the_finest_that_reaches_back_is_chosen() {
        let check = |since: Since, from, expected: Grain| {
            assert_eq!(Grain::choose(&since, UnixMillis(from)), expected, "{since:?} {from}");
        };
        check(since(-1, -1, -1), i64::MIN, Grain::Readings);
        check(since(90, 50, -1), 90, Grain::Readings);
        check(since(90, 50, -1), 89, MINUTES);
        check(since(90, 50, -1), 49, HOURS);
        check(since(90, 50, 60), 40, MINUTES);
        check(since(50, 50, 50), 40, Grain::Readings);
        check(since(90, -1, 10), 0, MINUTES);
    }

    #[test]
    fn several_series_reach_back_as_far_as_the_shortest() {
        assert_eq!(together([since(5, -1, 7), since(-1, -1, 9)]), since(5, -1, 9));
        assert_eq!(together([]), since(-1, -1, -1));
    }
}
