//! Percentiles: exact, over single readings. No I/O, no clock.
//!
//! Between two readings they are interpolated in a straight line, as spreadsheets
//! (`PERCENTILE.INC`) and numpy do by default: Hyndman and Fan, "Sample Quantiles in Statistical
//! Packages", 1996, definition 7. All values of a series are held, 8 bytes each.

use std::collections::BTreeMap;

/// Percentiles in one request; a guess at more than anybody draws.
const PERCENTILES_MAX: usize = 16;

/// The percentiles of one series by their names; `None` without readings.
pub(super) type OfSeries = BTreeMap<String, Option<f64>>;

/// One percentile.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Percentile {
    /// As it was written.
    name: String,
    /// From 0 to 100.
    percent: f64,
}

/// What may be asked for.
pub(super) fn allowed() -> String {
    format!("at most {PERCENTILES_MAX} different numbers from 0 to 100 with commas between")
}

/// Reads a list such as `50,95,99.9`; `None` when it is not what [`allowed`] says.
pub(super) fn parse(text: &str) -> Option<Vec<Percentile>> {
    let list: Vec<Percentile> = text.split(',').map(Percentile::parse).collect::<Option<_>>()?;
    let is_new = |at: usize| {
        let same = |other: &Percentile| other.percent.to_bits() == list[at].percent.to_bits();
        !list[..at].iter().any(same)
    };
    (list.len() <= PERCENTILES_MAX && (0..list.len()).all(is_new)).then_some(list)
}

impl Percentile {
    fn parse(text: &str) -> Option<Self> {
        let name = text.trim();
        // Rust also takes signs, exponents and words for numbers.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let percent: f64 = name.parse().ok().filter(|_| is_plain)?;
        (percent <= 100.0).then(|| Self { name: name.to_owned(), percent })
    }

    /// Of values in ascending order.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among some millions of values, rounded down"
    )]
    fn of(&self, sorted: &[f64]) -> Option<f64> {
        let place = self.percent / 100.0 * sorted.len().checked_sub(1)? as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        let low = *sorted.get(below)?;
        let high = sorted.get(below + 1).copied().unwrap_or(low);
        let difference = high - low;
        // As numpy does, and the difference of two finite numbers may not be finite.
        Some(match part {
            _ if !difference.is_finite() => low * (1.0 - part) + high * part,
            ..0.5 => low + difference * part,
            _ => high - difference * (1.0 - part),
        })
    }
}

/// The percentiles of these values.
pub(super) fn compute(percentiles: &[Percentile], mut values: Vec<f64>) -> OfSeries {
    values.sort_unstable_by(f64::total_cmp);
    percentiles.iter().map(|one| (one.name.clone(), one.of(&values))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn computed(list: &str, values: &[f64]) -> Vec<(String, Option<f64>)> {
        compute(&parse(list).unwrap(), values.to_vec()).into_iter().collect()
    }

    #[test]
    fn places_between_readings_are_interpolated_as_by_numpy() {
        let check = |list, values: &[f64], expected: Option<f64>| {
            assert_eq!(computed(list, values), [(list.to_owned(), expected)], "{list} {values:?}");
        };
        check("50", &[4.0, 1.0, 3.0, 2.0], Some(2.5));
        check("0", &[4.0, 1.0], Some(1.0));
        check("100", &[4.0, 1.0], Some(4.0));
        check("25", &[0.0, 10.0], Some(2.5));
        check("87.5", &[0.0, 1000.0], Some(875.0));
        check("95", &[7.0], Some(7.0));
        check("95", &[], None);
        check("50", &[f64::MIN, f64::MAX], Some(0.0));
    }

    #[test]
    fn lists_that_make_no_sense_are_refused() {
        for wrong in ["", "50,", "-1", "100.1", "NaN", "1e1", "+5", "inf", "50,50.0", "a", "1,,2"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
        assert!(parse(&many.join(",")).is_none() && parse(&many[..16].join(",")).is_some());
        let names: Vec<_> = parse("50, 99.9").unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["50", "99.9"]);
    }

    proptest! {
        #[test]
        fn as_many_values_lie_below_as_the_percentile_says(
            values in prop::collection::vec(-1e6..1e6f64, 1..200),
            percent in 0u8..=100,
        ) {
            let (_, found) = computed(&percent.to_string(), &values).remove(0);
            let found = found.unwrap();
            let below = values.iter().filter(|value| **value < found).count() as f64;
            let above = values.iter().filter(|value| **value > found).count() as f64;
            let share = f64::from(percent) / 100.0;
            let gaps = (values.len() - 1) as f64;
            prop_assert!(below <= (share * gaps).ceil() + 1e-6);
            prop_assert!(above <= ((1.0 - share) * gaps).ceil() + 1e-6);
        }
    }
}
